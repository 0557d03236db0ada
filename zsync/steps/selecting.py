"""Patterns that select nothing: a slip of the pen must not pass for a publish, nor take away what is published."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from zsync.errors import ConfigError
from zsync.inventory import Selection, idle_patterns
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.steps.inspect import Inspected
    from zsync.steps.stock import Stock


def with_selections_judged(items: Sequence[Inspected], *, allow_empty: bool) -> list[Inspected]:
    """Return what was inspected, without products of which patterns for all of them select nothing.

    Raises
    ------
    ConfigError
        Nothing at all is selected, or nothing of a product by patterns of its own.
    """
    nothing = [item for item in items if _is_unselected(item.stock)] if not allow_empty else []
    if nothing and (len(nothing) == len(items) or any(item.stock.product.has_own_patterns for item in nothing)):
        raise _error(next((item.stock for item in nothing if item.stock.product.has_own_patterns), nothing[0].stock))
    judged = [_left_alone(item) if any(item is other for other in nothing) else item for item in items]
    groups = {item.stock.product.include: [other.stock for other in judged if _alike(item, other)] for item in judged}
    return [
        replace(item, findings=(*item.findings, *_idle(groups.pop(item.stock.product.include, [])))) for item in judged
    ]


def _alike(item: Inspected, other: Inspected) -> bool:
    return item.stock.product.include == other.stock.product.include


def _is_unselected(stock: Stock) -> bool:
    product = stock.product
    if not (stock.scan.keys or stock.scan.unseen) or not (product.include or product.exclude):
        return False
    return not any(Selection(product.include, product.exclude).mask(stock.scan.keys))


def _error(stock: Stock) -> ConfigError:
    product = stock.product
    idle = idle_patterns(product.include, stock.scan.keys)
    if idle:
        what = f"no file of the source matches include {', '.join(map(repr, idle))}"
    else:
        what = "exclude leaves out every file of the source" if product.exclude else "include selects nothing"
    return ConfigError(
        what, product.root, "correct the pattern; to retire what is published under it, set allow_empty: true"
    )


def _left_alone(item: Inspected) -> Inspected:
    """Return a product of which nothing is sent, and nothing is retired."""
    product = item.stock.product
    note = Finding(
        "warning", "nothing-selected", product.name, "", "include and exclude select nothing of this product"
    )
    return replace(
        item,
        selection=replace(item.selection, within=frozenset()),
        findings=(*item.findings, note),
    )


def _idle(stock: Sequence[Stock]) -> list[Finding]:
    """Return a finding for each of several patterns that no file of the products that share them matches."""
    idle = list(stock[0].product.include) if stock else []
    if len(idle) < 2:
        return []
    for item in stock:
        idle = idle_patterns(idle, item.scan.keys)
    message = "no file of the source matches the include pattern {!r}"
    return [Finding("warning", "idle-pattern", stock[0].product.name, "", message.format(pattern)) for pattern in idle]
