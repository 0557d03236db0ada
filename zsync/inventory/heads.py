"""The beginnings of files, to see what they name."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TOGETHER = 64  # files that one thread reads in one go
_FEW = 256  # that are read one after the other


def heads(root: str, keys: Sequence[str], most: int) -> Iterator[tuple[str, bytes]]:
    """Yield the first bytes of files; what cannot be read is left to who sends it.

    Parameters
    ----------
    root
        Absolute path of the product's root.
    keys
        Keys of files below it.
    most
        How many bytes of each.
    """
    if len(keys) <= _FEW:
        yield from ((key, _head(f"{root}/{key}", most)) for key in keys)
        return
    with ThreadPoolExecutor(max_workers=4 * (os.cpu_count() or 1), thread_name_prefix="zsync-heads") as pool:
        starts = range(0, len(keys), _TOGETHER)
        for some in pool.map(lambda start: _some(root, keys[start : start + _TOGETHER], most), starts):
            yield from some


def _some(root: str, keys: Sequence[str], most: int) -> list[tuple[str, bytes]]:
    return [(key, _head(f"{root}/{key}", most)) for key in keys]


def _head(path: str, most: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, most)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
