"""What is shown as HTML, for notebooks and pages."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from zsync.printable import printable
from zsync.report.shown import Findings, Line, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zsync.report.shown import Part
    from zsync.words import Finding

ROWS = 100  # rows of a table that are shown


def html(parts: Iterable[Part]) -> str:
    """Return lines, tables and findings, one under the other."""
    return "\n".join(text for part in parts if (text := _html(part)))


def _html(part: Part) -> str:
    match part:
        case Line():
            return _line_html(part)
        case Table():
            return html_table(part.head, part.rows)
        case Findings():
            return findings_html(part.findings)


def _line_html(line: Line) -> str:
    strong = f"<b>{escape(printable(line.strong))}</b>" if line.strong else ""
    name = f"(<code>{escape(printable(line.name))}</code>)" if line.name else ""
    return f"<p>{' '.join(filter(None, (strong, name, escape(printable(line.text)))))}</p>"


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
