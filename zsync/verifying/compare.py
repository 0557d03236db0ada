"""What is on record beside what is there: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from zsync.inventory.selection import is_below
from zsync.tables import TARGET, column, scalar, table_of
from zsync.verifying.difference import Difference, Wrong, difference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zsync.storage import Version


@dataclass(frozen=True, slots=True)
class Compared:
    """What a listing tells.

    Attributes
    ----------
    differences
        What is wrong.
    touched
        Keys of files whose times are others than on record: only their bytes tell.
    """

    differences: list[Difference]
    touched: frozenset[str] = frozenset()


def compare(
    product: str, manifest: pa.Table, there: pa.Table, *, is_here: bool = False, counts: bool = True
) -> Compared:
    """Compare what was published with what a listing shows.

    Parameters
    ----------
    product
        Its name.
    manifest
        `zsync.tables.MANIFEST`.
    there
        `zsync.tables.TARGET`.
    is_here
        They are files of this machine, of which times stand for an ETag.
    counts
        What is there and not on record is a difference.
    """
    place = pc.index_in(manifest["key"], there["key"])
    seen = there.select(["size", "etag"]).take(place)
    rows = manifest.select(["key", "size", "etag"])
    for name in ("size", "etag"):
        rows = rows.append_column(f"seen_{name}", seen[name])
    absent = pc.is_null(place)
    other_size = pc.fill_null(pc.not_equal(rows["size"], rows["seen_size"]), scalar(False))
    other_etag = pc.fill_null(pc.not_equal(rows["etag"], rows["seen_etag"]), scalar(False))
    rewritten = rows.filter(pc.and_(other_etag, pc.invert(other_size)))
    found = [
        *(_missing(product, row) for row in rows.filter(absent).to_pylist()),
        *(_of_size(product, row) for row in rows.filter(other_size).to_pylist()),
        *(() if is_here else (_rewritten(product, row) for row in rewritten.to_pylist())),
    ]
    if counts:
        extra = there.filter(pc.invert(pc.is_in(there["key"], manifest["key"].combine_chunks())))
        found += [_extra(product, row) for row in extra.to_pylist()]
    return Compared(found, frozenset(rewritten["key"].to_pylist()) if is_here else frozenset())


def _missing(product: str, row: dict[str, object]) -> Difference:
    return difference(product, str(row["key"]), Wrong.MISSING, f"was published with {row['size']:,} bytes, and is gone")


def _of_size(product: str, row: dict[str, object]) -> Difference:
    message = f"has {row['seen_size']:,} bytes, and {row['size']:,} were published: somebody wrote over it"
    return difference(product, str(row["key"]), Wrong.SIZE, message)


def _rewritten(product: str, row: dict[str, object]) -> Difference:
    message = f"somebody wrote over it: its ETag is {row['seen_etag']}, and {row['etag']} was published"
    return difference(product, str(row["key"]), Wrong.OVERWRITTEN, message)


def _extra(product: str, row: dict[str, object]) -> Difference:
    message = f"was not published by zsync, and is there, with {row['size']:,} bytes"
    return difference(product, str(row["key"]), Wrong.EXTRA, message)


def kept_versions(manifest: pa.Table, versions: Iterable[Version], base: str) -> pa.Table:
    """Return what there is of a publication, by key and version, as if it were listed: `zsync.tables.TARGET`.

    Parameters
    ----------
    manifest
        `zsync.tables.MANIFEST`.
    versions
        All that the bucket keeps.
    base
        The prefix of the product's keys.
    """
    wanted = set(zip(manifest["key"].to_pylist(), manifest["version"].to_pylist(), strict=True))
    rows = [
        {"key": key, "size": item.size, "etag": item.etag}
        for item in versions
        if (key := item.key.removeprefix(base), item.version) in wanted
    ]
    return table_of(rows, TARGET)


def of_others(manifest: pa.Table | None, others: frozenset[str]) -> pa.Table | None:
    """Return a manifest without what belongs to other products by now.

    Parameters
    ----------
    others
        Places of these below the product's.
    """
    if manifest is None or not others:
        return manifest
    return manifest.filter(column([not is_below(key, others) for key in manifest["key"].to_pylist()], pa.bool_()))
