"""What keys are that the source does not have: objects of the target only, and objects that zsync makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.layout.cog import describe_cogs
from zsync.layout.documents import METADATA_NAMES, ZARRAY, ZATTRS, ZMETADATA
from zsync.layout.files import describe_files
from zsync.layout.nodes import below, lineage
from zsync.layout.objects import Verdict, Verdicts
from zsync.layout.zarr import GROUP_ORDER, RANKS_OF_GROUP
from zsync.words import Kind, Role, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from zsync.layout.model import Array, Layout, Store


def place(layout: Layout, keys: Sequence[str]) -> pa.Table:
    """Return what keys would be in a product whose source does not have them.

    Nodes of which the source has no metadata are told by the names of their documents, as well as names can tell.

    Parameters
    ----------
    layout
        The product's layout.
    keys
        Keys relative to the product's root.

    Returns
    -------
    pyarrow.Table
        `zsync.tables.OBJECTS`, in the order of `keys`.
    """
    if layout.kind is Kind.COG:
        return describe_cogs(keys)
    if layout.kind is Kind.FILES:
        return describe_files(keys)
    verdicts = Verdicts()
    homes: dict[str, tuple[Store | None, Array | None]] = {}
    codes = []
    for key in keys:
        directory, _, name = key.rpartition("/")
        if directory not in homes:
            homes[directory] = _home(layout.stores, directory)
        store, array = homes[directory]
        is_metadata = name in METADATA_NAMES
        verdict = _document(store, array, directory, name) if is_metadata else _data(store, array, key)
        codes.append(verdicts.number(verdict))
    return verdicts.table(keys, codes)


def _home(stores: Mapping[str, Store], directory: str) -> tuple[Store | None, Array | None]:
    """Return the store and the array that a directory lies in."""
    above = list(lineage(directory))
    store = next((stores[name] for name in above if name in stores), None)
    if store is None:
        return None, None
    paths = [below(store.prefix, name) for name in above if name.startswith(store.prefix)]
    return store, next((store.arrays[path] for path in reversed(paths) if path in store.arrays), None)


def _document(store: Store | None, array: Array | None, directory: str, name: str) -> Verdict:
    role = Role.CONSOLIDATED if name == ZMETADATA else Role.METADATA
    if store is None:
        # A store that the source no longer has: its consolidated metadata is what readers open.
        return Verdict(role, Stage.ROOT if name == ZMETADATA else Stage.GROUP)
    path = below(store.prefix, directory)
    in_store = array.path if array is not None else None
    if directory == store.prefix:
        return Verdict(role, Stage.ROOT, GROUP_ORDER[name], store.prefix, in_store)
    if array is not None or name == ZARRAY:
        return Verdict(role, Stage.ARRAY, int(name != ZATTRS), store.prefix, in_store)
    rank = GROUP_ORDER[name] - RANKS_OF_GROUP * (path.count("/") + 1)
    return Verdict(role, Stage.GROUP, rank, store.prefix)


def _data(store: Store | None, array: Array | None, key: str) -> Verdict:
    if store is None:
        return Verdict(Role.FOREIGN, Stage.DATA)
    if array is None or array.grid is None:
        return Verdict(Role.FOREIGN, Stage.DATA, 0, store.prefix, array.path if array is not None else None)
    directory = "/".join(part for part in (store.prefix, array.path) if part)
    index = array.grid.index(below(directory, key))
    if index is None:
        return Verdict(Role.FOREIGN, Stage.DATA, 0, store.prefix, array.path)
    return Verdict(Role.CHUNK, Stage.DATA, 0, store.prefix, array.path, array.grid.contains(index))
