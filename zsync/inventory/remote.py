"""The target: a listing, many prefixes at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from zsync.storage import ObjectStore, Page

_ENOUGH = 8  # prefixes to list side by side
_TOO_MANY = 512  # beyond this a recursive listing of the prefix above them needs fewer requests
_LEVELS = 4
_STATE = ".zsync/"


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
    rows = sorted(
        (key[len(base) :], size, etag)
        for page in pages
        for key, size, etag in zip(page.keys, page.sizes, page.etags, strict=True)
    )
    if not base:  # a product that is a whole bucket has its state inside
        rows = [row for row in rows if not row[0].startswith(_STATE)]
    keys, sizes, etags = (list(values) for values in zip(*rows, strict=True)) if rows else ([], [], [])
    return Listing(keys, sizes, etags)


def _pages(store: ObjectStore, base: str, pool: ThreadPoolExecutor) -> Iterator[Page]:
    frontier: Iterable[str] = [base]
    for _ in range(_LEVELS):
        levels = list(pool.map(store.list_level, frontier))
        below = [name for _, prefixes in levels for name in prefixes]
        if len(below) > _TOO_MANY:
            break
        yield from (page for page, _ in levels)
        frontier = below
        if len(below) >= _ENOUGH:
            break
    for pages in pool.map(lambda name: list(store.list(name)), frontier):
        yield from pages
