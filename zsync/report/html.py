"""How a result shows itself in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from zsync.planning.html import findings_html, html_table, human_bytes

if TYPE_CHECKING:
    from zsync.verbs.publish import PublishResult

_SAYS = {
    "published": "Published",
    "unchanged": "Nothing to do: every object is published already",
    "planned": "Planned, nothing written",
}


def result_html(result: PublishResult) -> str:
    """Return what came of a publish as HTML."""
    if result.note is not None:
        return f"<p>{escape(result.note)}</p>"
    named = f" (<code>{escape(result.publication)}</code>)" if result.publication else ""
    rows = [
        [item.name, item.url, item.sent, item.unchanged, item.retired, human_bytes(item.bytes)] for item in result.products
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
    from zsync.planning.html import plan_html

    style = "body{font-family:sans-serif;margin:2em}td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ccc}"
    plan = "" if result.plan is None else f"<h2>What changed, and why</h2>\n{plan_html(result.plan)}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>zsync</title><style>{style}</style></head>\n'
        f"<body><h1>zsync</h1>\n{result_html(result)}\n{plan}</body></html>\n"
    )
