"""Whether a TIFF is whole: everything that its directories refer to lies inside the file.

Only directories are read, and no library is needed: a header that is there says nothing of the tiles behind it.

Sources: TIFF 6.0, sections 2 (structure) and 15 (tiles); BigTIFF; GDAL's GTiff driver, where tiles without bytes have
offset 0.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = 32 * 1024  # bytes; holds the directories of most COGs, which come first
_MAX_DIRECTORIES = 4096  # more than any image has; who links them in a circle gets no further
_OFFSETS, _COUNTS = (273, 324), (279, 325)  # strips, tiles
_INNER = 330  # directories inside directories
_NUMBERS = {3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}  # types of whole numbers, as NumPy calls them


class _CutOffError(Exception):
    """The file ends before what is looked for."""


@dataclass(slots=True)
class _File:
    descriptor: int
    size: int
    head: bytes

    def read(self, start: int, length: int) -> bytes:
        if start + length > self.size:
            raise _CutOffError
        if start + length <= len(self.head):
            return self.head[start : start + length]
        found = os.pread(self.descriptor, length, start)
        if len(found) < length:
            raise _CutOffError
        return found


def is_tiff(path: str) -> bool:
    """Return whether a file begins as a TIFF does.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with open(path, "rb") as file:
        return _form(file.read(4)) is not None


def what_is_missing(path: str) -> str | None:
    r"""Return what of a TIFF lies beyond its end; None if it is whole, or no TIFF at all.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     file.write(b"II*\0" + (8).to_bytes(4, "little"))
    ...     file.flush()
    ...     what_is_missing(file.name)
    8
    'the file ends before its directory'

    Raises
    ------
    OSError
        It cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        head = os.pread(descriptor, _HEAD, 0)
        form = _form(head[:4])
        if form is None:
            return None
        return _missing(_File(descriptor, os.fstat(descriptor).st_size, head), *form)
    finally:
        os.close(descriptor)


def _form(magic: bytes) -> tuple[str, bool] | None:
    """Return the byte order, and whether it is a BigTIFF."""
    return {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}.get(magic)


def _missing(file: _File, order: str, is_big: bool) -> str | None:  # noqa: FBT001 - which of two forms
    pending: list[int] = []
    seen: set[int] = set()
    try:
        pending.append(_number(file, 8, order + "Q") if is_big else _number(file, 4, order + "I"))
        while pending and len(seen) < _MAX_DIRECTORIES:
            start = pending.pop()
            if start == 0 or start in seen:
                continue
            seen.add(start)
            tags, following = _directory(file, start, order, is_big=is_big)
            pending += [following, *tags.get(_INNER, ())]
            if (beyond := _beyond(tags, file.size)) is not None:
                return beyond
    except _CutOffError:
        return "the file ends before its directory"
    return None


def _number(file: _File, start: int, form: str) -> int:
    return int(struct.unpack(form, file.read(start, struct.calcsize(form)))[0])


def _directory(file: _File, start: int, order: str, *, is_big: bool) -> tuple[dict[int, np.ndarray], int]:
    """Return the values of the tags that matter, by tag, and where the next directory is."""
    head, entry, link = ("Q", "HHQ", "Q") if is_big else ("H", "HHI", "I")
    count = _number(file, start, order + head)
    begin, size = start + struct.calcsize(order + head), 20 if is_big else 12
    entries = file.read(begin, count * size)
    wide = 8 if is_big else 4
    found = {}
    for position in range(0, len(entries), size):
        tag, kind, number = struct.unpack_from(order + entry, entries, position)
        if tag not in (*_OFFSETS, *_COUNTS, _INNER) or kind not in _NUMBERS:
            continue
        form = order + _NUMBERS[kind]
        length, at = number * int(form[-1]), position + size - wide
        if length <= wide:
            raw = entries[at : at + length]
        else:
            raw = file.read(struct.unpack_from(order + link, entries, at)[0], length)
        found[tag] = np.frombuffer(raw, form).astype(np.uint64)
    return found, _number(file, begin + count * size, order + link)


def _beyond(tags: dict[int, np.ndarray], size: int) -> str | None:
    """Return what to say of strips and tiles that lie beyond the end; what has no bytes has no place."""
    for offsets, counts in _pairs(tags):
        there = np.where(counts > 0, offsets, 0)
        beyond = int(np.count_nonzero((there > 0) & ((there > size) | (counts > size - np.minimum(there, size)))))
        if beyond:
            return f"the file ends before {beyond:,} of its {len(offsets):,} tiles"
    return None


def _pairs(tags: dict[int, np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for offset_tag, count_tag in zip(_OFFSETS, _COUNTS, strict=True):
        offsets = tags.get(offset_tag)
        if offsets is None:
            continue
        counts = tags.get(count_tag)
        # Old writers leave the counts out, or write fewer: then at least a tile's first byte must be there.
        yield offsets, counts if counts is not None and len(counts) == len(offsets) else np.ones_like(offsets)
