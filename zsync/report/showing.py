"""What shows itself: printed as the command prints it, in a notebook as HTML, in a word or two where it is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zsync.report.html import html

if TYPE_CHECKING:
    from zsync.report.shown import Part


class Showing:
    """A value that shows itself: `print` has what the command prints, a notebook tables, a debugger one line."""

    __slots__ = ()

    def text(self) -> str:
        """Return it as the command prints it."""
        raise NotImplementedError

    def brief(self) -> str:
        """Return it in a word or two."""
        raise NotImplementedError

    def shown(self) -> list[Part]:
        """Return what is to be seen of it."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.brief()}>"

    def _repr_html_(self) -> str:
        return html(self.shown())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001 - as IPython calls it
        """Have IPython in a terminal show the text, and only a word or two of what lies in a list or a dict."""
        is_alone = not cycle and len(getattr(printer, "stack", ())) <= 1
        printer.text(self.text() if is_alone else repr(self))
