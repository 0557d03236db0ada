"""What verifying came to: the values that `verify` returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from zsync.errors import ExitStatus
from zsync.report.format import human_bytes
from zsync.report.result import Result
from zsync.report.shown import Findings, Folded, Line, Table, counted, summed
from zsync.verifying.show import verification_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zsync.report.shown import Part
    from zsync.steps.result import PublishResult
    from zsync.verifying.difference import Difference

Status = Literal["sound", "different", "repaired"]
_SAYS = {
    "sound": "Sound: all is as it was published",
    "different": "Different",
    "repaired": "Repaired: all is as it was published",
}


@dataclass(frozen=True, slots=True)
class VerifiedProduct:
    """What was looked at of one product.

    Attributes
    ----------
    kind
        ``zarr``, ``cog`` or ``files``.
    publication
        Id of the publication that it was compared with; None if zsync never published it: then only what it is by
        itself was looked at.
    objects, bytes
        What is there.
    headers
        Of how many objects the headers were asked for.
    read, read_bytes
        How many objects were read, and their size.
    checksums
        DANDI's digest of each Zarr store, by its place in the product, where that was asked for.
    is_sampled
        The seed of the verification chose what was looked at.
    """

    name: str
    url: str
    kind: str
    publication: str | None
    objects: int
    bytes: int
    headers: int = 0
    read: int = 0
    read_bytes: int = 0
    differences: tuple[Difference, ...] = ()
    checksums: Mapping[str, str] = field(default_factory=dict)
    is_sampled: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        document = {
            "name": self.name,
            "url": self.url,
            "kind": self.kind,
            "publication": self.publication,
            "objects": self.objects,
            "bytes": self.bytes,
            "headers": self.headers,
            "read": self.read,
            "read_bytes": self.read_bytes,
            "differences": len(self.differences),
        }
        return document | ({"checksums": dict(self.checksums)} if self.checksums else {})


@dataclass(frozen=True, slots=True, repr=False)
class Verification(Result):
    """What verifying came to.

    Attributes
    ----------
    status
        ``sound``; ``different``; ``repaired``: what was different was sent again, and is as it was published.
    products
        What was looked at.
    findings
        What was noticed on the way, and is no difference.
    seconds
        How long it took.
    seed
        What chose the objects that were looked at; given again, it chooses the same.
    found
        What was different before it was repaired; the same as `differences` where nothing was.
    repair
        The publication that repaired it; planned only, after a dry run. None if nothing had to be sent, or asked to.
    """

    products: tuple[VerifiedProduct, ...]
    seed: int = 0
    found: tuple[Difference, ...] = ()
    repair: PublishResult | None = None

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What is different, by product and key."""
        return tuple(item for product in self.products for item in product.differences)

    @property
    def event(self) -> None:
        """Nobody is told of it."""
        return

    @property
    def exit_status(self) -> ExitStatus:
        """The exit status of the command."""
        return ExitStatus.DIFFERENT if self.status == "different" else ExitStatus.DONE

    def rows(self) -> list[dict[str, Any]]:
        """Return the differences as rows."""
        return [item.to_dict() for item in self.differences]

    def to_dict(self) -> dict[str, Any]:
        """Return the verification as JSON."""
        repair = {} if self.repair is None else {"repair": self.repair.to_dict(),
                                                 "repaired": [item.to_dict() for item in self.found]}  # fmt: skip
        return {**Result.to_dict(self), "seed": self.seed, "differences": self.rows(), **repair}

    def brief(self) -> str:
        """Return it in a word or two."""
        count = len(self.differences)
        return f"{self.status}, {count:,} difference{'' if count == 1 else 's'}, {self.seconds:.1f} s"

    def said(self) -> str:
        """Return what it came to as the command prints it."""
        return verification_text(self)

    def heading(self) -> Line:
        """Return what it came to in a line."""
        count = len(self.differences)
        number = "" if not count else f"{count:,} difference{'s' if count > 1 else ''} "
        return Line(f"{number}in {self.seconds:.1f} s", _SAYS[self.status])

    def table(self) -> Table:
        """Return what was looked at in a table, a row a product."""
        rows = [
            [item.name, item.url, item.publication or "not published by zsync", item.objects, human_bytes(item.bytes),
             item.headers, item.read, len(item.differences)]
            for item in self.products
        ]  # fmt: skip
        titles = ("product", "url", "publication", "objects", "size", "headers of", "bytes of", "differences")
        return Table(titles, rows).without_blanks()

    def shown(self) -> list[Part]:
        """Return what is to be seen of it."""
        parts: list[Part] = [self.heading(), self.table()]
        kinds = summed(self.differences, lambda item: (str(item.kind), item.advice))
        if kinds:
            rows = [[kind, len(items), advice] for (kind, advice), items in kinds.items()]
            parts.append(Table(("kind", "how many", "what to do"), rows))
        for (kind, _), items in kinds.items():
            keys = Table(("product", "key", "what"), [[item.product, item.key, item.message] for item in items])
            parts.append(Folded(f"{kind}: {counted((item.key for item in items), 'keys')}", keys))
        return [*parts, Findings(self.findings)]
