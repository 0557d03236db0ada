"""Many sites at once: started, stopped and replaced as the configuration says, none in the way of the others."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zsync.errors import ZsyncError
from zsync.watching.listening import Listener
from zsync.watching.status import Board

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zsync.config import RunConfig
    from zsync.config.sections import Watch
    from zsync.watching.running import Runner

log = logging.getLogger(__name__)

_TICK_S = 1.0  # how often it is seen to whether the configuration file changed
_PATIENCE_S = 60.0  # what a site may take to come to a safe point when the service ends


@dataclass(slots=True)
class Service:
    """Watches sites until it is told to stop.

    Attributes
    ----------
    load
        Reads the configuration.
    make
        Makes the runner of a site.
    log_to
        Called with the settings for logs, at the start and when they change.
    path
        The configuration file; None if there is none, which then cannot change.
    """

    load: Callable[[], RunConfig]
    make: Callable[[str, RunConfig, Board], Runner]
    log_to: Callable[[Watch], None]
    version: str
    path: str | None = None
    _board: Board = field(init=False)
    _runners: dict[str, tuple[RunConfig, Runner]] = field(default_factory=dict)
    _wanted: dict[str, RunConfig] = field(default_factory=dict)
    _leaving: dict[str, Runner] = field(default_factory=dict)
    _listener: Listener | None = None
    _address: str = "off"
    _reload: threading.Event = field(default_factory=threading.Event)
    _wake: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._board = Board(self.version)

    @property
    def board(self) -> Board:
        """How the sites are doing."""
        return self._board

    def reload(self) -> None:
        """Ask for the configuration to be read again; safe to call from a signal handler or another thread."""
        self._reload.set()
        self._wake.set()

    def run(self, config: RunConfig, stop: threading.Event) -> None:
        """Watch until `stop` is set.

        Raises
        ------
        ConfigError
            The sites get in each other's way, or the address is taken.
        """
        sites = config.by_site()
        stamp = self._stamp()
        self._listen(config.watch.listen)
        try:
            self._apply(sites)
            log.info("watching %d sites", len(sites))
            while not stop.is_set():
                self._wake.wait(_TICK_S)
                self._wake.clear()
                stamp = self._look_at_configuration(stamp, stop)
                self._start_wanted()
        finally:
            self._end()

    def _look_at_configuration(self, stamp: object, stop: threading.Event) -> object:
        now = self._stamp()
        if now != stamp:
            # Whoever writes the file may not be done yet: it must look the same twice.
            if stop.wait(_TICK_S) or self._stamp() != now:
                return stamp
            log.info("the configuration file changed")
            self._reload.set()
        if self._reload.is_set() and not stop.is_set():
            self._reload.clear()
            self._read_again()
            return self._stamp()
        return now

    def _read_again(self) -> None:
        try:
            config = self.load()
            sites = config.by_site()
            self._listen(config.watch.listen)
            self.log_to(config.watch)
        except ZsyncError as error:
            log.error("the configuration is not usable, and the one before stays: %s", error)  # noqa: TRY400
            self._board.reloaded(str(error))
            return
        self._board.reloaded(None)
        self._apply(sites)

    def _apply(self, sites: Mapping[str, RunConfig]) -> None:
        """Start, end and replace sites; those that are the same go on untouched."""
        self._wanted = dict(sites)
        for name, (old, runner) in list(self._runners.items()):
            if name not in sites or not _same(old, sites[name]):
                log.info("ends after its pass", extra={"site": name})
                runner.finish()
                self._leaving[name] = self._runners.pop(name)[1]
        self._start_wanted()

    def _start_wanted(self) -> None:
        """Start the sites that are wanted; one that replaces another only once that has come to its end."""
        for name in [name for name, runner in self._leaving.items() if runner.join(0)]:
            del self._leaving[name]
            if name not in self._wanted:
                self._board.remove(name)
        for name, config in self._wanted.items():
            if name not in self._runners and name not in self._leaving:
                runner = self.make(name, config, self._board)
                self._runners[name] = config, runner
                runner.start()

    def _listen(self, address: str) -> None:
        if address == self._address:
            return
        listener = None if address == "off" else Listener(address, self._board, self.reload)
        if self._listener is not None:
            self._listener.close()
        self._listener, self._address = listener, address

    def _stamp(self) -> object:
        if self.path is None:
            return None
        try:
            status = os.stat(self.path)  # noqa: PTH116 - a path that is a string
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _end(self) -> None:
        runners = [*(runner for _, runner in self._runners.values()), *self._leaving.values()]
        for runner in runners:
            runner.stop()
        until = time.monotonic() + _PATIENCE_S
        late = [runner.name for runner in runners if not runner.join(max(0.0, until - time.monotonic()))]
        if late:
            log.warning("did not come to a safe point in time: %s", ", ".join(late))
        if self._listener is not None:
            self._listener.close()
        log.info("stopped")


def _same(one: RunConfig, other: RunConfig) -> bool:
    """Whether two configurations are the same to a site; what concerns the service as a whole is not."""
    shared = {"listen", "log_level", "log_format", "log_file"}
    first, second = (config.model_copy(update={"watch": None}) for config in (one, other))
    watches = [config.watch.model_dump(exclude=shared) for config in (one, other)]
    return first == second and watches[0] == watches[1]
