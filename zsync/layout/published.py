"""Consolidated metadata as it stands in the target: what it says, and the same with other shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zsync.layout.documents import ZARR_JSON, ZARRAY, ZATTRS, ZGROUP
from zsync.layout.strict import made_fit, text

Shape = tuple[int, ...]


def members_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the documents inside consolidated metadata, by key relative to its group; empty if it has none.

    Parameters
    ----------
    document
        A parsed ``.zmetadata`` (v2) or group ``zarr.json`` (v3).
    """
    if "zarr_consolidated_format" in document:
        inside = document.get("metadata")
        return dict(inside) if isinstance(inside, Mapping) else {}
    consolidated = document.get("consolidated_metadata")
    inside = consolidated.get("metadata") if isinstance(consolidated, Mapping) else None
    if not isinstance(inside, Mapping):
        return {}
    return {f"{path}/{ZARR_JSON}": inner for path, inner in inside.items()}


def with_shapes(document: Mapping[str, Any], shapes: Mapping[str, Shape | None]) -> bytes | None:
    """Return consolidated metadata in which arrays have other shapes, or are left out; None if that changes nothing.

    Parameters
    ----------
    document
        A parsed ``.zmetadata`` (v2) or group ``zarr.json`` (v3).
    shapes
        Shapes by path relative to its group; None: the array, or group, is left out.
    """
    changed = made_fit(document)  # a copy in which no two arrays share a document
    reshape = _reshape_v2 if "zarr_consolidated_format" in changed else _reshape_v3
    return text(changed) if reshape(changed, shapes) else None


def _reshape_v2(document: dict[str, Any], shapes: Mapping[str, Shape | None]) -> int:
    inside = document.get("metadata") or {}
    changed = 0
    for path, shape in shapes.items():
        array = inside.get(f"{path}/{ZARRAY}")
        if shape is None:
            left_out = [inside.pop(f"{path}/{name}", None) for name in (ZARRAY, ZGROUP, ZATTRS)]
            changed += any(document is not None for document in left_out)
        elif array is not None:
            changed += _reshape(array, shape)
    return changed


def _reshape_v3(document: dict[str, Any], shapes: Mapping[str, Shape | None]) -> int:
    inside = (document.get("consolidated_metadata") or {}).get("metadata") or {}
    changed = 0
    for path, shape in shapes.items():
        if path in inside and shape is None:
            del inside[path]
            changed += 1
        elif path in inside and shape is not None:
            changed += _reshape(inside[path], shape)
    # Groups inside may hold copies of their own.
    for path, inner in inside.items():
        below = {name.removeprefix(f"{path}/"): shape for name, shape in shapes.items() if name.startswith(f"{path}/")}
        if below and isinstance(inner, dict):
            changed += _reshape_v3(inner, below)
    return changed


def _reshape(array: dict[str, Any], shape: Shape) -> bool:
    """Give an array's document another shape; return whether it had one."""
    differs = array.get("shape") != list(shape)
    array["shape"] = list(shape)
    return differs


def with_shape(document: Mapping[str, Any], shape: Shape) -> bytes:
    """Return an array's own document with another shape."""
    return text(made_fit({**document, "shape": list(shape)}))
