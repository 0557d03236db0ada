"""The table of what each object is, built from few verdicts and many codes.

A product has millions of keys but few kinds of them: each distinct verdict is kept once, each key holds its number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from zsync.tables import OBJECTS, column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.words import Role, Stage


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an object is, and when it goes."""

    role: Role
    stage: Stage
    rank: int = 0
    store: str | None = None
    array: str | None = None
    in_grid: bool | None = None


@dataclass(slots=True)
class Verdicts:
    """The distinct verdicts, each with its number."""

    known: list[Verdict] = field(default_factory=list)
    numbers: dict[Verdict, int] = field(default_factory=dict)

    def number(self, verdict: Verdict) -> int:
        """Return the number of a verdict."""
        number = self.numbers.setdefault(verdict, len(self.known))
        if number == len(self.known):
            self.known.append(verdict)
        return number

    def table(self, keys: Sequence[str], codes: Sequence[int]) -> pa.Table:
        """Return the table of the keys, of which each has the verdict with its code."""
        columns: dict[str, list[Any]] = {
            "store": [v.store for v in self.known],
            "array": [v.array for v in self.known],
            "role": [v.role.value for v in self.known],
            "stage": [v.stage.value for v in self.known],
            "rank": [v.rank for v in self.known],
            "in_grid": [v.in_grid for v in self.known],
        }
        which = column(codes, pa.int32())
        taken = {name: column(values, OBJECTS.field(name).type).take(which) for name, values in columns.items()}
        return pa.table({"key": column(keys, pa.string()), **taken}, schema=OBJECTS)
