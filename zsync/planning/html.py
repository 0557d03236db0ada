"""How a plan shows itself in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from zsync.tables import Action

if TYPE_CHECKING:
    from zsync.planning.model import Plan
    from zsync.tables import Finding

ROWS = 100


def plan_html(plan: Plan) -> str:
    """Return a plan as HTML: totals a product, then what changes by array."""
    totals = [
        [
            product.name,
            product.url,
            *(plan.count(action, product.name) for action in (Action.SEND, Action.UNCHANGED, Action.RETIRE)),
            human_bytes(plan.bytes(Action.SEND, product.name)),
        ]
        for product in plan.products
    ]
    changes = [row for row in plan.summary() if row["action"] in (Action.SEND, Action.RETIRE)]
    parts = [html_table(["product", "target", "to send", "unchanged", "to retire", "size"], totals)]
    if changes:
        rows = [
            [row["product"], place(row), row["action"], row["reason"], row["objects"], human_bytes(row["bytes"])]
            for row in changes
        ]
        parts.append(html_table(["product", "array", "action", "reason", "objects", "size"], rows))
    cost = plan.cost()
    parts.append(f"<p>{cost.puts + cost.copies + cost.lists:,} writes and listings, about ${cost.dollars:.4f} at list price</p>")
    parts.append(findings_html(plan.findings))
    return "\n".join(part for part in parts if part)


def place(row: dict[str, str | None]) -> str:
    """Return where in its product a row of a summary lies: store and array."""
    inside = "/".join(part for part in (row["store"], row["array"]) if part)
    return inside or ("(metadata)" if row["store"] is not None else "")


def html_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; long ones are cut, and say so."""
    rows = list(rows)
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_text(cell))}</td>" for cell in row) + "</tr>" for row in rows[:ROWS]
    )
    more = f"<p>and {len(rows) - ROWS:,} more</p>" if len(rows) > ROWS else ""
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>{more}"


def findings_html(findings: Iterable[Finding]) -> str:
    """Return findings as a list; empty if there are none."""
    items = "".join(f"<li><b>{escape(item.level)}</b> {escape(item.product)}: {escape(item.message)}</li>" for item in findings)
    return f"<ul>{items}</ul>" if items else ""


def _text(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def human_bytes(count: int) -> str:
    """Return a size for people.

    Examples
    --------
    >>> human_bytes(0), human_bytes(1536), human_bytes(3 * 2**30)
    ('0 B', '1.5 KiB', '3.0 GiB')
    """
    if count < 1024:
        return f"{count} B"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"
