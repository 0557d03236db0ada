"""A crew: threads of one process that make calls which wait, as many at once as its window is wide."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from zsync.transfer.window import Window

S = TypeVar("S")
T = TypeVar("T")


class Crew(Protocol):
    """Makes calls."""

    def each(self, call: Callable[[S], T], items: Sequence[S], *, is_last: Callable[[T], bool]) -> list[T]:
        """Return what a call comes to for each item, in any order; no call begins after one that is the last."""


class Alone:
    """Makes one call after the other, in the caller's thread: the reference."""

    def each(self, call: Callable[[S], T], items: Sequence[S], *, is_last: Callable[[T], bool]) -> list[T]:
        """Return what a call comes to for each item, up to the last."""
        results: list[T] = []
        for item in items:
            results.append(call(item))
            if is_last(results[-1]):
                break
        return results


class _Job:
    """The calls that somebody waits for."""

    def __init__(self, call: Callable[[Any], Any], items: Sequence[Any], is_last: Callable[[Any], bool]) -> None:
        self.call, self.is_last = call, is_last
        self.left: Iterator[Any] = iter(items)
        self.under_way = 0
        self.is_over = False
        self.results: list[Any] = []
        self.error: BaseException | None = None
        self.ended = threading.Event()
        self.context = copy_context()

    def end_if_over(self) -> None:
        """Tell who waits, once no call begins any more and none is under way."""
        if self.is_over and not self.under_way:
            self.ended.set()


class Threads:
    """Makes calls in threads, of all who ask at the same time: where one has few left, the next one's begin.

    A context, at whose end all calls have ended.
    """

    def __init__(self, window: Window, size: Callable[[Any], int] = lambda _result: 0) -> None:
        self._window, self._size = window, size
        self._pool = ThreadPoolExecutor(window.most, thread_name_prefix="zsync-send")
        self._lock = threading.Lock()
        self._jobs: deque[_Job] = deque()
        self._threads = 0
        self._is_stopped = False
        window.rested()

    def each(self, call: Callable[[S], T], items: Sequence[S], *, is_last: Callable[[T], bool]) -> list[T]:
        """Return what a call comes to for each item."""
        job = _Job(call, items, is_last)
        with self._lock:
            if self._is_stopped:
                return []
            self._jobs.append(job)
            self._recruit()
        job.ended.wait()
        if job.error is not None:
            raise job.error
        return job.results

    def stop(self) -> None:
        """Begin no further call, nor one for who asks later; those under way come to their end."""
        with self._lock:
            self._is_stopped = True
            while self._jobs:
                self._close(self._jobs.popleft())

    def _recruit(self) -> None:
        """Take one thread more, if there is work for it; it takes the next one."""
        if self._jobs and self._threads < self._window.size:
            self._threads += 1
            self._pool.submit(self._work)

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            job, item = taken
            try:
                result = job.context.copy().run(job.call, item)
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                self._end(job, error=error)
            else:
                self._end(job, result=result)

    def _take(self) -> tuple[_Job, Any] | None:
        with self._lock:
            while self._jobs and self._threads <= self._window.size:
                job = self._jobs[0]
                try:
                    item = next(job.left)
                except StopIteration:
                    self._close(self._jobs.popleft())
                    continue
                job.under_way += 1
                self._recruit()
                return job, item
            self._threads -= 1
            return None

    @staticmethod
    def _close(job: _Job) -> None:
        job.is_over = True
        job.end_if_over()

    def _end(self, job: _Job, result: Any = None, error: BaseException | None = None) -> None:
        with self._lock:
            job.under_way -= 1
            if error is None:
                job.results.append(result)
                self._window.ended(self._size(result))
            job.error = job.error or error
            if (error is not None or job.is_last(result)) and not job.is_over:
                self._jobs.remove(job)
                job.is_over = True
            job.end_if_over()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.stop()
        self._pool.shutdown(wait=True)
