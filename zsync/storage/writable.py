"""Whether files could be made in a place; it is asked, not tried, so that a dry run can tell as well."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from zsync.errors import LinkError, TargetError
from zsync.storage.answers import error_of_system

if TYPE_CHECKING:
    from collections.abc import Iterable

# Functions of `os`, here and below: one path an object, and a Path costs more than the answer.


def directories_for(root: str, keys: Iterable[str]) -> set[str]:
    """Return the directories that hold files with these keys.

    Examples
    --------
    >>> sorted(directories_for("/data/x", ["a", "b/c"]))
    ['/data/x', '/data/x/b']
    """
    return {f"{root}/{key}".rpartition("/")[0] for key in keys}


def check_writable(directories: Iterable[str]) -> None:
    """Raise if files cannot be made in directories, each of which may have to be made first; nothing is written.

    Parameters
    ----------
    directories
        Absolute paths.

    Raises
    ------
    TargetError
        One of them is no directory, or may not be written to.
    """
    for place in sorted({_nearest(path) for path in directories}):
        if os.path.islink(place) and not os.path.exists(place):  # noqa: PTH110, PTH114
            raise LinkError("a symbolic link that leads nowhere is in the way", place, "remove it")
        if number := _obstacle(place):
            raise error_of_system(OSError(number, os.strerror(number)), place)


def check_replaceable(root: str, keys: Iterable[str]) -> None:
    """Raise if something else than a file is where one is to be.

    Raises
    ------
    TargetError
        It is so.
    """
    for key in keys:
        try:
            mode = os.lstat(f"{root}/{key}").st_mode
        except OSError:
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise TargetError("this is no regular file", f"{root}/{key}", "move it away")


def _obstacle(place: str) -> int | None:
    """Return what the system would say of a file that is made in a place."""
    if not os.path.isdir(place):
        return errno.ENOTDIR
    if os.access(place, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return None
    return errno.EROFS if os.statvfs(place).f_flag & os.ST_RDONLY else errno.EACCES


def _nearest(path: str) -> str:
    """Return a path, or what is there above it."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path
