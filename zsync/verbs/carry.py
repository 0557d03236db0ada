"""Carry out a plan under the leases of its products, and put it on record: steps 8 to 11 of the protocol."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zsync import __version__
from zsync.errors import SourceChangedError, TargetError
from zsync.inventory import cache_directory
from zsync.planning import manifest_of, without_moving
from zsync.publication import Leases, Publication, PublishedProduct, commit, manifest, new_publication_id
from zsync.storage import abort_uploads, connect, unfinished_uploads
from zsync.transfer import Destination, carry_out, executor_for
from zsync.verbs.directories import prune
from zsync.verbs.result import product_result
from zsync.verbs.settle import refuse_if_changed
from zsync.verbs.survey import remember_receipts
from zsync.words import PART_SIZE, Action, Finding, Role, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zsync.config import RunConfig
    from zsync.planning import Plan, Wave
    from zsync.publication import Part
    from zsync.report.progress import Progress
    from zsync.transfer import Receipt
    from zsync.verbs.survey import Surveyed

log = logging.getLogger(__name__)

_AFTER_DATA = (Stage.ARRAY, Stage.GROUP, Stage.ROOT, Stage.RETIRE)


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
    """

    publication: str
    findings: tuple[Finding, ...]
    plan: Plan


def carry(config: RunConfig, items: Sequence[Surveyed], plan: Plan, progress: Progress) -> Carried:
    """Claim the leases, carry out the plan, put it on record, and give the leases back.

    Raises
    ------
    ConflictError
        Somebody else is at work, or took a lease away.
    SourceChangedError
        The source changed since it was looked at; no metadata was written.
    ZsyncError
        An object could not be sent; a warning on the log says what readers see.
    """
    publication = new_publication_id()
    receipts: list[Receipt] = []
    reached: list[Stage] = []
    modes = {product.name: product.retire for product in plan.products}
    destinations = {item.name: _destination(item, plan, publication, modes[item.name]) for item in items}
    executor = executor_for(config.publish.scheduler, config.publish.workers)
    leases = Leases(
        [(connect(item.stock.spec), item.stock.state, item.stock.lease) for item in items], publication, __version__
    )
    with leases:
        swept = _sweep(items, plan, took_over=leases.took_over)

        def before_wave(wave: Wave) -> None:
            leases.check()
            if wave.stage in reached:
                return
            leases.prove()
            if wave.stage in _AFTER_DATA and not any(stage in _AFTER_DATA for stage in reached):
                refuse_if_changed(items)
            reached.append(wave.stage)

        try:
            left = carry_out(plan, destinations, executor, progress, receipts, before_wave=before_wave)
            _take_away_empty(items, plan)
            leases.prove()
            if left:
                recorded = {item.name: item.survey.manifest for item in items}
                plan = replace(plan, table=without_moving(plan.table, left, recorded))
            _commit(items, plan, publication, receipts, config.team.member)
        except BaseException as error:
            # Who takes every store for itself leaves out what moves, and tries again.
            is_usual = isinstance(error, SourceChangedError) and all(item.stock.by_unit for item in items)
            log.log(logging.DEBUG if is_usual else logging.WARNING, "stopped: %s", _what_readers_see(plan, reached))
            raise
        finally:
            _remember(items, receipts)
    return Carried(publication, (*swept, *_shortcomings(plan, leases.ignored)), plan)


def _take_away_empty(items: Sequence[Surveyed], plan: Plan) -> None:
    """Take away directories that what was retired left empty: readers of a directory would wonder what they are."""
    for item in items:
        location = item.stock.product.location
        if location.scheme == "file":
            prune(f"/{location.path}", plan.rows(Action.RETIRE, item.name)["key"].to_pylist())


def _sweep(items: Sequence[Surveyed], plan: Plan, *, took_over: bool) -> list[Finding]:
    """Abort multipart uploads that earlier runs left unfinished: they cost money, and no listing shows them.

    Nobody else publishes while we hold the lease; only objects that are ours to send in parts are touched. What is
    unfinished on a file system was seen before the lease was taken, when nobody held it.
    """
    findings = []
    for item in items:
        prefix = f"{item.stock.product.location.path}/"
        connect(item.stock.spec).delete([prefix + key for key in item.stock.unfinished])
        large, to_send = _large(plan, item.name)
        if not large or not (took_over or to_send):
            continue
        path = item.stock.product.location.path
        base = f"{path}/" if path else ""
        try:
            unfinished = unfinished_uploads(item.stock.spec, base)
            left = [upload for upload in unfinished if upload.key.removeprefix(base) in large]
            abort_uploads(item.stock.spec, left)
        except TargetError as error:  # whether there are any is not what a publish depends on
            message = f"multipart uploads that earlier runs left unfinished could not be looked for: {error}"
            findings.append(Finding("info", "unfinished-uploads", item.name, "", message))
            continue
        if left:
            message = f"aborted {len(left)} multipart uploads that earlier runs left unfinished"
            findings.append(Finding("info", "unfinished-uploads", item.name, left[0].key.removeprefix(base), message))
    return findings


def _large(plan: Plan, product: str) -> tuple[set[str], set[str]]:
    """Return the keys of the source's objects that go up in parts: all of them, and those that are to be sent."""
    large: dict[Action, set[str]] = {}
    for action in (Action.SEND, Action.UNCHANGED):
        rows = plan.rows(action, product)
        sizes = zip(rows["key"].to_pylist(), rows["size"].to_pylist(), strict=True)
        large[action] = {key for key, size in sizes if size > PART_SIZE}
    return large[Action.SEND] | large[Action.UNCHANGED], large[Action.SEND]


def _shortcomings(plan: Plan, ignored: Sequence[str]) -> list[Finding]:
    if not ignored:
        return []
    message = (
        f"the service ignores {' and '.join(ignored)}: two publishers at the same time are not kept apart reliably;"
        " see to it that only one runs"
    )
    return [Finding("warning", "conditions-ignored", product.name, "", message) for product in plan.products[:1]]


def _what_readers_see(plan: Plan, reached: Sequence[Stage]) -> str:
    """Say what readers see after a publish that stopped in the last of the stages that it reached."""
    if Stage.RETIRE in reached:
        return "readers see the new state, whole; publish again to finish and to put it on record"
    if Stage.WITHDRAW in reached and plan.withdrawals:
        stores = sorted({"/".join(filter(None, (item.product, item.store))) for item in plan.withdrawals})
        return f"readers do not find {', '.join(stores)}, of which arrays are being replaced; publish again to finish"
    if Stage.ROOT in reached:
        return "readers see each store whole, some perhaps in its new state already; publish again to finish"
    if Stage.FENCE in reached:
        return "readers see of arrays that shrink what old and new have in common; publish again to finish"
    if Stage.DATA in reached and any(change.inside for change in plan.changes):
        return "readers see what they saw before, perhaps with new values in chunks that are replaced; publish again"
    return "readers see what they saw before; publish again to finish"


def _remember(items: Sequence[Surveyed], receipts: Sequence[Receipt]) -> None:
    """Keep the digests of what was sent, also when an error ended the work."""
    sent: dict[str, dict[str, str]] = {}
    for receipt in receipts:
        sent.setdefault(receipt.product, {})[receipt.key] = receipt.digest
    for item in items:
        if item.name in sent:
            remember_receipts(item, sent[item.name])


def _sends_indexes(plan: Plan, product: str) -> bool:
    """Whether files are to be sent that name others, which must be there then."""
    return str(Role.INDEX) in plan.rows(Action.SEND, product)["role"].to_pylist()


def _destination(item: Surveyed, plan: Plan, publication: str, retire: str) -> Destination:
    path = item.stock.product.location.path
    return Destination(
        store=item.stock.spec,
        prefix=f"{path}/" if path else "",
        origin=item.stock.origin,
        headers=item.headers,
        state=item.stock.state,
        publication=publication,
        # With `keep` only stale chunks go: what could be wanted again is not deleted then either.
        trashes=retire in ("trash", "keep"),
        keeps=item.stock.keeps,
        leaves_moving=item.stock.by_unit and not _sends_indexes(plan, item.name),
    )


def _commit(
    items: Sequence[Surveyed], plan: Plan, publication_id: str, receipts: Sequence[Receipt], member: str | None
) -> None:
    """Write the manifests, then the publication's record, then move the heads: built from receipts, not intentions."""
    answers = {(receipt.product, receipt.key): receipt for receipt in receipts}
    shares = tuple(_share(item, plan, _write_manifest(item, plan, answers)) for item in items)
    record = Publication.now(publication_id, shares, __version__, member)
    for item, share in zip(items, shares, strict=True):
        commit(connect(item.stock.spec), item.stock.state, item.stock.head, record, share)


def _write_manifest(item: Surveyed, plan: Plan, answers: Mapping[tuple[str, str], Receipt]) -> tuple[Part, ...]:
    table = manifest_of(plan, item.name, answers)
    cache = cache_directory() / "manifests"
    return manifest.write(connect(item.stock.spec), item.stock.state, table, item.parts, cache)


def _share(item: Surveyed, plan: Plan, parts: tuple[Part, ...]) -> PublishedProduct:
    result = product_result(plan, item.name, item.stock.product.location.url)
    return PublishedProduct(
        name=result.name,
        url=result.url,
        kind=str(item.kind),
        parent=item.stock.head.publication,
        sent=result.sent,
        unchanged=result.unchanged,
        retired=result.retired,
        bytes_sent=result.bytes,
        parts=parts,
    )
