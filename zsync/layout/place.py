"""What keys are that the source does not have: objects of the target only, and objects that zsync makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.layout.files import describe_files
from zsync.layout.nodes import Node, join
from zsync.layout.zarr import judge
from zsync.words import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from zsync.layout.model import Layout, Store


def place(layout: Layout, keys: Sequence[str]) -> pa.Table:
    """Return what keys would be in a product whose source does not have them.

    Parameters
    ----------
    layout
        The product's layout: only nodes of the source are known. Metadata of others counts as that of a group.
    keys
        Keys relative to the product's root.

    Returns
    -------
    pyarrow.Table
        `zsync.tables.OBJECTS`, in the order of `keys`.
    """
    if layout.kind is not Kind.ZARR:
        return describe_files(keys, layout.kind)
    return judge(keys, {node.directory: node for node in _nodes(layout.stores)})


def _nodes(stores: Mapping[str, Store]) -> Iterator[Node]:
    for store in stores.values():
        for path in store.groups:
            yield Node(
                join(store.prefix, path) if path else store.prefix, store.prefix, "group", store.zarr_format, None
            )
        for path, array in store.arrays.items():
            directory = join(store.prefix, path) if path else store.prefix
            yield Node(directory, store.prefix, "array", array.zarr_format, array)
