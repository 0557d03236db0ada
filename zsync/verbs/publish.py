"""Publish: the main job. `publish` reads like the protocol."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from zsync.config import RunConfig
from zsync.errors import ConfigError
from zsync.notices.telling import and_tell
from zsync.publication.places import place_at
from zsync.report.progress import progress_for
from zsync.steps.publishing import get_ready, publish_stock
from zsync.steps.result import PublishResult
from zsync.steps.settle import wait_until_settled
from zsync.steps.stock import take_stock
from zsync.steps.terms import Terms

if TYPE_CHECKING:
    import os
    from typing import Unpack

    from zsync.config.options import Options
    from zsync.planning import Plan
    from zsync.report.progress import Progress


def publish(
    run_config: Any = None,
    target: str | os.PathLike[str] | None = None,
    *,
    dry_run: bool = False,
    client: Any = None,
    progress: Progress | bool | None = None,
    **overrides: Unpack[Options],
) -> PublishResult:
    """Publish the products of a run: send what changed, consolidated metadata last, and put it on record.

    Readers of the target see the old state of a store, whole, until they see the new one, whole. If anything fails,
    they go on seeing the old one, and the same call finishes the work. Files outside stores turn over one by one, what
    names others after it; which of them have is said if anything fails.

    Parameters
    ----------
    run_config
        A dict, the path of a configuration (YAML, JSON, TOML), a `RunConfig`, or None for the environment, or else the
        ``zsync.yaml`` of the current directory. Or the directory that is to be published.
    target
        URL to publish to, in place of the configuration's: below it, or at it, if it is named as the directory is.
    dry_run
        Stop after the plan, having written nothing.
    client
        A `distributed.Client`, whose workers then read, hash and send; they must see the source at the same paths.
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
    >>> zsync.publish("/data/oco3.zarr", "s3://bucket/products")  # doctest: +SKIP
    """
    started = time.monotonic()
    config = RunConfig.from_any(run_config, target=target, **overrides)
    dry_run = dry_run or config.dry_run
    if config.nothing_to_do is not None:
        return PublishResult("unchanged", (), (), time.monotonic() - started, note=config.nothing_to_do)

    def work() -> PublishResult:
        return _publish(config, client, progress_for(progress), started, is_dry=dry_run)

    return work() if dry_run else and_tell(config, work)


def _publish(config: RunConfig, client: Any, watcher: Progress, started: float, *, is_dry: bool) -> PublishResult:
    terms, products = _terms(config, client), config.resolve()
    if not is_dry:
        wait_until_settled(products, terms)
    taken_ns = time.time_ns()
    places = [place_at(config, product.location) for product in products]
    ready = partial(get_ready, products)
    stock = take_stock(products, places, terms, watcher, publishes=not is_dry, meanwhile=ready)
    return publish_stock(stock, terms, watcher, started, taken_ns=taken_ns, is_dry=is_dry)


def _terms(config: RunConfig, client: Any) -> Terms:
    terms = Terms.of(config.publish, config.storage, config.team.member, config.origin)
    return replace(terms, client=client)


def plan(run_config: Any = None, target: str | os.PathLike[str] | None = None, **overrides: Unpack[Options]) -> Plan:
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
