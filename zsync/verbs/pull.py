"""Pull: from a bucket to this machine, by the same plan, stages and records as a publish (see ARCHITECTURE).

What is published is the source here, and a directory is the target. So a local reader is as safe as a remote one:
metadata comes last, and what was cut off is finished by the next call.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zsync.config import Location, Publish, ResolvedProduct, RunConfig
from zsync.errors import ConfigError
from zsync.inventory import Objects, Selection, is_leftover, is_unfinished_transfer, list_target
from zsync.notices.telling import and_tell
from zsync.publication import StateKeys, read_head, read_lease, refuse_if_held
from zsync.pulling.linked import leaving_links
from zsync.pulling.published import published, recorded_keys
from zsync.pulling.wanted import Wanted, configuration_of, wanted_of
from zsync.pulling.words import finding_of_pull, in_words_of_pull, of_pull
from zsync.report.progress import progress_for
from zsync.steps.neighbours import leaving_to_others
from zsync.steps.room import check_links, check_names, check_space
from zsync.steps.stock import Stock
from zsync.storage import connect, spec_for
from zsync.storage.answers import error_of_system
from zsync.storage.archived import all_named
from zsync.storage.handles import is_plain
from zsync.storage.writable import check_replaceable, check_writable, directories_for
from zsync.words import Action

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from zsync.planning import Plan
    from zsync.pulling.pulled import PullResult, Status
    from zsync.report.progress import Progress
    from zsync.steps.surveyed import Surveyed
    from zsync.storage import StoreSpec
    from zsync.words import Finding

log = logging.getLogger(__name__)

DOWNLOADS = ("download/**", "**/download/**")


def pull(  # noqa: PLR0913 - a user names what applies
    config_or_url: Any = None,
    dest: str | os.PathLike[str] | None = None,
    *,
    subset: Sequence[str] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    exclude_downloads: bool | None = None,
    force_overwrite: bool | None = None,
    at: str | None = None,
    select: Mapping[str, str] | None = None,
    variables: Sequence[str] = (),
    dry_run: bool = False,
    progress: Progress | bool | None = None,
    **overrides: Any,
) -> PullResult:
    """Bring products from a bucket to this machine.

    What is there already is safe: files of the same size are not touched, and a Zarr store that was not pulled as it is
    now is left alone whole. Of what is replaced and was changed here, or never pulled, a copy goes to a trash
    (``zsync trash list``). Every file appears under its name only when it is complete, checked and on disk, metadata
    last; the same call finishes what was cut off.

    Parameters
    ----------
    config_or_url
        The URL of a product, or of a prefix, whether zsync published it or not; or a configuration, whose targets are
        pulled.
    dest
        A directory; each product becomes a directory of its name in it. By default the current directory, or for a
        configuration its source.
    subset
        Only what lies below these first path elements of a product (globs), such as ``sentinel2``.
    include, exclude
        Globs over keys. Of a Zarr store only whole arrays can be taken.
    exclude_downloads
        Leave out everything below directories called ``download``.
    force_overwrite
        Compare what is there, and replace what differs; of what was changed here a copy goes to the trash as well.
    at
        Id of a publication, to have it instead of the current one.
    select
        Of Zarr stores only a range along dimensions, such as ``{"time": "2020-01..2020-03"}``, both ends included;
        counted from 0 where a dimension has no labels. What comes is a store of its own, that holds just this. Arrays
        of which the dimensions have no names are told, and do not come.
    variables
        Of Zarr stores only these variables (names or paths, or paths of groups), and the coordinates that they need.
    dry_run
        Say what would be done, and do nothing.
    progress
        As for `zsync.publish`.
    **overrides
        Options of the configuration, for instance ``endpoint_url`` or ``workers``.

    Returns
    -------
    PullResult
        What was done.

    Raises
    ------
    ConfigError
        The configuration, the URL or the directory is wrong.
    SourceError
        A key cannot be a file here, or what is published changed meanwhile: pull again.
    ConflictError
        Somebody else is pulling into the same directory.
    TargetError
        The bucket cannot be reached, or there is not enough space.

    Examples
    --------
    >>> import zsync
    >>> zsync.pull("s3://bucket/products/oco3_pre_qf.zarr", "data")  # doctest: +SKIP
    """
    started = time.monotonic()
    config, is_url = configuration_of(config_or_url, overrides)
    dry_run = dry_run or config.dry_run
    if exclude_downloads is None:
        exclude_downloads = config.pull.exclude_downloads
    if force_overwrite is None:
        force_overwrite = config.pull.force_overwrite
    for note in config.notes:
        log.info("note: %s", note)
    patterns = _patterns(subset, include), (*exclude, *(DOWNLOADS if exclude_downloads else ()))

    def work() -> PullResult:
        wanted = wanted_of(config, dest, is_url=is_url)
        _tell(wanted, exclude_downloads=exclude_downloads, force_overwrite=force_overwrite)
        watcher = progress_for(progress)
        local = _as_publish(config)
        stock = [_take(local, item, patterns, at, publishes=not dry_run) for item in wanted]
        if not force_overwrite:
            stock = [(replace(found, leaves_existing=True), publication) for found, publication in stock]
        with all_named(_places(stock)), ExitStack() as parts:
            if select or variables:
                stock = [
                    (_part_of(found, parts, select or {}, variables, dry_run=dry_run), id_) for found, id_ in stock
                ]
            return _carry_out(local, wanted, stock, watcher, started, everything=force_overwrite, dry_run=dry_run)

    return work() if dry_run else and_tell(config, work)


def pull_listed(config: RunConfig, progress: Progress) -> PullResult:
    """Bring what the targets of a configuration really hold, whoever wrote it; what is replaced here goes to the trash.

    Files that are only here stay.

    Raises
    ------
    ZsyncError
        As for `pull`.
    """
    started = time.monotonic()
    local = _as_publish(config)

    def work() -> PullResult:
        wanted = wanted_of(config, None, is_url=False)
        products = config.resolve()
        stock = [
            _take(local, item, (product.include, product.exclude), None, publishes=True, as_listed=True)
            for item, product in zip(wanted, products, strict=True)
        ]
        stock = [(replace(found, keeps=frozenset({""})), publication) for found, publication in stock]
        with all_named(_places(stock)):
            return _carry_out(local, wanted, stock, progress, started, everything=True, dry_run=False)

    return and_tell(config, work)


def _places(stock: Sequence[tuple[Stock, str | None]]) -> list[tuple[StoreSpec, str, Collection[str]]]:
    """Return where what is pulled comes from, and which keys there are looked at."""
    found = [(item, item.origin) for item, _ in stock]
    return [(origin.store, origin.base, _taken(item)) for item, origin in found if isinstance(origin, Objects)]


def _taken(stock: Stock) -> set[str]:
    """Return the keys that a pull looks at."""
    product, keys = stock.product, stock.scan.keys
    mask = Selection(product.include, product.exclude, stock.within, stock.without).mask(keys)
    return {key for key, is_taken in zip(keys, mask, strict=True) if is_taken}


def _part_of(
    stock: Stock, parts: ExitStack, select: Mapping[str, str], variables: Sequence[str], *, dry_run: bool
) -> Stock:
    """Return the stock of a part of what is published; it lies aside until `parts` ends."""
    from zsync.pulling.part import written_part

    if dry_run:
        raise ConfigError("what a part comes to is not known before it is read", "dry_run", "leave out select")
    if not isinstance(stock.origin, Objects):
        raise TypeError(f"{stock.origin.name} is not far away")
    root, aside = f"/{stock.product.location.parent.path}", stock.state.parts
    try:
        origin, left_out = parts.enter_context(
            written_part(stock.origin, stock.product.name, root, aside, select, variables)
        )
    except OSError as error:
        raise error_of_system(error, f"{root}/{aside}") from error
    seen = origin.look()
    scan = replace(seen, findings=(*stock.scan.findings, *left_out, *seen.findings))
    return replace(stock, origin=origin, scan=scan, consolidates="auto")  # it is a store of its own


def _carry_out(
    local: RunConfig,
    wanted: Sequence[Wanted],
    stock: Sequence[tuple[Stock, str | None]],
    watcher: Progress,
    started: float,
    *,
    everything: bool,
    dry_run: bool,
) -> PullResult:

    from zsync.pulling.adopt import adopted
    from zsync.pulling.edits import keeping_edits
    from zsync.pulling.pending import forget, note
    from zsync.pulling.pulled import PullResult, pulled_product
    from zsync.steps.carry import carry
    from zsync.steps.decide import decide, is_on_record, refuse_errors, surveyed

    items = surveyed(local, [found for found, _ in stock], watcher, writes_cache=not dry_run)
    items = [adopted(item, everything=everything) for item in items]
    plan = decide(local, items)
    kept = [keeping_edits(item, plan) for item in items]
    items = [item for item, _ in kept]
    plan = replace(plan, findings=(*plan.findings, *(finding for _, said in kept for finding in said)))
    products = tuple(
        pulled_product(plan, item, place.place.url, found)
        for item, place, (_, found) in zip(items, wanted, stock, strict=True)
    )

    def result(status: Status, findings: tuple[Finding, ...] = ()) -> PullResult:
        return PullResult(status, products, (*plan.findings, *findings), time.monotonic() - started, plan)

    is_done = plan.is_empty and is_on_record(plan, items)
    if dry_run and any(finding.level == "error" for finding in plan.findings):
        return result("planned")
    refuse_errors(plan)
    _check_room(plan, wanted, tries=not dry_run)
    if not is_done:
        _check_writable(plan, items)
    if dry_run:
        return result("planned")
    if is_done:
        for item in items:
            forget(item)
        return result("unchanged")
    for item in items:
        note(item, plan)
    with in_words_of_pull():
        carried = carry(local, items, plan, watcher, in_words=of_pull)
    for item in items:
        forget(item)
    return result("unretired" if carried.stay else "pulled", tuple(map(finding_of_pull, carried.findings)))


def _tell(wanted: Sequence[Wanted], *, exclude_downloads: bool, force_overwrite: bool) -> None:
    for item in wanted:
        log.info("from %s to %s", item.place.url, item.directory)
    if exclude_downloads:
        log.info("leaving out download/ folders")
    log.info("replacing what differs" if force_overwrite else "safe mode: what exists is left alone")


def _patterns(subset: Sequence[str], include: Sequence[str]) -> tuple[str, ...]:
    return (*include, *(pattern for name in subset for pattern in (name, f"{name.rstrip('/')}/**")))


def _as_publish(config: RunConfig) -> RunConfig:
    """Return the policies under which a pull is a publish to a directory."""
    policy = Publish(
        workers=config.publish.workers,
        scheduler=config.publish.scheduler,
        retire="delete",  # of what was pulled and is not published any more; it can be pulled again
        max_delete="100%",
        allow_empty=False,
        check_cogs="off",  # they were judged when they were published
        damaged="allow",
        on_incompatible="replace",
    )
    return RunConfig(publish=policy)


def _take(
    config: RunConfig,
    wanted: Wanted,
    patterns: tuple[Sequence[str], Sequence[str]],
    at: str | None,
    *,
    publishes: bool,
    as_listed: bool = False,
) -> tuple[Stock, str | None]:
    """Take stock of one product: what is published, and what is here."""
    from zsync.pulling.pending import recognised

    location = Location.parse(wanted.directory)
    spec = spec_for(location, config.storage)
    state, store = StateKeys.of(location), connect(spec)
    origin, publication = published(
        wanted.place,
        wanted.name,
        at,
        Selection(tuple(patterns[0]), tuple(patterns[1])),
        wanted.directory,
        as_listed=as_listed,
        known=lambda: recorded_keys(store, state),
    )
    lease = read_lease(store, state)
    if publishes:
        refuse_if_held(store, state, lease)
    product = ResolvedProduct(wanted.name, origin.name, None, location, tuple(patterns[0]), tuple(patterns[1]))
    listing = list_target(store, location.path)
    # What a scan would not see is not there, unless it is what is published.
    leftovers = {key for key in listing.keys if is_leftover(key)}.difference(origin.seen.keys)
    head, listing = read_head(store, state), listing.without(leftovers)
    root = wanted.directory
    unfinished = tuple(key for key in leftovers if is_unfinished_transfer(key) and is_plain(root, key))
    found = Stock(
        product, spec, state, lease, head, listing, origin, origin.seen,
        only_ours=True, unfinished=unfinished,
        consolidates="renew",  # where not all is pulled it must tell the truth; else the copy is what is published
        recognised=recognised(store, state, head, listing, root),
    )  # fmt: skip
    return leaving_links(leaving_to_others(found), wanted.directory), publication


def _check_room(plan: Plan, wanted: Sequence[Wanted], *, tries: bool) -> None:
    """Raise if what is to come has no place here; which names are one to the file system is tried out, if it may be."""
    above = os.path.commonpath([os.path.dirname(item.directory) for item in wanted])
    if tries:
        check_names(above, [os.path.relpath(item.directory, above) for item in wanted])
    for item in wanted:
        check_space(item.directory, plan.bytes(Action.SEND, item.name))
        sent, retired = (plan.rows(action, item.name)["key"].to_pylist() for action in (Action.SEND, Action.RETIRE))
        check_links(item.directory, [*sent, *retired])
        if tries:
            check_names(item.directory, [*sent, *plan.rows(Action.UNCHANGED, item.name)["key"].to_pylist()])


def _check_writable(plan: Plan, items: Sequence[Surveyed]) -> None:
    """Raise if a pull would not get to its end here, before it begins."""
    for item in items:
        root = f"/{item.stock.product.location.path}"
        sent = plan.rows(Action.SEND, item.name)["key"].to_pylist()
        check_writable([f"/{item.stock.state.prefix}", *directories_for(root, sent)])
        check_replaceable(root, sent)
