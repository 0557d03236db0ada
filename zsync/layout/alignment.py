"""Whether arrays that lie side by side fit: readers such as xarray open a group only if each dimension has one length.

Sources: xarray's encoding of dimensions in Zarr, ``_ARRAY_DIMENSIONS`` (v2); Zarr v3 core specification,
``dimension_names``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zsync.layout.documents import ZARR_JSON, ZARRAY, ZATTRS
from zsync.layout.nodes import join, parent
from zsync.words import Finding

if TYPE_CHECKING:
    from zsync.layout.model import Store


def kept_findings(product: str, store: Store, kept: Mapping[str, Any]) -> list[Finding]:
    """Return an error for each array that stays in the target and fits no longer beside those of the source.

    Parameters
    ----------
    product
        The product's name.
    store
        The store as the source has it.
    kept
        Parsed documents, by key relative to the store's root, of what stays in the target though the source lacks it.
    """
    lengths: dict[tuple[str, str], int] = {}  # by group and dimension
    for path in store.arrays:
        for name, length in _dimensions(store.documents, path):
            lengths[parent(path), name] = length
    # Documents of another format say nothing to readers of this store.
    name_of_documents = ZARRAY if store.zarr_format == 2 else ZARR_JSON
    paths = {parent(key) for key in kept if key.rpartition("/")[2] == name_of_documents}
    arrays = sorted(paths - store.arrays.keys())
    return [
        Finding(
            "error",
            "kept-array",
            product,
            join(store.prefix, path),
            f"this array is gone from the source, stays in the target with {length} along {name}, and the source has"
            f" {lengths[parent(path), name]}: readers could not open the group; retire it, or bring it to that length",
        )
        for path in arrays
        for name, length in _dimensions(kept, path)
        if lengths.get((parent(path), name), length) != length
    ]


def _dimensions(documents: Mapping[str, Any], path: str) -> list[tuple[str, int]]:
    """Return the named dimensions of an array, and their lengths."""
    v3 = documents.get(join(path, ZARR_JSON))
    document = v3 if v3 is not None else documents.get(join(path, ZARRAY))
    attributes = documents.get(join(path, ZATTRS)) or {}
    if not isinstance(document, Mapping) or not isinstance(attributes, Mapping):
        return []
    names = document.get("dimension_names") if v3 is not None else attributes.get("_ARRAY_DIMENSIONS")
    shape = document.get("shape")
    if not isinstance(names, list) or not isinstance(shape, list):
        return []
    return [(name, length) for name, length in zip(names, shape, strict=False) if isinstance(name, str)]
