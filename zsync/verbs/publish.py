"""Publish: the main job. `publish` reads like the protocol (see ARCHITECTURE)."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from zsync.config import RunConfig
from zsync.errors import ConfigError
from zsync.notices.telling import and_tell
from zsync.report.progress import progress_for
from zsync.steps.memo import Memo
from zsync.steps.result import PublishResult, known, result_of
from zsync.steps.settle import wait_until_settled
from zsync.steps.stock import take_stock

if TYPE_CHECKING:
    from zsync.planning import Plan
    from zsync.report.progress import Progress
    from zsync.steps.stock import Stock


def publish(
    run_config: Any = None,
    *,
    target: str | None = None,
    dry_run: bool = False,
    client: Any = None,
    progress: Progress | bool | None = None,
    **overrides: Any,
) -> PublishResult:
    """Publish the products of a run: send what changed, consolidated metadata last, and put it on record.

    Readers of the target see the old state of a store, whole, until they see the new one, whole. If anything fails,
    they go on seeing the old one, and the same call finishes the work. Files outside stores turn over one by one, what
    names others after it; which of them have is said if anything fails.

    Parameters
    ----------
    run_config
        A dict, a path (YAML, JSON, TOML), a `RunConfig`, or None for the environment.
    target
        URL to publish to, in place of the configuration's.
    dry_run
        Stop after the plan, having written nothing.
    client
        A `distributed.Client`; not available in this version.
    progress
        True for progress bars, False for none, None for what suits the place, or an object of your own with the
        methods of `zsync.report.progress.Progress`.
    **overrides
        Any option of the configuration by its name, for instance ``retire="keep"`` or ``workers=8``.

    Returns
    -------
    PublishResult
        What was done; shows itself in a notebook.

    Raises
    ------
    ConfigError
        The configuration is wrong or incomplete.
    SourceError
        A source is missing or unfit to publish, or changed meanwhile; no store that readers see was changed.
    ConflictError
        Somebody else published the same product meanwhile.
    TargetError
        The target refused or could not be reached.

    Examples
    --------
    >>> import zsync
    >>> result = zsync.publish({"source": "/data/oco3", "target": "s3://bucket/oco3"})  # doctest: +SKIP
    >>> result.status  # doctest: +SKIP
    'published'
    """
    started = time.monotonic()
    if client is not None:
        raise ConfigError("a distributed client is not available in this version", "client", "leave it out")
    config = RunConfig.from_any(run_config, target=target, **overrides)
    dry_run = dry_run or config.dry_run
    if config.nothing_to_do is not None:
        return PublishResult("unchanged", None, (), (), time.monotonic() - started, None, config.nothing_to_do)

    def work() -> PublishResult:
        return _publish(config, progress_for(progress), started, dry_run=dry_run)

    return work() if dry_run else and_tell(config, work)


def _publish(config: RunConfig, watcher: Progress, started: float, *, dry_run: bool) -> PublishResult:
    products = config.resolve()
    if not dry_run:
        wait_until_settled(config, products)
    taken_ns = time.time_ns()
    stock = take_stock(config, products, watcher, publishes=not dry_run)
    return publish_stock(config, stock, watcher, started, taken_ns=taken_ns, dry_run=dry_run)


def publish_stock(
    config: RunConfig, stock: list[Stock], watcher: Progress, started: float, *, taken_ns: int, dry_run: bool = False
) -> PublishResult:
    """Publish what stock was taken of: what follows step 2 of the protocol.

    Parameters
    ----------
    taken_ns
        When taking stock began, in nanoseconds since the epoch.

    Raises
    ------
    ZsyncError
        As for `publish`.
    """
    memo = Memo(config, stock)
    if not dry_run and (remembered := memo.recall()) is not None:
        return known(remembered, started)

    from zsync.steps.decide import is_on_record, planned, refuse_errors

    items, plan = planned(config, stock, watcher, writes_cache=not dry_run)
    if dry_run:
        return result_of("planned", _newest(stock), plan, started)
    refuse_errors(plan)
    left_out = tuple(finding for item in items for finding in item.stock.left_out)
    if plan.is_empty and is_on_record(plan, items):
        result = result_of("unchanged", _newest(stock), plan, started, left_out)
        # What a first listing lacked a memo of it would hide.
        is_agreed = all(item.stock.listing is found.listing for item, found in zip(items, stock, strict=True))
        if is_agreed and not plan.waits:
            memo.keep(result.to_dict(), taken_ns)
        return result

    from zsync.steps.carry import carry

    carried = carry(config, items, plan, watcher)
    status: Literal["published", "unretired"] = "unretired" if carried.stay else "published"
    findings = (*carried.findings, *left_out)
    stay = Counter(failure.product for failure in carried.stay)
    return result_of(status, carried.publication, carried.plan, started, findings, stay)


def plan(run_config: Any = None, *, target: str | None = None, **overrides: Any) -> Plan:
    """Say what `publish` would do, and do nothing.

    Parameters are those of `publish`.

    Returns
    -------
    Plan
        Every object of every product, with action and reason; shows itself in a notebook.

    Raises
    ------
    ConfigError
        The configuration is wrong, or leaves nothing to plan.
    """
    result = publish(run_config, target=target, dry_run=True, **overrides)
    if result.plan is None:
        raise ConfigError(result.note or "there is nothing to plan", "run_config", "there is nothing to do")
    return result.plan


def _newest(stock: list[Stock]) -> str | None:
    """Return the newest publication among the products' heads."""
    return max((item.head.publication for item in stock if item.head.publication is not None), default=None)
