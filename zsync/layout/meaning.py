"""What an array's metadata says about how bytes become values: what must not change under a reader.

Sources: Zarr v2 specification, "Metadata"; Zarr v3 core specification, "Array metadata"; CF conventions 1.11, sections
8.1 (packed data) and 4.4 (time coordinate).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zsync.layout.documents import ZARR_JSON, ZARRAY, ZATTRS, same_document

# These compressors write into each chunk what its decoder must know: level and shuffle may change freely.
_SELF_DESCRIBING = {"blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma"}
_PACKING = ("scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned", "dtype")
_V2 = {
    "data type": "dtype",
    "chunk shape": "chunks",
    "compressor": "compressor",
    "filters": "filters",
    "order": "order",
    "fill value": "fill_value",
    "chunk key separator": "dimension_separator",
}
_V3 = {
    "data type": "data_type",
    "chunk shape": "chunk_grid",
    "chunk key encoding": "chunk_key_encoding",
    "codecs": "codecs",
    "fill value": "fill_value",
    "storage transformers": "storage_transformers",
}
_DEFAULTS: dict[str, Any] = {"dimension_separator": ".", "filters": None, "storage_transformers": None}


@dataclass(frozen=True, slots=True)
class Meaning:
    """An array as readers decode it.

    Attributes
    ----------
    shape
        Its shape.
    rules
        All that decides how bytes become values, by a name for people.
    """

    shape: tuple[int, ...]
    rules: Mapping[str, Any]

    def difference(self, other: Meaning) -> tuple[str, Any, Any] | None:
        """Return the first rule that differs, with both values; None if chunks decode the same under both."""
        for name in sorted({*self.rules, *other.rules}, key=lambda name: (name != "format", name)):
            mine, theirs = self.rules.get(name), other.rules.get(name)
            if not same_document({"attributes": {"rule": mine}}, {"attributes": {"rule": theirs}}):
                return name, mine, theirs
        return None


def meaning_of(documents: Mapping[str, Any], path: str) -> Meaning | None:
    """Return what the metadata of one array means; None if there is none that can be understood.

    Parameters
    ----------
    documents
        Parsed documents, by key relative to the store's root.
    path
        The array's path in the store.

    Examples
    --------
    >>> v2 = {"zarr_format": 2, "shape": [4], "chunks": [2], "dtype": "<f4"}
    >>> meaning_of({"t/.zarray": v2, "t/.zattrs": {"scale_factor": 2}}, "t").rules["scale_factor"]
    2
    """
    below = f"{path}/" if path else ""
    v3, v2 = documents.get(f"{below}{ZARR_JSON}"), documents.get(f"{below}{ZARRAY}")
    document = v3 if v3 is not None else v2
    if not isinstance(document, Mapping) or not isinstance(document.get("shape"), list):
        return None
    names = _V3 if v3 is not None else _V2
    attributes = document.get("attributes") if v3 is not None else documents.get(f"{below}{ZATTRS}")
    rules = {name: _rule(field, document.get(field, _DEFAULTS.get(field))) for name, field in names.items()}
    return Meaning(
        tuple(document["shape"]), {"format": 3 if v3 is not None else 2, **rules, **_packing(attributes or {})}
    )


def _rule(field: str, value: Any) -> Any:
    if field == "compressor":
        return _codec(value)
    if field in ("filters", "codecs") and isinstance(value, list):
        return [_codec(item) for item in value] or None
    return value or None if field == "storage_transformers" else value


def _codec(value: Any) -> Any:
    """Return what of a codec matters to whoever decodes."""
    if not isinstance(value, Mapping):
        return value
    name = value.get("name", value.get("id"))
    if name in _SELF_DESCRIBING:
        return {"name": name}
    configuration = value.get("configuration")
    if isinstance(configuration, Mapping) and isinstance(configuration.get("codecs"), list):  # sharding
        inner = {**configuration, "codecs": [_codec(item) for item in configuration["codecs"]]}
        return {**value, "configuration": inner}
    return dict(value)


def _packing(attributes: Mapping[str, Any]) -> dict[str, Any]:
    rules = {name: attributes[name] for name in _PACKING if name in attributes}
    if " since " in str(attributes.get("units", "")):
        rules |= {name: attributes[name] for name in ("units", "calendar") if name in attributes}
    return rules
