"""What a manifest tells, as the source had it: under its keys, with its metadata, and without what a flip has left."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from zsync.tables import MANIFEST, column, scalar, with_values
from zsync.words import Stage

OWN = pa.schema([*MANIFEST, ("published", pa.string())])  # the key that the object is published under


def as_its_own(manifest: pa.Table) -> pa.Table:
    """Return a manifest as the source had it.

    Parameters
    ----------
    manifest
        `zsync.tables.MANIFEST`, with all of an array, or nothing of it.

    Returns
    -------
    pyarrow.Table
        `OWN`. Two publications that hold the same differ in nothing then, whatever keys their chunks have.
    """
    table = manifest.append_column("published", manifest["key"])
    is_renamed = pc.fill_null(pc.not_equal(manifest["key"], manifest["source_key"]), scalar(False))
    if not pc.any(is_renamed).as_py() and manifest["original"].null_count == len(manifest):
        return table if manifest["gone_s"].null_count == len(manifest) else _without_left(table)
    table = with_values(table, "key", pc.coalesce(table["source_key"], table["key"]))
    made = [None if body is None else (blake3(body).hexdigest(), len(body)) for body in table["original"].to_pylist()]
    is_made = column([item is not None for item in made], pa.bool_())
    for name, values in (
        ("digest", column([item and item[0] for item in made], pa.string())),
        ("size", column([item and item[1] for item in made], pa.int64())),
        ("etag", pa.nulls(len(table), pa.string())),
    ):
        table = with_values(table, name, pc.if_else(is_made, values, table[name]))
    return _without_left(table)


def _without_left(table: pa.Table) -> pa.Table:
    """Return a manifest without chunks of arrays that are there still, but name other chunks by now."""
    array = pc.binary_join_element_wise(table["store"], table["array"], scalar("\1"))
    is_live = pc.is_null(table["gone_s"])
    is_data = pc.equal(table["stage"], scalar(str(Stage.DATA)))
    live = pc.unique(array.filter(is_live)).drop_null()
    is_left = pc.and_(pc.and_(pc.invert(is_live), is_data), pc.is_in(array, live))
    return table.filter(pc.invert(is_left))
