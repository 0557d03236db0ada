"""What is said of a run that was carried out, or that stopped on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc

from zsync.planning import files_seen
from zsync.words import Finding, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zsync.planning import Plan
    from zsync.steps.gate import Gate
    from zsync.transfer import Failure, Receipt


def not_retired(stay: Sequence[Failure]) -> list[Finding]:
    """Name what was to be retired and could not be, by product and reason."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for failure in stay:
        groups.setdefault((failure.product, failure.error.message), []).append(failure)
    found = []
    for (product, why), failures in groups.items():
        first = failures[0]
        message = (
            f"{len(failures)} objects that are gone from the source could not be retired ({why}): they stay, and the"
            " next publish tries again"
        )
        advice = f"; {first.error.advice}" if first.error.advice else ""
        found.append(Finding("warning", "not-retired", product, first.key, message + advice))
    return found


def shortcomings(plan: Plan, ignored: Sequence[str]) -> list[Finding]:
    """Say which conditions the service was found to ignore, and what that means."""
    if not ignored:
        return []
    message = (
        f"the service ignores {' and '.join(ignored)}: two publishers at the same time are not kept apart reliably;"
        " see to it that only one runs"
    )
    return [Finding("warning", "conditions-ignored", product.name, "", message) for product in plan.products[:1]]


def what_readers_see(plan: Plan, gate: Gate, receipts: Iterable[Receipt]) -> str:
    """Say what readers see after a publish that stopped in the last of the stages that it reached."""
    if gate.is_on_record:
        return "what was published is on record, whole; what is gone from the source is retired by the next publish"
    files = files_seen(plan, ((receipt.product, receipt.key) for receipt in receipts), is_exchanging=gate.is_exchanging)
    stores = _what_is_seen_of_stores(plan, gate.reached)
    if not files:
        return f"{stores or 'readers see what they saw before'}; publish again to finish"
    has_stores = bool(pc.any(pc.is_valid(plan.table["store"])).as_py())
    others = [stores or "of stores readers see what they saw before"] if has_stores or stores else []
    return f"{'; '.join([*files, *others])}; publish again to finish"


def _what_is_seen_of_stores(plan: Plan, reached: Sequence[Stage]) -> str:
    withdrawn = plan.shown_while(Stage.WITHDRAW)
    if Stage.WITHDRAW in reached and withdrawn:
        stores = sorted({"/".join(filter(None, (row["product"], row["store"]))) for row in withdrawn})
        return f"readers do not find {', '.join(stores)}, of which arrays are being replaced"
    if Stage.ROOT in reached and bool(pc.any(pc.is_valid(plan.table["store"])).as_py()):
        return "readers see each store whole, some perhaps in its new state already"
    if Stage.FENCE in reached:
        return "readers see of arrays that shrink what old and new have in common"
    if Stage.DATA in reached and any(change.inside for change in plan.changes):
        return "readers see what they saw before, perhaps with new values in chunks that are replaced"
    return ""
