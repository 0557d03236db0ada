"""Take stock of the products, both sides at once: step 3 of the protocol.

Everything here is light: a publish with nothing to do ends soon after, without Arrow having been imported.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from zsync.inventory import Directory, Listing, Origin, Scan, Selection, bounds_among, list_target, scan, seen_lately
from zsync.publication import Head, LeaseState, StateKeys, read_head, read_lease, refuse_if_held

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from zsync.config import ResolvedProduct
    from zsync.publication.places import Place
    from zsync.report.progress import Progress
    from zsync.steps.terms import Terms
    from zsync.storage import StoreSpec
    from zsync.words import Finding


_AT_ONCE = 32  # products of which stock is taken side by side


@dataclass(frozen=True, slots=True)
class Stock:
    """One product as it was found.

    Attributes
    ----------
    origin, scan
        Its source, and what is there.
    is_part
        The source is a part of what is published, in a directory that goes again with the run.
    within, without
        Keys that this run is about, and keys that it is not about, each with what is below it; besides the patterns of
        the product (`zsync.inventory.Selection`).
    left_out
        What is unfit, and why; it is part of `without`.
    misplaced
        Keys that the target keeps in another storage class than asked for.
    doubted
        Keys of which the target was found not to hold what is on record, whatever a listing shows: they are sent again.
    unfinished
        Files of the target that a run which died began to write; nobody sees them, and they go.
    noticed
        What was noticed on the way.
    recognised
        What of the target is ours by its content, though not by its times (`zsync.tables.MANIFEST`).
    restores
        Its source is this earlier publication of it.
    taken_ns
        When all of it was known, in nanoseconds since the epoch: nothing of the source was read before.
    listing
        Its target; None where the manifest is trusted instead.
    head
        Its current publication.
    lease
        Its lease; to take it on condition that it is as it was read proves that the rest still holds.
    """

    product: ResolvedProduct
    spec: StoreSpec
    state: StateKeys
    lease: LeaseState
    head: Head
    listing: Listing | None
    origin: Origin
    scan: Scan
    is_part: bool = False
    within: frozenset[str] | None = None
    without: frozenset[str] = frozenset()
    left_out: tuple[Finding, ...] = ()
    misplaced: frozenset[str] = frozenset()
    doubted: frozenset[str] = frozenset()
    unfinished: tuple[str, ...] = ()
    noticed: tuple[Finding, ...] = ()
    recognised: pa.Table | None = None
    restores: str | None = None
    taken_ns: int = field(default_factory=time.time_ns)

    @property
    def is_all(self) -> bool:
        """Whether the run is about all of the product, as the target was listed."""
        return self.listing is not None and self.within is None and not self.without

    @property
    def selection(self) -> Selection:
        """What the run is about, patterns and all."""
        return Selection(self.product.include, self.product.exclude, self.within, self.without)


def take_stock(
    products: Sequence[ResolvedProduct],
    places: Sequence[Place],
    terms: Terms,
    progress: Progress,
    *,
    publishes: bool,
    meanwhile: Callable[[list[Scan]], object] = lambda _scans: None,
) -> list[Stock]:
    """Scan the sources here while the targets are asked over the network.

    Parameters
    ----------
    places
        Where each product is published.
    publishes
        A publish is to follow: then it matters who holds the leases.
    meanwhile
        Called once the sources are known, while the targets still may have to answer.

    Raises
    ------
    SourceError
        A source is missing or cannot be read.
    ConflictError
        Somebody else is publishing one of the products.
    TargetError
        A target cannot be reached, or refuses.
    """
    for product in products:
        if not os.path.isdir(product.root):  # before anything is asked over the network
            scan(product.root, product.name)
    progress.begin("survey", len(products), 0)
    origins = [
        Directory(product.root, product.name, terms.follow_symlinks, Selection(product.include, product.exclude))
        for product in products
    ]
    found = []
    try:
        with ThreadPoolExecutor(
            max_workers=min(max(1, len(products)), _AT_ONCE), thread_name_prefix="zsync-stock"
        ) as pool:
            scans: list[Scan] = []
            answers = [
                pool.submit(ask, place, terms, partial(_bounds, scans, number), publishes=publishes)
                for number, place in enumerate(places)
            ]
            for origin in origins:
                scans.append(origin.look())  # noqa: PERF401 - each is asked for as soon as it is there
            meanwhile(scans)
            for product, answer, origin, scanned in zip(products, answers, origins, scans, strict=True):
                found.append(Stock(product, *answer.result(), origin=origin, scan=scanned))
                progress.advance(1, 0)
    finally:
        progress.end()
    return found


def _bounds(scans: Sequence[Scan], number: int) -> Sequence[str]:
    """Return where the listing of a target may be cut, by what is here; nowhere while that is not known."""
    return bounds_among(scans[number].keys) if number < len(scans) else ()


def ask(
    place: Place, terms: Terms, bounds: Callable[[], Sequence[str]] = tuple, *, publishes: bool
) -> tuple[StoreSpec, StateKeys, LeaseState, Head, Listing | None]:
    """Take stock of a target.

    Only what is read after the lease is proved by taking that: nobody has published in between. Where the lease turns
    out to be the one that was seen last, nobody has published since then, so that what was read beside it counts too.

    Parameters
    ----------
    bounds
        Returns keys to cut the listing at, where it is not known how it was the last time.
    publishes
        A publish is to follow: then it matters who holds the lease.
    """
    store, lately = place.store, seen_lately(place.location)

    def cuts() -> Sequence[str]:
        return lately.bounds or bounds()

    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="zsync-stock") as pool:
        reading = pool.submit(read_lease, store, place.state)
        beside = None if lately.lease is None else pool.submit(_found, place, cuts, trusts=terms.trusts_manifest)
        lease = reading.result()
        if publishes:
            refuse_if_held(store, place.state, lease)
        # What a run that did not come to its end left in the target is in no manifest.
        trusts = terms.trusts_manifest and not lease.is_unfinished
        if beside is not None and lease.etag == lately.lease and trusts == terms.trusts_manifest:
            head, listing = beside.result()
        else:
            head, listing = _found(place, cuts, trusts=trusts)
    return place.spec, place.state, lease, head, listing


def _found(place: Place, cuts: Callable[[], Sequence[str]], *, trusts: bool) -> tuple[Head, Listing | None]:
    """Return what is published at a place, and what is there; or nothing, where the manifest is to tell."""
    store, path = place.store, place.location.path
    if trusts:
        trusted = read_head(store, place.state)
        return trusted, list_target(store, path, bounds=cuts()) if trusted.publication is None else None
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="zsync-stock") as pool:
        head = pool.submit(read_head, store, place.state)
        listing = list_target(store, path, bounds=cuts())
        return head.result(), listing
