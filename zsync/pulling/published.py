"""What is published somewhere, as a source to read from."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from zsync.config.given import quoted_glob
from zsync.errors import ConfigError, GoneError
from zsync.inventory import Objects, agreed_listing, as_they_are, cache_directory, list_target, seen_lately
from zsync.inventory.asking import found
from zsync.printable import listed
from zsync.publication import ManifestLostError, manifest, read_head, read_parts
from zsync.publication.whereabouts import Published
from zsync.steps.published import on_record
from zsync.steps.whereabouts import as_held, locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zsync.inventory import Listing, Selection
    from zsync.inventory.origin import Row
    from zsync.keys import Key
    from zsync.publication import StateKeys
    from zsync.publication.places import Place
    from zsync.steps.published import OnRecord
    from zsync.storage import ObjectStore
    from zsync.words import Finding


def published(
    place: Place,
    name: str,
    at: str | None,
    selection: Selection,
    directory: str,
    *,
    as_listed: bool = False,
    known: Callable[[], Iterable[str]] = tuple,
) -> tuple[Objects, str | None]:
    """Return what is published, and the id of the publication: by its manifest where there is one, else by a listing.

    Parameters
    ----------
    place
        Where.
    name
        The product's name.
    at
        Id of a publication; None: the current one.
    selection
        What is wanted of it.
    directory
        Where it is to come: what stands for a directory that is there needs no file.
    as_listed
        Go by a listing in any case: what others wrote counts as well.
    known
        Returns the keys that were pulled before: what a listing lacks of them would be deleted here, and is asked for.

    Raises
    ------
    ConfigError
        There is nothing, or no such publication.
    GoneError
        Of an older publication something is not to be had any more.
    SourceError
        A manifest names what cannot be a file here.
    """
    findings: tuple[Finding, ...] = ()
    parts, publication = ((), None) if as_listed else read_parts(place.store, place.state, at)
    if publication is None:
        named = {*known(), *recorded_keys(place.store, place.state)}
        # What is to be published from here afterwards is not what others publish there.
        listing = _listed(place, named, takes_all=not as_listed)
        markers = {key for key in listing.small() if os.path.isdir(f"{directory}/{key}")}
        listing = listing.without(markers) if markers else listing
        if not listing.keys:
            raise _nothing_below(place)
        findings = listing.skipped(name, selection)
        found = zip(listing.keys, listing.sizes, listing.etags, strict=True)
        rows: Iterable[Row] = ((key, size, etag, None, None) for key, size, etag in found)
        return Objects.of(place.spec, place.base, name, rows, findings), None
    recorded = on_record(place, parts, is_current=at is None)
    elsewhere: dict[str, Key] = {}
    rows = recorded.rows
    if at is not None:
        rows, elsewhere = _as_they_are_now(place, list(rows), publication, recorded, selection)
    return Objects.of_record(place.spec, place.base, name, recorded, rows, elsewhere), publication


def _as_they_are_now(
    place: Place, rows: list[Row], publication: str, recorded: OnRecord, selection: Selection
) -> tuple[list[Row], dict[str, Key]]:
    """Return the rows of an older publication with ETag and version of the places that hold them now, and those places.

    Raises
    ------
    GoneError
        Something that is wanted is not to be had any more.
    """
    doubtful = [Published(k, s, e, v, d) for k, s, e, v, d in rows if v is None]
    if not doubtful:  # a version is what it was
        return rows, {}
    found = locate(place, doubtful, publication)
    own = recorded.own()
    gone = sorted(own.get(key, key) for key, held in found.items() if held is None and key not in recorded.originals)
    lost = [key for key, is_wanted in zip(gone, selection.mask(gone), strict=True) if is_wanted]
    if lost:
        raise GoneError(
            f"{len(lost):,} objects of publication {publication} were replaced or removed since, and not kept",
            f"{place.url}: {listed(lost)}",
            "pull a later one",
        )
    return as_held(place, rows, found)


def _nothing_below(place: Place) -> ConfigError:
    """Return what to say where there is nothing below a URL: it may be that of one object."""
    path, parent = place.location.path, place.location.parent
    if path and found(place.store, "", [path]):
        return ConfigError(
            "this is one object, and what is pulled is what lies below a prefix",
            place.url,
            f"to pull it alone: zsync pull {shlex.quote(parent.url)} DEST --include {quoted_glob(place.location.name)}",
        )
    return ConfigError("there is nothing there", place.url, "check the URL")


def _listed(place: Place, named: Iterable[str], *, takes_all: bool) -> Listing:
    """Return what is there of which files can be made; what is named is there if it is, whatever a listing shows."""
    path, bounds = place.location.path, seen_lately(place.location).bounds

    def look() -> Listing:
        return list_target(place.store, path, here=True, takes_all=takes_all, bounds=bounds)

    listing = agreed_listing(place.store, path, look(), named, look).without_markers()
    return as_they_are(place.store, path, listing, listing.keys).without_clashes()


def recorded_keys(store: ObjectStore, state: StateKeys) -> list[str]:
    """Return the keys that the current publication names, if there is one that can be read."""
    try:
        table = manifest.read(store, state, read_head(store, state).parts, cache_directory() / "manifests")
    except ManifestLostError:
        return []
    keys: list[str] = table["key"].to_pylist()
    return keys
