"""What readers do: open every store with its consolidated metadata and without, decode some chunks, open rasters."""

from __future__ import annotations

import io
import itertools
import math
import os
import random
import warnings
from typing import TYPE_CHECKING, Any

from zsync.errors import TargetError, ZsyncError
from zsync.inventory.snapshot import Snapshot
from zsync.keys import under
from zsync.layout import store_prefixes
from zsync.layout.rasters import is_raster_name
from zsync.tasks import side_by_side
from zsync.verifying.difference import Difference, Wrong, difference
from zsync.words import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zsync.inventory import Objects
    from zsync.verifying.asking import Found

_AT_ONCE = 8
_CHUNKS = 3  # of an array that are decoded
_WINDOW = 256  # pixels
_DRIVER = "GTiff"  # what is called so may be anything, and other drivers follow what it names
_BUFFER = 2**16  # bytes asked for at once
_MOST_BYTES = 2**31  # of a chunk that is decoded
# As readers and codecs fail over what anybody may have written.
_UNREADABLE = (
    ValueError, TypeError, LookupError, AttributeError, AssertionError, RuntimeError, OSError, ArithmeticError,
    MemoryError,
)  # fmt: skip


def as_reader(
    found: Found, kind: Kind, documents: Mapping[str, bytes], seed: int
) -> tuple[list[Difference], list[Finding]]:
    """Read a product as its readers do.

    Parameters
    ----------
    documents
        Metadata that was read already.
    seed
        Chooses the chunks.
    """
    origin = found.objects()
    rasters = [key for key in found.listing.keys if is_raster_name(key)]
    prefixes = sorted(store_prefixes(found.listing.keys)) if kind is Kind.ZARR else []
    said = side_by_side(lambda prefix: _Store(found, origin, prefix, documents, seed).judged(), prefixes, _AT_ONCE)
    with warnings.catch_warnings():
        if rasters:
            from rasterio.errors import NotGeoreferencedWarning

            warnings.simplefilter("ignore", NotGeoreferencedWarning)
        opened = side_by_side(lambda key: _raster(found, key), rasters, _AT_ONCE)
    differences = [item for found_there, _ in said for item in found_there]
    findings = [item for _, noticed in said for item in noticed]
    return differences + [item for item in opened if item is not None], findings


class _Store:
    """One Zarr store, as it is read."""

    def __init__(self, found: Found, origin: Objects, prefix: str, documents: Mapping[str, bytes], seed: int) -> None:
        self._name, self._prefix, self._seed = found.name, prefix, seed
        self._store = Snapshot(origin, prefix, documents)
        self._findings: list[Finding] = []

    def judged(self) -> tuple[list[Difference], list[Finding]]:
        """Return what is wrong with it, and what could not be told."""
        import zarr

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                root = zarr.open(self._store, mode="r")
                if isinstance(root, zarr.Array):
                    return list(self._decoded("", root)), self._findings
                plain = zarr.open_group(self._store, mode="r", use_consolidated=False)
                listed = dict(plain.members(max_depth=None))
                seen = dict(root.members(max_depth=None))
            except (*_UNREADABLE, ZsyncError) as error:
                return [self._closed(error)], self._findings
            differences = self._compared(seen, listed) if root.metadata.consolidated_metadata is not None else []
            arrays = {path: node for path, node in listed.items() if isinstance(node, zarr.Array)}
            for path, array in arrays.items():
                differences += self._decoded(path, array)
        return differences, self._findings

    def _closed(self, error: Exception) -> Difference:
        return difference(self._name, self._prefix, Wrong.CLOSED, f"the store does not open: {_said(error)}")

    def _key(self, path: str) -> str:
        return "/".join(filter(None, (self._prefix, path)))

    def _compared(self, seen: dict[str, Any], listed: dict[str, Any]) -> list[Difference]:
        """Compare what consolidated metadata tells with what each node does."""
        found = []
        for path in sorted(seen.keys() | listed.keys()):
            if path not in seen:
                what = "is not in consolidated metadata: most readers do not find it"
            elif path not in listed:
                what = "is in consolidated metadata, and has no metadata of its own"
            elif _view(seen[path]) != _view(listed[path]):
                what = "is another one in consolidated metadata than by its own"
            else:
                continue
            found.append(difference(self._name, self._key(path), Wrong.VIEWS, what))
        return found

    def _decoded(self, path: str, array: Any) -> Iterator[Difference]:
        """Decode some chunks of an array."""
        if math.prod(array.shards or array.chunks) * max(array.dtype.itemsize, 1) > _MOST_BYTES:
            message = "its chunks are too large to be decoded by the way"
            self._findings.append(Finding("info", "large-chunks", self._name, self._key(path), message))
            return
        for where in _some_chunks(array, self._seed):
            try:
                array[where]
            except ImportError as error:
                message = f"it cannot be decoded here: {_said(error)}"
                self._findings.append(Finding("warning", "no-codec", self._name, self._key(path), message))
                return
            except (*_UNREADABLE, ZsyncError) as error:
                place = ", ".join(f"{part.start}:{part.stop}" for part in where)
                message = f"does not decode at [{place}]: {_said(error)}"
                yield difference(self._name, self._key(path), Wrong.UNDECODABLE, message)
                return


def _view(node: Any) -> tuple[str, ...]:
    """Return what a node says, as text: no number is itself where it is none."""
    attributes = repr(sorted(dict(node.attrs).items(), key=repr))
    if not hasattr(node, "shape"):
        return ("group", attributes)
    said = (node.shape, node.chunks, node.shards, node.dtype, node.fill_value, node.compressors, node.filters)
    return ("array", attributes, *map(repr, said))


def _some_chunks(array: Any, seed: int) -> list[tuple[slice, ...]]:
    """Return where the first, the last, and another chunk of an array lie."""
    steps = [max(1, step) for step in (array.shards or array.chunks)]
    counts = [-(-length // step) for length, step in zip(array.shape, steps, strict=True)]
    if not all(counts):
        return []
    total, choose = math.prod(counts), random.Random(f"{seed} {array.path}")  # noqa: S311 - no secret
    chosen = {0, total - 1, *(choose.randrange(total) for _ in range(_CHUNKS - 2))}
    return [_slices(number, counts, steps, array.shape) for number in sorted(chosen)]


def _slices(number: int, counts: list[int], steps: list[int], shape: tuple[int, ...]) -> tuple[slice, ...]:
    index = []
    for count in reversed(counts):
        number, place = divmod(number, count)
        index.append(place)
    parts = zip(reversed(index), steps, shape, strict=True)
    return tuple(slice(place * step, min((place + 1) * step, length)) for place, step, length in parts)


def _raster(found: Found, key: str) -> Difference | None:
    """Open a raster, and read a window in its middle and its coarsest overview."""
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    try:
        with _opened(rasterio, found, key) as file:
            width, height = min(file.width, _WINDOW), min(file.height, _WINDOW)
            window = Window((file.width - width) // 2, (file.height - height) // 2, width, height)
            file.read(1, window=window)
            for row, column in itertools.product((0, file.height - 1), (0, file.width - 1)):
                file.read(1, window=Window(column, row, 1, 1))
            if levels := file.overviews(1):
                file.read(1, out_shape=(-(-file.height // levels[-1]), -(-file.width // levels[-1])))
    except (RasterioError, ZsyncError) as error:
        return difference(found.name, key, Wrong.CLOSED, f"the raster does not open, or decode: {_said(error)}")
    return None


def _opened(rasterio: Any, found: Found, key: str) -> Any:
    """Open a raster as GDAL does, with what lies beside it; far away, in byte ranges of what is listed."""
    if found.is_here:
        return rasterio.open(f"/{found.target.place.base}{key}", driver=_DRIVER)
    listing = found.listing
    rows = zip(listing.keys, listing.sizes, listing.etags, strict=True)
    there: dict[str, tuple[int, str | None]] = {name: (size, etag) for name, size, etag in rows}

    def opener(path: str, mode: str = "rb") -> io.BufferedReader:
        del mode
        if path not in there:
            raise FileNotFoundError(path)
        size, etag = there[path]
        return io.BufferedReader(_Ranges(found, path, size, etag), _BUFFER)

    return rasterio.open(key, opener=opener, driver=_DRIVER)


class _Ranges(io.RawIOBase):
    """An object, as a file that is read."""

    def __init__(self, found: Found, key: str, size: int, etag: str | None) -> None:
        super().__init__()
        self._place, self._key, self._size, self._etag = found.target.place, key, size, etag
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, begin + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), max(0, self._size - self._at))
        if not length:
            return 0
        key = under(self._place.base, self._key)
        try:
            buffer[:length] = self._place.store.fetch(key, self._at, length, etag=self._etag)
        except TargetError as error:
            raise OSError(str(error)) from error
        self._at += length
        return length


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
