"""What a worker does with a batch: it sends or retires, and returns receipts or failures. It never commits."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from zsync.errors import (
    ConflictError,
    CredentialsError,
    NetworkError,
    PreconditionError,
    SourceChangedError,
    TargetError,
    TransientError,
    ZsyncError,
)
from zsync.inventory.begun import Begun
from zsync.inventory.origin import through
from zsync.publication.claims import refuse_unless_held
from zsync.storage import PARTS_MAX, PIECE, RetryPolicy, connect, connected_once, retry
from zsync.storage.ahead import held
from zsync.storage.multipart import PARTS_IN_FLIGHT
from zsync.transfer.batch import Batch, Failure, Outcome, Receipt, Retire, Send
from zsync.words import PART_SIZE, WHOLE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zsync.inventory.origin import Hash
    from zsync.storage import ObjectStore, Stored, StoreSpec
    from zsync.transfer.crew import Crew

log = logging.getLogger(__name__)

IN_FLIGHT_BYTES = 2**28  # bytes of objects that one process holds in memory at once: enough for any link
_COPIES = 4  # that one call makes
_READS = 3  # of an object that does not come as it is on record


class ByteBudget:
    """Lets callers in while the bytes that they hold together stay below a limit; one caller is always let in."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._freed = threading.Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes fit, and hold them."""
        with self._freed:
            self._freed.wait_for(lambda: self._held == 0 or self._held + size <= self._limit)
            self._held += size
        try:
            yield
        finally:
            with self._freed:
                self._held -= size
                self._freed.notify_all()


_budget = ByteBudget(IN_FLIGHT_BYTES)


def _begin_anew() -> None:
    """Hold nothing in a forked child: what the parent's threads held is not there."""
    global _budget  # noqa: PLW0603 - it is the process's
    _budget = ByteBudget(IN_FLIGHT_BYTES)


os.register_at_fork(after_in_child=_begin_anew)


@connected_once()
def send_batch(batch: Batch, crew: Crew) -> Outcome:
    """Send the objects of a batch, many at once; after one that fails no other begins."""
    store = connect(batch.store)

    def one(item: Send) -> Receipt | Failure:
        try:
            # By the clock, each time: whoever slept past the end of its lease sends nothing more.
            refuse_unless_held(batch.claim)
            return send(store, batch.store, item)
        except ZsyncError as error:
            is_left = item.is_alone and isinstance(error, SourceChangedError)
            return Failure(item.product, item.key, error, is_left=is_left)

    came = crew.each(one, cast("tuple[Send, ...]", batch.items), is_last=_ends_a_batch)
    receipts = tuple(result for result in came if isinstance(result, Receipt))
    failures = [result for result in came if isinstance(result, Failure)]
    left = tuple((failure.product, failure.key) for failure in failures if failure.is_left)
    stopped = tuple(failure for failure in failures if not failure.is_left)
    return Outcome(receipts, stopped, len(receipts), sum(receipt.size for receipt in receipts), left)


def _ends_a_batch(result: Receipt | Failure) -> bool:
    return isinstance(result, Failure) and not result.is_left


def retire_batch(batch: Batch, crew: Crew) -> Outcome:
    """Retire the objects of a batch: copy to the trash where that is wanted, then delete; each that stays is named."""
    store = connect(batch.store)

    def some(items: Sequence[Retire]) -> Outcome:
        try:
            refuse_unless_held(batch.claim)
            stay = store.remove([(item.target, item.over) for item in items])
        except ZsyncError as error:
            return Outcome((), tuple(Failure(item.product, item.key, error) for item in items), 0, 0)
        failures = tuple(Failure(item.product, item.key, stay[item.target]) for item in items if item.target in stay)
        gone = [item for item in items if item.target not in stay]
        return Outcome((), failures, len(gone), sum(item.size for item in gone))

    items = cast("tuple[Retire, ...]", batch.items)
    # Deletions are one request together; copies go one by one, and so they are shared out.
    step = _COPIES if any(item.over.keep is not None for item in items) else len(items)
    parts = [items[start : start + step] for start in range(0, len(items), step)]
    came = crew.each(some, parts, is_last=lambda _part: False)
    failures = tuple(failure for part in came for failure in part.failures)
    return Outcome((), failures, sum(part.objects for part in came), sum(part.bytes for part in came))


def send(store: ObjectStore, spec: StoreSpec, item: Send) -> Receipt:
    """Send one object, and see that what is sent is what was planned (promise P6).

    Raises
    ------
    SourceChangedError
        The file is not the one that was planned.
    ConflictError
        What it was to take the place of is not what stock was taken of.
    """
    try:
        if (copied := _copied(store, item)) is not None:
            digest, stored = copied
        elif store.capabilities.takes_pieces and item.size > PIECE:
            digest, stored = _send_in_pieces(store, item)
        elif item.size > WHOLE_SIZE:
            digest, stored = _send_in_parts(store, spec, item)
        else:
            with _budget.hold(item.size):
                digest, stored = _send_whole(store, item)
    except PreconditionError as error:
        raise ConflictError(
            "somebody else wrote this object meanwhile", store.url(item.target), "run it again"
        ) from error
    return Receipt(item.product, item.key, item.size, digest, stored.etag, stored.version)


def _copied(store: ObjectStore, item: Send) -> tuple[str, Stored] | None:
    """Have the bucket copy an object, where it is known by ETag and digest; None where it has to be read and written.

    That it was refused says little: reading tells whether it was for the source, and writing whether for the target, or
    whether the answer to a copy that was made got lost.
    """
    if item.copied is None or item.over is None:
        return None
    seen, digest = item.copied
    if item.digest not in (None, digest):
        return None
    try:
        return digest, store.copy_seen(seen, item.target, item.headers, item.over)
    except (TransientError, NetworkError, CredentialsError):
        raise
    except TargetError as error:
        log.debug("%s is read and written, not copied: %s", item.key, error)
        return None


def _send_whole(store: ObjectStore, item: Send) -> tuple[str, Stored]:
    from blake3 import blake3

    data = item.content if item.content is not None else b"".join(_blocks(item, max(item.size, 1)))
    digest = blake3(data).hexdigest()
    _check(item, digest)
    return digest, store.put(item.target, data, item.headers, over=item.over)


def _send_in_pieces(store: ObjectStore, item: Send) -> tuple[str, Stored]:
    """Write a file as what it is made of arrives."""
    with _budget.hold(held(item.size)):
        # What broke on its way was asked for again already: this is for what came otherwise than it is on record.
        return retry(lambda: _stream(store, item, _pieces, item.size), RetryPolicy(attempts=_READS))


def _send_in_parts(store: ObjectStore, spec: StoreSpec, item: Send) -> tuple[str, Stored]:
    part_size, record = max(PART_SIZE, -(-item.size // PARTS_MAX)), Begun(spec, item.target)

    def parts(item: Send, digest: Hash) -> Iterator[bytes]:
        return through(_blocks(item, part_size), digest)

    with _budget.hold((PARTS_IN_FLIGHT + 1) * part_size):
        return retry(lambda: _stream(store, item, parts, part_size, record))


def _stream(
    store: ObjectStore,
    item: Send,
    read: Callable[[Send, Hash], Iterator[bytes]],
    part_size: int,
    record: Begun | None = None,
) -> tuple[str, Stored]:
    from blake3 import blake3

    total = blake3()

    def checked() -> Iterator[bytes]:
        yield from read(item, total)
        # Raising here, before the upload is completed, leaves the target as it was.
        _check(item, total.hexdigest())

    stored = store.put_parts(item.target, checked(), item.headers, part_size, over=item.over, record=record)
    return total.hexdigest(), stored


def _blocks(item: Send, block: int) -> Iterator[bytes]:
    if item.source is not None:
        return item.source.blocks(block)
    content = memoryview(item.content or b"")
    return (bytes(content[start : start + block]) for start in range(0, len(content), block))


def _pieces(item: Send, digest: Hash) -> Iterator[bytes]:
    return item.source.pieces(digest) if item.source is not None else through([item.content or b""], digest)


def _check(item: Send, digest: str) -> None:
    if item.digest is not None and item.digest != digest:
        raise SourceChangedError(
            "a source file changed while it was being published", item.key, "publish again once its writer is done"
        )
