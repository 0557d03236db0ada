"""Other products in, or around, the place of a product: what is theirs is left to them, and that is said."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from zsync.errors import TargetError
from zsync.inventory import cache_directory
from zsync.inventory.selection import is_below, is_in
from zsync.publication import ManifestLostError, StateKeys, manifest, read_head
from zsync.storage import connect
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from zsync.config import Location
    from zsync.steps.stock import Stock

log = logging.getLogger(__name__)

CODE = "another-product"


def findings_inside(stock: Stock, sent: pa.ChunkedArray, recorded: pa.ChunkedArray) -> list[Finding]:
    """Return what is to be said of the products inside a product's place.

    Parameters
    ----------
    sent
        Keys of the source: where another product is, that is an error.
    recorded
        Keys that were published.
    """
    others = sorted(others_in(stock) - stock.without)
    if not others or not stock.origin.is_local:  # of what a pull leaves out it is told already
        return []
    mine, published = sent.to_pylist(), recorded.to_pylist()
    return [_finding(stock, place, mine, published) for place in others]


def others_in(stock: Stock) -> frozenset[str]:
    """Return the places of other products inside a product's, as the listing of its target shows them."""
    return frozenset() if stock.listing is None else stock.listing.others


def _finding(stock: Stock, place: str, sent: Sequence[str], recorded: Sequence[str]) -> Finding:
    here, other = frozenset({place}), stock.product.location.child(place)
    count = sum(is_in(key, here) for key in sent)
    if count:
        state = connect(stock.spec).url(StateKeys.of(other).prefix)
        message = (
            f"{count} files here would be in another product, {other.url}: exclude them; or, if that product is no"
            f" more, remove {state}"
        )
        return Finding("error", CODE, stock.product.name, place, message)
    if any(is_below(key, here) for key in recorded):
        message = f"what was published there belongs to another product now, {other.url}, and is left to it"
        return Finding("warning", CODE, stock.product.name, place, message)
    return Finding("info", CODE, stock.product.name, place, f"another product, {other.url}, is left alone")


def findings_around(stock: Stock, sent: pa.ChunkedArray, there: pa.Table) -> list[Finding]:
    """Return an error if objects that lie where nothing was published yet belong to a product around that place.

    It is only asked where there are such objects.

    Parameters
    ----------
    sent
        Keys of the source.
    there
        What is in the target.
    """
    is_first = stock.head.publication is None and stock.origin.is_local
    if not (is_first and len(sent) and len(there)):
        return []
    for around in _around(stock.product.location):
        inside = stock.product.location.path[len(around.path) :].lstrip("/")
        if _has_published(stock, around, inside):
            message = (
                f"the objects at {stock.product.location.url} belong to another product, {around.url}: have that retire"
                " them first, or publish to another place"
            )
            return [Finding("error", CODE, stock.product.name, "", message)]
    return []


def _around(location: Location) -> Iterator[Location]:
    while location.path:
        location = location.parent
        if location.path or location.scheme != "file":
            yield location


def _has_published(stock: Stock, around: Location, inside: str) -> bool:
    store, state = connect(stock.spec), StateKeys.of(around)
    try:
        head = read_head(store, state)
        table = manifest.read(store, state, head.parts, cache_directory() / "manifests")
    except ManifestLostError:
        return True
    except TargetError as error:  # it may be closed to us, and then nothing is known of it
        log.debug("what is published at %s is not known: %s", around.url, error)
        return False
    place = frozenset({inside})
    return any(is_below(key, place) for key in table["key"].to_pylist())


def leaving_to_others(stock: Stock) -> Stock:
    """Return the stock of a pull that leaves other products in the directory alone, and says so where it matters."""
    others = others_in(stock)
    touched = sorted(place for place in others if any(is_in(key, frozenset({place})) for key in stock.scan.keys))
    message = "another product was pulled there: it is left alone"
    found = [Finding("warning", CODE, stock.product.name, place, message) for place in touched]
    return replace(stock, without=stock.without | others, noticed=(*stock.noticed, *found)) if others else stock
