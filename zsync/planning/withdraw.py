"""What must go before new metadata may be seen, because under it readers would take it for something else.

Two things must. A *stale chunk* lies in the grid of an array as it is to be, but readers cannot see it now: it outlived
a shrink, or a publish that never came to its end; it would come back with the metadata. And an array that is *replaced*
(``on_incompatible: replace``) has chunks that one of old and new metadata decodes wrongly: first the metadata of the
array and of the groups above it are withdrawn, so that readers find no store rather than wrong numbers, and they come
back in their own stages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zsync.layout import join, lineage
from zsync.planning.classify import ChangeClass
from zsync.tables import PLAN, column, each_row, table_of, with_values
from zsync.words import Action, Reason, Role, Stage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from zsync.layout import Store
    from zsync.planning.classify import ArrayChange

_DOCUMENTS = (Role.METADATA, Role.CONSOLIDATED)
_ATTRIBUTES = ".zattrs"  # by themselves they make nothing visible
# What names others goes before what is named, stale chunks last. What names all goes alone: if it is not as it was
# seen, nothing else is on its way.
_CONSOLIDATED_RANK, _ROOT_RANK, _GROUP_RANK, _ARRAY_RANK, _CHUNK_RANK = range(5)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One object that readers must not find for a while; it is sent again in its own stage.

    Attributes
    ----------
    store
        The store of which it is metadata; None for a raster, or what belongs to one.
    stage
        When it goes.
    """

    product: str
    store: str | None
    key: str
    rank: int
    stage: Stage = Stage.WITHDRAW


def withdraw(
    table: pa.Table, stores: Mapping[str, Store], changes: Iterable[ArrayChange], *, replaces: bool
) -> tuple[pa.Table, list[Withdrawal]]:
    """Return the plan of a product in which nothing comes to light that readers would take for something else.

    Parameters
    ----------
    table
        `zsync.tables.PLAN` of one product.
    stores
        The source's stores, by prefix.
    changes
        What happens to its arrays.
    replaces
        Incompatible arrays are replaced; else such a plan is not carried out.

    Returns
    -------
    table
        The plan, with stale chunks retired in stage ``withdraw`` and what is withdrawn sent again.
    withdrawals
        What is to be withdrawn before any data is written.
    """
    by_place = {(change.store, change.array): change for change in changes}
    directories: dict[str, str] = {}  # of what is withdrawn, and their stores
    if replaces:
        for (prefix, path), change in by_place.items():
            if change.kind == ChangeClass.INCOMPATIBLE and not change.flips:
                directories |= {join(prefix, above): prefix for above in lineage(path)}
    rules = _Rules(stores, by_place, directories, _unseen_stores(table))
    edits = {number: edit for number, row in _candidates(table, directories) if (edit := rules.edit(row)) is not None}
    withdrawals = [rules.withdrawal(row) for number, row in _candidates(table, directories) if rules.comes_back(row)]
    return edited(table, edits), sorted(withdrawals, key=lambda item: (item.rank, item.key))


def _candidates(table: pa.Table, directories: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows that may be concerned: chunks that only the target has, and metadata in some directories."""
    names = ["product", "key", "store", "array", "role", "action", "reason", "etag"]
    is_document = _is_any(table["role"], _DOCUMENTS) if directories else _is_any(table["role"], ())
    stays_or_goes = _is_any(table["action"], (Action.RETIRE, Action.KEEP))
    is_leftover = pc.and_(_is_any(table["role"], (Role.CHUNK,)), pc.and_(pc.is_valid(table["array"]), stays_or_goes))
    # What is not in the target cannot come to light.
    where = pc.indices_nonzero(pc.and_(pc.is_valid(table["etag"]), pc.or_(is_leftover, is_document)))
    rows = each_row(table.select(names).take(where), names)
    for number, values in zip(where.to_pylist(), rows, strict=True):
        row = dict(zip(names, values, strict=True))
        directory, _, name = row["key"].rpartition("/")
        if row["role"] == Role.CHUNK or (name != _ATTRIBUTES and directory in directories):
            yield number, row


def _is_any(values: pa.ChunkedArray, words: Iterable[str]) -> pa.ChunkedArray:
    return pc.is_in(values, column([str(word) for word in words], pa.string()))


def _unseen_stores(table: pa.Table) -> set[str]:
    """Return the stores of which the root is not in the target: nothing of them can be seen."""
    is_new = pc.and_(pc.is_null(table["etag"]), _is_any(table["action"], (Action.SEND,)))
    is_root = pc.and_(_is_any(table["stage"], (Stage.ROOT,)), _is_any(table["role"], (Role.METADATA,)))
    return set(table["store"].filter(pc.and_(is_new, is_root)).to_pylist())


@dataclass(frozen=True, slots=True)
class _Rules:
    stores: Mapping[str, Store]
    changes: Mapping[tuple[str, str], ArrayChange]
    directories: Mapping[str, str]
    unseen: set[str]

    def edit(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """Return what is to be otherwise with a row."""
        if row["role"] == Role.CHUNK:
            return _retired(Reason.STALE, _CHUNK_RANK) if self._is_stale(row) else None
        if row["action"] in (Action.RETIRE, Action.KEEP):  # documents of another format
            return _retired(Reason.STALE, self._rank(row))
        return {"action": Action.SEND, "reason": Reason.WITHDRAWN} if row["action"] == Action.UNCHANGED else None

    def comes_back(self, row: dict[str, Any]) -> bool:
        """Return whether a row is metadata that is withdrawn now and sent later."""
        return row["role"] in _DOCUMENTS and row["action"] in (Action.SEND, Action.UNCHANGED)

    def withdrawal(self, row: dict[str, Any]) -> Withdrawal:
        return Withdrawal(row["product"], row["store"] or "", row["key"], self._rank(row))

    def _rank(self, row: dict[str, Any]) -> int:
        directory = row["key"].rpartition("/")[0]
        store = self.directories[directory]
        if directory == store:
            return _CONSOLIDATED_RANK if row["role"] == Role.CONSOLIDATED else _ROOT_RANK
        return _ARRAY_RANK if row["array"] is not None else _GROUP_RANK

    def _is_stale(self, row: dict[str, Any]) -> bool:
        place = (row["store"] or "", row["array"])
        change, store = self.changes.get(place), self.stores.get(place[0])
        array = None if store is None else store.arrays.get(place[1])
        if change is None or array is None or array.grid is None:
            return False
        directory = join(*place)
        index = array.grid.index(row["key"][len(directory) + 1 :] if directory else row["key"])
        if index is None or not array.grid.contains(index):
            return False
        # Nothing is shown of the array now, or what is shown will be withdrawn: all that lies in its grid is old.
        if change.old_shape is None or place[0] in self.unseen or change.kind == ChangeClass.INCOMPATIBLE:
            return True
        if change.flips:  # no key of the grid is one that readers look at now
            return True
        # Beyond what is shown now, it comes to light when the array grows over it.
        return any(map(int.__ge__, array.grid.first_cell(index), change.old_shape))


def _retired(reason: Reason, rank: int) -> dict[str, Any]:
    return {"stage": Stage.WITHDRAW, "rank": rank, "action": Action.RETIRE, "reason": reason}


def without_waiting(table: pa.Table, keys: Collection[str]) -> pa.Table:
    """Return a plan in which objects that only the target has go in any case: what they tell readers is untrue."""
    waits = pc.and_(_is_any(table["action"], (Action.KEEP,)), pc.is_in(table["key"], column([*keys], pa.string())))
    gone = {"stage": Stage.RETIRE, "action": Action.RETIRE, "reason": Reason.GONE}
    return edited(table, dict.fromkeys(pc.indices_nonzero(waits).to_pylist(), gone))


def edited(table: pa.Table, edits: Mapping[int, Mapping[str, Any]]) -> pa.Table:
    """Return a plan in which some rows, by their number, have other values in some columns."""
    if not edits:
        return table
    for name in dict.fromkeys(name for edit in edits.values() for name in edit):
        values = {number: edits[number][name] for number in sorted(edits) if name in edits[number]}
        is_edited = np.zeros(len(table), np.bool_)
        is_edited[[*values]] = True
        new = [value if value is None or isinstance(value, int) else str(value) for value in values.values()]
        mask, column_now = column(is_edited, pa.bool_()), table[name]
        edit = column(new, column_now.type)
        table = with_values(table, name, pc.replace_with_mask(column_now, mask, edit))
    return table


def withdrawal_table(withdrawals: Iterable[Withdrawal]) -> pa.Table:
    """Return what is withdrawn as `zsync.tables.PLAN`."""
    rows = [
        {
            "product": item.product,
            "key": item.key,
            "store": item.store,
            "role": str(Role.METADATA if item.stage == Stage.WITHDRAW else Role.FILE),
            "stage": str(item.stage),
            "rank": item.rank,
            "action": str(Action.RETIRE),
            "reason": str(Reason.WITHDRAWN),
            "size": 0,
        }
        for item in withdrawals
    ]
    return table_of(rows, PLAN)
