"""Verify: is what was published still there, unchanged? `zsync verify`."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zsync.config import Location, RunConfig, said
from zsync.config.location import absolute
from zsync.errors import ConfigError
from zsync.inventory import Selection
from zsync.publication.places import place_at, places_or_prefix
from zsync.report.progress import progress_for
from zsync.verifying.asking import Target
from zsync.verifying.looked import Depth
from zsync.verifying.looking import verify_products
from zsync.verifying.sampling import Sample
from zsync.verifying.verification import Verification

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence
    from typing import Unpack

    from zsync.config.options import VerifyCallOptions
    from zsync.report.progress import Progress


def verify(  # noqa: PLR0913 - a user names what applies
    target_or_config: Any = None,
    *,
    deep: bool = False,
    at: str | dt.date | None = None,
    sample: str | int | None = None,
    seed: int | None = None,
    headers: bool = False,
    as_reader: bool = False,
    zarr_checksum: bool = False,
    ignore: str | Sequence[str] = (),
    repair: bool = False,
    source: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    progress: Progress | bool | None = None,
    **overrides: Unpack[VerifyCallOptions],
) -> Verification:
    """Say whether what was published is still there, unchanged.

    From one listing: what is missing, what nobody published, what another tool wrote over; headers of a sample of the
    objects; unfinished uploads, and a lease that was left behind. Of what zsync never published, and of a directory,
    the structure: metadata, consolidated metadata, chunks outside their arrays.

    Parameters
    ----------
    target_or_config
        The URL of a product, or of a prefix that holds several; a directory; or a configuration, as for
        `zsync.publish`.
    deep
        Read all bytes, and compare their digests.
    at
        Id of a publication, to compare with it instead of the current one: whether all of it is still to be had, where
        the bucket keeps versions.
    sample
        Read only so many objects (500), or such a share of them (``"1%"``); no need to say `deep` too.
    seed
        Chooses which objects are looked at, where not all are; the seed of a verification chooses the same again.
    headers
        Ask for the headers of all objects, not only of some.
    as_reader
        Open every Zarr store with its consolidated metadata and without, and compare; decode some chunks of every
        array; open every raster, and read from it.
    zarr_checksum
        Compute DANDI's digest of every Zarr store, as the package ``zarr-checksum`` does.
    ignore
        Kinds of differences that do not matter, such as ``extra``.
    repair
        Mend what differs: publish from the source, send again what is wrong though a listing shows it as it was
        published; give up unfinished uploads, and give back a lease that was left behind. Then look again.
    source
        Where to repair from: a directory, or a configuration; by default the configuration that was given.
    dry_run
        With `repair`: only plan.
    progress
        As for `zsync.publish`.
    **overrides
        Options of the configuration, for instance ``endpoint_url`` or ``workers``.

    Returns
    -------
    Verification
        What was looked at, and what differs; shows itself in a notebook.

    Raises
    ------
    ConfigError
        The URL or the configuration is wrong, or there is nothing.
    TargetError
        The target cannot be reached, or refuses.
    ZsyncError
        While repairing, as for `zsync.publish`.

    Examples
    --------
    >>> import zsync
    >>> zsync.verify("s3://bucket/products/oco3_pre_qf.zarr").differences  # doctest: +SKIP
    ()
    """
    started, shows = time.monotonic(), progress_for(progress)
    if source is not None and not repair:
        raise ConfigError(
            "a source is there to repair from", said.path("source", source), "add `repair`, or leave it out"
        )
    if repair and at is not None:
        raise ConfigError("what is past is not repaired", f"at: {at}", "leave out one of them")
    config, targets = _targets(target_or_config, overrides)
    seed = secrets.randbelow(10**6) if seed is None else seed
    chosen = Sample.parse(sample, seed) if deep or sample is not None else None
    means = config.publish
    depth = Depth(
        chosen,
        headers,
        as_reader,
        zarr_checksum,
        None if at is None else said.moment("at", at),
        seed,
        said.texts("ignore", ignore),
        means.scheduler,
        means.workers,
    )

    def look(only: Sequence[Collection[str] | None]) -> Verification:
        verified, findings = verify_products(targets, depth, shows, only)
        found = tuple(item for product in verified for item in product.differences)
        status = "different" if found else "sound"
        return Verification(status, tuple(verified), tuple(findings), time.monotonic() - started, seed, found)

    result = look([None] * len(targets))
    wrong = [pair for pair in zip(targets, result.products, strict=True) if pair[1].differences]
    if not repair or not wrong:
        return result
    from zsync.verifying.repair import Source, keys_of, mend

    published = mend(Source(config, source, overrides), wrong, shows, is_dry=dry_run)
    if dry_run:
        return replace(result, repair=published, seconds=time.monotonic() - started)
    again = look([keys_of(product.differences) for product in result.products])
    return replace(again, status="different" if again.differences else "repaired", found=result.found, repair=published)


def _targets(where: Any, overrides: Mapping[str, Any]) -> tuple[RunConfig, list[Target]]:
    """Return the configuration, and what is to be verified."""
    text = os.fspath(where) if isinstance(where, str | os.PathLike) else None
    if text is not None and ("://" in text or os.path.isdir(text)):
        url = text if "://" in text else absolute(text)
        config = RunConfig.from_any({"target": url}, **overrides)
        return config, [Target(_name(place.location), place) for place in places_or_prefix(config, Location.parse(url))]
    config = RunConfig.from_any(where, **overrides)
    if config.nothing_to_do is not None:
        raise ConfigError(config.nothing_to_do, None, "there is nothing to verify")
    return config, [
        Target(product.name, place_at(site, product.location), Selection(product.include, product.exclude),
               keeps_all=site.publish.retire == "keep")
        for site in config.by_site().values()
        for product in site.resolve()
    ]  # fmt: skip


def _name(location: Location) -> str:
    return location.name or location.bucket
