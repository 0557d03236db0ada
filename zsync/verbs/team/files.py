"""What is done to a folder itself: give something another name, and see to directories. Nothing is overwritten."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from zsync.errors import SourceChangedError, TargetError

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)


def move_aside(root: str, unit: str, copy: str) -> None:
    """Give what is here of a unit another name, and overwrite nothing.

    Raises
    ------
    SourceChangedError
        It is gone, or the name is taken: look again.
    """
    if os.path.lexists(f"{root}/{copy}"):
        raise SourceChangedError("the name of a conflict copy is taken", f"{root}/{copy}", "synchronize again")
    try:
        Path(root, unit).rename(Path(root, copy))
    except FileNotFoundError as error:
        raise SourceChangedError("a file went away meanwhile", f"{root}/{unit}", "synchronize again") from error
    except OSError as error:
        raise TargetError(f"it cannot be renamed ({error.strerror})", f"{root}/{unit}", "check permissions") from error
    log.info("kept the version here as %s", copy)


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
    """Remove the directories that are empty now that some files are gone."""
    directories = {directory for key in keys for directory in _above(key)}
    for directory in sorted(directories, key=len, reverse=True):
        with suppress(OSError):  # not empty, or not there
            Path(root, directory).rmdir()


def _above(key: str) -> list[str]:
    parts = key.split("/")[:-1]
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
