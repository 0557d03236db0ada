"""Ask where the objects of a publication are now: in their places, in versions of them, or in the trash."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from zsync.errors import CredentialsError, NetworkError, NoBucketError, TargetError, TransientError
from zsync.inventory import list_target, seen_lately
from zsync.keys import under
from zsync.publication.whereabouts import Kept, Version, whereabouts
from zsync.storage import list_versions
from zsync.tasks import TaskGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from zsync.inventory.origin import Row
    from zsync.keys import Key
    from zsync.publication.places import Place
    from zsync.publication.whereabouts import Held, Published

OF_THE_WAY = (NetworkError, TransientError, CredentialsError, NoBucketError)  # say nothing of an object


def locate(
    place: Place, items: Sequence[Published], publication: str, later: Sequence[Published] = ()
) -> dict[str, Held | None]:
    """Return where objects of a publication are now; None for those that cannot be had any more.

    Place, versions and trash are listed, beside each other. A place that is not proved has to be read before it counts
    (`Held.is_proved`); somebody may take away any of them since.

    Parameters
    ----------
    items
        Rows of the publication's manifest.
    publication
        Its id.
    later
        The same bytes, as another publication has them on record: asked for where they are not to be had as they were
        then.

    Raises
    ------
    TargetError
        The store refuses, or cannot be reached.
    """
    with TaskGroup(3, "whereabouts") as tasks:
        listing = tasks.start(list_target, place.store, place.location.path, bounds=seen_lately(place.location).bounds)
        kept = tasks.start(kept_in, place)
        versions = tasks.start(versions_of, place)
    there = listing.result()
    live: dict[str, tuple[int, str | None]] = {}
    live.update((key, (size, etag)) for key, size, etag in zip(there.keys, there.sizes, there.etags, strict=True))
    ask = partial(whereabouts, live=live, versions=versions.result() or None, kept=kept.result())
    found = ask(items, publication)
    missed = [item for item in later if (held := found[item.key]) is None or not held.is_proved]
    again = ask(missed, publication)
    return found | {key: held for key, held in again.items() if held is not None and held.is_proved}


def as_held(place: Place, rows: Iterable[Row], found: Mapping[str, Held | None]) -> tuple[list[Row], dict[str, Key]]:
    """Return objects of a publication with ETag and version of the places that hold them now, and those places.

    Parameters
    ----------
    rows
        The objects, as the publication's manifest has them.
    found
        Where they are (`locate`); of what is not among it, or not to be had, it is as it was.

    Returns
    -------
    tuple
        The objects; and, by key, the whole key of each that is not in its place any more.
    """
    now = [
        (key, size, held.etag, held.version, digest) if (held := found.get(key)) else (key, size, etag, version, digest)
        for key, size, etag, version, digest in rows
    ]
    return now, {key: path_of(place, key, held) for key, held in found.items() if held and held.publication}


def kept_in(place: Place) -> dict[str, list[Kept]]:
    """Return what is in the trash of a product, by key."""
    listing = list_target(place.store, place.state.trashes)
    kept: defaultdict[str, list[Kept]] = defaultdict(list)
    for path, size, etag in zip(listing.keys, listing.sizes, listing.etags, strict=True):
        publication, _, key = path.partition("/")
        kept[key].append(Kept(publication, size, etag))
    return dict(kept)


def versions_of(place: Place, key: str = "") -> Mapping[str, Sequence[Version]]:
    """Return the versions that are kept of an object of a product, or of all, by key: none where none may be listed."""
    versions: defaultdict[str, list[Version]] = defaultdict(list)
    try:
        for found in list_versions(place.spec, f"{place.base}{key}"):
            inside = found.key.removeprefix(place.base)
            if not key or inside == key:
                versions[inside].append(Version(found.version, found.size, found.etag))
    except OF_THE_WAY:
        raise
    except TargetError:  # the service knows none, or keeps them to itself
        return {}
    return dict(versions)


def path_of(place: Place, key: str, held: Held) -> Key:
    """Return the whole key, in the bucket, of the place that holds an object."""
    if held.publication is not None:
        return place.state.trash(held.publication, key)
    return under(place.base, key)
