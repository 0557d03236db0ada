"""Batches in other processes: of this machine, or of dask's workers on many.

Workers read, hash and send; they get values and return values, and never commit. One that dies has its batch done
again: what arrived already is known by its bytes. What a worker may do ends with the lease, of which each batch tells;
what came too late is handed out once more.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import secrets
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from zsync.errors import CredentialsError, OutdatedError, SourceError, TargetError, ZsyncError
from zsync.inventory.origin import FileReader
from zsync.publication import claims
from zsync.transfer import crew
from zsync.transfer.batch import Hash, Outcome, Send
from zsync.transfer.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    from zsync.transfer.batch import Batch, Done, Failure, Work

S = TypeVar("S")
T = TypeVar("T")

BATCH_OBJECTS = 512  # a worker has many of them under way at once
_AHEAD = 2  # batches for each that a worker does at a time: it never waits for the next one
_ATTEMPTS = 4  # at a batch whose workers die, or that reaches them too late


@dataclass(frozen=True, slots=True)
class Errand:
    """What a worker is asked to do; a plain value, without secrets.

    Attributes
    ----------
    most
        Requests that its process may have under way at once.
    run
        The name of the run that it belongs to.
    """

    work: Work
    batch: Batch
    grant: claims.Grant | None
    most: int
    run: str


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an errand, and on which host; or that the worker has no credentials for it."""

    outcome: Outcome | CredentialsError
    host: str


def do(errand: Errand) -> Report:
    """Do an errand, in the process of a worker."""
    if errand.grant is not None:
        claims.take(errand.grant)
    outcome: Outcome | CredentialsError
    try:
        outcome = errand.work(errand.batch, _Hands(_crew(errand.most, os.getpid()), errand.run))
    except CredentialsError as error:
        outcome = error
    return Report(outcome, platform.node())


_recalled: set[str] = set()


def recall(run: str) -> None:
    """Begin nothing more of a run, in the process of a worker."""
    _recalled.add(run)


class _Hands:
    """The crew of a worker, as one run has it: until it is recalled."""

    def __init__(self, crew: crew.Crew, run: str) -> None:
        self._crew, self._run = crew, run

    def each(self, call: Callable[[S], T], items: Sequence[S], *, is_last: Callable[[T], bool]) -> list[T]:
        """Return what a call comes to for each item that was begun."""
        if self._run in _recalled:
            return []
        return self._crew.each(call, items, is_last=lambda result: self._run in _recalled or is_last(result))


@functools.cache
def _crew(most: int, _process: int) -> crew.Threads:
    return crew.Threads(Window(most))


class Workers(Protocol):
    """Processes that do errands."""

    @property
    def processes(self) -> int:
        """How many there are now."""

    @property
    def at_once(self) -> int:
        """Errands that all of them together do at a time."""

    @property
    def deaths(self) -> tuple[type[BaseException], ...]:
        """What a future raises whose worker died."""

    def submit(self, errand: Errand) -> Future[Report]:
        """Hand out an errand."""

    def hand_over(self) -> None:
        """Give all there are the credentials that were given explicitly."""

    def recall(self, run: str, errands: Iterable[Future[Report]]) -> None:
        """Let what was handed out of a run end as early as it can; what was not begun may be cancelled."""

    def close(self) -> None:
        """Let them go."""


@dataclass(slots=True)
class _Attempt:
    batch: Batch
    number: int = 1


class Remote:
    """Runs batches in other processes; a context that lets them go.

    Parameters
    ----------
    begun
        Returns the processes, once they are needed.
    most
        Requests under way at once, of all of them together.
    """

    largest, is_elsewhere = BATCH_OBJECTS, True

    def __init__(self, begun: Callable[[], Workers], most: int) -> None:
        self._begun, self._most, self._name = begun, most, secrets.token_hex(8)
        self._there: Workers | None = None

    def begin(self) -> None:
        """Have the processes be there."""
        self._there = self._workers

    @property
    def _workers(self) -> Workers:
        if self._there is None:
            self._there = self._begun()
        return self._there

    @property
    def tasks(self) -> int:
        """Batches that are handed out at once."""
        return _AHEAD * max(1, min(self._workers.at_once, self._most))

    def run(self, work: Work, batches: Sequence[Batch], done: Done) -> None:
        """Run all batches."""
        left = deque(range(len(batches)))
        again: deque[_Attempt] = deque()
        under_way: dict[Future[Report], _Attempt] = {}
        try:
            while left or again or under_way:
                # Workers come and go; with dask each look at them is a request.
                most, share = self.tasks, -(-self._most // max(1, self._workers.processes))
                while (left or again) and len(under_way) < most:
                    attempt = again.popleft() if again else _Attempt(batches[left.popleft()])
                    under_way[self._hand_out(work, attempt.batch, share)] = attempt
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    again.extend(self._taken_back(future, under_way.pop(future), done))
        except BaseException:
            self._workers.recall(self._name, under_way)
            # What was begun is waited for: it may write until it ends, and what it did has its receipts.
            for future in wait([future for future in under_way if not future.cancelled()]).done:
                with contextlib.suppress(Exception):
                    if isinstance(outcome := future.result().outcome, Outcome):
                        done(outcome)
            raise

    def _hand_out(self, work: Work, batch: Batch, share: int) -> Future[Report]:
        grant = None if batch.claim is None else claims.Grant.of(batch.claim)
        return self._workers.submit(Errand(work, batch, grant, share, self._name))

    def _taken_back(self, future: Future[Report], attempt: _Attempt, done: Done) -> Iterator[_Attempt]:
        """Hand over what came of a batch, and yield what is left to do of it."""
        is_last = attempt.number == _ATTEMPTS
        try:
            report = future.result()
        except self._workers.deaths as error:
            if is_last:
                message = f"the workers died {_ATTEMPTS} times over the same objects"
                advice = 'see their logs: is there memory? In a script, is the call below `if __name__ == "__main__":`?'
                raise TargetError(message, _place(attempt.batch), advice) from error
            yield replace(attempt, number=attempt.number + 1)
            return
        outcome, batch = report.outcome, attempt.batch
        if isinstance(outcome, CredentialsError):
            if is_last:
                raise CredentialsError(f"the worker on {report.host}: {outcome.message}", outcome.where, outcome.advice)
            self._workers.hand_over()  # it may be one that came only now
            yield replace(attempt, number=attempt.number + 1)
            return
        late = [] if is_last else [failure for failure in outcome.failures if isinstance(failure.error, OutdatedError)]
        failures = [_told_of(failure, batch, report.host) for failure in outcome.failures if failure not in late]
        done(replace(outcome, failures=tuple(failures)))
        if late:
            came = {(receipt.product, receipt.key) for receipt in outcome.receipts} | set(outcome.left)
            rest = tuple(item for item in batch.items if (item.product, item.key) not in came)
            yield _Attempt(replace(batch, items=rest), attempt.number + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._there is not None:
            self._there.close()


def _place(batch: Batch) -> str:
    return f"{batch.items[0].product}/{batch.items[0].key}"


def _told_of(failure: Failure, batch: Batch, host: str) -> Failure:
    """Return a failure, which says so if it is that the worker does not see the source as this process does."""
    if not isinstance(failure.error, SourceError):
        return failure
    items = (item for item in batch.items if (item.product, item.key) == (failure.product, failure.key))
    item = next(items, None)
    source = item.source if isinstance(item, Send | Hash) else None
    if not isinstance(source, FileReader) or not _is_here(source):
        return failure
    error = SourceError(
        f"the worker on {host} does not see this file as it is here", source.path,
        "start workers where the source is mounted, at the same path",
    )  # fmt: skip
    return replace(failure, error=error, is_left=False)


def _is_here(source: FileReader) -> bool:
    try:
        next(iter(source.blocks(1)), b"")
    except ZsyncError:
        return False
    return True
