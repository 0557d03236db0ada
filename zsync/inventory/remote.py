"""The target: a listing, many prefixes at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from zsync.storage import ObjectStore

_ENOUGH = 8  # prefixes to list side by side
_TOO_MANY = 512  # beyond this a recursive listing of the prefix above them needs fewer requests
_LEVELS = 4


def list_target(store: ObjectStore, prefix: str, *, workers: int = 16) -> pa.Table:
    """Return every object below a prefix, keys relative to it.

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

    Returns
    -------
    pyarrow.Table
        `zsync.tables.TARGET`, sorted by key.

    Raises
    ------
    NoBucketError
        The bucket does not exist.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from zsync.tables import TARGET

    base = f"{prefix}/" if prefix else ""
    tables: list[pa.Table] = []
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="zsync-list") as pool:
        frontier = [base]
        for _ in range(_LEVELS):
            levels = list(pool.map(store.list_level, frontier))
            below = [(objects, prefixes) for objects, prefixes in levels]
            if sum(len(prefixes) for _, prefixes in below) > _TOO_MANY:
                break
            tables += [objects for objects, _ in below]
            frontier = [name for _, prefixes in below for name in prefixes]
            if not frontier or len(frontier) >= _ENOUGH:
                break
        tables += _recursive(pool, store, frontier)
    table = pa.concat_tables([TARGET.empty_table(), *tables])
    keys = pc.utf8_slice_codeunits(table["key"], start=len(base)) if base else table["key"]
    table = table.set_column(0, "key", keys)
    if not base:  # a product that is a whole bucket has its state inside
        table = table.filter(pc.invert(pc.starts_with(table["key"], ".zsync/")))
    return table.sort_by("key")


def _recursive(pool: ThreadPoolExecutor, store: ObjectStore, prefixes: Iterable[str]) -> list[pa.Table]:
    return [page for pages in pool.map(lambda name: list(store.list(name)), prefixes) for page in pages]
