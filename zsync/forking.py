"""Forks: a child has one thread, and what the parent's other threads held at that moment is never given back in it.

What zsync keeps (connections, locks, counters) is begun anew in a child, each in its own room. What cannot be begun
anew is what is half done: a module that another thread was importing for us, a model that pydantic was building.
Whoever needs it in the child waits forever. So a fork waits, for a moment, until that is done.
"""

from __future__ import annotations

import _imp  # the interpreter's own: there is no other way to the lock that every import begins with

# What runs first before a fork is what was registered last: these two take locks that an import may wait for.
import concurrent.futures.thread  # noqa: F401
import importlib._bootstrap as _importing
import logging  # noqa: F401
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

_PATIENCE_S = 10.0  # longer than the slowest library that we import takes
_PAUSE_S = 0.001

undivided = threading.RLock()  # held while something is made that a fork would leave half made
_mine = threading.local()  # whether a thread that forks took that lock


def _before() -> None:
    """Wait until nothing is half done, and let nothing begin."""
    until = time.monotonic() + _PATIENCE_S
    _mine.took = undivided.acquire(timeout=_PATIENCE_S)
    _imp.acquire_lock()
    while _others_import() and time.monotonic() < until:
        _imp.release_lock()
        time.sleep(_PAUSE_S)
        _imp.acquire_lock()


def _after() -> None:
    _imp.release_lock()
    if _mine.took:
        undivided.release()


def _others_import() -> bool:
    kept: dict[str, Any] = getattr(_importing, "_module_locks", {})
    locks = [reference() for reference in list(kept.values())]
    owners = {int(lock.owner) for lock in locks if getattr(lock, "owner", None)} - {threading.get_ident()}
    frames = sys._current_frames() if owners else {}  # noqa: SLF001 - there is no other way to ask
    return any(_imports_for_us(frames.get(owner)) for owner in owners)


def _imports_for_us(frame: FrameType | None) -> bool:
    """Return whether a thread is in an import that a module of ours asked for; what runs inside one is not meant."""
    inside = False
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        inside = inside or name == "importlib._bootstrap"
        if inside and name.startswith("zsync"):
            return True
        frame = frame.f_back
    return False


os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
