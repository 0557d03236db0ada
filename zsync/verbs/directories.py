"""Directories of a product on the file system: a bucket has none, so they come and go with what is in them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from zsync.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Iterable


def clear_way(root: str, keys: Iterable[str]) -> None:
    """Remove empty directories that are where files are to come.

    Raises
    ------
    TargetError
        One of them holds something that takes no part.
    """
    for key in keys:
        if os.path.isdir(f"{root}/{key}") and not Path(root, key).is_symlink():
            for directory, _, _ in os.walk(f"{root}/{key}", topdown=False):
                try:
                    Path(directory).rmdir()
                except OSError as error:
                    raise TargetError(
                        "a directory is where a file is to come, and holds what is ignored", directory, "move it away"
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
    directories = {directory for key in keys for directory in _above(key)}
    for directory in sorted(directories, key=len, reverse=True):
        with suppress(OSError):  # not empty, or not there
            Path(root, directory).rmdir()


def _above(key: str) -> list[str]:
    parts = key.split("/")[:-1]
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
