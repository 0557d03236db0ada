"""Tell those who asked of what came of a publish or a pull."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from zsync.errors import ExitStatus, ZsyncError
from zsync.notices import Event, tell
from zsync.report.traces import show_interrupt_in_ipython

if TYPE_CHECKING:
    from collections.abc import Callable

    from zsync.config import RunConfig
    from zsync.planning import Plan
    from zsync.report.result import Result

log = logging.getLogger(__name__)

Came = TypeVar("Came", bound="Result")


def and_tell(config: RunConfig, work: Callable[[], Came], *, site: str | None = None) -> Came:
    """Do some work, and tell what came of it: that something was published or pulled, or that it failed.

    Nothing is told of a dry run, nor where there was nothing to do. What nobody could be told is among the findings of
    the result, or, of a failure, on the log.

    Parameters
    ----------
    config
        Says who is told.
    work
        A publish or a pull, that has not begun yet.
    site
        The site that it is about, of many.
    """
    started = time.monotonic()
    try:
        result = work()
    except KeyboardInterrupt as error:
        show_interrupt_in_ipython(error)
        raise
    except Exception as error:
        if config.notify:
            for finding in tell(config, _failure(config, error, time.monotonic() - started, site)):
                log.warning("%s: %s", finding.key, finding.message)
        raise
    if result.event is None or not config.notify:
        return result
    return replace(result, findings=(*result.findings, *tell(config, _success(result, site))))


def _success(result: Result, site: str | None) -> Event:
    plan = getattr(result, "plan", None)  # a synchronization has as many as it made publications
    products = tuple(_with_changes(product.to_dict(), plan) for product in result.products)
    return Event(
        kind=result.event or "published",
        publication=getattr(result, "publication", None) or _common([item.get("publication") for item in products]),
        products=products,
        findings=result.findings,
        seconds=result.seconds,
        site=site,
    )


def _common(publications: list[str | None]) -> str | None:
    """Return the publication that all products that were pulled are of, if they are of one."""
    return publications[0] if len(set(publications)) == 1 else None


def _with_changes(product: dict[str, Any], plan: Plan | None) -> dict[str, Any]:
    """Return a product's share, with what happened to its arrays."""
    if plan is None:
        return product
    changes = [
        {"store": change.store, "array": change.array, "class": str(change.kind)}
        for change in plan.changes
        if change.product == product["name"] and change.kind != "unchanged"
    ]
    return {**product, "changes": changes}


def _failure(config: RunConfig, error: Exception, seconds: float, site: str | None) -> Event:
    products: tuple[dict[str, Any], ...] = ()
    with suppress(ZsyncError):
        products = tuple({"name": item.name, "url": item.location.url} for item in config.resolve())
    ours = isinstance(error, ZsyncError)
    return Event(
        kind="failed",
        products=products,
        seconds=seconds,
        # The text of an error that is not of our family may hold anything.
        error=str(error) if ours else f"internal error: {type(error).__name__}",
        exit_status=int(error.exit_status if isinstance(error, ZsyncError) else ExitStatus.FAILED),
        site=site,
    )
