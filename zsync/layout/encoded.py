"""A layout as it is published: arrays whose chunks have other keys than in the source, and metadata that says so.

The encoding of its chunk keys is part of an array's metadata, and two encodings need not have a key in common. So what
replaces an array can lie beside it until metadata names the other encoding (`zsync.planning.flip`).

Sources: Zarr v2 specification, "dimension_separator"; Zarr v3 core specification, "Chunk key encoding".
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from zsync.layout.documents import ZARR_JSON, ZARRAY
from zsync.layout.nodes import below, join
from zsync.layout.published import members_of
from zsync.layout.strict import unfit
from zsync.tables import column, scalar, with_values
from zsync.words import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from zsync.layout.grid import KeyEncoding
    from zsync.layout.model import Array, Layout, Store

Encodings = Mapping[tuple[str, str], "KeyEncoding"]  # by store, and path of the array in it


def encoded(layout: Layout, encodings: Encodings) -> Layout:
    """Return a layout in which some arrays' chunks are named by other encodings, in keys and in metadata.

    Rows keep their places. Metadata that changes is parsed documents only: see `rewritten` for its bytes.

    Parameters
    ----------
    encodings
        Encodings by store and path of the array; arrays must have a known grid.
    """
    changed = other_encodings(layout, encodings)
    if not changed:
        return layout
    stores = dict(layout.stores)
    for prefix in dict.fromkeys(prefix for prefix, _ in changed):
        store = stores[prefix]
        mine = {path: known for (where, path), known in changed.items() if where == prefix}
        arrays = {**store.arrays, **{path: _with_grid(store.arrays[path], known) for path, known in mine.items()}}
        documents = {**store.documents, **rewritten(store.documents, mine)}
        stores[prefix] = replace(store, arrays=arrays, documents=documents)
    objects = with_values(layout.objects, "key", _keys(layout, changed))
    return replace(layout, objects=objects, stores=stores)


def other_encodings(layout: Layout, encodings: Encodings) -> Encodings:
    """Return those encodings that are others than a layout's arrays have."""

    def is_other(place: tuple[str, str], encoding: KeyEncoding) -> bool:
        grid = _array(layout, place).grid
        return grid is not None and grid.encoding != encoding

    return {place: encoding for place, encoding in encodings.items() if is_other(place, encoding)}


def _array(layout: Layout, place: tuple[str, str]) -> Array:
    return layout.stores[place[0]].arrays[place[1]]


def _with_grid(array: Array, encoding: KeyEncoding) -> Array:
    return array if array.grid is None else replace(array, grid=replace(array.grid, encoding=encoding))


def _keys(layout: Layout, encodings: Encodings) -> pa.Array:
    """Return the keys of a layout's objects, those of some arrays' chunks as other encodings write them."""
    objects = layout.objects
    keys = objects["key"]
    for (prefix, path), encoding in encodings.items():
        grid, directory = _array(layout, (prefix, path)).grid, join(prefix, path)
        is_chunk = pc.and_(
            pc.and_(pc.equal(objects["store"], scalar(prefix)), pc.equal(objects["array"], scalar(path))),
            pc.equal(objects["role"], scalar(str(Role.CHUNK))),
        )
        mask = pc.fill_null(is_chunk, scalar(False)).combine_chunks()
        inside = (below(directory, key) for key in keys.filter(mask).to_pylist())
        new = [join(directory, _moved(rel, grid, encoding)) for rel in inside]
        keys = pc.replace_with_mask(keys, mask, column(new, keys.type))
    return keys


def _moved(rel: str, grid: Any, encoding: KeyEncoding) -> str:
    index = grid.index(rel)
    return rel if index is None else encoding.encode(index)


def rewritten(documents: Mapping[str, Any], encodings: Mapping[str, KeyEncoding]) -> dict[str, Any]:
    """Return the documents of a store that have to say otherwise where arrays' chunks have other keys, by key.

    Parameters
    ----------
    documents
        Parsed documents, by key relative to the store's root.
    encodings
        Encodings by path of the array.
    """
    changed = {}
    for key, document in documents.items():
        directory, _, name = key.rpartition("/")
        if directory in encodings and name in (ZARRAY, ZARR_JSON):
            changed[key] = with_encoding(document, encodings[directory])
        elif isinstance(document, dict) and any(True for _ in _told(document, directory, encodings)):
            new = changed[key] = copy.deepcopy(document)
            for inner, encoding in _told(new, directory, encodings):
                inner.update(with_encoding(inner, encoding))
    return changed


def _told(
    document: Mapping[str, Any], directory: str, encodings: Mapping[str, KeyEncoding]
) -> Iterator[tuple[dict[str, Any], KeyEncoding]]:
    """Yield the arrays' documents inside consolidated metadata, copies in that of groups below included."""
    for key, inner in members_of(document).items():
        path, _, name = key.rpartition("/")
        whole = join(directory, path)
        if not isinstance(inner, dict):
            continue
        if whole in encodings and name in (ZARRAY, ZARR_JSON):
            yield inner, encodings[whole]
        else:
            yield from _told(inner, whole, encodings)


def with_encoding(document: Mapping[str, Any], encoding: KeyEncoding) -> dict[str, Any]:
    """Return an array's document that names an encoding."""
    if document.get("zarr_format") == 2:
        return {**document, "dimension_separator": encoding.separator}
    told = {"name": encoding.name, "configuration": {"separator": encoding.separator}}
    return {**document, "chunk_key_encoding": told}


def fixed_keys(store: Store, path: str) -> str | None:
    """Return why the chunks of an array cannot have other keys than in the source, for people; None if they can."""
    array = store.arrays[path]
    if array.grid is None:
        return "its chunk grid or key encoding is not known to zsync"
    own = [join(path, name) for name in (ZARRAY, ZARR_JSON) if join(path, name) in store.documents]
    if len(own) > 1:
        return "it has metadata of two formats, which share its chunks"
    reasons = (unfit(document) for document in rewritten(store.documents, {path: array.grid.encoding}).values())
    if (reason := next((why for why in reasons if why is not None), None)) is not None:
        return f"its metadata would have to be written anew, and JSON has no way to say {reason}"
    return None
