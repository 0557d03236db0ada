"""What came of a publish: the values that `publish` returns."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from zsync.report.format import human_bytes
from zsync.report.result import Result
from zsync.report.shown import Line, Table
from zsync.steps.show import result_text
from zsync.words import Action, Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zsync.planning import Plan
    from zsync.report.shown import Part

Status = Literal["published", "unretired", "unchanged", "planned"]
_SAYS = {
    "published": "Published",
    "unretired": "Published, but not all that is gone from the source could be retired",
    "unchanged": "Nothing to do: every object is published already",
    "planned": "Planned, nothing written",
}
_ROLLED_BACK = {
    "published": "Rolled back to",
    "unretired": "Not all that is to go could be retired, else rolled back to",
    "unchanged": "Nothing to do: what is published is equal to",
    "planned": "Planned, nothing written: back to",
}


@dataclass(frozen=True, slots=True)
class ProductResult:
    """What a publish did, or a plan would do, with one product.

    Attributes
    ----------
    sent, unchanged, retired
        Numbers of objects; after a dry run nothing was sent or retired.
    bytes
        Size of what was sent, in bytes.
    to_send, to_retire
        After a dry run: how many objects a publish would send and retire.
    bytes_to_send
        After a dry run: size of what a publish would send, in bytes.
    copied, to_copy
        Numbers of objects that the service copies, of bytes that it has already: chunks that get other keys.
    """

    name: str
    url: str
    sent: int
    unchanged: int
    retired: int
    bytes: int
    to_send: int = 0
    to_retire: int = 0
    bytes_to_send: int = 0
    copied: int = 0
    to_copy: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the product's result as JSON."""
        return {
            "name": self.name,
            "url": self.url,
            "sent": self.sent,
            "unchanged": self.unchanged,
            "retired": self.retired,
            "bytes": self.bytes,
            "to_send": self.to_send,
            "to_retire": self.to_retire,
            "bytes_to_send": self.bytes_to_send,
            "copied": self.copied,
            "to_copy": self.to_copy,
        }


@dataclass(frozen=True, slots=True, repr=False)
class PublishResult(Result):
    """What came of a publish.

    Attributes
    ----------
    status
        ``published``; ``unretired``: published and on record, but some of what is gone from the source could not be
        retired; ``unchanged`` if there was nothing to do; ``planned`` after a dry run.
    products
        What was done with each product.
    findings
        What was noticed on the way.
    seconds
        How long it took.
    publication
        Id of the publication that readers now see; None if the products were never published.
    plan
        What was planned; None if there was nothing to do.
    note
        Why there was nothing to do, where the configuration says so.
    restores
        Of a rollback: the earlier publication; of products that went back to several, the newest of them.
    stay
        Of a rollback: URLs of the products that it left as they are.
    """

    status: Status
    products: tuple[ProductResult, ...]
    publication: str | None = None
    plan: Plan | None = None
    note: str | None = None
    restores: str | None = None
    stay: tuple[str, ...] = ()

    @property
    def is_published(self) -> bool:
        """Whether there is a new publication."""
        return self.status in ("published", "unretired")

    @property
    def would_change(self) -> bool:
        """Whether it is a plan, by which something would be sent or retired."""
        return any(product.to_send or product.to_retire or product.to_copy for product in self.products)

    @property
    def event(self) -> Literal["published"] | None:
        """What is told of it to those who asked; None if nothing was done."""
        return "published" if self.is_published else None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON; after a dry run with the plan."""
        document = {"status": self.status, "publication": self.publication, **Result.to_dict(self)}
        if self.restores is not None:
            document |= {"restores": self.restores, "stay": list(self.stay)}
        if self.note is not None:
            document["note"] = self.note
        if self.status == "planned" and self.plan is not None:
            document["plan"] = self.plan.to_dict()
        return document

    def said(self) -> str:
        """Return what came of it as the command prints it."""
        if self.status == "planned" and self.plan is not None:
            from zsync.planning.show import plan_text

            return plan_text(self.plan)  # what was noticed is told before it
        return result_text(self)

    def heading(self) -> Line:
        """Return what came of it in a line: how much, before where."""
        says = _SAYS[self.status]
        if self.restores is not None:
            says = f"{_ROLLED_BACK[self.status]} {self.restores}"
        counts = f"{sum(item.unchanged for item in self.products):,} unchanged"
        if self.is_published:
            sent, retired = (sum(getattr(item, name) for item in self.products) for name in ("sent", "retired"))
            size = human_bytes(sum(item.bytes for item in self.products))
            copied = f"{number:,} copied, " if (number := sum(item.copied for item in self.products)) else ""
            counts = f"{sent:,} sent ({size}), {copied}{counts}, {retired:,} retired"
        return Line(f"{counts}; {self.seconds:.1f} s", says, self.publication or "")

    def table(self) -> Table:
        """Return what came of it in a table, a row a product."""
        rows = [
            [item.name, item.url, item.sent + item.to_send, item.unchanged, item.retired + item.to_retire,
             human_bytes(item.bytes + item.bytes_to_send)]
            for item in self.products
        ]  # fmt: skip
        is_planned = self.status == "planned"
        verbs = ("to send", "to retire", "size to send") if is_planned else ("sent", "retired", "size sent")
        return Table(("product", "target", verbs[0], "unchanged", verbs[1], verbs[2]), rows)

    def shown(self) -> list[Part]:
        """Return what is to be seen of it; what was planned, array by array, for who opens it."""
        if self.note is not None:
            return [Line(self.note)]
        if self.plan is None:
            return Result.shown(self)
        if self.status == "planned":
            return [Line(f"{self.seconds:.1f} s", _SAYS[self.status]), *self.plan.shown()]
        return [*Result.shown(self), *self.plan.folded()]


def product_result(plan: Plan, name: str, url: str, stay: int = 0, *, is_planned: bool = False) -> ProductResult:
    """Return one product's share in the result of a plan, of which so many objects could not be retired."""
    sent, retired, size = plan.count(Action.SEND, name), plan.count(Action.RETIRE, name), plan.bytes(Action.SEND, name)
    unchanged, copied = plan.count(Action.UNCHANGED, name), plan.count(Action.COPY, name)
    if is_planned:
        return ProductResult(
            name, url, 0, unchanged, 0, 0, to_send=sent, to_retire=retired, bytes_to_send=size, to_copy=copied
        )
    return ProductResult(name, url, sent, unchanged, retired - stay, size, copied=copied)


def result_of(
    status: Status, publication: str | None, plan: Plan, started: float, findings: tuple[Finding, ...] = (),
    stay: Mapping[str, int] | None = None,
) -> PublishResult:  # fmt: skip
    """Return the result of a plan.

    Parameters
    ----------
    started
        The reading of the monotonic clock when the work began, in seconds.
    findings
        What was noticed beside what the plan says.
    stay
        By product, how many objects could not be retired.
    """
    stay = stay or {}
    products = tuple(
        product_result(plan, product.name, product.url, stay.get(product.name, 0), is_planned=status == "planned")
        for product in plan.products
    )
    kept = None if status == "unchanged" else plan
    seconds = time.monotonic() - started
    return PublishResult(status, products, (*plan.findings, *findings), seconds, publication, kept)


def known(document: dict[str, Any], started: float) -> PublishResult:
    """Return the result that a memo holds."""
    own = ProductResult.__dataclass_fields__  # another version may have kept more
    products = tuple(
        ProductResult(**{name: value for name, value in product.items() if name in own})
        for product in document["products"]
    )
    findings = tuple(Finding(**finding) for finding in document["findings"])
    return PublishResult("unchanged", products, findings, time.monotonic() - started, document["publication"])
