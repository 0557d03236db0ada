"""What shows itself in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.report.html import html

if TYPE_CHECKING:
    from zsync.report.shown import Part


class Showing:
    """A value that shows itself in a notebook."""

    __slots__ = ()

    def shown(self) -> list[Part]:
        """Return what is to be seen of it."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return html(self.shown())
