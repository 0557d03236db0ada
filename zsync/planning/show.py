"""How a plan shows itself: as text, for the command."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Protocol

from zsync.planning.classify import ChangeClass
from zsync.planning.losses import losses_text
from zsync.printable import listed, printable
from zsync.report.format import human_bytes, many
from zsync.report.shown import Findings, Folded, Line, Table, counted, summed
from zsync.report.text import columns
from zsync.words import Action, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.planning.classify import ArrayChange
    from zsync.planning.cost import Cost
    from zsync.planning.losses import Loss
    from zsync.report.shown import Part
    from zsync.words import Finding

_LINES = 60
_TOTALS = {
    Action.SEND: "to send",
    Action.COPY: "to copy",
    Action.UNCHANGED: "unchanged",
    Action.RETIRE: "to retire",
}
_COUNTED = (*_TOTALS,)
_MOVES = (Action.SEND, Action.COPY, Action.RETIRE)


class _Product(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def retire(self) -> str: ...
    @property
    def keeps_replaced(self) -> bool: ...


class _Plan(Protocol):
    @property
    def products(self) -> Sequence[_Product]: ...
    @property
    def findings(self) -> tuple[Finding, ...]: ...
    @property
    def changes(self) -> Sequence[ArrayChange]: ...
    @property
    def losses(self) -> Sequence[Loss]: ...
    def count(self, action: Action, product: str | None = None) -> int: ...
    def bytes(self, action: Action, product: str | None = None) -> int: ...
    def replaced(self, product: str) -> int: ...
    def summary(self) -> list[dict[str, Any]]: ...
    def shown_while(self, *stages: Stage, product: str | None = None) -> list[dict[str, Any]]: ...
    def cost(self) -> Cost: ...


def plan_text(plan: _Plan) -> str:
    """Return a plan, summed up by product and array, with what it would cost."""
    lines = []
    for product in plan.products:
        counts = ", ".join(
            f"{plan.count(action, product.name):,} {word}"
            for action, word in (
                (Action.SEND, "to send"),
                (Action.COPY, "to copy"),
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
            if row["product"] == product.name and row["action"] in _MOVES
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
    lines.append(
        f"requests: {requests}; about ${cost.dollars:.4f} at S3's list price, {cost.seconds:.1f} s at its rate"
    )
    return "\n".join(lines)


# What readers may see while a change of this class is made.
_MEANWHILE = {
    ChangeClass.APPEND: "readers see the old extent, then the new one",
    ChangeClass.SHRINK: "readers see the old extent, then the new one",
    ChangeClass.RESIZE: "readers see the old extent, then what both have in common, then the new one",
    ChangeClass.UPDATE: "not atomic: while these chunks are replaced, readers may see old and new values side by side",
    ChangeClass.INCOMPATIBLE: "old metadata would decode new chunks wrongly, or the reverse",
}
_FLIP = "flip: other chunk keys; readers see all that was, and with the root all that is to be"
_NAMES = 8


def _classes_text(plan: _Plan, product: str) -> list[str]:
    """Return a line a class of change: how many arrays, which, and what readers may see meanwhile."""
    lines = []
    for kind, flips in itertools.product(ChangeClass, (False, True)):
        changes = [
            change for change in plan.changes if (change.product, change.kind, change.flips) == (product, kind, flips)
        ]
        if not changes or (kind == ChangeClass.UNCHANGED and not flips):
            continue
        names = [change.name.removeprefix(f"{product}/") for change in changes]
        inside = sum(change.inside for change in changes)
        count = f", {many(inside, 'chunk')} inside the old extent" if inside else ""
        meanwhile = _FLIP if flips else _MEANWHILE.get(kind)
        said = f"; {meanwhile}" if meanwhile else ""
        lines.append(printable(f"  {kind}: {listed(names, _NAMES)}{count}{said}"))
    return lines


def plan_shown(plan: _Plan) -> list[Part]:
    """Return what is to be seen of a plan: totals, what matters of the rest, and all else for who opens it."""
    sent, copied, same, gone = (plan.count(action) for action in _COUNTED)
    size, cost = human_bytes(plan.bytes(Action.SEND)), plan.cost()
    requests = f"{cost.puts + cost.copies + cost.lists:,} writes and listings, about ${cost.dollars:.4f} at list price"
    return [
        Line(
            f"({size}), {f'{copied:,} to copy, ' if copied else ''}{same:,} unchanged, {gone:,} to retire; {requests}",
            f"{sent:,} to send",
        ),
        _totals(plan),
        *_losses(plan),
        Findings(plan.findings),
        *plan_folded(plan),
    ]


def plan_folded(plan: _Plan) -> list[Part]:
    """Return what a plan holds by array: what is equal in one row, then each by itself for who opens it."""
    parts: list[Part] = []
    arrays = [change for change in plan.changes if change.kind != ChangeClass.UNCHANGED]
    kinds = summed(arrays, lambda change: (change.product, change.kind, change.flips))
    for (product, kind, flips), changes in kinds.items():
        rows = [
            [_below(change.name, product), _shape(change.old_shape), _shape(change.new_shape), change.inside,
             change.detail]
            for change in changes
        ]  # fmt: skip
        names = counted((_below(change.name, product) for change in changes), "arrays")
        inside = sum(change.inside for change in changes)
        count = f", {many(inside, 'chunk')} inside the old extent" if inside else ""
        head = ("array", "old shape", "new shape", "chunks inside the old extent", "")
        how = f"; {_FLIP}" if flips else ""
        parts.append(Folded(f"{product}: {names}: {kind}{count}{how}", Table(head, rows).without_blanks()))
    moving = [row for row in plan.summary() if row["action"] in _MOVES]
    if moving:
        groups = summed(moving, lambda row: (row["product"], row["array"] is None, row["action"], row["reason"]))
        rows = [[product, *_moved(rows), action, reason] for (product, _, action, reason), rows in groups.items()]
        parts.append(Folded("objects, by what becomes of them and why", Table((*_MOVED, "action", "reason"), rows)))
    if len(moving) > len(groups if moving else ()):
        rows = [[row["product"], *_moved([row]), row["action"], row["reason"]] for row in moving]
        parts.append(Folded("the same, array by array", Table((*_MOVED, "action", "reason"), rows)))
    return parts


_MOVED = ("product", "array", "objects", "size")


def _moved(rows: Sequence[dict[str, Any]]) -> list[object]:
    size = human_bytes(sum(row["bytes"] for row in rows))
    what = "stores" if rows[0]["array"] is None else "arrays"
    return [counted((place_of(row) or "(files)" for row in rows), what), sum(row["objects"] for row in rows), size]


def _totals(plan: _Plan) -> Table:
    counted = [action for action in _COUNTED if action != Action.COPY or plan.count(action)]
    rows: list[list[object]] = [
        [
            product.name,
            product.url,
            *(plan.count(action, product.name) for action in counted),
            human_bytes(plan.bytes(Action.SEND, product.name)),
        ]
        for product in plan.products
    ]
    return Table(("product", "target", *(_TOTALS[action] for action in counted), "size"), rows)


def _losses(plan: _Plan) -> list[Part]:
    lost = [[loss.product, loss.key, loss.kind, loss.detail, loss.count] for loss in plan.losses]
    return [Table(("readers lose", "", "what", "which", "how many"), lost)] if lost else []


def _below(name: str, product: str) -> str:
    return name.removeprefix(product).lstrip("/") or name


def _shape(shape: tuple[int, ...] | None) -> str:
    """Return a shape; that of an array without dimensions is one too."""
    return "" if shape is None else str(shape)


def place_of(row: dict[str, Any]) -> str:
    """Return where in its product a row of a summary lies: store and array."""
    inside = "/".join(part for part in (row["store"], row["array"]) if part)
    return inside or ("(metadata)" if row["store"] is not None else "")
