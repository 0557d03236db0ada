"""Files that changed while they were to be sent, where the others need not wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from zsync.tables import PLAN, column, scalar
from zsync.words import Action, Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def without_moving(table: pa.Table, left: Collection[tuple[str, str]], recorded: Mapping[str, pa.Table]) -> pa.Table:
    """Return a plan, carried out, in which files that were left out are as the target has them.

    Parameters
    ----------
    table
        `zsync.tables.PLAN`.
    left
        Product and key of what was left out; none of it in a store.
    recorded
        The manifests before, by product.
    """
    for product, manifest in recorded.items():
        keys = column(sorted(key for name, key in left if name == product), pa.string())
        is_left = pc.and_(pc.equal(table["product"], scalar(product)), pc.is_in(table["key"], value_set=keys))
        rows = table.filter(is_left)
        before = manifest.filter(pc.is_in(manifest["key"], value_set=rows["key"]))
        there = rows["etag"].take(pc.index_in(before["key"], rows["key"]))
        before = before.filter(pc.fill_null(pc.equal(there, before["etag"]), scalar(False)))
        table = pa.concat_tables([table.filter(pc.invert(is_left)), _kept(product, before, rows)])
    return table


def _kept(product: str, before: pa.Table, rows: pa.Table) -> pa.Table:
    """Return what is on record as rows of a plan that stay as they are."""
    count = len(before)
    columns = {name: before[name] for name in before.column_names if name in PLAN.names}
    columns |= {
        "product": pa.repeat(scalar(product), count),
        "role": rows["role"].take(pc.index_in(before["key"], rows["key"])),
        "rank": pa.repeat(scalar(0, pa.int32()), count),
        "action": pa.repeat(scalar(str(Action.KEEP)), count),
        "reason": pa.repeat(scalar(str(Reason.MOVING)), count),
    }
    made = [columns.get(field.name, pa.nulls(count, field.type)) for field in PLAN]
    return pa.table(made, names=PLAN.names).cast(PLAN)
