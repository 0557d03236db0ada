"""Symbolic links among the places of files: two keys may be one file, and what is done to one is done to the other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from zsync.inventory.selection import directories_of

if TYPE_CHECKING:
    from collections.abc import Collection


def links_among(root: str, keys: Collection[str]) -> frozenset[str]:
    """Return the links below a directory that are at the place of some keys, or above one.

    Every directory is listed once, and no file is asked for by itself.
    """
    directories = directories_of(keys)
    found, pending = set(), [""]
    while pending:
        directory = pending.pop()
        prefix = f"{directory}/" if directory else ""
        try:
            with os.scandir(f"{root}/{directory}") as entries:
                for entry in entries:
                    key = prefix + entry.name
                    if entry.is_symlink():
                        found.add(key)
                    elif key in directories and entry.is_dir(follow_symlinks=False):
                        pending.append(key)
        except OSError:  # it is not there yet, or whoever writes there will be told
            continue
    others = found - directories
    return frozenset(found & directories | (others.intersection(keys) if others else set()))


def stays_inside(root: str, key: str) -> bool:
    """Return whether what a key leads to, through whatever links, is a directory or lies in it."""
    return Path(os.path.realpath(f"{root}/{key}")).is_relative_to(os.path.realpath(root))
