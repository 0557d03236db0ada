"""Whether arrays that lie side by side fit: readers such as xarray open a group only if each dimension has one length.

Sources: xarray's encoding of dimensions in Zarr, ``_ARRAY_DIMENSIONS`` (v2); Zarr v3 core specification,
``dimension_names``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zsync.layout.dimensions import dimension_names
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


def misfit_findings(product: str, store: Store, published: Mapping[str, Any]) -> list[Finding]:
    """Return an error for each group that readers could open as one dataset, and could no more.

    A group that never was one, such as a pyramid of images, is not asked to be.

    Parameters
    ----------
    product
        The product's name.
    store
        The store as the source has it.
    published
        Documents as readers of the target see them, by key relative to the store's root.
    """
    before, after = _arrays_by_group(published), _arrays_by_group(store.documents)
    found = []
    for group in sorted(before.keys() & after.keys()):
        if _misfit(published, before[group]) is not None or _is_pyramid(store.documents, group):
            continue
        if (misfit := _misfit(store.documents, after[group])) is not None:
            array, reason = misfit
            message = (
                f"{reason}: readers could open the group {group or 'at the root of the store'} as one dataset, and no"
                " longer could; bring its arrays into step, or set damaged: allow"
            )
            found.append(Finding("error", "misaligned", product, join(store.prefix, array), message))
    return found


def axis_names(documents: Mapping[str, Any], path: str, count: int) -> list[str]:
    """Return what the axes of an array are called; one without a name is called by its number."""
    named = named_axes(documents, path)
    return list(named) if len(named) == count else [f"axis {number}" for number in range(count)]


def named_axes(documents: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """Return the names of an array's axes; none if some have none."""
    return tuple(name for name, _ in _all_dimensions(documents, path) or [])


def _arrays_by_group(documents: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the paths of arrays, by the group that they lie in; a store that is itself an array has none."""
    arrays: dict[str, list[str]] = {}
    for key, document in documents.items():
        path, _, name = key.rpartition("/")
        is_array = name == ZARRAY or (
            name == ZARR_JSON and isinstance(document, Mapping) and document.get("node_type") == "array"
        )
        if is_array and path:
            arrays.setdefault(parent(path), []).append(path)
    return {group: sorted(set(paths)) for group, paths in arrays.items()}


def _misfit(documents: Mapping[str, Any], arrays: list[str]) -> tuple[str, str] | None:
    """Return the first array that keeps a group from being one dataset, and why; None if all fit."""
    lengths: dict[str, tuple[int, str]] = {}
    for path in arrays:
        dimensions = _all_dimensions(documents, path)
        name = path.rpartition("/")[2]
        if dimensions is None:
            return path, f"the dimensions of {name} have no names"
        for dimension, length in dimensions:
            other, where = lengths.setdefault(dimension, (length, name))
            if other != length:
                return path, f"the dimension {dimension} has length {other} in {where} and {length} in {name}"
    return None


def _is_pyramid(documents: Mapping[str, Any], group: str) -> bool:
    """Return whether a group says that its arrays are one image in several sizes (OME-Zarr, GeoZarr)."""
    inside = documents.get(join(group, ZARR_JSON))
    attributes = inside.get("attributes") if isinstance(inside, Mapping) else documents.get(join(group, ZATTRS))
    if not isinstance(attributes, Mapping):
        return False
    ome = attributes.get("ome")
    return "multiscales" in attributes or (isinstance(ome, Mapping) and "multiscales" in ome)


def _all_dimensions(documents: Mapping[str, Any], path: str) -> list[tuple[str, int]] | None:
    """Return the dimensions of an array, and their lengths; None if some have no names."""
    v3 = documents.get(join(path, ZARR_JSON))
    document = v3 if v3 is not None else documents.get(join(path, ZARRAY))
    shape = document.get("shape") if isinstance(document, Mapping) else None
    named = _dimensions(documents, path)
    return named if isinstance(shape, list) and len(named) == len(shape) else None


def _dimensions(documents: Mapping[str, Any], path: str) -> list[tuple[str, int]]:
    """Return the named dimensions of an array, and their lengths."""
    v3 = documents.get(join(path, ZARR_JSON))
    document = v3 if v3 is not None else documents.get(join(path, ZARRAY))
    names = dimension_names(documents, path)
    shape = document.get("shape") if isinstance(document, Mapping) else None
    if names is None or not isinstance(shape, list):
        return []
    return [(name, length) for name, length in zip(names, shape, strict=False) if isinstance(name, str)]
