"""Hash what must be: step 5 of the protocol; and remember what was hashed."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from zsync.errors import SourceChangedError, SourceError
from zsync.inventory import DigestCache, digest_source
from zsync.inventory.digest import Hashed, Signature, Wanted
from zsync.inventory.origin import FileReader
from zsync.inventory.sealed import BLOCK_ROWS
from zsync.planning import undecided
from zsync.tables import NO_TEXT, column, hexadecimal, taken, with_values
from zsync.transfer import Batch, Batches, Hash, cut, hash_batch
from zsync.words import UNREADABLE, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zsync.report.progress import Progress
    from zsync.steps.surveyed import Surveyed
    from zsync.steps.terms import Terms
    from zsync.transfer import Cut, Executor, Outcome


def with_digests(
    surveyed: Surveyed, terms: Terms, progress: Progress, executor: Executor | None = None, *, writes_cache: bool
) -> Surveyed:
    """Hash what the plan cannot do without and the digest cache does not know.

    Parameters
    ----------
    executor
        Its processes hash, if it has any of its own.
    writes_cache
        Keep the digests for the next run; a dry run writes nothing, not even that.

    Raises
    ------
    SourceChangedError
        A file is no longer what the scan saw.
    """
    origin = surveyed.stock.origin
    cache = DigestCache(origin.name)
    survey = surveyed.survey
    filled = replace(survey, source=with_values(cache.fill(survey.source_files), "key", survey.source["key"]))
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
            if executor is not None and executor.is_elsewhere:
                hashed = _by_workers(surveyed, wanted, terms, progress, unread, executor)
            else:
                hashed = digest_source(
                    origin.name, wanted, workers=2 * (os.cpu_count() or 1), advance=progress.advance,
                    skips_moving=terms.by_unit, unread=unread if terms.by_unit else None,
                )  # fmt: skip
        finally:
            progress.end()
        names = ("key", "digest", "etag")
        found = [column([getattr(item, name) for item in hashed], pa.string()) for name in names]
        source = _merged(filled.source_files, pa.table(found, names=names))
        filled = replace(filled, source=with_values(source, "key", survey.source["key"]))
        if writes_cache and not surveyed.stock.is_part:
            stock = surveyed.stock
            cache.keep(filled.source_files, stock.scan.keys, stock.scan.unseen, hashed_ns=stock.taken_ns)
    found = [Finding("error", UNREADABLE, surveyed.name, key, str(error)) for key, error in unread.items()]
    return replace(surveyed, survey=filled, findings=(*surveyed.findings, *found))


def _by_workers(
    surveyed: Surveyed,
    wanted: Sequence[Wanted],
    terms: Terms,
    progress: Progress,
    unread: dict[str, SourceError],
    executor: Executor,
) -> list[Hashed]:
    """Have the processes hash files that will send them too."""
    root = surveyed.stock.origin.name
    hashed: list[Hashed] = []

    def done(outcome: Outcome) -> None:
        progress.advance(outcome.objects, outcome.bytes)
        hashed.extend(Hashed(receipt.key, receipt.digest, receipt.etag) for receipt in outcome.receipts)
        for failure in outcome.failures:
            if not terms.by_unit or not isinstance(failure.error, SourceError):
                raise failure.placed
            if not isinstance(failure.error, SourceChangedError):
                unread[failure.key] = failure.error

    def make(part: Cut) -> Batch:
        some = wanted[part.start : part.stop]
        files = (FileReader(f"{root}/{item.key}", item.key, item.signature) for item in some)
        items = (Hash(surveyed.name, file, item.etag) for file, item in zip(files, some, strict=True))
        return Batch(surveyed.stock.spec, tuple(items))

    sizes = [item.signature.size for item in wanted]
    cuts = [*cut(surveyed.name, sizes, executor.tasks, len(wanted), executor.largest)]
    executor.run(hash_batch, Batches(cuts, make), done)
    return hashed


def _merged(source: pa.Table, hashed: pa.Table) -> pa.Table:
    """Return the source with what was hashed: key, digest and ETag."""
    where = pc.index_in(source["key"], hashed["key"])
    is_hashed = pc.is_valid(where)
    for name in ("digest", "etag"):
        new = taken(hashed.select([name]), where)[name]
        source = with_values(source, name, pc.if_else(is_hashed, new, source[name]))
    return source


def remember_receipts(surveyed: Surveyed, answers: pa.Table) -> None:
    """Keep the digests of what was sent (`zsync.tables.ANSWERS`), so that the next run need not hash it again."""
    source, stock = surveyed.survey.source_files, surveyed.stock
    where = pc.index_in(surveyed.survey.source["key"], answers["key"])

    def blocks() -> Iterator[pa.Table]:
        for start in range(0, len(source), BLOCK_ROWS):
            rows, places = source.slice(start, BLOCK_ROWS), where.slice(start, BLOCK_ROWS)
            is_sent = pc.is_valid(places)
            digests = hexadecimal(taken(answers.select(["digest"]), places)["digest"])
            rows = with_values(rows, "digest", pc.if_else(is_sent, digests, rows["digest"]))
            # What the service calls them is no hash of ours.
            rows = with_values(rows, "etag", pc.if_else(is_sent, NO_TEXT, rows["etag"]))
            yield rows.filter(_from_files(rows))

    keys = source["key"].filter(_from_files(source))
    cache = DigestCache(stock.origin.name)
    cache.keep_blocks(blocks(), keys, stock.scan.keys, stock.scan.unseen, hashed_ns=stock.taken_ns)


def _from_files(source: pa.Table) -> Any:
    return pc.is_valid(source["inode"])
