"""Publish: the main job. `publish` reads like the protocol (see ARCHITECTURE)."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from zsync import __version__
from zsync.config import RunConfig
from zsync.errors import ConfigError, GuardError
from zsync.report.progress import progress_for
from zsync.verbs.memo import Memo
from zsync.verbs.stock import take_stock
from zsync.words import Action, Finding, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from zsync.planning import Plan, Wave
    from zsync.publication import Part, PublishedProduct
    from zsync.report.progress import Progress
    from zsync.transfer import Destination, Receipt
    from zsync.verbs.stock import Stock
    from zsync.verbs.survey import Surveyed

log = logging.getLogger(__name__)

Status = Literal["published", "unchanged", "planned"]


@dataclass(frozen=True, slots=True)
class ProductResult:
    """What a publish did (or, planned, would do) with one product.

    Attributes
    ----------
    sent, unchanged, retired
        Numbers of objects.
    bytes
        Size of what was sent, in bytes.
    """

    name: str
    url: str
    sent: int
    unchanged: int
    retired: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the product's result as JSON."""
        return {
            "name": self.name,
            "url": self.url,
            "sent": self.sent,
            "unchanged": self.unchanged,
            "retired": self.retired,
            "bytes": self.bytes,
        }


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What came of a publish.

    Attributes
    ----------
    status
        ``published``; ``unchanged`` if there was nothing to do; ``planned`` after a dry run.
    publication
        Id of the publication that readers now see; None if the products were never published.
    products
        What was done with each product.
    findings
        What was noticed on the way.
    seconds
        How long it took.
    plan
        What was planned; None if there was nothing to do.
    note
        Why there was nothing to do, where the configuration says so.
    """

    status: Status
    publication: str | None
    products: tuple[ProductResult, ...]
    findings: tuple[Finding, ...]
    seconds: float
    plan: Plan | None
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON; after a dry run with the plan."""
        document: dict[str, Any] = {
            "status": self.status,
            "publication": self.publication,
            "products": [product.to_dict() for product in self.products],
            "findings": [finding.to_dict() for finding in self.findings],
            "seconds": round(self.seconds, 3),
        }
        if self.note is not None:
            document["note"] = self.note
        if self.status == "planned" and self.plan is not None:
            document["plan"] = self.plan.to_dict()
        return document

    def to_pandas(self) -> Any:
        """Return one row a product, as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame([product.to_dict() for product in self.products])

    def _repr_html_(self) -> str:
        from zsync.verbs.show import result_html

        return result_html(self)


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

    Readers of the target see the old state, whole, until they see the new one, whole. If anything fails, they go on
    seeing the old one, and the same call finishes the work.

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
        A source is missing or unfit to publish, or changed meanwhile; nothing that readers see was changed.
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
    products = config.resolve()
    watcher = progress_for(progress)

    taken_ns = time.time_ns()
    stock = take_stock(config, products, watcher, publishes=not dry_run)
    memo = Memo(config, stock)
    if not dry_run and (known := memo.recall()) is not None:
        return _known(known, started)
    surveyed = _survey(config, stock, watcher, writes_cache=not dry_run)
    plan = _plan(config, surveyed)
    if dry_run:
        return _result("planned", _newest(stock), plan, started)
    _guard(plan)
    if plan.is_empty and _is_on_record(plan, surveyed):
        result = _result("unchanged", _newest(stock), plan, started)
        memo.keep(result.to_dict(), taken_ns)
        return result
    publication = _carry_out(config, surveyed, plan, watcher)
    return _result("published", publication, plan, started)


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


def _survey(config: RunConfig, stock: list[Stock], progress: Progress, *, writes_cache: bool) -> list[Surveyed]:
    from zsync.verbs.survey import survey, with_digests

    workers = 2 * (os.cpu_count() or 1)
    return [with_digests(item, workers, progress, writes_cache=writes_cache) for item in survey(config, stock)]


def _plan(config: RunConfig, surveyed: list[Surveyed]) -> Plan:
    import pyarrow as pa

    from zsync.planning import Plan, PlannedProduct, guard_findings, incompatible_findings, plan_product
    from zsync.verbs.changes import array_changes

    tables, planned, findings, changes, fence = [], [], [], [], []
    for item in surveyed:
        product, head = item.stock.product, item.stock.head
        table = plan_product(item.name, item.survey, keeps=config.publish.retire == "keep")
        mode = _retire_mode(config.publish.retire, is_versioned=head.is_versioned)
        tables.append(table)
        planned.append(
            PlannedProduct(item.name, product.location.url, product.root, str(item.kind), mode, head.publication)
        )
        arrays, shown_meanwhile = array_changes(item, table)
        changes += arrays
        fence += shown_meanwhile
        findings += [
            *item.findings,
            *guard_findings(item.name, table, config.publish.max_delete_limit),
            *incompatible_findings(arrays),
        ]
    contents = {(item.name, key): body for item in surveyed for key, body in item.survey.generated.items()}
    made = Plan(pa.concat_tables(tables), tuple(planned), contents, tuple(findings), tuple(changes), tuple(fence))
    return _with_cog_findings(config, made)


def _with_cog_findings(config: RunConfig, plan: Plan) -> Plan:
    """Judge the COGs that are to be sent; what is published already was judged before."""
    from dataclasses import replace

    from zsync.inventory.cogs import judge_cogs

    findings = [
        finding
        for product in plan.products
        if product.kind == "cog"
        for finding in judge_cogs(
            product.root, product.name, plan.rows(Action.SEND, product.name), config.publish.check_cogs
        )
    ]
    return replace(plan, findings=(*plan.findings, *findings))


def _retire_mode(asked: str, *, is_versioned: bool) -> str:
    """On a versioned bucket what is deleted remains as a version; elsewhere it goes to the trash (P8)."""
    if asked != "auto":
        return asked
    return "delete" if is_versioned else "trash"


def _guard(plan: Plan) -> None:
    errors = [finding for finding in plan.findings if finding.level == "error"]
    if errors:
        raise GuardError(errors[0].message, "/".join(part for part in (errors[0].product, errors[0].key) if part))


def _carry_out(config: RunConfig, surveyed: list[Surveyed], plan: Plan, progress: Progress) -> str:
    """Claim the leases, carry out the plan, put it on record, and give the leases back."""
    from zsync.publication import Leases, new_publication_id
    from zsync.storage import connect
    from zsync.transfer import carry_out, executor_for

    publication = new_publication_id()
    receipts: list[Receipt] = []
    destinations = {item.name: _destination(item, plan, publication) for item in surveyed}
    executor = executor_for(config.publish.scheduler, config.publish.workers)
    claims = [(connect(item.stock.spec), item.stock.state, item.stock.lease) for item in surveyed]
    reached: list[Stage] = []
    with Leases(claims, publication, __version__) as leases:

        def before_wave(wave: Wave) -> None:
            leases.check()
            reached.append(wave.stage)

        try:
            carry_out(plan, destinations, executor, progress, receipts, before_wave=before_wave)
            leases.check()
            _commit(surveyed, plan, publication, receipts)
        except BaseException:
            log.warning("stopped: %s", _what_readers_see(plan, reached))
            raise
        finally:
            _remember(surveyed, receipts)
    return publication


def _what_readers_see(plan: Plan, reached: list[Stage]) -> str:
    """Say what readers see after a publish that stopped in the last of the stages that it reached."""
    if Stage.RETIRE in reached:
        return "readers see the new state, whole; publish again to finish and to put it on record"
    if Stage.ROOT in reached:
        return "readers see each store whole, some perhaps in its new state already; publish again to finish"
    if Stage.FENCE in reached:
        return "readers see of arrays that shrink what old and new have in common; publish again to finish"
    if Stage.DATA in reached and any(change.inside for change in plan.changes):
        return "readers see what they saw before, perhaps with new values in chunks that are replaced; publish again"
    return "readers see what they saw before; publish again to finish"


def _remember(surveyed: list[Surveyed], receipts: list[Receipt]) -> None:
    """Keep the digests of what was sent, also when an error ended the work."""
    from zsync.verbs.survey import remember_receipts

    for item in surveyed:
        mine = {receipt.key: receipt.digest for receipt in receipts if receipt.product == item.name}
        if mine:
            remember_receipts(item, mine)


def _destination(item: Surveyed, plan: Plan, publication: str) -> Destination:
    from zsync.transfer import Destination

    planned = next(product for product in plan.products if product.name == item.name)
    path = item.stock.product.location.path
    return Destination(
        store=item.stock.spec,
        prefix=f"{path}/" if path else "",
        root=item.stock.product.root,
        headers=item.headers,
        state=item.stock.state,
        publication=publication,
        trashes=planned.retire == "trash",
    )


def _commit(surveyed: list[Surveyed], plan: Plan, publication_id: str, receipts: list[Receipt]) -> None:
    """Write the manifests, then the publication's record, then move the heads: built from receipts, not intentions."""
    from zsync.publication import Publication, commit
    from zsync.storage import connect

    answers = {(receipt.product, receipt.key): receipt for receipt in receipts}
    shares = tuple(_share(item, plan, _write_manifest(item, plan, answers)) for item in surveyed)
    record = Publication.now(publication_id, shares, __version__)
    for item, share in zip(surveyed, shares, strict=True):
        commit(connect(item.stock.spec), item.stock.state, item.stock.head, record, share)


def _write_manifest(item: Surveyed, plan: Plan, answers: Mapping[tuple[str, str], Receipt]) -> tuple[Part, ...]:
    from zsync.inventory import cache_directory
    from zsync.planning import manifest_of
    from zsync.publication import manifest
    from zsync.storage import connect

    table = manifest_of(plan, item.name, answers)
    there = item.stock.head.parts
    return manifest.write(connect(item.stock.spec), item.stock.state, table, there, cache_directory() / "manifests")


def _share(item: Surveyed, plan: Plan, parts: tuple[Part, ...]) -> PublishedProduct:
    from zsync.publication import PublishedProduct

    result = _product_result(plan, item.name, item.stock.product.location.url)
    return PublishedProduct(
        name=result.name,
        url=result.url,
        kind=str(item.kind),
        parent=item.stock.head.publication,
        sent=result.sent,
        unchanged=result.unchanged,
        retired=result.retired,
        bytes_sent=result.bytes,
        parts=parts,
    )


def _is_on_record(plan: Plan, surveyed: list[Surveyed]) -> bool:
    """Whether the manifests say just what there is; a target that another tool filled is not on record yet."""
    from zsync.planning import manifest_of

    return all(
        item.stock.head.publication is not None and _same_rows(manifest_of(plan, item.name, {}), item.survey.manifest)
        for item in surveyed
    )


def _same_rows(left: pa.Table, right: pa.Table) -> bool:
    return bool(left.sort_by("key").equals(right.sort_by("key")))


def _newest(stock: list[Stock]) -> str | None:
    """Return the newest publication among the products' heads."""
    return max((item.head.publication for item in stock if item.head.publication is not None), default=None)


def _product_result(plan: Plan, name: str, url: str) -> ProductResult:
    return ProductResult(
        name=name,
        url=url,
        sent=plan.count(Action.SEND, name),
        unchanged=plan.count(Action.UNCHANGED, name),
        retired=plan.count(Action.RETIRE, name),
        bytes=plan.bytes(Action.SEND, name),
    )


def _result(status: Status, publication: str | None, plan: Plan, started: float) -> PublishResult:
    products = tuple(_product_result(plan, product.name, product.url) for product in plan.products)
    kept = None if status == "unchanged" else plan
    return PublishResult(status, publication, products, plan.findings, time.monotonic() - started, kept)


def _known(document: dict[str, Any], started: float) -> PublishResult:
    """Return the result that a memo holds."""
    products = tuple(ProductResult(**product) for product in document["products"])
    findings = tuple(Finding(**finding) for finding in document["findings"])
    return PublishResult("unchanged", document["publication"], products, findings, time.monotonic() - started, None)
