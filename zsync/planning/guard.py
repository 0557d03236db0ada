"""What a plan may not do unless it was asked for (promise P8), and selections that would tear an array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zsync.tables import column, groups, numbers, scalar
from zsync.words import Action, Finding, Reason, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


def guard_findings(
    product: str, table: pa.Table, limit: Callable[[int], int], unseen: Collection[tuple[str, str]] = frozenset()
) -> list[Finding]:
    """Return an error if more would be retired than the guard allows, and what a reader should know of retirements.

    Parameters
    ----------
    product
        The product's name.
    table
        `zsync.tables.PLAN` of this product.
    limit
        The number of objects that may be retired, given the number that is in the target.
    unseen
        Store and path of arrays that readers do not see, or will not while they are replaced: what goes of these is
        nobody's loss.
    """
    retired = _retired(table, unseen)
    present = int(pc.sum(pc.is_valid(table["etag"])).as_py() or 0)
    found = []
    if retired > limit(present):
        found.append(
            Finding(
                "error",
                "max-delete",
                product,
                "",
                f"{retired} of {present} objects would be retired, more than max_delete allows ({limit(present)});"
                " is the source complete? If so, raise max_delete",
            )
        )
    vanished = _count(table, "reason", Reason.VANISHED)
    if vanished:
        found.append(
            Finding(
                "warning",
                "vanished-chunks",
                product,
                "",
                f"{vanished} chunks that were published lie inside their arrays and are gone from the source:"
                " they are all fill value now, or they were lost",
            )
        )
    return found


def _retired(table: pa.Table, unseen: Collection[tuple[str, str]]) -> int:
    """Count the objects that are retired because the source lost them; stale chunks no reader can see."""
    retired = pc.and_(
        pc.equal(table["action"], scalar(str(Action.RETIRE))), pc.equal(table["stage"], scalar(str(Stage.RETIRE)))
    )
    # What others have taken the place of was not lost; what readers do not find any more was, though it stays a while.
    lost = table.filter(
        pc.or_(pc.and_(retired, pc.not_equal(table["reason"], scalar(str(Reason.FLIPPED)))), unseen_by_new(table))
    )
    places = zip(lost["store"].to_pylist(), lost["array"].to_pylist(), strict=True)
    return sum((store or "", array) not in unseen for store, array in places)


def unseen_by_new(table: pa.Table) -> pa.ChunkedArray:
    """Return which rows are about what the source lost, and only who opened the store before still finds."""
    is_lost = pc.is_in(table["reason"], column([str(Reason.GONE), str(Reason.VANISHED)], pa.string()))
    return pc.and_(pc.equal(table["action"], scalar(str(Action.KEEP))), is_lost)


def split_arrays(objects: pa.Table, selected: pa.Array) -> list[str]:
    """Return the arrays of which a selection takes only a part: published so, they would lack chunks silently (P2).

    Parameters
    ----------
    objects
        `zsync.tables.OBJECTS` of the whole source.
    selected
        Which rows the selection takes.
    """
    rows = objects.append_column("selected", selected).filter(pc.is_valid(objects["array"]))
    found, group = groups(rows, ["store", "array"])
    taken = np.bincount(group, weights=numbers(rows["selected"]), minlength=len(found))
    is_torn = (taken > 0) & (taken < np.bincount(group, minlength=len(found)))
    return sorted(f"{row['store']}/{row['array']}".strip("/") for row, torn in zip(found, is_torn, strict=True) if torn)


def _count(table: pa.Table, name: str, value: str) -> int:
    return int(pc.sum(pc.equal(table[name], scalar(str(value)))).as_py() or 0)
