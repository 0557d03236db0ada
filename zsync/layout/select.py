"""A part of a product: some of its objects, with the hierarchy that they lie in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from zsync.layout.nodes import below, join, lineage
from zsync.layout.rasters import owners
from zsync.tables import column
from zsync.words import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from zsync.layout.model import Layout, Store


def with_groups_above(layout: Layout, mask: Sequence[bool]) -> list[bool]:
    """Return a selection that takes, with every object, the metadata of the groups that it lies in.

    An array without them could not be reached, and consolidated metadata would not tell of it.

    Parameters
    ----------
    layout
        The layout of the whole product.
    mask
        Which rows of `layout.objects` are selected.
    """
    keys = layout.objects["key"].to_pylist()
    roles = layout.objects["role"].to_pylist()
    directories = {key.rpartition("/")[0] for key, chosen in zip(keys, mask, strict=True) if chosen}
    needed = {above for directory in directories for above in lineage(directory)}
    is_metadata = [role in (Role.METADATA, Role.CONSOLIDATED) for role in roles]
    return [
        chosen or (metadata and key.rpartition("/")[0] in needed)
        for key, chosen, metadata in zip(keys, mask, is_metadata, strict=True)
    ]


def with_sidecars(layout: Layout, mask: Sequence[bool], excluded: Callable[[str], bool]) -> list[bool]:
    """Return a selection that takes, with every raster, what belongs to it and is not left out by name.

    Parameters
    ----------
    layout
        The layout of the whole product.
    mask
        Which rows of `layout.objects` are selected.
    excluded
        Tells of a key whether it is left out.
    """
    chosen = list(mask)
    roles = layout.objects["role"].to_pylist()
    if Role.SIDECAR not in roles:
        return chosen
    keys = layout.objects["key"].to_pylist()
    numbers = {key: number for number, (key, role) in enumerate(zip(keys, roles, strict=True)) if role != Role.CHUNK}
    for sidecar, raster in owners(numbers).items():
        if chosen[numbers[raster]] and not excluded(sidecar):
            chosen[numbers[sidecar]] = True
    return chosen


def arrays_cut(layout: Layout, mask: Sequence[bool], directories: Iterable[str]) -> list[str]:
    """Return the arrays of a selection that may have chunks in directories that it leaves out.

    Parameters
    ----------
    layout
        The layout of what is known, which is nothing below these directories.
    mask
        Which rows of `layout.objects` are selected.
    """
    inside = [(directory, above) for directory in directories for above in _above(directory)]
    if not inside:
        return []
    keys = layout.objects["key"].to_pylist()
    selected = {key.rpartition("/")[0] for key, chosen in zip(keys, mask, strict=True) if chosen}
    arrays = {join(store.prefix, path) for store in layout.stores.values() for path in store.arrays} & selected
    return sorted({above for directory, above in inside if above in arrays and _may_hold_chunks(directory, above)})


def _above(directory: str) -> list[str]:
    return list(lineage(directory.rpartition("/")[0])) if directory else []


def _may_hold_chunks(directory: str, array: str) -> bool:
    first, *others = below(array, directory).split("/")
    return (first == "c" or first.isdecimal()) and all(part.isdecimal() for part in others)


def select(layout: Layout, mask: Sequence[bool]) -> Layout:
    """Return the layout of a part of a product: the same places, fewer of them.

    Parameters
    ----------
    layout
        The layout of the whole product.
    mask
        Which rows of `layout.objects` are selected.
    """
    objects = layout.objects.filter(column(list(mask), pa.bool_()))
    keys = set(objects["key"].to_pylist())
    stores = {prefix: _select_store(store, keys) for prefix, store in layout.stores.items()}
    return replace(
        layout,
        objects=objects,
        stores={prefix: store for prefix, store in stores.items() if store.documents},
        findings=tuple(finding for finding in layout.findings if not finding.key or finding.key in keys),
    )


def _select_store(store: Store, keys: set[str]) -> Store:
    documents = {key: document for key, document in store.documents.items() if join(store.prefix, key) in keys}
    directories = {key.rpartition("/")[0] for key in documents}
    return replace(
        store,
        documents=documents,
        arrays={path: array for path, array in store.arrays.items() if path in directories},
        groups=tuple(path for path in store.groups if path in directories),
    )
