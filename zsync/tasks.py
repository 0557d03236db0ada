"""Calls that go on side by side while their caller does, and have ended when it goes on past them."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

AT_ONCE = 16  # requests under way at once, of a few that are asked together


class TaskGroup:
    """Calls in threads of their own; a context that ends when all of them have, and raises the first error.

    As `asyncio.TaskGroup` is for coroutines: nothing that was begun goes on unseen.

    Parameters
    ----------
    at_once
        Calls under way at once; who starts one more waits, so that what they hold stays bounded.
    name
        Of the threads.

    Examples
    --------
    >>> with TaskGroup(2, "example") as tasks:
    ...     one, other = tasks.start(max, 1, 2), tasks.start(max, 3, 4)
    >>> one.result(), other.result()
    (2, 4)
    """

    def __init__(self, at_once: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix=f"zsync-{name}")
        self._free = threading.Semaphore(at_once)
        self._error: BaseException | None = None

    def start(self, call: Callable[P, T], *args: P.args, **named: P.kwargs) -> Future[T]:
        """Start a call; once one has failed no other begins.

        Raises
        ------
        BaseException
            What one that was started before has raised.
        """
        self._free.acquire()
        if self._error is not None:
            self._free.release()
            raise self._error

        def work() -> T:
            try:
                return call(*args, **named)
            except BaseException as error:
                self._error = self._error or error
                raise
            finally:
                self._free.release()

        return self._pool.submit(work)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        if error is None and self._error is not None:
            raise self._error


def side_by_side(call: Callable[[S], T], items: Sequence[S], at_once: int = AT_ONCE) -> list[T]:
    """Return what a call comes to for each of some items, in their order; the first error is raised, and ends it.

    Parameters
    ----------
    call
        Waits rather than computes.
    at_once
        Calls under way at once.

    Examples
    --------
    >>> side_by_side(len, ["one", "three"])
    [3, 5]
    """
    if len(items) <= 1:
        return [call(item) for item in items]
    with ThreadPoolExecutor(min(at_once, len(items)), thread_name_prefix="zsync-beside") as pool:
        return list(pool.map(call, items))
