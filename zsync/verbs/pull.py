"""Pull: from a bucket to this machine, by the same plan, stages and records as a publish.

What is published is the source here, and a directory is the target. So a local reader is as safe as a remote one:
metadata comes last, and what was cut off is finished by the next call.
"""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zsync.config import in_section, said
from zsync.config.sections import Pull
from zsync.notices.telling import and_tell
from zsync.pulling.bring import bring, terms_of_pull
from zsync.pulling.found import look, part_of, sources_of
from zsync.pulling.wanted import configuration_of, wanted_of
from zsync.report.progress import progress_for
from zsync.storage.archived import all_named

if TYPE_CHECKING:
    import datetime as dt
    import os
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from zsync.config.options import PullCallOptions
    from zsync.pulling.pulled import PullResult
    from zsync.pulling.wanted import Wanted
    from zsync.report.progress import Progress

log = logging.getLogger(__name__)

DOWNLOADS = ("download/**", "**/download/**")


def pull(  # noqa: PLR0913 - a user names what applies
    config_or_url: Any = None,
    dest: str | os.PathLike[str] | None = None,
    *,
    subset: str | Sequence[str] = (),
    include: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    exclude_downloads: bool | None = None,
    force_overwrite: bool | None = None,
    at: str | dt.date | None = None,
    select: Mapping[str, Any] | None = None,
    variables: str | Sequence[str] = (),
    dry_run: bool = False,
    progress: Progress | bool | None = None,
    **overrides: Unpack[PullCallOptions],
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
        A publication, to have it instead of the current one: its id, the beginning of one, ``head~2``, or a time such
        as ``2026-11-20``; for as long as the bucket keeps it, by versions or with ``publish.keep_history``.
    select
        Of Zarr stores only a range along dimensions, such as ``{"time": "2020-01..2020-03"}``, or ``slice("2020-01",
        "2020-03")`` in place of the text; both ends included, counted from 0 where a dimension has no labels. What
        comes is a store of its own, that holds just this. Arrays of which the dimensions have no names are told, and do
        not come.
    variables
        Of Zarr stores only these variables (names or paths, or paths of groups), and the coordinates that they need.
    dry_run
        Say what would be done, and do nothing.
    progress
        As for `zsync.publish`.
    **overrides
        Options of the configuration by their names, those under ``pull`` too: ``endpoint_url``, ``workers``, ``root``.

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
    GoneError
        Of an older publication something is not to be had any more.
    TargetError
        The bucket cannot be reached, or there is not enough space.

    Examples
    --------
    >>> import zsync
    >>> zsync.pull("s3://bucket/products/oco3_pre_qf.zarr", "data")  # doctest: +SKIP
    """
    started = time.monotonic()
    config, is_url = configuration_of(config_or_url, in_section("pull", Pull, overrides))
    dry_run = dry_run or config.dry_run
    if exclude_downloads is None:
        exclude_downloads = config.pull.exclude_downloads
    if force_overwrite is None:
        force_overwrite = config.pull.force_overwrite
    for note in config.notes:
        log.info("note: %s", note)
    without = (*said.texts("exclude", exclude), *(DOWNLOADS if exclude_downloads else ()))
    patterns = _patterns(said.texts("subset", subset), said.texts("include", include)), without
    ranges, names = said.ranges(select), said.texts("variables", variables)
    moment = None if at is None else said.moment("at", at)
    where = None if dest is None else said.path("dest", dest)

    def work() -> PullResult:
        wanted = wanted_of(config, where, is_url=is_url)
        _tell(wanted, exclude_downloads=exclude_downloads, force_overwrite=force_overwrite)
        found = [look(item, patterns, moment, publishes=not dry_run) for item in wanted]
        terms = terms_of_pull(config.publish)
        if not force_overwrite:
            terms = replace(terms, retires="ours", leaves_existing=True)
        with all_named(sources_of(found)), ExitStack() as parts:
            if ranges or names:
                found = [part_of(item, parts, ranges, names, is_dry=dry_run) for item in found]
                terms = replace(terms, consolidate="auto")  # what comes is a store of its own
            return bring(found, terms, progress_for(progress), started, is_dry=dry_run)

    return work() if dry_run else and_tell(config, work)


def _tell(wanted: Sequence[Wanted], *, exclude_downloads: bool, force_overwrite: bool) -> None:
    for item in wanted:
        log.info("from %s to %s", item.place.url, item.directory)
    if exclude_downloads:
        log.info("leaving out download/ folders")
    log.info("replacing what differs" if force_overwrite else "safe mode: what exists is left alone")


def _patterns(subset: Sequence[str], include: Sequence[str]) -> tuple[str, ...]:
    return (*include, *(pattern for name in subset for pattern in (name, f"{name.rstrip('/')}/**")))
