"""A publication as a store of zarr's."""

from __future__ import annotations

import asyncio
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NoReturn

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from zsync.snapshots.finding import HEAD, Snapshot, find_snapshot
from zsync.snapshots.reading import Contents, contents_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Iterable

    from zarr.core.buffer import Buffer, BufferPrototype

_AT_ONCE = 64  # requests under way at once; how many a bucket bears is told by its pace


class SnapshotStore(Store):
    """A publication, as it was published, to read from: a store for zarr and xarray.

    What is published meanwhile never shows, and an object that is not to be had any more is an error, never a fill
    value. Nothing is read before it is asked for. A copy that was pickled opens a connection of its own where it is
    used, and holds no secret: credentials come from the environment or the profile there.

    Parameters
    ----------
    url
        URL of a product, or of a store or group in it; or the path of a directory that was published to, or pulled.
    at
        ``head`` for what is published now; the id of a publication; or a time, to have what was published then.
    read_only
        It is.
    **options
        Options of the configuration, for instance ``endpoint_url``, ``profile`` or ``anonymous``.

    Raises
    ------
    ConfigError
        zsync published nothing there, or not then.
    TargetError
        The store cannot be reached, or its records cannot be read.

    Examples
    --------
    >>> import zarr, zsync
    >>> store = zsync.SnapshotStore("s3://bucket/products/oco3.zarr", at="2026-01-31")  # doctest: +SKIP
    >>> zarr.open_group(store)["xco2"][:10]  # doctest: +SKIP
    """

    _kept: tuple[int, Snapshot, Contents] | None = None

    def __init__(self, url: Any, *, at: str | dt.date | None = HEAD, read_only: bool = True, **options: Any) -> None:
        if not read_only:
            raise ValueError("what was published is not to be changed: a SnapshotStore is read-only")
        super().__init__(read_only=True)
        self.snapshot, self.path = find_snapshot(url, at, options)

    @classmethod
    def of(cls, snapshot: Snapshot, path: str = "") -> SnapshotStore:
        """Return the store of a snapshot, or of what lies below a path in it."""
        store = cls.__new__(cls)
        Store.__init__(store, read_only=True)
        store.snapshot, store.path = snapshot, path.strip("/")
        return store

    @property
    def publication(self) -> str:
        """Id of the publication."""
        return self.snapshot.publication

    @property
    def url(self) -> str:
        """What the store's keys are relative to."""
        return self.snapshot.place.location.child(self.path).url

    @property
    def contents(self) -> Contents:
        """The objects of the publication, with keys relative to the product."""
        # Looked up once: to tell a snapshot from others takes longer than to find a key. Locks do not outlive a fork.
        process, snapshot, contents = self._kept or (0, None, None)
        if contents is None or process != os.getpid() or snapshot is not self.snapshot:
            contents = contents_of(self.snapshot)
            self._kept = os.getpid(), self.snapshot, contents
        return contents

    async def _loaded(self) -> Contents:
        """Return the contents; to read the manifest takes its time, the first time."""
        return await asyncio.get_running_loop().run_in_executor(_threads(), lambda: self.contents)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}

    def _whole(self, key: str) -> str:
        return f"{self.path}/{key}" if self.path else key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SnapshotStore) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[str, str]:
        return self.url, self.publication

    def __dask_tokenize__(self) -> tuple[str, str, str]:
        return type(self).__name__, *self._identity

    def __str__(self) -> str:
        return f"{self.url} at {self.publication}"

    def __repr__(self) -> str:
        return f"SnapshotStore({self.url!r}, at={self.publication!r})"

    def with_read_only(self, read_only: bool = False) -> SnapshotStore:  # noqa: FBT001, FBT002 - as zarr has it
        """Return the same store; there is none to write to.

        Raises
        ------
        ValueError
            It was to be written to.
        """
        if not read_only:
            raise ValueError("what was published is not to be changed: a SnapshotStore is read-only")
        return SnapshotStore.of(self.snapshot, self.path)

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return an object, or some of its bytes; None if the publication does not name it."""
        read = functools.partial(self.get_sync, key, prototype=prototype, byte_range=byte_range)
        return await asyncio.get_running_loop().run_in_executor(_threads(), read)

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return an object, or some of its bytes, as `get` does, and wait for it."""
        data = self._read(self._whole(key), byte_range)
        if data is None:
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(data)

    def _read(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        contents = self.contents
        if byte_range is None:
            return contents.read(key)
        size = contents.size(key)
        if size is None:
            return None
        if isinstance(byte_range, RangeByteRequest):
            return contents.part(key, byte_range.start, byte_range.end - byte_range.start)
        if isinstance(byte_range, OffsetByteRequest):
            return contents.part(key, byte_range.offset, size)
        if isinstance(byte_range, SuffixByteRequest):
            return contents.part(key, max(0, size - byte_range.suffix), size)
        raise ValueError(f"Unexpected byte_range, got {byte_range!r}")

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of objects, read side by side."""
        return await asyncio.gather(*(self.get(key, prototype, wanted) for key, wanted in key_ranges))

    async def exists(self, key: str) -> bool:
        """Return whether the publication names an object."""
        return (await self._loaded()).size(self._whole(key)) is not None

    async def getsize(self, key: str) -> int:
        """Return the size of an object, in bytes; nothing is asked for that."""
        size = (await self._loaded()).size(self._whole(key))
        if size is None:
            raise FileNotFoundError(key)
        return size

    @property
    def supports_listing(self) -> bool:
        """The manifest tells what there is."""
        return True

    async def list(self) -> AsyncIterator[str]:
        """Yield all keys."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield all keys that begin with a prefix."""
        for key in (await self._loaded()).keys(self._whole(prefix)):
            yield key[len(self._whole("")) :]

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names directly below a prefix."""
        below = prefix.strip("/")
        for name in (await self._loaded()).level(self._whole(f"{below}/" if below else "")):
            yield name

    @property
    def supports_writes(self) -> bool:
        """It is read-only."""
        return False

    @property
    def supports_deletes(self) -> bool:
        """It is read-only."""
        return False

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse."""
        self._refuse(key, value)

    async def delete(self, key: str) -> None:
        """Refuse."""
        self._refuse(key)

    def _refuse(self, *what: Any) -> NoReturn:
        del what
        self._check_writable()
        raise AssertionError


@functools.cache
def _threads() -> ThreadPoolExecutor:
    """Return the threads that wait for answers: the loop of zarr's is to go on meanwhile."""
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="zsync-snapshot")


os.register_at_fork(after_in_child=_threads.cache_clear)
