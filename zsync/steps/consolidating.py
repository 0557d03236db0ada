"""What a publish does about consolidated metadata, and what it says of that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zsync.layout import join, remade
from zsync.report.format import human_bytes
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from zsync.layout import Consolidating, Layout, Remade

_CODE, _UNFIT = "consolidated", "not-strict-json"
_NEVER = "; consolidate: never leaves it out"


@dataclass(frozen=True, slots=True)
class Consolidated:
    """What is done about the consolidated metadata of a product.

    Attributes
    ----------
    how
        What was asked for.
    remade
        What is done, by key relative to the product's root.
    """

    how: Consolidating
    remade: Mapping[str, Remade] = field(default_factory=dict)

    @property
    def generated(self) -> dict[str, bytes]:
        """What zsync makes in place of the source's objects, by key."""
        return {key: made.body for key, made in self.remade.items() if made.body is not None}

    @property
    def removed(self) -> frozenset[str]:
        """Objects of the source that are not published, because they are untrue."""
        return frozenset(key for key, made in self.remade.items() if made.what == "removed" and made.body is None)


def consolidated(layout: Layout, extra: Mapping[str, Mapping[str, Any]], how: Consolidating) -> Consolidated:
    """Return what is done about consolidated metadata that the source lacks, or that would be untrue.

    Parameters
    ----------
    extra
        Documents of nodes that stay in the target though the source lacks them, by store and key in it.
    """
    return Consolidated(
        how,
        {
            join(prefix, made.key): made
            for prefix, store in layout.stores.items()
            for made in remade(store, extra.get(prefix, {}), how)
        },
    )


def consolidated_findings(
    product: str, done: Consolidated, same: Collection[str], before: Mapping[str, int]
) -> list[Finding]:
    """Return what to say of consolidated metadata; few findings for many stores.

    Parameters
    ----------
    product
        The product's name.
    done
        What is done.
    same
        Keys of objects that are not sent, for they are in the target as they are to be: nothing is said of these.
    before
        Sizes of the source's objects, by key.
    """
    unfit = {key: made for key, made in done.remade.items() if made.unfit is not None}
    news = {key: made for key, made in done.remade.items() if key not in unfit and key not in same}
    findings = [_of_unfit(product, key, made, done.how) for key, made in unfit.items() if _matters(key, same, done.how)]
    for what in ("added", "renewed", "removed", "untrue", "missing"):
        keys = [key for key, made in news.items() if made.what == what]
        if keys:
            findings.append(_of_some(product, what, keys, done.generated, before))
    return findings


def _matters(key: str, same: Collection[str], how: Consolidating) -> bool:
    return how == "always" or key not in same


def _of_unfit(product: str, key: str, made: Remade, how: Consolidating) -> Finding:
    has = "the source's is untrue" if made.what == "untrue" else "the source has none"
    reason = f"true consolidated metadata cannot be made: JSON has no way to say {made.unfit}, and {has}"
    if how == "always":
        return Finding(
            "error", _UNFIT, product, key, f"{reason}; write that otherwise, or set consolidate: auto or as-is"
        )
    return Finding("warning", _UNFIT, product, key, f"{reason}; what the source has goes up as it is")


def _of_some(
    product: str, what: str, keys: Sequence[str], generated: Mapping[str, bytes], before: Mapping[str, int]
) -> Finding:
    grown = {key: len(generated.get(key, b"")) - before.get(key, 0) for key in keys}
    key = max(sorted(keys), key=grown.__getitem__)
    more = f" (the largest of {len(keys):,})" if len(keys) > 1 else ""
    size = _size(before.get(key), len(generated[key])) if key in generated else ""
    said = {
        "added": f"the source has no consolidated metadata here, and it is added{size}{_NEVER}",
        "renewed": f"the source's consolidated metadata is untrue here, and is made anew{size}",
        "removed": f"the source's consolidated metadata is untrue here, and is left out{size}",
        "missing": "the source has no consolidated metadata here, and none is added (consolidate: as-is)",
        "untrue": "the source's consolidated metadata is untrue here, and goes up as it is (consolidate: as-is):"
        " readers who use it do not see what is there",
    }
    return Finding("warning" if what == "untrue" else "info", _CODE, product, key, said[what] + more)


def _size(before: int | None, after: int) -> str:
    return f" ({human_bytes(before)} -> {human_bytes(after)})" if before is not None else f" ({human_bytes(after)})"
