"""Who runs the batches: dask's threads, or, defining what they must do, a plain loop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from zsync.errors import ConfigError, ZsyncError
from zsync.system import open_files_most
from zsync.transfer import crew
from zsync.transfer.window import MOST, Window

if TYPE_CHECKING:
    from zsync.transfer.batch import Batch, Outcome

Work = Callable[["Batch", "crew.Crew"], "Outcome"]
Done = Callable[["Outcome"], None]

TASKS = 16  # batches under way at once, whose objects share one window
_FILES_EACH = 3  # a connection, a file, its directory


class Executor(Protocol):
    """Runs batches in any order, and hands every outcome to `done` in the caller's thread.

    When `done` raises, no further batch and no further object begins; those under way come to their end, and `done`
    hears of them too, before `run` raises the same error.
    """

    @property
    def tasks(self) -> int:
        """Batches that run side by side."""

    def run(self, work: Work, batches: Sequence[Batch], done: Done) -> None:
        """Run all batches."""


class Serial:
    """One object after the other: the reference."""

    tasks = 1

    def run(self, work: Work, batches: Sequence[Batch], done: Done) -> None:
        """Run all batches."""
        for batch in batches:
            done(work(batch, crew.Alone()))


class Threads:
    """Batches as tasks on dask's threaded scheduler; their objects go through one window of requests.

    Parameters
    ----------
    most
        Requests under way at once, at most.
    """

    def __init__(self, most: int = MOST) -> None:
        self.tasks = min(TASKS, most)
        self.window = Window(most)

    def run(self, work: Work, batches: Sequence[Batch], done: Done) -> None:
        """Run all batches."""
        if len(batches) == 1 and len(batches[0].items) == 1:  # there is nothing to schedule
            Serial().run(work, batches, done)
            return
        from concurrent.futures import ThreadPoolExecutor

        import dask.threaded

        ended: dict[int, Outcome] = {}

        def after(_key: Any, number: Any, _graph: Any, _state: Any, _worker: Any) -> None:
            done(ended.pop(number))

        with crew.Threads(self.window, _bytes_of) as hands:

            def one(number: int) -> int:
                ended[number] = work(batches[number], hands)
                return number

            graph = {f"batch-{number}": (one, number) for number in range(len(batches))}
            # Handed over, not registered: what is registered is called for every graph of the process, and another
            # thread may be publishing something else.
            callbacks = [(None, None, None, after, None)]
            with ThreadPoolExecutor(min(self.tasks, len(batches)), thread_name_prefix="zsync-batch") as pool:
                try:
                    dask.threaded.get(graph, list(graph), pool=pool, callbacks=callbacks)
                except BaseException:
                    hands.stop()
                    pool.shutdown(wait=True, cancel_futures=True)
                    for outcome in ended.values():  # what they did is done, and has its receipts
                        with contextlib.suppress(ZsyncError):
                            done(outcome)
                    raise


def _bytes_of(result: Any) -> int:
    return getattr(result, "size", 0)  # of receipts


def executor_for(scheduler: str, workers: int | str) -> Executor:
    """Return the executor that the user's settings name."""
    if scheduler == "serial":
        return Serial()
    if scheduler == "threads":
        most = max(1, min(MOST, open_files_most() // _FILES_EACH))
        return Threads(most if workers == "auto" else int(workers))
    raise ConfigError("this scheduler is not available", f"scheduler: {scheduler}", "use threads or serial")
