"""Whether a folder is there to be synchronized, and nobody else at work in its target."""

from __future__ import annotations

import datetime as dt
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from zsync.errors import ConflictError, SourceError, TargetError
from zsync.publication import read_lease
from zsync.storage.writable import check_writable
from zsync.system import advice_on
from zsync.team.base import read_base

if TYPE_CHECKING:
    from zsync.publication.places import Place
    from zsync.team.folder import Folder

log = logging.getLogger(__name__)

_PAUSE_S = 1.0


def refuse_place(folder: Folder) -> None:
    """Raise if there was a folder, and is none any more; or if what a synchronization needs cannot be made.

    Raises
    ------
    SourceError
        The folder is gone, or cannot be made.
    TargetError
        Its state cannot be written.
    """
    root = folder.root
    if not Path(root).is_dir():
        if read_base(folder.state_directory, folder.there.url).exists:
            raise SourceError(
                "the folder is gone", root, "is it mounted? To begin anew, use `zsync reset`, or restore it"
            )
        try:
            check_writable([root])
        except TargetError as error:
            raise SourceError(f"the folder cannot be made ({error.message})", error.where, error.advice) from error
    try:
        check_writable([str(folder.state_directory)])
    except TargetError as error:
        message = f"the folder's state cannot be written ({error.message})"
        raise TargetError(message, error.where, error.advice) from error


def make_folder(folder: Folder) -> None:
    """Make the folder, if it was never there.

    Raises
    ------
    SourceError
        It is gone, or cannot be made.
    """
    refuse_place(folder)
    root = Path(folder.root)
    if root.is_dir():
        return
    try:
        root.mkdir(parents=True)
    except OSError as error:
        raise SourceError(f"the folder cannot be made ({error.strerror})", str(root), advice_on(error)) from error
    log.info("made the folder %s", root)


def wait_for_others(place: Place, until: float) -> None:
    """Wait until nobody is at work in a target.

    Parameters
    ----------
    until
        The reading of the monotonic clock until which to wait, in seconds.

    Raises
    ------
    ConflictError
        Somebody is for longer than that.
    """
    told = ""
    while True:
        lease = read_lease(place.store, place.state)
        if not lease.is_held(dt.datetime.now(dt.UTC)):
            return
        if time.monotonic() >= until:
            raise ConflictError(f"{lease.holder} is at work for long", place.url, "synchronize again later")
        if told != lease.holder:
            told = lease.holder
            log.info("waiting: %s is at work in %s", told, place.url)
        time.sleep(_PAUSE_S)
