"""From survey to plan: step 6 of the protocol. What is decided here is carried out elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from zsync.errors import GuardError
from zsync.inventory.cogs import judge_cogs, judge_rasters
from zsync.inventory.selection import is_in
from zsync.planning import (
    INCOMPATIBLE,
    ChangeClass,
    Grace,
    Plan,
    PlannedProduct,
    exchange,
    fence_table,
    flip_findings,
    guard_findings,
    incompatible_findings,
    leave_existing,
    losses_of,
    manifest_of,
    plan_product,
    summed_up,
    turned,
    unless_withdrawn,
    with_copies,
    withdraw,
    withdrawal_table,
    without_waiting,
)
from zsync.steps.changes import array_changes
from zsync.steps.consolidating import consolidated_findings
from zsync.steps.fitness import tolerated, unreadable
from zsync.steps.naming import in_order_of_names
from zsync.steps.survey import with_flips, with_found
from zsync.tables import chosen, column, each, scalar
from zsync.words import Action, Finding, Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from zsync.layout import Encodings
    from zsync.planning import ArrayChange, FenceWrite, Flips, Loss, Withdrawal
    from zsync.steps.changes import Changes
    from zsync.steps.surveyed import Surveyed
    from zsync.steps.terms import Terms


@dataclass(frozen=True, slots=True)
class _Share:
    """One product's share in the plan."""

    product: PlannedProduct
    table: pa.Table
    fence: Sequence[FenceWrite]
    withdrawn: Sequence[Withdrawal]
    findings: list[Finding]
    changes: Sequence[ArrayChange]
    losses: Sequence[Loss]
    flips: Flips
    found: Encodings


def decide(items: Sequence[Surveyed], terms: Terms) -> tuple[Plan, list[Surveyed]]:
    """Return the plan of all products; and the products, those with other chunk keys of which the plan should be made.

    Pure, but for reading what readers see of the stores that change, and, of what is to be sent, the headers of
    GeoTIFFs and what indexes name.
    """
    grace = Grace(terms.grace_s, int(time.time()), terms.flipped_s)
    shares = [_decide(item, terms, grace) for item in items]
    # An index may name what lies in another product: the order is one for all.
    table = in_order_of_names(pa.concat_tables(share.table for share in shares), items)
    fence = fence_table(write for share in shares for write in share.fence)
    withdrawn = withdrawal_table(item for share in shares for item in share.withdrawn)
    made = Plan(
        table=pa.concat_tables([table, fence, withdrawn]),
        products=tuple(share.product for share in shares),
        findings=tuple(finding for share in shares for finding in share.findings),
        changes=tuple(change for share in shares for change in share.changes),
        losses=tuple(loss for share in shares for loss in share.losses),
    )
    if all(item.stock.origin.is_local for item in items):
        made = _with_raster_findings(made, terms)
    return made, [_flipped(item, share, terms) for item, share in zip(items, shares, strict=True)]


def _flipped(item: Surveyed, share: _Share, terms: Terms) -> Surveyed:
    """Return a product with the chunk keys that it should have: those that readers see, or those that are to be."""
    if share.found:
        return with_found(item, share.found, terms)
    if share.flips is item.flips or not share.flips.encodings:
        return item
    return with_flips(item, share.flips, share.table, terms)


def _decide(item: Surveyed, terms: Terms, grace: Grace) -> _Share:
    """Return one product's share: what differs, then what has to give way to an order that no reader may see broken."""
    table = plan_product(item.name, item.survey, keeps=terms.retire == "keep", grace=grace)
    table = without_waiting(table, item.consolidated.removed)
    if item.unflipped is not None:
        table = with_copies(table, item.unflipped, item.flips.encodings)
    left: list[Finding] = []
    if terms.leaves_existing:
        # Before changes are classified: of a store that is left alone nothing changes.
        table, left = leave_existing(item.name, table, item.survey)
    changed = array_changes(item, table, terms)
    table = turned(table, item.layout.stores, changed.arrays)
    # What goes first has other actions and ranks from here on; losses and guards are about what comes of it.
    table, withdrawn = withdraw(table, item.layout.stores, changed.arrays, replaces=terms.replaces)
    table, away = exchange(table, withdraws=terms.exchanges)
    withdrawn += away
    return _Share(
        _planned_product(item, terms),
        table,
        unless_withdrawn(changed.fence, withdrawn),
        withdrawn,
        [*left, *_findings(item, table, changed, terms)],
        changed.arrays,
        losses_of(item.name, table, item.layout.stores, changed.arrays, item.survey.manifest),
        changed.flips,
        changed.found,
    )


def _planned_product(item: Surveyed, terms: Terms) -> PlannedProduct:
    product, head = item.stock.product, item.stock.head
    mode = _retire_mode(terms.retire, is_versioned=head.is_versioned)
    keeps = _keeps_history(item, terms)
    return PlannedProduct(item.name, product.location.url, product.root, str(item.kind), mode, head.publication, keeps)


def _keeps_history(item: Surveyed, terms: Terms) -> bool:
    """Whether what is replaced has to be put aside: a bucket that keeps versions does so itself."""
    return terms.keeps_history and not item.stock.head.is_versioned


def _lost_history(item: Surveyed, table: pa.Table, terms: Terms) -> list[Finding]:
    """Say of what no history can be kept: where no ETag is told, nobody knows what would be put aside."""
    if not _keeps_history(item, terms):
        return []
    is_replaced = pc.and_(
        pc.equal(table["action"], scalar(str(Action.SEND))), pc.not_equal(table["reason"], scalar(str(Reason.NEW)))
    )
    keys = table.filter(pc.and_(is_replaced, pc.is_null(table["etag"])))["key"].to_pylist()
    if not keys:
        return []
    message = f"the target tells no ETag of {len(keys):,} objects that are replaced: they are not kept"
    return [Finding("warning", "no-history", item.name, keys[0], message)]


def _findings(item: Surveyed, table: pa.Table, changed: Changes, terms: Terms) -> list[Finding]:
    hidden = {ChangeClass.NEW, *((ChangeClass.INCOMPATIBLE,) if terms.replaces else ())}
    # What readers do not see now, or will not find for a while anyway, they cannot lose by its retirement.
    unseen = {(change.store, change.array) for change in changed.arrays if change.kind in hidden}
    return [
        *item.findings,
        # What explains the others comes first: much is retired because arrays are other ones.
        *incompatible_findings(changed.arrays, replaces=terms.replaces),
        *flip_findings(changed.arrays, changed.flips, terms.rewriting),
        *_damage(item, changed.findings, terms),
        *unreadable(item.stock, _to_be_read(table)),
        *(_of_consolidated(item, table) if terms.tells_consolidated else []),
        *_lost_history(item, table, terms),
        *guard_findings(item.name, table, terms.most_retired, unseen),
    ]


def _of_consolidated(item: Surveyed, table: pa.Table) -> list[Finding]:
    """Return what to say of consolidated metadata."""
    if not item.consolidated.remade:
        return []
    remade, scan = item.consolidated.remade, item.stock.scan
    rows = zip(scan.keys, scan.signatures, strict=True)
    sizes = {key: signature[0] for key, signature in rows if key in remade}
    return consolidated_findings(item.name, item.consolidated, _at_rest(table, remade), sizes)


def _at_rest(table: pa.Table, keys: Collection[str]) -> set[str]:
    """Return which objects stay as they are; one that is nowhere does if nothing of its store is sent."""
    rows = table.filter(pc.is_in(table["key"], column(list(keys), pa.string())))
    actions = dict(zip(*(rows[name].to_pylist() for name in ("key", "action")), strict=True))
    moving = table.filter(pc.equal(table["action"], scalar(str(Action.SEND))))["store"]
    stores = frozenset(pc.drop_null(pc.unique(moving)).to_pylist())

    def stays(key: str) -> bool:
        is_absent = key not in actions and not is_in(key.rpartition("/")[0], stores)
        return is_absent or actions.get(key) == Action.UNCHANGED

    return {key for key in keys if stays(key)}


def _damage(item: Surveyed, findings: Sequence[Finding], terms: Terms) -> tuple[Finding, ...]:
    """Return what readers could not open any more; what is far away was judged where it was published."""
    return tolerated(findings, allows_damage=terms.allows_damage) if item.stock.origin.is_local else ()


def _to_be_read(table: pa.Table) -> Iterator[str]:
    sent = pc.and_(pc.equal(table["action"], scalar(str(Action.SEND))), pc.is_valid(table["source_key"]))
    return each(chosen(table.select(["source_key"]), sent)["source_key"])


def refuse_errors(plan: Plan) -> None:
    """Raise the first error among a plan's findings; of arrays that change incompatibly, it names all.

    Raises
    ------
    GuardError
        There is one.
    """
    errors = [finding for finding in plan.findings if finding.level == "error"]
    if not errors:
        return
    first = errors[0]
    if first.code == INCOMPATIBLE:
        first = summed_up([item for item in errors if (item.code, item.product) == (first.code, first.product)])
    raise GuardError(first.message, "/".join(part for part in (first.product, first.key) if part))


def is_on_record(plan: Plan, items: Sequence[Surveyed]) -> bool:
    """Whether the manifests say just what there is; a target that another tool filled is not on record yet."""
    return all(
        item.stock.head.publication is not None
        and not item.is_behind
        and _same_rows(manifest_of(plan, item.name), item.survey.manifest)
        for item in items
    )


def _same_rows(left: pa.Table, right: pa.Table) -> bool:
    return bool(left.sort_by("key").equals(right.sort_by("key")))


def _with_raster_findings(plan: Plan, terms: Terms) -> Plan:
    """Judge the rasters that are to be sent; what is published already was judged before."""
    findings: list[Finding] = []
    for product in plan.products:
        rows = plan.rows(Action.SEND, product.name)
        cut_off = judge_rasters(product.root, product.name, rows)
        findings += cut_off
        unfit = [finding.key for finding in cut_off]
        findings += judge_cogs(product.root, product.name, rows, terms.check_cogs, unfit)
    judged = tolerated(findings, allows_damage=terms.allows_damage)
    return replace(plan, findings=(*plan.findings, *judged))


def _retire_mode(asked: str, *, is_versioned: bool) -> str:
    """On a versioned bucket what is deleted remains as a version; elsewhere it goes to the trash (P8)."""
    if asked != "auto":
        return asked
    return "delete" if is_versioned else "trash"
