"""What a metadata document must not say, or no reader could open what it describes.

The fields that tell which chunks there are (`documents`) are looked at first; here it is the others. Extensions that
zsync does not know are anybody's: of what they mean nothing is concluded.

Sources: Zarr v2 specification, "Metadata"; Zarr v3 core specification, "Array metadata"; sharding codec, version 1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_FROM_ARRAY = {"bytes", "sharding_indexed", "vlen-utf8", "vlen-bytes"}
_BETWEEN = {"transpose", "gzip", "zstd", "blosc", "crc32c"}


def unsound_v2(document: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a ``.zarray``, or None.

    Examples
    --------
    >>> unsound_v2({"dtype": "<f4", "order": "Z"})
    "has order 'Z' in place of 'C' or 'F'"
    """
    if not isinstance(document["dtype"], str | list):
        return "has a dtype that is neither text nor a list of fields"
    if document.get("order", "C") not in ("C", "F"):
        return f"has order {document['order']!r} in place of 'C' or 'F'"
    compressor, filters = document.get("compressor"), document.get("filters")
    if compressor is not None and not _has_id(compressor):
        return "has a compressor that is no object with an id"
    if filters is not None and not (isinstance(filters, list) and all(map(_has_id, filters))):
        return "has filters that are not a list of objects with an id"
    return None


def unsound_v3(document: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the ``zarr.json`` of an array or a group, of which the shape is one; or None."""
    if not isinstance(document.get("attributes") or {}, dict):
        return "has attributes that are not an object"
    if document["node_type"] == "group":
        return None
    return _unsound_names(document) or _unsound_codecs(document["codecs"]) or _unsound_shards(document)


def _unsound_names(document: Mapping[str, Any]) -> str | None:
    names = document.get("dimension_names")
    if names is None:
        return None
    if not isinstance(names, list) or not all(name is None or isinstance(name, str) for name in names):
        return "has dimension_names that are not a list of names"
    if len(names) != len(document["shape"]):
        return f"has {len(names)} dimension_names for {len(document['shape'])} dimensions"
    return None


def _unsound_codecs(codecs: list[Any]) -> str | None:
    """Return what is wrong with codecs, where all are known: just one of them makes bytes of an array."""
    names = [_name(codec) for codec in codecs]
    if not names or not set(names) <= _FROM_ARRAY | _BETWEEN:
        return None
    makers = [name for name in names if name in _FROM_ARRAY]
    if len(makers) == 1:
        return None
    return f"has codecs of which {' and '.join(makers) or 'none'} make bytes of an array; it takes one"


def _unsound_shards(document: Mapping[str, Any]) -> str | None:
    grid, codecs = document["chunk_grid"], document["codecs"]
    # What comes before it may give a shard another shape, as `transpose` does.
    if _name(grid) != "regular" or not codecs or _name(codecs[0]) != "sharding_indexed":
        return None
    shards, inner = grid["configuration"]["chunk_shape"], _inner(codecs[0])
    if not isinstance(inner, list) or not all(type(length) is int and length >= 0 for length in inner):
        return "has a chunk_shape in its shards that is not a list of whole numbers"
    if len(inner) != len(shards) or any(map(_remainder, shards, inner)):
        return f"has shards of {shards} that chunks of {inner} do not fill (chunk_shape)"
    return None


def _remainder(shard: int, chunk: int) -> int:
    return shard % chunk if chunk else shard


def _inner(codec: Any) -> Any:
    return (codec.get("configuration") or {}).get("chunk_shape") if isinstance(codec, dict) else None


def _name(extension: Any) -> str:
    return extension if isinstance(extension, str) else str(extension["name"])


def _has_id(codec: Any) -> bool:
    return isinstance(codec, dict) and isinstance(codec.get("id"), str)
