"""Retries, in one place for both transports: exponential backoff with full jitter, within a budget, at a pace."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from zsync.errors import (
    NetworkError,
    PreconditionError,
    RegionError,
    SilentError,
    TargetError,
    ThrottledError,
    TransientError,
)
from zsync.storage.base import PIECE
from zsync.storage.conditional import landed
from zsync.storage.pacing import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from zsync.keys import Key
    from zsync.storage.base import (
        Answer,
        Capabilities,
        Fetched,
        Headers,
        ObjectStore,
        Over,
        Page,
        Seen,
        Stored,
        UploadRecord,
    )

log = logging.getLogger(__name__)

T = TypeVar("T")

THROTTLE_S = 120.0  # how long a request is tried again after the service first asked to slow down


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try again.

    Attributes
    ----------
    attempts
        Attempts in all, for an answer that asks to be tried again. With 1, nothing is tried again.
    network_attempts
        Attempts one after the other at which the endpoint cannot be reached: fewer, for that is mostly a wrong setting.
    first_s, longest_s
        The backoff before the second attempt, and the longest one, in seconds.
    insists
        All attempts are made, though the service has been silent for a minute: somebody asked for so many.

    Notes
    -----
    Full jitter: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    attempts: int = 8
    network_attempts: int = 4
    first_s: float = 0.1
    longest_s: float = 10.0
    insists: bool = field(default=False, kw_only=True)

    def delay_s(self, attempt: int) -> float:
        """Return a random delay before attempt `attempt + 1`, in seconds."""
        # The exponent is bounded: a throttled request may be tried again very often.
        longest = min(self.longest_s, self.first_s * 2 ** min(attempt, 30))
        return random.uniform(0, longest)  # noqa: S311 - jitter, no secret


class RetryBudget:
    """Limits the retries of a whole store, so that a service that fails everything is not asked ever more.

    Parameters
    ----------
    capacity
        Retries at the beginning, and at most; a retry takes one.
    refund
        What a success gives back.

    Notes
    -----
    A token bucket, as in the standard retry mode of the AWS SDKs and in gRPC's proposal A6, "Retry throttling".
    """

    def __init__(self, capacity: float = 500.0, refund: float = 0.5) -> None:
        self._capacity = self._tokens = capacity
        self._refund = refund
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take what a retry costs, if it is there."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    def give_back(self) -> None:
        """Give back what a success is worth."""
        if self._tokens < self._capacity:
            with self._lock:
                self._tokens = min(self._capacity, self._tokens + self._refund)


class Retrying:
    """A store that tries again what may be tried again, at the pace that the service bears.

    Conditional writes and streams are paced but not tried again.

    Parameters
    ----------
    move
        Opens the store anew where its bucket is, if that is in another region; None if it is not known to be.
    """

    def __init__(
        self,
        store: ObjectStore,
        policy: RetryPolicy | None = None,
        *,
        pace: Pace | None = None,
        move: Callable[[], ObjectStore | None] | None = None,
    ) -> None:
        self._store = store
        self._move = move
        self._moving = threading.Lock()
        self._policy = policy or RetryPolicy()
        self._budget = RetryBudget()
        self._pace = pace or Pace()

    @property
    def capabilities(self) -> Capabilities:
        """What the store below can do."""
        return self._store.capabilities

    def url(self, key: str) -> str:
        """Return the URL of a key, for messages."""
        return self._store.url(key)

    def list(self, prefix: str) -> Iterator[Page]:
        """List all below a prefix; a listing that breaks is begun anew, so that no page is lost or seen twice."""
        return iter(self._again(lambda store: [*self._heard(store.list(prefix))]))

    def list_exactly(self, prefix: str) -> Iterator[Page]:
        """List all below a prefix, with keys as they are."""
        return iter(self._again(lambda store: [*store.list_exactly(prefix)]))

    def list_few(self, prefix: str) -> Page | None:
        """List all below a prefix, if it comes with one answer."""
        return self._again(lambda store: store.list_few(prefix))

    def list_after(self, prefix: str, key: str | None) -> Answer | None:
        """List what follows a key: one answer."""
        return self._again(lambda store: store.list_after(prefix, key))

    def list_level(self, prefix: str) -> tuple[Page, Sequence[str]]:
        """List one level."""
        return self._again(lambda store: store.list_level(prefix))

    def get(self, key: Key, *, most: int | None = None) -> Fetched:
        """Read an object."""
        return self._again(lambda store: store.get(key, most=most))

    def fetch(self, key: Key, start: int, length: int, *, etag: str | None, version: str | None = None) -> bytes:
        """Read a part of an object."""
        return self._again(lambda store: store.fetch(key, start, length, etag=etag, version=version), length)

    def pieces(
        self, key: Key, start: int, length: int, *, etag: str | None, version: str | None = None
    ) -> Iterator[bytes]:
        """Read a part of an object piece by piece; where an answer breaks, the rest is asked for."""
        at, end = start, start + length
        coming: Iterator[bytes] | None = None

        def some(store: ObjectStore) -> bytes:
            nonlocal at, coming
            if coming is None:
                if at >= end:  # what broke was only the end
                    return b""
                coming = store.pieces(key, at, end - at, etag=etag, version=version)
            try:
                piece = next(coming, b"")
            except BaseException:
                coming = None
                raise
            at += len(piece)
            return piece

        while piece := self._again(some, PIECE):
            yield piece

    def head(self, key: Key) -> Stored:
        """Ask for an object."""
        return self._again(lambda store: store.head(key))

    def put(self, key: Key, data: bytes, headers: Headers, *, over: Over | None = None) -> Stored:
        """Write an object: the same bytes to the same key, so that doing it twice does no harm.

        With `over` a second attempt may meet what the first one wrote, of which the answer was lost: that is no
        conflict.
        """
        try:
            return self._again(lambda store: store.put(key, data, headers, over=over), len(data))
        except PreconditionError:
            found = self._again(lambda store: landed(store, key, data))
            if found is None:
                raise
            return found

    def put_parts(
        self,
        key: Key,
        parts: Iterable[bytes],
        headers: Headers,
        part_size: int,
        *,
        over: Over | None = None,
        record: UploadRecord | None = None,
    ) -> Stored:
        """Write an object in parts, of which each is paced; the caller, who owns the stream, tries again."""
        return self._store.put_parts(key, parts, headers, part_size, over=over, record=record)

    def put_if(self, key: Key, data: bytes, headers: Headers, etag: str | None) -> Stored:
        """Write conditionally; only the caller can tell a lost response from a lost race."""
        with self._slot(len(data)):
            return self._store.put_if(key, data, headers, etag)

    def copy(self, source: Key, target: Key) -> None:
        """Copy an object."""
        self._again(lambda store: store.copy(source, target))

    def copy_seen(self, source: Seen, target: Key, headers: Headers, over: Over) -> Stored:
        """Copy an object as it was seen."""
        return self._again(lambda store: store.copy_seen(source, target, headers, over))

    def delete(self, keys: Sequence[Key]) -> None:
        """Delete objects."""
        self._again(lambda store: store.delete(keys))

    def remove(self, items: Sequence[tuple[Key, Over]]) -> Mapping[str, TargetError]:
        """Delete objects that must be as they were seen."""
        return self._again(lambda store: store.remove(items))

    def _heard(self, pages: Iterable[Page]) -> Iterator[Page]:
        """Yield pages, each of which is an answer."""
        for page in pages:
            self._pace.silence.hear()
            yield page

    def _slot(self, size: int) -> AbstractContextManager[None]:
        return self._pace.slot(size, insists=self._policy.insists)

    def _again(self, action: Callable[[ObjectStore], T], size: int = 0) -> T:
        store = self._store

        def paced() -> T:
            # A request that waits for its next attempt holds no slot.
            with self._slot(size):
                return action(store)

        try:
            return _retry(paced, self._policy, self._budget)
        except RegionError:
            if not self._moves(store):
                raise
        store = self._store
        return _retry(paced, self._policy, self._budget)

    def _moves(self, store: ObjectStore) -> bool:
        """Go to where the bucket is; whether there is another store now than the one that was asked."""
        with self._moving:
            if self._store is store and self._move is not None and (found := self._move()) is not None:
                self._store = found
            return self._store is not store


def retry(action: Callable[[], T], policy: RetryPolicy | None = None) -> T:
    """Call `action` until it succeeds, its error is permanent, or the policy's attempts are spent.

    An action that the service throttles is tried again for `THROTTLE_S`, however many attempts that takes.
    """
    return _retry(action, policy or RetryPolicy(), None)


def _retry(action: Callable[[], T], policy: RetryPolicy, budget: RetryBudget | None) -> T:
    failed = unreached = throttled = 0
    until = 0.0
    while True:
        try:
            result = action()
        except ThrottledError as error:
            now = time.monotonic()
            until = until or now + THROTTLE_S
            throttled += 1
            if policy.attempts <= 1 or now >= until:
                raise
            delay = policy.delay_s(throttled)
            log.debug("throttled %d times, again in %.2f s: %s", throttled, delay, error)
        except (TransientError, NetworkError) as error:
            if isinstance(error, SilentError) and not policy.insists:
                raise
            failed += 1
            # An endpoint that answers now and then is not a wrong setting.
            unreached = unreached + 1 if isinstance(error, NetworkError) else 0
            if failed >= policy.attempts or unreached >= policy.network_attempts:
                raise
            if budget is not None and not budget.take():
                advice = "too many requests failed to try this one again; see to the service, then run it again"
                raise type(error)(error.message, error.where, advice) from error
            delay = policy.delay_s(failed)
            log.debug("attempt %d of %d failed, again in %.2f s: %s", failed, policy.attempts, delay, error)
        else:
            if budget is not None:
                budget.give_back()
            return result
        time.sleep(delay)
