"""Stores of other tools that look like Zarr and are none: what they are is told by which keys lie beside each other.

Sources: `fsspec.implementations.reference` for kerchunk in Parquet (``.zmetadata`` and ``VARIABLE/refs.N.parq``);
Icechunk's specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.layout.documents import METADATA_NAMES, NODE_NAMES, ZMETADATA
from zsync.layout.files import REFERENCE_PART, icechunk_repositories
from zsync.layout.nodes import lineage, parent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def reference_directories(keys: Sequence[str]) -> frozenset[str]:
    """Return the directories of references that kerchunk keeps in Parquet: their ``.zmetadata`` is of no Zarr store.

    Examples
    --------
    >>> sorted(reference_directories(["r/.zmetadata", "r/t/refs.0.parq", "a.zarr/.zmetadata", "a.zarr/.zgroup"]))
    ['r']
    """
    tops = {parent(key) for key in keys if key.rpartition("/")[2] == ZMETADATA}
    if not tops:
        return frozenset()
    parts = [key for key in keys if ".parq" in key and REFERENCE_PART.fullmatch(key.rpartition("/")[2])]
    nodes = {parent(key) for key in keys if key.rpartition("/")[2] in NODE_NAMES} if parts else set()
    return frozenset(above for key in parts for above in lineage(parent(key)) if above in tops and above not in nodes)


def documents_of_zarr(keys: Sequence[str]) -> list[str]:
    """Return the keys that are metadata of Zarr stores, by their names and by what they lie beside."""
    found = [key for key in keys if key.rpartition("/")[2] in METADATA_NAMES]
    others = reference_directories(keys) if found else frozenset()
    return [key for key in found if not _is_below(key, others)] if others else found


def what_else(keys: Iterable[str]) -> str | None:
    """Return what a product holds in place of Zarr stores; None if that is not known."""
    keys = list(keys)
    if reference_directories(keys):
        return "references that kerchunk keeps in Parquet"
    if "" in icechunk_repositories(keys):
        return "an Icechunk repository"
    return "ZIP archives" if keys and all(key.lower().endswith(".zip") for key in keys) else None


def _is_below(key: str, directories: frozenset[str]) -> bool:
    return any(above in directories for above in lineage(parent(key)))
