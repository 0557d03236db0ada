"""A service that is asked and says nothing: a word after a few seconds, and an end to it after a minute."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from zsync.errors import SilentError

if TYPE_CHECKING:
    from zsync.errors import TargetError

log = logging.getLogger(__name__)

WORDS_S = (5.0, 30.0)  # after so long without an answer there is a word
SILENCE_S = 50.0  # what has been silent for so long when a request fails is not asked again
REST_S = 30.0  # nor by others, for so long
_TICK_S = 0.5
_PAUSE_S = 15.0  # longer than between two attempts: what comes after it is another silence
_SLOW = 2**18  # bytes a second at which a body may come or go before its request counts as waiting for an answer


class Silence:
    """When a service was last heard, and who waits for it."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._numbers = itertools.count()
        self._waiting: dict[int, tuple[float, float]] = {}  # when each began, and what its body may take
        self._heard = 0.0
        self._failed_since: float | None = None  # when the first request began that failed since it was last heard
        self._last = 0.0  # the end of the last request
        self._words = 0  # how many were said of the silence that is now
        self._given_up = 0.0
        with _lock:
            _all.add(self)

    def ask(self, size: int) -> int:
        """Begin a request of so many bytes, there or back; return its number."""
        now = time.monotonic()
        if self._failed_since is not None and not self._waiting and now - self._last > _PAUSE_S:
            self._failed_since, self._words = None, 0
        number = next(self._numbers)
        self._waiting[number] = now, size / _SLOW
        if _watcher is None:
            _start()
        return number

    def end(self, number: int) -> None:
        """End a request, whatever came of it."""
        del self._waiting[number]
        self._last = time.monotonic()

    def hear(self) -> None:
        """Take notice that the service answered."""
        self._heard, self._failed_since, self._given_up = time.monotonic(), None, 0.0
        if self._words:
            self._words = 0
            log.info("%s answers again", self._host)

    def refuse(self) -> None:
        """Raise if the service was found to be silent just now: nobody has to find that out again."""
        if self._given_up and time.monotonic() - self._given_up < REST_S:
            raise self._error(None)

    def judged(self, number: int, error: TargetError) -> TargetError:
        """Return what a request comes to that failed without an answer."""
        now = time.monotonic()
        since = self._since(self._waiting[number][0])
        self._failed_since = since
        if now - since < SILENCE_S:
            return error
        self._given_up, self._words = now, 0
        return self._error(now - since)

    def _since(self, began: float) -> float:
        """Return since when there is no answer to a request, or to those before it."""
        first = began if self._failed_since is None else min(began, self._failed_since)
        return max(first, self._heard)

    def _error(self, silent_s: float | None) -> SilentError:
        said = "no answer" if silent_s is None else f"no answer for {silent_s:.0f} s"
        return SilentError(said, self._host, "check `endpoint_url`, the network, and the service")

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits."""
        return not self._waiting

    def look(self) -> None:
        """Say a word if it is time for one."""
        if self._words >= len(WORDS_S):
            return
        now = time.monotonic()
        silent_s = max((now - self._since(began) - body for began, body in list(self._waiting.values())), default=0.0)
        if silent_s >= WORDS_S[self._words]:
            self._words += 1
            log.warning("no answer from %s for %.0f s", self._host, silent_s)


_all: weakref.WeakSet[Silence] = weakref.WeakSet()
_watcher: threading.Thread | None = None
_lock = threading.Lock()


def _start() -> None:
    global _watcher  # noqa: PLW0603 - one a process
    with _lock:
        if _watcher is None:
            _watcher = threading.Thread(target=_look_on, name="zsync-silence", daemon=True)
            _watcher.start()


def _known() -> list[Silence]:
    with _lock:  # others may come to be while the set is gone through
        return list(_all)


def _look_on() -> None:
    global _watcher  # noqa: PLW0603 - one a process
    while True:
        time.sleep(_TICK_S)
        silences = _known()
        for silence in silences:
            silence.look()
        if all(silence.is_idle for silence in silences):
            _watcher = None
            # Who began to wait in between saw a watcher.
            if not all(silence.is_idle for silence in _known()):
                _start()
            return


def _begin_anew() -> None:
    """Begin with nobody who waits, in a forked child."""
    global _watcher, _lock
    _watcher, _lock = None, threading.Lock()
    _all.clear()


os.register_at_fork(after_in_child=_begin_anew)
