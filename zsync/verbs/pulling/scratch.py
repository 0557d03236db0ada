"""A directory of our own, for what is written aside before it goes to its place."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from zsync import __version__
from zsync.publication.process import is_dead, this_process

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

_OWNER = "owner.json"
_ATTEMPTS = 40  # a write that was under way when its pull failed ends within a few of them


@contextlib.contextmanager
def scratch(above: Path) -> Iterator[Path]:
    """Yield an empty directory, and take it away at the end; also those that processes left that were killed.

    Parameters
    ----------
    above
        The directory that holds them all; it is made, and kept for nothing else.

    Raises
    ------
    OSError
        It cannot be made.
    """
    above.mkdir(parents=True, exist_ok=True)
    for left in above.iterdir():
        if _is_left_behind(left):
            _remove(left)
    own = Path(tempfile.mkdtemp(dir=above))
    try:
        (own / _OWNER).write_text(json.dumps(this_process(__version__)), encoding="utf-8")
        yield own / "part"
    finally:
        _remove(own)
        with contextlib.suppress(OSError):  # somebody else's is there
            above.rmdir()


def _is_left_behind(directory: Path) -> bool:
    try:
        owner = json.loads((directory / _OWNER).read_text(encoding="utf-8"))
        return is_dead({str(name): str(value) for name, value in owner.items()})
    except (OSError, ValueError, AttributeError):  # just made, or not ours
        return False


def _remove(directory: Path) -> None:
    for _ in range(_ATTEMPTS):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.05)
    log.warning("%s could not be removed: delete it", directory)
