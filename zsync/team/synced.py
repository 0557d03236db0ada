"""What came of a synchronization: the values that `sync` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from zsync.report.format import human_bytes, many
from zsync.report.result import Result
from zsync.report.shown import Line, Table
from zsync.team.changes import BOTH, LOCAL, REMOTE, SKIP, TAKE, Ask, Group, Shown, SyncedChange, SyncedProduct
from zsync.team.show import sync_text

__all__ = [
    "BOTH", "LOCAL", "REMOTE", "SKIP", "TAKE", "Ask", "Group", "Shown", "SyncResult", "SyncedChange", "SyncedProduct",
]  # fmt: skip

_SAYS = {
    "synced": "Synchronized",
    "unchanged": "Nothing to do: both sides agree",
    "planned": "Planned, nothing written",
}


@dataclass(frozen=True, slots=True, repr=False)
class SyncResult(Result):
    """What came of a synchronization.

    Attributes
    ----------
    status
        ``synced``; ``unchanged`` if both sides agreed; ``planned`` after a dry run.
    products
        What was done with each folder.
    findings
        What was noticed on the way.
    seconds
        How long it took.
    """

    status: Literal["synced", "unchanged", "planned"]
    products: tuple[SyncedProduct, ...]

    @property
    def event(self) -> Literal["synced"] | None:
        """What is told of it to those who asked; None if nothing was done."""
        return "synced" if self.status == "synced" else None

    def rows(self) -> list[dict[str, Any]]:
        """Return it as rows, one a change."""
        return [{"product": item.name, **change.to_dict()} for item in self.products for change in item.changes]

    def said(self) -> str:
        """Return what came of it as the command prints it."""
        return sync_text(self)

    def heading(self) -> Line:
        """Return what came of it in a line: how much, before what."""
        sent, received = (sum(getattr(item, name) for item in self.products) for name in ("sent", "received"))
        count = sum(len(item.changes) for item in self.products)
        moved = "" if self.status == "planned" else f", {many(sent, 'object')} sent, {received:,} received"
        changes = f"{count:,} change{'' if count == 1 else 's'}"
        return Line(f"{changes}{moved}; {self.seconds:.1f} s", _SAYS[self.status])

    def table(self) -> Table:
        """Return what came of it in a table, a row a change."""
        rows = [
            [item.name, change.unit, str(change.verdict), change.action, change.by, change.time,
             human_bytes(change.bytes)]
            for item in self.products
            for change in item.changes
        ]  # fmt: skip
        return Table(("folder", "what", "change", "done", "by", "when", "size"), rows).without_blanks()
