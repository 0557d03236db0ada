"""Take stock of what goes back: an earlier publication as the source, and its own place as the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zsync.config import ResolvedProduct
from zsync.errors import GoneError, SourceError, ThrottledError, TransientError, UnansweredError
from zsync.inventory import Objects, cache_directory
from zsync.inventory.digest import Signature
from zsync.printable import listed
from zsync.publication import ManifestLostError, manifest
from zsync.publication.whereabouts import Published
from zsync.steps.neighbours import leaving_to_others
from zsync.steps.published import on_record
from zsync.steps.stock import Stock, ask
from zsync.steps.whereabouts import as_held, locate
from zsync.tasks import side_by_side
from zsync.words import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zsync.inventory.origin import Row
    from zsync.publication import Head
    from zsync.publication.places import Place
    from zsync.returning.meant import Meant
    from zsync.steps.terms import Terms


@dataclass(frozen=True, slots=True)
class Earlier:
    """A product as it was published earlier.

    Attributes
    ----------
    stock
        That as the source, and what is there now as the target.
    etags
        ETag of each object as it was published, where that is known to be of its bytes.
    unproved
        Keys of objects of which only reading tells whether they are to be had still.
    orders
        The order of indexes, by key.
    gone
        Keys of objects that are not to be had any more.
    """

    stock: Stock
    etags: Mapping[str, str | None]
    unproved: frozenset[str]
    orders: Mapping[str, int]
    gone: tuple[str, ...]


def look(meant: Meant, terms: Terms, *, publishes: bool) -> Earlier:
    """Take stock of one product.

    Parameters
    ----------
    publishes
        It is to go back: then it matters who holds the lease.

    Raises
    ------
    ConflictError
        Somebody else is publishing it.
    TargetError
        The store refuses, or a manifest cannot be read.
    """
    place, record = meant.place, meant.publication
    spec, state, lease, head, listing = ask(place, terms, publishes=publishes)
    recorded = on_record(place, record.product.parts, is_current=False)
    rows = list(recorded.rows)
    found = locate(place, [Published(*row) for row in rows], record.id, _same_since(place, head, rows))
    now, elsewhere = as_held(place, rows, found)
    origin = Objects.of_record(place.spec, place.base, meant.name, recorded, now, elsewhere)
    kind = record.product.kind if record.product.kind in set(Kind) else None
    product = ResolvedProduct(meant.name, origin.name, kind, place.location)
    stock = Stock(
        product, spec, state, lease, head, listing, origin, origin.seen, restores=record.id
    )  # fmt: skip
    # What names other keys than the source's metadata is not read: that is on record.
    own = recorded.own()
    held_by_own = {own.get(key, key): held for key, held in found.items() if key not in recorded.originals}
    return Earlier(
        leaving_to_others(stock),
        {key: held.etag for key, held in held_by_own.items() if held and held.is_proved},
        frozenset(key for key, held in held_by_own.items() if held and not held.is_proved),
        _orders(place, meant),
        tuple(sorted(key for key, held in held_by_own.items() if held is None)),
    )


def refuse_if_gone(earlier: Sequence[Earlier]) -> None:
    """Raise if anything is not to be had any more: half a rollback is none.

    What may or may not be what it was is read. It is not what is published now, and so it would be read anyway.

    Raises
    ------
    GoneError
        Something is not.
    """
    missing = side_by_side(_missing, earlier)
    lost = [(item.stock, keys) for item, keys in zip(earlier, missing, strict=True) if keys]
    if not lost:
        return
    count = sum(len(keys) for _, keys in lost)
    ids = sorted({str(stock.restores) for stock, _ in lost})
    what, were = ("1 object", "was") if count == 1 else (f"{count:,} objects", "were")
    raise GoneError(
        f"{what} of publication {listed(ids)} {were} replaced or removed since, and not kept",
        "; ".join(f"{stock.product.location.url}: {listed(keys)}" for stock, keys in lost),
        "nothing was changed; go back to a later one",
    )


def _missing(item: Earlier) -> list[str]:
    """Return the keys of what is not to be had any more, as far as it is this product's still."""
    origin, scan = item.stock.origin, item.stock.scan
    signatures = dict(zip(scan.keys, scan.signatures, strict=True))

    def is_it(key: str) -> bool:
        try:
            for _ in origin.reader(key, Signature(*signatures[key])).blocks():
                pass
        except (ThrottledError, UnansweredError):
            raise
        except (SourceError, TransientError):  # it is not as it is on record
            return False
        return True

    doubtful = sorted(item.unproved)
    found = [key for key, is_there in zip(doubtful, side_by_side(is_it, doubtful), strict=True) if not is_there]
    keys = sorted([*item.gone, *found])
    return [key for key, is_mine in zip(keys, item.stock.selection.mask(keys), strict=True) if is_mine]


def _same_since(place: Place, head: Head, rows: Sequence[Row]) -> list[Published]:
    """Return what is published now with the same bytes: it may have been sent again since, under another ETag."""
    try:
        table = manifest.read(place.store, place.state, head.parts, cache_directory() / "manifests")
    except ManifestLostError:
        return []
    wanted = {(key, digest) for key, _, _, _, digest in rows if digest is not None}
    names = ("key", "size", "etag", "version", "digest")
    current = zip(*(table[name].to_pylist() for name in names), strict=True)
    return [Published(*row) for row in current if (row[0], row[4]) in wanted]


def _orders(place: Place, meant: Meant) -> dict[str, int]:
    table = manifest.read(place.store, place.state, meant.publication.product.parts, cache_directory() / "manifests")
    pairs = zip(table["key"].to_pylist(), table["order"].to_pylist(), strict=True)
    return {key: order for key, order in pairs if order is not None}
