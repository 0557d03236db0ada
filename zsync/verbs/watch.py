"""Watch: publish what changes in many directories, as long as the process lives."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsync.config import RunConfig, in_section, seconds
from zsync.config.sections import Watch
from zsync.errors import ConfigError
from zsync.pulling.listed import pull_listed
from zsync.site.first_sync import source_of
from zsync.site.passes import SitePasses
from zsync.version import __version__
from zsync.watching import Board, Runner, Service, SiteStatus
from zsync.watching.installed import refuse_missing
from zsync.watching.running import Pace
from zsync.watching.watched import WatchResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Unpack

    from zsync.config.options import WatchCallOptions

log = logging.getLogger(__name__)


def watch(
    config: Any = None,
    target: str | os.PathLike[str] | None = None,
    *,
    once: bool = False,
    initial_sync_source: str | None = None,
    stop: threading.Event | None = None,
    **overrides: Unpack[WatchCallOptions],
) -> WatchResult:
    """Publish what changes, as it happens: a store once its writer is quiet, a file once it is at rest.

    Returns when `stop` is set, or, in the main thread, at SIGTERM or Ctrl-C: work stops at a safe point then, and
    readers go on seeing whole stores. SIGHUP, or a change of the configuration file, has the configuration read again.

    Parameters
    ----------
    config
        As for `zsync.publish`; it may have many sites, and settings under ``watch``.
    target
        As for `zsync.publish`.
    once
        One pass of every site, and return.
    initial_sync_source
        Which side the first sync takes: ``local``, ``s3``, or ``auto``, the one that was changed last.
    stop
        Ends the watching when it is set.
    **overrides
        Any option of the configuration by its name, those under ``watch`` too: ``interval``, ``settle``, ``listen``.

    Returns
    -------
    WatchResult
        How the sites were doing at the end.

    Raises
    ------
    ConfigError
        The configuration is wrong, sites get in each other's way, or the address to listen on is taken.

    Examples
    --------
    >>> import zsync
    >>> zsync.watch("sites.yml", once=True).exit_status  # doctest: +SKIP
    0
    """
    said: dict[str, Any] = {"target": target, **overrides}
    return run_watch(config, once=once, initial_sync_source=initial_sync_source, stop=stop, overrides=said)


def run_watch(
    config: Any,
    *,
    once: bool,
    initial_sync_source: str | None,
    stop: threading.Event | None,
    overrides: Mapping[str, Any],
    log_to: Callable[[Watch], None] = lambda _watch: None,
) -> WatchResult:
    """Watch; see `watch`. The command says with `log_to` where logs go, now and when the configuration changes."""
    said = in_section("watch", Watch, overrides)

    def load() -> RunConfig:
        found = RunConfig.from_any(config, **said)
        if not once and found.nothing_to_do is None:
            refuse_missing(found.watch.listen, [site.watch.events for site in found.by_site().values()])
        return found

    understood = load()
    _check(understood)
    ends = stop or threading.Event()
    synced: set[tuple[tuple[str, str], ...]] = set()
    first_source = source_of(initial_sync_source) if initial_sync_source is not None else None

    def make(name: str, alone: RunConfig, board: Board) -> Runner:
        halt = ends if once else threading.Event()
        source = first_source or alone.watch.initial_sync_source
        status = SiteStatus(name, *_places(alone))
        return Runner(
            status, SitePasses(name, alone, halt, source, pull_listed, synced), _pace(alone.watch), board, halt
        )

    # Before there are threads: of those that begin with different modules, which import each other, one may be refused.
    for name in ("zsync.steps.run", "zsync.steps.carry"):
        importlib.import_module(name)
    log_to(understood.watch)
    for note in understood.notes:
        log.warning("note: %s", note)
    if understood.nothing_to_do is not None:
        log.info("%s", understood.nothing_to_do)
        return WatchResult({}, {})
    if once:
        with _signals(ends, None):
            return _once(understood, make)
    path = understood.origin.file if config is None else _file_of(config)
    service = Service(load, make, log_to, __version__, path)
    with _signals(ends, service.reload):
        service.run(understood, ends)
    return WatchResult(dict(service.board.sites), {})


def _file_of(config: Any) -> str | None:
    """Return the file that a configuration is read from; a directory, which is itself to be published, is none."""
    if not isinstance(config, str | os.PathLike):
        return None
    path = Path(config).absolute()
    return str(path) if path.is_file() else None


def _once(config: RunConfig, make: Callable[[str, RunConfig, Board], Runner]) -> WatchResult:
    board = Board(__version__)
    runners = [make(name, alone, board) for name, alone in config.by_site().items()]
    if not runners:
        return WatchResult({}, {})
    with ThreadPoolExecutor(max_workers=len(runners), thread_name_prefix="zsync-once") as pool:
        found = list(pool.map(Runner.run_once, runners))
    errors = {runner.name: error for runner, error in zip(runners, found, strict=True) if error is not None}
    return WatchResult(dict(board.sites), errors)


def _check(config: RunConfig) -> None:
    if config.dry_run:
        raise ConfigError("watching has no dry run", "dry_run", "use `zsync plan`")
    if config.nothing_to_do is None and not config.by_site():
        raise ConfigError("there is nothing to watch", "sites", "give source and target, or sites")


def _places(config: RunConfig) -> tuple[str, str]:
    products = config.resolve()
    return ", ".join(product.root for product in products), ", ".join(product.location.url for product in products)


def _pace(watch: Watch) -> Pace:
    return Pace(seconds(watch.interval), seconds(watch.compare), seconds(watch.backoff), watch.events)


@contextmanager
def _signals(stop: threading.Event, reload: Callable[[], None] | None) -> Iterator[None]:
    """End at SIGTERM and Ctrl-C, read the configuration again at SIGHUP; only the main thread can be told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted: dict[int, Callable[..., None]] = {
        signal.SIGTERM: lambda _number, _frame: stop.set(),
        signal.SIGINT: lambda _number, _frame: stop.set(),
    }
    if reload is not None:
        wanted[signal.SIGHUP] = lambda _number, _frame: reload()
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
