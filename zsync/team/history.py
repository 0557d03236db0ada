"""Who changed what in a target, and when: read backwards from its head, publication by publication."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zsync.errors import ObjectNotFoundError, UnfitKeyError
from zsync.inventory import cache_directory
from zsync.publication import ManifestLostError, Part, manifest
from zsync.publication.record import MOST_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zsync.publication.places import Place

log = logging.getLogger(__name__)

_FAR = 500  # publications that are looked at, at most


@dataclass(frozen=True, slots=True)
class Author:
    """Who changed something, and when (ISO 8601, UTC); empty where nothing on record tells."""

    by: str = ""
    time: str = ""


_UNREADABLE = (
    ObjectNotFoundError, ManifestLostError, UnfitKeyError, ValueError, KeyError, TypeError, AttributeError, IndexError,
    RecursionError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Publication:
    author: Author
    parent: str | None
    parts: tuple[Part, ...]


def authors(place: Place, head: str | None, since: str | None, units: Mapping[str, str]) -> dict[str, Author]:
    """Return who changed each unit last; units of which nothing on record tells are left out.

    Parameters
    ----------
    place
        The target.
    head, since
        The publications to begin with and to end before.
    units
        The unit of each key that is asked for.
    """
    found: dict[str, Author] = {}
    try:
        for publication, before in _pairs(place, head, since):
            now, then = (_contents(place, parts, units) for parts in (publication.parts, before))
            changed = {units[key] for key in now.keys() | then.keys() if now.get(key) != then.get(key)}
            found |= dict.fromkeys(changed - found.keys(), publication.author)
            if len(found) == len(set(units.values())):
                break
    except _UNREADABLE as error:
        log.debug("the history of %s ends early: %s", place.url, error)
    return found


def _pairs(place: Place, head: str | None, since: str | None) -> Iterator[tuple[_Publication, tuple[Part, ...]]]:
    """Yield publications from the newest on, each with the manifest of the one before it."""
    at = head
    current = None
    for _ in range(_FAR):
        if at is None or at == since:
            return
        current = current or _read(place, at)
        before = None if current.parent is None else _read(place, current.parent)
        yield current, before.parts if before is not None else ()
        at, current = current.parent, before


def _read(place: Place, publication: str) -> _Publication:
    document: dict[str, Any] = json.loads(place.store.get(place.state.publication(publication), most=MOST_BYTES).data)
    mine = next((item for item in document["products"] if item["name"] == document["product"]), document["products"][0])
    author = Author(name_of(document["by"]), str(document["time"]))
    return _Publication(author, mine["parent"], tuple(Part.from_dict(part) for part in mine["manifest"]))


def name_of(by: Mapping[str, str]) -> str:
    """Return what somebody is called: their name in the team, else user and host."""
    return by.get("member") or f"{by.get('user', '?')}@{by.get('host', '?')}"


def _contents(place: Place, parts: tuple[Part, ...], units: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    from zsync.tables import column

    table = manifest.read(place.store, place.state, parts, cache_directory() / "manifests")
    table = table.filter(pc.is_in(table["key"], column(list(units), pa.string())))
    return {
        key: (digest, etag)
        for key, digest, etag in zip(*(table[name].to_pylist() for name in ("key", "digest", "etag")), strict=True)
    }
