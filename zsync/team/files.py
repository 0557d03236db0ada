"""What is done to a folder itself: give something another name. Nothing is overwritten."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from zsync.errors import SourceChangedError, TargetError
from zsync.keys import checked
from zsync.storage.handles import exists, place
from zsync.system import advice_on

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
    LinkError
        A link is in the way.
    """
    try:
        with place(root, checked(unit)) as (handle, name), place(root, checked(copy), make=True) as (other, new):
            if exists(other, new):
                raise SourceChangedError("the name of a conflict copy is taken", f"{root}/{copy}", "synchronize again")
            os.rename(name, new, src_dir_fd=handle, dst_dir_fd=other)
    except FileNotFoundError as error:
        raise SourceChangedError("a file went away meanwhile", f"{root}/{unit}", "synchronize again") from error
    except OSError as error:
        raise TargetError(f"it cannot be renamed ({error.strerror})", f"{root}/{unit}", advice_on(error)) from error
    log.info("kept the version here as %s", copy)
