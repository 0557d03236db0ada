"""What is known of arrays as they were published: shapes, grids, and the labels of their dimensions."""

from __future__ import annotations

import json
import logging
import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

from zsync.history.model import Known
from zsync.layout import Dimensions, describe, is_metadata, join, members_of
from zsync.layout.codecs import unsafe_codec
from zsync.layout.documents import METADATA_NAMES, ZARR_JSON, ZARRAY, ZATTRS, ZMETADATA
from zsync.layout.nodes import parent
from zsync.tasks import side_by_side
from zsync.words import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np

    from zsync.history.model import ArrayPlace
    from zsync.history.reading import AsPublished
    from zsync.layout import Store

log = logging.getLogger(__name__)

_MOST_STORES = 1000  # that are looked at; of others only chunks are told
_MOST_DOCUMENTS = 500  # of a store without consolidated metadata
_MOST_CELLS, _MOST_CHUNKS, _MOST_BYTES = 200_000, 64, 8 * 2**20  # of a coordinate
_MOST_UNPACKED = 64 * 2**20  # bytes
_UNREADABLE = (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError, ImportError, OverflowError)


def known_of(side: AsPublished, places: Iterable[ArrayPlace]) -> dict[ArrayPlace, Known]:
    """Return what is known of arrays, by their places; those of which nothing can be had any more are left out.

    Parameters
    ----------
    side
        The publication.
    places
        The arrays: key prefix of the store, and path in it.
    """
    wanted: dict[str, list[str]] = {}
    for store, array in places:
        if store is not None and array is not None:
            wanted.setdefault(store, []).append(array)
    if len(wanted) > _MOST_STORES:
        log.info("of %d stores that differ only %d are looked at for ranges", len(wanted), _MOST_STORES)
    stores = list(wanted)[:_MOST_STORES]
    read = side_by_side(lambda prefix: _StoreThen(side, prefix), stores)
    return {
        (then.prefix, array): known
        for then in read
        for array in wanted[then.prefix]
        if (known := then.known(array)) is not None
    }


class _StoreThen:
    """A Zarr store as it was published."""

    def __init__(self, side: AsPublished, prefix: str) -> None:
        self._side = side
        self.prefix = prefix
        self._store = _described(prefix, _documents(side, prefix))
        self._labels: dict[str, Sequence[str]] = {}

    @cached_property
    def _dimensions(self) -> Dimensions | None:
        return None if self._store is None else Dimensions.of(self._store)

    def known(self, path: str) -> Known | None:
        if self._store is None or self._dimensions is None or path not in self._store.arrays:
            return None
        names = self._dimensions.names.get(path, ())
        labels = {}
        for name in names:
            coordinate = self._dimensions.label_of(parent(path), name) if name else None
            if name and coordinate is not None:
                if coordinate not in self._labels:
                    self._labels[coordinate] = self._read_labels(self._store, coordinate)
                labels[name] = self._labels[coordinate]
        return Known(self._store.arrays[path], names, labels)

    def _read_labels(self, store: Store, path: str) -> Sequence[str]:
        """Return the labels of a coordinate as text; none of one that is large, or cannot be had."""
        array = store.arrays[path]
        keys = [key for key in self._side.keys_of(self.prefix, path) if not is_metadata(Kind.ZARR, key)]
        is_small = len(keys) <= _MOST_CHUNKS and self._side.size(keys) <= _MOST_BYTES
        if array.grid is None or not is_small or not 0 < array.shape[0] <= _MOST_CELLS:
            return ()
        chunks = self._side.read(keys)
        if len(chunks) < len(keys):
            return ()
        documents = {name: store.documents.get(join(path, name)) for name in (ZARRAY, ZATTRS, ZARR_JSON)}
        if any(unsafe_codec(document) is not None for document in documents.values()):
            return ()
        base = join(self.prefix, path)
        objects = {key.removeprefix(f"{base}/") if base else key: data for key, data in chunks.items()}
        objects |= {name: json.dumps(document).encode() for name, document in documents.items() if document is not None}
        try:
            from zsync.history.labels import as_text

            return as_text(_decoded(objects, array.zarr_format))
        except _UNREADABLE as error:
            log.debug("the labels in %s cannot be read: %s", base, error)
            return ()


def _decoded(objects: Mapping[str, bytes], zarr_format: int) -> np.ndarray[Any, Any]:
    """Return the values of an array that is given object by object, decoded as xarray does it."""
    import xarray as xr
    import zarr
    from zarr.core.buffer import default_buffer_prototype
    from zarr.storage import MemoryStore

    make = default_buffer_prototype().buffer.from_bytes
    store = MemoryStore({key: make(data) for key, data in objects.items()}, read_only=True)
    array = zarr.open_array(store, mode="r", zarr_format=2 if zarr_format == 2 else 3)
    if max(array.size, math.prod(array.chunks)) * array.dtype.itemsize > _MOST_UNPACKED:
        raise ValueError("a chunk of it is larger than a coordinate can be")
    variable = xr.Variable(("along",), array[:], array.attrs.asdict())
    values: np.ndarray[Any, Any] = xr.decode_cf(xr.Dataset({"along": variable}))["along"].to_numpy()
    return values


def _documents(side: AsPublished, prefix: str) -> dict[str, bytes]:
    """Return the metadata of a store: what is consolidated, or else each document."""
    tops = side.read([join(prefix, ZMETADATA), join(prefix, ZARR_JSON)])
    inside: dict[str, bytes] = {}
    for raw in tops.values():
        try:
            members = members_of(json.loads(raw))
        except (ValueError, RecursionError, AttributeError):
            continue
        inside |= {join(prefix, key): json.dumps(document).encode() for key, document in members.items()}
    roots = {key: raw for key, raw in tops.items() if key.endswith(ZARR_JSON)}
    if inside:
        return {**inside, **roots}
    keys = side.documents_of(prefix, METADATA_NAMES - {ZMETADATA})
    found = side.read(keys) if len(keys) <= _MOST_DOCUMENTS else {}
    # A root that cannot be had any more was a group all the same, where there is anything below it.
    root = join(prefix, ZARR_JSON)
    if root in keys and root not in found and len(keys) > 1:
        found[root] = b'{"zarr_format": 3, "node_type": "group"}'
    return found


def _described(prefix: str, documents: Mapping[str, bytes]) -> Store | None:
    try:
        return describe(Kind.ZARR, "", list(documents), documents).stores.get(prefix) if documents else None
    except _UNREADABLE as error:
        log.debug("the metadata in %s cannot be understood: %s", prefix, error)
        return None
