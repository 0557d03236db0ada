"""Objects that are read from their beginning to their end: as they arrive, and large ones a few ranges ahead."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from zsync.storage.base import PIECE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from zsync.storage.base import ObjectStore, Seen

RANGE = 8 * PIECE  # bytes of a large object that are asked for with one request
AHEAD = 8  # ranges of it that are on their way at once
_LARGE = 2 * RANGE  # bytes; up to here an object comes with one answer


def held(size: int) -> int:
    """Return how many bytes of an object of `size` bytes are in memory while it is read."""
    return min(size, AHEAD * RANGE if size > _LARGE else 2 * PIECE)


def read_through(store: ObjectStore, seen: Seen) -> Iterator[bytes]:
    """Yield the bytes of an object in order, as it was seen.

    One connection carries no more than a part of what a link does: a large object comes over several.

    Raises
    ------
    PreconditionError
        It is not as it was seen.
    """
    if seen.size <= _LARGE:
        return store.pieces(seen.key, 0, seen.size, etag=seen.etag, version=seen.version)
    return _ahead(store, seen)


def _ahead(store: ObjectStore, seen: Seen) -> Iterator[bytes]:
    def fetch(start: int) -> list[bytes]:
        length = min(RANGE, seen.size - start)
        return list(store.pieces(seen.key, start, length, etag=seen.etag, version=seen.version))

    pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="zsync-ahead")
    try:
        coming: deque[Future[list[bytes]]] = deque()
        for start in range(0, seen.size, RANGE):
            if len(coming) == AHEAD:
                yield from coming.popleft().result()
            coming.append(pool.submit(fetch, start))
        while coming:
            yield from coming.popleft().result()
    finally:  # also where nobody asks for the rest
        pool.shutdown(wait=True, cancel_futures=True)
