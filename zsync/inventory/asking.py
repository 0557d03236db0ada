"""What a listing may lack, or show for another key: asked for before it counts as gone, or as there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from zsync.errors import TargetError
from zsync.inventory.remote import MARKER_BYTES, list_target
from zsync.inventory.selection import is_below
from zsync.keys import under
from zsync.storage import is_absent
from zsync.tasks import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from zsync.inventory.remote import Listing
    from zsync.keys import Key
    from zsync.storage import ObjectStore

_FEW = 32  # keys that are sooner asked for one by one than listed again
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


def as_they_are(store: ObjectStore, prefix: str, listing: Listing, doubtful: Sequence[Key]) -> Listing:
    """Return a listing without keys that are none: the client shows them for others.

    Consoles make empty objects whose key ends in ``/``, and some services do so after deletions; other tools write
    something into them. obstore shows them without the slash, under a key that does not exist.

    Parameters
    ----------
    prefix
        What was listed, without a trailing ``/``.
    doubtful
        The keys that are not known to be there.
    """
    if store.capabilities.shows_keys or not doubtful:
        return listing
    base = f"{prefix}/" if prefix else ""
    if len(doubtful) > _FEW:
        there = {key[len(base) :] for page in store.list_exactly(base) for key in page.keys}
        absent = {key for key in doubtful if key not in there}
    else:
        absent = set(doubtful).difference(found(store, base, doubtful))
    sizes = zip(listing.keys, listing.sizes, strict=True)
    parts = {f"{key}/": "it has an empty part" for key, size in sizes if key in absent and size > MARKER_BYTES}
    return replace(listing.without(absent), unfit={**listing.unfit, **parts})


def found(store: ObjectStore, base: str, keys: Sequence[str]) -> list[str]:
    """Return which of some keys are there, by asking for each.

    Parameters
    ----------
    base
        The prefix of the keys, empty or ending in ``/``.
    """

    def is_there(key: str) -> bool:
        return not is_absent(store, under(base, key))

    return [key for key, there in zip(keys, side_by_side(is_there, keys), strict=True) if there]


def _lacking(listing: Listing, named: Iterable[str]) -> list[str]:
    wanted = set(named)
    if wanted:
        wanted.difference_update(listing.keys)
    return sorted(key for key in wanted if not is_below(key, listing.others))
