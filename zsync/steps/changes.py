"""What happens to the arrays of a product: read what readers see now, and compare (step 6 of the protocol).

Of chunks at the edge of an array that is resized even the values are compared: whether cells that readers see already
change is what tells an append, or a shrink, from an update.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from zsync.errors import ObjectNotFoundError
from zsync.inventory.digest import Signature
from zsync.keys import under
from zsync.layout import (
    KeyEncoding,
    fixed_keys,
    is_metadata,
    join,
    lost_attributes,
    meaning_of,
    members_of,
    misfit_findings,
    with_encoding,
)
from zsync.planning import (
    NO_FLIPS,
    ArrayChange,
    BoundaryChunk,
    ChangeClass,
    FenceWrite,
    Flips,
    boundary,
    classify,
    fence_of,
    flips_of,
    marked,
    removed_groups,
)
from zsync.storage import connect
from zsync.tables import column, scalar
from zsync.tasks import side_by_side
from zsync.words import Action, Kind, Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from zsync.layout import Encodings, Store
    from zsync.steps.surveyed import Surveyed
    from zsync.steps.terms import Terms
    from zsync.words import Finding

_CONSOLIDATED = ("zarr.json", ".zmetadata")
_MISNAMED = "its chunks are not named as its metadata says"
_MOST_DECODED = 1000  # chunks of an array


@dataclass(frozen=True, slots=True)
class Changes:
    """What happens to the arrays of a product.

    Attributes
    ----------
    arrays
        What happens to each.
    fence
        What readers are shown while some shrink.
    findings
        What readers could open, and could not any more (promise P11).
    flips
        Which arrays get other chunk keys; they do not have them yet unless the product says so as well.
    found
        How chunks are named that readers see, where the product does not have it so.
    """

    arrays: list[ArrayChange] = field(default_factory=list)
    fence: list[FenceWrite] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    flips: Flips = NO_FLIPS
    found: Encodings = field(default_factory=dict)


def array_changes(item: Surveyed, table: pa.Table, terms: Terms) -> Changes:
    """Return what happens to each array of a product, and the fence for those that shrink.

    Only stores of which published metadata changes are asked for it; of the others the source's metadata is what is
    published.

    Parameters
    ----------
    item
        The product.
    table
        Its plan, `zsync.tables.PLAN`.
    """
    if item.kind != Kind.ZARR:
        return Changes()
    stores = {prefix: item.layout.stores[prefix] for prefix in _changed_stores(table) if prefix in item.layout.stores}
    own = {prefix: _read(item, prefix, _group_keys(item, prefix)) for prefix in stores}
    seen = {prefix: _as_seen(item, prefix, documents) for prefix, documents in own.items()}
    flips = item.flips
    changes = classify(item.name, table, item.layout.stores, seen, flipping=flips.encodings)
    if edge := boundary(table, item.layout.stores, changes):
        same = _with_same_cells(item, edge)
        changes = classify(item.name, table, item.layout.stores, seen, same, flips.encodings)
    found = _named_otherwise(item, changes, terms)
    if flips is NO_FLIPS and not found:
        unfit = _left_behind(item, table, changes, seen, terms) | dict.fromkeys(item.misnamed, _MISNAMED)
        as_it_is = item.inspected.layout.stores
        flips = flips_of(changes, table, item.layout.stores, as_it_is, item.moved, terms.rewriting, unfit)
    changes = marked(changes, flips)
    fenced = {prefix: _array_keys(changes, stores[prefix]) for prefix in stores}
    known = {prefix: own[prefix] | (_read(item, prefix, fenced[prefix]) if fenced[prefix] else {}) for prefix in stores}
    fence = fence_of(changes, known, removed_groups(table, item.layout.stores, seen))
    return Changes(changes, fence, _losses(item, table, seen), flips, found)


def _left_behind(
    item: Surveyed,
    table: pa.Table,
    changes: Iterable[ArrayChange],
    seen: Mapping[str, Mapping[str, Any]],
    terms: Terms,
) -> dict[tuple[str, str], str]:
    """Return why arrays that change incompatibly look damaged: some of their chunks did not change with the metadata.

    What is really written anew has other bytes; but for such as mean the same either way, like zeros of two types.
    """
    found = {}
    for change in changes:
        if change.kind != ChangeClass.INCOMPATIBLE or not terms.rewriting.incompatible:
            continue
        mine = pc.and_(pc.equal(table["store"], scalar(change.store)), pc.equal(table["array"], scalar(change.array)))
        is_same = pc.and_(
            pc.equal(table["action"], scalar(str(Action.UNCHANGED))), pc.equal(table["role"], scalar(str(Role.CHUNK)))
        )
        rows = table.filter(pc.fill_null(pc.and_(mine, is_same), scalar(False))).to_pylist()
        if rows and not _mean_the_same(item, change, seen.get(change.store, {}), rows, terms):
            what = "1 chunk" if len(rows) == 1 else f"{len(rows):,} chunks"
            found[change.store, change.array] = f"{what} of it did not change with its metadata, and would be misread"
    return found


def _mean_the_same(
    item: Surveyed,
    change: ArrayChange,
    published: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    terms: Terms,
) -> bool:
    """Return whether chunks that did not change hold the same by the old and by the new metadata of their array."""
    from zsync.inventory.chunks import same_values

    store, path = item.layout.stores[change.store], change.array
    new, old = meaning_of(store.documents, path), meaning_of(published, path)
    array = store.arrays[path]
    if new is None or old is None or array.grid is None or len(old.shape) != len(new.shape):
        return False
    # Who asks for a flip by name means what the attributes say now.
    if len(rows) > _MOST_DECODED or not (old.says_the_same(new) or terms.rewriting.is_asked_for):
        return False
    before = replace(array, zarr_format=old.zarr_format)
    base, encoding = join(change.store, path), array.grid.encoding

    def is_same(row: Mapping[str, Any]) -> bool:
        index = array.grid.index(row["key"][len(base) + 1 :] if base else row["key"]) if array.grid else None
        if index is None or array.grid is None or not array.grid.contains(index):
            return False
        signature = Signature(row["size"], row["mtime_ns"], row["ctime_ns"], row["inode"])
        body = b"".join(item.stock.origin.reader(row["source_key"], signature).blocks())
        documents = (with_encoding(old.document, encoding), new.document)
        return same_values(documents, (before, array), body, array.grid.lengths(index))

    return all(side_by_side(is_same, rows))


def _named_otherwise(item: Surveyed, changes: Iterable[ArrayChange], terms: Terms) -> Encodings:
    """Return how chunks are named that readers see, where the record does not say so: a run was cut off at its end."""
    if not terms.keeps_keys:
        return {}
    found: dict[tuple[str, str], KeyEncoding] = {}
    for change in changes:
        place, store = (change.store, change.array), item.layout.stores.get(change.store)
        array = None if store is None else store.arrays.get(change.array)
        if change.named is None or array is None or array.grid is None or place in item.flips.encodings:
            continue
        is_change = place in item.misnamed or (place in item.moved and not terms.rewriting.incompatible)
        if is_change:  # an incompatible one, like others
            continue
        ndim = len(array.shape)
        is_known = change.named in KeyEncoding.all_of(array.zarr_format) and len(change.old_shape or ()) == ndim
        is_other = is_known and not change.named.meets(ndim, array.grid.encoding, ndim)
        if is_other and store is not None and fixed_keys(store, change.array) is None:
            found[place] = change.named
    return found


def _losses(item: Surveyed, table: pa.Table, seen: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Return what of the stores that change would be lost to readers, though the arrays are there."""
    found = []
    for prefix, documents in seen.items():
        store, published = item.layout.stores[prefix], dict(documents)
        base = f"{prefix}/" if prefix else ""
        inside = [key[len(base) :] for key in item.bare if key.startswith(base)]
        nodes = {*store.arrays, *store.groups} if _is_v2(store) else set()
        bare = [key for key in inside if key.rpartition("/")[0] in nodes and not _is_new(table, base + key)]
        if unread := [key for key in bare if key not in published]:
            published |= _read(item, prefix, unread)
        found += lost_attributes(item.name, prefix, bare, published)
        found += misfit_findings(item.name, store, published)
    return found


def _is_v2(store: Store) -> bool:
    return store.zarr_format == 2 or ".zgroup" in store.documents


def _is_new(table: pa.Table, attributes: str) -> bool:
    """Return whether a node that lost its attributes is another one now: there is data, and none of it is as it was."""
    below = attributes.removesuffix(".zattrs")
    data = table.filter(pc.and_(pc.equal(table["role"], scalar(str(Role.CHUNK))), pc.starts_with(table["key"], below)))
    actions = set(data["action"].to_pylist())
    return Action.SEND in actions and Action.UNCHANGED not in actions


def _with_same_cells(item: Surveyed, edge: list[BoundaryChunk]) -> set[str]:
    """Return the keys of the chunks of which the cells that old and new have in common keep their values."""
    from zsync.inventory.chunks import same_cells

    store, path = connect(item.stock.spec), item.stock.product.location.path
    base = f"{path}/" if path else ""
    wanted = pc.is_in(item.survey.source["key"], column([chunk.key for chunk in edge], pa.string()))
    rows = item.survey.source.append_column("file", item.survey.files).filter(wanted)
    files = {row["key"]: row for row in rows.to_pylist()}

    def is_same(chunk: BoundaryChunk) -> bool:
        array, row = item.layout.stores[chunk.store].arrays[chunk.array], files[chunk.key]
        name = ".zarray" if array.zarr_format == 2 else "zarr.json"
        document = item.layout.stores[chunk.store].documents[join(chunk.array, name)]
        signature = Signature(row["size"], row["mtime_ns"], row["ctime_ns"], row["inode"])
        new = b"".join(item.stock.origin.reader(row["file"], signature).blocks())
        try:
            old = None if chunk.is_new else store.get(under(base, chunk.key)).data
        except ObjectNotFoundError:
            return False  # somebody else is at work here
        return same_cells(array, document, old, new, chunk.lengths, chunk.cells)

    return {chunk.key for chunk, same in zip(edge, side_by_side(is_same, edge), strict=True) if same}


def _changed_stores(table: pa.Table) -> list[str]:
    """Return the stores that have metadata in the target, and of which some is written anew or retired."""
    is_metadata = pc.is_in(table["role"], column([str(Role.METADATA), str(Role.CONSOLIDATED)], pa.string()))
    rows = table.filter(is_metadata)
    acted = pc.is_in(rows["action"], column([str(Action.SEND), str(Action.RETIRE)], pa.string()))
    published = set(rows.filter(pc.is_valid(rows["etag"]))["store"].to_pylist())
    return sorted(store for store in set(rows.filter(acted)["store"].to_pylist()) & published if store is not None)


def _group_keys(item: Surveyed, prefix: str) -> list[str]:
    """Return the keys, in a store, of the target's objects that may hold consolidated metadata: the root's first."""
    survey, store = item.survey, item.layout.stores[prefix]
    base = f"{prefix}/" if prefix else ""
    inside = [key[len(base) :] for key in _documents(survey.target["key"]) if key.startswith(base)]
    arrays = {f"{path}/zarr.json" if path else "zarr.json" for path in store.arrays}
    return [key for key in inside if key.rpartition("/")[2] in _CONSOLIDATED and key not in arrays]


def _documents(keys: pa.ChunkedArray) -> list[str]:
    """Return the keys that are named as metadata is, and few others."""
    found: list[str] = keys.filter(pc.match_substring_regex(keys, r"(^|/)(\.z[a-z]+|zarr\.json)$")).to_pylist()
    return found


def _array_keys(changes: Iterable[ArrayChange], store: Store) -> list[str]:
    """Return the keys of the documents of arrays that readers must see otherwise for a while, of either format."""
    return [
        key
        for change in changes
        if change.store == store.prefix and change.needs_fence
        for name in (".zarray", "zarr.json")
        if (key := join(change.array, name)) in store.documents
    ]


def _as_seen(item: Surveyed, prefix: str, documents: dict[str, Any]) -> dict[str, Any]:
    """Return the documents of a store as most readers see them: from the root's consolidated metadata if it has any."""
    # Of a store of two formats each has its own.
    members: dict[str, Any] = {}
    for name in _CONSOLIDATED:
        members |= members_of(documents.get(name, {}))
    if members:
        return members
    base = f"{prefix}/" if prefix else ""
    # Also what the source has no more: a store may have been of another format.
    keys = [
        key for key in _documents(item.survey.target["key"]) if key.startswith(base) and is_metadata(Kind.ZARR, key)
    ]
    return _read(item, prefix, [key[len(base) :] for key in keys])


def _read(item: Surveyed, prefix: str, keys: Iterable[str]) -> dict[str, Any]:
    """Read metadata objects of a store in the target; what is gone, or known to be none of ours, is left out."""
    store, path = connect(item.stock.spec), item.stock.product.location.path
    base = "".join(f"{part}/" for part in (path, prefix) if part)

    def one(key: str) -> tuple[str, Any]:
        try:
            document = json.loads(store.get(under(base, key)).data)
        except (ObjectNotFoundError, ValueError, RecursionError):
            return key, None
        return key, document if isinstance(document, dict) else None

    believed = [key for key in keys if join(prefix, key) not in item.stock.doubted]
    return {key: document for key, document in side_by_side(one, believed) if document is not None}
