"""What belongs together in a source: a Zarr store is one thing, and every file outside stores is one by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.layout.checks import examples
from zsync.layout.documents import NODE_NAMES, ZMETADATA
from zsync.layout.nodes import lineage, store_prefixes
from zsync.words import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

STORE_SUFFIX = ".zarr"


def store_roots(keys: Iterable[str]) -> frozenset[str]:
    """Return the directories that are Zarr stores: the outermost ones that have metadata of a node.

    A directory that is named like a store and has no metadata yet counts too: its writer may have begun with chunks. So
    does one that has consolidated metadata alone: it was a store.

    Examples
    --------
    >>> sorted(store_roots(["a/b.zarr/.zgroup", "a/b.zarr/t/.zarray", "c.zarr/t/0.0", "d/readme"]))
    ['a/b.zarr', 'c.zarr']
    """
    nodes, named_so = set(), set()
    for key in keys:
        directory, _, name = key.rpartition("/")
        if name in NODE_NAMES or name == ZMETADATA:
            nodes.add(directory)
        if STORE_SUFFIX in directory:
            named_so.add(directory)
    roots = {next(above for above in lineage(directory) if above in nodes) for directory in nodes}
    above_roots = {above for root in roots for above in lineage(root)}
    for directory in named_so:
        named = _deepest_named(directory)
        if named is not None and named not in above_roots and unit_of(directory, roots) not in roots:
            roots.add(named)
    return frozenset(roots)


def _deepest_named(directory: str) -> str | None:
    named = [above for above in lineage(directory) if above.endswith(STORE_SUFFIX)]
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


def misplaced_stores(product: str, kind: Kind, keys: Sequence[str]) -> list[Finding]:
    """Return what is given up where Zarr stores are published as something else; as rasters they are not (P1)."""
    documents = [key for key in keys if key.rpartition("/")[2] in NODE_NAMES]
    if not documents:
        return []
    roots = store_prefixes(documents)
    first: dict[str, str] = {}
    for key in sorted(documents):
        first.setdefault(unit_of(key, roots), key)
    if kind is Kind.COG:
        message = "a Zarr store in a product of kind cog: set kind: zarr, or exclude it"
        return [
            Finding("error", "zarr-as-cog", product, key, f"{store or 'the product'} is {message}")
            for store, key in first.items()
        ]
    return [
        Finding(
            "warning",
            "zarr-as-files",
            product,
            key,
            f"a Zarr store goes up as plain files: readers may find metadata before its data, and chunks, consolidated"
            f" metadata and resized arrays are not looked at; kind: zarr does both{more}",
        )
        for key, more in examples(first.values(), limit=1)
    ]
