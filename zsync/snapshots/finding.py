"""Which publication of which product a reader means."""

from __future__ import annotations

import datetime as dt
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsync.config import Location, RunConfig
from zsync.errors import ConfigError, ObjectNotFoundError, PermissionDeniedError, TargetError
from zsync.printable import listed
from zsync.publication import Head, Part, read_head, read_parts
from zsync.publication.places import Place, place_at, places_or_prefix
from zsync.publication.record import MOST_BYTES
from zsync.tasks import side_by_side

if TYPE_CHECKING:
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
        ``head`` (or None), the id of a publication, or a time.
    options
        Of the configuration, for instance ``endpoint_url``.

    Raises
    ------
    ConfigError
        Nothing was ever published there, or not then.
    TargetError
        The store cannot be reached, or its records cannot be read.
    """
    text = os.fspath(url)
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
    moment = at if isinstance(at, dt.datetime) else _time_of(str(at))
    which = at if moment is None else _at_time(place, moment, head)
    parts, publication = read_parts(place.store, place.state, str(which))
    return Snapshot(place, str(publication), parts)


def _time_of(text: str) -> dt.datetime | None:
    """Return the time that a text tells, in UTC if it names no zone, a day as its end; None if it tells none."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) <= len("2026-01-31"):
        moment += dt.timedelta(days=1, microseconds=-1)
    return moment


def _at_time(place: Place, moment: dt.datetime, head: Head) -> str:
    """Return the id of what was published at a time; what no head ever named is no publication."""
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
    prefix = f"{place.state.prefix}/publications/"
    page, _ = place.store.list_level(prefix)
    ids = [key.removeprefix(prefix).removesuffix(".json") for key in page.keys if key.endswith(".json")]
    records = dict(zip(ids, side_by_side(lambda each: _record(place, each), ids), strict=True))
    publication = head.publication
    while publication is not None and publication in records:
        time, parent = records.pop(publication)
        if time <= moment:
            return publication
        publication = parent
    raise ConfigError(
        "no publication of that time is on record", f"{place.url} at {moment.isoformat()}", "take a later time"
    )


def _record(place: Place, publication: str) -> tuple[dt.datetime, str | None]:
    """Return when a publication was made, and the one before it."""
    key = place.state.publication(publication)
    try:
        document = json.loads(place.store.get(key, most=MOST_BYTES).data)
        return dt.datetime.fromisoformat(document["time"]), document["parent"]
    except ObjectNotFoundError:  # pruned meanwhile
        return dt.datetime.max.replace(tzinfo=dt.UTC), None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TargetError("the record of a publication cannot be read", place.store.url(key)) from error
