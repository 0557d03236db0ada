"""What came of a pull: the values that `pull` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from zsync.pulling.show import pull_text
from zsync.report.format import human_bytes
from zsync.report.result import Result
from zsync.report.shown import Line, Table
from zsync.words import Action

if TYPE_CHECKING:
    from zsync.planning import Plan
    from zsync.steps.surveyed import Surveyed


Status = Literal["pulled", "unretired", "unchanged", "planned"]
_SAYS = {
    "pulled": "Pulled",
    "unretired": "Pulled, but some files that are not published any more could not be removed",
    "unchanged": "Nothing to do: all is here already",
    "planned": "Planned, nothing written",
}


@dataclass(frozen=True, slots=True)
class PulledProduct:
    """What a pull did, or would do, with one product.

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
    to_fetch, to_remove
        After a dry run, when nothing was received or removed: how many objects a pull would fetch and remove.
    bytes_to_fetch
        After a dry run: size of what a pull would fetch, in bytes.
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
    to_fetch: int = 0
    to_remove: int = 0
    bytes_to_fetch: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True, repr=False)
class PullResult(Result):
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
    plan: Plan

    @property
    def event(self) -> Literal["pulled"] | None:
        """What is told of it to those who asked; None if nothing was done."""
        return "pulled" if self.status in ("pulled", "unretired") else None

    def downloads(self) -> list[tuple[str, str]]:
        """Return URL and path of every object that is, or would be, fetched."""
        rows = self.plan.rows(Action.SEND).select(["product", "key"]).to_pylist()
        places = {product.name: product for product in self.products}
        return [
            (f"{places[row['product']].url}/{row['key']}", f"{places[row['product']].path}/{row['key']}")
            for row in rows
        ]

    def said(self) -> str:
        """Return what came of it as the command prints it."""
        return pull_text(self)

    def heading(self) -> Line:
        """Return what came of it in a line: how much, before where."""
        received, same = (sum(getattr(item, name) for item in self.products) for name in ("received", "unchanged"))
        size = human_bytes(sum(item.bytes for item in self.products))
        word = "to fetch" if self.status == "planned" else "received"
        return Line(f"{received:,} {word} ({size}), {same:,} unchanged; {self.seconds:.1f} s", _SAYS[self.status])

    def table(self) -> Table:
        """Return what came of it in a table, a row a product."""
        received = "to fetch" if self.status == "planned" else "received"
        head = ("product", "from", "to", received, "unchanged", "left alone", "removed", "size")
        rows = [
            [
                item.name,
                item.url,
                item.path,
                item.received + item.to_fetch,
                item.unchanged,
                item.left,
                item.retired + item.to_remove,
                human_bytes(item.bytes + item.bytes_to_fetch),
            ]
            for item in self.products
        ]
        return Table(head, rows).without_blanks()


def pulled_product(plan: Plan, item: Surveyed, url: str, publication: str | None, *, is_planned: bool) -> PulledProduct:
    """Return one product's share in the result of a pull."""
    name = item.name
    counts = (plan.count(Action.SEND, name), plan.count(Action.RETIRE, name), plan.bytes(Action.SEND, name))
    received, retired, size = (0, 0, 0) if is_planned else counts
    to_fetch, to_remove, bytes_to_fetch = counts if is_planned else (0, 0, 0)
    return PulledProduct(
        name=name,
        url=url,
        path=f"/{item.stock.product.location.path}",
        publication=publication,
        received=received,
        unchanged=plan.count(Action.UNCHANGED, name),
        left=plan.count(Action.KEEP, name),
        retired=retired,
        bytes=size,
        to_fetch=to_fetch,
        to_remove=to_remove,
        bytes_to_fetch=bytes_to_fetch,
    )
