"""Who runs the batches: dask's threads, or, defining what they must do, a plain loop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from zsync.errors import ConfigError, ZsyncError
from zsync.system import open_files_most

if TYPE_CHECKING:
    from zsync.transfer.batch import Batch, Outcome

Work = Callable[["Batch"], "Outcome"]
Done = Callable[["Outcome"], None]

# Requests in flight: far away a request waits a hundred times as long as it computes.
# Near by more of them cost: with 256 a publish takes a fifth to a third more CPU, a pull an eighth to a fifth.
DEFAULT_WORKERS = 64
_FILES_EACH = 3  # a connection, a file, its directory


class Executor(Protocol):
    """Runs batches in any order, and hands every outcome to `done` in the caller's thread.

    When `done` raises, no further batch begins; those under way come to their end, and `done` hears of them too, before
    `run` raises the same error.
    """

    @property
    def workers(self) -> int:
        """Batches that run side by side."""

    def run(self, work: Work, batches: Sequence[Batch], done: Done) -> None:
        """Run all batches."""


class Serial:
    """One batch after the other: the reference."""

    workers = 1

    def run(self, work: Work, batches: Sequence[Batch], done: Done) -> None:
        """Run all batches."""
        for batch in batches:
            done(work(batch))


class Threads:
    """Batches as dask tasks on the threaded scheduler."""

    def __init__(self, workers: int = DEFAULT_WORKERS) -> None:
        self.workers = workers

    def run(self, work: Work, batches: Sequence[Batch], done: Done) -> None:
        """Run all batches."""
        if len(batches) == 1:  # a scheduler has nothing to schedule
            Serial().run(work, batches, done)
            return
        from concurrent.futures import ThreadPoolExecutor

        import dask.threaded

        ended: dict[int, Outcome] = {}

        def one(number: int) -> int:
            ended[number] = work(batches[number])
            return number

        def after(_key: Any, number: Any, _graph: Any, _state: Any, _worker: Any) -> None:
            done(ended.pop(number))

        graph = {f"batch-{number}": (one, number) for number in range(len(batches))}
        # Handed over, not registered: what is registered is called for every graph of the process, and another thread
        # may be publishing something else.
        callbacks = [(None, None, None, after, None)]
        workers = min(self.workers, len(batches))
        with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="zsync-send") as pool:
            try:
                dask.threaded.get(graph, list(graph), pool=pool, callbacks=callbacks)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                for outcome in ended.values():  # what they did is done, and has its receipts
                    with contextlib.suppress(ZsyncError):
                        done(outcome)
                raise


def executor_for(scheduler: str, workers: int | str) -> Executor:
    """Return the executor that the user's settings name."""
    if scheduler == "serial":
        return Serial()
    if scheduler == "threads":
        most = max(1, open_files_most() // _FILES_EACH)
        return Threads(min(DEFAULT_WORKERS, most) if workers == "auto" else int(workers))
    raise ConfigError("this scheduler is not available", f"scheduler: {scheduler}", "use threads or serial")
