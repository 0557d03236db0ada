"""Zarr metadata documents: what is wrong with one, and which array one describes.

Sources: Zarr v2 specification, "Metadata" and "Groups"; Zarr v3 core specification, "Metadata" (array metadata, group
metadata, extension definitions).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from zsync.layout.canonical import edges_of, named
from zsync.layout.grid import Edges, Grid, KeyEncoding
from zsync.layout.model import Array
from zsync.layout.soundness import unsound_v2, unsound_v3

if TYPE_CHECKING:
    from collections.abc import Mapping

ZARRAY, ZGROUP, ZATTRS, ZMETADATA, ZARR_JSON = ".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json"
METADATA_NAMES = frozenset({ZARRAY, ZGROUP, ZATTRS, ZMETADATA, ZARR_JSON})
NODE_NAMES = frozenset({ZARRAY, ZGROUP, ZARR_JSON})  # the documents that make a directory a node

# Without these a document does not say which array it describes.
_REQUIRED_V2 = ("zarr_format", "shape", "chunks", "dtype")
_REQUIRED_V3 = ("shape", "data_type", "chunk_grid", "chunk_key_encoding", "codecs")
# The specifications ask for these too, but other readers do without.
_EXPECTED_V2 = ("compressor", "fill_value", "order", "filters")
_EXPECTED_V3 = ("fill_value",)
_MOST_LEVELS = 500  # Python's own parser gives up at some 950, less what calls it
_CONSOLIDATED_LEVELS = 4  # that consolidated metadata puts around those of a node
_TOO_DEEP = f"is not JSON (it is nested too deeply, in more than {_MOST_LEVELS} levels)"
_NOT_OWN = ("attributes", "consolidated_metadata", "metadata")  # what a document says that decides no chunk of its own
_SEPARATORS = (".", "/")  # no set: what is looked for may be any JSON value


def parse(name: str, raw: bytes) -> tuple[dict[str, Any] | None, str]:
    """Return the JSON object in some bytes, or None and why there is none.

    Parameters
    ----------
    name
        The last part of the document's key.
    raw
        Its bytes.
    """
    if not raw:
        return None, "is empty"
    torn: dict[int, tuple[dict[str, Any], str]] = {}

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs) and (twice := next((n for n, value in pairs if made[n] != value), None)):
            torn[id(made)] = made, twice  # kept, so that no other object gets its number
        return made

    try:
        # Text in another encoding than UTF-8 Python would read, and most others would not.
        document = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=members)
    except RecursionError:
        return None, _TOO_DEEP
    except UnicodeDecodeError:
        return None, "is not JSON (it is no text in UTF-8)"
    except ValueError as error:
        return None, f"is not JSON ({error})"
    if not isinstance(document, dict):
        return None, "is not a JSON object"
    if raw.count(b"[") + raw.count(b"{") > _MOST_LEVELS and _is_deep(document):
        return None, _TOO_DEEP
    if torn and name != ZATTRS and (twice := _said_twice(document, torn)) is not None:
        return None, f"says {twice!r} twice, and not the same"
    return document, ""


def _said_twice(document: dict[str, Any], torn: Mapping[int, tuple[dict[str, Any], str]]) -> str | None:
    """Return a name that a node's own document has with two values: some readers take the first, others the last.

    Of attributes that decides nothing, and nearly all take the last.
    """
    pending: list[Any] = [document]
    while pending:
        value = pending.pop()
        if id(value) in torn:
            return torn[id(value)][1]
        if isinstance(value, dict):
            pending += [inner for name, inner in value.items() if value is not document or name not in _NOT_OWN]
        elif isinstance(value, list):
            pending += value
    return None


def problem(name: str, document: Mapping[str, Any]) -> str | None:
    """Return what keeps a document from being what its name says, or None.

    Parameters
    ----------
    name
        The last part of its key, one of `METADATA_NAMES`.
    document
        The parsed document.
    """
    if name == ZARRAY:
        return _problem_array_v2(document) or unsound_v2(document)
    if name == ZGROUP:
        return _problem_format(document, 2)
    if name == ZARR_JSON:
        return _problem_v3(document) or unsound_v3(document)
    return None


def omissions(name: str, document: Mapping[str, Any]) -> list[str]:
    """Return the fields that the specification asks for and some readers miss."""
    if name == ZARRAY:
        return [field for field in _EXPECTED_V2 if field not in document]
    if name == ZARR_JSON and document.get("node_type") == "array":
        none = ["codecs"] if document.get("codecs") == [] else []  # zarrita.js takes `bytes` for granted
        return none + [field for field in _EXPECTED_V3 if field not in document]
    return []


def node_kind(name: str, document: Mapping[str, Any]) -> Literal["array", "group"]:
    """Return what a node document without problems makes of its directory."""
    return "array" if name == ZARRAY or document.get("node_type") == "array" else "group"


def array_of(path: str, document: Mapping[str, Any]) -> Array:
    """Return the array that a document without problems describes."""
    shape = tuple(document["shape"])
    if document["zarr_format"] == 2:
        encoding = KeyEncoding("v2", document.get("dimension_separator", "."))
        return Array(path, 2, shape, Grid(shape, tuple(document["chunks"]), encoding))
    chunks, known = edges_of(document["chunk_grid"]), key_encoding(document)
    return Array(path, 3, shape, Grid(shape, chunks, known) if chunks is not None and known else None)


def _problem_format(document: Mapping[str, Any], expected: int) -> str | None:
    found = document.get("zarr_format")
    return None if type(found) is int and found == expected else f"has zarr_format {found!r} in place of {expected}"


def _problem_array_v2(document: Mapping[str, Any]) -> str | None:
    if missing := [field for field in _REQUIRED_V2 if field not in document]:
        return f"lacks {', '.join(missing)}"
    if document.get("dimension_separator", ".") not in _SEPARATORS:
        return f"has dimension_separator {document['dimension_separator']!r} in place of '.' or '/'"
    return _problem_format(document, 2) or _problem_shapes(document["shape"], document["chunks"], "chunks")


def _problem_v3(document: Mapping[str, Any]) -> str | None:
    if wrong := _problem_format(document, 3):
        return wrong
    match document.get("node_type"):
        case "group":
            return None
        case "array":
            return _problem_array_v3(document)
        case other:
            return f"has node_type {other!r} in place of 'array' or 'group'"


def _problem_array_v3(document: Mapping[str, Any]) -> str | None:
    if missing := [field for field in _REQUIRED_V3 if field not in document]:
        return f"lacks {', '.join(missing)}"
    for field in ("chunk_grid", "chunk_key_encoding", "data_type"):
        if named(document[field]) is None:
            return f"has a {field} that is neither a name nor an object with a name"
    codecs = document["codecs"]
    if not isinstance(codecs, list) or any(named(codec) is None for codec in codecs):
        return "has codecs that are not a list of names, or of objects with a name"
    name, configuration = named(document["chunk_key_encoding"]) or ("", {})
    if name in {"default", "v2"} and configuration.get("separator", ".") not in _SEPARATORS:
        return f"has a chunk_key_encoding with separator {configuration['separator']!r} in place of '.' or '/'"
    name, configuration = named(document["chunk_grid"]) or ("", {})
    if name == "regular":
        return _problem_shapes(document["shape"], configuration.get("chunk_shape"), "chunk_shape")
    if not _is_shape(document["shape"]):
        return "has a shape that is not a list of whole numbers"
    return _problem_edges(document["shape"], edges_of(document["chunk_grid"]))


def _problem_edges(shape: list[int], edges: tuple[Edges, ...] | None) -> str | None:
    if edges is None:
        return None
    if len(shape) != len(edges):
        return f"has {len(shape)} dimensions in shape and {len(edges)} in chunk_shapes"
    if any(not isinstance(axis, int) and sum(axis) < length for length, axis in zip(shape, edges, strict=True)):
        return "has chunk_shapes that end before the shape does"
    return None


def _problem_shapes(shape: Any, chunks: Any, chunks_name: str) -> str | None:
    for name, value in (("shape", shape), (chunks_name, chunks)):
        if not _is_shape(value):
            return f"has a {name} that is not a list of whole numbers"
    if len(shape) != len(chunks):
        return f"has {len(shape)} dimensions in shape and {len(chunks)} in {chunks_name}"
    # zarr-python lets an axis without length have chunks without length.
    if any(c == 0 and n > 0 for n, c in zip(shape, chunks, strict=True)):
        return f"has a zero in {chunks_name}"
    return None


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def key_encoding(document: Mapping[str, Any]) -> KeyEncoding | None:
    """Return how an array's document says that the keys of its chunks are written; None where that is not known."""
    if document.get("zarr_format") == 2:
        return _encoding("v2", document.get("dimension_separator", "."))
    # A storage transformer may map keys to other keys.
    if document.get("storage_transformers"):
        return None
    match named(document.get("chunk_key_encoding")):
        case ("default", configuration):
            return _encoding("default", configuration.get("separator", "/"))
        case ("v2", configuration):
            return _encoding("v2", configuration.get("separator", "."))
        case _:
            return None


def _encoding(name: Literal["default", "v2"], separator: Any) -> KeyEncoding | None:
    return KeyEncoding(name, separator) if separator in (".", "/") else None


def _is_deep(document: Mapping[str, Any]) -> bool:
    """Whether a document is nested deeper than every reader can follow, wherever it stands when it reads it."""
    is_consolidated = "consolidated_metadata" in document or "zarr_consolidated_format" in document
    level: list[Any] = [document]
    for _ in range(_MOST_LEVELS + (_CONSOLIDATED_LEVELS if is_consolidated else 0)):
        level = [
            value
            for node in level
            for value in (node.values() if isinstance(node, dict) else node)
            if isinstance(value, dict | list)
        ]
        if not level:
            return False
    return True
