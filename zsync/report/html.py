"""What is shown as HTML, for notebooks and pages.

Styles stand at the elements, for a notebook that is opened again keeps no sheet of a cell's; there are no colours, so
that all is readable in light and in dark. Nothing is higher than some thirty lines: what is longer scrolls, or is
folded.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from zsync.printable import printable
from zsync.report.shown import Findings, Folded, Line, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zsync.report.shown import Part
    from zsync.words import Finding

ROWS = 100  # rows of a table that are shown
_OPEN = 12  # rows that are seen at once
_FINDINGS = 10  # that are not folded
_SHORT = 48  # characters of what is kept on one line


def html(parts: Iterable[Part]) -> str:
    """Return lines, tables and findings, one under the other."""
    body = "\n".join(text for part in parts if (text := _html(part)))
    return f'<div class="zsync" style="text-align:left">\n{body}\n</div>'


def _html(part: Part) -> str:
    match part:
        case Line():
            return _line_html(part)
        case Table():
            return html_table(part.head, part.rows)
        case Findings():
            return findings_html(part.findings)
        case Folded():
            return _details(part.title, html_table(part.table.head, part.table.rows))


def _details(title: str, inside: str) -> str:
    summary = f'<summary style="cursor:pointer">{escape(printable(title))}</summary>'
    return f'<details style="margin:.3em 0">{summary}{inside}</details>'


def _line_html(line: Line) -> str:
    strong = f"<b>{escape(printable(line.strong))}</b>" if line.strong else ""
    name = f"(<code>{escape(printable(line.name))}</code>)" if line.name else ""
    said = " ".join(filter(None, (strong, name, escape(printable(line.text)))))
    return f'<p style="margin:.3em 0">{said}</p>'


def html_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; long ones scroll, very long ones are cut, and say so."""
    rows = list(rows)
    styles = [_style([row[column] for row in rows[:ROWS]]) for column in range(len(head))]
    titles = "".join(f'<th style="{style}">{escape(title)}</th>' for style, title in zip(styles, head, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{style}">{escape(_text(cell))}</td>' for style, cell in zip(styles, row, strict=True))
        + "</tr>"
        for row in rows[:ROWS]
    )
    more = f'<p style="margin:.3em 0">and {len(rows) - ROWS:,} more</p>' if len(rows) > ROWS else ""
    height = "max-height:24em;" if len(rows) > _OPEN else ""
    table = f'<table style="margin:.3em 0"><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div style="{height}overflow:auto">{table}</div>{more}'


def _style(cells: Sequence[object]) -> str:
    """Return the style of a column: numbers on the right, all else on the left."""
    side = "right" if cells and all(_is_number(cell) for cell in cells) else "left"
    is_short = all(len(str(cell)) <= _SHORT for cell in cells)
    return f"text-align:{side};vertical-align:top;padding:.15em .6em" + (";white-space:nowrap" if is_short else "")


def findings_html(findings: Iterable[Finding]) -> str:
    """Return findings as a list, what is worst first; many are folded; empty if there are none."""
    items = [
        f"<li><b>{escape(item.level)}</b> {escape(printable(f'{item.product}: {item.message}'))}</li>"
        for item in sorted(findings, key=lambda item: item.level != "error")
    ]
    first, rest = _list(items[:_FINDINGS]), _list(items[_FINDINGS:ROWS])
    if not rest:
        return first
    left_out = "" if len(items) <= ROWS else f", of which {ROWS - _FINDINGS} are shown"
    return first + _details(
        f"and {len(items) - _FINDINGS:,} more{left_out}", f'<div style="max-height:24em;overflow:auto">{rest}</div>'
    )


def _list(items: Sequence[str]) -> str:
    return f'<ul style="margin:.3em 0">{"".join(items)}</ul>' if items else ""


def _is_number(cell: object) -> bool:
    return isinstance(cell, int) and not isinstance(cell, bool)


def _text(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else printable(str(cell))
