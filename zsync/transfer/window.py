"""How many calls a process has under way at once: found by trying, for nobody knows how far a bucket is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from zsync.storage.pacing import CEILING

if TYPE_CHECKING:
    from collections.abc import Callable

START, START_FAR = 64, 256
FAR_S = 0.02  # from where an answer takes so long, more calls pay in any case: they mostly wait
MOST = CEILING  # more would only wait for the pace
BYTES = 256 * 2**20  # in flight, beyond which more calls do not help: 10 Gbit/s, 200 ms away

_WAITS, _HALF = 0.35, 0.75  # of a core: what a process computes that mostly waits, and one that does still
_GAIN = 1.1  # by which a rate has to rise for a wider window to have been worth it
_REST = 16  # rounds until it is tried again


class Window:
    """How many calls to have under way at once.

    A round is as many calls as the window is wide. While the process waits for most of a round the window widens; where
    that did not make it faster, it becomes what it was. A process that computes all the time gains nothing by more
    calls: they cost it a third more.

    Parameters
    ----------
    most
        The widest.
    start
        The first.
    clock, cpu
        Tell the time, and what the process has computed, in seconds.

    Examples
    --------
    >>> times, cpu = iter([0.0, 1.0]), iter([0.0, 0.1])
    >>> window = Window(100, 8, lambda: next(times), lambda: next(cpu))
    >>> for _ in range(8):
    ...     window.ended(1000)
    >>> window.size
    32
    """

    def __init__(
        self,
        most: int = MOST,
        start: int = START,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self.size, self.most = min(start, most), most
        self._clock, self._cpu = clock, cpu
        self._before: tuple[int, tuple[float, float]] | None = None  # size and rates before it was widened
        self._settles = False  # what was under way when it was widened tells nothing of what it is worth
        self._rest = 0
        self._begin()

    def _begin(self) -> None:
        self._count = self._bytes = 0
        self._began, self._computed = self._clock(), self._cpu()

    def rested(self) -> None:
        """Begin a round anew: there was nothing to do for a while."""
        self._begin()

    def ended(self, size: int) -> None:
        """Take note of a call that ended, and of the bytes that it was about."""
        self._count += 1
        self._bytes += size
        if self._count >= self.size:
            self._look()

    def _look(self) -> None:
        now, computed = self._clock(), self._cpu()
        seconds = max(now - self._began, 1e-6)
        busy = (computed - self._computed) / seconds
        each = self._bytes / self._count
        rates = self._count / seconds, self._bytes / seconds
        self._count, self._bytes, self._began, self._computed = 0, 0, now, computed
        if self._settles:
            self._settles = False
        elif self._before is not None and not _is_faster(rates, self._before[1]):
            self.size, self._before, self._rest = self._before[0], None, _REST
        elif self._rest:
            self._rest -= 1
        else:
            self._widen(busy, each, rates)

    def _widen(self, busy: float, each: float, rates: tuple[float, float]) -> None:
        self._before = None
        if busy >= _HALF or self.size >= self.most or self.size * each >= BYTES:
            return
        self._before, self._settles = (self.size, rates), True
        self.size = min(self.most, self.size * (4 if busy < _WAITS else 2))


def _is_faster(now: tuple[float, float], before: tuple[float, float]) -> bool:
    """Whether calls, or bytes, a second became notably more."""
    return any(rate > _GAIN * was for rate, was in zip(now, before, strict=True))
