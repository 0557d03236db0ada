"""What a listing lacks, though it is known to have been there: asked for before it counts as gone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from zsync.errors import ObjectNotFoundError, TargetError
from zsync.inventory.remote import list_target
from zsync.inventory.selection import is_below
from zsync.keys import under

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from zsync.inventory.remote import Listing
    from zsync.storage import ObjectStore

MOST_ASKED = 1000  # one by one; of more, so many of them, and another listing has to say the same


def agreed_listing(
    store: ObjectStore, prefix: str, listing: Listing, named: Iterable[str], look: Callable[[], Listing] | None = None
) -> Listing:
    """Return a listing that agrees with what is there, as far as that is known.

    A listing may be stale, or cut short, and nothing of it tells. So no object counts as gone because one listing lacks
    it: what is named elsewhere is asked for by its key.

    Parameters
    ----------
    store
        The bucket.
    prefix
        The prefix that was listed, without a trailing ``/``.
    listing
        What it shows.
    named
        Keys, relative to the prefix, that a manifest names.
    look
        Lists once more, in the same way.

    Returns
    -------
    Listing
        The same, or another one, if that one lacked something that is there.

    Raises
    ------
    TargetError
        The service's listing lacks what is there, and goes on doing so.
    """
    base = f"{prefix}/" if prefix else ""
    lacking = _lacking(listing, named)
    if not lacking:
        return listing
    if len(lacking) <= MOST_ASKED and not found(store, base, lacking):
        return listing
    again = list_target(store, prefix) if look is None else look()
    lacking = _lacking(again, lacking)
    if hidden := found(store, base, lacking[:: max(1, -(-len(lacking) // MOST_ASKED))]):
        raise TargetError(
            f"the listing lacks {len(hidden)} objects that are there",
            store.url(base + hidden[0]),
            "it is stale, or cut short: is there a cache or proxy in between? Try again later",
        )
    return again


def found(store: ObjectStore, base: str, keys: Sequence[str]) -> list[str]:
    """Return which of some keys are there, by asking for each.

    Parameters
    ----------
    base
        The prefix of the keys, empty or ending in ``/``.
    """
    if not keys:
        return []

    def is_there(key: str) -> bool:
        try:
            store.head(under(base, key))
        except ObjectNotFoundError:
            return False
        return True

    with ThreadPoolExecutor(max_workers=min(16, len(keys)), thread_name_prefix="zsync-asking") as pool:
        return [key for key, there in zip(keys, pool.map(is_there, keys), strict=True) if there]


def _lacking(listing: Listing, named: Iterable[str]) -> list[str]:
    there = set(listing.keys)
    return sorted({key for key in named if key not in there and not is_below(key, listing.others)})
