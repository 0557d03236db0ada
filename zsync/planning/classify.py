"""What happens to each array: the change classes of DESIGN, from the published metadata and the source's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from zsync.layout import Meaning, meaning_of
from zsync.words import Action, Finding, Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from zsync.layout import Store

Place = tuple[str, str]  # store, path of the array in it


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
        Number of chunks inside the old extent that are replaced, or that appear or vanish there.
    old_shape, new_shape
        None where there is none.
    detail
        For an incompatible change: the property, its old and its new value.
    """

    product: str
    store: str
    array: str
    kind: ChangeClass
    inside: int = 0
    old_shape: tuple[int, ...] | None = None
    new_shape: tuple[int, ...] | None = None
    detail: str = ""

    @property
    def name(self) -> str:
        """Product, store and array, for messages."""
        return "/".join(part for part in (self.product, self.store, self.array) if part)

    @property
    def needs_fence(self) -> bool:
        """Whether readers must see the common extent while it happens."""
        return self.kind in (ChangeClass.SHRINK, ChangeClass.RESIZE)

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
        }


def classify(
    product: str, table: pa.Table, stores: Mapping[str, Store], published: Mapping[str, Mapping[str, Any]]
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
    """
    rows = _Rows(table)
    changes = [
        _classify_array(product, prefix, path, store, published.get(prefix), rows)
        for prefix, store in stores.items()
        for path in store.arrays
    ]
    known = {(change.store, change.array) for change in changes}
    removed = [
        ArrayChange(product, store, array, ChangeClass.REMOVED)
        for store, array in sorted(rows.retired)
        if (store, array) not in known
    ]
    return changes + removed


class _Rows:
    """What the plan says of each array, counted."""

    def __init__(self, table: pa.Table) -> None:
        self.metadata_new: Counter[Place] = Counter()
        self.metadata_sent: Counter[Place] = Counter()
        self.chunks: dict[Place, list[tuple[str, str]]] = {}
        self.retired: set[Place] = set()
        for row in _relevant(table):
            place = (row["store"] or "", row["array"])
            if row["action"] == Action.RETIRE:
                self.retired.add(place)
            if row["role"] == Role.METADATA and row["action"] == Action.SEND:
                self.metadata_sent[place] += 1
                self.metadata_new[place] += row["etag"] is None
            elif row["role"] == Role.CHUNK:
                self.chunks.setdefault(place, []).append((row["key"], row["action"]))


def _relevant(table: pa.Table) -> Iterator[dict[str, Any]]:
    for row in table.select(["key", "store", "array", "role", "stage", "action", "etag"]).to_pylist():
        if row["array"] is not None and (row["action"] in (Action.SEND, Action.RETIRE)):
            yield row


def _classify_array(
    product: str, prefix: str, path: str, store: Store, published: Mapping[str, Any] | None, rows: _Rows
) -> ArrayChange:
    place = (prefix, path)
    new = meaning_of(store.documents, path)
    old = meaning_of(published, path) if published is not None else new
    shape = None if new is None else new.shape
    if published is not None and old is None:
        return ArrayChange(product, prefix, path, ChangeClass.NEW, new_shape=shape)
    if rows.metadata_new[place] and published is None:
        return ArrayChange(product, prefix, path, ChangeClass.NEW, new_shape=shape)
    if old is None or new is None:
        return ArrayChange(product, prefix, path, ChangeClass.UNCHANGED, new_shape=shape)
    inside = sum(1 for key, _ in rows.chunks.get(place, ()) if _is_inside(store, prefix, path, key, old))
    kind, detail = _kind(old, new, inside, metadata=rows.metadata_sent[place])
    return ArrayChange(product, prefix, path, kind, inside, old.shape, new.shape, detail)


def _kind(old: Meaning, new: Meaning, inside: int, *, metadata: int) -> tuple[ChangeClass, str]:
    difference = old.difference(new)
    if difference is not None or len(old.shape) != len(new.shape):
        name, before, after = difference or ("dimensions", len(old.shape), len(new.shape))
        return ChangeClass.INCOMPATIBLE, f"{name} was {before!r} and is now {after!r}"
    shorter = any(now < before for before, now in zip(old.shape, new.shape, strict=True))
    longer = any(now > before for before, now in zip(old.shape, new.shape, strict=True))
    if shorter:
        return (ChangeClass.RESIZE if longer else ChangeClass.SHRINK), ""
    if longer:
        return ChangeClass.APPEND, ""
    if inside:
        return ChangeClass.UPDATE, ""
    return (ChangeClass.METADATA if metadata else ChangeClass.UNCHANGED), ""


def _is_inside(store: Store, prefix: str, path: str, key: str, old: Meaning) -> bool:
    """Return whether a chunk holds cells of the old extent."""
    array = store.arrays[path]
    if array.grid is None:
        return True
    directory = "/".join(part for part in (prefix, path) if part)
    index = array.grid.index(key[len(directory) + 1 :] if directory else key)
    return index is not None and all(
        i * length < end for i, length, end in zip(index, array.grid.chunks, old.shape, strict=False)
    )


def incompatible_findings(changes: list[ArrayChange]) -> list[Finding]:
    """Return an error for each incompatible change: in place there is no order of writes that is safe for readers."""
    return [
        Finding(
            "error",
            "incompatible",
            change.product,
            "/".join(part for part in (change.store, change.array) if part),
            f"an incompatible change of a published array: {change.detail}; readers would decode old chunks with new"
            f" metadata or the reverse. {_advice(change)}",
        )
        for change in changes
        if change.kind == ChangeClass.INCOMPATIBLE
    ]


def _advice(change: ArrayChange) -> str:
    old, new = change.old_shape or (), change.new_shape or ()
    if change.detail.startswith("chunk shape") and len(old) == len(new) == 1:
        return (
            "A coordinate in a single chunk changes its chunk shape whenever it grows: write it with a fixed chunk"
            f' length, for instance encoding={{"{change.array.rpartition("/")[2]}": {{"chunks": (4000,)}}}}'
        )
    return "Publish the array under another name, or the store under another target"
