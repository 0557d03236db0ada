"""Mend what differs from the source: an ordinary publish that does not believe the target where it was found wrong."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from zsync.config import ResolvedProduct, RunConfig
from zsync.config.location import absolute, local_path
from zsync.errors import ConfigError
from zsync.inventory.selection import is_in
from zsync.layout import is_metadata
from zsync.notices.telling import and_tell
from zsync.publication import Leases, new_publication_id, read_lease, refuse_if_held
from zsync.steps.publishing import publish_stock
from zsync.steps.settle import wait_until_settled
from zsync.steps.stock import take_stock
from zsync.steps.terms import Terms
from zsync.storage import abort_uploads, unfinished_uploads
from zsync.verifying.difference import OF_STATE, Wrong
from zsync.version import __version__
from zsync.words import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from zsync.report.progress import Progress
    from zsync.steps.result import PublishResult
    from zsync.verifying.asking import Target
    from zsync.verifying.difference import Difference
    from zsync.verifying.verification import VerifiedProduct

_NOT_DOUBTED = OF_STATE | {Wrong.MISSING, Wrong.EXTRA}
_OF_BYTES = frozenset(Wrong)
_OF_DOCUMENTS = frozenset({Wrong.CLOSED, Wrong.VIEWS})


@dataclass(frozen=True, slots=True)
class Source:
    """Where products are repaired from.

    Attributes
    ----------
    config
        How the targets are reached; it names their sources, unless `given` does.
    given
        A directory, or a configuration.
    overrides
        Options, on top of that configuration.
    """

    config: RunConfig
    given: str | os.PathLike[str] | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def of(
        self, targets: Sequence[Target], verified: Sequence[VerifiedProduct]
    ) -> tuple[RunConfig, list[ResolvedProduct]]:
        """Return what is to be published from where, to mend some products.

        Raises
        ------
        ConfigError
            There is no source for a product.
        """
        config = self.config
        if self.given is not None and os.path.isdir(self.given):
            root = absolute(local_path(os.fspath(self.given)))
            kinds = [product.kind for product in verified]
            is_alone = len(targets) == 1
            pairs = zip(targets, kinds, strict=True)
            return config, [_of_directory(root, target, kind, is_alone=is_alone) for target, kind in pairs]
        if self.given is not None:
            config = RunConfig.from_any(self.given, **self.overrides)
        if config.sites:
            raise ConfigError("a configuration of many sites is not repaired at once", None, "give that of one")
        if config.source is None and not config.products:
            raise ConfigError("there is nothing to repair from", None, "give it: zsync verify URL --repair SOURCE")
        products = {product.location: product for product in config.resolve()}
        if unknown := [target.place.url for target in targets if target.place.location not in products]:
            raise ConfigError("the configuration does not publish this product", unknown[0], "give its own")
        return config, [products[target.place.location] for target in targets]


def _of_directory(root: str, target: Target, kind: str, *, is_alone: bool) -> ResolvedProduct:
    location = target.place.location
    inside = f"{root}/{location.name}"
    if not os.path.isdir(inside):
        if not is_alone:
            raise ConfigError("the source of a product is not there", inside, "give a configuration that names it")
        inside = root
    return ResolvedProduct(target.name, inside, kind, location)


def mend(
    source: Source, wrong: Sequence[tuple[Target, VerifiedProduct]], progress: Progress, *, is_dry: bool
) -> PublishResult | None:
    """Publish the products of which objects differ, and clear away what was left behind.

    Returns
    -------
    PublishResult
        What was published, or, if `is_dry`, would be; None if no object differs.

    Raises
    ------
    ZsyncError
        As for `zsync.publish`.
    """
    of_objects = [pair for pair in wrong if any(item.kind not in OF_STATE for item in pair[1].differences)]
    published = _publish(source, of_objects, progress, is_dry=is_dry) if of_objects else None
    is_done = published is None or published.status != "unretired"
    for target, product in () if is_dry else wrong:
        # Where a configuration lets others be, nobody knows of all that is there whether it is on record.
        is_all = target.selection.is_everything and not target.keeps_all
        _clear(target, product, finishes=is_done and is_all)
    return published


def _publish(
    source: Source, wrong: Sequence[tuple[Target, VerifiedProduct]], progress: Progress, *, is_dry: bool
) -> PublishResult:
    """Publish products, and send what differs whatever a listing shows of it."""
    started = time.monotonic()
    targets, verified = [target for target, _ in wrong], [found for _, found in wrong]
    config, products = source.of(targets, verified)
    terms = Terms.of(config.publish, config.storage, config.team.member, config.origin)
    # What is mended is mended where it is: beside it readers of today would go on finding what is wrong.
    terms = replace(terms, trusts_manifest=False, rewriting=replace(terms.rewriting, values="inplace"))
    if not is_dry:
        wait_until_settled(products, terms)
    taken_ns = time.time_ns()
    stock = take_stock(products, [target.place for target in targets], terms, progress, publishes=not is_dry)
    doubted = [
        replace(item, doubted=doubted_keys(found.differences, item.listing.keys if item.listing is not None else ()))
        for item, found in zip(stock, verified, strict=True)
    ]

    def work() -> PublishResult:
        return publish_stock(doubted, terms, progress, started, taken_ns=taken_ns, is_dry=is_dry)

    return work() if is_dry else and_tell(config, work)


def doubted_keys(differences: Iterable[Difference], keys: Sequence[str]) -> frozenset[str]:
    """Return the objects that a product does not hold as they are on record, by what was found of it.

    Parameters
    ----------
    keys
        What there is: what is said of an array, or of a store, is said of what is below it.

    Examples
    --------
    >>> from zsync.verifying.difference import Difference
    >>> said = [Difference("p", "t", "does-not-decode", ""), Difference("p", "x", "extra", "")]
    >>> sorted(doubted_keys(said, ["t/0", "t/.zarray", "u/0", "x"]))
    ['t/.zarray', 't/0']
    """
    # Where metadata is wrong, chunks seem to be: of these nothing is known.
    about = [
        item
        for item in differences
        if item.kind not in _NOT_DOUBTED and (item.kind in _OF_BYTES or is_metadata(Kind.ZARR, item.key))
    ]
    of_documents = frozenset(item.key for item in about if item.kind in _OF_DOCUMENTS)
    of_all = frozenset(item.key for item in about if item.kind not in _OF_DOCUMENTS)
    return frozenset(
        key
        for key in keys
        if is_in(key, of_all) or (("" in of_documents or is_in(key, of_documents)) and is_metadata(Kind.ZARR, key))
    )


def keys_of(differences: Iterable[Difference]) -> frozenset[str]:
    """Return the objects that were sent again, of which headers and bytes are to be looked at."""
    return frozenset(item.key for item in differences if item.kind not in OF_STATE)


def _clear(target: Target, verified: VerifiedProduct, *, finishes: bool) -> None:
    """Give up uploads that never ended, and give back a lease that was left behind, under the lease.

    Parameters
    ----------
    finishes
        What a run before left unfinished has been finished.

    Raises
    ------
    ConflictError
        Somebody is publishing the product.
    """
    kinds = {item.kind for item in verified.differences}
    if not kinds & {Wrong.UPLOAD, Wrong.LEASE, Wrong.UNFINISHED}:
        return
    place = target.place
    named = {f"{place.base}{item.key}" for item in verified.differences if item.kind == Wrong.UPLOAD}
    lease = read_lease(place.store, place.state)
    if not named and not lease.is_unfinished:  # a publish has taken it over since
        return
    refuse_if_held(place.store, place.state, lease)
    finished = [place.state.prefix] if finishes else []
    with Leases([(place.store, place.state, lease)], new_publication_id(), __version__, finishes=finished) as leases:
        left = [upload for upload in unfinished_uploads(place.spec, place.base) if upload.key in named]
        leases.check()
        abort_uploads(place.spec, left)
