"""What keys are that the source does not have: objects of the target only, and objects that zsync makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.layout.documents import ZATTRS
from zsync.layout.files import describe_files
from zsync.layout.nodes import Node, join, lineage
from zsync.layout.recognise import documents_of_zarr
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
        The product's layout: only nodes of the source are known. Metadata of others counts as that of a group, and
        makes stores of them where no store of the source is: what names others has to go before what is named.
    keys
        Keys relative to the product's root.

    Returns
    -------
    pyarrow.Table
        `zsync.tables.OBJECTS`, in the order of `keys`.
    """
    if layout.kind is not Kind.ZARR:
        return describe_files(keys, layout.kind)
    known = {node.directory: node for node in _nodes(layout.stores)}
    return judge(keys, {**_others(keys, known), **known})


def _others(keys: Sequence[str], known: Mapping[str, Node]) -> dict[str, Node]:
    """Return the nodes outside the source's stores, as groups: nobody knows here what their documents say."""
    parts = (key.rpartition("/") for key in documents_of_zarr(keys))
    directories = {directory for directory, _, name in parts if name != ZATTRS}
    outside = [directory for directory in directories if not any(above in known for above in lineage(directory))]
    stores = {directory: next(above for above in lineage(directory) if above in directories) for directory in outside}
    return {directory: Node(directory, store, "group", 2, None) for directory, store in stores.items()}


def _nodes(stores: Mapping[str, Store]) -> Iterator[Node]:
    for store in stores.values():
        for path in store.groups:
            yield Node(
                join(store.prefix, path) if path else store.prefix, store.prefix, "group", store.zarr_format, None
            )
        for path, array in store.arrays.items():
            directory = join(store.prefix, path) if path else store.prefix
            yield Node(directory, store.prefix, "array", array.zarr_format, array)
