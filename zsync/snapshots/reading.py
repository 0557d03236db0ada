"""The objects of a publication, each as it was published."""

from __future__ import annotations

import functools
import os
import re
import threading
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from zsync.errors import GoneError, PermissionDeniedError, SourceChangedError, TargetError
from zsync.inventory import cache_directory
from zsync.inventory.origin import ObjectReader
from zsync.publication import ManifestLostError, manifest
from zsync.publication.whereabouts import Held, Kept, Published, Where, candidates
from zsync.steps.whereabouts import OF_THE_WAY, kept_in, path_of, versions_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zsync.snapshots.finding import Snapshot

_BLOCK = 2**23  # bytes that are hashed at a time
_CHUNK = re.compile(r"(?:(.*)/)?(?:c|(?:c[./])?\d+(?:[./]\d+)*)")  # the key of one, in any encoding


@dataclass(slots=True)
class _Trash:
    """What is in the trash, as it was listed last."""

    listed_s: float = 0.0
    kept: Mapping[str, Sequence[Kept]] = field(default_factory=dict)


class Contents:
    """The objects of a publication, each as it was published; safe to use from many threads.

    Raises
    ------
    TargetError
        The manifest cannot be read.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        place = snapshot.place
        try:
            table = manifest.read(place.store, place.state, snapshot.parts, cache_directory() / "manifests")
        except ManifestLostError as error:
            raise TargetError(
                f"the manifest of publication {snapshot.publication} cannot be read: {error}", place.url
            ) from error
        # Looked up where they lie: a dictionary of a million keys takes seconds to make, and four times the space.
        table = table.select(["key", "size", "etag", "version", "digest", "store", "array"]).sort_by("key")
        self._keys = table["key"].cast(pa.large_string()).combine_chunks()
        self._table = table.combine_chunks()
        self._trash = _Trash()
        self._looking = threading.Lock()
        self._found: dict[str, Held] = {}  # of what was not where it was put
        self._reads_versions = True
        self._in_arrays: dict[str, bool] = {}

    def stores(self, below: str) -> list[str]:
        """Return the prefixes of the Zarr stores below a path, relative to the product."""
        names = self._table["store"].unique().to_pylist()
        return sorted(name for name in names if name is not None and (not below or f"{name}/".startswith(f"{below}/")))

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with a prefix, in their order."""
        start, stop = self._range(prefix, 0)
        return (self._key(index) for index in range(start, stop))

    def level(self, prefix: str) -> Iterator[str]:
        """Yield the names directly below a prefix that is empty or ends in ``/``; what lies deeper is not looked at."""
        seen: set[str] = set()
        index, stop = self._range(prefix, 0)
        while index < stop:
            name, slash, _ = self._key(index)[len(prefix) :].partition("/")
            index = self._range(f"{prefix}{name}/", index)[1] if slash else index + 1
            if name not in seen:
                seen.add(name)
                yield name

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes; None if the publication does not name it."""
        item = self._published(key)
        return None if item is None else item.size

    def read(self, key: str) -> bytes | None:
        """Return an object; None if the publication does not name it.

        Raises
        ------
        GoneError
            It is not to be had any more.
        """
        item = self._named(key)
        return None if item is None else self._bytes(item, 0, item.size)

    def part(self, key: str, start: int, length: int) -> bytes | None:
        """Return some bytes of an object, up to its end; None if the publication does not name it.

        Raises
        ------
        GoneError
            It is not to be had any more.
        """
        item = self._named(key)
        if item is None:
            return None
        start = min(start, item.size)
        return self._bytes(item, start, min(length, item.size - start))

    def _key(self, index: int) -> str:
        key: str = self._keys[index].as_py()
        return key

    def _range(self, prefix: str, low: int) -> tuple[int, int]:
        """Return where the keys lie that begin with a prefix."""
        rows, length = range(len(self._keys)), len(prefix)
        start = bisect_left(rows, prefix, low, key=self._key)
        return start, bisect_right(rows, prefix, start, key=lambda index: self._key(index)[:length])

    def _published(self, key: str) -> Published | None:
        index = self._index(key)
        if index is None:
            return None
        return Published(key, *(self._table[name][index].as_py() for name in ("size", "etag", "version", "digest")))

    def _named(self, key: str) -> Published | None:
        """Return an object that is to be read; None if the publication does not name it."""
        item = self._published(key)
        if item is None:
            self._refuse_chunk_of_others(key)
        return item

    def _refuse_chunk_of_others(self, key: str) -> None:
        """Raise for a chunk of an array that another tool put there.

        With ``retire: keep`` consolidated metadata tells of it; that it has no chunks on record does not make them fill
        values.
        """
        match = _CHUNK.fullmatch(key)
        if match is None:
            return
        above = match[1] or ""
        if above not in self._in_arrays:
            self._in_arrays[above] = self._is_in_array(above)
        if not self._in_arrays[above]:
            snapshot = self._snapshot
            raise GoneError(
                f"the array is not part of publication {snapshot.publication}: another tool put it there",
                snapshot.place.location.child(key).url,
                "read it without zsync",
            )

    def _is_in_array(self, path: str) -> bool:
        """Return whether the nearest node at a path, or above it, is an array; also where that is not known."""
        while True:
            base = f"{path}/" if path else ""
            named = [self._index(f"{base}{name}") for name in (".zarray", "zarr.json", ".zgroup")]
            found = [(self._table["store"][index], self._table["array"][index]) for index in named if index is not None]
            if found:  # in a product of plain files nobody asked what they are
                return any(array.is_valid or not store.is_valid for store, array in found)
            if not path:
                return True
            path = path.rpartition("/")[0]

    def _index(self, key: str) -> int | None:
        index = bisect_left(range(len(self._keys)), key, key=self._key)
        return index if index < len(self._keys) and self._key(index) == key else None

    def _bytes(self, item: Published, start: int, length: int) -> bytes:
        if not length:
            return b""
        refused: TargetError | None = None
        for held in self._places(item):
            try:
                if not held.is_proved and not self._is_it(item, held):
                    continue
                data = self._fetch(item, held, start, length)
            except SourceChangedError:
                continue
            except OF_THE_WAY:
                raise
            except TargetError as error:
                # Whoever may read a bucket may not always read its versions.
                self._reads_versions &= held.where != Where.VERSION or not isinstance(error, PermissionDeniedError)
                refused = error
                continue
            if held.where == Where.TRASH or held.version != item.version:
                self._found[item.key] = held
            return data
        raise refused or self._gone(item)

    def _places(self, item: Published) -> Iterator[Held]:
        """Yield where an object may be: first what is known without asking anybody."""
        snapshot = self._snapshot
        if (found := self._found.get(item.key)) is not None:
            yield found
        kept = self._trash.kept.get(item.key, ())
        known = candidates(item, snapshot.publication, live=None, kept=kept, is_listed=False)
        tried = [held for held in known if held.is_proved]
        yield from tried if self._reads_versions else sorted(tried, key=lambda held: held.where == Where.VERSION)
        kept = self._kept_since(time.monotonic()).get(item.key, ())
        yield from (h for h in candidates(item, snapshot.publication, live=None, kept=kept) if h not in tried)
        versions = versions_of(snapshot.place, item.key).get(item.key, ())
        yield from candidates(item, snapshot.publication, live=None, versions=versions)

    def _kept_since(self, moment: float) -> Mapping[str, Sequence[Kept]]:
        """Return what is in the trash by a listing that began no earlier than a moment."""
        with self._looking:
            if self._trash.listed_s < moment:
                began = time.monotonic()
                self._trash = _Trash(began, self._list_trash())
            return self._trash.kept

    def _list_trash(self) -> Mapping[str, Sequence[Kept]]:
        try:
            return kept_in(self._snapshot.place)
        except OF_THE_WAY:
            raise
        except TargetError:  # whoever may read objects may not always list them
            return {}

    def _reader(self, item: Published, held: Held) -> ObjectReader:
        place = self._snapshot.place
        path = path_of(place, item.key, held)
        return ObjectReader(place.spec, path, item.size, held.etag, held.version, item.digest)

    def _fetch(self, item: Published, held: Held, start: int, length: int) -> bytes:
        reader = self._reader(item, held)
        if length == item.size:
            return b"".join(reader.blocks(length))  # with its digest
        return reader.part(start, length)

    def _is_it(self, item: Published, held: Held) -> bool:
        """Return whether what is in a place has the bytes on record: it is read whole, once."""
        if self._found.get(item.key) == held:
            return True
        from blake3 import blake3

        total, reader = blake3(), self._reader(item, held)
        for start in range(0, item.size, _BLOCK):
            total.update(reader.part(start, min(_BLOCK, item.size - start)))
        return total.hexdigest() == item.digest

    def _gone(self, item: Published) -> GoneError:
        snapshot = self._snapshot
        where = snapshot.place.location.child(item.key).url
        if snapshot.is_head:
            return GoneError(
                f"the product was published again since this snapshot, {snapshot.publication}, was opened, or is now",
                where,
                "open it anew; where a bucket keeps versions, or with publish.keep_history, it could be read on",
            )
        return GoneError(
            f"an object of publication {snapshot.publication} is gone: it was replaced or removed, and not kept",
            where,
            "take a later publication",
        )


@functools.lru_cache(maxsize=16)
def contents_of(snapshot: Snapshot) -> Contents:
    """Return the contents of a snapshot; the same in a process, for all that read it."""
    return Contents(snapshot)


# Locks of the parent's threads are not let go of in a child.
os.register_at_fork(after_in_child=contents_of.cache_clear)
