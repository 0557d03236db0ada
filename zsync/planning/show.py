"""How a plan shows itself: as text, for the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.planning.classify import ChangeClass
from zsync.planning.losses import losses_text
from zsync.planning.model import place_of
from zsync.printable import listed, printable
from zsync.report.format import human_bytes
from zsync.report.text import columns
from zsync.words import Action, Stage

if TYPE_CHECKING:
    from zsync.planning.model import Plan

_LINES = 60


def plan_text(plan: Plan) -> str:
    """Return a plan, summed up by product and array, with what it would cost."""
    lines = []
    for product in plan.products:
        counts = ", ".join(
            f"{plan.count(action, product.name):,} {word}"
            for action, word in (
                (Action.SEND, "to send"),
                (Action.UNCHANGED, "unchanged"),
                (Action.RETIRE, f"to retire ({product.retire})"),
                (Action.KEEP, "kept"),
            )
            if action in (Action.SEND, Action.UNCHANGED) or plan.count(action, product.name)
        )
        size = human_bytes(plan.bytes(Action.SEND, product.name))
        lines.append(printable(f"{product.name} -> {product.url}: {counts}, {size}"))
        rows = [
            [
                f"  {row['action']}",
                place_of(row) or ".",
                f"{row['objects']:,}",
                human_bytes(row["bytes"]),
                row["reason"],
            ]
            for row in plan.summary()
            if row["product"] == product.name and row["action"] in (Action.SEND, Action.RETIRE)
        ]
        if rows:
            lines.append(columns(rows[:_LINES]))
        if len(rows) > _LINES:
            lines.append(f"  and {len(rows) - _LINES:,} more lines; --json or --plan-out has all")
        lines += _classes_text(plan, product.name)
        mine = [loss for loss in plan.losses if loss.product == product.name]
        lines += [f"  readers lose {line}" for line in losses_text(mine, _NAMES)]
        if product.keeps_replaced and (replaced := plan.replaced(product.name)):
            lines.append(f"  history: replaced objects go to the trash first: {replaced:,}")
        if rasters := len(plan.shown_while(Stage.DATA, product=product.name)):
            lines.append(
                f"  exchange: {rasters} files are taken away while their rasters are replaced with masks or overviews,"
                " so that no reader sees those of one over another"
            )
        if withdrawn := len(plan.shown_while(Stage.WITHDRAW, product=product.name)):
            lines.append(
                f"  withdraw: {withdrawn} metadata objects are taken away first, and come back when all data is there:"
                " until then readers do not find the store"
            )
        if fence := len(plan.shown_while(Stage.FENCE, product=product.name)):
            lines.append(
                f"  fence: {fence} metadata objects go first, so that no reader sees a cell that is neither old nor new"
            )
    cost = plan.cost()
    requests = (
        f"{cost.puts:,} PUT, {cost.copies:,} COPY, {cost.lists:,} LIST, {cost.gets:,} GET, {cost.deletes:,} DELETE"
    )
    lines.append(f"requests: {requests}; about ${cost.dollars:.4f} at S3's list price")
    return "\n".join(lines)


# What readers may see while a change of this class is made.
_MEANWHILE = {
    ChangeClass.APPEND: "readers see the old extent, then the new one",
    ChangeClass.SHRINK: "readers see the old extent, then the new one",
    ChangeClass.RESIZE: "readers see the old extent, then what both have in common, then the new one",
    ChangeClass.UPDATE: "not atomic: while these chunks are replaced, readers may see old and new values side by side",
    ChangeClass.INCOMPATIBLE: "old metadata would decode new chunks wrongly, or the reverse",
}
_NAMES = 8


def _classes_text(plan: Plan, product: str) -> list[str]:
    """Return a line a class of change: how many arrays, which, and what readers may see meanwhile."""
    lines = []
    for kind in ChangeClass:
        changes = [change for change in plan.changes if change.product == product and change.kind == kind]
        if not changes or kind == ChangeClass.UNCHANGED:
            continue
        names = [change.name.removeprefix(f"{product}/") for change in changes]
        inside = sum(change.inside for change in changes)
        count = f", {inside:,} chunks inside the old extent" if inside else ""
        said = f"; {_MEANWHILE[kind]}" if kind in _MEANWHILE else ""
        lines.append(printable(f"  {kind}: {listed(names, _NAMES)}{count}{said}"))
    return lines
