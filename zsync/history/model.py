"""What differs between two publications, as values: changes of objects, ranges of chunks, arrays, products; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from zsync.layout import join
from zsync.words import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zsync.layout import Array

NEW, CHANGED, REMOVED, HEADERS = "new", "changed", "removed", "headers"
KINDS = (NEW, CHANGED, REMOVED, HEADERS)

CHANGES = pa.schema(
    [
        ("key", pa.string()),
        ("store", pa.string()),
        ("array", pa.string()),
        ("stage", pa.string()),
        ("change", pa.string()),  # new, changed, removed; headers: the same bytes with other headers
        ("size_before", pa.int64()),
        ("size", pa.int64()),
    ]
)

Index = tuple[int, ...]
ArrayPlace = tuple[str | None, str | None]  # key prefix of a store, path of an array in it; None outside


@dataclass(frozen=True, slots=True)
class Range:
    """Neighbouring chunks along one axis.

    Attributes
    ----------
    chunks, cells
        The first and the last of them; of cells None where it is not known how many a chunk has.
    labels
        What the coordinate says of the first and the last cell; None where that is not known.
    """

    chunks: tuple[int, int]
    cells: tuple[int, int] | None = None
    labels: tuple[str, str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        said = {"chunks": self.chunks, "cells": self.cells, "labels": self.labels}
        return {name: list(ends) for name, ends in said.items() if ends is not None}


@dataclass(frozen=True, slots=True)
class Along:
    """Where chunks lie along one axis.

    Attributes
    ----------
    dimension
        Its name, or ``axis 0`` where it has none.
    is_all
        There are some in every place.
    """

    dimension: str
    ranges: tuple[Range, ...]
    is_all: bool

    @property
    def count(self) -> int:
        """In how many places there are some."""
        return sum(item.chunks[1] - item.chunks[0] + 1 for item in self.ranges)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "dimension": self.dimension,
            "all": self.is_all,
            "ranges": [item.to_dict() for item in self.ranges],
        }


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an array as it was published.

    Attributes
    ----------
    array
        Its shape and grid.
    names
        The names of its dimensions, in their order; None where one has none.
    labels
        The coordinates of its dimensions, by name, as text.
    is_borrowed
        It is what the other publication says: only how the keys of chunks are written, and what dimensions are called,
        is taken from it.
    """

    array: Array
    names: tuple[str | None, ...] = ()
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    is_borrowed: bool = False

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Its shape; None if that is not known."""
        return None if self.is_borrowed else self.array.shape

    def name(self, axis: int) -> str:
        """Return what an axis is called."""
        return (self.names[axis] if axis < len(self.names) else None) or f"axis {axis}"

    def label(self, axis: int, cell: int) -> str | None:
        """Return what the coordinate of an axis says of a cell."""
        labels = self.labels.get(self.name(axis), ())
        return labels[cell] if cell < len(labels) and len(labels) == self.array.shape[axis] else None


@dataclass(frozen=True, slots=True)
class ArrayDifference:
    """What differs in one array; or, of a store or a product, outside its arrays.

    Attributes
    ----------
    store
        Key prefix of its store; None outside stores.
    array
        Its path in the store; None outside arrays.
    chunks, others
        How many chunks, and how many other objects, are ``new``, ``changed``, ``removed``, or have other ``headers``.
    bytes, bytes_removed
        Size of what is new or changed, and of what is not there any more.
    shape_before, shape
        Its shapes; None where it was not there, or that is not known.
    along
        Where the chunks of each kind of change lie, axis by axis; empty where the grid is not known.
    """

    store: str | None
    array: str | None
    chunks: Mapping[str, int]
    others: Mapping[str, int]
    bytes: int
    bytes_removed: int
    shape_before: tuple[int, ...] | None = None
    shape: tuple[int, ...] | None = None
    along: Mapping[str, tuple[Along, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Where it lies in its product."""
        return "/".join(part for part in (self.store, self.array) if part) or "."

    def is_block(self, kind: str) -> bool:
        """Return whether the chunks of a kind of change are all that lie in its ranges, not some of them only."""
        return self.chunks.get(kind, 0) == math.prod(axis.count for axis in self.along[kind])

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "store": self.store,
            "array": self.array,
            "chunks": dict(self.chunks),
            "others": dict(self.others),
            "bytes": self.bytes,
            "bytes_removed": self.bytes_removed,
            "shape_before": None if self.shape_before is None else list(self.shape_before),
            "shape": None if self.shape is None else list(self.shape),
            "along": {kind: [axis.to_dict() for axis in axes] for kind, axes in self.along.items()},
        }


@dataclass(frozen=True, slots=True)
class ProductDifference:
    """What differs in one product.

    Attributes
    ----------
    url
        The product.
    before, after
        Ids of the two publications; None: it was not published then.
    arrays
        What differs, array by array.
    objects
        What differs, object by object (`CHANGES`).
    known
        What is known of the arrays that differ, as they were and as they are.
    """

    url: str
    before: str | None
    after: str | None
    arrays: tuple[ArrayDifference, ...]
    objects: pa.Table = field(repr=False)
    known: tuple[Mapping[ArrayPlace, Known], Mapping[ArrayPlace, Known]] = field(repr=False)

    def rows(self) -> list[dict[str, Any]]:
        """Return what differs as rows, one an object, with the index of the chunk that it is."""
        return [self._row(row) for row in self.objects.to_pylist()]

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        place = row["store"], row["array"]
        known = self.known[0 if row["change"] == REMOVED else 1].get(place)
        chunk = chunk_of(place, row["key"], known) if row["stage"] == Stage.DATA else None
        return {**row, "chunk": None if chunk is None else list(chunk)}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "url": self.url,
            "before": self.before,
            "after": self.after,
            "arrays": [item.to_dict() for item in self.arrays],
            "objects": self.rows(),
        }


def chunk_of(place: ArrayPlace, key: str, known: Known | None) -> Index | None:
    """Return the index of the chunk that a key is; None where it is none, or that is not known."""
    grid = None if known is None else known.array.grid
    store, array = place
    if grid is None or array is None:
        return None
    directory = join(store or "", array)
    return grid.index(key.removeprefix(f"{directory}/") if directory else key)
