"""The Arrow tables that flow between the rooms.

A *source* inventory is what a scan found, a *target* inventory what a listing found, a *manifest* what was published.
All three are keyed by `key`, relative to the product's root, with ``/`` between its parts. A *plan* joins them.

Digests are BLAKE3, 64 hexadecimal characters. ETags are without quotes. Sizes are in bytes, times in nanoseconds.
"""

from __future__ import annotations

import functools
import itertools
from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from arro3.core import Array

from zsync.packed import Texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_HEXADECIMAL = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), np.uint16)
_MANY = 16_384  # rows of a table that is worth a thought
_RUN = 1024  # rows side by side, on average, that are better left where they are
_FEW = 16_384  # rows that are Python objects at a time


def column(values: Sequence[Any] | np.ndarray, kind: pa.DataType) -> pa.Array:
    """Return values as an Arrow array; packed ones, and numbers of NumPy's, without a Python object a value.

    `pyarrow.array` does the same, but asks pandas first whether it knows the values, and importing pandas takes longer
    than a publish with nothing to do.
    """
    if isinstance(values, Texts):
        return _of_texts(values)
    if isinstance(values, array):
        values = np.frombuffer(values, dtype=values.typecode)
    if isinstance(values, np.ndarray) and values.dtype != np.bool_:
        numbers = np.ascontiguousarray(values)
        kept = pa.Array.from_buffers(pa.from_numpy_dtype(numbers.dtype), len(numbers), [None, pa.py_buffer(numbers)])
        return kept if kept.type == kind else kept.cast(kind)
    if isinstance(values, np.ndarray):
        bits = np.packbits(values, bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits)])
    return pa.array(Array(values, kind))


def _of_texts(values: Texts[Any]) -> pa.Array:
    starts = np.frombuffer(values.starts, np.int64).astype(np.int32)
    known = None
    if values.absent is not None:
        known = pa.py_buffer(np.packbits(np.frombuffer(values.absent, np.uint8) ^ 1, bitorder="little"))
    return pa.Array.from_buffers(pa.string(), len(values), [known, pa.py_buffer(starts), pa.py_buffer(values.data)])


def texts_of(values: pa.ChunkedArray) -> Texts[Any]:
    """Return a column of texts without a Python object a text."""
    if not len(values):
        return Texts()
    whole = values.combine_chunks()
    absent = bytearray(numbers(whole.is_null()).astype(np.uint8)) if whole.null_count else None
    _, starts, data = whole.buffers()
    places = np.frombuffer(starts, np.int32)[whole.offset : whole.offset + len(whole) + 1].astype(np.int64)
    return Texts.over(memoryview(data or b""), memoryview(places.data), absent)


def hexadecimal(digests: pa.ChunkedArray | pa.Array) -> pa.Array:
    r"""Return digests, given as bytes, as text; null stays null.

    Examples
    --------
    >>> hexadecimal(column([b"\x0a" * 32, None], pa.binary(32)))[0].as_py()[:4]
    '0a0a'
    """
    whole = digests.combine_chunks() if isinstance(digests, pa.ChunkedArray) else digests
    if not len(whole):
        return pa.nulls(0, pa.string())
    width = whole.type.byte_width
    raw = np.frombuffer(whole.buffers()[1], np.uint8)[whole.offset * width : (whole.offset + len(whole)) * width]
    ends = np.arange(len(whole) + 1, dtype=np.int32) * (2 * width)
    known = whole.is_valid().buffers()[1]
    return pa.Array.from_buffers(pa.string(), len(whole), [known, pa.py_buffer(ends), pa.py_buffer(_HEXADECIMAL[raw])])


def each(values: pa.ChunkedArray) -> Iterator[Any]:
    """Yield the values of a column as Python objects, of which there are few at a time."""
    for start in range(0, len(values), _FEW):
        yield from values.slice(start, _FEW).to_pylist()


def each_row(table: pa.Table, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of some columns as tuples, of which there are few at a time."""
    return zip(*(each(table[name]) for name in names), strict=True)


def chosen(table: pa.Table, mask: pa.ChunkedArray) -> pa.Table:
    """Return the rows of a table for which a mask is true; where most are, in long runs, nothing is copied."""
    if len(table) < _MANY:
        return table.filter(mask)
    edges = np.flatnonzero(np.diff(numbers(mask), prepend=0, append=0)).tolist()
    runs = list(zip(edges[::2], edges[1::2], strict=True))
    count = sum(stop - start for start, stop in runs)
    # What is little must not keep in memory what is much.
    if len(runs) > count // _RUN or count <= len(table) // 8:
        return table.filter(mask)
    return pa.concat_tables([table.slice(start, stop - start) for start, stop in runs])


def taken(table: pa.Table, places: pa.ChunkedArray) -> pa.Table:
    """Return the rows of a table that are at some places, null where the place is; long runs are not copied."""
    if len(places) < _MANY or places.null_count == len(places):
        return table.take(places)
    where = numbers(places)
    if places.null_count:
        where = np.where(numbers(places.is_null()), -1, where)
    steps = np.diff(where)
    is_on = np.where(where[:-1] < 0, where[1:] < 0, steps == 1)
    edges = [0, *(np.flatnonzero(~is_on) + 1).tolist(), len(where)]
    if len(edges) > len(where) // _RUN:
        return table.take(places)
    nothing = pa.table([pa.nulls(1, field.type) for field in table.schema], schema=table.schema)
    parts = []
    for start, stop in itertools.pairwise(edges):
        first, count = int(where[start]), stop - start
        parts.append(nothing.take(column(np.zeros(count, np.int64), pa.int64())) if first < 0
                     else table.slice(first, count))  # fmt: skip
    return pa.concat_tables(parts)


def looked_up(keys: pa.ChunkedArray, known: Mapping[str, Any], kind: pa.DataType) -> pa.Array:
    """Return what is known of some keys, null for the others."""
    values = column([*known.values()], kind)
    if not known:
        return pa.nulls(len(keys), kind)
    return values.take(pc.index_in(keys, column([*known], pa.string())))


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


def numbers(values: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return whole numbers or truth values as int64, null as 0; pyarrow's `to_numpy` imports pandas."""
    if not len(values):
        return np.empty(0, dtype=np.int64)
    whole = values.cast(pa.int64()).fill_null(scalar(0, pa.int64()))
    return np.from_dlpack(whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole)


def groups(table: pa.Table, names: Sequence[str]) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Return the distinct rows of some columns, and for each row of the table which of them it is.

    `pyarrow.Table.group_by` does the same, but comes with pyarrow's datasets, and these with pandas.
    """
    first, codes = _grouped(table, names)
    return table.select(names).take(first).to_pylist(), codes


def firsts(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the first row of each of `groups`."""
    first, _ = _grouped(table, names)
    return table.take(first)


def _grouped(table: pa.Table, names: Sequence[str]) -> tuple[pa.Array, np.ndarray]:
    """Return where each group begins, and for each row the number of its group."""
    codes = np.zeros(len(table), dtype=np.int64)
    for name in names:
        values = pc.unique(table[name])
        codes = codes * max(len(values), 1) + numbers(pc.index_in(table[name], values))
        # Numbered anew after each column, so that they stay below the number of rows.
        _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    return column(first.tolist(), pa.int64()), codes


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

# As they are gathered: digests are bytes, which take half as much as text (`hexadecimal`).
ANSWERS = pa.schema([("key", pa.string()), ("digest", pa.binary(32)), ("etag", pa.string()), ("version", pa.string())])

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
        ("original", pa.binary()),  # the source's bytes, where metadata names other keys than the source has
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
        ("original", pa.binary()),
        ("copy_key", pa.string()),  # what the target holds the same bytes as already, under another key
        ("copy_etag", pa.string()),
    ]
)
