"""What plans and results show of themselves: lines and tables, handed over as values and rendered elsewhere."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from zsync.words import Finding

Row = TypeVar("Row")
Key = TypeVar("Key")


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

    def without_blanks(self) -> Table:
        """Return it without columns in which nothing is said, or 0 of everything.

        Examples
        --------
        >>> Table(("array", "old", "new"), [["a", "", 3], ["b", 0, 4]]).without_blanks().head
        ('array', 'new')
        """
        said = [n for n in range(len(self.head)) if not n or any(row[n] not in ("", 0) for row in self.rows)]
        return Table(tuple(self.head[n] for n in said), [[row[n] for n in said] for row in self.rows])


@dataclass(frozen=True, slots=True)
class Findings:
    """What was noticed."""

    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Folded:
    """A table that is there for who opens it; its title says what is in it."""

    title: str
    table: Table


Part = Line | Table | Findings | Folded


def summed(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """Return rows by what is equal in them, in the order in which each comes first.

    Examples
    --------
    >>> summed(["a.new", "b.new", "c.update"], lambda name: name[2:])
    {'new': ['a.new', 'b.new'], 'update': ['c.update']}
    """
    found: defaultdict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return dict(found)


def counted(names: Iterable[str], what: str) -> str:
    """Return the one name that there is, or how many there are.

    Examples
    --------
    >>> counted(["sst", "sst"], "arrays"), counted(["sst", "time"], "arrays")
    ('sst', '2 arrays')
    """
    found = dict.fromkeys(names)
    return next(iter(found)) if len(found) == 1 else f"{len(found):,} {what}"
