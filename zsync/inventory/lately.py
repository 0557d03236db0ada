"""Where a long listing can be cut, as it was seen last time: with that it is asked for in many places at once.

Only a hint: what is not there any more is not cut at (`zsync.inventory.chain`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING

from zsync.inventory.cache import cache_directory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from zsync.config import Location


def bounds_lately(location: Location) -> list[str]:
    """Return keys, relative to a place, at which its listing was cut last time; none if nothing is known."""
    try:
        found = json.loads(_path(location).read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    return found if isinstance(found, list) and all(isinstance(key, str) for key in found) else []


def keep_bounds(location: Location, bounds: Sequence[str]) -> None:
    """Remember where the listing of a place can be cut."""
    if list(bounds) == bounds_lately(location):
        return
    path = _path(location)
    with contextlib.suppress(OSError):  # only a cache
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".partial")
        beside.write_text(json.dumps(list(bounds)))
        beside.replace(path)


def _path(location: Location) -> Path:
    name = hashlib.blake2b(location.url.encode(), digest_size=16).hexdigest()
    return cache_directory() / "listings" / f"{name}.json"
