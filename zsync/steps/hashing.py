"""Hash what must be: step 5 of the protocol; and remember what was hashed."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from zsync.inventory import DigestCache, digest_source
from zsync.inventory.digest import Signature, Wanted
from zsync.planning import undecided
from zsync.tables import with_values
from zsync.words import UNREADABLE, Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from zsync.errors import SourceError
    from zsync.report.progress import Progress
    from zsync.steps.surveyed import Surveyed
    from zsync.steps.terms import Terms


def with_digests(surveyed: Surveyed, terms: Terms, progress: Progress, *, writes_cache: bool) -> Surveyed:
    """Hash what the plan cannot do without and the digest cache does not know.

    Parameters
    ----------
    writes_cache
        Keep the digests for the next run; a dry run writes nothing, not even that.

    Raises
    ------
    SourceChangedError
        A file is no longer what the scan saw.
    """
    origin = surveyed.stock.origin
    cache = DigestCache(origin.name)
    filled = replace(surveyed.survey, source=cache.fill(surveyed.survey.source))
    rows = undecided(filled)
    unread: dict[str, SourceError] = {}
    if len(rows) and origin.is_local:  # to hash what is far away is to fetch it
        progress.begin("digest", len(rows), pc.sum(rows["size"]).as_py())
        wanted = [
            Wanted(key, Signature(*stat), etag)
            for key, etag, *stat in zip(
                *(rows[name].to_pylist() for name in ("key", "etag", "size", "mtime_ns", "ctime_ns", "inode")),
                strict=True,
            )
        ]
        try:
            hashed = digest_source(
                origin.name, wanted, workers=2 * (os.cpu_count() or 1), advance=progress.advance,
                skips_moving=terms.by_unit, unread=unread if terms.by_unit else None,
            )  # fmt: skip
        finally:
            progress.end()
        filled = replace(filled, source=_merged(filled.source, {item.key: (item.digest, item.etag) for item in hashed}))
        if writes_cache and not surveyed.stock.is_part:
            stock = surveyed.stock
            cache.keep(filled.source, stock.scan.keys, stock.scan.unseen, hashed_ns=stock.taken_ns)
    found = [Finding("error", UNREADABLE, surveyed.name, key, str(error)) for key, error in unread.items()]
    return replace(surveyed, survey=filled, findings=(*surveyed.findings, *found))


def _merged(source: pa.Table, hashed: Mapping[str, tuple[str, str | None]]) -> pa.Table:
    """Return the source with what was hashed."""
    keys = source["key"].to_pylist()
    for position, name in enumerate(("digest", "etag")):
        old = source[name].to_pylist()
        new = [hashed[key][position] if key in hashed else value for key, value in zip(keys, old, strict=True)]
        source = with_values(source, name, new)
    return source


def remember_receipts(surveyed: Surveyed, digests: Mapping[str, str]) -> None:
    """Keep the digests of what was sent, so that the next run need not hash it again."""
    hashed: dict[str, tuple[str, str | None]] = {key: (digest, None) for key, digest in digests.items()}
    source, stock = _merged(surveyed.survey.source, hashed), surveyed.stock
    cache = DigestCache(stock.origin.name)
    cache.keep(source.filter(_from_files(source)), stock.scan.keys, stock.scan.unseen, hashed_ns=stock.taken_ns)


def _from_files(source: pa.Table) -> Any:
    return pc.is_valid(source["inode"])
