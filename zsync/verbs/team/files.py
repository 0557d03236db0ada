"""What is done to a folder itself: give something another name. Nothing is overwritten."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from zsync.errors import SourceChangedError, TargetError

log = logging.getLogger(__name__)


def beside(root: str, unit: str) -> set[str]:
    """Return the names that a directory of the folder holds beside a unit, also those that take no part."""
    directory, slash, _ = unit.rpartition("/")
    try:
        return {f"{directory}{slash}{path.name}" for path in Path(root, directory).iterdir()}
    except FileNotFoundError:
        return set()  # to give it another name will say so


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
        Path(root, copy).parent.mkdir(parents=True, exist_ok=True)
        Path(root, unit).rename(Path(root, copy))
    except FileNotFoundError as error:
        raise SourceChangedError("a file went away meanwhile", f"{root}/{unit}", "synchronize again") from error
    except OSError as error:
        raise TargetError(f"it cannot be renamed ({error.strerror})", f"{root}/{unit}", "check permissions") from error
    log.info("kept the version here as %s", copy)
