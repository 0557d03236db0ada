"""What differs between two publications of a product, told from their manifests; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from zsync.history.model import (
    CHANGED,
    CHANGES,
    HEADERS,
    KINDS,
    NEW,
    REMOVED,
    Along,
    ArrayDifference,
    ArrayPlace,
    Known,
    Range,
    chunk_of,
)
from zsync.tables import column, scalar
from zsync.words import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from zsync.layout.grid import Grid

_ROWS = 65_536  # that are Python's at a time


def compare(before: pa.Table, after: pa.Table) -> pa.Table:
    """Return what differs between two manifests, or between those of their parts that they do not share.

    Parameters
    ----------
    before, after
        `zsync.tables.MANIFEST`; a key is in each at most once.

    Returns
    -------
    pyarrow.Table
        `CHANGES`, by key.
    """
    there = pc.index_in(after["key"], before["key"])
    is_new = pc.is_null(there)
    fresh = after.filter(is_new)
    same = after.filter(pc.invert(is_new))
    old = before.take(there.drop_null())
    is_same = _same_bytes(old, same)
    has_headers = pc.and_(is_same, pc.invert(_equal(old["headers"], same["headers"])))
    kinds = pc.if_else(is_same, pc.if_else(has_headers, scalar(HEADERS), scalar("")), scalar(CHANGED))
    gone = before.filter(pc.is_null(pc.index_in(before["key"], after["key"])))
    none = pa.nulls
    rows = [
        _rows(fresh, _constant(NEW, len(fresh)), none(len(fresh), pa.int64()), fresh["size"]),
        _rows(same, kinds, old["size"], same["size"]),
        _rows(gone, _constant(REMOVED, len(gone)), gone["size"], none(len(gone), pa.int64())),
    ]
    table = pa.concat_tables(rows)
    return table.filter(pc.not_equal(table["change"], scalar(""))).sort_by("key")


def differences(
    changes: pa.Table, before: Mapping[ArrayPlace, Known], after: Mapping[ArrayPlace, Known]
) -> tuple[ArrayDifference, ...]:
    """Return what differs array by array.

    Parameters
    ----------
    changes
        `CHANGES`, as of `compare`.
    before, after
        What is known of arrays as they were, and as they are, by their places.
    """
    found: dict[ArrayPlace, _Sum] = {}
    for batch in changes.to_batches(max_chunksize=_ROWS):
        for row in batch.to_pylist():
            place = row["store"], row["array"]
            if place not in found:
                found[place] = _Sum(place, before.get(place), after.get(place))
            found[place].add(row)
    order = sorted(found, key=lambda place: (place[0] or "", place[1] or "", place[0] is not None))
    return tuple(found[place].difference() for place in order)


def borrowed(known: Mapping[ArrayPlace, Known], other: Mapping[ArrayPlace, Known]) -> dict[ArrayPlace, Known]:
    """Return what is known of arrays, with what the other publication says of those of which nothing is."""
    lent = {place: replace(item, labels={}, is_borrowed=True) for place, item in other.items() if place not in known}
    return {**lent, **known}


class _Sum:
    """What differs in one array, summed up object by object."""

    def __init__(self, place: ArrayPlace, before: Known | None, after: Known | None) -> None:
        self._place, self._before, self._after = place, before, after
        self._chunks, self._others = Counter[str](), Counter[str]()
        self._bytes = self._removed = 0
        self._numbers: dict[str, list[set[int]]] = {}  # of chunks along each axis, by kind of change

    def add(self, row: dict[str, Any]) -> None:
        """Take one object into account."""
        kind = row["change"]
        is_chunk = self._place[1] is not None and row["stage"] == Stage.DATA
        (self._chunks if is_chunk else self._others)[kind] += 1
        if kind in (NEW, CHANGED):
            self._bytes += row["size"] or 0
        elif kind == REMOVED:
            self._removed += row["size_before"] or 0
        known = _side(kind, self._before, self._after)
        index = chunk_of(self._place, row["key"], known) if is_chunk else None
        if index is not None:
            axes = self._numbers.setdefault(kind, [set() for _ in index])
            for numbers, number in zip(axes, index, strict=True):
                numbers.add(number)

    def difference(self) -> ArrayDifference:
        """Return what it comes to."""
        along = {}
        for kind in KINDS:
            known = _side(kind, self._before, self._after)
            if kind in self._numbers and known is not None and known.array.grid is not None:
                along[kind] = tuple(_axes(known, known.array.grid, self._numbers[kind]))
        return ArrayDifference(
            *self._place,
            chunks=dict(self._chunks),
            others=dict(self._others),
            bytes=self._bytes,
            bytes_removed=self._removed,
            shape_before=None if self._before is None else self._before.shape,
            shape=None if self._after is None else self._after.shape,
            along=along,
        )


def _side(kind: str, before: Known | None, after: Known | None) -> Known | None:
    """Return the side that tells where a chunk lies: of what is gone only the one that had it."""
    return before if kind == REMOVED else after


def _axes(known: Known, grid: Grid, along: Sequence[set[int]]) -> Iterable[Along]:
    for axis, (length, edges, extent) in enumerate(zip(grid.shape, grid.chunks, grid.extent, strict=True)):
        numbers = sorted(along[axis])
        begins = None if isinstance(edges, int) else list(accumulate(edges, initial=0))
        ranges = tuple(_range(known, axis, run, length, begins or edges) for run in runs(numbers))
        is_all = not known.is_borrowed and (numbers[0], len(numbers), numbers[-1] + 1) == (0, extent, extent)
        yield Along(known.name(axis), ranges, is_all)


def _range(known: Known, axis: int, run: tuple[int, int], length: int, edges: int | Sequence[int]) -> Range:
    """Return some neighbouring chunks; `edges` are what each of them measures, or where each begins."""
    if known.is_borrowed:
        return Range(run)
    first, last = _begin(run[0], edges), _begin(run[1] + 1, edges) - 1
    if first < length:  # else it lies beyond the shape, and is nobody's to be cut
        last = min(last, length - 1)
    labels = known.label(axis, first), known.label(axis, last)
    is_labelled = labels[0] is not None and labels[1] is not None
    return Range(run, (first, last), (labels[0] or "", labels[1] or "") if is_labelled else None)


def _begin(number: int, edges: int | Sequence[int]) -> int:
    """Return the cell at which a chunk begins."""
    return number * edges if isinstance(edges, int) else edges[min(number, len(edges) - 1)]


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return sorted numbers as ranges of neighbours, first and last.

    Examples
    --------
    >>> runs([0, 1, 2, 5, 7, 8])
    [(0, 2), (5, 5), (7, 8)]
    """
    found = []
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in group]
        found.append((members[0], members[-1]))
    return found


def _same_bytes(old: pa.Table, new: pa.Table) -> Any:
    """Return where bytes are known to be the same; what is not known never is."""
    have_digests = pc.and_(pc.is_valid(old["digest"]), pc.is_valid(new["digest"]))
    by_digest = pc.and_(have_digests, _equal(old["digest"], new["digest"]))
    have_etags = pc.and_(pc.is_valid(old["etag"]), pc.is_valid(new["etag"]))
    by_etag = pc.and_(pc.and_(pc.invert(have_digests), have_etags), _equal(old["etag"], new["etag"]))
    return pc.and_(pc.or_(by_digest, by_etag), pc.equal(old["size"], new["size"]))


def _equal(left: Any, right: Any) -> Any:
    """Return where two columns are equal; where both are null as well."""
    both_null = pc.and_(pc.is_null(left), pc.is_null(right))
    return pc.or_(both_null, pc.fill_null(pc.equal(left, right), scalar(False)))


def _constant(word: str, count: int) -> Any:
    return column([word] * count, pa.string())


def _rows(rows: pa.Table, change: Any, size_before: Any, size: Any) -> pa.Table:
    names = ("key", "store", "array", "stage")
    return pa.table([*(rows[name] for name in names), change, size_before, size], schema=CHANGES)
