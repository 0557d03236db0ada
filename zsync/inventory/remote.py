"""The target: a listing, many prefixes at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zsync.errors import ObjectNotFoundError, TargetError
from zsync.words import STATE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    import pyarrow as pa

    from zsync.storage import ObjectStore, Page

_STATE = f"{STATE}/"
_ENOUGH = 8  # prefixes to list side by side
_TOO_MANY = 512  # beyond this a recursive listing of the prefix above them needs fewer requests
_LEVELS = 4


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
    """

    keys: list[str]
    sizes: list[int]
    etags: list[str | None]

    def without(self, keys: Collection[str]) -> Listing:
        """Return the listing without some keys."""
        rows = zip(self.keys, self.sizes, self.etags, strict=True)
        kept = [row for row in rows if row[0] not in keys]
        return Listing(*(list(values) for values in zip(*kept, strict=True))) if kept else Listing([], [], [])

    def table(self) -> pa.Table:
        """Return the listing as `zsync.tables.TARGET`."""
        import pyarrow as pa

        from zsync.tables import TARGET, column

        columns: tuple[list[Any], ...] = (self.keys, self.sizes, self.etags)
        return pa.table(
            [column(values, field.type) for values, field in zip(columns, TARGET, strict=True)], schema=TARGET
        )


def list_target(store: ObjectStore, prefix: str, *, workers: int = 16) -> Listing:
    """Return every object below a prefix.

    The order of a listing is never relied on, and no key is assumed: prefixes come from the service, level by level,
    until there are enough of them to list side by side.

    Parameters
    ----------
    store
        The bucket.
    prefix
        The product's prefix, without a trailing ``/``; empty for the whole bucket.
    workers
        Listings under way at once.

    Raises
    ------
    NoBucketError
        The bucket does not exist.
    """
    base = f"{prefix}/" if prefix else ""
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="zsync-list") as pool:
        pages = list(_pages(store, base, pool))
    # By key: a service may show one on two pages, while others come and go.
    found = {
        key: (size, etag) for page in pages for key, size, etag in zip(page.keys, page.sizes, page.etags, strict=True)
    }
    if strange := next((key for key in found if not f"{key}/".startswith(base)), None):
        raise TargetError("the service lists what was not asked for", store.url(prefix), f"see to it: {strange!r}")
    rows = sorted((key[len(base) :], *what) for key, what in found.items())
    # The state of products below this one is theirs; that of a product which is a whole bucket lies inside as well.
    rows = [row for row in rows if not (row[0].startswith(_STATE) or f"/{_STATE}" in row[0])]
    keys, sizes, etags = (list(values) for values in zip(*rows, strict=True)) if rows else ([], [], [])
    return Listing(keys, sizes, etags)


def directory_markers(store: ObjectStore, base: str, keys: Sequence[str]) -> list[str]:
    """Return which keys are none: a listing shows them for what stands for a directory there.

    Consoles make empty objects whose key ends in ``/``, and some services do so after deletions. A listing shows them
    without the slash, under a key that does not exist.

    Parameters
    ----------
    base
        The prefix of the keys, empty or ending in ``/``.
    keys
        Keys of empty objects, relative to it.
    """
    if not keys:
        return []

    def is_marker(key: str) -> bool:
        try:
            store.head(base + key)
        except ObjectNotFoundError:
            return True
        return False

    with ThreadPoolExecutor(max_workers=16, thread_name_prefix="zsync-markers") as pool:
        return [key for key, found in zip(keys, pool.map(is_marker, keys), strict=True) if found]


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
