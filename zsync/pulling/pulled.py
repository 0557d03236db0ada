"""What came of a pull: the values that `pull` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from zsync.errors import ExitStatus
from zsync.words import Action, Finding

if TYPE_CHECKING:
    from zsync.planning import Plan
    from zsync.steps.surveyed import Surveyed


Status = Literal["pulled", "unretired", "unchanged", "planned"]


@dataclass(frozen=True, slots=True)
class PulledProduct:
    """What a pull did (or, planned, would do) with one product.

    Attributes
    ----------
    url, path
        From where, and to where.
    publication
        The publication that it is; None if zsync did not publish it.
    received, unchanged, left, retired
        Numbers of objects: fetched, the same already, there and not touched, gone from the publication and removed.
    bytes
        Size of what was received, in bytes.
    """

    name: str
    url: str
    path: str
    publication: str | None
    received: int
    unchanged: int
    left: int
    retired: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class PullResult:
    """What came of a pull.

    Attributes
    ----------
    status
        ``pulled``; ``unretired``: pulled, but some files that are not published any more could not be removed;
        ``unchanged`` if there was nothing to do; ``planned`` after a dry run.
    products
        What was done with each product.
    findings
        What was noticed on the way.
    seconds
        How long it took.
    plan
        What was planned.
    """

    status: Status
    products: tuple[PulledProduct, ...]
    findings: tuple[Finding, ...]
    seconds: float
    plan: Plan

    @property
    def event(self) -> Literal["pulled"] | None:
        """What is told of it to those who asked; None if nothing was done."""
        return "pulled" if self.status in ("pulled", "unretired") else None

    @property
    def exit_status(self) -> ExitStatus:
        """The exit status of the command that it comes to."""
        if self.status == "unretired":
            return ExitStatus.UNRETIRED
        is_unfit = self.status == "planned" and any(finding.level == "error" for finding in self.findings)
        return ExitStatus.SOURCE if is_unfit else ExitStatus.DONE

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            "status": self.status,
            "products": [product.to_dict() for product in self.products],
            "findings": [finding.to_dict() for finding in self.findings],
            "seconds": round(self.seconds, 3),
        }

    def downloads(self) -> list[tuple[str, str]]:
        """Return URL and path of every object that is, or would be, fetched."""
        rows = self.plan.rows(Action.SEND).select(["product", "key"]).to_pylist()
        places = {product.name: product for product in self.products}
        return [
            (f"{places[row['product']].url}/{row['key']}", f"{places[row['product']].path}/{row['key']}")
            for row in rows
        ]

    def to_pandas(self) -> Any:
        """Return one row a product, as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame([product.to_dict() for product in self.products])

    def _repr_html_(self) -> str:
        from zsync.report.html import findings_html, html_table

        head = ["product", "from", "to", "received", "unchanged", "left alone", "removed", "bytes"]
        rows = [
            [item.name, item.url, item.path, item.received, item.unchanged, item.left, item.retired, item.bytes]
            for item in self.products
        ]
        return (
            f"<p><b>{self.status}</b> in {self.seconds:.1f} s</p>{html_table(head, rows)}{findings_html(self.findings)}"
        )


def pulled_product(plan: Plan, item: Surveyed, url: str, publication: str | None) -> PulledProduct:
    """Return one product's share in the result of a pull."""
    name = item.name
    return PulledProduct(
        name=name,
        url=url,
        path=f"/{item.stock.product.location.path}",
        publication=publication,
        received=plan.count(Action.SEND, name),
        unchanged=plan.count(Action.UNCHANGED, name),
        left=plan.count(Action.KEEP, name),
        retired=plan.count(Action.RETIRE, name),
        bytes=plan.bytes(Action.SEND, name),
    )
