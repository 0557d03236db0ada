"""What was last seen of a place: with that it is asked for at once what else would be asked one after the other.

Only a hint, which is seen to hold before it is used: a lease that is the one that was given back, or seen, says that
nobody has published since; what is not there any more, a listing is not cut at (`zsync.inventory.chain`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from zsync.inventory.cache import cached_at
from zsync.system import keep_text

if TYPE_CHECKING:
    from pathlib import Path

    from zsync.config import Location


@dataclass(frozen=True, slots=True)
class Lately:
    """What was last seen of a place.

    Attributes
    ----------
    lease
        ETag of its lease; None if that is not known.
    bounds
        Keys, relative to it, at which its listing can be cut.
    """

    lease: str | None = None
    bounds: tuple[str, ...] = ()


def seen_lately(location: Location) -> Lately:
    """Return what was last seen of a place."""
    try:
        found = json.loads(_path(location).read_bytes())
        lease, bounds = found["lease"], tuple(found["bounds"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Lately()
    is_sound = isinstance(lease, str | None) and all(isinstance(key, str) for key in bounds)
    return Lately(lease, bounds) if is_sound else Lately()


def keep_seen(location: Location, **seen: Any) -> None:
    """Remember what was seen of a place: attributes of `Lately`; what is not given stays."""
    known = seen_lately(location)
    if (now := replace(known, **seen)) != known:
        keep_text(_path(location), json.dumps(asdict(now)))


def _path(location: Location) -> Path:
    return cached_at("places", location.url, ".json")
