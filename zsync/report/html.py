"""How plans and results show themselves in a notebook, and on a page of their own."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from zsync.report.format import human_bytes, place
from zsync.words import Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zsync.planning import Plan
    from zsync.verbs.publish import PublishResult
    from zsync.words import Finding

ROWS = 100  # rows of a table that are shown
_SAYS = {
    "published": "Published",
    "unchanged": "Nothing to do: every object is published already",
    "planned": "Planned, nothing written",
}


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
    parts.append(
        f"<p>{cost.puts + cost.copies + cost.lists:,} writes and listings, about ${cost.dollars:.4f} at list price</p>"
    )
    parts.append(findings_html(plan.findings))
    return "\n".join(part for part in parts if part)


def html_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; long ones are cut, and say so."""
    rows = list(rows)
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(_text(cell))}</td>" for cell in row) + "</tr>" for row in rows[:ROWS])
    more = f"<p>and {len(rows) - ROWS:,} more</p>" if len(rows) > ROWS else ""
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>{more}"


def findings_html(findings: Iterable[Finding]) -> str:
    """Return findings as a list; empty if there are none."""
    items = "".join(
        f"<li><b>{escape(item.level)}</b> {escape(item.product)}: {escape(item.message)}</li>" for item in findings
    )
    return f"<ul>{items}</ul>" if items else ""


def _text(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def result_html(result: PublishResult) -> str:
    """Return what came of a publish as HTML."""
    if result.note is not None:
        return f"<p>{escape(result.note)}</p>"
    named = f" (<code>{escape(result.publication)}</code>)" if result.publication else ""
    rows = [
        [item.name, item.url, item.sent, item.unchanged, item.retired, human_bytes(item.bytes)]
        for item in result.products
    ]
    head = ["product", "target", "sent", "unchanged", "retired", "size sent"]
    parts = [
        f"<p><b>{_SAYS[result.status]}</b>{named} in {result.seconds:.1f} s</p>",
        html_table(head, rows),
        findings_html(result.findings),
    ]
    return "\n".join(part for part in parts if part)


def page(result: PublishResult) -> str:
    """Return a page of its own: the result, and the plan behind it."""
    style = (
        "body{font-family:sans-serif;margin:2em}td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ccc}"
    )
    plan = "" if result.plan is None else f"<h2>What changed, and why</h2>\n{plan_html(result.plan)}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>zsync</title>\n'
        f"<style>{style}</style></head>\n<body><h1>zsync</h1>\n{result_html(result)}\n{plan}</body></html>\n"
    )
