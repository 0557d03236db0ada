"""The source: a fast recursive scan."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zsync.errors import SourceError
from zsync.inventory.selection import EVERYTHING, Selection
from zsync.inventory.spare import spare_kind
from zsync.inventory.walk import Rows, Walk
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

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

    keys: list[str]
    signatures: list[tuple[int, int, int, int]]
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
            keys=[key for key, is_in in zip(self.keys, chosen, strict=True) if is_in],
            signatures=[signature for signature, is_in in zip(self.signatures, chosen, strict=True) if is_in],
            unfinished=tuple(row for row, is_in in zip(self.unfinished, parts, strict=True) if is_in),
        )

    @property
    def newest_ns(self) -> int:
        """When anything changed last, in nanoseconds since the epoch; 0 if there is nothing."""
        signatures = [*self.signatures, *(signature for _, signature in self.unfinished)]
        return max((max(mtime, ctime) for _, mtime, ctime, _ in signatures), default=0)

    def table(self) -> pa.Table:
        """Return the scan as `zsync.tables.SOURCE`, without digests."""
        import pyarrow as pa

        from zsync.tables import SOURCE, column

        stats = zip(*self.signatures, strict=True) if self.keys else ((), (), (), ())
        columns = [self.keys, *(list(values) for values in stats)]
        arrays = [column(values, field.type) for values, field in zip(columns, SOURCE, strict=False)]
        unknown = [pa.nulls(len(self.keys), field.type) for field in list(SOURCE)[len(arrays) :]]
        return pa.table([*arrays, *unknown], schema=SOURCE)


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
    order = sorted(range(len(rows.keys)), key=rows.keys.__getitem__)
    return Scan(
        [rows.keys[i] for i in order],
        [rows.signatures[i] for i in order],
        (*_findings(rows, product), *_clock_findings(rows, product, selection)),
        tuple(sorted(rows.unfinished)),
        tuple(sorted(rows.unseen)),
        tuple(sorted(rows.links)),
    )


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
