"""The trash: what publications retired where the bucket keeps no versions: `zsync trash`."""

from __future__ import annotations

import datetime as dt
import logging
import os
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsync.config import said, seconds
from zsync.errors import ConfigError, LinkError
from zsync.inventory import Selection, as_they_are, list_target
from zsync.inventory.links import links_among, stays_inside
from zsync.inventory.selection import is_below, is_in
from zsync.keys import checked, under
from zsync.layout import describe, is_metadata
from zsync.publication import Leases, new_publication_id, read_lease, refuse_if_held, time_of
from zsync.publication.finding import chosen
from zsync.publication.places import Place, places_of
from zsync.report.format import human_bytes
from zsync.report.found import Found
from zsync.storage import is_absent
from zsync.storage.handles import exists, remove, written_beside
from zsync.storage.handles import place as file_place
from zsync.version import __version__
from zsync.words import STAGES, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from zsync.config.options import CallOptions
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
        return time_of(self.publication).isoformat(timespec="seconds")

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

    def __str__(self) -> str:
        count = f"{len(self.keys):,} objects"
        if self.restored or self.skipped:
            count = f"{self.restored:,} of {count} restored"
        return f"{self.publication}  {self.time}  {count}  {human_bytes(self.bytes)}  {self.url}"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What of the trash is asked about."""

    publication: str | None
    include: tuple[str, ...]
    until: dt.datetime | None

    @classmethod
    def of(cls, publication: str | None, include: str | Sequence[str], older_than: int | str | None) -> _Wanted:
        age = None if older_than is None else dt.timedelta(seconds=seconds(older_than))
        return cls(publication, said.texts("include", include), None if age is None else dt.datetime.now(dt.UTC) - age)

    def names(self, publications: Sequence[str]) -> set[str]:
        """Return which publications are asked about, of those that have a trash."""
        if self.publication is not None:
            named = chosen(publications, self.publication)
            publications = [] if named is None else [named]
        return {name for name in publications if self.until is None or time_of(name) <= self.until}


def list_trash(
    where: Any,
    *,
    publication: str | None = None,
    include: str | Sequence[str] = (),
    older_than: int | str | None = None,
    **overrides: Unpack[CallOptions],
) -> Found[Discarded]:
    """Return what is in the trash, oldest first.

    Parameters
    ----------
    where
        The URL of a product, or of a prefix that holds several; or a configuration.
    publication
        Only what this publication retired: its id, or the beginning of one that no other has.
    include
        Only keys that match one of these globs.
    older_than
        Only what was retired longer ago than this: seconds, or ``12h``, ``30d``.
    **overrides
        Options of the configuration, for instance ``endpoint_url``.

    Returns
    -------
    list of Discarded
        One a publication and product; shows itself in a notebook.

    Examples
    --------
    >>> import zsync
    >>> zsync.trash("s3://bucket/products/oco3", older_than="30d")  # doctest: +SKIP
    """
    wanted = _Wanted.of(publication, include, older_than)
    found = [item for place in places_of(where, **overrides) for item in _look(place, wanted)]
    return Found(sorted(found, key=lambda item: (item.publication, item.url)))


def restore_trash(
    where: Any,
    *,
    publication: str | None = None,
    include: str | Sequence[str] = (),
    older_than: int | str | None = None,
    to: str | os.PathLike[str] | None = None,
    **overrides: Unpack[CallOptions],
) -> Found[Discarded]:
    """Bring objects back from the trash, to where they were or into a directory; they stay in the trash as well.

    Nothing is overwritten: an object, or a file, that is there stays. In the target data comes before the metadata that
    refers to it. The next publish retires again what its source still lacks; to keep it, restore it into the source.

    Parameters
    ----------
    where, publication, include, older_than
        As for `zsync.trash`; of several versions of a key the newest comes back.
    to
        A directory on this machine, instead of the target.

    Raises
    ------
    ConflictError
        Somebody is publishing the product.
    ConfigError
        A link leads out of the directory.

    Examples
    --------
    >>> import zsync
    >>> zsync.restore_trash("s3://bucket/products/oco3", to="/data/restored")  # doctest: +SKIP
    """
    wanted = _Wanted.of(publication, include, older_than)
    done: Found[Discarded] = Found()
    for place in places_of(where, **overrides):
        if to is not None:
            done += [_restore_here(place, item, Path(to)) for item in _newest_first(place, wanted)]
        elif _look(place, wanted):
            # Looked at under the lease: nothing comes or goes meanwhile.
            with _claimed(place) as leases:
                for item in _newest_first(place, wanted):
                    done.append(_restore(place, item, leases))
    return done


def _newest_first(place: Place, wanted: _Wanted) -> list[Discarded]:
    """Return what is in the trash; an older version of a key then finds its place taken."""
    return sorted(_look(place, wanted), key=lambda item: item.publication, reverse=True)


def empty_trash(
    where: Any,
    *,
    publication: str | None = None,
    include: str | Sequence[str] = (),
    older_than: int | str | None = None,
    **overrides: Unpack[CallOptions],
) -> Found[Discarded]:
    """Delete what is in the trash, for good.

    Parameters
    ----------
    where, publication, include, older_than
        As for `zsync.trash`.

    Raises
    ------
    ConflictError
        Somebody is publishing the product.

    Examples
    --------
    >>> import zsync
    >>> zsync.empty_trash("s3://bucket/products/oco3", older_than="90d")  # doctest: +SKIP
    """
    wanted = _Wanted.of(publication, include, older_than)
    done: Found[Discarded] = Found()
    for place in places_of(where, **overrides):
        old = _look(place, wanted)
        if not old:
            continue
        with _claimed(place) as leases:
            leases.check()
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


def _look(place: Place, wanted: _Wanted) -> list[Discarded]:
    listing = list_target(place.store, place.state.trashes)
    empty = [key for key, size in zip(listing.keys, listing.sizes, strict=True) if not size]
    listing = as_they_are(place.store, place.state.trashes, listing, empty)
    names = wanted.names(sorted({key.partition("/")[0] for key in listing.keys}))
    groups: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for key, size in _selected(listing, wanted.include):
        number, _, inside = key.partition("/")
        if number in names:
            groups[number].append((inside, size))
    return [
        Discarded(place.url, number, tuple(key for key, _ in rows), sum(size for _, size in rows))
        for number, rows in sorted(groups.items())
    ]


def _selected(listing: Listing, include: Sequence[str]) -> list[tuple[str, int]]:
    inside = [key.partition("/")[2] for key in listing.keys]
    chosen = Selection(tuple(include), ()).mask(inside)
    return [(key, size) for key, size, is_chosen in zip(listing.keys, listing.sizes, chosen, strict=True) if is_chosen]


def _restore(place: Place, item: Discarded, leases: Leases) -> Discarded:
    listing = list_target(place.store, place.location.path)
    there = set(listing.keys)
    # Where another product is now, nothing comes back.
    missing = [key for key in item.keys if key not in there and not is_below(key, listing.others)]
    count = 0
    for key in _in_order(place, item.publication, missing):
        leases.check()
        if is_absent(place.store, under(place.base, key)):  # whoever heeds no lease may have written it since
            place.store.copy(place.state.trash(item.publication, key), under(place.base, key))
            count += 1
    return _told(item, count)


def _restore_here(place: Place, item: Discarded, directory: Path) -> Discarded:
    root = str(directory.expanduser().absolute())
    links = links_among(root, item.keys)
    left = [key for key in item.keys if is_in(key, links) and stays_inside(root, key)]
    for key in left:
        log.warning("left out, for a symbolic link is there: %s/%s", root, key)
    count = sum(_written(place, item.publication, key, root) for key in item.keys if key not in left)
    return _told(item, count)


def _written(place: Place, publication: str, key: str, root: str) -> bool:
    """Bring one object back into a directory; what is there stays."""
    try:
        with file_place(root, checked(key), make=True) as (handle, name):
            if exists(handle, name):
                return False
            data = place.store.get(place.state.trash(publication, key)).data
            # Unlike a renaming, a link never takes the place of what came to be there meanwhile.
            with suppress(FileExistsError), written_beside(handle, [data]) as beside:
                os.link(beside, name, src_dir_fd=handle, dst_dir_fd=handle, follow_symlinks=False)
                remove(handle, beside)
                return True
    except LinkError as error:
        advice = "put what it leads to in its place, or leave it out with include"
        raise ConfigError("a symbolic link leads out of the directory", error.where, advice) from error
    except OSError as error:
        raise ConfigError(f"cannot be written ({error.strerror})", f"{root}/{key}", "check the directory") from error
    return False


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
