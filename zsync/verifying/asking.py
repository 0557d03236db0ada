"""Ask for all that verifying needs: state, listing and uploads side by side, then what the first answers lack."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from zsync.errors import ConfigError, ObjectNotFoundError, TargetError, UnfitKeyError
from zsync.inventory import (
    Objects,
    Selection,
    agreed_listing,
    as_they_are,
    bounds_among,
    cache_directory,
    keep_seen,
    list_target,
    seen_lately,
)
from zsync.inventory.selection import is_below
from zsync.keys import under
from zsync.publication import ManifestLostError, manifest, read_head, read_lease, read_parts, read_record
from zsync.storage import list_versions, unfinished_uploads
from zsync.tasks import TaskGroup, side_by_side
from zsync.verifying.difference import Difference, Wrong, difference
from zsync.words import Finding, Kind, Stage

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Sequence

    import pyarrow as pa

    from zsync.inventory import Listing
    from zsync.publication import Head, LeaseState, Part
    from zsync.publication.places import Place
    from zsync.storage import Upload

T = TypeVar("T")

_MOST_DOCUMENT = 2**28
_DOCUMENTS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Target:
    """One product that is to be verified.

    Attributes
    ----------
    name
        What it is called.
    place
        Where it is.
    selection
        What its configuration is about: what else is there may be.
    keeps_all
        Whatever is there may be (``retire: keep``).
    """

    name: str
    place: Place
    selection: Selection = field(default_factory=Selection)
    keeps_all: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """One product as it was found.

    Attributes
    ----------
    kind
        What it is; None if nothing is on record.
    publication
        Id of the publication that it is compared with; None if zsync never published it.
    head
        The pointer to its current publication.
    recorded
        What was published, `zsync.tables.MANIFEST`; None if that is not known.
    there
        What there is, `zsync.tables.TARGET`; of an earlier publication, which the bucket keeps, its versions.
    listing
        What there is now.
    lease
        Its lease.
    uploads
        Uploads in parts that never ended.
    differences, findings
        What is wrong with its state, and what was noticed.
    is_past
        It is compared with an earlier publication; what came later is no difference.
    keeps_versions
        The bucket keeps what was replaced.
    """

    target: Target
    kind: Kind | None
    publication: str | None
    head: Head
    recorded: pa.Table | None
    there: pa.Table
    listing: Listing
    lease: LeaseState
    uploads: tuple[Upload, ...] = ()
    differences: tuple[Difference, ...] = ()
    findings: tuple[Finding, ...] = ()
    is_past: bool = False
    keeps_versions: bool = False

    @property
    def name(self) -> str:
        """The product's name."""
        return self.target.name

    @property
    def is_here(self) -> bool:
        """Whether it is a directory of this machine."""
        return self.target.place.location.scheme == "file"

    def keys_on_record(self) -> list[str]:
        """Return the keys that were published."""
        keys: list[str] = [] if self.recorded is None else self.recorded["key"].to_pylist()
        return keys

    def keys_of_data(self) -> frozenset[str]:
        """Return the keys of what was published as data: no metadata, and nothing that names others."""
        if self.recorded is None:
            return frozenset()
        pairs = zip(self.recorded["key"].to_pylist(), self.recorded["stage"].to_pylist(), strict=True)
        return frozenset(key for key, stage in pairs if stage == Stage.DATA)

    def on_record(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return what is on record of some objects, by key."""
        if self.recorded is None:
            return {}
        import pyarrow as pa
        import pyarrow.compute as pc

        from zsync.tables import column

        rows = self.recorded.filter(pc.is_in(self.recorded["key"], column(list(keys), pa.string())))
        return {row["key"]: row for row in rows.to_pylist()}

    def objects(self) -> Objects:
        """Return what there is now as something to read from."""
        place, listing = self.target.place, self.listing
        rows = zip(listing.keys, listing.sizes, listing.etags, strict=True)
        return Objects.of(
            place.spec, place.base, self.name, ((key, size, etag, None, None) for key, size, etag in rows)
        )


@dataclass(slots=True)
class _State:
    """What the product's state says, as far as it can be read."""

    product: str
    differences: list[Difference] = field(default_factory=list)

    def or_else(self, key: str, call: Callable[[], T], otherwise: T) -> T:
        """Return what a call does; of a document that cannot be read it is said."""
        try:
            return call()
        except TargetError as error:
            if type(error) is not TargetError:  # nobody answers, or may not: that is no document
                raise
            self.differences.append(difference(self.product, key, Wrong.STATE, error.message, error.advice))
            return otherwise


def ask(target: Target, at: str | None) -> Found:
    """Ask for one product: for its record, lease, uploads and listing side by side.

    Parameters
    ----------
    at
        Id of a publication; None: the current one.

    Raises
    ------
    ConfigError
        There is no such publication, or nothing at all.
    TargetError
        The target cannot be reached, or refuses.
    """
    from zsync.publication import LeaseState

    place, state = target.place, _State(target.name)
    store, keys, path = place.store, place.state, place.location.path
    with TaskGroup(4, "verify") as tasks:
        recording = tasks.start(_on_record, target, at, state)
        leasing = tasks.start(
            state.or_else, _of_state(place, keys.lease), lambda: read_lease(store, keys), LeaseState()
        )
        asking = tasks.start(_uploads, target)
        answering = tasks.start(list_target, store, path, bounds=seen_lately(place.location).bounds)
        from zsync.verifying.compare import of_others  # while the service thinks: it takes longer than an answer

    record, lease, listing = recording.result(), leasing.result(), answering.result()
    keep_seen(place.location, bounds=tuple(bounds_among(listing.keys)))
    uploads, findings = asking.result()
    if record.publication is None and not listing.keys:
        raise ConfigError("there is nothing there", place.url, "check the URL")
    recorded, head = of_others(record.manifest, listing.others), record.head
    listing = _agreed(target, listing, recorded)
    found = Found(
        target, record.kind, record.publication, head, recorded, listing.table(), listing, lease,
        tuple(item for item in uploads if not is_below(item.key, listing.others)),
        tuple(state.differences), (*findings, *_unfit(target, listing)),
        is_past=at is not None and at != head.publication, keeps_versions=head.is_versioned,
    )  # fmt: skip
    return _as_kept(found) if found.is_past else found


def _of_state(place: Place, key: str) -> str:
    """Return the key of a document of a product's state, relative to the product's parent."""
    parent = place.location.parent.path
    return key.removeprefix(f"{parent}/") if place.location.path and parent else key


def _uploads(target: Target) -> tuple[list[Upload], list[Finding]]:
    place = target.place
    try:
        found = unfinished_uploads(place.spec, place.base)
    except TargetError as error:
        message = f"unfinished uploads could not be looked for: {error}"
        return [], [Finding("info", "unfinished-uploads", target.name, "", message)]
    return [replace(item, key=item.key.removeprefix(place.base)) for item in found], []


@dataclass(frozen=True, slots=True)
class _Record:
    """What is on record: the head, and of the publication in question its id, its manifest and what it is of."""

    head: Head
    publication: str | None = None
    manifest: pa.Table | None = None
    kind: Kind | None = None


def _on_record(target: Target, at: str | None, state: _State) -> _Record:
    """Return what is on record; what of it is lost is said."""
    from zsync.publication import Head

    place, keys = target.place, target.place.state
    head = state.or_else(_of_state(place, keys.head), lambda: read_head(place.store, keys), Head())
    parts, publication = (head.parts, head.publication) if at is None else read_parts(place.store, keys, at)
    if publication is None:
        return _Record(head)
    with TaskGroup(1, "record") as tasks:
        recording = tasks.start(_kind_on_record, target, publication, state)
        recorded = state.or_else(_of_state(place, f"{keys.prefix}/manifests"), lambda: _manifest(place, parts), None)
    return _Record(head, publication, recorded, recording.result())


def _manifest(place: Place, parts: Sequence[Part]) -> pa.Table | None:
    try:
        return manifest.read(place.store, place.state, parts, cache_directory() / "manifests")
    except (ManifestLostError, UnfitKeyError, ValueError) as error:
        raise TargetError(f"the manifest of what was published is lost: {error}") from error


def _kind_on_record(target: Target, publication: str, state: _State) -> Kind | None:
    place = target.place
    key = place.state.publication(publication)
    try:
        return Kind(read_record(place.store, place.state, publication).product.kind)
    except ObjectNotFoundError:
        message = "the record of the publication is gone"
    except TargetError as error:
        if type(error) is not TargetError:  # nobody answers, or may not: that is no document
            raise
        message = error.message
    except ValueError:
        message = "the record of the publication names no kind of product"
    advice = "nothing that readers see depends on it; the next publication has a record of its own"
    state.differences.append(difference(target.name, _of_state(place, key), Wrong.STATE, message, advice))
    return None


def _agreed(target: Target, listing: Listing, recorded: pa.Table | None) -> Listing:
    """Return a listing that lacks nothing that is there, and shows nothing that is not."""
    place = target.place
    named = [] if recorded is None else recorded["key"].to_pylist()
    if place.location.scheme != "file":  # a directory is no service: what it does not show is gone
        listing = agreed_listing(place.store, place.location.path, listing, named)
    sure = set(named)
    if sure.issuperset(listing.keys):
        return listing
    listing = listing.without_markers(sure, named)
    return as_they_are(place.store, place.location.path, listing, [key for key in listing.keys if key not in sure])


def _unfit(target: Target, listing: Listing) -> tuple[Finding, ...]:
    return listing.skipped(target.name, target.selection)


def _as_kept(found: Found) -> Found:
    """Return what there is of an earlier publication, where the bucket keeps what was replaced."""
    recorded, place = found.recorded, found.target.place
    if recorded is None or not any(version not in (None, "null") for version in recorded["version"].to_pylist()):
        return replace(found, keeps_versions=False)
    from zsync.verifying.compare import kept_versions

    there = kept_versions(recorded, list_versions(place.spec, place.base), place.base)
    return replace(found, there=there, keeps_versions=True)


def of_state(found: Found, now: dt.datetime) -> tuple[list[Difference], list[Finding]]:
    """Return what is to be said of lease and uploads.

    Parameters
    ----------
    now
        The time, UTC.
    """
    lease, place = found.lease, found.target.place
    key = _of_state(place, place.state.lease)
    if lease.is_held(now):
        message = f"{lease.holder} is publishing: what differs may be its work; verify again when that is done"
        return [], [Finding("warning", "being-published", found.name, "", message)]
    differences = [
        difference(found.name, item.key, Wrong.UPLOAD, f"an upload in parts, begun {item.initiated:%Y-%m-%d %H:%M} UTC,"
                   " never ended")
        for item in found.uploads
    ]  # fmt: skip
    if lease.by:
        message = f"the lease was left behind by {lease.holder}"
        differences.append(difference(found.name, key, Wrong.LEASE, message))
    elif lease.is_unfinished:
        message = "the last run did not come to its end: what is there may not be on record"
        differences.append(difference(found.name, key, Wrong.UNFINISHED, message))
    return differences, []


def documents_of(found: Found, keys: Sequence[str]) -> tuple[dict[str, bytes], list[Difference]]:
    """Read metadata; what cannot be read counts as empty, and is said."""
    place = found.target.place
    differences: list[Difference] = []

    def read(key: str) -> tuple[str, bytes]:
        try:
            return key, place.store.get(under(place.base, key), most=_MOST_DOCUMENT).data
        except ObjectNotFoundError:
            return key, b""
        except TargetError as error:
            differences.append(difference(found.name, key, Wrong.UNREADABLE, error.message, error.advice))
            return key, b""

    return dict(side_by_side(read, keys, _DOCUMENTS_AT_ONCE)), differences
