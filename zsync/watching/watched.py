"""What came of watching: the value that `watch` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zsync.errors import ExitStatus
from zsync.report.showing import Showing
from zsync.report.shown import Line, Table
from zsync.report.text import columns

if TYPE_CHECKING:
    from zsync.errors import ZsyncError
    from zsync.report.shown import Part
    from zsync.watching.status import SiteStatus


@dataclass(frozen=True, slots=True, repr=False)
class WatchResult(Showing):
    """What came of watching.

    Attributes
    ----------
    sites
        How each site was doing at the end.
    errors
        What went wrong in one pass (``once``), by site.
    """

    sites: dict[str, SiteStatus]
    errors: dict[str, ZsyncError]

    @property
    def exit_status(self) -> int:
        """0, or the exit status of the first site that failed."""
        return next((int(error.exit_status) for error in self.errors.values()), int(ExitStatus.DONE))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {name: status.to_dict() for name, status in self.sites.items()}

    def brief(self) -> str:
        """Return it in a word or two."""
        return f"{len(self.sites):,} sites, of which {len(self.errors):,} failed"

    def text(self) -> str:
        """Return how each site was doing, a line a site."""
        return columns([[str(cell) for cell in row] for row in self._rows()]) if self.sites else "no sites"

    def shown(self) -> list[Part]:
        """Return what is to be seen of it."""
        return [Line("", self.brief()), Table(("site", "state", "publication", "objects", "target", ""), self._rows())]

    def _rows(self) -> list[list[object]]:
        return [
            [name, site.state, site.publication or "", site.objects, site.target, site.error or ""]
            for name, site in self.sites.items()
        ]
