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

from zsync.layout import join, lineage
from zsync.planning.classify import ChangeClass
from zsync.tables import PLAN, table_of, with_values
from zsync.words import Action, Reason, Role, Stage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    import pyarrow as pa

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
            if change.kind == ChangeClass.INCOMPATIBLE:
                directories |= {join(prefix, above): prefix for above in lineage(path)}
    rules = _Rules(stores, by_place, directories, _unseen_stores(table))
    edits = {number: edit for number, row in _candidates(table, directories) if (edit := rules.edit(row)) is not None}
    withdrawals = [rules.withdrawal(row) for number, row in _candidates(table, directories) if rules.comes_back(row)]
    return edited(table, edits), sorted(withdrawals, key=lambda item: (item.rank, item.key))


def _candidates(table: pa.Table, directories: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows that may be concerned: chunks that only the target has, and metadata in some directories."""
    names = ["product", "key", "store", "array", "role", "action", "reason", "etag"]
    columns = [table[name].to_pylist() for name in names]
    for number, values in enumerate(zip(*columns, strict=True)):
        _, key, _, array, role, action, _, etag = values
        if etag is None:  # it is not in the target: nothing can come to light
            continue
        is_document = role in _DOCUMENTS and key.rpartition("/")[2] != _ATTRIBUTES
        is_leftover = role == Role.CHUNK and array is not None and action in (Action.RETIRE, Action.KEEP)
        if is_leftover or (is_document and key.rpartition("/")[0] in directories):
            yield number, dict(zip(names, values, strict=True))


def _unseen_stores(table: pa.Table) -> set[str]:
    """Return the stores of which the root is not in the target: nothing of them can be seen."""
    names = ("store", "stage", "role", "action", "etag")
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    return {
        store
        for store, stage, role, action, etag in rows
        if stage == Stage.ROOT and role == Role.METADATA and action == Action.SEND and etag is None
    }


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
        # Beyond what is shown now, it comes to light when the array grows over it.
        return any(map(int.__ge__, array.grid.first_cell(index), change.old_shape))


def _retired(reason: Reason, rank: int) -> dict[str, Any]:
    return {"stage": Stage.WITHDRAW, "rank": rank, "action": Action.RETIRE, "reason": reason}


def without_waiting(table: pa.Table, keys: Collection[str]) -> pa.Table:
    """Return a plan in which objects that only the target has go in any case: what they tell readers is untrue."""
    rows = zip(table["key"].to_pylist(), table["action"].to_pylist(), table["rank"].to_pylist(), strict=True)
    gone = {"stage": Stage.RETIRE, "action": Action.RETIRE, "reason": Reason.GONE}
    edits = {
        n: gone | {"rank": rank} for n, (key, action, rank) in enumerate(rows) if key in keys and action == Action.KEEP
    }
    return edited(table, edits)


def edited(table: pa.Table, edits: Mapping[int, Mapping[str, Any]]) -> pa.Table:
    """Return a plan in which some rows, by their number, have other values in some columns."""
    if not edits:
        return table
    for name in dict.fromkeys(name for edit in edits.values() for name in edit):
        values = table[name].to_pylist()
        for number, edit in edits.items():
            values[number] = edit.get(name, values[number])
        texts = [value if value is None or isinstance(value, int) else str(value) for value in values]
        table = with_values(table, name, texts)
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
