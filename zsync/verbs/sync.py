"""Synchronize a folder with that of a team: a pull and a publish of what each side changed."""

from __future__ import annotations

import itertools
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from zsync.config import RunConfig, in_section
from zsync.config.sections import Team
from zsync.errors import ConflictError, PreconditionError, SourceChangedError
from zsync.notices.telling import and_tell
from zsync.planning.merge import DOWNLOADS
from zsync.report.progress import progress_for
from zsync.storage.archived import all_named
from zsync.storage.writable import check_writable, directories_for
from zsync.team.apply import Application
from zsync.team.base import locked, read_base
from zsync.team.choose import Chooser
from zsync.team.differing import differing, emptied, synced_change
from zsync.team.fit import behind_links
from zsync.team.folder import folder_of, team_config
from zsync.team.ready import make_folder, refuse_place, wait_for_others
from zsync.team.synced import Ask, SyncedChange, SyncedProduct, SyncResult

if TYPE_CHECKING:
    import os
    from typing import Unpack

    from zsync.config.options import SyncCallOptions
    from zsync.report.progress import Progress
    from zsync.team.folder import Folder
    from zsync.words import Finding

log = logging.getLogger(__name__)

_PATIENCE_S = 120.0  # that others, and files that change, are waited for; a dead publisher's lease runs out before
_PAUSE_S = 1.0
_LOOKS = 8  # at a folder that changes all the time


def sync(
    config: Any = None,
    target: str | os.PathLike[str] | None = None,
    *,
    yes: bool = False,
    prefer: Literal["ask", "local", "remote", "both"] | None = None,
    ask: Ask | None = None,
    dry_run: bool = False,
    progress: Progress | bool | None = None,
    **overrides: Unpack[SyncCallOptions],
) -> SyncResult:
    """Bring a folder and its target to agree: what changed here goes there, what changed there comes here.

    What changed is told from what both last agreed on. A Zarr store counts as one thing. Nothing is lost: what is
    overwritten or deleted here goes to the folder's trash, what is deleted there, or loses a conflict, to the target's.
    Others may do the same at the same time; who comes second merges again.

    Parameters
    ----------
    config
        A configuration of any kind, or the folder; None: ``s3synchrony.json`` or ``zsync.yaml`` here.
    target
        As for `zsync.publish`.
    yes
        Take every change that is no conflict, without asking.
    prefer
        What wins where both sides changed: ``local``, ``remote``, or ``both``, which keeps what is here as a copy.
        By default what the configuration says, ``ask``.
    ask
        Called with each `zsync.team.synced.Group` of changes; returns one of its options for every change.
    dry_run
        Say what differs, and do nothing.
    progress
        As for `zsync.publish`.
    **overrides
        Options of the configuration by their names, those under ``team`` too: ``endpoint_url``, ``member``, ``ignore``.

    Returns
    -------
    SyncResult
        What differed, and what was done.

    Raises
    ------
    ConfigError
        The configuration is wrong; or something is to be decided, and there is neither `ask` nor `yes` and `prefer`.
    SourceError
        The folder is gone, or holds what cannot be published.
    GuardError
        Everything is gone from one side, and nobody was asked whether that was meant.
    ConflictError
        Others were at work for too long.
    TargetError
        The target cannot be reached, or refuses.

    Examples
    --------
    >>> import zsync
    >>> zsync.sync("s3synchrony.json", yes=True, prefer="both")  # doctest: +SKIP
    """
    started = time.monotonic()
    understood = RunConfig.from_any(team_config(config), target=target, **in_section("team", Team, overrides))
    for note in understood.notes:
        log.info("note: %s", note)
    dry_run = dry_run or understood.dry_run
    chooser = Chooser(
        yes=yes,
        prefer=prefer or understood.team.prefer,
        is_given=prefer not in (None, "ask"),
        allow_empty=understood.publish.allow_empty,
        ask=ask,
    )
    watcher = progress_for(progress)

    def work() -> SyncResult:
        products, findings = [], []
        for product in understood.resolve():
            session = _Session(understood, folder_of(understood, product), chooser, watcher)
            products.append(session.plan() if dry_run else session.run())
            findings += session.findings
        status: Literal["synced", "unchanged", "planned"] = "planned" if dry_run else "synced"
        if not dry_run and not any(item.changes for item in products):
            status = "unchanged"
        return SyncResult(status, tuple(products), tuple(findings), time.monotonic() - started)

    return work() if dry_run else and_tell(understood, work)


@dataclass(slots=True)
class _Session:
    """The synchronization of one folder."""

    config: RunConfig
    folder: Folder
    chooser: Chooser
    progress: Progress
    findings: list[Finding] = field(default_factory=list)

    def plan(self) -> SyncedProduct:
        """Say what differs; write nothing."""
        refuse_place(self.folder)
        base = read_base(self.folder.state_directory, self.folder.there.url)
        seen, shown = differing(self.folder, base, self.progress, writes_cache=False)
        coming = [item.change for item in shown if item.change.verdict in DOWNLOADS]
        self.findings = [*seen.findings, *behind_links(seen.folder, seen, coming).values()]
        keys = {key for change in coming for key in change.keys}
        check_writable(directories_for(self.folder.root, keys))
        changes = tuple(synced_change(item, "") for item in shown)
        return self._product(seen.head.publication, changes, 0, 0)

    def run(self) -> SyncedProduct:
        """Synchronize; what changes meanwhile is looked at again, for a while."""
        make_folder(self.folder)
        with locked(self.folder.state_directory, self.folder.root):
            until = time.monotonic() + _PATIENCE_S
            for attempt in itertools.count(1):
                wait_for_others(self.folder.there, until)
                try:
                    with all_named([(self.folder.there.spec, self.folder.there.base, None)]):
                        return self._attempt()
                except (ConflictError, PreconditionError, SourceChangedError) as error:
                    # Others come to an end; what changes at every look will not.
                    if time.monotonic() >= until or (attempt >= _LOOKS and not isinstance(error, ConflictError)):
                        raise
                    log.info("looking again: %s", error)
                    time.sleep(min(_PAUSE_S, 0.05 * attempt))
        raise AssertionError("there is no end to counting")

    def _attempt(self) -> SyncedProduct:
        base = read_base(self.folder.state_directory, self.folder.there.url)
        seen, shown = differing(self.folder, base, self.progress, writes_cache=True)
        decided = self.chooser.decide(self.folder.root, shown, emptied=emptied(self.folder, seen))
        application = Application(self.config, seen.folder, base, seen, self.progress)
        application.apply([item.change for item in shown], decided)
        self.findings = [*application.findings, *seen.findings]
        changes = tuple(
            synced_change(item, application.actions[item.change.unit], application.copies.get(item.change.unit))
            for item in shown
        )
        return self._product(application.publication, changes, application.sent, application.received)

    def _product(
        self, publication: str | None, changes: tuple[SyncedChange, ...], sent: int, received: int
    ) -> SyncedProduct:
        folder = self.folder
        return SyncedProduct(folder.product.name, folder.there.url, folder.root, publication, changes, sent, received)
