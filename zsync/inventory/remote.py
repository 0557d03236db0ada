"""The target: a listing, many prefixes at once."""

from __future__ import annotations

import itertools
import operator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, compress
from typing import TYPE_CHECKING, Any

from zsync.errors import TargetError
from zsync.inventory.chain import UnfitListingError, chained, is_plain
from zsync.inventory.neighbours import is_state, products_inside
from zsync.inventory.selection import directories_of, is_below
from zsync.keys import Key, shown, sort, together
from zsync.packed import Texts, numbers_of, packed
from zsync.storage import sizes_of
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from zsync.inventory.selection import Selection
    from zsync.storage import Answer, ObjectStore, Page

_ENOUGH = 8  # prefixes to list side by side
_TOO_MANY = 512  # beyond this a recursive listing of the prefix above them needs fewer requests
_LEVELS = 4
_TOGETHER = 1024  # rows that are Python objects at a time
FOLDER = "_$folder$"  # how Hadoop's tools end the name of what stands for a directory
MARKER_BYTES = 1  # some tools write a byte into what stands for a directory
_EXAMPLES = 5
_SHOWN = 200  # characters of a key


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in the target, column by column, sorted by key.

    Attributes
    ----------
    keys
        Keys relative to the product's prefix.
    sizes
        In bytes.
    etags
        Without quotes; None where the service has none.
    unfit
        What else is there, and why its key cannot be one; nothing is done with it.
    others
        Places of other products below the prefix; what is theirs is not among the keys.
    """

    keys: Sequence[Key]
    sizes: Sequence[int]
    etags: Sequence[str | None]
    unfit: Mapping[str, str] = field(default_factory=dict)
    others: frozenset[str] = frozenset()

    def without(self, keys: Collection[str]) -> Listing:
        """Return the listing without some keys."""
        return self._of(key not in keys for key in self.keys) if keys else self

    def _of(self, mask: Iterable[bool]) -> Listing:
        stays = bytes(mask)
        return replace(
            self,
            keys=together(compress(self.keys, stays)),
            sizes=numbers_of(compress(self.sizes, stays)),
            etags=Texts(compress(self.etags, stays)),
        )

    def small(self, recorded: Container[str] = ()) -> list[Key]:
        """Return the keys of what may stand for a directory: objects that hold nothing, or next to nothing.

        Parameters
        ----------
        recorded
            Keys of objects that are known to be what they seem.
        """
        rows = zip(self.keys, self.sizes, strict=True)
        return [key for key, size in rows if size <= MARKER_BYTES and key not in recorded]

    def without_markers(self, recorded: Container[str] = (), others: Iterable[str] = ()) -> Listing:
        """Return the listing without small objects that stand for a directory: they have its name, or one of Hadoop's.

        Parameters
        ----------
        recorded
            Keys of objects that are known to be what they seem.
        others
            More keys that may need directories.
        """
        small = self.small(recorded)
        if not small:
            return self
        others = frozenset(others)
        markers = directories_of(chain(self.keys, others)).intersection(small)
        markers |= {key for key in small if key.endswith(FOLDER) and key not in others}
        return self.without(markers) if markers else self

    def without_clashes(self) -> Listing:
        """Return the listing without objects that cannot be files, as others need a directory of that name."""
        clashes = directories_of(self.keys).intersection(self.keys)
        if not clashes:
            return self
        found = dict.fromkeys(clashes, "it is a file, and other keys need a directory of that name")
        return replace(self.without(clashes), unfit={**self.unfit, **found})

    def skipped(self, product: str, selection: Selection) -> tuple[Finding, ...]:
        """Say what was left out because of its key; what is excluded anyway is not worth a word.

        Parameters
        ----------
        product
            The product's name.
        selection
            What takes part.
        """
        names = sorted(self.unfit)
        named = [name for name, takes_part in zip(names, selection.mask(names), strict=True) if takes_part]
        if not named:
            return ()
        examples = "; ".join(f"{shown(name)[:_SHOWN]} ({self.unfit[name]})" for name in named[:_EXAMPLES])
        more = f"; and {len(named) - _EXAMPLES:,} more" if len(named) > _EXAMPLES else ""
        message = f"left out: {len(named):,} objects of others whose keys are unfit: {examples}{more}"
        return (Finding("warning", "unfit-key", product, shown(named[0]), message),)

    def table(self) -> pa.Table:
        """Return the listing as `zsync.tables.TARGET`."""
        import pyarrow as pa

        from zsync.tables import TARGET, column

        columns: tuple[Any, ...] = (packed(self.keys), numbers_of(self.sizes), packed(self.etags))
        return pa.table(
            [column(values, field.type) for values, field in zip(columns, TARGET, strict=True)], schema=TARGET
        )


def list_target(
    store: ObjectStore,
    prefix: str,
    *,
    workers: int = 16,
    here: bool = False,
    takes_all: bool = False,
    bounds: Sequence[str] = (),
) -> Listing:
    """Return every object below a prefix, but for those of other products there.

    The order of a listing is never relied on, and no key is assumed. What does not come with one answer is listed in
    many places at once: after keys that are likely there (`zsync.inventory.chain`), or, where none are known, below
    prefixes, which come from the service, level by level, until there are enough of them.

    Parameters
    ----------
    store
        The bucket.
    prefix
        The product's prefix, without a trailing ``/``; empty for the whole bucket.
    workers
        Listings under way at once.
    here
        The objects are to become files of this machine.
    takes_all
        Whatever there is counts, whoever published it.
    bounds
        Some keys, relative to the prefix, that are likely there, about as far from each other as an answer is long.

    Raises
    ------
    NoBucketError
        The bucket does not exist.
    TargetError
        The service tells what cannot be.
    """
    base = f"{prefix}/" if prefix else ""
    rows = _in_between(store, base, bounds)
    if rows is None:
        few = store.list_few(base)
        if few is not None:
            rows = _Rows(base, [few])
        else:
            with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="zsync-list") as pool:
                rows = _Rows(base, _pages(store, base, pool))
    # The state of products below this one is theirs; that of a product which is a whole bucket lies inside as well.
    others = products_inside(rows.states) if rows.states and not takes_all else frozenset()
    listing = rows.listing(here=here)
    if others:
        listing = listing._of(not is_below(key, others) for key in listing.keys)  # noqa: SLF001 - ours
        unfit = {key: why for key, why in listing.unfit.items() if key in rows.elsewhere or not is_below(key, others)}
        listing = replace(listing, unfit=unfit, others=others)
    if any(size < 0 for size in listing.sizes) or not all(etag is None or etag.isprintable() for etag in listing.etags):
        raise TargetError(
            "the service lists what cannot be: a size or an ETag", store.url(prefix), "see to the service"
        )
    return listing


class _Rows:
    """What pages show, told apart as they come.

    Attributes
    ----------
    states
        Keys of the state of products below the prefix.
    elsewhere
        Keys that do not lie below it.
    """

    def __init__(self, base: str, pages: Iterable[Page]) -> None:
        self.states: list[str] = []
        self.elsewhere: dict[str, str] = {}
        self._keys: Texts[str] = Texts()
        self._sizes, self._etags = numbers_of(()), Texts[str | None]()
        self._is_in_order, last = True, ""
        for page in pages:
            rows = zip(page.keys, page.sizes, page.etags, strict=True)
            mine = (row for row in rows if self._is_ours(row[0], row[1], base))
            while some := list(itertools.islice(mine, _TOGETHER)):
                keys = [last, *(key[len(base) :] for key, _, _ in some)]
                self._is_in_order = self._is_in_order and all(map(operator.lt, keys, keys[1:]))
                last = keys[-1]
                self._keys.extend(keys[1:])
                self._sizes.extend(sizes_of(size for _, size, _ in some))
                self._etags.extend(etag for _, _, etag in some)

    def _is_ours(self, key: str, size: int, base: str) -> bool:
        if not key.startswith(base):
            if key != base[:-1]:  # else it is what stands for the prefix itself
                self.elsewhere[key] = "it lies elsewhere"
            return False
        if key.endswith("/") and size <= MARKER_BYTES:
            return False
        inside = key[len(base) :]
        if is_state(inside):
            self.states.append(inside)
            return False
        return True

    def listing(self, *, here: bool) -> Listing:
        """Return what is fit, in the order of keys, which services do not keep; of one shown twice the last row."""
        texts, sizes, etags = self._keys, self._sizes, self._etags
        if not self._is_in_order:
            names = list(texts)
            places = sorted(range(len(names)), key=names.__getitem__)
            pairs = itertools.pairwise([*places, -1])
            order = numbers_of(place for place, after in pairs if after < 0 or names[place] != names[after])
            sizes, etags = numbers_of(map(sizes.__getitem__, order)), Texts(map(etags.__getitem__, order))
            texts = Texts(map(names.__getitem__, order))
        keys = sort(texts, here=here)
        if keys.unfit:
            is_fit = [text not in keys.unfit for text in texts]
            sizes, etags = numbers_of(compress(sizes, is_fit)), Texts(compress(etags, is_fit))
        return Listing(keys.fit, sizes, etags, {**self.elsewhere, **keys.unfit})


def _in_between(store: ObjectStore, base: str, bounds: Sequence[str]) -> _Rows | None:
    """List between keys, at once; None if that cannot be."""
    after = [f"{base}{key}" for key in bounds if is_plain(key)]
    if not after or not is_plain(base):
        return None
    try:
        return _Rows(base, chained(lambda key: _answer(store, base, key), after))
    except UnfitListingError:
        return None


def _answer(store: ObjectStore, base: str, key: str | None) -> Answer:
    answer = store.list_after(base, key)
    if answer is None:
        raise UnfitListingError
    return answer


def _pages(store: ObjectStore, base: str, pool: ThreadPoolExecutor) -> Iterator[Page]:
    frontier: Iterable[str] = [base]
    for _ in range(_LEVELS):
        levels = list(pool.map(store.list_level, frontier))
        below = [*dict.fromkeys(name for _, prefixes in levels for name in prefixes)]
        if len(below) > _TOO_MANY:
            break
        yield from (page for page, _ in levels)
        frontier = below
        if len(below) >= _ENOUGH:
            break
    for pages in pool.map(lambda name: list(store.list(name)), frontier):
        yield from pages
