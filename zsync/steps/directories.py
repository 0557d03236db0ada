"""Directories of a product on the file system: a bucket has none, so they come and go with what is in them."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from zsync.errors import LinkError, TargetError
from zsync.inventory.selection import directories_of
from zsync.keys import checked
from zsync.storage.handles import directory, names, place

if TYPE_CHECKING:
    from collections.abc import Iterable


def clear_way(root: str, keys: Iterable[str]) -> None:
    """Remove empty directories that are where files are to come; through links nothing is removed.

    Raises
    ------
    TargetError
        One of them holds something that takes no part.
    LinkError
        A link is in the way.
    """
    for key in keys:
        with suppress(FileNotFoundError, NotADirectoryError), place(root, checked(key)) as (handle, name):
            if stat.S_ISDIR(os.lstat(name, dir_fd=handle).st_mode):
                _remove_empty(handle, name, f"{root}/{key}")


def _remove_empty(handle: int, name: str, path: str) -> None:
    """Remove a directory that holds nothing but such directories."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        own = os.open(name, flags, dir_fd=handle)
        try:
            for below in names(own):
                _remove_empty(own, below, f"{path}/{below}")
        finally:
            os.close(own)
        os.rmdir(name, dir_fd=handle)
    except OSError as error:
        raise TargetError(
            "a directory is where a file is to come, and holds what is ignored",
            path.rpartition("/")[0] if isinstance(error, NotADirectoryError) else path,
            "move it away",
        ) from error


def prune(root: str, keys: Iterable[str]) -> None:
    """Remove the directories that are empty now that some files are gone: in a bucket there are none.

    Parameters
    ----------
    root
        A directory; it stays itself.
    keys
        What is gone, relative to it.
    """
    for gone in sorted(directories_of(keys), key=len, reverse=True):
        above, _, name = gone.rpartition("/")
        with suppress(OSError, LinkError), directory(root, above) as handle:  # not empty, not there, or not ours
            os.rmdir(name, dir_fd=handle)
