"""Bring what was found to this machine: a run of the protocol, the other way."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from zsync.pulling.adopt import adopted
from zsync.pulling.edits import keeping_edits
from zsync.pulling.pending import forget, note
from zsync.pulling.pulled import PullResult, pulled_product
from zsync.pulling.words import finding_of_pull, of_pull
from zsync.steps.room import check_links, check_names, check_space
from zsync.steps.run import Way, run
from zsync.steps.terms import Terms
from zsync.steps.wording import advising
from zsync.storage.writable import check_replaceable, check_writable, directories_for
from zsync.tables import column, texts_of
from zsync.words import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.config import Publish
    from zsync.planning import Plan
    from zsync.pulling.found import Found
    from zsync.pulling.pulled import Status
    from zsync.pulling.wanted import Wanted
    from zsync.report.progress import Progress
    from zsync.steps.run import Ran
    from zsync.steps.surveyed import Surveyed


def terms_of_pull(publish: Publish) -> Terms:
    """Return the terms of a pull that replaces what differs; the user chooses only how it is carried out."""
    return Terms(
        retire="delete",  # of what was pulled and is not published any more; it can be pulled again
        retires="ours-and-strays",
        allows_damage=True,  # it was judged when it was published
        replaces=True,
        consolidate="renew",  # where not all is pulled it must tell the truth; else the copy is what is published
        workers=publish.workers,
        scheduler=publish.scheduler,
        in_words=of_pull,
    )


def bring(
    found: Sequence[Found], terms: Terms, progress: Progress, started: float, *, is_dry: bool = False
) -> PullResult:
    """Bring what was found.

    Parameters
    ----------
    started
        The reading of the monotonic clock when the work began, in seconds.
    is_dry
        Stop after the plan, having written nothing.

    Raises
    ------
    ZsyncError
        As for `zsync.pull`.
    """
    with advising(of_pull):
        ran = run([item.stock for item in found], terms, progress, way=_Pull(found, terms), is_dry=is_dry)
    products = tuple(
        pulled_product(ran.plan, item, place.wanted.place.url, place.publication, is_planned=ran.is_dry)
        for item, place in zip(ran.items, found, strict=True)
    )
    if not is_dry:
        for item in ran.items:
            forget(item)
    findings, status = ran.plan.findings, _status(ran, is_dry=is_dry)
    if ran.carried is not None:
        findings = (*findings, *map(finding_of_pull, ran.carried.findings))
    return PullResult(status, products, findings, time.monotonic() - started, ran.plan)


def _status(ran: Ran, *, is_dry: bool) -> Status:
    if is_dry:
        return "planned"
    if ran.carried is None:
        return "unchanged"
    return "unretired" if ran.carried.stay else "pulled"


@dataclass(frozen=True, slots=True)
class _Pull(Way):
    """What is special to a pull."""

    found: Sequence[Found]
    terms: Terms

    def understood(self, item: Surveyed) -> Surveyed:
        """Recognise what is here already: files too where everything is compared."""
        return adopted(item, everything=not self.terms.leaves_existing)

    def planned(self, ran: Ran) -> Ran:
        """Keep copies of what was changed here and makes way."""
        if self.terms.keeps:  # of all of it
            return ran
        kept = [keeping_edits(item, ran.plan) for item in ran.items]
        said = [finding for _, findings in kept for finding in findings]
        plan = replace(ran.plan, findings=(*ran.plan.findings, *said))
        return replace(ran, items=tuple(item for item, _ in kept), plan=plan)

    def check(self, ran: Ran) -> None:
        """Raise if what is to come has no place here, or cannot be written."""
        _check_room(ran.plan, [item.wanted for item in self.found], tries=not ran.is_dry)
        if not ran.is_done:
            _check_writable(ran.plan, ran.items)

    def begin(self, ran: Ran) -> None:
        """Note what is about to be written, so that what is cut off is known to be ours."""
        for item in ran.items:
            note(item, ran.plan)


def _check_room(plan: Plan, wanted: Sequence[Wanted], *, tries: bool) -> None:
    """Raise if what is to come has no place here; which names are one to the file system is tried out, if it may be."""
    above = os.path.commonpath([os.path.dirname(item.directory) for item in wanted])
    if tries:
        check_names(above, [os.path.relpath(item.directory, above) for item in wanted])
    for item in wanted:
        check_space(item.directory, plan.bytes(Action.SEND, item.name))
        check_links(item.directory, _keys(plan, item.name, Action.SEND, Action.RETIRE))
        if tries:
            check_names(item.directory, _keys(plan, item.name, Action.SEND, Action.UNCHANGED))


def _keys(plan: Plan, product: str, *actions: Action) -> Sequence[str]:
    rows, words = plan.share(product), column([str(action) for action in actions], pa.string())
    return texts_of(rows["key"].filter(pc.is_in(rows["action"], words)))


def _check_writable(plan: Plan, items: Sequence[Surveyed]) -> None:
    """Raise if a pull would not get to its end here, before it begins."""
    for item in items:
        root = f"/{item.stock.product.location.path}"
        sent = _keys(plan, item.name, Action.SEND)
        check_writable([f"/{item.stock.state.prefix}", *directories_for(root, sent)])
        check_replaceable(root, sent)
