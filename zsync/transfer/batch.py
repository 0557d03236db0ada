"""Batches: what is sent to a worker, and what comes back. Plain values; they hold no secret and survive `pickle`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zsync.errors import ZsyncError
    from zsync.inventory import Reader
    from zsync.keys import Key
    from zsync.publication.claims import Claim
    from zsync.storage import Headers, Over, StoreSpec

BATCH_OBJECTS = 64
BATCH_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Send:
    """One object to be sent.

    Attributes
    ----------
    product, key
        The object in the plan.
    target
        Its whole key in the bucket.
    source
        What reads it; None if `content` is what is sent.
    digest
        What the plan knows of the content; None for an object that is hashed while it is sent.
    over
        What it takes the place of; None where that is not known.
    is_alone
        Nothing else depends on it: if its file moves meanwhile, it is left out, and the others go on.
    """

    product: str
    key: str
    target: Key
    size: int
    headers: Headers
    source: Reader | None = None
    content: bytes | None = field(default=None, repr=False)
    digest: str | None = None
    over: Over | None = None
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class Retire:
    """One object to be retired.

    Attributes
    ----------
    over
        What it must be, and the whole key that it is copied to first.
    """

    product: str
    key: str
    target: Key
    size: int
    over: Over


@dataclass(frozen=True, slots=True)
class Batch:
    """What one worker does at a time, in one bucket.

    Attributes
    ----------
    claim
        What the worker asks for, before each object, whether it still may.
    """

    store: StoreSpec
    items: tuple[Send, ...] | tuple[Retire, ...]
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the store answered for one object."""

    product: str
    key: str
    size: int
    digest: str
    etag: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """One object that could not be sent or retired, and why."""

    product: str
    key: str
    error: ZsyncError

    @property
    def placed(self) -> ZsyncError:
        """The error, which names the object."""
        return self.error.at(f"{self.product}/{self.key}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a batch: receipts (none for retired objects), failures, how much was done, and what was left out."""

    receipts: tuple[Receipt, ...]
    failures: tuple[Failure, ...]
    objects: int
    bytes: int
    left: tuple[tuple[str, str], ...] = ()  # product and key of files that moved


def cut(
    store: StoreSpec, items: Iterable[Send | Retire], workers: int, count: int, claim: Claim | None = None
) -> Iterator[Batch]:
    """Cut objects into batches, small enough that every worker has several.

    Parameters
    ----------
    store
        The bucket of all of them.
    items
        The objects.
    workers
        Batches that run side by side.
    count
        Number of objects.
    claim
        What their worker asks for whether it still may.
    """
    limit = max(1, min(BATCH_OBJECTS, count // (workers * 2)))
    batch: list[Send | Retire] = []
    size = 0
    for item in items:
        if batch and (len(batch) >= limit or size + item.size > BATCH_BYTES):
            yield Batch(store, tuple(batch), claim)  # type: ignore[arg-type]
            batch, size = [], 0
        batch.append(item)
        size += item.size
    if batch:
        yield Batch(store, tuple(batch), claim)  # type: ignore[arg-type]
