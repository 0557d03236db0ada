"""The source: a fast recursive scan."""

from __future__ import annotations

import os
import re
import time
from array import array
from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain, compress
from pathlib import Path
from typing import TYPE_CHECKING

from zsync.errors import SourceError
from zsync.inventory.selection import EVERYTHING, Selection
from zsync.inventory.spare import spare_kind
from zsync.inventory.walk import Rows, Sum, Walk
from zsync.packed import Signatures, Texts, packed, signed
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from zsync.packed import Signature

_SKEW_NS = 10 * 10**9  # nanoseconds that clocks may differ before it is worth a word
_OUR_UNFINISHED = re.compile(r"(?:^|/)\.[0-9a-f]{32}\.partial$")  # as `zsync.storage` names what it has not renamed yet


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan found, column by column, sorted by key.

    Attributes
    ----------
    keys
        Keys relative to the product's root.
    signatures
        Size in bytes, mtime and ctime in nanoseconds, and inode of each file.
    findings
        What was left out, and what makes the source unfit.
    unfinished
        Keys and signatures of files that a writer has not finished, or never will (``*.partial``).
    unseen
        Directories, and links to them, that were not entered: left out, or unreadable. What is below is not known.
    links
        The symbolic links, whether they were followed or not.
    """

    keys: Sequence[str]
    signatures: Sequence[Signature]
    findings: tuple[Finding, ...]
    unfinished: tuple[tuple[str, tuple[int, int, int, int]], ...] = ()
    unseen: tuple[str, ...] = ()
    links: tuple[str, ...] = ()

    def only(self, selection: Selection) -> Scan:
        """Return what of it takes part."""
        if selection.is_everything:
            return self
        chosen = selection.mask(self.keys)
        parts = selection.mask([key for key, _ in self.unfinished])
        return replace(
            self,
            keys=Texts(compress(self.keys, chosen)),
            signatures=Signatures(compress(self.signatures, chosen)),
            unfinished=tuple(row for row, is_in in zip(self.unfinished, parts, strict=True) if is_in),
        )

    @property
    def newest_ns(self) -> int:
        """When anything changed last, in nanoseconds since the epoch; 0 if there is nothing."""
        signatures = chain(self.signatures, (signature for _, signature in self.unfinished))
        return max((max(mtime, ctime) for _, mtime, ctime, _ in signatures), default=0)

    def table(self) -> pa.Table:
        """Return the scan as `zsync.tables.SOURCE`, without digests."""
        import pyarrow as pa

        from zsync.tables import SOURCE, column

        types = {field.name: field.type for field in SOURCE}
        stats = signed(self.signatures).columns
        known = {"key": column(packed(self.keys), types["key"])}
        known |= {
            name: column(values, types[name])
            for name, values in zip(("size", "mtime_ns", "ctime_ns", "inode"), stats, strict=True)
        }
        unknown = {name: pa.nulls(len(self.keys), types[name]) for name in ("digest", "etag")}
        return pa.table({**known, **unknown}, schema=SOURCE)

    @property
    def sizes(self) -> array[int]:
        """The sizes of the files, in bytes."""
        return signed(self.signatures).columns[0]


def is_unfinished_transfer(key: str) -> bool:
    """Return whether a file is one that zsync began to write, and has not given its name yet."""
    return _OUR_UNFINISHED.search(key) is not None


def scan(root: str, product: str, *, follow_symlinks: bool = False, selection: Selection = EVERYTHING) -> Scan:
    """Return every file below a directory, but for what is in directories that are left out.

    Parameters
    ----------
    root
        Absolute path of the product's root.
    product
        Its name, for findings.
    follow_symlinks
        Follow links that lead out of the root. Links that stay inside are always followed.
    selection
        What takes part: nothing is said of what does not. Other files are among the keys still: what a selection does
        to an array can only be told from all of it.

    Raises
    ------
    SourceError
        The root is missing, is no directory, or cannot be read.
    """
    if not os.path.lexists(root):
        raise SourceError("the source is not there", root, f"check `source` and the path of product {product}")
    if Path(root).is_file():
        above, name = os.path.split(root)
        advice = f"a product is a directory: give {above} as `path` of product {product}, and include: [{name!r}]"
        raise SourceError("the source is one file, not a directory", root, advice)
    if not os.path.isdir(root):
        raise SourceError("the source is not a directory", root, f"check the path of product {product}")
    rows = Walk(root, selection, follow_symlinks).run()
    order = array("q", sorted(range(len(rows.keys)), key=rows.keys.__getitem__))
    return Scan(
        Texts(map(rows.keys.__getitem__, order)),
        rows.signatures.in_order(order),
        (*_findings(rows, product), *_clock_findings(rows, product, selection)),
        tuple(sorted(rows.unfinished)),
        tuple(sorted(rows.unseen)),
        tuple(sorted(rows.links)),
    )


def is_as_seen(seen: Scan, root: str, *, follow_symlinks: bool = False, selection: Selection = EVERYTHING) -> bool:
    """Return whether all files are as a scan saw them; parameters as of `scan`, which takes more memory to tell.

    Raises
    ------
    SourceError
        The root is missing, or cannot be read.
    """
    now = Sum()
    Walk(root, selection, follow_symlinks, now).run()
    return (now.count, now.total) == Sum.of(seen.keys, seen.signatures)


def _findings(rows: Rows, product: str) -> tuple[Finding, ...]:
    found = [Finding("error", code, product, key, message) for code, key, message in sorted(rows.errors)]
    if rows.leftovers:
        found.append(
            Finding("warning", "leftover", product, min(rows.leftovers), f"left out: {_named(rows.leftovers)}")
        )
    if rows.private:
        message = (
            f"left out, for secrets and repositories do not go out unasked: {_named(rows.private)}; exclude them, or,"
            f" if they are meant, name them in include: ['**', {_name(min(rows.private))!r}]"
        )
        found.append(Finding("warning", "private", product, min(rows.private), message))
    if rows.specials:
        found.append(
            Finding(
                "warning", "special-file", product, min(rows.specials), f"left out: {len(rows.specials)} special files"
            )
        )
    return tuple(found)


def _clock_findings(rows: Rows, product: str, selection: Selection) -> list[Finding]:
    limit = time.time_ns() + _SKEW_NS
    if not any(mtime > limit for _, mtime, _, _ in rows.signatures):
        return []
    future = [key for key, (_, mtime, _, _) in zip(rows.keys, rows.signatures, strict=True) if mtime > limit]
    future = [key for key, is_in in zip(future, selection.mask(future), strict=True) if is_in]
    if not future:
        return []
    message = f"{len(future)} files were written in the future, by this machine's clock; do the clocks agree?"
    return [Finding("warning", "future-mtime", product, min(future), message)]


def _named(keys: Sequence[str]) -> str:
    kinds = Counter(spare_kind(_name(key)) for key in keys)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _name(key: str) -> str:
    return key.rpartition("/")[2]
