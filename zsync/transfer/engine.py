"""Carry out a plan: wave after wave, each a scope that ends only complete."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from zsync.errors import ConflictError, NotSupportedError, PermissionDeniedError, TargetError, ZsyncError
from zsync.inventory.digest import Signature
from zsync.inventory.origin import ObjectReader
from zsync.keys import under
from zsync.packed import numbers_of
from zsync.planning import Wave
from zsync.storage import Over, Seen, pace_of
from zsync.tables import chosen, column, numbers, scalar
from zsync.transfer.batch import Batch, Batches, Failure, Outcome, Receipt, Retire, Send, cut
from zsync.transfer.keeping import Keeping
from zsync.transfer.receipts import Receipts
from zsync.transfer.work import retire_batch, send_batch
from zsync.words import Action, Reason, Role, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zsync.inventory import Reader
    from zsync.planning import Plan
    from zsync.report.progress import Progress
    from zsync.storage import Pace
    from zsync.transfer.batch import Cut
    from zsync.transfer.destination import Destination
    from zsync.transfer.executor import Executor

log = logging.getLogger(__name__)

_MAY_NOT = (PermissionDeniedError, NotSupportedError)
_ALL = ("", None)  # stands for all products: an index may name what lies in another one


@dataclass(slots=True)
class _Collector:
    """Takes outcomes as they come, and stops the wave at the first failure; or, if it is patient, gathers them all."""

    progress: Progress
    pace: Pace
    is_patient: bool = False
    keep: Callable[[Sequence[Receipt]], None] | None = None
    failures: list[Failure] = field(default_factory=list)
    receipts: Receipts = field(default_factory=Receipts)
    left: list[tuple[str, str]] = field(default_factory=list)

    def _tell_pace(self) -> None:
        tell = getattr(self.progress, "pace", None)  # a user's own progress may not care
        if tell is not None:
            tell(self.pace.limit)

    def __call__(self, outcome: Outcome) -> None:
        self.receipts += outcome.receipts
        if self.keep is not None and outcome.receipts:
            self.keep(outcome.receipts)
        self.left += outcome.left
        self.progress.advance(outcome.objects, outcome.bytes)
        self._tell_pace()
        for failure in outcome.failures:
            if not self.is_patient or isinstance(failure.error, ConflictError):
                raise failure.placed
            self.failures.append(failure)


def carry_out(
    plan: Plan,
    destinations: Mapping[str, Destination],
    executor: Executor,
    progress: Progress,
    receipts: Receipts,
    *,
    before_wave: Callable[[Wave], None] = lambda _wave: None,
    keep: Callable[[Sequence[Receipt]], None] | None = None,
) -> set[tuple[str, str]]:
    """Carry out a plan, but for what retires: that comes once all this is on record (`retire`).

    A wave begins only when the one before it has succeeded whole, for all products; hence no ``root`` stage begins
    before every product's ``data``, ``array`` and ``group`` are in place (promises P2 and P4), and nothing is retired
    before the new roots are visible (P8).

    Parameters
    ----------
    plan
        What to do.
    destinations
        Where each product goes.
    executor
        Who runs the batches.
    progress
        Told what is happening.
    receipts
        Gathers what the store answered, also when an error ends the work: what was sent need not be hashed again.

    before_wave
        Called before every wave; an error of its ends the work (a lost lease, promise P7).
    keep
        Takes receipts as they come, for who wants to know of them though the process dies.

    Returns
    -------
    set
        Product and key of the files that were left out (`Destination.leaves_moving`).

    Raises
    ------
    ZsyncError
        The first object that failed; no later wave has begun.
    """
    left: set[tuple[str, str]] = set()
    keeping = Keeping(plan, destinations)
    publishes = (wave for wave in plan.waves() if wave.stage != Stage.RETIRE)
    for stage, group in itertools.groupby(publishes, key=lambda wave: wave.stage):
        waves = list(group)
        progress.begin(str(stage), sum(len(wave.table) for wave in waves), _size(waves))
        try:
            for wave in waves:
                before_wave(wave)
                left |= _carry_out_wave(wave, destinations, executor, progress, receipts, keeping, keep)
        finally:
            progress.end()
    return left


def retire(
    plan: Plan,
    destinations: Mapping[str, Destination],
    executor: Executor,
    progress: Progress,
    *,
    before_wave: Callable[[Wave], None] = lambda _wave: None,
) -> list[Failure]:
    """Retire what a plan retires; what a service refuses to delete stops nothing but what it names.

    What names others goes before what is named. Where it stays, so does what it may name, of a store the rest of it, of
    an index all there is: a reader would find it without its data (promise P2).

    Parameters are those of `carry_out`.

    Returns
    -------
    list of Failure
        The objects that stay, each with the reason.

    Raises
    ------
    ConflictError
        The lease was lost meanwhile.
    """
    waves = [wave for wave in plan.waves() if wave.stage == Stage.RETIRE]
    keeping = Keeping(plan, destinations)
    stay: list[Failure] = []
    held_back: set[tuple[str, str | None]] = set()
    progress.begin(str(Stage.RETIRE), sum(len(wave.table) for wave in waves), _size(waves))
    try:
        for whole in waves:
            wave, left = _split(whole, held_back)
            stay += left
            if not len(wave.table):
                continue
            before_wave(wave)
            _tell(wave)
            collector = _Collector(progress, pace_of(next(iter(destinations.values())).store), is_patient=True)
            executor.run(retire_batch, _batches(wave, destinations, executor, keeping), collector)
            stay += collector.failures
            failed = {(failure.product, failure.key) for failure in collector.failures}
            held_back |= _held_back(wave, failed)
    finally:
        progress.end()
    return stay


def _held_back(wave: Wave, failed: set[tuple[str, str]]) -> set[tuple[str, str | None]]:
    """Return what is to stay because what names it does: the rest of a store, or, of an index, whatever there is."""
    left = [row for row in _places(wave) if (row["product"], row["key"]) in failed]
    return {_ALL if row["role"] == Role.INDEX else (row["product"], row["store"]) for row in left}


def _places(wave: Wave) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = wave.table.select(["product", "store", "key", "role"]).to_pylist()
    return rows


def _split(wave: Wave, held_back: set[tuple[str, str | None]]) -> tuple[Wave, list[Failure]]:
    """Return a wave without what is held back, and that."""
    if not held_back:
        return wave, []
    rows = _places(wave)
    stays = [_ALL in held_back or (row["product"], row["store"]) in held_back for row in rows]
    why = TargetError("what names it could not be retired")
    left = [Failure(row["product"], row["key"], why) for row, is_left in zip(rows, stays, strict=True) if is_left]
    return Wave(wave.stage, wave.rank, wave.table.filter(column([not stay for stay in stays], pa.bool_()))), left


def _size(waves: list[Wave]) -> int:
    return sum(pc.sum(wave.table["size"]).as_py() or 0 for wave in waves)


def _carry_out_wave(
    wave: Wave,
    destinations: Mapping[str, Destination],
    executor: Executor,
    progress: Progress,
    receipts: Receipts,
    keeping: Keeping,
    keep: Callable[[Sequence[Receipt]], None] | None,
) -> set[tuple[str, str]]:
    _tell(wave)
    work = retire_batch if wave.takes_away else send_batch
    batches = _batches(wave, destinations, executor, keeping)
    is_exchange = wave.takes_away and wave.stage == Stage.DATA
    is_source = wave.stage != Stage.FENCE  # what a fence shows is neither the source's content nor what stays
    pace = pace_of(next(iter(destinations.values())).store)
    gathered = receipts if is_source else Receipts()
    before = len(gathered)
    collector = _Collector(progress, pace, is_patient=is_exchange, keep=keep if is_source else None, receipts=gathered)
    executor.run(work, batches, collector)
    _refuse_sidecars_that_stay(wave, collector.failures)
    keeping.take_note(
        wave, () if wave.takes_away else gathered, {(failure.product, failure.key) for failure in collector.failures}
    )
    answered = len(gathered) - before + len(collector.left)
    if work is send_batch and answered != len(wave.table):
        # Receipts, not intentions, make a commit: an executor that loses a batch must not pass.
        raise ZsyncError(f"{len(wave.table) - answered} objects of stage {wave.stage} have no receipt")
    return set(collector.left)


def _refuse_sidecars_that_stay(wave: Wave, failures: list[Failure]) -> None:
    """Raise for what had to go before rasters are replaced.

    Where nobody may delete, a raster is replaced with what belongs to it as well as that goes. What the source has no
    more would stay over it for good, and so the raster stays as it is.
    """
    reasons = {(row["product"], row["key"]): row["reason"] for row in wave.table.to_pylist()} if failures else {}
    for failure in failures:
        if not isinstance(failure.error, _MAY_NOT):
            raise failure.placed
        place = f"{failure.product}/{failure.key}"
        if reasons[failure.product, failure.key] != Reason.WITHDRAWN:
            message = f"what belonged to a raster that is replaced cannot be taken away ({failure.error.message})"
            raise type(failure.error)(message, place, "delete it, or let zsync delete")
        log.warning(
            "%s cannot be taken away for the moment in which its raster and what belongs to it are replaced (%s):"
            " readers may see both mixed in between", place, failure.error.message,
        )  # fmt: skip


def _batches(wave: Wave, destinations: Mapping[str, Destination], executor: Executor, keeping: Keeping) -> Batches:
    rows = {name: _of_product(wave, name) for name in pc.unique(wave.table["product"]).to_pylist()}
    cuts = [
        part
        for name, table in rows.items()
        for part in cut(name, _sizes(table), executor.tasks, len(wave.table), executor.largest)
    ]

    def make(part: Cut) -> Batch:
        to = destinations[part.product]
        some = rows[part.product].slice(part.start, part.stop - part.start).to_pylist()
        return Batch(to.store, tuple(_item(row, to, keeping) for row in some), to.claim)

    return Batches(cuts, make)


def _of_product(wave: Wave, name: str) -> pa.Table:
    return chosen(wave.table, pc.equal(wave.table["product"], scalar(name)))


def _sizes(table: pa.Table) -> Sequence[int]:
    return numbers_of(numbers(table["size"]).tolist())


def _tell(wave: Wave) -> None:
    """Name every object that the wave is about, for those who asked to be told in detail."""
    if log.isEnabledFor(logging.DEBUG):
        for row in wave.table.select(["product", "key", "action", "reason", "size"]).to_pylist():
            log.debug("%s: %s %s/%s, %s (%d bytes)", wave.stage, row["action"], row["product"], row["key"],
                      row["reason"], row["size"] or 0)  # fmt: skip


def _item(row: dict[str, Any], to: Destination, keeping: Keeping) -> Send | Retire:
    target = under(to.prefix, row["key"])
    over = keeping.over(to, row)
    if row["action"] == Action.RETIRE:
        # What is withdrawn comes back under the same key, and what was flipped is what an update in place overwrites.
        is_lost = row["reason"] not in (Reason.WITHDRAWN, Reason.FLIPPED)
        trash = to.state.trash(to.publication, row["key"]) if to.trashes and is_lost else None
        seen, keep = (over.seen, over.keep) if over is not None else (None, None)
        return Retire(row["product"], row["key"], target, row["size"] or 0, Over(seen, keep or trash))
    stage = Stage.ROOT if row["stage"] == Stage.FENCE else row["stage"]
    headers = to.headers.headers(row["key"], row["role"], stage)
    if row["content"] is not None:
        made, digest = row["content"], row["digest"]
        return Send(row["product"], row["key"], target, row["size"], headers, content=made, digest=digest, over=over)
    signature = Signature(row["size"], row["mtime_ns"], row["ctime_ns"], row["inode"])
    source = to.origin.reader(row["source_key"], signature)
    return Send(
        row["product"],
        row["key"],
        target,
        row["size"],
        headers,
        source=source,
        digest=row["digest"],
        over=over,
        is_alone=to.leaves_moving and row["store"] is None and row["stage"] == Stage.DATA,
        copied=_to_be_copied(row, to, source),
    )


def _to_be_copied(row: dict[str, Any], to: Destination, source: Reader) -> tuple[Seen, str] | None:
    """Return what in the same bucket holds the bytes of a row, and their digest; None where that is not known."""
    if row["action"] == Action.COPY:
        return Seen(under(to.prefix, row["copy_key"]), row["size"], row["copy_etag"]), row["digest"]
    if not to.copies or not isinstance(source, ObjectReader) or None in (source.etag, source.digest):
        return None
    return Seen(source.path, source.size, source.etag, source.version), str(source.digest)
