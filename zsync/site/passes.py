"""A pass of `zsync watch`: a publish of what is at rest in one site, by the same stages and records as any other."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from zsync.errors import ConflictError, SourceChangedError, SourceError, TargetError, ZsyncError
from zsync.inventory import Selection, cache_directory, scan
from zsync.layout import unit_of
from zsync.notices.telling import and_tell
from zsync.publication import Keeping, is_due, prune, read_head
from zsync.publication.places import place_at
from zsync.report.format import human_bytes
from zsync.report.text import finding_text
from zsync.site.classes import misplaced_keys
from zsync.site.first_sync import first_sync
from zsync.site.rules import rules_of, without_markers
from zsync.steps.fitness import leave_out
from zsync.steps.publishing import publish_stock
from zsync.steps.stock import take_stock
from zsync.steps.terms import Terms
from zsync.storage import connect
from zsync.version import __version__
from zsync.watching import Clock, Looked, State
from zsync.watching.stillness import first_look, next_look, published
from zsync.watching.stopping import Stoppable, StoppedError
from zsync.words import UNREADABLE, Action, Finding, Reason

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from zsync.config import ResolvedProduct, RunConfig
    from zsync.inventory import Scan
    from zsync.report.progress import Progress
    from zsync.steps.result import PublishResult
    from zsync.steps.stock import Stock
    from zsync.watching.stillness import Signature

log = logging.getLogger(__name__)

_TRIES = 5  # a store that moves is left out, and the others are tried again
_MOST_UNREAD = 50  # files that cannot be read though they may be: beyond that a disk is at fault
_PRUNE_AT_LEAST = 5  # publications between two prunings
_USUAL = (
    "foreign",
    "leftover",
    "private",
)  # what of any directory is so, and of which the count would be news all the time
_UNSTABLE = "it is not what it was hashed to be, though its times say so; touch it"


class SitePasses:
    """Looks at the sources of one site, and publishes what is at rest; see `zsync.watching.Worker`.

    Parameters
    ----------
    config
        A configuration of this site alone.
    stop
        Set when the work is to stop.
    first_source
        Which side the first sync takes: ``local``, ``s3`` or ``auto``.
    bring
        Brings what the targets of a configuration hold.
    synced
        Places of sites whose first sync this process has done; a site that is replaced does not begin anew.
    """

    def __init__(
        self,
        name: str,
        config: RunConfig,
        stop: threading.Event,
        first_source: str,
        bring: Callable[[RunConfig, Progress], object],
        synced: set[tuple[tuple[str, str], ...]] | None = None,
    ) -> None:
        self._name = name
        self._config = without_markers(config)
        self._products = self._config.resolve()
        self._targets = [place_at(self._config, product.location) for product in self._products]
        mine = self._config
        given = Terms.of(mine.publish, mine.storage, mine.team.member, mine.origin)
        # A store that is unfit, or moves, stops no other.
        self._terms = replace(given, by_unit=True)
        self._progress = Stoppable(stop)
        self._first_source, self._bring = first_source, bring
        self._synced = set() if synced is None else synced
        self._places = tuple((product.root, product.location.url) for product in self._products)
        self._warned: set[str] = set()
        self._unfit: dict[tuple[str, str], Finding] = {}  # by product and unit: what the last publish found
        self._left: dict[tuple[str, str], Signature] = {}  # by product and key: what was left because it moved
        self._is_looked_since = False  # whether the files were looked at since the last publish
        self._is_failing = False
        self._unread: dict[tuple[str, str], Finding] = {}  # by product and key: what this publish could not read
        self._states: dict[str, State] = {}
        # Products and units that were in motion when all was compared: what the target has of them is not known yet.
        self._uncompared: set[tuple[str, str]] | None = None
        self._rules = {product.name: rules_of(config, product) for product in self._products}
        self._since_prune = _prune_every(config)  # so that a service that is started often prunes as well

    @property
    def roots(self) -> tuple[str, ...]:
        """The directories that it is about."""
        return tuple(product.root for product in self._products)

    def look(self, *, compare: bool) -> Looked:
        """Look, and publish what is ready."""

        def work() -> Looked:
            began = time.monotonic()
            if self._places not in self._synced:
                first_sync(self._config, self._first_source, lambda there: self._bring(there, self._progress))
                self._synced.add(self._places)
                began = time.monotonic()
            self._look_again()
            look_s = time.monotonic() - began
            is_due = compare or any(state.ready for state in self._states.values())
            return replace(self._publish(compare=compare) if is_due else self._looked(), look_s=look_s)

        try:
            looked = work()
        except ZsyncError as error:
            if not isinstance(error, StoppedError):
                self._tell_failure(error)
            raise
        self._is_failing = False
        return looked

    def _publish(self, *, compare: bool) -> Looked:
        """Publish what is at rest; a store that begins to move meanwhile is left for the next time."""
        compare = compare or bool(self._uncompared and self._uncompared & self._in_states("ready"))
        terms = replace(self._terms, trusts_manifest=not compare)
        self._unread, tries = {}, _TRIES
        while tries:
            at = _now()
            taken = take_stock(self._products, self._targets, terms, self._progress, publishes=True)
            self._see({item.product.name: item.scan for item in taken}, at)
            stock = [self._prepared(item, compare=compare) for item in taken if not self._is_idle(item)]
            if not stock:
                if compare:
                    self._uncompared = self._in_states("held")
                return replace(self._looked(), is_complete=compare and not self._in_states("held"))
            try:
                result = publish_stock(stock, terms, self._progress, at.steady_s, taken_ns=at.wall_ns)
            except SourceChangedError:
                if not self._moved_since():
                    raise
                tries -= 1
                continue
            except SourceError as error:
                if len(self._unread) >= _MOST_UNREAD or not self._is_of_a_file(error, stock):
                    raise
                continue
            return self._after(result, stock, compare=compare)
        return self._looked()

    def _in_states(self, what: str) -> set[tuple[str, str]]:
        return {(name, unit) for name, state in self._states.items() for unit in getattr(state, what)}

    def _is_idle(self, stock: Stock) -> bool:
        """Whether nothing was ever published from a source, and nothing in it is at rest: there is nothing to do."""
        is_gone = not stock.scan.keys and stock.listing is not None and bool(stock.listing.keys)
        is_unfit = any(finding.level == "error" for finding in stock.scan.findings)
        # That a source is empty now, or that there is more in it than can be seen, is for others to judge.
        if stock.head.publication is not None or is_gone or is_unfit:
            return False
        held = self._states[stock.product.name].held
        return not any(Selection(stock.product.include, stock.product.exclude, without=held).mask(stock.scan.keys))

    def _prepared(self, stock: Stock, *, compare: bool) -> Stock:
        wrong = misplaced_keys(stock, self._config.storage.storage_class) if compare else frozenset()
        held = self._states[stock.product.name].held
        unread = [finding for (name, _), finding in self._unread.items() if name == stock.product.name]
        roots = self._rules[stock.product.name].roots(stock.scan.keys)
        return leave_out(replace(stock, without=held, misplaced=wrong), roots, unread)

    def _is_of_a_file(self, error: SourceError, stock: Sequence[Stock]) -> bool:
        """Whether an error is about one file, that is left out from now on: what it is part of is held back alone."""
        for item in stock:
            name, key = item.product.name, (error.where or "").removeprefix(f"{item.product.root}/")
            if key and key != error.where and (name, key) not in self._unread:
                self._unread[name, key] = Finding("error", UNREADABLE, name, key, str(error))
                return True
        return False

    def _after(self, result: PublishResult, stock: Sequence[Stock], *, compare: bool) -> Looked:
        self._unfit, self._left = {}, {}
        for item in stock:
            name = item.product.name
            roots = self._rules[name].roots(item.scan.keys)
            found = [finding for finding in result.findings if finding.level == "error" and finding.product == name]
            mine = {unit_of(finding.key, roots) if finding.key else "": finding for finding in found}
            self._unfit |= {(name, unit): finding for unit, finding in mine.items()}
            self._left |= {(name, key): signature for key, signature in _left(result, item).items()}
            self._states[name] = published(self._states[name], item.without, mine)
        if compare:
            left = self._in_states("held") | self._in_states("unfit")
            self._uncompared = left if self._uncompared is None else self._uncompared & left
        self._is_looked_since = False
        heads = [item.head for item in stock]
        if result.is_published:
            log.info("published %s", _summary(result), extra={"publication": result.publication})
            result = and_tell(self._config, lambda: result, site=self._name)
            self._warn(result)
            heads = [read_head(connect(item.spec), item.state) for item in stock]
            self._prune_now_and_then(stock)
        return replace(
            self._looked(),
            is_published=result.is_published,
            is_complete=True,
            bytes_sent=sum(product.bytes for product in result.products) if result.is_published else 0,
            publication=result.publication,
            objects=sum(part.objects for head in heads for part in head.parts),
            bytes=sum(part.bytes for head in heads for part in head.parts),
        )

    def _warn(self, result: PublishResult) -> None:
        """Log what was noticed, once, and not each time that it still is so."""
        said = {
            finding_text(finding)
            for finding in result.findings
            if finding.level == "warning" and finding.code not in _USUAL
        }
        for text in sorted(said - self._warned):
            log.warning("%s", text)
        self._warned = said

    def _looked(self) -> Looked:
        """Return what the files tell, before or without a publish."""
        waits = [wait for name, state in self._states.items() if (wait := state.waits_s(self._rules[name])) is not None]
        since = [since for state in self._states.values() if (since := state.oldest_s) is not None]
        return Looked(
            unfit=tuple(self._findings()),
            waits_s=(min(soon for soon, _ in waits), max(late for _, late in waits)) if waits else None,
            oldest_s=min(since, default=None),
        )

    def _findings(self) -> Iterator[Finding]:
        """Yield what is wrong with units that are as they were when that was found."""
        for name, state in self._states.items():
            yield from state.findings(name)
            yield from (
                finding for (product, unit), finding in self._unfit.items() if product == name and unit in state.unfit
            )
            files = dict(zip(state.scan.keys, state.scan.signatures, strict=True)) if self._left else {}
            for (product, key), signature in self._left.items():
                if product == name and self._is_looked_since and files.get(key) == signature:
                    yield Finding("error", "unstable", product, key, _UNSTABLE)

    def _look_again(self) -> None:
        at = _now()
        self._see({product.name: self._scan(product) for product in self._products}, at)
        self._is_looked_since = True

    def _see(self, scans: dict[str, Scan], at: Clock) -> None:
        for name, found in scans.items():
            rules, before = self._rules[name], self._states.get(name)
            self._states[name] = first_look(found, at, rules) if before is None else next_look(before, found, at, rules)

    def _moved_since(self) -> bool:
        """Look again, and return whether something changed: if it is to be at rest for a while, it is left out now."""
        before = {name: state.scan for name, state in self._states.items()}
        self._look_again()
        return any(
            (state.scan.keys, state.scan.signatures) != (before[name].keys, before[name].signatures)
            for name, state in self._states.items()
        )

    def _scan(self, product: ResolvedProduct) -> Scan:
        selection = Selection(product.include, product.exclude)
        follows = self._config.publish.follow_symlinks
        return scan(product.root, product.name, follow_symlinks=follows, selection=selection)

    def _prune_now_and_then(self, stock: Sequence[Stock]) -> None:
        self._since_prune += 1
        if self._since_prune < _prune_every(self._config):
            return
        try:
            for item in stock:
                store, keep = connect(item.spec), self._config.watch.history
                if is_due(store, item.state, keep):
                    prune(store, item.state, Keeping(keep), __version__, cache_directory() / "manifests")
        except (TargetError, ConflictError) as error:  # there will be other occasions
            log.warning("old publications were not cleared away: %s", error)
        else:
            self._since_prune = 0

    def _tell_failure(self, error: ZsyncError) -> None:
        """Tell those who asked, of the first failure in a row."""
        if self._is_failing:
            return
        self._is_failing = True

        def fail() -> PublishResult:
            raise error

        try:
            and_tell(self._config, fail, site=self._name)
        except ZsyncError:
            return


def _now() -> Clock:
    return Clock(time.time_ns(), time.monotonic())


def _left(result: PublishResult, item: Stock) -> dict[str, Signature]:
    """Return the files of a product that were left out because they moved, as they were when stock was taken."""
    if result.plan is None:
        return {}
    rows = result.plan.rows(Action.KEEP, item.product.name).select(["key", "reason"]).to_pylist()
    keys = {row["key"] for row in rows if row["reason"] == Reason.MOVING}
    return {key: sig for key, sig in zip(item.scan.keys, item.scan.signatures, strict=True) if key in keys}


def _prune_every(config: RunConfig) -> int:
    return max(_PRUNE_AT_LEAST, config.watch.history // 5)


def _summary(result: PublishResult) -> str:
    sent = sum(product.sent for product in result.products)
    retired = sum(product.retired for product in result.products)
    size = sum(product.bytes for product in result.products)
    return f"{result.publication}: {sent} sent ({human_bytes(size)}), {retired} retired, {result.seconds:.1f} s"
