"""Synchronize a folder with that of a team: a pull and a publish of what each side changed (see ARCHITECTURE)."""

from __future__ import annotations

import datetime as dt
import itertools
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zsync.config import Location, RunConfig
from zsync.errors import ConfigError, ConflictError, PreconditionError, SourceChangedError, SourceError, TargetError
from zsync.notices.telling import and_tell
from zsync.publication import StateKeys, read_lease
from zsync.publication.places import Place
from zsync.publication.process import this_process
from zsync.report.progress import progress_for
from zsync.storage import spec_for
from zsync.storage.archived import all_named
from zsync.storage.writable import check_writable, directories_for
from zsync.system import advice_on
from zsync.team.synced import Ask, Shown, SyncedChange, SyncedProduct, SyncResult
from zsync.version import __version__

if TYPE_CHECKING:
    from zsync.config import ResolvedProduct
    from zsync.report.progress import Progress
    from zsync.team.base import Base
    from zsync.team.choose import Chooser
    from zsync.team.folder import Folder
    from zsync.team.look import Look
    from zsync.words import Finding

log = logging.getLogger(__name__)

FILE = "s3synchrony.json"  # found by itself in the working directory
_PATIENCE_S = 120.0  # that others, and files that change, are waited for; a dead publisher's lease runs out before
_PAUSE_S = 1.0
_LOOKS = 8  # at a folder that changes all the time


def sync(
    config: Any = None,
    *,
    yes: bool = False,
    prefer: Literal["ask", "local", "remote", "both"] | None = None,
    ask: Ask | None = None,
    dry_run: bool = False,
    progress: Progress | bool | None = None,
    **overrides: Any,
) -> SyncResult:
    """Bring a folder and its target to agree: what changed here goes there, what changed there comes here.

    What changed is told from what both last agreed on. A Zarr store counts as one thing. Nothing is lost: what is
    overwritten or deleted here goes to the folder's trash, what is deleted there, or loses a conflict, to the target's.
    Others may do the same at the same time; who comes second merges again.

    Parameters
    ----------
    config
        A configuration of any kind; None: ``s3synchrony.json`` in the working directory.
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
        Options of the configuration, for instance ``endpoint_url`` or ``team={"member": "mary"}``.

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
    understood = RunConfig.from_any(team_config(config), **overrides)
    for note in understood.notes:
        log.info("note: %s", note)
    from zsync.team.choose import Chooser

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


def team_config(config: Any) -> Any:
    """Return the configuration that is meant: the one that was given, or the file in the working directory.

    Raises
    ------
    ConfigError
        None was given, and there is no such file.
    """
    if config is not None:
        return config
    if not Path(FILE).is_file():
        raise ConfigError(f"{FILE} was not found", str(Path.cwd()), "name a configuration")
    return FILE


def folder_of(config: RunConfig, product: ResolvedProduct) -> Folder:
    """Return a product of a configuration as a team's folder."""
    from dataclasses import replace

    from zsync.team.folder import Folder

    here = Location.parse(product.root)
    spec = spec_for(product.location, config.storage, config.publish.transport)
    by = this_process(__version__)
    return Folder(
        product=replace(product, exclude=(*product.exclude, *config.team.ignore)),
        here=here,
        local=spec_for(here, RunConfig().storage),
        there=Place(product.location, spec, StateKeys.of(product.location)),
        member=config.team.member or f"{by['user']}@{by['host']}",
        follow_symlinks=config.publish.follow_symlinks,
    )


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
        from zsync.team.base import read_base

        self._refuse_place()
        base = read_base(self.folder.state_directory, self.folder.there.url)
        seen, shown = self._look(base, writes_cache=False)
        from zsync.planning.merge import DOWNLOADS
        from zsync.team.fit import behind_links

        coming = [item.change for item in shown if item.change.verdict in DOWNLOADS]
        self.findings = [*seen.findings, *behind_links(seen.folder, seen, coming).values()]
        keys = {key for change in coming for key in change.keys}
        check_writable(directories_for(self.folder.root, keys))
        changes = tuple(_synced(item, "") for item in shown)
        return self._product(seen.head.publication, changes, 0, 0)

    def run(self) -> SyncedProduct:
        """Synchronize; what changes meanwhile is looked at again, for a while."""
        from zsync.team.base import locked

        self._make_folder()
        with locked(self.folder.state_directory, self.folder.root):
            until = time.monotonic() + _PATIENCE_S
            for attempt in itertools.count(1):
                self._wait_for_others(until)
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

    def _refuse_place(self) -> None:
        """Raise if there was a folder, and is none any more; or if what a synchronization needs cannot be made."""
        from zsync.team.base import read_base

        root = self.folder.root
        if not Path(root).is_dir():
            if read_base(self.folder.state_directory, self.folder.there.url).exists:
                raise SourceError(
                    "the folder is gone", root, "is it mounted? To begin anew, use `zsync reset`, or restore it"
                )
            try:
                check_writable([root])
            except TargetError as error:
                raise SourceError(f"the folder cannot be made ({error.message})", error.where, error.advice) from error
        try:
            check_writable([str(self.folder.state_directory)])
        except TargetError as error:
            message = f"the folder's state cannot be written ({error.message})"
            raise TargetError(message, error.where, error.advice) from error

    def _make_folder(self) -> None:
        self._refuse_place()
        root = Path(self.folder.root)
        if root.is_dir():
            return
        try:
            root.mkdir(parents=True)
        except OSError as error:
            raise SourceError(f"the folder cannot be made ({error.strerror})", str(root), advice_on(error)) from error
        log.info("made the folder %s", root)

    def _wait_for_others(self, until: float) -> None:
        place, told = self.folder.there, ""
        while True:
            lease = read_lease(place.store, place.state)
            if not lease.is_held(dt.datetime.now(dt.UTC)):
                return
            if time.monotonic() >= until:
                raise ConflictError(f"{lease.holder} is at work for long", place.url, "synchronize again later")
            if told != lease.holder:
                told = lease.holder
                log.info("waiting: %s is at work in %s", told, place.url)
            time.sleep(_PAUSE_S)

    def _look(self, base: Base, *, writes_cache: bool) -> tuple[Look, list[Shown]]:
        """Look at both sides, and return what differs, with who changed it."""
        from zsync.planning.merge import Verdict, merge
        from zsync.team.history import Author, authors
        from zsync.team.look import look

        seen = look(self.folder, base, self.progress, writes_cache=writes_cache)
        changes = merge(seen.states)
        differing = [change for change in changes if change.verdict != Verdict.SAME]
        units = {key: change.unit for change in differing if change.there for key in change.keys}
        told = authors(self.folder.there, seen.head.publication, base.publication, units) if units else {}
        return seen, [
            Shown(change, Author(self.folder.member, _iso(seen.mtime_ns(change.keys))), told.get(change.unit, Author()))
            for change in differing
        ]

    def _attempt(self) -> SyncedProduct:
        from zsync.team.apply import Application
        from zsync.team.base import read_base

        base = read_base(self.folder.state_directory, self.folder.there.url)
        seen, shown = self._look(base, writes_cache=True)
        decided = self.chooser.decide(self.folder.root, shown, emptied=_emptied(self.folder, seen))
        application = Application(self.config, seen.folder, base, seen, self.progress)
        application.apply([item.change for item in shown], decided)
        self.findings = [*application.findings, *seen.findings]
        changes = tuple(
            _synced(item, application.actions[item.change.unit], application.copies.get(item.change.unit))
            for item in shown
        )
        return self._product(application.publication, changes, application.sent, application.received)

    def _product(
        self, publication: str | None, changes: tuple[SyncedChange, ...], sent: int, received: int
    ) -> SyncedProduct:
        folder = self.folder
        return SyncedProduct(folder.product.name, folder.there.url, folder.root, publication, changes, sent, received)


def _emptied(folder: Folder, seen: Look) -> str | None:
    """Return the side that held something and holds nothing now, and of which no publication says so."""
    states = seen.states
    if not states.base:
        return None
    if not states.here and states.there:
        return folder.root
    if not states.there and states.here and (seen.recorded or seen.head.publication is None):
        return folder.there.url
    return None


def _synced(item: Shown, action: str, copy: str | None = None) -> SyncedChange:
    from zsync.planning.merge import UPLOADS

    change = item.change
    author = item.here if change.verdict in UPLOADS else item.there
    return SyncedChange(
        change.unit, change.is_store, change.verdict, change.here, change.there, action, author.by, author.time,
        item.size, copy,
    )  # fmt: skip


def _iso(time_ns: int) -> str:
    """Return a time in nanoseconds since the epoch as ISO 8601, UTC; empty for none."""
    return dt.datetime.fromtimestamp(time_ns // 10**9, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time_ns else ""
