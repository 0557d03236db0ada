"""Carry out a plan under the leases of its products, and put it on record: steps 8 to 11 of the protocol."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from zsync.errors import ConflictError, SourceChangedError
from zsync.inventory import cache_directory, keep_seen
from zsync.planning import Recorded, sent_instead, without_moving
from zsync.publication import (
    Leases,
    Publication,
    PublishedProduct,
    Trials,
    heeds_conditions_of_copies,
    manifest,
    move_head,
    new_publication_id,
    write_record,
)
from zsync.steps.arrived import Arrivals
from zsync.steps.directories import prune
from zsync.steps.gate import Gate
from zsync.steps.hashing import remember_receipts
from zsync.steps.provenance import Provenance
from zsync.steps.result import product_result
from zsync.steps.settle import left_for_the_next
from zsync.steps.sweep import sweep
from zsync.steps.told import not_retired, shortcomings, what_readers_see
from zsync.storage import connect
from zsync.system import let_go_of_memory
from zsync.tables import column, scalar
from zsync.tasks import AT_ONCE, TaskGroup, side_by_side
from zsync.transfer import Destination, Receipts, carry_out, retire
from zsync.version import __version__
from zsync.words import Action, Finding, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zsync.planning import Plan, PlannedProduct
    from zsync.publication import Part, Remarks
    from zsync.report.progress import Progress
    from zsync.steps.surveyed import Surveyed
    from zsync.steps.terms import Terms
    from zsync.storage import Habits
    from zsync.transfer import Executor, Failure

log = logging.getLogger(__name__)

_ALL = frozenset({""})  # below the empty key lies everything
_AFTER_CONFLICT = "somebody else is at work there; readers see whole what was published last"


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of carrying out a plan.

    Attributes
    ----------
    publication
        Its id.
    findings
        What was noticed on the way.
    plan
        The plan, without files that were left out because they moved.
    stay
        What was to be retired and could not be.
    """

    publication: str
    findings: tuple[Finding, ...]
    plan: Plan
    stay: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """What a record says that is not told by what was done.

    Attributes
    ----------
    publication
        Its id.
    member
        Who we are to a team.
    remarks
        Returns what else is said, once that is known.
    """

    publication: str
    member: str | None
    remarks: Callable[[], Remarks]


def _refuse_what_stays(stay: Sequence[Failure]) -> None:
    """Raise for the first object that could not be retired, where all has to be as planned."""
    for failure in stay:
        raise failure.placed


def carry(
    items: Sequence[Surveyed],
    plan: Plan,
    terms: Terms,
    progress: Progress,
    executor: Executor,
) -> Carried:
    """Claim the leases, carry out the plan, put it on record, retire what is gone, and give the leases back.

    What retires comes after the record: what a service refuses to delete never keeps a publication from being one.
    Among equals it comes before (`Terms.retires_first`).

    Raises
    ------
    ConflictError
        Somebody else is at work, took a lease away, or wrote an object meanwhile.
    SourceChangedError
        The source changed since it was looked at; no metadata was written.
    ZsyncError
        An object could not be sent; a warning on the log says what readers see.
    """
    publication = new_publication_id()
    receipts = Receipts()
    planned = {product.name: product for product in plan.products}
    destinations = {item.name: _destination(item, plan, terms, publication, planned[item.name]) for item in items}
    leases = Leases(
        [(connect(item.stock.spec), item.stock.state, item.stock.lease) for item in items], publication, __version__,
        finishes=[item.stock.state.prefix for item in items if item.stock.is_all],
    )  # fmt: skip
    provenance = Provenance(items, terms)
    trials = Trials(cache_directory() / "services")
    untried = [item for item in items if not trials.recall(item.stock.spec, _habits(item))]
    with leases:
        plan = _copying_what_can_be(items, plan)
        swept = sweep(items, plan, took_over=leases.took_over)
        gate, arrivals = Gate(leases, items, terms), Arrivals(items, plan)
        arrivals.begin()
        try:
            left = carry_out(plan, destinations, executor, progress, receipts, before_wave=gate, keep=arrivals)
            # Where only files went the gate had no reason to look; nothing retires for a source that has it again.
            gate.refuse_if_changed(plan.count(Action.RETIRE) > 0)
            if left:
                recorded = {item.name: item.survey.manifest for item in items}
                rest = without_moving(plan.lasting, left, recorded)
                plan = replace(plan, table=pa.concat_tables([rest, plan.passing]))
            let_go_of_memory(len(plan.table))
            stay: Sequence[Failure] = ()
            if terms.retires_first:
                _refuse_what_stays(retire(plan, destinations, executor, progress, before_wave=gate))
            record = Record(publication, terms.member, provenance.remarks)
            _commit(items, plan, receipts, record, leases.prove)
            gate.is_on_record = True
            let_go_of_memory(len(plan.table))
            arrivals.forget()  # the manifest says from now on what arrived
            if not terms.retires_first:
                stay = retire(plan, destinations, executor, progress, before_wave=gate)
            # The next run must not trust the manifest for what stays though it was to go.
            leases.leave_unfinished(destinations[failure.product].state.prefix for failure in stay)
            _take_away_empty(items, plan)
            later = [] if gate.is_checked else left_for_the_next(items, terms)
        except BaseException as error:
            # Who takes every store for itself leaves out what moves, and tries again.
            is_usual = isinstance(error, SourceChangedError) and terms.by_unit
            seen = _AFTER_CONFLICT if isinstance(error, ConflictError) else what_readers_see(plan, gate, receipts)
            log.log(logging.DEBUG if is_usual else logging.WARNING, "stopped: %s", terms.in_words(seen))
            raise
        finally:
            _remember(items, receipts)
    for item in items:
        keep_seen(item.stock.product.location, lease=leases.given_back.get(item.stock.state.prefix))
    for item in untried:
        trials.keep(item.stock.spec, _habits(item))
    findings = (*swept, *later, *shortcomings(plan, leases.ignored), *not_retired(stay))
    return Carried(publication, findings, plan, tuple(stay))


def _copying_what_can_be(items: Sequence[Surveyed], plan: Plan) -> Plan:
    """Return the plan in which is sent what was to be copied, where a service does not heed conditions of copies."""
    copying = [item for item in items if plan.count(Action.COPY, item.name)]
    if not copying:
        return plan
    able = side_by_side(_heeds_conditions, copying)
    names = [item.name for item, is_able in zip(copying, able, strict=True) if not is_able]
    return replace(plan, table=sent_instead(plan.table, names)) if names else plan


def _heeds_conditions(item: Surveyed) -> bool:
    """Return whether the service copies on conditions: it is tried out on the record of what is published."""
    stock = item.stock
    if stock.head.publication is None:
        return False
    return heeds_conditions_of_copies(connect(stock.spec), stock.state.publication(stock.head.publication))


def _habits(item: Surveyed) -> Habits:
    return connect(item.stock.spec).capabilities.habits


def _take_away_empty(items: Sequence[Surveyed], plan: Plan) -> None:
    """Take away directories that what was retired left empty: readers of a directory would wonder what they are."""
    for item in items:
        location = item.stock.product.location
        if location.scheme == "file":
            prune(f"/{location.path}", plan.rows(Action.RETIRE, item.name)["key"].to_pylist())


def _remember(items: Sequence[Surveyed], receipts: Receipts) -> None:
    """Keep the digests of what was sent, also when an error ended the work."""
    for item in items:
        if item.name in receipts.products and not item.stock.is_part:
            remember_receipts(item, receipts.table(item.name))


def _sends_families(plan: Plan, product: str) -> bool:
    """Whether files are to be sent that name others, or belong to others, which must be there then."""
    rows = plan.share(product).select(["action", "role"])
    words = column([str(Role.INDEX), str(Role.SIDECAR)], pa.string())
    sent = pc.equal(rows["action"], scalar(str(Action.SEND)))
    return bool(pc.any(pc.and_(sent, pc.is_in(rows["role"], words))).as_py())


def _destination(item: Surveyed, plan: Plan, terms: Terms, publication: str, planned: PlannedProduct) -> Destination:
    path = item.stock.product.location.path
    return Destination(
        store=item.stock.spec,
        prefix=f"{path}/" if path else "",
        origin=item.stock.origin,
        headers=item.headers,
        state=item.stock.state,
        publication=publication,
        # With `keep` only stale chunks go: what could be wanted again is not deleted then either.
        trashes=planned.retire in ("trash", "keep"),
        keeps=_ALL if planned.keeps_replaced else terms.keeps | item.edits,
        leaves_moving=terms.by_unit and not _sends_families(plan, item.name),
        copies=terms.copies and item.stock.spec in item.stock.origin.specs,
    )


def _commit(
    items: Sequence[Surveyed],
    plan: Plan,
    receipts: Receipts,
    said: Record,
    prove: Callable[[], None],
) -> None:
    """Write the manifests and the publication's records, then move the heads: built from receipts, not intentions.

    Manifests and records are nobody's before a head names them: they are written side by side, and the leases are
    looked at meanwhile.
    """
    with TaskGroup(AT_ONCE, "commit") as tasks:
        tasks.start(prove)
        shares = tuple(_share(item, plan, _write_manifest(item, plan, receipts, tasks)) for item in items)
        record = Publication.now(said.publication, shares, __version__, said.member, said.remarks())
        for item, share in zip(items, shares, strict=True):
            tasks.start(write_record, connect(item.stock.spec), item.stock.state, record, share)

    def move(which: tuple[Surveyed, PublishedProduct]) -> None:
        stock = which[0].stock
        move_head(connect(stock.spec), stock.state, stock.head, record, which[1])

    side_by_side(move, list(zip(items, shares, strict=True)))


def _write_manifest(item: Surveyed, plan: Plan, receipts: Receipts, tasks: TaskGroup) -> tuple[Part, ...]:
    rows = Recorded(plan, item.name, receipts.table(item.name))
    cache = cache_directory() / "manifests"
    return manifest.write(connect(item.stock.spec), item.stock.state, rows, item.parts, cache, tasks)


def _share(item: Surveyed, plan: Plan, parts: tuple[Part, ...]) -> PublishedProduct:
    result = product_result(plan, item.name, item.stock.product.location.url)
    head, restores = item.stock.head, item.stock.restores
    # After a rollback of a rollback the source is what it was before both.
    undoes = head.undoes if head.restores is not None else head.publication
    return PublishedProduct(
        name=result.name,
        url=result.url,
        kind=str(item.kind),
        parent=head.publication,
        sent=result.sent,
        unchanged=result.unchanged,
        retired=result.retired,
        bytes_sent=result.bytes,
        parts=parts,
        restores=restores,
        undoes=undoes if restores is not None else None,
        copied=result.copied,
    )
