"""What can be found wrong with what is published: one value, one code each, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zsync.words import Finding


class Wrong(StrEnum):
    """Codes of differences; besides them those of findings about stores (`zsync.layout`)."""

    MISSING = "missing"
    EXTRA = "extra"
    SIZE = "size"
    OVERWRITTEN = "overwritten"
    VERSION = "version"
    HEADERS = "headers"
    CONTENT = "content"
    UNREADABLE = "unreadable"
    NOT_STRICT = "not-strict-json"
    STALE = "stale-consolidated"
    UPLOAD = "unfinished-upload"
    LEASE = "left-lease"
    UNFINISHED = "unfinished-run"
    STATE = "lost-record"
    CLOSED = "does-not-open"
    VIEWS = "views-differ"
    UNDECODABLE = "does-not-decode"


_REPAIR = "zsync verify --repair sends it again from the source"
_PULL = "zsync pull --force-overwrite brings it again, or zsync verify DIRECTORY SOURCE --repair"
_GONE = "the bucket does not have it any more; what else keeps copies?"
_ADVICE = {
    Wrong.MISSING: _REPAIR,
    Wrong.EXTRA: "--repair, or the next publish, retires it if the source does not have it either",
    Wrong.SIZE: _REPAIR,
    Wrong.OVERWRITTEN: _REPAIR,
    Wrong.VERSION: "somebody wrote the same bytes again; --repair puts it on record",
    Wrong.HEADERS: _REPAIR,
    Wrong.CONTENT: _REPAIR,
    Wrong.UNREADABLE: "see to the service; archived objects have to be restored first",
    Wrong.NOT_STRICT: "write it as strict JSON: many readers fail on all of it",
    Wrong.STALE: "--repair, or a publish, writes it anew",
    Wrong.UPLOAD: "--repair gives it up; it costs money, and no listing shows it",
    Wrong.LEASE: "the next publish takes it over, --repair gives it back",
    Wrong.UNFINISHED: "publish again to finish",
    Wrong.STATE: "publish again: what is there is compared object by object, and put on record",
    Wrong.CLOSED: _REPAIR,
    Wrong.VIEWS: "--repair, or a publish, writes consolidated metadata anew",
    Wrong.UNDECODABLE: _REPAIR,
}
_OF_STRUCTURE = "write it again in the source, and publish"

# What no publish is needed for.
OF_STATE = frozenset({Wrong.UPLOAD, Wrong.LEASE, Wrong.UNFINISHED})


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was published, or not as a reader needs it.

    Attributes
    ----------
    product
        Name of the product.
    key
        The object, relative to the product's root; of the product's state relative to its parent.
    kind
        Its code: see docs/verifying.md.
    message
        What is wrong with it.
    advice
        What to do.
    """

    product: str
    key: str
    kind: str
    message: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the difference as JSON."""
        return {
            "product": self.product,
            "key": self.key,
            "kind": self.kind,
            "message": self.message,
            "advice": self.advice,
        }


def difference(product: str, key: str, kind: Wrong, message: str, advice: str | None = None) -> Difference:
    """Return a difference, with what to do about such ones."""
    return Difference(product, key, str(kind), message, advice or _ADVICE[kind])


def of_finding(finding: Finding) -> Difference:
    """Return an error about a store as a difference."""
    message, _, advice = finding.message.partition("; ")
    return Difference(finding.product, finding.key, finding.code, message, advice or _OF_STRUCTURE)


def in_order(differences: Iterable[Difference], ignore: Iterable[str] = ()) -> tuple[Difference, ...]:
    """Return differences by product, key and kind, each once, without those of kinds that do not matter."""
    spare = frozenset(ignore)
    found = {(item.product, item.key, item.kind): item for item in differences if item.kind not in spare}
    return tuple(found[place] for place in sorted(found))


def advised(item: Difference, *, is_past: bool, is_here: bool) -> Difference:
    """Return a difference with the advice that fits where it was found: a repair is for what is published now.

    Parameters
    ----------
    is_past
        It is of an earlier publication.
    is_here
        It is of a directory of this machine.
    """
    if item.advice != _REPAIR or not (is_past or is_here):
        return item
    return replace(item, advice=_GONE if is_past else _PULL)


def with_same_bytes(item: Difference) -> Difference:
    """Return the difference of an object that was written over, of which the bytes were found to be the same."""
    return replace(item, message=f"{item.message}; its bytes are those that were published")
