"""A directory of our own, for what is written aside before it goes to its place."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from zsync.errors import LinkError, TargetError
from zsync.publication.process import is_dead, this_process
from zsync.storage.handles import directory, names, open_plain, refuse_link, write_new
from zsync.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zsync.keys import Key

log = logging.getLogger(__name__)

_OURS = "part-"  # how the names begin of what is made here, and may be cleared away
_OWNER = "owner.json"
_ATTEMPTS = 40  # a write that was under way when its pull failed ends within a few of them


@contextlib.contextmanager
def scratch(root: str, aside: Key) -> Iterator[Path]:
    """Yield an empty directory, and take it away at the end; also those that processes left that were killed.

    Parameters
    ----------
    root
        A directory of the user's.
    aside
        The directory below it that holds them all; it is made, and kept for nothing else.

    Raises
    ------
    TargetError
        A link is in the way.
    OSError
        It cannot be made.
    """
    try:
        with directory(root, aside, make=True) as handle:
            for name in names(handle):
                if name.startswith(_OURS) and _is_left_behind(handle, name):
                    _remove(handle, name, f"{root}/{aside}/{name}")
            own = f"{_OURS}{secrets.token_hex(8)}"
            os.mkdir(own, 0o700, dir_fd=handle)
            try:
                with directory(root, f"{aside}/{own}") as mine:
                    write_new(mine, _OWNER, [json.dumps(this_process(__version__)).encode()])
                yield Path(root, aside, own, "part")
            finally:
                _remove(handle, own, f"{root}/{aside}/{own}")
    finally:
        above, _, name = aside.rpartition("/")
        with contextlib.suppress(OSError, LinkError), directory(root, above) as handle:  # somebody else's is there
            os.rmdir(name, dir_fd=handle)


def _is_left_behind(handle: int, name: str) -> bool:
    path = f"{name}/{_OWNER}"
    try:
        refuse_link(handle, name, name)
        with open(open_plain(handle, path, path), "rb") as file:
            owner = json.loads(file.read(4096))
        return is_dead({str(name): str(value) for name, value in owner.items()})
    except (OSError, TargetError, ValueError, AttributeError):  # just made, or not ours
        return False


def _remove(handle: int, name: str, path: str) -> None:
    for _ in range(_ATTEMPTS):
        shutil.rmtree(name, ignore_errors=True, dir_fd=handle)
        with contextlib.suppress(FileNotFoundError):
            os.lstat(name, dir_fd=handle)
            time.sleep(0.05)
            continue
        return
    log.warning("%s could not be removed: delete it", path)
