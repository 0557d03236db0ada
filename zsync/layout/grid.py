"""Chunk grids, and how the keys of chunks name their place in one.

Sources: Zarr v2 specification, "Arrays"; Zarr v3 core specification, "Chunk grids" and "Chunk key encoding";
the `default` and `v2` chunk key encodings of zarr-specs; the rectilinear chunk grid of zarr-extensions.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

# What chunks measure along one axis: all of them the same, or each its own.
Edges = int | tuple[int, ...]

# No array has an index of more digits than 2**63, and int() refuses strings of thousands of digits.
MAX_DIGITS = 19


@dataclass(frozen=True, slots=True)
class KeyEncoding:
    """How a chunk's index is written as a key, relative to its array.

    Parameters
    ----------
    name
        ``default`` writes ``c/0/0`` or ``c.0.0`` (``c`` without dimensions); ``v2``, of Zarr v2 and v3 alike, writes
        ``0/0`` or ``0.0`` (``0`` without dimensions).
    separator
        What stands between the numbers.
    """

    name: Literal["default", "v2"]
    separator: Literal[".", "/"]

    def parse(self, rel: str, ndim: int) -> tuple[int, ...] | None:
        """Return the index that a key names, or None if it is not the one way to write an index of `ndim` numbers.

        Examples
        --------
        >>> KeyEncoding("default", "/").parse("c/1/0", 2)
        (1, 0)
        >>> KeyEncoding("v2", ".").parse("1.00", 2) is None
        True
        """
        if ndim == 0:
            return () if rel == self.encode(()) else None
        if self.name == "default":
            if rel[:1] != "c" or rel[1:2] != self.separator:
                return None
            rel = rel[2:]
        parts = rel.split(self.separator)
        if len(parts) != ndim:
            return None
        for part in parts:
            # isdigit() alone also takes the digits of other scripts, and superscripts.
            if not (part.isdigit() and part.isascii()) or len(part) > MAX_DIGITS or (part[0] == "0" and part != "0"):
                return None
        return tuple(map(int, parts))

    def encode(self, index: tuple[int, ...]) -> str:
        """Return the key of the chunk at an index."""
        numbers = [str(i) for i in index]
        if self.name == "default":
            return self.separator.join(["c", *numbers])
        return self.separator.join(numbers) if numbers else "0"

    def other(self) -> KeyEncoding:
        """Return the encoding of the same name with the other separator."""
        return KeyEncoding(self.name, "/" if self.separator == "." else ".")

    @classmethod
    def of_key(cls, rel: str) -> KeyEncoding:
        """Return the encoding by which the key of a chunk is written; where both separators give it, with the dot.

        Examples
        --------
        >>> KeyEncoding.of_key("c/0/1"), KeyEncoding.of_key("0")
        (KeyEncoding(name='default', separator='/'), KeyEncoding(name='v2', separator='.'))
        """
        return cls("default" if rel[:1] == "c" else "v2", "/" if "/" in rel else ".")

    @classmethod
    def all_of(cls, zarr_format: int) -> tuple[KeyEncoding, ...]:
        """Return the encodings that arrays of a format may declare, each reader's default first."""
        v2 = (cls("v2", "."), cls("v2", "/"))
        return v2 if zarr_format == 2 else (cls("default", "/"), *v2, cls("default", "."))

    def meets(self, ndim: int, other: KeyEncoding, other_ndim: int) -> bool:
        """Return whether two arrays at one place would have keys in common, or keys below keys.

        Parameters
        ----------
        ndim, other_ndim
            How many dimensions the arrays have that are written so.

        Examples
        --------
        >>> v2, default = KeyEncoding("v2", "."), KeyEncoding("default", "/")
        >>> v2.meets(2, v2.other(), 2), v2.meets(1, v2.other(), 1), v2.meets(1, default, 1)
        (False, True, False)
        """
        if self.name != other.name:  # one begins with a letter, the other with a digit
            return False
        if self.name == "v2":  # which writes an index without numbers as one with a single zero
            ndim, other_ndim = max(ndim, 1), max(other_ndim, 1)
        if ndim == other_ndim:  # the first number ends alike, or it does not; where nothing follows it, it does
            return self.separator == other.separator or ndim <= (0 if self.name == "default" else 1)
        fewer, more = sorted(((ndim, self.separator), (other_ndim, other.separator)))
        # A key with fewer numbers is a directory of one with more.
        return more[1] == "/" and (fewer[1] == "/" or fewer[0] <= (0 if self.name == "default" else 1))


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid of an array's objects.

    Parameters
    ----------
    shape
        The array's shape.
    chunks
        What one object measures along each axis: a chunk, or a shard where the array is sharded.
    encoding
        How the objects' keys are written.
    """

    shape: tuple[int, ...]
    chunks: tuple[Edges, ...]
    encoding: KeyEncoding

    @property
    def extent(self) -> tuple[int, ...]:
        """The number of objects along each axis."""
        return tuple(map(_count, self.shape, self.chunks))

    @property
    def size(self) -> int:
        """The number of objects in the full grid."""
        return math.prod(self.extent)

    def index(self, rel_key: str) -> tuple[int, ...] | None:
        """Return the index that a key relative to the array names, inside the grid or not; None: it names none."""
        return self.encoding.parse(rel_key, len(self.shape))

    def key(self, index: tuple[int, ...]) -> str:
        """Return the key, relative to the array, of the object at an index."""
        return self.encoding.encode(index)

    def contains(self, index: tuple[int, ...]) -> bool:
        """Return whether an index lies inside the grid."""
        return len(index) == len(self.shape) and all(0 <= i < n for i, n in zip(index, self.extent, strict=True))

    def first_cell(self, index: tuple[int, ...]) -> tuple[int, ...]:
        """Return where the object at an index begins; what lies beyond all that is cut begins at its end.

        Examples
        --------
        >>> Grid((13, 8), ((5, 5, 3), 4), KeyEncoding("default", "/")).first_cell((2, 1))
        (10, 4)
        """
        return tuple(
            i * edges if isinstance(edges, int) else sum(edges[:i]) for i, edges in zip(index, self.chunks, strict=True)
        )

    def lengths(self, index: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the object at an index inside the grid."""
        return tuple(edges if isinstance(edges, int) else edges[i] for i, edges in zip(index, self.chunks, strict=True))


def _count(length: int, edges: Edges) -> int:
    """Return how many objects hold cells along an axis."""
    if not length:  # a chunk length of zero is only ever allowed where there is nothing to divide
        return 0
    if isinstance(edges, int):
        return -(-length // edges)
    return min(bisect_left(list(accumulate(edges)), length) + 1, len(edges))
