"""Which publication of which product a reader means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsync.config import Location, RunConfig, said
from zsync.errors import ConfigError, PermissionDeniedError
from zsync.printable import listed
from zsync.publication import Head, Part, Records, find, read_head
from zsync.publication.places import Place, place_at, places_or_prefix
from zsync.tasks import side_by_side

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

HEAD = "head"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One publication of a product: a value without secrets, which may travel.

    Attributes
    ----------
    place
        The product.
    publication
        Its id.
    parts
        Its manifest.
    is_head
        It was asked for as what is published now.
    """

    place: Place
    publication: str
    parts: tuple[Part, ...]
    is_head: bool = False


def find_snapshot(url: Any, at: str | dt.date | None, options: Mapping[str, Any]) -> tuple[Snapshot, str]:
    """Return the publication that is meant, and the path inside the product.

    Parameters
    ----------
    url
        URL, or path of a directory here, of a product or of something in it.
    at
        ``head`` (or None), the id of a publication or the beginning of one, ``head~2``, or a time.
    options
        Of the configuration, for instance ``endpoint_url``.

    Raises
    ------
    ConfigError
        Nothing was ever published there, or not then.
    TargetError
        The store cannot be reached, or its records cannot be read.
    """
    text = said.path("url", url)
    target = text if "://" in text else str(Path(text).expanduser().absolute())
    config = RunConfig.from_any({"target": target}, **options)
    location = Location.parse(target)
    place, head = _product_around(config, location)
    return snapshot_at(place, at, head), location.path.removeprefix(place.location.path).lstrip("/")


def _product_around(config: RunConfig, location: Location) -> tuple[Place, Head]:
    """Return the nearest product at a location or above it, and its head."""
    above = [location]
    while above[-1].path:
        above.append(above[-1].parent)
    places = [place_at(config, each) for each in above]
    # Mostly it is the product itself that is named.
    found = [_head_of(places[0])]
    if not isinstance(found[0], Head):
        found += side_by_side(_head_of, places[1:])
    for place, head in zip(places, found, strict=False):
        if isinstance(head, Head):
            return place, head
    for refused in found:
        if isinstance(refused, PermissionDeniedError):
            raise refused
    below = [found.url for found in places_or_prefix(config, location) if found.location != location]
    if below:
        raise ConfigError("several products lie there", location.url, f"name one of them: {listed(below)}")
    raise ConfigError("zsync published nothing there", location.url, "check the URL, or open it without zsync")


def _head_of(place: Place) -> Head | PermissionDeniedError | None:
    """Return a product's head, or None; who may not list is told of what is absent that it is forbidden."""
    try:
        head = read_head(place.store, place.state)
    except PermissionDeniedError as error:
        return error
    return head if head.publication is not None else None


def snapshot_at(place: Place, at: str | dt.date | None, head: Head) -> Snapshot:
    """Return a publication of a product.

    Parameters
    ----------
    at
        As for `find_snapshot`.
    head
        The product's head; it names a publication.

    Raises
    ------
    ConfigError
        There is none of that id, or none was at that time.
    """
    if at in (None, HEAD, head.publication):
        return Snapshot(place, str(head.publication), head.parts, is_head=at in (None, HEAD))
    found = find(Records(place.store, place.state), said.moment("at", at))
    return Snapshot(place, found.id, found.product.parts)
