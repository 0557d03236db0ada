"""Pulls that touch nothing which is there: the safe mode, which is the default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from zsync.tables import NO_TEXT, column, scalar, taken, with_values
from zsync.words import Action, Finding, Reason, Role, Stage

if TYPE_CHECKING:
    from zsync.planning.diff import Survey


def leave_existing(product: str, table: pa.Table, survey: Survey) -> tuple[pa.Table, list[Finding]]:
    """Return a plan that leaves alone what is there and was not pulled, or was changed since.

    A Zarr store is one thing: it is brought up to date whole, if every object of it is as it was pulled, or left alone
    whole. A store of which the root is not there was never whole, and is completed. Of other files those of the same
    size are left alone.

    Parameters
    ----------
    product
        The product's name.
    table
        Its plan, `zsync.tables.PLAN`.
    survey
        What the plan was made of.

    Returns
    -------
    table
        The plan.
    findings
        What was left alone though it differs.
    """
    names = ["etag", "size"]
    where = pc.index_in(table["key"], survey.target["key"])
    there = taken(survey.target.select(names), where)
    recorded = taken(survey.manifest.select(names), pc.index_in(table["key"], survey.manifest["key"]))
    is_there = pc.is_valid(where)
    is_ours = pc.fill_null(
        pc.and_(pc.equal(there["etag"], recorded["etag"]), pc.equal(there["size"], recorded["size"])), scalar(False)
    )
    acts = pc.not_equal(table["action"], scalar(str(Action.UNCHANGED)))
    in_store = pc.is_valid(table["store"])
    same_size = pc.fill_null(pc.equal(there["size"], table["size"]), scalar(False))

    foreign = table["store"].filter(pc.and_(pc.and_(is_there, pc.invert(is_ours)), acts))
    left_stores = _shown_stores(table, is_there).intersection(pc.unique(foreign).to_pylist())
    in_left_store = pc.and_(in_store, pc.is_in(table["store"], column(sorted(left_stores), pa.string())))
    left_files = pc.and_(pc.and_(pc.invert(in_store), is_there), pc.and_(acts, same_size))
    # What is ours and of another size, or gone, follows the source; so does all of a store that is ours.
    left = pc.and_(acts, pc.or_(in_left_store, left_files))
    if not pc.any(left).as_py():
        return table, []
    findings = _findings(product, table.filter(left), left_stores)
    return _kept(table, left, is_there), findings


def _shown_stores(table: pa.Table, is_there: pa.Array) -> set[str]:
    rows = table.filter(pc.and_(is_there, pc.equal(table["stage"], scalar(str(Stage.ROOT)))))
    rows = rows.filter(pc.not_equal(rows["role"], scalar(str(Role.INDEX))))
    return {store for store in rows["store"].to_pylist() if store is not None}


def _kept(table: pa.Table, left: pa.Array, is_there: pa.Array) -> pa.Table:
    """Return the plan in which some rows are left alone; of those, what is not there is not in the plan at all."""
    edits = {
        "action": scalar(str(Action.KEEP)),
        "reason": scalar(str(Reason.EXISTS)),
        "digest": NO_TEXT,  # what is there is not what the source has
    }
    for name, value in edits.items():
        table = with_values(table, name, pc.if_else(left, value, table[name]))
    return table.filter(pc.or_(pc.invert(left), is_there))


def _findings(product: str, left: pa.Table, stores: set[str]) -> list[Finding]:
    found = [
        Finding(
            "warning",
            "left-alone",
            product,
            store,
            "this store is there, differs, and was not pulled as it is: left alone; --force-overwrite updates it",
        )
        for store in sorted(stores)
    ]
    files = left.filter(pc.is_null(left["store"]))
    if len(files):
        message = (
            f"{len(files)} files are there with the size that they should have, and were not compared;"
            " --force-overwrite compares and replaces them"
        )
        found.append(Finding("info", "left-alone", product, files["key"][0].as_py(), message))
    return found
