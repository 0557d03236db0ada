"""The target: a listing, many prefixes at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from zsync.errors import TargetError
from zsync.inventory.neighbours import is_state, products_inside
from zsync.inventory.selection import directories_of, is_below
from zsync.keys import Key, shown, sort
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping

    import pyarrow as pa

    from zsync.inventory.selection import Selection
    from zsync.storage import ObjectStore, Page

_ENOUGH = 8  # prefixes to list side by side
_TOO_MANY = 512  # beyond this a recursive listing of the prefix above them needs fewer requests
_LEVELS = 4
_A_PAGE = 950  # objects, of the thousand that a page holds: a few may be there that nobody expects
_FLAT_ANSWERS = 4  # one after the other: a level, the level below it, and a listing of each place there are three
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

    keys: list[Key]
    sizes: list[int]
    etags: list[str | None]
    unfit: Mapping[str, str] = field(default_factory=dict)
    others: frozenset[str] = frozenset()

    def without(self, keys: Collection[str]) -> Listing:
        """Return the listing without some keys."""
        rows = zip(self.keys, self.sizes, self.etags, strict=True)
        kept = [row for row in rows if row[0] not in keys]
        columns = ([row[0] for row in kept], [row[1] for row in kept], [row[2] for row in kept])
        return Listing(*columns, self.unfit, self.others)

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
        markers = directories_of([*self.keys, *others]).intersection(small)
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

        columns: tuple[list[Any], ...] = (self.keys, self.sizes, self.etags)
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
    expected: int | None = None,
) -> Listing:
    """Return every object below a prefix, but for those of other products there.

    The order of a listing is never relied on, and no key is assumed. What does not come with one answer is listed in
    many places at once: prefixes come from the service, level by level, until there are enough of them.

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
    expected
        How many objects there may be; None where nobody knows.

    Raises
    ------
    NoBucketError
        The bucket does not exist.
    TargetError
        The service tells what cannot be.
    """
    base = f"{prefix}/" if prefix else ""
    answers = _answers_for(expected)
    few = store.list_few(base, answers) if answers else None
    if few is not None:
        pages = [few]
    else:
        with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="zsync-list") as pool:
            pages = list(_pages(store, base, pool))
    found: dict[str, tuple[int, str | None]] = {}
    elsewhere = {}
    for page in pages:
        for key, size, etag in zip(page.keys, page.sizes, page.etags, strict=True):
            if key == base[:-1]:  # what stands for the prefix itself
                continue
            if not key.startswith(base):
                elsewhere[key] = "it lies elsewhere"
            elif not (key.endswith("/") and size <= MARKER_BYTES):
                found[key[len(base) :]] = size, etag
    # The state of products below this one is theirs; that of a product which is a whole bucket lies inside as well.
    states = [key for key in found if is_state(key)]
    others = products_inside(states) if states and not takes_all else frozenset()
    keys = sort([key for key in found if not is_state(key) and not (others and is_below(key, others))], here=here)
    fit = sorted(keys.fit)
    told = [found[key] for key in fit]
    if any(size < 0 or (etag is not None and not etag.isprintable()) for size, etag in told):
        raise TargetError(
            "the service lists what cannot be: a size or an ETag", store.url(prefix), "see to the service"
        )
    sizes, etags = [size for size, _ in told], [etag for _, etag in told]
    return Listing(fit, sizes, etags, {**elsewhere, **keys.unfit}, others)


def _answers_for(expected: int | None) -> int:
    """Return how many answers of a flat listing to wait for: beyond some, many listings side by side come first."""
    if expected is None:
        return 1
    answers = 1 + expected // _A_PAGE
    return answers if answers <= _FLAT_ANSWERS else 0


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
