"""The trash: what publications retired where the bucket keeps no versions: `zsync trash`."""

from __future__ import annotations

import datetime as dt
import logging
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsync import __version__
from zsync.errors import ConfigError, TargetError
from zsync.inventory import Selection, directory_markers, list_target
from zsync.inventory.links import links_among
from zsync.inventory.selection import is_below, is_in
from zsync.layout import describe, is_metadata
from zsync.publication import Leases, new_publication_id, read_lease, refuse_if_held
from zsync.verbs.places import Place, places_of
from zsync.words import STAGES, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.inventory import Listing

log = logging.getLogger(__name__)

_DELETE_LIMIT = 1000  # keys a request


@dataclass(frozen=True, slots=True)
class Discarded:
    """What one publication retired from one product.

    Attributes
    ----------
    url
        The product.
    publication
        Id of the publication.
    keys
        Keys relative to the product.
    bytes
        Their size.
    restored, skipped
        After `restore`: how many objects came back, and how many did not because something is in their place.
    """

    url: str
    publication: str
    keys: tuple[str, ...]
    bytes: int
    restored: int = 0
    skipped: int = 0

    @property
    def time(self) -> str:
        """When, ISO 8601, UTC."""
        return _time_of(self.publication).isoformat(timespec="seconds")

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "url": self.url,
            "publication": self.publication,
            "time": self.time,
            "objects": len(self.keys),
            "bytes": self.bytes,
            "restored": self.restored,
            "skipped": self.skipped,
            "keys": list(self.keys),
        }


def list_trash(
    where: Any, *, publication: str | None = None, include: Sequence[str] = (), **overrides: Any
) -> list[Discarded]:
    """Return what is in the trash, oldest first.

    Parameters
    ----------
    where
        The URL of a product, or of a prefix that holds several; or a configuration.
    publication
        Only what this publication retired.
    include
        Only keys that match one of these globs.
    **overrides
        Options of the configuration, for instance ``endpoint_url``.
    """
    found = [item for place in places_of(where, **overrides) for item in _look(place, publication, include)]
    return sorted(found, key=lambda item: (item.publication, item.url))


def restore_trash(
    where: Any,
    *,
    publication: str | None = None,
    include: Sequence[str] = (),
    to: str | os.PathLike[str] | None = None,
    **overrides: Any,
) -> list[Discarded]:
    """Bring objects back from the trash, to where they were or into a directory; they stay in the trash as well.

    Nothing is overwritten: an object, or a file, that is there stays. In the target data comes before the metadata that
    refers to it. The next publish retires again what its source still lacks; to keep it, restore it into the source.

    Parameters
    ----------
    where, publication, include
        As for `list_trash`; of several versions of a key the newest comes back.
    to
        A directory on this machine, instead of the target.

    Raises
    ------
    ConflictError
        Somebody is publishing the product.
    ConfigError
        A key leads out of the directory.
    """
    done = []
    for place in places_of(where, **overrides):
        # The newest first: an older version of the same key then finds its place taken.
        for item in sorted(_look(place, publication, include), key=lambda item: item.publication, reverse=True):
            restored = _restore_here(place, item, Path(to)) if to is not None else _restore(place, item)
            done.append(restored)
    return done


def empty_trash(
    where: Any, *, publication: str | None = None, older_than_s: float = 0, **overrides: Any
) -> list[Discarded]:
    """Delete what is in the trash, for good.

    Parameters
    ----------
    where, publication
        As for `list_trash`.
    older_than_s
        Only what was retired longer ago than this, in seconds.

    Raises
    ------
    ConflictError
        Somebody is publishing the product.
    """
    limit = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=older_than_s)
    done = []
    for place in places_of(where, **overrides):
        old = [item for item in _look(place, publication, ()) if _time_of(item.publication) <= limit]
        if not old:
            continue
        with _claimed(place):
            keys = [place.state.trash(item.publication, key) for item in old for key in item.keys]
            for start in range(0, len(keys), _DELETE_LIMIT):
                place.store.delete(keys[start : start + _DELETE_LIMIT])
        done += old
    return done


def _claimed(place: Place) -> Leases:
    """Return the product's lease, to be taken: nobody publishes while the trash is worked on."""
    state = read_lease(place.store, place.state)
    refuse_if_held(place.store, place.state, state)
    return Leases([(place.store, place.state, state)], new_publication_id(), __version__)


def _look(place: Place, publication: str | None, include: Sequence[str]) -> list[Discarded]:
    listing = list_target(place.store, place.state.trashes)
    empty = [key for key, size in zip(listing.keys, listing.sizes, strict=True) if not size]
    markers = set(directory_markers(place.store, f"{place.state.trashes}/", empty))
    groups: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for key, size in _selected(listing, include):
        number, _, inside = key.partition("/")
        if key not in markers and publication in (None, number):
            groups[number].append((inside, size))
    return [
        Discarded(place.url, number, tuple(key for key, _ in rows), sum(size for _, size in rows))
        for number, rows in sorted(groups.items())
    ]


def _selected(listing: Listing, include: Sequence[str]) -> list[tuple[str, int]]:
    inside = [key.partition("/")[2] for key in listing.keys]
    chosen = Selection(tuple(include), ()).mask(inside)
    return [(key, size) for key, size, is_chosen in zip(listing.keys, listing.sizes, chosen, strict=True) if is_chosen]


def _restore(place: Place, item: Discarded) -> Discarded:
    listing = list_target(place.store, place.location.path)
    there = set(listing.keys)
    # Where another product is now, nothing comes back.
    missing = [key for key in item.keys if key not in there and not is_below(key, listing.others)]
    with _claimed(place):
        for key in _in_order(place, item.publication, missing):
            place.store.copy(place.state.trash(item.publication, key), place.base + key)
    return _told(item, len(missing))


def _restore_here(place: Place, item: Discarded, directory: Path) -> Discarded:
    root = directory.resolve()
    count = 0
    links = links_among(str(root), item.keys)
    for key in item.keys:
        path = root / key
        if is_in(key, links) and path.resolve().is_relative_to(root):
            log.warning("left out, for a symbolic link is there: %s", path)
            continue
        if not path.resolve().is_relative_to(root) or path.resolve() == root:
            raise ConfigError("this key leads out of the directory", key, "leave it out with include")
        if path.exists():
            continue
        data = place.store.get(place.state.trash(item.publication, key)).data
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f"{path.name}.{os.getpid()}.partial")
            beside.write_bytes(data)
            beside.replace(path)
        except OSError as error:
            raise ConfigError(f"cannot be written ({error.strerror})", str(path), "check the directory") from error
        count += 1
    return _told(item, count)


def _told(item: Discarded, restored: int) -> Discarded:
    return Discarded(item.url, item.publication, item.keys, item.bytes, restored, len(item.keys) - restored)


def _in_order(place: Place, publication: str, keys: Sequence[str]) -> list[str]:
    """Return keys in the order of publishing: what refers to others comes after them."""
    kind = Kind.ZARR if any(is_metadata(Kind.ZARR, key) for key in keys) else Kind.FILES
    documents = {
        key: place.store.get(place.state.trash(publication, key)).data for key in keys if is_metadata(kind, key)
    }
    objects = describe(kind, place.location.name, keys, documents).objects
    stages = [STAGES.index(stage) for stage in objects["stage"].to_pylist()]
    order = zip(stages, objects["rank"].to_pylist(), objects["key"].to_pylist(), strict=True)
    return [key for _, _, key in sorted(order)]


def _time_of(publication: str) -> dt.datetime:
    """Return when a publication began, as its id tells."""
    try:
        return dt.datetime.strptime(publication[:15], "%Y%m%dT%H%M%S").replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise TargetError("this is not the id of a publication", publication, "is it zsync's trash?") from error
