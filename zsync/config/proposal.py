"""What a directory seems to hold that could be published: what `zsync config init` proposes."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import Any

_STORE = frozenset({".zgroup", ".zarray", ".zmetadata", "zarr.json"})
_RASTERS = (".tif", ".tiff")
_MOST_LEVELS = 4
_MOST_DIRECTORIES = 500  # that are looked into, of each that may be a product


def proposed(directory: str) -> dict[str, dict[str, Any]]:
    """Return products, by name, as a configuration has them whose source is the directory.

    A store, or a directory of rasters, is a product itself; else what lies directly below it that holds some.

    Parameters
    ----------
    directory
        An absolute path.

    Raises
    ------
    OSError
        It cannot be read.
    """
    names, files = _entries(directory)
    if (kind := _kind(files)) is not None:
        name = Path(directory).name
        return {name.removesuffix(".zarr") or name: {"path": ".", "kind": kind, "to": name}}
    found = {name: kind for name in names if (kind := _kind_below(f"{directory}/{name}")) is not None}
    short = {name.removesuffix(".zarr") or name for name in found}
    return {
        # Names that would be the same without their ending stay whole.
        (name.removesuffix(".zarr") or name) if len(short) == len(found) else name: {"path": name, "kind": kind}
        for name, kind in found.items()
    }


def _kind_below(directory: str) -> str | None:
    """Return the kind of a directory's content: that of what is found first, level by level."""
    pending = deque([(directory, 1)])
    looked = 0
    while pending and looked < _MOST_DIRECTORIES:
        place, level = pending.popleft()
        looked += 1
        try:
            names, files = _entries(place)
        except OSError:  # what cannot be looked into is not proposed
            continue
        if (kind := _kind(files)) is not None:
            return kind
        if level < _MOST_LEVELS:
            pending += [(f"{place}/{name}", level + 1) for name in names]
    return None


def _kind(files: list[str]) -> str | None:
    if not _STORE.isdisjoint(files):
        return "zarr"
    return "cog" if any(name.lower().endswith(_RASTERS) for name in files) else None


def _entries(directory: str) -> tuple[list[str], list[str]]:
    """Return the names of directories and of files; hidden directories and links lead elsewhere."""
    names, files = [], []
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.is_dir():
                files.append(entry.name)
            elif not entry.is_symlink() and not entry.name.startswith("."):
                names.append(entry.name)
    return sorted(names), files
