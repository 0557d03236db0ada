"""How changes of a team's folder are shown, before anybody decides and after it was done."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from zsync.planning.merge import Verdict
from zsync.printable import printable
from zsync.report.format import human_bytes
from zsync.report.text import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.team.changes import Group, Shown, SyncedChange, SyncedProduct


class _Result(Protocol):
    @property
    def status(self) -> str: ...
    @property
    def products(self) -> Sequence[SyncedProduct]: ...
    @property
    def seconds(self) -> float: ...


_TITLES = {
    Verdict.NEW_HERE: "New here, to be uploaded",
    Verdict.MODIFIED_HERE: "Modified here, to be uploaded",
    Verdict.DELETED_HERE: "Deleted here, to be deleted in the target (they go to its trash)",
    Verdict.NEW_THERE: "New in the target, to be downloaded",
    Verdict.MODIFIED_THERE: "Modified in the target, to be downloaded (what is here goes to the trash)",
    Verdict.DELETED_THERE: "Deleted in the target, to be deleted here (they go to the trash)",
    Verdict.CONFLICT: "Changed on both sides",
}


def group_text(group: Group) -> str:
    """Return a group of changes, a numbered line each, with who and when."""
    rows = [
        [f"{number:>4}.", item.name, human_bytes(item.size), *_who(item)]
        for number, item in enumerate(group.changes, start=1)
    ]
    return f"{_TITLES[group.verdict]} ({printable(group.folder)}):\n{columns(rows)}"


def _who(item: Shown) -> list[str]:
    change = item.change
    here = f"{change.here} here by {item.here.by} {item.here.time}".rstrip() if change.here else ""
    there = f"{change.there} there by {item.there.by or 'somebody'} {item.there.time}".rstrip() if change.there else ""
    unfinished = "not whole there: an upload was cut off" if change.is_unfinished else ""
    return ["; ".join(part for part in (here, there, unfinished) if part)]


def sync_text(result: _Result) -> str:
    """Return what came of a synchronization: a line a change, then a line a folder."""
    rows = [_row(change) for product in result.products for change in product.changes]
    lines = [columns(rows)] if rows else []
    for product in result.products:
        if result.status == "planned":
            text = f"{product.path}: {len(product.changes):,} differ from {product.url}; nothing written"
            lines.append(printable(text))
            continue
        counts = [f"{count:,} {done}" for done, count in Counter(map(_done, product.changes)).items()]
        said = ", ".join(counts) or "nothing to do"
        lines.append(printable(f"{product.path} and {product.url}: {said} ({result.seconds:.1f} s)"))
    return "\n".join(lines)


def _done(change: SyncedChange) -> str:
    """Return what was done, in words: what was deleted on one side is not said to have been moved to the other."""
    if change.action == "uploaded" and change.here == "deleted":
        return "deleted there"
    if change.action == "downloaded" and change.there == "deleted":
        return "deleted here"
    return change.action or "differs"


def _row(change: SyncedChange) -> list[str]:
    name = f"{change.unit}/" if change.is_store else change.unit
    what = str(change.verdict)
    if change.verdict == Verdict.CONFLICT:
        what = f"{change.here} here, {change.there} there"
    by = " ".join(part for part in (change.by, change.time) if part)
    copy = f"as {change.copy}" if change.copy else ""
    return [_done(change), name, what, human_bytes(change.bytes), by, copy]
