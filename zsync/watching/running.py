"""One site, all the time: when to look, and what to do when that fails."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from zsync.errors import SourceError, ZsyncError
from zsync.report.format import many
from zsync.report.logs import SITE_THREAD
from zsync.watching.events import Events
from zsync.watching.stopping import StoppedError

if TYPE_CHECKING:
    from zsync.watching.status import Board, SiteStatus
    from zsync.words import Finding

log = logging.getLogger(__name__)

_SHARE = 4  # times as long as a look takes there is none: at most a fifth of the time goes by with looking
_UNASKED_S = 60.0  # where events tell when to look, it is still looked so often: events can be lost
_SHORTEST_S = 0.05


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a look at a site.

    Attributes
    ----------
    is_published
        Something was published.
    is_complete
        All that is ready is published: False if only the files were looked at, or all that changed is in motion.
    unfit
        What is held back because it is unfit.
    waits_s
        In how many seconds something, and all, in motion may be at rest; None if nothing is in motion.
    oldest_s
        When the oldest change that is not published was first seen, by the steady clock.
    look_s
        How long looking at the files took.
    publication, objects, bytes
        What the target holds now; None if it was not asked.
    bytes_sent
        What was sent.
    """

    is_published: bool = False
    is_complete: bool = False
    unfit: tuple[Finding, ...] = ()
    waits_s: tuple[float, float] | None = None
    oldest_s: float | None = None
    look_s: float = 0.0
    publication: str | None = None
    objects: int | None = None
    bytes: int | None = None
    bytes_sent: int = 0


class Worker(Protocol):
    """Looks at a site's source, and publishes what is ready."""

    @property
    def roots(self) -> tuple[str, ...]:
        """The directories that it is about."""

    def look(self, *, compare: bool) -> Looked:
        """Look, and publish.

        Parameters
        ----------
        compare
            Compare everything with what the target really holds.

        Raises
        ------
        ZsyncError
            It could not be done; it will be tried again.
        """


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, in seconds; as `zsync.config.Watch` says."""

    interval_s: float
    compare_s: float
    backoff_s: float
    events: str


class Runner:
    """Looks after one site in a thread of its own, until it is stopped.

    Parameters
    ----------
    status
        What the site is called, from where and to where.
    worker
        Does the work.
    stop
        Set when the work is to stop; the worker does that at a safe point.
    """

    def __init__(self, status: SiteStatus, worker: Worker, pace: Pace, board: Board, stop: threading.Event) -> None:
        self.name = status.name
        self._status = status
        self._worker = worker
        self._pace = pace
        self._board = board
        self._stop = stop
        self._ends = threading.Event()
        self._wake = threading.Event()
        self._events = Events(worker.roots, pace.events, self._wake.set)
        self._failures = 0
        self._said: str | None = None
        self._compared_s: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"{SITE_THREAD}{status.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._board.add(self._status)
        self._events.start()
        self._thread.start()

    def finish(self) -> None:
        """Ask it to end after its pass; `join` waits for that."""
        self._ends.set()
        self._wake.set()

    def stop(self) -> None:
        """Ask it to end at the next safe point; `join` waits for that."""
        self._stop.set()
        self.finish()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it has stopped, and return whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._ends.is_set():
                self._rest(*self._turn())
        finally:
            self._events.stop()
            self._board.update(self.name, state="stopped")

    def _turn(self) -> tuple[float, float]:
        """Take a turn, whatever comes of it: a thread that ends is a site that nobody looks after."""
        try:
            return self.turn()
        except BaseException as error:  # noqa: BLE001 - nothing of it may end the thread
            self._failures += 1
            self._failed(_internal(error, self.name))
            return (self._backoff_s(),) * 2

    def run_once(self) -> ZsyncError | None:
        """Do one pass, waiting once until what is in motion may be at rest; return what went wrong."""
        threading.current_thread().name = f"{SITE_THREAD}{self.name}"  # what is logged meanwhile is of this site
        self._board.add(self._status)
        try:
            looked = self._look(compare=True)
            is_published = looked.is_published
            if looked.waits_s is not None and not self._stop.wait(looked.waits_s[1] + _SHORTEST_S):
                looked = self._look(compare=False)
                is_published |= looked.is_published
        except ZsyncError as error:
            return error
        if looked.waits_s is not None:
            log.warning("something is still being written, and is left for the next time", extra={"site": self.name})
        elif not is_published and not looked.unfit:
            log.info("nothing to do: %s unchanged", many(looked.objects or 0, "object"), extra={"site": self.name})
        return None if not looked.unfit else _held_back(looked.unfit)

    def turn(self) -> tuple[float, float]:
        """Look once, and return in how many seconds to look again: if events ask for it, and in any case."""
        began = time.monotonic()
        is_due = self._compared_s is None or began - self._compared_s >= self._pace.compare_s
        self._wake.clear()  # before looking: what happens meanwhile asks for another look
        try:
            looked = self._look(compare=is_due or self._failures > 0)
        except StoppedError:
            return 0.0, 0.0
        except ZsyncError:
            self._failures += 1
            delay = self._backoff_s()
            return delay, delay
        if looked.is_complete and (is_due or self._failures):
            self._compared_s = began
        self._failures = 0
        return self._pause_s(looked)

    def _look(self, *, compare: bool) -> Looked:
        began = time.monotonic()
        self._board.update(self.name, last_attempt=time.time(), events=self._events.is_on)
        try:
            looked = self._worker.look(compare=compare)
        except StoppedError:
            raise
        except ZsyncError as error:
            self._failed(error)
            raise
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # One site's trouble, whatever it is, must not end the service: a panic of a library is no `Exception`.
            ours = _internal(error, self.name)
            self._failed(ours)
            raise ours from error
        self._succeeded(looked, time.monotonic() - began)
        return looked

    def _succeeded(self, looked: Looked, seconds: float) -> None:
        error = _held_back(looked.unfit) if looked.unfit else None
        self._say(error)
        values = {name: getattr(looked, name) for name in ("publication", "objects", "bytes")}
        self._board.update(
            self.name,
            state="failing" if error else "watching",
            error=None if error is None else str(error),
            exit_status=0 if error is None else int(error.exit_status),
            behind_since_s=looked.oldest_s,
            **{name: value for name, value in values.items() if value is not None},
            **({"last_success": time.time()} if error is None else {}),
        )
        if looked.is_published:
            self._board.count(
                self.name, publications=1, bytes_sent=looked.bytes_sent, passes=1, pass_seconds=round(seconds, 6)
            )

    def _failed(self, error: ZsyncError) -> None:
        self._say(error)
        self._board.update(self.name, state="failing", error=str(error), exit_status=int(error.exit_status))
        self._board.count(self.name, errors=1)

    def _say(self, error: ZsyncError | None) -> None:
        """Log what is wrong when that changes, not every time."""
        said = None if error is None else str(error)
        if said == self._said:
            return
        if said is None:
            log.info("well again", extra={"site": self.name})
        else:
            log.error("%s", said, extra={"site": self.name})
        self._said = said

    def _backoff_s(self) -> float:
        """Return how long to wait after a failure: twice as long each time, and never all sites at the same moment."""
        longest: float = min(self._pace.backoff_s, max(self._pace.interval_s, 1.0) * 2 ** min(self._failures - 1, 30))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - nothing secret hangs on it

    def _pause_s(self, looked: Looked) -> tuple[float, float]:
        least = max(self._pace.interval_s, _SHARE * looked.look_s)
        most = max(_UNASKED_S, least) if self._events.is_on else least
        until_compare = (self._compared_s or 0.0) + self._pace.compare_s - time.monotonic()
        most = min(most, max(until_compare, least))
        if looked.waits_s is not None:  # what moved is looked at again as soon as it may be at rest
            soon = max(looked.waits_s[0], _SHARE * looked.look_s, _SHORTEST_S)
            most, least = min(most, soon), min(least, soon)
        return least, most

    def _rest(self, least: float, most: float) -> None:
        began = time.monotonic()
        if self._ends.wait(least):
            return
        while (left := most - (time.monotonic() - began)) > 0:
            if self._wake.wait(left):
                return


def _internal(error: BaseException, site: str) -> ZsyncError:
    """Return what is said of an error that is none of ours; its text may hold anything."""
    log.debug("internal error", exc_info=error, extra={"site": site})
    return ZsyncError(f"internal error: {type(error).__name__}", None, "see the log at level debug, and report it")


def _held_back(unfit: tuple[Finding, ...]) -> ZsyncError:
    """Return what is said of stores that are held back: the first of them, and how many there are."""
    more = f" (and {len(unfit) - 1} more)" if len(unfit) > 1 else ""
    return SourceError(f"held back: {unfit[0].message}{more}", f"{unfit[0].product}/{unfit[0].key}")
