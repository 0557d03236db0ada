"""Look at both sides of a team's folder: what is here, by content, and what is there, by listing and manifest."""

from __future__ import annotations

import itertools
import logging
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from zsync.errors import SourceChangedError, SourceError
from zsync.inventory import (
    DigestCache,
    Listing,
    Scan,
    Selection,
    agreed_listing,
    as_they_are,
    cache_directory,
    digest_source,
    list_target,
)
from zsync.inventory.digest import Signature, Wanted
from zsync.layout import local_findings
from zsync.planning.merge import Content, Side, States
from zsync.publication import Head, LeaseState, ManifestLostError, manifest, read_head, read_lease
from zsync.tables import MANIFEST, table_of
from zsync.team.folder import scan_folder
from zsync.team.renamed import Renamed, recorded_in
from zsync.words import WHOLE_SIZE, Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import pyarrow as pa

    from zsync.publication.places import Place
    from zsync.report.progress import Progress
    from zsync.team.base import Base
    from zsync.team.folder import Folder
    from zsync.team.renamed import Row

log = logging.getLogger(__name__)

_MD5 = re.compile(r"[0-9a-f]{32}(-[0-9]+)?")
_ANY_MD5 = "0" * 32  # asks for the MD5 of the bytes, whatever it is


@dataclass(frozen=True, slots=True)
class Look:
    """Both sides as they were found.

    Attributes
    ----------
    folder
        The folder, with what takes no part for now.
    scan
        The files here that take part.
    table
        The same as `zsync.tables.SOURCE`, with digests.
    lease, head, listing
        The target's; the lease was read first.
    recorded
        Keys that the current publication tells of.
    renamed
        What the target names otherwise than its source.
    states
        What both sides hold.
    findings
        What was noticed, and what in the target is left out.
    """

    folder: Folder
    scan: Scan
    table: pa.Table
    lease: LeaseState
    head: Head
    listing: Listing
    recorded: frozenset[str]
    states: States
    findings: tuple[Finding, ...] = ()
    renamed: Renamed = field(default_factory=Renamed)

    def mtime_ns(self, keys: tuple[str, ...]) -> int:
        """Return when any of some files here was written last, in nanoseconds since the epoch; 0 for none."""
        wanted = set(keys)
        found = zip(self.scan.keys, self.scan.signatures, strict=True)
        return max((signature[1] for key, signature in found if key in wanted), default=0)


def look(folder: Folder, base: Base, progress: Progress, *, writes_cache: bool) -> Look:
    """Look at both sides at the same time.

    Parameters
    ----------
    folder
        The folder.
    base
        What both sides last agreed on.
    progress
        Told how far it is.
    writes_cache
        Keep the digests for the next time.

    Raises
    ------
    SourceError
        The folder cannot be read, or a key in the target cannot be a file.
    SourceChangedError
        A file changed while it was read.
    TargetError
        The target cannot be reached, or refuses.
    """
    progress.begin("survey", 1, 0)
    try:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="zsync-look") as pool:
            known_before = _taken(folder.selection(), base.contents)
            answer = pool.submit(_look_there, folder, known_before)
            here = scan_folder(folder) if os.path.isdir(folder.root) else Scan([], [], ())
            lease, head, listing, recorded, renamed = answer.result()
        listing = listing.without_markers(renamed.in_target(recorded), here.keys)
        folder = replace(folder, away=listing.others.union(here.unseen))
        findings = [*here.findings, *_of_others(folder, listing, here)]
        here = here.only(folder.selection())
        listed = renamed.in_source(listing, recorded)
        there, known = _there(folder, listed, recorded, _arrived(folder.there, listing))
    finally:
        progress.end()
    if unfit := local_findings(folder.product.name, there):
        raise SourceError(unfit[0].message, f"{folder.there.url}/{unfit[0].key}", "see team.ignore")
    table = _hashed(folder, here, there, progress, writes_cache=writes_cache)
    rows = zip(*(table[name].to_pylist() for name in ("key", "size", "digest", "etag")), strict=True)
    contents = {key: Content(size, digest, etag) for key, size, digest, etag in rows}
    taking = folder.selection()
    states = States(
        base=_taken(taking, base.contents),
        here=contents,
        there=there,
        coming=base.coming,
        going=base.going,
        yielding_here=base.yielding_here,
        yielding_there=base.yielding_there,
        unrecorded=known if head.publication is not None else frozenset(),
    )
    return Look(
        folder,
        here,
        table,
        lease,
        head,
        listing,
        frozenset(recorded),
        states,
        (*findings, *listing.skipped(folder.product.name, taking)),
        renamed,
    )


def _of_others(folder: Folder, listing: Listing, here: Scan) -> list[Finding]:
    """Return what is to be said of files here that would lie in another product there."""
    message = "another product is published there: what is here of it is not synchronized"
    return [
        Finding("warning", "another-product", folder.product.name, place, message)
        for place in sorted(listing.others)
        if any(Selection(within=frozenset({place})).mask(here.keys))
    ]


def _taken(selection: Selection, contents: Side) -> Side:
    mask = selection.mask(list(contents))
    return {key: content for (key, content), taken in zip(contents.items(), mask, strict=True) if taken}


def _look_there(
    folder: Folder, known_before: Iterable[str] = ()
) -> tuple[LeaseState, Head, Listing, dict[str, Content], Renamed]:
    place = folder.there
    # The lease first: only what is read after it is proved by taking it.
    lease = read_lease(place.store, place.state)
    head = read_head(place.store, place.state)

    def list_there() -> Listing:
        return list_target(place.store, place.location.path, here=True)

    listing = list_there()
    try:
        table = manifest.read(place.store, place.state, head.parts, cache_directory() / "manifests")
    except ManifestLostError as error:
        log.warning("the manifest is lost, so objects are compared by ETag: %s", error)
        table = table_of([], MANIFEST)
    recorded, renamed = recorded_in(table)
    # What a listing lacks would be deleted here: it is asked for first.
    named = renamed.in_target({*known_before, *recorded})
    listing = agreed_listing(place.store, place.location.path, listing, named, list_there)
    published = {renamed.names.get(key, key): content for key, content in recorded.items()}
    return lease, head, _without_markers(place, listing, published), recorded, renamed


def look_there_again(folder: Folder, seen: Look, gone: Collection[str]) -> Look:
    """Return a look at the target from which we have just taken some keys away.

    Raises
    ------
    SourceChangedError
        Somebody else has been there as well.
    """
    lease, head, listing, recorded, _ = _look_there(folder)
    listing = listing.without_markers(seen.renamed.in_target(recorded), seen.scan.keys)
    away = seen.renamed.in_target(gone)
    before = {key: etag for key, etag in zip(seen.listing.keys, seen.listing.etags, strict=True) if key not in away}
    if before != dict(zip(listing.keys, listing.etags, strict=True)):
        raise SourceChangedError("the target changed meanwhile", folder.there.url, "synchronize again")
    there = {key: content for key, content in seen.states.there.items() if key not in gone}
    states = replace(seen.states, there=there)
    return replace(seen, lease=lease, head=head, listing=listing, recorded=frozenset(recorded), states=states)


def _without_markers(place: Place, listing: Listing, recorded: Mapping[str, Content]) -> Listing:
    """Return a listing without what stands for directories: it shows under the name that a file of ours may have."""
    rows = list(zip(listing.keys, listing.sizes, listing.etags, strict=True))
    doubtful = [key for key, size, etag in rows if not _is_as_recorded(recorded.get(key), size, etag)]
    listing = listing.without_markers(recorded)
    return as_they_are(place.store, place.location.path, listing, doubtful)


def _is_as_recorded(known: Content | None, size: int, etag: str | None) -> bool:
    return known is not None and (known.size, known.etag) == (size, etag)


def _arrived(place: Place, listing: Listing) -> dict[str, Content]:
    """Return what we sent and did not come to put on record."""
    from zsync.steps.arrived import arrived

    return recorded_in(arrived(place.spec, place.state, listing.table(), table_of([], MANIFEST)))[0]


def _there(
    folder: Folder, rows: Sequence[Row], recorded: Mapping[str, Content], sent: Mapping[str, Content]
) -> tuple[Side, frozenset[str]]:
    """Return what is in the target, and which keys are otherwise than recorded."""
    taken = folder.selection().mask([key for key, *_ in rows])
    there: Side = {}
    for key, size, etag in itertools.compress(rows, taken):
        known = recorded.get(key)
        is_ours = known is not None and known.etag == etag and known.size == size
        there[key] = known if is_ours and known is not None else sent.get(key, Content(size, None, etag))
    mask = folder.selection().mask(list(recorded))
    missing = {key for key, is_taken in zip(recorded, mask, strict=True) if is_taken and key not in there}
    return there, frozenset(missing | {key for key, content in there.items() if content != recorded.get(key)})


def _hashed(folder: Folder, here: Scan, there: Side, progress: Progress, *, writes_cache: bool) -> pa.Table:
    """Return the files here with digests, and with ETags to be compared with those in the target."""
    from zsync.tables import with_values

    cache = DigestCache(folder.root)
    table = cache.fill(here.table())
    digests, etags = table["digest"].to_pylist(), table["etag"].to_pylist()
    wanted = {}
    for place, (key, signature) in enumerate(zip(here.keys, here.signatures, strict=True)):
        asked = _asked(there.get(key), signature[0])
        is_open = asked is not None and asked != _ANY_MD5 and _shape(etags[place]) != _shape(asked)
        if digests[place] is None or is_open:
            wanted[key] = place, Wanted(key, Signature(*signature), asked)
    if not wanted:
        return table
    began_ns = time.time_ns()
    progress.begin("digest", len(wanted), sum(item.signature.size for _, item in wanted.values()))
    try:
        items = [item for _, item in wanted.values()]
        hashed = digest_source(folder.root, items, workers=2 * (os.cpu_count() or 1), advance=progress.advance)
    finally:
        progress.end()
    for item in hashed:
        place = wanted[item.key][0]
        digests[place], etags[place] = item.digest, item.etag
    for name, values in (("digest", digests), ("etag", etags)):
        table = with_values(table, name, values)
    if writes_cache:
        cache.keep(table, hashed_ns=began_ns)
    return table


def _asked(other: Content | None, size: int) -> str | None:
    """Return the ETag that a file's bytes are to be compared with; its MD5 costs little while it is read anyway."""
    if other is not None and other.digest is None and other.size == size and _MD5.fullmatch(other.etag or ""):
        return other.etag
    return _ANY_MD5 if size <= WHOLE_SIZE else None


def _shape(etag: str | None) -> str | None:
    return None if etag is None else etag.partition("-")[2]
