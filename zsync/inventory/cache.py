"""The digest cache: what a file's bytes hash to, by path, size, mtime, ctime and inode."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from zsync.inventory.sealed import keep_sealed, unsealed
from zsync.inventory.selection import is_below
from zsync.packed import packed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

log = logging.getLogger(__name__)

# A file that changed this recently before its hashing began may have changed again after it without its times showing
# it: file systems keep times in ticks of up to two seconds (the "racy git" problem). Its digest is not kept.
RACY_NS = 2 * 10**9
_BEFORE = b"ARROW1"  # what earlier versions kept begins so
_STATS = ("size", "mtime_ns", "ctime_ns", "inode")


def cache_directory() -> Path:
    """Return where zsync keeps what it may lose: ``ZSYNC_CACHE_DIR``, else the user's cache directory."""
    given = os.environ.get("ZSYNC_CACHE_DIR")
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("zsync"))


def cached_at(directory: str, what: str, ending: str = "") -> Path:
    """Return where in the cache there is what is known of something, whose name may be of any length."""
    name = hashlib.blake2b(what.encode(errors="surrogateescape"), digest_size=16).hexdigest()
    return cache_directory() / directory / f"{name}{ending}"


class DigestCache:
    """Digests of one product's source, kept from run to run in one file (`zsync.inventory.sealed`).

    A file counts as known only if path, size, mtime_ns, ctime_ns and inode are all as they were when it was hashed.
    Whatever is wrong with the cache, the worst that happens is that files are hashed again.
    """

    def __init__(self, root: str) -> None:
        self._path = cached_at("digests", os.path.realpath(root), ".arrow")

    def fill(self, table: pa.Table) -> pa.Table:
        """Return a source inventory with the digests that are known; those that it has already stay."""
        import pyarrow.compute as pc

        from zsync.tables import NO_TEXT, scalar, taken, with_values

        kept = self._load()
        if kept is None or not len(kept):
            return table
        where = pc.index_in(table["key"], kept["key"])
        same = pc.is_valid(where)
        kept = taken(kept, where)
        for name in _STATS:
            same = pc.and_(same, pc.fill_null(pc.equal(kept[name], table[name]), scalar(False)))
        for name in ("digest", "etag"):
            known = pc.coalesce(table[name], pc.if_else(same, kept[name], NO_TEXT))
            table = with_values(table, name, known)
        return table

    def keep(
        self, table: pa.Table, there: Sequence[str] = (), unseen: Sequence[str] = (), *, hashed_ns: int | None = None
    ) -> None:
        """Remember the digests of a source inventory; what had changed too recently when it was hashed is left out.

        Parameters
        ----------
        table
            The inventory, `zsync.tables.SOURCE`.
        there
            Keys that the source has besides, if the inventory is only of a part: what is known of them stays known.
        unseen
            Directories that were not looked at: the same.
        hashed_ns
            When hashing began, in nanoseconds since the epoch; None: just now.
        """
        self.keep_blocks([table], table["key"], there, unseen, hashed_ns=hashed_ns)

    def keep_blocks(
        self,
        tables: Iterable[pa.Table],
        keys: pa.ChunkedArray,
        there: Sequence[str] = (),
        unseen: Sequence[str] = (),
        *,
        hashed_ns: int | None = None,
    ) -> None:
        """Remember the digests of an inventory that comes in pieces; other parameters are those of `keep`.

        Parameters
        ----------
        keys
            All keys of the inventory.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        from zsync.tables import chosen, scalar

        before = scalar((time.time_ns() if hashed_ns is None else hashed_ns) - RACY_NS, pa.int64())
        others = self._others(keys, there, frozenset(unseen))

        def old(table: pa.Table) -> pa.Table:
            is_old = pc.and_(pc.less(table["mtime_ns"], before), pc.less(table["ctime_ns"], before))
            return chosen(table, pc.and_(is_old, pc.is_valid(table["digest"])))

        try:
            keep_sealed(self._path, itertools.chain(map(old, tables), [] if others is None else [others]))
        except OSError as error:
            log.warning(
                "the digest cache cannot be written, so files will be hashed again: %s (%s); set ZSYNC_CACHE_DIR to a"
                " directory that can be written",
                self._path,
                error.strerror,
            )

    def _others(self, keys: pa.ChunkedArray, there: Sequence[str], unseen: frozenset[str]) -> pa.Table | None:
        """Return what is known of keys that are there, or may be, and that are not among some."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from zsync.tables import column, each

        if len(there) <= len(keys) and not unseen:
            return None
        kept = self._load()
        if kept is None:
            return None
        wanted = pc.is_in(kept["key"], column(packed(there), pa.string()))
        if unseen:
            below = [is_below(key, unseen) for key in each(kept["key"])]
            wanted = pc.or_(wanted, column(below, pa.bool_()))
        return kept.filter(pc.and_(wanted, pc.invert(pc.is_in(kept["key"], keys))))

    def _load(self) -> pa.Table | None:
        from zsync.tables import SOURCE

        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("the digest cache cannot be read, so files will be hashed again: %s (%s)", self._path, error)
            return None
        table, is_whole = unsealed(data, SOURCE)
        if not is_whole and not data.startswith(_BEFORE):
            log.warning("the digest cache cannot be read, so files will be hashed again: %s (damaged)", self._path)
        return table
