"""The Arrow tables that flow between the rooms.

A *source* inventory is what a scan found, a *target* inventory what a listing found, a *manifest* what was published.
All three are keyed by `key`, relative to the product's root, with ``/`` between its parts. A *plan* joins them.

Digests are BLAKE3, 64 hexadecimal characters. ETags are without quotes. Sizes are in bytes, times in nanoseconds.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from arro3.core import Array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return values as an Arrow array.

    `pyarrow.array` does the same, but asks pandas first whether it knows the values, and importing pandas takes longer
    than a publish with nothing to do.
    """
    return pa.array(Array(values, kind))


@functools.lru_cache(maxsize=256, typed=True)  # words of ours, mostly: a small publish asks for a hundred
def scalar(value: str | bool | int, kind: pa.DataType | None = None) -> pa.Scalar:  # noqa: FBT001 - a value is what it is
    """Return a value as an Arrow scalar, for the reason given at `column`."""
    return column([value], kind or (pa.bool_() if isinstance(value, bool) else pa.string()))[0]


def table_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return rows as a table of a schema; what a row lacks is null."""
    return pa.table([column([row.get(field.name) for row in rows], field.type) for field in schema], schema=schema)


def with_values(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray | list[Any]) -> pa.Table:
    """Return a table with other values in one of its columns, which keeps its place and its type."""
    index = table.schema.get_field_index(name)
    field = table.schema.field(index)
    return table.set_column(index, field, column(values, field.type) if isinstance(values, list) else values)


def numbers(values: pa.ChunkedArray) -> np.ndarray:
    """Return whole numbers or truth values as int64, null as 0; pyarrow's `to_numpy` imports pandas."""
    if not len(values):
        return np.empty(0, dtype=np.int64)
    return np.from_dlpack(values.cast(pa.int64()).fill_null(scalar(0, pa.int64())).combine_chunks())


def groups(table: pa.Table, names: Sequence[str]) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Return the distinct rows of some columns, and for each row of the table which of them it is.

    `pyarrow.Table.group_by` does the same, but comes with pyarrow's datasets, and these with pandas.
    """
    codes = np.zeros(len(table), dtype=np.int64)
    for name in names:
        values = pc.unique(table[name])
        codes = codes * max(len(values), 1) + numbers(pc.index_in(table[name], values))
        # Numbered anew after each column, so that they stay below the number of rows.
        _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    return table.select(names).take(column(first.tolist(), pa.int64())).to_pylist(), codes


NO_TEXT: pa.Scalar = pa.nulls(1, pa.string())[0]

SOURCE = pa.schema(
    [
        ("key", pa.string()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("ctime_ns", pa.int64()),
        ("inode", pa.uint64()),
        ("digest", pa.string()),  # null: not known yet
        (
            "etag",
            pa.string(),
        ),  # what S3 would give these bytes, in the form that the target's ETag has; null: not asked
    ]
)

TARGET = pa.schema([("key", pa.string()), ("size", pa.int64()), ("etag", pa.string())])

RECEIPTS = pa.schema(
    [
        ("key", pa.string()),
        ("size", pa.int64()),
        ("digest", pa.string()),
        ("etag", pa.string()),  # what the service answered to the write of these bytes
        ("version", pa.string()),
        ("headers", pa.string()),
    ]
)

OBJECTS = pa.schema(
    [
        ("key", pa.string()),
        ("store", pa.string()),  # key prefix of the store's root, "" for the product's root; null outside any store
        ("array", pa.string()),  # path of the array within its store, "" if the store is an array; null outside arrays
        ("role", pa.string()),
        ("stage", pa.string()),
        ("rank", pa.int32()),  # order inside the stage, ascending; equal ranks may go together
        ("in_grid", pa.bool_()),  # the key is a chunk and lies inside its array's grid
    ]
)

MANIFEST = pa.schema(
    [
        ("key", pa.string()),
        ("source_key", pa.string()),  # differs from key where an array's published key encoding is not the source's
        ("size", pa.int64()),
        ("digest", pa.string()),
        ("etag", pa.string()),
        ("version", pa.string()),
        ("store", pa.string()),
        ("array", pa.string()),
        ("stage", pa.string()),
        (
            "headers",
            pa.string(),
        ),  # digest of content type, cache control, storage class, ...: their drift is invisible to an ETag
        ("gone_s", pa.int64()),  # since when the source lacks it, in seconds since the epoch; null: the source has it
        ("order", pa.int32()),  # of an index: lower than that of indexes which name it; null: it is none
    ]
)

PLAN = pa.schema(
    [
        ("product", pa.string()),
        ("key", pa.string()),
        ("source_key", pa.string()),  # null: generated, or in the target only and not on record
        ("store", pa.string()),
        ("array", pa.string()),
        ("role", pa.string()),
        ("stage", pa.string()),
        ("rank", pa.int32()),
        ("action", pa.string()),
        ("reason", pa.string()),
        ("size", pa.int64()),
        ("digest", pa.string()),  # null: a new object, hashed while it is sent
        ("mtime_ns", pa.int64()),
        ("ctime_ns", pa.int64()),
        ("inode", pa.uint64()),
        ("etag", pa.string()),  # what the target holds now; null if nothing
        ("version", pa.string()),
        ("headers", pa.string()),
        ("gone_s", pa.int64()),
        ("order", pa.int32()),
        ("content", pa.binary()),  # the bytes, where zsync makes them itself
    ]
)
