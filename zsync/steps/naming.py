"""What names what among the files of a run: which files are indexes though their names do not tell, and their order.

Whether a file is an index is asked of all files that lie in no array and whose names say nothing; only their beginnings
are read. In which order indexes go is asked only of those that are sent, for which they are read anyway. Nothing is
read over the network: of a pull, names tell.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from zsync.inventory.heads import heads
from zsync.layout import (
    INDEX_RANK,
    Objects,
    is_binary_index,
    is_chunk_like,
    is_data_name,
    join,
    named_in,
    ranks,
)
from zsync.planning import edited
from zsync.tables import column, scalar, with_values
from zsync.words import Action, Role, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zsync.steps.inspect import Inspected
    from zsync.steps.surveyed import Surveyed

Place = tuple[str, str]  # product and key

_HEAD = 64 * 1024  # bytes that tell whether a file names others
_DOCUMENT = 2**20  # bytes of an index that are read to see which
_MOST_UNKNOWN = 20_000  # files whose names say nothing, of a product; what is beyond is taken for data
_MOST_BYTES = 2**27  # of all indexes that are sent; what is beyond has the rank that its name tells
_PLAIN = (str(Role.FILE), str(Role.FOREIGN))


def with_indexes(items: Sequence[Inspected]) -> list[Inspected]:
    """Return what was inspected, in which whatever names other objects of the run is an index."""
    suspects = {item.stock.product.name: _suspects(item) for item in items}
    if not any(suspects.values()):
        return list(items)
    objects = _objects(items)
    return [_with_indexes(item, suspects[item.stock.product.name], objects) for item in items]


def _suspects(item: Inspected) -> list[str]:
    """Return the files that may be indexes by what is in them."""
    if not item.stock.origin.is_local:
        return []
    table = item.layout.objects
    rows = table.filter(pc.and_(pc.is_in(table["role"], column(list(_PLAIN), pa.string())), pc.is_null(table["array"])))
    sizes = item.source["size"].take(pc.index_in(rows["key"], item.source["key"])).to_pylist()
    pairs = zip(rows["key"].to_pylist(), sizes, strict=True)
    keys = [key for key, size in pairs if size and not is_data_name(key) and not is_chunk_like(_inside(key))]
    return keys[:_MOST_UNKNOWN]


def _inside(key: str) -> str:
    """Return a key without the directory of an array that may have been above it."""
    parts = key.split("/")
    while len(parts) > 1 and not (parts[0] == "c" or parts[0].isdecimal()):
        parts.pop(0)
    return "/".join(parts)


def _objects(items: Sequence[Inspected]) -> Objects:
    """Return what may be named: files that are no chunks, and stores as a whole."""
    places: list[Place] = []
    stores: list[Place] = []
    for item in items:
        name, table = item.stock.product.name, item.layout.objects
        rows = table.filter(pc.not_equal(table["role"], scalar(str(Role.CHUNK))))
        places += [(name, key) for key in rows["key"].to_pylist()]
        stores += [(name, prefix) for prefix in item.layout.stores]
        stores += [(name, join(prefix, path)) for prefix, store in item.layout.stores.items() for path in store.arrays]
    return Objects(places, stores)


def _with_indexes(item: Inspected, suspects: Sequence[str], objects: Objects) -> Inspected:
    if not suspects:
        return item
    name = item.stock.product.name
    found = {
        key
        for key, head in heads(item.stock.origin.name, suspects, _HEAD)
        if is_binary_index(head)
        or (objects.may_be_in(head) and objects.found((name, key), named_in(head, is_whole=len(head) < _HEAD)))
    }
    if not found:
        return item
    keys = item.layout.objects["key"].to_pylist()
    is_index = column([key in found for key in keys], pa.bool_())
    table = item.layout.objects
    for name, value in (
        ("role", scalar(str(Role.INDEX))),
        ("stage", scalar(str(Stage.ROOT))),
        ("rank", scalar(INDEX_RANK, pa.int32())),
    ):
        table = with_values(table, name, pc.if_else(is_index, value, table[name]))
    return replace(item, layout=replace(item.layout, objects=table))


def in_order_of_names(table: pa.Table, items: Sequence[Surveyed]) -> pa.Table:
    """Return a plan in which of all indexes that are sent what is named goes before what names it.

    Parameters
    ----------
    table
        `zsync.tables.PLAN` of all products.
    items
        The products.
    """
    rows = _indexes(table)
    sent = [place for place, row in rows.items() if row["action"] == Action.SEND]
    if not sent or len(rows) < 2:
        return table
    objects = Objects(rows)
    named: dict[Place, set[Place]] = {}
    left = _MOST_BYTES
    for item in items:
        if not item.stock.origin.is_local:
            continue
        # What may name the most first: the rest is named by it, if anything is.
        keys = sorted((key for name, key in sent if name == item.name), key=lambda key: -rows[item.name, key]["rank"])
        for key, head in heads(item.stock.origin.name, _within(keys, item.name, rows, left), _DOCUMENT):
            left -= len(head)
            named[item.name, key] = objects.found((item.name, key), named_in(head, is_whole=len(head) < _DOCUMENT))
    bases = {place: (row["order"] or row["rank"], place[1].count("/")) for place, row in rows.items()}
    found = ranks(bases, named)
    edits = {rows[place]["number"]: {"rank": found[place], "order": found[place]} for place in sent}
    return edited(table, edits)


def _within(keys: Sequence[str], product: str, rows: Mapping[Place, Mapping[str, Any]], left: int) -> list[str]:
    chosen = []
    for key in keys:
        left -= min(rows[product, key]["size"] or 0, _DOCUMENT)
        if left < 0:
            break
        chosen.append(key)
    return chosen


def _indexes(table: pa.Table) -> dict[Place, dict[str, Any]]:
    """Return the rows of indexes that are there after the plan; documents of groups and arrays have their own order."""
    is_index = pc.and_(
        pc.equal(table["role"], scalar(str(Role.INDEX))),
        pc.and_(
            pc.greater_equal(pc.coalesce(table["order"], table["rank"]), scalar(INDEX_RANK, pa.int32())),
            pc.is_in(table["action"], column([str(Action.SEND), str(Action.UNCHANGED)], pa.string())),
        ),
    )
    where = pc.indices_nonzero(is_index)
    names = ["product", "key", "action", "rank", "order", "size"]
    rows = table.take(where).select(names).append_column("number", where).to_pylist()
    return {(row["product"], row["key"]): row for row in rows}
