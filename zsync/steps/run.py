"""A run, from what was found to what is on record: steps 4 to 11 of the protocol, which every verb goes through."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from zsync.steps.decide import decide, is_on_record, refuse_errors
from zsync.steps.fitness import leave_out, roots_of
from zsync.steps.hashing import with_digests
from zsync.steps.survey import survey
from zsync.system import let_go_of_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.planning import Plan
    from zsync.report.progress import Progress
    from zsync.steps.carry import Carried
    from zsync.steps.stock import Stock
    from zsync.steps.surveyed import Surveyed
    from zsync.steps.terms import Terms
    from zsync.transfer import Executor


@dataclass(frozen=True, slots=True)
class Ran:
    """A run, as far as it came.

    Attributes
    ----------
    items
        The products, with everything that the plan is made of.
    plan
        What is planned.
    is_dry
        Nothing is to be written.
    is_done
        Nothing was left to do.
    carried
        What came of carrying out the plan; None if it was not.
    """

    items: tuple[Surveyed, ...]
    plan: Plan
    is_dry: bool = False
    is_done: bool = False
    carried: Carried | None = None


class Way:
    """What is special to a way, at each of the places where it may be; by default nothing.

    Methods are called in this order, and all but the last before anything is written.
    """

    def understood(self, item: Surveyed) -> Surveyed:
        """Return a product with what else is known of it, before it is decided what to do."""
        return item

    def planned(self, ran: Ran) -> Ran:
        """Return the run with what else its plan tells."""
        return ran

    def is_done(self, ran: Ran) -> bool:
        """Whether nothing is left to do."""
        return ran.plan.is_empty and is_on_record(ran.plan, ran.items)

    def check(self, ran: Ran) -> None:
        """Raise if the plan cannot be carried out."""

    def begin(self, ran: Ran) -> None:
        """Do what has to be done before the plan is carried out."""


_PLAIN = Way()


def run(stock: Sequence[Stock], terms: Terms, progress: Progress, *, way: Way = _PLAIN, is_dry: bool = False) -> Ran:
    """Bring the targets to hold what the sources do, as far as the terms allow.

    Parameters
    ----------
    stock
        What was found.
    way
        What is special to this way.
    is_dry
        Stop after the plan, having written nothing. Errors among its findings are the caller's to tell.

    Raises
    ------
    SourceError
        A source is unfit to publish, or changed meanwhile; no metadata was written.
    GuardError
        The plan finds an error.
    ConfigError
        There is no such cluster of workers, or it cannot be used.
    ConflictError
        Somebody else is at work.
    TargetError
        The target refused or could not be reached.
    """
    from zsync.transfer import executor_for

    specs = {item.spec for item in stock} | {spec for item in stock for spec in item.origin.specs}
    with executor_for(terms.scheduler, terms.workers, terms.client, specs) as executor:
        ran = way.planned(_planned(stock, terms, progress, way, executor, is_dry=is_dry))
        if is_dry and any(finding.level == "error" for finding in ran.plan.findings):
            return ran
        refuse_errors(ran.plan)
        ran = replace(ran, is_done=way.is_done(ran))
        way.check(ran)
        if is_dry or ran.is_done:
            return ran
        from zsync.steps.carry import carry

        executor.begin()
        way.begin(ran)
        ran = replace(ran, items=tuple(map(_without_what_was_compared, ran.items)))
        let_go_of_memory(len(ran.plan.table))
        return replace(ran, carried=carry(ran.items, ran.plan, terms, progress, executor))


def _without_what_was_compared(item: Surveyed) -> Surveyed:
    """Return a product without what only its plan was made of: of many objects that takes as much as the plan."""
    # Of what is on record only single files are asked for again: they may be left out, and stay as they are.
    survey, files = item.survey, pc.is_null(item.survey.manifest["store"])
    nothing = {name: getattr(survey, name).slice(0, 0) for name in ("target", "gone", "gone_selected", "headers")}
    lean = replace(survey, manifest=survey.manifest.filter(files), **nothing)
    return replace(item, survey=lean, inspected=replace(item.inspected, documents={}), unflipped=None)


def _planned(
    stock: Sequence[Stock], terms: Terms, progress: Progress, way: Way, executor: Executor, *, is_dry: bool
) -> Ran:
    """Return the products with everything that their plan is made of, and the plan.

    Where every store is for itself, those that the plan finds fault with are left out of it.
    """
    while True:
        count = sum(len(item.scan.keys) for item in stock)
        let_go_of_memory(count)
        surveyed = survey(stock, terms)
        let_go_of_memory(count)
        digested = [with_digests(item, terms, progress, executor, writes_cache=not is_dry) for item in surveyed]
        items = tuple(way.understood(item) for item in digested)
        del surveyed, digested
        let_go_of_memory(count)
        plan, renamed = decide(items, terms)
        while any(new is not old for new, old in zip(renamed, items, strict=True)):
            items = tuple(
                old if new is old
                else way.understood(with_digests(new, terms, progress, executor, writes_cache=not is_dry))
                for new, old in zip(renamed, items, strict=True)
            )  # fmt: skip
            plan, renamed = decide(items, terms)
        let_go_of_memory(count)
        stock = [_without_faults(item, plan) if terms.by_unit else item.stock for item in items]
        if all(now is item.stock for now, item in zip(stock, items, strict=True)):
            return Ran(items, plan, is_dry=is_dry)


def _without_faults(item: Surveyed, plan: Plan) -> Stock:
    faults = [
        finding
        for finding in plan.findings
        # That too much would go is said of the product as a whole, and is no store's fault.
        if finding.level == "error" and finding.product == item.name and finding.code != "max-delete"
    ]
    if not faults:
        return item.stock
    # A store that has lost its root, or all its metadata, is still one where it is published.
    roots = roots_of(item.stock, None, item.survey.target["key"].to_pylist())
    return leave_out(item.stock, roots, faults)
