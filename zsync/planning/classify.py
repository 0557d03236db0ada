"""What happens to each array: the change classes of DESIGN, from the published metadata and the source's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from zsync.layout import Meaning, join, meaning_of, named_axes
from zsync.packed import Texts
from zsync.tables import chosen, column, each, each_row
from zsync.words import Action, Reason, Role

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from zsync.layout import KeyEncoding, Store

Place = tuple[str, str]  # store, path of the array in it

_STAYS = (Reason.POLICY, Reason.NOT_SELECTED)


class ChangeClass(StrEnum):
    """What happens to an array."""

    NEW = "new"
    APPEND = "append"  # it grows
    SHRINK = "shrink"  # some axis gets shorter, none longer
    RESIZE = "mixed resize"  # some axis gets shorter, another longer
    UPDATE = "update"  # chunks inside the old extent change
    INCOMPATIBLE = "incompatible"  # old metadata would decode new chunks wrongly, or the reverse
    METADATA = "metadata"  # attributes only
    REMOVED = "removed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class ArrayChange:
    """What happens to one array.

    Attributes
    ----------
    kind
        Its class.
    inside
        Number of chunks that are replaced, appear or vanish and hold cells of the extent that old and new have in
        common; not those of which these cells are known to keep their values.
    old_shape, new_shape
        None where there is none.
    detail
        For an incompatible change: the property, its old and its new value.
    formats
        Its old and its new format, where that is what makes the change incompatible.
    fixed
        Where a change is incompatible because a chunk that holds all of an axis grew with it: a chunk shape that would
        not have.
    axes
        The names of its axes, where all have one.
    named
        How the chunks are named that readers see now; None where that is not known, or there are none.
    flips
        Its chunks get other keys (`zsync.planning.flip`): readers see all that was until they see all that is to be.
    stays
        Why it does not flip, though it is rewritten, for people.
    """

    product: str
    store: str
    array: str
    kind: ChangeClass
    inside: int = 0
    old_shape: tuple[int, ...] | None = None
    new_shape: tuple[int, ...] | None = None
    detail: str = ""
    formats: tuple[int, int] | None = None
    fixed: tuple[int, ...] = ()
    axes: tuple[str, ...] = ()
    named: KeyEncoding | None = None
    flips: bool = False
    stays: str = ""

    @property
    def name(self) -> str:
        """Product, store and array, for messages."""
        return join(self.product, self.store, self.array)

    @property
    def needs_fence(self) -> bool:
        """Whether readers must see the common extent while it happens."""
        return self.kind in (ChangeClass.SHRINK, ChangeClass.RESIZE) and not self.flips

    @property
    def is_shorter(self) -> bool:
        """Whether some axis gets shorter."""
        old, new = self.old_shape or (), self.new_shape or ()
        return len(old) == len(new) and any(now < before for before, now in zip(old, new, strict=True))

    @property
    def common_shape(self) -> tuple[int, ...]:
        """The extent that the old and the new array have in common: what a fence shows."""
        return tuple(map(min, self.old_shape or (), self.new_shape or ()))

    def to_dict(self) -> dict[str, Any]:
        """Return the change as JSON."""
        return {
            "product": self.product,
            "store": self.store,
            "array": self.array,
            "class": str(self.kind),
            "inside": self.inside,
            "old_shape": self.old_shape,
            "new_shape": self.new_shape,
            "detail": self.detail,
            "flips": self.flips,
            "stays": self.stays,
        }


def classify(
    product: str,
    table: pa.Table,
    stores: Mapping[str, Store],
    published: Mapping[str, Mapping[str, Any]],
    same_cells: Collection[str] = frozenset(),
    flipping: Collection[Place] = frozenset(),
) -> list[ArrayChange]:
    """Return what happens to each array of a product.

    Parameters
    ----------
    product
        The product's name.
    table
        Its plan, `zsync.tables.PLAN`.
    stores
        The source's stores, by prefix.
    published
        Metadata documents as readers of the target see them, by store and key in it; only stores of which some metadata
        changes need be there.
    same_cells
        Keys of chunks that are replaced and of which the cells that old and new have in common keep their values
        (`boundary` names those for which that matters).
    flipping
        Arrays that get other chunk keys: that these differ is no difference.
    """
    rows = _Rows(table, same_cells, flipping)
    changes = [
        _classify_array(product, prefix, path, store, published.get(prefix), rows)
        for prefix, store in stores.items()
        for path in store.arrays
    ]
    known = {(change.store, change.array) for change in changes}
    # What was never put on record, and what is only to be retired later, is told by what readers see.
    shown = {
        (prefix, path)
        for prefix, documents in published.items()
        for path in _nodes_in(prefix, documents, ".zarray", "array", rows.staying)
    }
    removed = sorted((rows.retired | shown) - known)
    return changes + [ArrayChange(product, store, array, ChangeClass.REMOVED) for store, array in removed]


def removed_groups(
    table: pa.Table, stores: Mapping[str, Store], published: Mapping[str, Mapping[str, Any]]
) -> dict[str, set[str]]:
    """Return the groups that readers see and that the source has no more, by store; parameters as of `classify`."""
    staying = _staying(table)
    return {
        prefix: {*_nodes_in(prefix, documents, ".zgroup", "group", staying)} - {"", *stores[prefix].groups}
        for prefix, documents in published.items()
    }


def _nodes_in(
    prefix: str, documents: Mapping[str, Any], name_v2: str, node_type: str, staying: Collection[str]
) -> Iterator[str]:
    """Yield the paths of the nodes of one type among a store's metadata documents, but for those that stay."""
    for key, document in documents.items():
        directory, _, name = key.rpartition("/")
        is_v3 = name == "zarr.json" and isinstance(document, dict)
        is_one = name == name_v2 or (is_v3 and document.get("node_type") == node_type)
        if is_one and join(prefix, key) not in staying:
            yield directory


class _Rows:
    """What the plan says of each array, counted."""

    def __init__(self, table: pa.Table, same_cells: Collection[str], flipping: Collection[Place]) -> None:
        self.flipping = flipping
        self.metadata_new: Counter[Place] = Counter()
        self.metadata_sent: Counter[Place] = Counter()
        self.chunks: dict[Place, Texts[str]] = {}
        self.retired: set[Place] = set()
        self.staying = _staying(table)
        for row in _relevant(table):
            place = (row["store"] or "", row["array"])
            if row["action"] == Action.RETIRE:
                self.retired.add(place)
            if row["role"] == Role.METADATA and row["action"] == Action.SEND:
                self.metadata_sent[place] += 1
                self.metadata_new[place] += row["etag"] is None
            elif row["role"] == Role.CHUNK and row["key"] not in same_cells:
                self.chunks.setdefault(place, Texts()).append(row["key"])


def _staying(table: pa.Table) -> set[str]:
    """Return the keys that only the target has and that stay as long as nothing else is asked for."""
    stays = pc.is_in(table["reason"], column([str(reason) for reason in _STAYS], pa.string()))
    return set(each(table["key"].filter(stays)))


def _relevant(table: pa.Table) -> Iterator[dict[str, Any]]:
    names = ("key", "store", "array", "role", "stage", "action", "etag")
    acts = pc.is_in(table["action"], column([str(Action.SEND), str(Action.RETIRE)], pa.string()))
    rows = chosen(table.select(names), pc.and_(acts, pc.is_valid(table["array"])))
    return (dict(zip(names, row, strict=True)) for row in each_row(rows, names))


def _classify_array(
    product: str, prefix: str, path: str, store: Store, published: Mapping[str, Any] | None, rows: _Rows
) -> ArrayChange:
    place = (prefix, path)
    ours, theirs = _alike(store.documents, published, path)
    new = meaning_of(ours, path)
    # Where no metadata of a store changes, what readers are shown of it is what the source has.
    old = meaning_of(theirs, path) if published is not None else new
    shape = None if new is None else new.shape
    if published is not None and old is None:
        return ArrayChange(product, prefix, path, ChangeClass.NEW, new_shape=shape)
    if rows.metadata_new[place] and published is None:
        return ArrayChange(product, prefix, path, ChangeClass.NEW, new_shape=shape)
    if old is None or new is None:
        return ArrayChange(product, prefix, path, ChangeClass.UNCHANGED, new_shape=shape)
    common = tuple(map(min, old.shape, new.shape))
    inside = sum(1 for key in rows.chunks.get(place, ()) if _is_inside(store, prefix, path, key, common))
    if (difference := old.difference(new, other_keys=place in rows.flipping)) is not None:
        change = ArrayChange(product, prefix, path, ChangeClass.INCOMPATIBLE, inside, old.shape, new.shape)
        return replace(_told(change, old, new, difference), axes=named_axes(store.documents, path), named=old.named)
    kind = _kind(old, new, inside, metadata=rows.metadata_sent[place])
    return ArrayChange(product, prefix, path, kind, inside, old.shape, new.shape, named=old.named)


def _alike(
    ours: Mapping[str, Any], theirs: Mapping[str, Any] | None, path: str
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the documents of one array, old and new, in a format that both have: a source may have two."""
    v2, v3 = join(path, ".zarray"), join(path, "zarr.json")
    mine, other = (
        {key: side[key] for key in (v2, v3, join(path, ".zattrs")) if key in side} for side in (ours, theirs or {})
    )
    if v2 in mine and v2 in other and not (v3 in mine and v3 in other):
        mine.pop(v3, None)
        other.pop(v3, None)
    return mine, other


def _told(change: ArrayChange, old: Meaning, new: Meaning, difference: tuple[str, Any, Any]) -> ArrayChange:
    name, before, after = difference
    return replace(
        change,
        detail=f"{name} was {before!r} and is now {after!r}",
        formats=(old.zarr_format, new.zarr_format) if old.zarr_format != new.zarr_format else None,
        fixed=new.fixed_chunks(old) if name == "chunk shape" else (),
    )


def _kind(old: Meaning, new: Meaning, inside: int, *, metadata: int) -> ChangeClass:
    shorter = any(now < before for before, now in zip(old.shape, new.shape, strict=True))
    longer = any(now > before for before, now in zip(old.shape, new.shape, strict=True))
    # A shrink rewrites chunks of the old extent as well; that it needs a fence is what counts.
    if shorter:
        return ChangeClass.RESIZE if longer else ChangeClass.SHRINK
    if inside:
        return ChangeClass.UPDATE
    if longer:
        return ChangeClass.APPEND
    return ChangeClass.METADATA if metadata else ChangeClass.UNCHANGED


def _index(store: Store, prefix: str, path: str, key: str) -> tuple[int, ...] | None:
    """Return the index of a chunk in its array's grid; None if it cannot be told."""
    grid = store.arrays[path].grid
    directory = join(prefix, path)
    return None if grid is None else grid.index(key[len(directory) + 1 :] if directory else key)


def _is_inside(store: Store, prefix: str, path: str, key: str, extent: tuple[int, ...]) -> bool:
    """Return whether a chunk holds cells of an extent; one of which the place is not known may."""
    grid = store.arrays[path].grid
    if grid is None:
        return True
    index = _index(store, prefix, path, key)
    return index is not None and all(map(int.__lt__, grid.first_cell(index), extent))


@dataclass(frozen=True, slots=True)
class BoundaryChunk:
    """A chunk at the edge of what old and new have in common: its bytes change, these cells perhaps not.

    Attributes
    ----------
    key
        Relative to the product's root.
    lengths
        Its shape.
    cells
        How many cells, along each axis and from the chunk's first one, lie in the common extent.
    is_new
        The target has no such chunk: its old cells are all fill value.
    """

    store: str
    array: str
    key: str
    lengths: tuple[int, ...]
    cells: tuple[int, ...]
    is_new: bool


def boundary(table: pa.Table, stores: Mapping[str, Store], changes: Iterable[ArrayChange]) -> list[BoundaryChunk]:
    """Return the chunks for which only their values tell an append, or a shrink, from an update.

    Parameters
    ----------
    table
        The plan of one product, `zsync.tables.PLAN`.
    stores
        The source's stores, by prefix.
    changes
        What `classify` said without knowing values.
    """
    resized = {
        (change.store, change.array): change.common_shape
        for change in changes
        if change.inside and change.old_shape != change.new_shape and change.kind != ChangeClass.INCOMPATIBLE
    }
    found = []
    for row in _relevant(table):
        place = (row["store"] or "", row["array"])
        if place not in resized or row["role"] != Role.CHUNK or row["action"] != Action.SEND:
            continue
        store, common = stores[place[0]], resized[place]
        grid, index = store.arrays[place[1]].grid, _index(store, *place, row["key"])
        if grid is None or index is None:
            continue
        if not grid.contains(index):
            continue
        lengths = grid.lengths(index)
        cells = tuple(min(end - at, n) for at, n, end in zip(grid.first_cell(index), lengths, common, strict=True))
        # A chunk that lies inside altogether is an update, whatever it holds; one that lies outside is none.
        if all(count > 0 for count in cells) and cells != lengths:
            found.append(BoundaryChunk(*place, row["key"], lengths, cells, is_new=row["etag"] is None))
    return found
