"""What a chunk's bytes hold: whether two versions of a chunk have the same cells, told by decoding both with zarr."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

from zsync.layout.codecs import unsafe_codec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zsync.layout import Array


def same_cells(
    array: Array,
    document: Mapping[str, Any],
    old: bytes | None,
    new: bytes | None,
    lengths: tuple[int, ...],
    cells: tuple[int, ...],
) -> bool:
    """Return whether the first cells of a chunk have the same values in two versions of it.

    Parameters
    ----------
    array
        The array that it belongs to.
    document
        The array's own metadata, ``.zarray`` or ``zarr.json``: both versions decode by it.
    old, new
        The bytes of the chunk, or shard; None where there is none, which means fill value.
    lengths
        The shape of the chunk, or shard.
    cells
        How many cells to look at along each axis, from the chunk's first one.

    Returns
    -------
    bool
        False also where a version cannot be decoded, or must not be.

    Notes
    -----
    NaN equals NaN here. Zarr v2 specification, "Arrays"; Zarr v3 core specification, "Chunk encoding".
    """
    import numpy as np

    if unsafe_codec(document) is not None:
        return False
    try:
        before, after = (_decode(array, document, body, lengths, cells) for body in (old, new))
    except Exception:  # noqa: BLE001 - codecs raise what they like; what cannot be decoded is not known to be the same
        return False
    return bool(np.array_equal(before, after, equal_nan=before.dtype.kind in "fc"))


def same_values(
    documents: tuple[Mapping[str, Any], Mapping[str, Any]],
    arrays: tuple[Array, Array],
    body: bytes,
    lengths: tuple[int, ...],
) -> bool:
    """Return whether a chunk's bytes decode to the same numbers by two arrays' metadata.

    Parameters
    ----------
    documents
        The arrays' own metadata, ``.zarray`` or ``zarr.json``.
    lengths
        The shape of the chunk, or shard.

    Returns
    -------
    bool
        False also where they cannot be decoded, or must not be.
    """
    import numpy as np

    if any(unsafe_codec(document) is not None for document in documents):
        return False
    try:
        one, other = (
            _decode(array, document, body, lengths, lengths) for array, document in zip(arrays, documents, strict=True)
        )
    except Exception:  # noqa: BLE001 - as above
        return False
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc" and other.dtype.kind in "fc"))


def _decode(
    array: Array, document: Mapping[str, Any], body: bytes | None, lengths: tuple[int, ...], cells: tuple[int, ...]
) -> Any:
    """Return the first cells of a chunk: it is read as an array that has no other chunk."""
    import zarr
    from zarr.core.buffer import default_buffer_prototype
    from zarr.storage import MemoryStore

    if array.grid is None:
        raise ValueError("the grid is not known")
    name = ".zarray" if array.zarr_format == 2 else "zarr.json"
    alone = {**document, "shape": list(lengths)}
    if array.zarr_format != 2:
        alone["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": list(lengths)}}
    objects = {name: json.dumps(alone).encode()}
    if body is not None:
        objects[array.grid.key((0,) * len(cells))] = body
    make = default_buffer_prototype().buffer.from_bytes
    store = MemoryStore({key: make(data) for key, data in objects.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's remarks on data types without a specification
        opened = zarr.open_array(store, mode="r", zarr_format=2 if array.zarr_format == 2 else 3)
        return opened[tuple(slice(0, count) for count in cells)]
