"""Retries, in one place for both transports: exponential backoff with full jitter, within a budget."""

from __future__ import annotations

import functools
import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from zsync.errors import NetworkError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from zsync.storage.base import Capabilities, Fetched, Headers, ObjectStore, Page, Stored

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try again.

    Attributes
    ----------
    attempts
        Attempts in all, for an answer that asks to be tried again.
    network_attempts
        Attempts in all, when the endpoint cannot be reached: fewer, for that is mostly a wrong setting.
    first_s, longest_s
        The backoff before the second attempt, and the longest one, in seconds.

    Notes
    -----
    Full jitter: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    attempts: int = 8
    network_attempts: int = 4
    first_s: float = 0.1
    longest_s: float = 10.0

    def delay_s(self, attempt: int) -> float:
        """Return a random delay before attempt `attempt + 1`, in seconds."""
        return random.uniform(0, min(self.longest_s, self.first_s * 2**attempt))  # noqa: S311 - jitter, no secret


class Retrying:
    """A store that tries again what may be tried again. Conditional writes and streams pass through as they are."""

    def __init__(self, store: ObjectStore, policy: RetryPolicy | None = None) -> None:
        self._store = store
        self._policy = policy or RetryPolicy()

    @property
    def capabilities(self) -> Capabilities:
        """What the store below can do."""
        return self._store.capabilities

    def url(self, key: str) -> str:
        """Return the URL of a key, for messages."""
        return self._store.url(key)

    def list(self, prefix: str) -> Iterator[Page]:
        """List all below a prefix; a listing that breaks is begun anew, so that no page is lost or seen twice."""
        return iter(self._again(lambda: [*self._store.list(prefix)]))

    def list_level(self, prefix: str) -> tuple[Page, Sequence[str]]:
        """List one level."""
        return self._again(functools.partial(self._store.list_level, prefix))

    def get(self, key: str) -> Fetched:
        """Read an object."""
        return self._again(functools.partial(self._store.get, key))

    def head(self, key: str) -> Stored:
        """Ask for an object."""
        return self._again(functools.partial(self._store.head, key))

    def put(self, key: str, data: bytes, headers: Headers) -> Stored:
        """Write an object: the same bytes to the same key, so that doing it twice does no harm."""
        return self._again(functools.partial(self._store.put, key, data, headers))

    def put_parts(self, key: str, parts: Iterable[bytes], headers: Headers, part_size: int) -> Stored:
        """Write an object in parts; the caller, who owns the stream, tries again."""
        return self._store.put_parts(key, parts, headers, part_size)

    def put_if(self, key: str, data: bytes, headers: Headers, etag: str | None) -> Stored:
        """Write conditionally; only the caller can tell a lost response from a lost race."""
        return self._store.put_if(key, data, headers, etag)

    def copy(self, source: str, target: str) -> None:
        """Copy an object."""
        self._again(functools.partial(self._store.copy, source, target))

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects."""
        self._again(functools.partial(self._store.delete, keys))

    def _again(self, action: Callable[[], T]) -> T:
        return retry(action, self._policy)


def retry(action: Callable[[], T], policy: RetryPolicy | None = None) -> T:
    """Call `action` until it succeeds, its error is permanent, or the policy's attempts are spent."""
    policy = policy or RetryPolicy()
    attempt = 0
    while True:
        try:
            return action()
        except (TransientError, NetworkError) as error:
            attempt += 1
            allowed = policy.network_attempts if isinstance(error, NetworkError) else policy.attempts
            if attempt >= allowed:
                raise
            delay: Any = policy.delay_s(attempt)
            log.debug("attempt %d of %d failed, again in %.2f s: %s", attempt, allowed, delay, error)
            time.sleep(delay)
