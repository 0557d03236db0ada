"""Who runs the batches: dask's threads, other processes, or, defining what they must do, a plain loop."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

from zsync.errors import ZsyncError
from zsync.storage import pace_of
from zsync.system import open_files_most
from zsync.transfer import crew
from zsync.transfer.batch import BATCH_OBJECTS, Done, Work
from zsync.transfer.window import FAR_S, MOST, START, START_FAR, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from zsync.storage import StoreSpec
    from zsync.storage.handing import Handed
    from zsync.transfer.batch import Batch, Outcome
    from zsync.transfer.remote import Workers

TASKS = 16  # batches under way at once, whose objects share one window
_FILES_EACH = 3  # a connection, a file, its directory


class Executor(Protocol):
    """Runs batches in any order, and hands every outcome to `done` in the caller's thread.

    When `done` raises, no further batch and no further object begins; those under way come to their end, and `done`
    hears of them too, before `run` raises the same error.
    """

    @property
    def is_elsewhere(self) -> bool:
        """Whether batches run in other processes: then all that takes long is theirs to do."""

    @property
    def tasks(self) -> int:
        """Batches that run side by side."""

    @property
    def largest(self) -> int:
        """Objects of a batch, at most."""

    def begin(self) -> None:
        """Have what runs the batches be there.

        Raises
        ------
        ConfigError
            There is no such cluster, or it cannot be used.
        """

    def run(self, work: Work, batches: Sequence[Batch], done: Done) -> None:
        """Run all batches."""


class Serial:
    """One object after the other: the reference."""

    tasks, largest, is_elsewhere = 1, BATCH_OBJECTS, False

    def begin(self) -> None:
        """Do nothing: it is there."""

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
    start
        Requests under way at once, at first.
    """

    largest, is_elsewhere = BATCH_OBJECTS, False

    def __init__(self, most: int = MOST, start: int = START) -> None:
        self.tasks = min(TASKS, most)
        self.window = Window(most, start)

    def begin(self) -> None:
        """Do nothing: it is there."""

    def run(self, work: Work, batches: Sequence[Batch], done: Done) -> None:
        """Run all batches."""
        if len(batches) == 1 and len(batches[0].items) == 1:  # there is nothing to schedule
            Serial().run(work, batches, done)
            return
        from concurrent.futures import ThreadPoolExecutor

        ended: dict[int, Outcome] = {}

        def after(number: int) -> None:
            done(ended.pop(number))

        with crew.Threads(self.window, _bytes_of) as hands:

            def one(number: int) -> int:
                ended[number] = work(batches[number], hands)
                return number

            count = len(batches)
            with ThreadPoolExecutor(min(self.tasks, count), thread_name_prefix="zsync-batch") as pool:
                try:
                    # Where each has a thread at once there is nothing to schedule, and dask takes a while to load.
                    (_all_at_once if count <= self.tasks else _scheduled)(pool, one, count, after)
                except BaseException:
                    hands.stop()
                    pool.shutdown(wait=True, cancel_futures=True)
                    for outcome in ended.values():  # what they did is done, and has its receipts
                        with contextlib.suppress(ZsyncError):
                            done(outcome)
                    raise


def _all_at_once(pool: ThreadPoolExecutor, one: Callable[[int], int], count: int, after: Callable[[int], None]) -> None:
    from concurrent.futures import as_completed

    for future in as_completed([pool.submit(one, number) for number in range(count)]):
        after(future.result())


def _scheduled(pool: ThreadPoolExecutor, one: Callable[[int], int], count: int, after: Callable[[int], None]) -> None:
    import dask.threaded

    def call(_key: Any, number: Any, _graph: Any, _state: Any, _worker: Any) -> None:
        after(number)

    graph = {f"batch-{number}": (one, number) for number in range(count)}
    # Handed over, not registered: what is registered is called for every graph of the process, and another thread may
    # be publishing something else.
    callbacks = [(None, None, None, call, None)]
    dask.threaded.get(graph, list(graph), pool=pool, callbacks=callbacks)


def _bytes_of(result: Any) -> int:
    return getattr(result, "size", 0)  # of receipts


@contextlib.contextmanager
def executor_for(
    scheduler: str, workers: int | str, client: Any = None, specs: Iterable[StoreSpec] = ()
) -> Iterator[Executor]:
    """Yield the executor that the user's settings name; other processes are there once they are needed.

    Parameters
    ----------
    scheduler
        ``serial``, ``threads``, ``processes``, ``distributed``, or the address of a dask scheduler; ``auto`` is
        threads.
    workers
        Requests under way at once, of all processes together; or ``auto``.
    client
        A `distributed.Client`, which then sends.
    specs
        How the stores are reached that take part.
    """
    most = max(1, min(MOST, open_files_most() // _FILES_EACH)) if workers == "auto" else int(workers)
    if client is None and scheduler in ("auto", "threads", "serial"):
        yield Serial() if scheduler == "serial" else Threads(most, _start(specs))
        return
    from zsync.storage.handing import Handed
    from zsync.transfer.remote import Remote

    with Remote(lambda: _workers(scheduler, client, Handed.of(specs)), most) as remote:
        yield remote


def _start(specs: Iterable[StoreSpec]) -> int:
    """Return how many requests to begin with: what was asked already tells how far it is."""
    took = [pace_of(spec).fastest_s or 0.0 for spec in specs]
    return START_FAR if max(took, default=0.0) >= FAR_S else START


def _workers(scheduler: str, client: Any, handed: Handed) -> Workers:
    if client is None and scheduler == "processes":
        from zsync.transfer.processes import Processes

        return Processes(handed)
    from zsync.transfer.cluster import Cluster

    return Cluster.at(scheduler, client, handed)
