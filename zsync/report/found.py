"""Lists of what was found: leases, what is in the trash, what was checked; each shows itself, and is a list."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from zsync.printable import printable
from zsync.report.showing import Showing
from zsync.report.shown import Line, Part, Table


class Item(Protocol):
    """What such a list holds: it can say itself in a line and as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""


Some = TypeVar("Some", bound=Item)


class Found(list[Some], Showing, Generic[Some]):
    """A list that is printed a line an item, and is a table in a notebook."""

    __repr__ = Showing.__repr__  # not that of a list

    def text(self) -> str:
        """Return a line an item, as the command prints it."""
        return "\n".join(printable(str(item)) for item in self) or "nothing"

    def brief(self) -> str:
        """Return how many there are."""
        return f"{len(self):,} item{'' if len(self) == 1 else 's'}"

    def to_dict(self) -> list[dict[str, Any]]:
        """Return it as JSON."""
        return [item.to_dict() for item in self]

    def to_pandas(self) -> Any:
        """Return it as a pandas DataFrame, a row an item."""
        import pandas as pd

        return pd.DataFrame(self.to_dict())

    def shown(self) -> list[Part]:
        """Return it as a table; of lists in it only how much they hold."""
        rows = [{name: _cell(value) for name, value in item.items()} for item in self.to_dict()]
        if not rows:
            return [Line("nothing")]
        return [
            Table(
                tuple(name.replace("_", " ") for name in rows[0]), [list(row.values()) for row in rows]
            ).without_blanks()
        ]


def _cell(value: Any) -> object:
    if isinstance(value, list):
        return f"{len(value):,}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else value
