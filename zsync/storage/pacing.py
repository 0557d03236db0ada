"""How many requests are in flight at once: as many as the service bears, found by asking."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zsync.errors import NetworkError, TargetError, ThrottledError, UnansweredError
from zsync.storage.silence import Silence

if TYPE_CHECKING:
    from collections.abc import Iterator

CEILING = 1024  # requests in flight at full speed: beyond this no service has been seen to be faster


class Pace:
    """Lets requests to one bucket in while fewer than a window are in flight, in the order in which they came.

    The window is halved when the service asks to slow down, and grows by one a window of requests that succeed.

    Parameters
    ----------
    ceiling
        The widest window.
    host
        Who is asked, for messages.

    Notes
    -----
    Additive increase and multiplicative decrease: D.-M. Chiu and R. Jain, "Analysis of the Increase and Decrease
    Algorithms for Congestion Avoidance in Computer Networks", 1989; halved is what is in flight, and the window if that
    is smaller, as in TCP (RFC 5681). All processes that publish to a bucket come to fair shares without knowing each
    other.
    """

    def __init__(self, ceiling: int = CEILING, host: str = "the service") -> None:
        self._ceiling = ceiling
        self.silence = Silence(host)
        self.fastest_s: float | None = None  # in which it has answered: hardly more than the way there and back
        self._window = float(ceiling)
        self._in_flight = 0
        self._most = 0  # requests that were ever in flight or waiting
        self._decreases = 0
        self._queue: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    @property
    def limit(self) -> int | None:
        """How many requests may be in flight; None at full speed."""
        window = self._window
        return None if window >= self._ceiling else int(window)

    @contextmanager
    def slot(self, size: int = 0, *, insists: bool = False) -> Iterator[None]:
        """Wait for a place among the requests in flight, and hold it.

        A `ThrottledError` that leaves the block slows the pace, its end without an error makes it faster.

        Parameters
        ----------
        size
            Bytes that go or come with the request.
        insists
            It is to be asked even if the service was found to be silent just now.

        Raises
        ------
        SilentError
            For an error that is no answer, if the service has not answered anybody for long.
        """
        if not insists:
            self.silence.refuse()
        began = self._enter()
        asked, at = self.silence.ask(size), time.monotonic()
        try:
            yield
        except ThrottledError:
            self.silence.hear()
            self.slowed(began)
            self._leave()
            raise
        except (UnansweredError, NetworkError) as error:
            self._leave()
            judged = self.silence.judged(asked, error)
            if judged is error:
                raise
            raise judged from error
        except BaseException as error:
            if isinstance(error, TargetError):
                self.silence.hear()
            self._leave()
            raise
        finally:
            self.silence.end(asked)
        self.silence.hear()
        took = time.monotonic() - at
        self.fastest_s = took if self.fastest_s is None else min(self.fastest_s, took)
        self._leave(succeeded=True)

    def slowed(self, began: int | None = None) -> None:
        """Halve the window.

        Parameters
        ----------
        began
            How often the window had been halved when the request began. If it was halved since then, the request tells
            nothing of the window as it is now, and does not count.
        """
        with self._lock:
            if began is None or began == self._decreases:
                self._decreases += 1
                self._window = max(1.0, min(self._window, self._in_flight or self._window) / 2)

    def _enter(self) -> int:
        with self._lock:
            if not self._queue and self._in_flight < int(self._window):
                self._in_flight += 1
                self._most = max(self._most, self._in_flight)
                return self._decreases
            # A queue, for whoever goes from one request to the next would come before those who wait, time and again.
            turn = threading.Event()
            self._queue.append(turn)
            self._most = max(self._most, self._in_flight + len(self._queue))
        try:
            turn.wait()
        except BaseException:
            self._give_up(turn)
            raise
        return self._decreases

    def _give_up(self, turn: threading.Event) -> None:
        with self._lock:
            if turn.is_set():
                self._in_flight -= 1
            else:
                self._queue.remove(turn)
            self._let_in()

    def _let_in(self) -> None:
        """Let in who may; each is woken alone, for hundreds may wait."""
        while self._queue and self._in_flight < int(self._window):
            self._in_flight += 1
            self._queue.popleft().set()

    def _leave(self, *, succeeded: bool = False) -> None:
        with self._lock:
            self._in_flight -= 1
            if succeeded and self._window < self._ceiling:
                self._window += 1 / self._window
                if self._window >= min(self._most, self._ceiling):  # a wider window would let in no more than come
                    self._window = float(self._ceiling)
            self._let_in()
