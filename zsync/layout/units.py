"""What belongs together in a source: a Zarr store is one thing, and every file outside stores is one by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.layout.documents import NODE_NAMES
from zsync.layout.nodes import lineage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_NAMED = ".zarr"


def store_roots(keys: Iterable[str]) -> frozenset[str]:
    """Return the directories that are Zarr stores: the outermost ones that have metadata of a node.

    A directory that is named like a store and has no metadata yet counts too: its writer may have begun with chunks.

    Examples
    --------
    >>> sorted(store_roots(["a/b.zarr/.zgroup", "a/b.zarr/t/.zarray", "c.zarr/t/0.0", "d/readme"]))
    ['a/b.zarr', 'c.zarr']
    """
    places = {(directory, name) for directory, _, name in (key.rpartition("/") for key in keys)}
    nodes = {directory for directory, name in places if name in NODE_NAMES}
    roots = {next(above for above in lineage(directory) if above in nodes) for directory in nodes}
    above_roots = {above for root in roots for above in lineage(root)}
    for directory in {directory for directory, _ in places if _NAMED in directory}:
        named = _deepest_named(directory)
        if named is not None and named not in above_roots and unit_of(directory, roots) not in roots:
            roots.add(named)
    return frozenset(roots)


def _deepest_named(directory: str) -> str | None:
    named = [above for above in lineage(directory) if above.endswith(_NAMED)]
    return named[-1] if named else None


def unit_of(key: str, roots: Collection[str]) -> str:
    """Return what a key is a part of: the store that it lies in, else the key itself.

    Parameters
    ----------
    key
        A key relative to the product's root, or the path of a directory there.
    roots
        The stores.

    Examples
    --------
    >>> unit_of("a.zarr/t/0.0", {"a.zarr"}), unit_of("a.zarr.txt", {"a.zarr"}), unit_of("x/y", {""})
    ('a.zarr', 'a.zarr.txt', '')
    """
    if not roots:
        return key
    return next((above for above in lineage(key) if above in roots), key)
