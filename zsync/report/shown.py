"""What plans and results show of themselves: lines and tables, handed over as values and rendered elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.words import Finding


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text; some of it stands out, and some is a name."""

    text: str
    strong: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under titles."""

    head: tuple[str, ...]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was noticed."""

    findings: tuple[Finding, ...]


Part = Line | Table | Findings
