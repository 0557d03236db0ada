"""What the results of verbs have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from zsync.errors import ExitStatus
from zsync.report.showing import Showing
from zsync.report.shown import Findings
from zsync.report.text import findings_text

if TYPE_CHECKING:
    from zsync.report.shown import Line, Part, Table
    from zsync.words import Finding


class Jsonable(Protocol):
    """What can say itself as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""


@dataclass(frozen=True, slots=True, repr=False)
class Result(Showing):
    """What came of a verb.

    Attributes
    ----------
    status
        What was done, in a word; ``planned`` after a dry run, ``unretired`` where some of what is gone could not be
        taken away.
    products
        What was done with each product.
    findings
        What was noticed on the way.
    seconds
        How long it took.
    """

    status: str
    products: tuple[Jsonable, ...]
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def event(self) -> Literal["published", "pulled", "synced"] | None:
        """What is told of it to those who asked; None if nothing was done."""
        raise NotImplementedError

    @property
    def exit_status(self) -> ExitStatus:
        """The exit status of the command that it comes to."""
        if self.status == "unretired":
            return ExitStatus.UNRETIRED
        is_unfit = self.status == "planned" and any(finding.level == "error" for finding in self.findings)
        return ExitStatus.SOURCE if is_unfit else ExitStatus.DONE

    def rows(self) -> list[dict[str, Any]]:
        """Return it as rows, one a product."""
        return [product.to_dict() for product in self.products]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            "status": self.status,
            "products": [product.to_dict() for product in self.products],
            "findings": [finding.to_dict() for finding in self.findings],
            "seconds": round(self.seconds, 3),
        }

    def to_pandas(self) -> Any:
        """Return the rows as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def brief(self) -> str:
        """Return it in a word or two."""
        count = len(self.products)
        return f"{self.status}, {count:,} product{'' if count == 1 else 's'}, {self.seconds:.1f} s"

    def said(self) -> str:
        """Return what came of it as the command prints it, but for what was noticed on the way."""
        raise NotImplementedError

    def text(self) -> str:
        """Return it as the command prints it."""
        return "\n".join(filter(None, (findings_text(self.findings), self.said())))

    def heading(self) -> Line:
        """Return what came of it in a line."""
        raise NotImplementedError

    def table(self) -> Table:
        """Return what came of it in a table."""
        raise NotImplementedError

    def shown(self) -> list[Part]:
        """Return what is to be seen of it."""
        return [self.heading(), self.table(), Findings(self.findings)]
