"""Findings and columns as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zsync.words import Finding


def finding_text(finding: Finding) -> str:
    """Return one finding on one line."""
    where = "/".join(part for part in (finding.product, finding.key) if part)
    return printable(f"{finding.level}: {finding.message} [{where}]")


def findings_text(findings: Iterable[Finding]) -> str:
    """Return findings, a line each."""
    return "\n".join(finding_text(finding) for finding in findings)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines, their cells under each other."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
