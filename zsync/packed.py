"""Long columns without a Python object a row: texts in one piece, and what `stat` says of files in another.

A text is some 70 bytes as an object, four numbers in a tuple are 200; here they are what they hold, and 8 bytes more,
or 32. Both behave as sequences; whoever goes through one has an object at a time. `zsync.tables.column` makes Arrow
arrays of them without copying a text. This is what scans and listings are made of, so Arrow is not needed here.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice, pairwise
from typing import Generic, TypeVar, cast, overload

T = TypeVar("T", str, str | None)

Signature = tuple[int, int, int, int]  # size, mtime and ctime in nanoseconds, inode

_STEP = 1024  # rows that are made objects at a time
_ANY = "surrogatepass"  # names of files are any bytes; which of them can be keys is told elsewhere


class Texts(Sequence[T], Generic[T]):
    """Texts, or texts and None, in one piece.

    Examples
    --------
    >>> names = Texts(["a", "bc"])
    >>> names.append("d")
    >>> list(names), names[-1], names == ["a", "bc", "d"]
    (['a', 'bc', 'd'], 'd', True)
    """

    __slots__ = ("absent", "data", "starts")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, texts: Iterable[T] = ()) -> None:
        self.data: bytearray | memoryview = bytearray()
        self.starts: array[int] | memoryview = array("q", [0])  # of each text, and where the last one ends
        self.absent: bytearray | None = None  # 1 for each that is None; None: there is none
        self.extend(texts)

    @classmethod
    def over(cls, data: memoryview, starts: memoryview, absent: bytearray | None) -> Texts[T]:
        """Return texts that lie somewhere already; nothing can be added to them."""
        made = cls()
        made.data, made.starts, made.absent = data, starts, absent
        return made

    def append(self, text: T) -> None:
        """Add a text."""
        self.extend((text,))

    def extend(self, texts: Iterable[T]) -> None:
        """Add texts."""
        data, starts = self.data, self.starts
        if isinstance(data, memoryview) or isinstance(starts, memoryview):
            raise TypeError("these texts lie elsewhere")
        rest = iter(texts)
        while some := list(islice(rest, _STEP)):
            if None in some or self.absent is not None:
                self._note_absent(some)
            plain = [text or "" for text in some]
            joined = "".join(plain)
            is_ascii = joined.isascii()
            lengths = map(len, plain) if is_ascii else (len(text.encode(errors=_ANY)) for text in plain)
            starts.extend(islice(accumulate(lengths, initial=len(data)), 1, None))
            data += joined.encode() if is_ascii else b"".join(text.encode(errors=_ANY) for text in plain)

    def _note_absent(self, some: Sequence[T]) -> None:
        if self.absent is None:
            self.absent = bytearray(len(self))
        self.absent += bytes(text is None for text in some)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, which: int) -> T: ...

    @overload
    def __getitem__(self, which: slice) -> list[T]: ...

    def __getitem__(self, which: int | slice) -> T | list[T]:
        if isinstance(which, slice):
            first, stop, step = which.indices(len(self))
            if step == 1:
                return self._between(first, max(first, stop))
            return [self[place] for place in range(first, stop, step)]
        place = range(len(self))[which]
        if self.absent is not None and self.absent[place]:
            return cast("T", None)
        return str(self.data[self.starts[place] : self.starts[place + 1]], "utf-8", _ANY)

    def __iter__(self) -> Iterator[T]:
        for first in range(0, len(self), _STEP):
            yield from self._between(first, min(first + _STEP, len(self)))

    def _between(self, first: int, stop: int) -> list[T]:
        base = self.starts[first]
        text = str(self.data[base : self.starts[stop]], "utf-8", _ANY)
        if self.absent is not None or len(text) != self.starts[stop] - base:
            return [self[place] for place in range(first, stop)]
        ends = [end - base for end in self.starts[first : stop + 1]]
        return [text[start:stop] for start, stop in pairwise(ends)]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            mine, others = self.pieces(), other.pieces()
            return len(self) == len(other) and all(map(memoryview.__eq__, mine, others))
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"Texts({list(self)!r})"

    def pieces(self) -> tuple[memoryview, ...]:
        """Return the bytes that tell these texts from others."""
        return memoryview(self.data), memoryview(self.starts), memoryview(self.absent or b"")

    def place_of(self, text: str) -> int | None:
        """Return where a text is among these, which are in order and of which none is None; None if it is not there.

        Examples
        --------
        >>> Texts(["a", "c"]).place_of("c"), Texts(["a", "c"]).place_of("b")
        (1, None)
        """
        wanted, low, high = text.encode(errors=_ANY), 0, len(self)
        data, starts = self.data, self.starts
        while low < high:
            middle = (low + high) // 2
            if bytes(data[starts[middle] : starts[middle + 1]]) < wanted:
                low = middle + 1
            else:
                high = middle
        is_there = low < len(self) and data[starts[low] : starts[low + 1]] == wanted
        return low if is_there else None


class Signatures(Sequence[Signature]):
    """What `stat` says of files, or what stands for it, row by row.

    Examples
    --------
    >>> rows = Signatures([(1, -2, 3, 4)])
    >>> rows[0], len(rows), rows == [(1, -2, 3, 4)]
    ((1, -2, 3, 4), 1, True)
    """

    __slots__ = ("columns",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, rows: Iterable[Signature] = ()) -> None:
        self.columns = (array("q"), array("q"), array("q"), array("Q"))
        self.extend(rows)

    def append(self, row: Signature) -> None:
        """Add a row."""
        self.extend((row,))

    def extend(self, rows: Iterable[Signature]) -> None:
        """Add rows."""
        add_size, add_mtime, add_ctime, add_inode = (column.append for column in self.columns)
        for size, mtime, ctime, inode in rows:
            add_size(size)
            add_mtime(mtime)
            add_ctime(ctime)
            add_inode(inode)

    def in_order(self, order: Sequence[int]) -> Signatures:
        """Return the rows in another order."""
        made = Signatures()
        for column, old in zip(made.columns, self.columns, strict=True):
            column.extend(map(old.__getitem__, order))
        return made

    def __len__(self) -> int:
        return len(self.columns[0])

    @overload
    def __getitem__(self, which: int) -> Signature: ...

    @overload
    def __getitem__(self, which: slice) -> list[Signature]: ...

    def __getitem__(self, which: int | slice) -> Signature | list[Signature]:
        if isinstance(which, slice):
            return list(zip(*(column[which] for column in self.columns), strict=True))
        size, mtime, ctime, inode = self.columns
        return size[which], mtime[which], ctime[which], inode[which]

    def __iter__(self) -> Iterator[Signature]:
        return zip(*self.columns, strict=True)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Signatures):
            return self.columns == other.columns
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"Signatures({list(self)!r})"

    def pieces(self) -> tuple[memoryview, ...]:
        """Return the bytes that tell these rows from others."""
        return tuple(map(memoryview, self.columns))


def packed(texts: Iterable[T]) -> Texts[T]:
    """Return texts in one piece; those that are already are returned as they are."""
    return texts if isinstance(texts, Texts) else Texts(texts)


def signed(rows: Iterable[Signature]) -> Signatures:
    """Return what `stat` says in one piece; what is already is returned as it is."""
    return rows if isinstance(rows, Signatures) else Signatures(rows)


def numbers_of(values: Iterable[int]) -> array[int]:
    """Return whole numbers of 64 bits in one piece."""
    return values if isinstance(values, array) else array("q", values)
