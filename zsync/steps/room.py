"""Whether there is room for what is to come to this machine: on the disk, inside the directory, under its names."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from zsync.errors import ConfigError, SourceError, TargetError
from zsync.inventory.links import stays_inside
from zsync.inventory.selection import directories_of
from zsync.report.format import human_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_ACCENTS = "\u00e9", "e\u0301"  # one letter, and a letter with an accent to it


def check_space(directory: str, needed: int) -> None:
    """Raise if so many bytes do not fit.

    Raises
    ------
    TargetError
        They do not.
    """
    free = shutil.disk_usage(_existing(directory)).free
    if needed > free:
        raise TargetError(
            f"there is not enough space: {human_bytes(needed)} are to come, {human_bytes(free)} are free",
            directory,
            "make space, or pull less with include and exclude",
        )


def check_links(directory: str, keys: Iterable[str]) -> None:
    """Refuse to write through links; the directory itself may be one.

    Raises
    ------
    ConfigError
        A key lies below a link.
    """
    for parent in sorted(directories_of(keys)):
        path = f"{directory}/{parent}"
        if os.path.islink(path):  # noqa: PTH114 - a Path an object costs more
            leads = "is in the way" if stays_inside(directory, parent) else "leads out of the directory"
            raise ConfigError(f"a symbolic link {leads}", path, "remove it, or exclude what is below")


def check_names(directory: str, keys: Collection[str]) -> None:
    """Refuse names that the file system would take for one another: the last to come would be all that is there.

    Raises
    ------
    SourceError
        There are such keys.
    """
    from zsync.layout import look_alikes

    if not look_alikes(keys, fold_case=True, normalise=True):
        return
    above = _existing(directory)
    found = look_alikes(keys, fold_case=takes_for_one(above, "x", "X"), normalise=takes_for_one(above, *_ACCENTS))
    if found:
        raise SourceError(
            f"these keys are one name on this file system: {', '.join(map(repr, found[0]))}",
            directory,
            "exclude all but one, or pull to another file system",
        )


def takes_for_one(directory: str, first: str, second: str) -> bool:
    """Return whether a file system takes two names for one; tried out in a directory of our own, which goes again."""
    with tempfile.TemporaryDirectory(dir=directory, prefix=".zsync-names-") as own:
        Path(own, first).touch()
        return Path(own, second).exists()


def _existing(directory: str) -> str:
    above = Path(directory)
    while not above.exists():
        above = above.parent
    return str(above)
