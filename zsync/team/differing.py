"""What differs between a folder and its target, and who changed it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from zsync.planning.merge import UPLOADS, Verdict, merge
from zsync.team.changes import Shown, SyncedChange
from zsync.team.history import Author, authors
from zsync.team.look import look

if TYPE_CHECKING:
    from zsync.report.progress import Progress
    from zsync.team.base import Base
    from zsync.team.folder import Folder
    from zsync.team.look import Look


def differing(folder: Folder, base: Base, progress: Progress, *, writes_cache: bool) -> tuple[Look, list[Shown]]:
    """Look at both sides, and return what differs, with who changed it.

    Raises
    ------
    ZsyncError
        As for `zsync.team.look.look`.
    """
    seen = look(folder, base, progress, writes_cache=writes_cache)
    changes = merge(seen.states)
    unlike = [change for change in changes if change.verdict != Verdict.SAME]
    units = {key: change.unit for change in unlike if change.there for key in change.keys}
    told = authors(folder.there, seen.head.publication, base.publication, units) if units else {}
    return seen, [
        Shown(change, Author(folder.member, _iso(seen.mtime_ns(change.keys))), told.get(change.unit, Author()))
        for change in unlike
    ]


def emptied(folder: Folder, seen: Look) -> str | None:
    """Return the side that held something and holds nothing now, and of which no publication says so."""
    states = seen.states
    if not states.base:
        return None
    if not states.here and states.there:
        return folder.root
    if not states.there and states.here and (seen.recorded or seen.head.publication is None):
        return folder.there.url
    return None


def synced_change(item: Shown, action: str, copy: str | None = None) -> SyncedChange:
    """Return a change, and what was done about it; empty after a dry run."""
    change = item.change
    author = item.here if change.verdict in UPLOADS else item.there
    return SyncedChange(
        change.unit, change.is_store, change.verdict, change.here, change.there, action, author.by, author.time,
        item.size, copy,
    )  # fmt: skip


def _iso(time_ns: int) -> str:
    """Return a time in nanoseconds since the epoch as ISO 8601, UTC; empty for none."""
    return dt.datetime.fromtimestamp(time_ns // 10**9, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time_ns else ""
