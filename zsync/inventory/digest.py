"""Hash the source: BLAKE3 for what we record, MD5 for what must be compared with an S3 ETag that we did not record."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zsync.errors import SourceChangedError, SourceError
from zsync.system import advice_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BLOCK = 8 * 2**20  # bytes read at a time
_MIB = 2**20
_FIRST_NS, _LAST_NS = -(2**63), 2**63 - 1
# Part sizes that the usual tools write: aws-cli and boto3 8 MiB, rclone 5, s5cmd 50, MinIO and Cyberduck 16, s3fs 50,
# obstore 5 or 10, zsync 64, others by setting.
_PART_SIZES = tuple(n * _MIB for n in (8, 5, 64, 50, 16, 10, 15, 25, 32, 100, 128, 256, 512, 1024))


@dataclass(frozen=True, slots=True)
class Signature:
    """What `stat` says of a file; if it changes, the file may have changed."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Signature:
        """Return the signature of an `os.stat` result."""
        return cls(*stats_of(status))


def stats_of(status: os.stat_result) -> tuple[int, int, int, int]:
    """Return size, mtime, ctime and inode as our tables hold them.

    Times before 1677 and after 2262 are beyond 64 bits of nanoseconds; file systems keep them. They count as the first
    and the last moment that there is: whoever changes such a file changes its ctime.
    """
    mtime, ctime = status.st_mtime_ns, status.st_ctime_ns
    if not (_FIRST_NS <= mtime <= _LAST_NS and _FIRST_NS <= ctime <= _LAST_NS):
        mtime, ctime = (min(max(time, _FIRST_NS), _LAST_NS) for time in (mtime, ctime))
    return status.st_size, mtime, ctime, status.st_ino


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file to hash."""

    key: str
    signature: Signature
    etag: str | None = None  # the target's ETag, to be compared with; None: only BLAKE3 is wanted


@dataclass(frozen=True, slots=True)
class Hashed:
    """What came of it."""

    key: str
    digest: str
    etag: str | None


def digest_source(
    root: str,
    wanted: Sequence[Wanted],
    *,
    workers: int,
    advance: Callable[[int, int], None] = lambda _objects, _bytes: None,
    skips_moving: bool = False,
    unread: dict[str, SourceError] | None = None,
) -> list[Hashed]:
    """Hash files in parallel.

    Parameters
    ----------
    root
        Absolute path of the product's root.
    wanted
        Files to hash, by key.
    workers
        Number of threads; hashing and reading release the interpreter lock.
    advance
        Called with numbers of objects and bytes as they are done.
    skips_moving
        Leave out files that are no longer as the scan saw them.
    unread
        Takes what cannot be read, by key, with the error that would else be raised.

    Raises
    ------
    SourceChangedError
        A file is no longer as the scan saw it.
    SourceError
        A file cannot be read.
    """
    step = max(1, min(256, len(wanted) // (workers * 4) or 1))
    slices = [wanted[i : i + step] for i in range(0, len(wanted), step)]

    def work(part: Sequence[Wanted]) -> list[Hashed]:
        done = [_hashed(f"{root}/{item.key}", item, unread, skips_moving=skips_moving) for item in part]
        advance(len(part), sum(item.signature.size for item in part))
        return [hashed for hashed in done if hashed is not None]

    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="zsync-digest") as pool:
        return [hashed for part in pool.map(work, slices) for hashed in part]


def _hashed(path: str, item: Wanted, unread: dict[str, SourceError] | None, *, skips_moving: bool) -> Hashed | None:
    try:
        return hash_file(path, item)
    except SourceChangedError:
        if not skips_moving:
            raise
        return None
    except SourceError as error:
        if unread is None:
            raise
        unread[item.key] = error
        return None


def hash_file(path: str, item: Wanted) -> Hashed:
    """Hash one file, and see that it is what the scan saw, before and after."""
    from blake3 import blake3

    md5s = _md5s(item)
    total = blake3()
    for block in read_blocks(path, item.key, item.signature):
        total.update(block)
        for md5 in md5s:
            md5.update(block)
    etag = None
    if md5s:
        etags = [md5.etag() for md5 in md5s]
        etag = item.etag if item.etag in etags else etags[0]
    return Hashed(item.key, total.hexdigest(), etag)


def read_blocks(path: str, key: str, signature: Signature, block: int = BLOCK) -> Iterator[bytes]:
    """Yield a file's bytes, and raise at the end if it is not the file that `signature` describes.

    Raises
    ------
    SourceChangedError
        The file was replaced, changed, or removed since the scan.
    SourceError
        The file cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            _check(os.fstat(file.fileno()), key, signature)
            count = 0
            while count < signature.size:
                data = file.read(min(block, signature.size - count))
                if not data:
                    break
                count += len(data)
                yield data
            _check(os.fstat(file.fileno()), key, signature)
            if count != signature.size:
                raise _changed(key)
    except FileNotFoundError as error:
        raise _changed(key) from error
    except OSError as error:
        raise SourceError(f"a source file cannot be read ({error.strerror})", path, advice_on(error)) from error


def _check(status: os.stat_result, key: str, signature: Signature) -> None:
    if Signature.of(status) != signature:
        raise _changed(key)


def _changed(key: str) -> SourceChangedError:
    return SourceChangedError(
        "a source file changed while it was being published", key, "publish again once its writer is done"
    )


class _Md5:
    """The ETag that S3 gives: MD5, or for an object of several parts the MD5 of the parts' MD5s and their number.

    Notes
    -----
    Amazon S3 User Guide, "Checking object integrity", section "Using Content-MD5 and the ETag".
    """

    def __init__(self, part_size: int | None) -> None:
        self._part_size = part_size
        self._current = hashlib.md5(usedforsecurity=False)
        self._filled = 0
        self._parts: list[bytes] = []

    def update(self, data: bytes) -> None:
        if self._part_size is None:
            self._current.update(data)
            return
        view = memoryview(data)
        while view:
            take = view[: self._part_size - self._filled]
            self._current.update(take)
            self._filled += len(take)
            view = view[len(take) :]
            if self._filled == self._part_size:
                self._close_part()

    def _close_part(self) -> None:
        self._parts.append(self._current.digest())
        self._current = hashlib.md5(usedforsecurity=False)
        self._filled = 0

    def etag(self) -> str:
        if self._part_size is None:
            return self._current.hexdigest()
        if self._filled:
            self._close_part()
        return f"{hashlib.md5(b''.join(self._parts), usedforsecurity=False).hexdigest()}-{len(self._parts)}"


def _md5s(item: Wanted) -> list[_Md5]:
    if item.etag is None:
        return []
    _, dash, count = item.etag.partition("-")
    if not dash:
        return [_Md5(None)]
    return [_Md5(size) for size in part_sizes(item.signature.size, int(count))]


def part_sizes(size: int, count: int) -> list[int]:
    """Return the usual part sizes, in bytes, that cut `size` bytes into `count` parts; never empty.

    Examples
    --------
    >>> part_sizes(17 * 2**20, 2)
    [16777216, 10485760, 15728640]
    """
    fitting = [part for part in _PART_SIZES if -(-size // part) == count]
    even = -(-size // count) if count else size  # tools that cut evenly round the part up to whole MiB
    rounded = -(-even // _MIB) * _MIB
    return fitting or [max(1, rounded)]
