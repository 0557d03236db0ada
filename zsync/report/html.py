"""Tables and lists as HTML, for notebooks and pages."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from zsync.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zsync.words import Finding

ROWS = 100  # rows of a table that are shown


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
        f"<li><b>{escape(item.level)}</b> {escape(printable(f'{item.product}: {item.message}'))}</li>"
        for item in findings
    )
    return f"<ul>{items}</ul>" if items else ""


def _text(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else printable(str(cell))
