"""What was published, as a store that zarr reads: every object as it is on record, or an error, never a fill value.

Source: zarr-python's `zarr.abc.store.Store`.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from zsync.errors import SourceError, TargetError
from zsync.keys import shown
from zsync.layout.codecs import unsafe_codec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from zsync.inventory.origin import Objects

_DOCUMENTS = (".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json")
_MOST_BYTES = 2**30


class Snapshot(Store):
    """One Zarr store of a product, read-only.

    Parameters
    ----------
    origin
        The product.
    prefix
        The store's key prefix in it; empty if the product is the store.
    documents
        Metadata that was read before, by key in the product: it is not asked for again.
    """

    def __init__(self, origin: Objects, prefix: str, documents: Mapping[str, bytes]) -> None:
        super().__init__(read_only=True)
        base = f"{prefix}/" if prefix else ""
        self._origin = origin
        self._base = base
        self._documents = documents
        self._sizes = {
            key.removeprefix(base): signature[0]
            for key, signature in zip(origin.seen.keys, origin.seen.signatures, strict=True)
            if key.startswith(base)
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Snapshot) and (self._origin, self._base) == (other._origin, other._base)

    __hash__ = None  # type: ignore[assignment]

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return an object, or a part of it; None if it was not published."""
        if key not in self._sizes:
            return None
        start, end = _span(byte_range, self._sizes[key])
        if (known := self._documents.get(self._base + key)) is not None:
            self._refuse_unsafe(key, known)
            return prototype.buffer.from_bytes(known[start:end])
        if key.rpartition("/")[2] in _DOCUMENTS and end - start > _MOST_BYTES:
            raise TargetError("metadata is larger than it can be", self._where(key))
        data = await asyncio.to_thread(self._origin.part, self._base + key, start, end - start)
        if key.rpartition("/")[2] in _DOCUMENTS:
            self._refuse_unsafe(key, data)
        return prototype.buffer.from_bytes(data)

    def _where(self, key: str) -> str:
        return f"{self._origin.name}/{shown(self._base + key)}"

    def _refuse_unsafe(self, key: str, data: bytes) -> None:
        """Refuse an array before anything of it is decoded, if a codec of its would run what it holds."""
        try:
            codec = unsafe_codec(json.loads(data))
        except (ValueError, RecursionError):  # zarr says what is wrong with it
            return
        if codec is not None:
            raise SourceError(
                f"a codec would run what the bucket holds: {shown(codec)}",
                self._where(key),
                "leave this array out, or pull the store whole, of which nothing is decoded",
            )

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of objects."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Return whether an object was published."""
        return key in self._sizes

    @property
    def supports_writes(self) -> bool:
        """What was published stays as it is."""
        return False

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse."""
        raise NotImplementedError

    @property
    def supports_deletes(self) -> bool:
        """What was published stays as it is."""
        return False

    async def delete(self, key: str) -> None:
        """Refuse."""
        raise NotImplementedError

    @property
    def supports_listing(self) -> bool:
        """The manifest is a listing."""
        return True

    async def list(self) -> AsyncIterator[str]:
        """Yield all keys."""
        for key in self._sizes:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys that begin with a prefix."""
        for key in self._sizes:
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names directly below a prefix."""
        base = f"{prefix.rstrip('/')}/" if prefix else ""
        names = {key[len(base) :].partition("/")[0] for key in self._sizes if key.startswith(base)}
        for name in sorted(names):
            yield name


def _span(part: Any, size: int) -> tuple[int, int]:
    if isinstance(part, RangeByteRequest):
        return part.start, min(part.end, size)
    if isinstance(part, OffsetByteRequest):
        return part.offset, size
    if isinstance(part, SuffixByteRequest):
        return max(size - part.suffix, 0), size
    return 0, size
