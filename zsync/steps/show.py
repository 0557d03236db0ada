"""How a result shows itself: as text for the command, as HTML for notebooks and reports."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from zsync.printable import printable
from zsync.report.format import human_bytes
from zsync.report.html import findings_html, html_table
from zsync.report.text import columns

if TYPE_CHECKING:
    from zsync.pulling.pulled import PullResult
    from zsync.steps.result import PublishResult

_SAYS = {
    "published": "Published",
    "unretired": "Published, but not all that is gone from the source could be retired",
    "unchanged": "Nothing to do: every object is published already",
    "planned": "Planned, nothing written",
}


def result_text(result: PublishResult) -> str:
    """Return what came of a publish, a line a product."""
    if result.note is not None:
        return printable(result.note)
    if result.status == "unchanged":
        count = sum(product.unchanged for product in result.products)
        return f"nothing to do: {count:,} objects unchanged, 0 sent ({result.seconds:.1f} s)"
    rows = [
        [
            product.name,
            f"{product.sent:,} sent",
            human_bytes(product.bytes),
            f"{product.unchanged:,} unchanged",
            f"{product.retired:,} retired",
            product.url,
        ]
        for product in result.products
    ]
    but = "" if result.status != "unretired" else "; not all that is gone from the source could be retired"
    return f"{columns(rows)}\npublished {result.publication} in {result.seconds:.1f} s{but}"


def pull_text(result: PullResult) -> str:
    """Return what came of a pull, a line a product."""
    rows = [
        [
            item.name,
            f"{item.received:,} {'to fetch' if result.status == 'planned' else 'received'}",
            human_bytes(item.bytes),
            f"{item.unchanged:,} unchanged",
            f"{item.left:,} left alone",
            f"{item.retired:,} removed",
            item.path,
        ]
        for item in result.products
    ]
    said = {
        "pulled": "pulled",
        "unretired": "pulled, but some files that are not published any more could not be removed",
        "unchanged": "nothing to do",
        "planned": "planned, nothing written",
    }[result.status]
    return f"{columns(rows)}\n{said} ({result.seconds:.1f} s)" if rows else said


def result_html(result: PublishResult) -> str:
    """Return what came of a publish as HTML."""
    if result.note is not None:
        return f"<p>{escape(printable(result.note))}</p>"
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
    plan = "" if result.plan is None else f"<h2>What changed, and why</h2>\n{result.plan._repr_html_()}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>zsync</title>\n'
        f"<style>{style}</style></head>\n<body><h1>zsync</h1>\n{result_html(result)}\n{plan}</body></html>\n"
    )
