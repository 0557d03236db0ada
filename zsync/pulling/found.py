"""Take stock of what is to be pulled: what is published, and what is here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zsync.config import Location, ResolvedProduct, Storage
from zsync.errors import ConfigError
from zsync.inventory import Objects, Selection, is_leftover, is_unfinished_transfer, list_target
from zsync.publication import StateKeys, read_head, read_lease, refuse_if_held
from zsync.pulling.linked import leaving_links
from zsync.pulling.published import published, recorded_keys
from zsync.steps.neighbours import leaving_to_others
from zsync.steps.stock import Stock
from zsync.storage import connect, spec_for
from zsync.storage.answers import error_of_system
from zsync.storage.handles import is_plain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import ExitStack

    from zsync.pulling.wanted import Wanted
    from zsync.storage import StoreSpec


@dataclass(frozen=True, slots=True)
class Found:
    """One product as it was found.

    Attributes
    ----------
    wanted
        What was asked for.
    stock
        What is published, as the source; and what is here, as the target.
    publication
        Id of the publication that it is; None if zsync did not publish it.
    """

    wanted: Wanted
    stock: Stock
    publication: str | None

    @property
    def source(self) -> tuple[StoreSpec, str, Collection[str]] | None:
        """Where it comes from, and which keys there are looked at; None where that is on this machine."""
        origin, keys = self.stock.origin, self.stock.scan.keys
        if not isinstance(origin, Objects):
            return None
        mask = self.stock.selection.mask(keys)
        return origin.store, origin.base, {origin.named(key) for key, taken in zip(keys, mask, strict=True) if taken}


def sources_of(found: Sequence[Found]) -> Iterator[tuple[StoreSpec, str, Collection[str]]]:
    """Yield where what was found comes from, as far as that is far away."""
    return (source for item in found if (source := item.source) is not None)


def look(
    wanted: Wanted,
    patterns: tuple[Sequence[str], Sequence[str]],
    at: str | None,
    *,
    publishes: bool,
    as_listed: bool = False,
) -> Found:
    """Take stock of one product.

    Parameters
    ----------
    patterns
        What is included, and what is excluded.
    at
        Id of a publication; None: the current one.
    publishes
        Files are to be written: then it matters who holds the lease of the directory.
    as_listed
        What others wrote there counts as well.

    Raises
    ------
    ZsyncError
        As for `zsync.pull`.
    """
    from zsync.pulling.pending import recognised

    location = Location.parse(wanted.directory)
    spec = spec_for(location, Storage())
    state, store = StateKeys.of(location), connect(spec)
    origin, publication = published(
        wanted.place,
        wanted.name,
        at,
        Selection(tuple(patterns[0]), tuple(patterns[1])),
        wanted.directory,
        as_listed=as_listed,
        known=lambda: recorded_keys(store, state),
    )
    lease = read_lease(store, state)
    if publishes:
        refuse_if_held(store, state, lease)
    product = ResolvedProduct(wanted.name, origin.name, None, location, tuple(patterns[0]), tuple(patterns[1]))
    listing = list_target(store, location.path)
    # What a scan would not see is not there, unless it is what is published.
    leftovers = {key for key in listing.keys if is_leftover(key)}.difference(origin.seen.keys)
    head, listing = read_head(store, state), listing.without(leftovers)
    root = wanted.directory
    unfinished = tuple(key for key in leftovers if is_unfinished_transfer(key) and is_plain(root, key))
    found = Stock(
        product, spec, state, lease, head, listing, origin, origin.seen,
        unfinished=unfinished, recognised=recognised(store, state, head, listing, root),
    )  # fmt: skip
    return Found(wanted, leaving_links(leaving_to_others(found), wanted.directory), publication)


def part_of(
    found: Found, parts: ExitStack, select: Mapping[str, str], variables: Sequence[str], *, is_dry: bool
) -> Found:
    """Return a part of what is published; it lies aside until `parts` ends.

    Raises
    ------
    ConfigError
        The run is dry.
    """
    from zsync.pulling.part import written_part

    if is_dry:
        raise ConfigError("what a part comes to is not known before it is read", "dry_run", "leave out select")
    stock = found.stock
    if not isinstance(stock.origin, Objects):
        raise TypeError(f"{stock.origin.name} is not far away")
    root, aside = f"/{stock.product.location.parent.path}", stock.state.parts
    try:
        origin, left_out = parts.enter_context(
            written_part(stock.origin, stock.product.name, root, aside, select, variables)
        )
    except OSError as error:
        raise error_of_system(error, f"{root}/{aside}") from error
    seen = origin.look()
    scan = replace(seen, findings=(*stock.scan.findings, *left_out, *seen.findings))
    return replace(found, stock=replace(stock, origin=origin, scan=scan, is_part=True))
