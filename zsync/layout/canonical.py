"""Metadata in one form: two documents that readers understand alike are the same in it, however they are written.

What tells whether chunks decode the same (`zsync.layout.meaning`) and whether consolidated metadata is true
(`zsync.layout.consolidated`) is this one form. What only writers ask, such as a compressor's level, is no part of it.

Sources: Zarr v2 specification, "Metadata"; Zarr v3 core specification, "Array metadata" and "Group metadata"; the
rectilinear chunk grid of zarr-extensions.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeGuard

from zsync.layout.datatypes import numbers, type_v2, type_v3, value_of
from zsync.layout.pipeline import object_codec_of, pipeline_v2, pipeline_v3

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zsync.layout.grid import Edges

_MOST_CHUNKS = 1_000_000  # along an axis of which each chunk is named
_SEPARATORS = {"default": "/", "v2": "."}
_V2 = ("dtype", "chunks", "compressor", "filters", "order", "fill_value", "dimension_separator")
_V3 = ("data_type", "chunk_grid", "chunk_key_encoding", "codecs", "fill_value", "storage_transformers")


def named(value: Any) -> tuple[str, dict[str, Any]] | None:
    """Return name and configuration of a v3 extension, which may be written as its name alone."""
    if isinstance(value, str):
        return value, {}
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    configuration = value.get("configuration") or {}
    return (value["name"], configuration) if isinstance(configuration, dict) else None


def same_document(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> bool:
    """Return whether two metadata documents mean the same to whoever reads.

    The order of keys, a group's consolidated metadata, defaults that one leaves out and how types, codecs and fill
    values are written make no difference. Attributes are compared as they stand: 1 and 1.0 are read as different types.

    Parameters
    ----------
    a, b
        Parsed documents of one kind: ``.zarray``, ``.zattrs``, ``.zgroup``, ``.zmetadata`` or ``zarr.json``.
        None, a document that is not there, is as good as an empty one.

    Examples
    --------
    >>> same_document({"zarr_format": 2, "consolidated_metadata": {}}, {"zarr_format": 2})
    True
    """
    return equal(a or {}, b or {}) or equal(_canonical(a or {}), _canonical(b or {}))


def rules_v2(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the bytes of a v2 array become values, by names for people."""
    kind, _ = type_v2(document.get("dtype"), object_codec_of(document))
    chunks = document.get("chunks")
    return {
        "data type": kind,
        "chunk shape": tuple(chunks) if _are_edges(chunks) else chunks,
        "chunk key separator": _keys("v2", document.get("dimension_separator", "."), document),
        "codecs": pipeline_v2(document),
        "fill value": value_of(kind, document.get("fill_value")),
    }


def rules_v3(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the bytes of a v3 array become values, by names for people."""
    kind = type_v3(document.get("data_type"))
    edges = _needed(edges_of(document.get("chunk_grid")), document.get("shape"))
    lengths = [edge for edge in edges if isinstance(edge, int)] if edges is not None else []
    name, configuration = named(document.get("chunk_key_encoding")) or ("", {})
    encoding = (
        _keys(name, configuration.get("separator", _SEPARATORS[name]), document)
        if name in _SEPARATORS
        else numbers(document.get("chunk_key_encoding"))
    )
    return {
        "data type": kind,
        "chunk shape": edges if edges is not None else _extension(document.get("chunk_grid")),
        "chunk key separator": encoding,
        "codecs": pipeline_v3(document.get("codecs"), kind, lengths if len(lengths) == len(edges or ()) else None),
        "fill value": value_of(kind, document.get("fill_value")),
        "storage transformers": numbers(document.get("storage_transformers") or None),
    }


def _keys(name: str, separator: Any, document: Mapping[str, Any]) -> Any:
    """Return how chunks are named; without numbers, or with one and nothing before it, there is nothing to separate."""
    shape = document.get("shape")
    dimensions = len(shape) if isinstance(shape, list) else 2
    return [name, separator if dimensions + (name == "default") > 1 else None]


def edges_of(grid: Any) -> tuple[Edges, ...] | None:
    """Return what the chunks of a v3 grid measure along each axis; None if the grid is none that is known.

    Examples
    --------
    >>> edges_of({"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[[5, 2], 3], 10]}})
    ((5, 5, 3), 10)
    """
    name, configuration = named(grid) or ("", {})
    lengths = configuration.get({"regular": "chunk_shape", "rectilinear": "chunk_shapes"}.get(name, ""))
    if name == "regular":
        return tuple(lengths) if _are_edges(lengths) else None
    if not isinstance(lengths, list) or configuration.get("kind", "inline") != "inline":
        return None
    axes = [axis if _is_edge(axis) else _written_out(axis) for axis in lengths]
    known = tuple(axis for axis in axes if axis is not None)
    return known if len(known) == len(axes) else None


def _needed(edges: tuple[Edges, ...] | None, shape: Any) -> tuple[Edges, ...] | None:
    """Return grids that cut an array alike in one form: no chunk without cells, and one length if all have it."""
    if edges is None or not _are_edges(shape) or len(shape) != len(edges):
        return edges
    return tuple(axis if isinstance(axis, int) else _along(axis, end) for axis, end in zip(edges, shape, strict=True))


def _along(lengths: tuple[int, ...], end: int) -> Edges:
    starts = accumulate(lengths, initial=0)
    needed = tuple(length for start, length in zip(starts, lengths, strict=False) if start < end) or lengths[:1]
    return needed[0] if len({*needed}) == 1 else needed


def _written_out(axis: Any) -> tuple[int, ...] | None:
    """Return the length of each chunk along an axis, of which those that repeat may be written as length and count."""
    if not isinstance(axis, list) or not axis:
        return None
    runs = [item if isinstance(item, list) else [item, 1] for item in axis]
    if not all(len(run) == 2 and all(map(_is_edge, run)) for run in runs) or sum(n for _, n in runs) > _MOST_CHUNKS:
        return None
    return tuple(length for length, count in runs for _ in range(count))


def _is_edge(value: Any) -> bool:
    return type(value) is int and value > 0


def _are_edges(lengths: Any) -> TypeGuard[list[int]]:
    # zarr-python lets an axis without length have chunks without length.
    return isinstance(lengths, list) and all(type(n) is int and n >= 0 for n in lengths)


def _canonical(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document in the one form, without a group's consolidated metadata."""
    plain = {key: value for key, value in document.items() if key != "consolidated_metadata"}
    if document.get("zarr_format") == 3 and "node_type" in document:
        return _canonical_v3(plain)
    if document.get("zarr_format") == 2 and "shape" in document:
        others = {key: value for key, value in plain.items() if key not in _V2}
        return others | {"rules": rules_v2(document)}
    if document.get("zarr_format") == 2:
        return plain
    if "zarr_consolidated_format" in document and isinstance(document.get("metadata"), dict):
        # An empty entry, of a node without attributes, may as well be left out.
        entries = {key: entry for key, entry in document["metadata"].items() if entry}
        canonical = {key: _canonical(entry) if isinstance(entry, dict) else entry for key, entry in entries.items()}
        return {**document, "metadata": canonical}
    return dict(document)


def _canonical_v3(plain: dict[str, Any]) -> dict[str, Any]:
    plain["attributes"] = plain.get("attributes") or {}
    if plain["node_type"] != "array":
        return plain
    names = plain.get("dimension_names")
    unnamed = isinstance(names, list) and all(name is None for name in names)
    plain["dimension_names"] = None if unnamed else names
    return {key: value for key, value in plain.items() if key not in _V3} | {"rules": rules_v3(plain)}


def _extension(value: Any) -> Any:
    found = named(value)
    return value if found is None else [found[0], numbers(found[1])]


def equal(a: Any, b: Any) -> bool:
    """Return whether two JSON values are the same, NaN being the same as NaN, and true and 1.0 not the same as 1."""
    pairs = [(a, b)]  # no recursion: attributes may be nested deeper than Python calls functions
    while pairs:
        left, right = pairs.pop()
        if type(left) is not type(right):
            return False
        if isinstance(left, dict):
            if left.keys() != right.keys():
                return False
            pairs += [(value, right[key]) for key, value in left.items()]
        elif isinstance(left, list | tuple):
            if len(left) != len(right):
                return False
            pairs += zip(left, right, strict=True)
        elif (repr(left) != repr(right)) if isinstance(left, float) else left != right:
            return False
    return True
