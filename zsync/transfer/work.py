"""What a worker does with a batch: it sends or retires, and returns receipts or failures. It never commits."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from zsync.errors import ConflictError, PreconditionError, SourceChangedError, ZsyncError
from zsync.publication.claims import refuse_unless_held
from zsync.storage import PARTS_MAX, connect, connected_once, retry
from zsync.transfer.batch import Batch, Failure, Outcome, Receipt, Retire, Send
from zsync.words import PART_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zsync.storage import ObjectStore, Stored

IN_FLIGHT_BYTES = 2**30  # bytes of objects that one process holds in memory at once


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
def send_batch(batch: Batch) -> Outcome:
    """Send the objects of a batch, one after the other, up to the first that fails."""
    receipts: list[Receipt] = []
    left: list[tuple[str, str]] = []
    store = connect(batch.store)
    for item in cast("tuple[Send, ...]", batch.items):
        try:
            # By the clock, each time: whoever slept past the end of its lease sends nothing more.
            refuse_unless_held(batch.claim)
            receipts.append(send(store, item))
        except ZsyncError as error:
            if item.is_alone and isinstance(error, SourceChangedError):
                left.append((item.product, item.key))
                continue
            return _outcome(receipts, left, Failure(item.product, item.key, error))
    return _outcome(receipts, left, None)


def _outcome(receipts: list[Receipt], left: list[tuple[str, str]], failure: Failure | None) -> Outcome:
    failures = () if failure is None else (failure,)
    size = sum(receipt.size for receipt in receipts)
    return Outcome(tuple(receipts), failures, len(receipts), size, tuple(left))


@connected_once()
def retire_batch(batch: Batch) -> Outcome:
    """Retire the objects of a batch: copy to the trash where that is wanted, then delete; each that stays is named."""
    items = cast("tuple[Retire, ...]", batch.items)
    try:
        refuse_unless_held(batch.claim)
        stay = connect(batch.store).remove([(item.target, item.over) for item in items])
    except ZsyncError as error:
        return Outcome((), tuple(Failure(item.product, item.key, error) for item in items), 0, 0)
    failures = tuple(Failure(item.product, item.key, stay[item.target]) for item in items if item.target in stay)
    gone = [item for item in items if item.target not in stay]
    return Outcome((), failures, len(gone), sum(item.size for item in gone))


def send(store: ObjectStore, item: Send) -> Receipt:
    """Send one object, and see that what is sent is what was planned (promise P6).

    Raises
    ------
    SourceChangedError
        The file is not the one that was planned.
    ConflictError
        What it was to take the place of is not what stock was taken of.
    """
    try:
        if item.size > PART_SIZE:
            digest, stored = _send_in_parts(store, item)
        else:
            with _budget.hold(item.size):
                digest, stored = _send_whole(store, item)
    except PreconditionError as error:
        raise ConflictError(
            "somebody else wrote this object meanwhile", store.url(item.target), "run it again"
        ) from error
    return Receipt(item.product, item.key, item.size, digest, stored.etag, stored.version)


def _send_whole(store: ObjectStore, item: Send) -> tuple[str, Stored]:
    from blake3 import blake3

    data = item.content if item.content is not None else b"".join(_blocks(item, max(item.size, 1)))
    digest = blake3(data).hexdigest()
    _check(item, digest)
    return digest, store.put(item.target, data, item.headers, over=item.over)


def _send_in_parts(store: ObjectStore, item: Send) -> tuple[str, Stored]:
    from blake3 import blake3

    part_size = max(PART_SIZE, -(-item.size // PARTS_MAX))

    def attempt() -> tuple[str, Stored]:
        total = blake3()

        def parts() -> Iterator[bytes]:
            for block in _blocks(item, part_size):
                total.update(block)
                yield block
            # Raising here, before the upload is completed, leaves the target as it was.
            _check(item, total.hexdigest())

        with _budget.hold(4 * part_size):
            stored = store.put_parts(item.target, parts(), item.headers, part_size, over=item.over)
        return total.hexdigest(), stored

    return retry(attempt)


def _blocks(item: Send, block: int) -> Iterator[bytes]:
    if item.source is not None:
        return item.source.blocks(block)
    content = memoryview(item.content or b"")
    return (bytes(content[start : start + block]) for start in range(0, len(content), block))


def _check(item: Send, digest: str) -> None:
    if item.digest is not None and item.digest != digest:
        raise SourceChangedError(
            "a source file changed while it was being published", item.key, "publish again once its writer is done"
        )
