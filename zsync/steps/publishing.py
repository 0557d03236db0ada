"""Publish what stock was taken of: what `publish` does once, and `watch` again and again."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from zsync.inventory import bounds_among, keep_seen
from zsync.steps.memo import Memo, is_outdated
from zsync.steps.result import PublishResult, known, result_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.config import ResolvedProduct
    from zsync.inventory import Scan
    from zsync.report.progress import Progress
    from zsync.steps.run import Ran
    from zsync.steps.stock import Stock
    from zsync.steps.terms import Terms
    from zsync.words import Finding


log = logging.getLogger(__name__)


def publish_stock(
    stock: Sequence[Stock], terms: Terms, progress: Progress, started: float, *, taken_ns: int, is_dry: bool = False
) -> PublishResult:
    """Publish what stock was taken of: what follows step 2 of the protocol.

    Parameters
    ----------
    started
        The reading of the monotonic clock when the work began, in seconds.
    taken_ns
        When taking stock began, in nanoseconds since the epoch.
    is_dry
        Stop after the plan, having written nothing.

    Raises
    ------
    ZsyncError
        As for `zsync.publish`.
    """
    memo = Memo(terms, stock)
    if not is_dry and (remembered := memo.recall()) is not None:
        _say_unrecorded(terms)
        return known(remembered, started)

    if not is_dry:
        _remember(stock)
    stock, refused = _without_undoing(stock, terms, progress, is_dry=is_dry)
    if not stock:
        return PublishResult("unchanged", (), tuple(refused), time.monotonic() - started)
    from zsync.planning import Grace
    from zsync.steps.run import run

    ran = run(stock, terms, progress, is_dry=is_dry)
    result = result_of_run(ran, stock, started)
    if result.status == "unchanged":
        _say_unrecorded(terms)
        if not refused and _may_be_remembered(ran, stock):
            grace = Grace(terms.grace_s, 0, terms.flipped_s)
            memo.keep(result.to_dict(), taken_ns, ran.plan.waits_until(grace))
    return replace(result, findings=(*result.findings, *refused)) if refused else result


def _without_undoing(
    stock: Sequence[Stock], terms: Terms, progress: Progress, *, is_dry: bool
) -> tuple[Sequence[Stock], list[Finding]]:
    """Return the stock with an error where a rollback would be undone; or, where that stops no other, without it."""
    if all(item.head.undoes is None for item in stock):
        return stock, []
    from zsync.steps.undoing import would_undo

    found = {finding.product: finding for finding in would_undo(stock, terms, progress, is_dry=is_dry)}
    if terms.by_unit:
        return [item for item in stock if item.product.name not in found], list(found.values())
    noticed = {name: (finding,) for name, finding in found.items()}
    return [replace(i, noticed=(*i.noticed, *noticed.get(i.product.name, ()))) for i in stock], []


def result_of_run(ran: Ran, stock: Sequence[Stock], started: float) -> PublishResult:
    """Return what came of a run.

    Parameters
    ----------
    stock
        What was found before it.
    started
        The reading of the monotonic clock when the work began, in seconds.
    """
    if ran.is_dry:
        return result_of("planned", _newest(stock), ran.plan, started)
    left_out = tuple(finding for item in ran.items for finding in item.stock.left_out)
    if ran.carried is None:
        return result_of("unchanged", _newest(stock), ran.plan, started, left_out)
    carried = ran.carried
    status: Literal["published", "unretired"] = "unretired" if carried.stay else "published"
    stay = Counter(failure.product for failure in carried.stay)
    return result_of(status, carried.publication, carried.plan, started, (*carried.findings, *left_out), stay)


def get_ready(products: Sequence[ResolvedProduct], scans: Sequence[Scan]) -> None:
    """Load what a publish needs that will have something to do: that takes longer than targets do to answer.

    Parameters
    ----------
    scans
        What the sources hold.
    """
    if is_outdated(products, scans):
        import zsync.steps.carry
        import zsync.steps.run  # noqa: F401 - loaded only


def _remember(stock: Sequence[Stock]) -> None:
    """Remember what was seen of the targets; their listings can be cut at keys that are there, or that will be."""
    for item in stock:
        there: Sequence[str] = () if item.listing is None else item.listing.keys
        bounds = tuple(bounds_among(max(there, item.scan.keys, key=len)))
        keep_seen(item.product.location, lease=item.lease.etag, bounds=bounds)


def _say_unrecorded(terms: Terms) -> None:
    if terms.remarks.message is not None:
        log.info("nothing changed, so that there is no new publication: the message is on no record")


def _may_be_remembered(ran: Ran, stock: Sequence[Stock]) -> bool:
    """Whether the same found again means the same plan: what a first listing lacked a memo of it would hide."""
    return all(item.stock.listing is found.listing for item, found in zip(ran.items, stock, strict=True))


def _newest(stock: Sequence[Stock]) -> str | None:
    """Return the newest publication among the products' heads."""
    return max((item.head.publication for item in stock if item.head.publication is not None), default=None)
