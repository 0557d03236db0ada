"""Rollback: what is published becomes what an earlier publication was, by the same plan, stages and records."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zsync.config import said
from zsync.notices.telling import and_tell
from zsync.publication.places import reached
from zsync.report.progress import progress_for
from zsync.tasks import side_by_side

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from typing import Unpack

    from zsync.config.options import RollbackCallOptions
    from zsync.report.progress import Progress
    from zsync.steps.result import PublishResult

log = logging.getLogger(__name__)


def rollback(
    target: Any,
    publication_id: str | dt.date,
    *,
    only: str | Sequence[str] = (),
    dry_run: bool = False,
    progress: Progress | bool | None = None,
    **overrides: Unpack[RollbackCallOptions],
) -> PublishResult:
    """Make what is published equal to an earlier publication, as a new publication.

    Readers are as safe in it as in a publish: they see whole what was published last until they see whole what was
    published then; several products go back together. What is the same is not sent. If anything is not to be had any
    more, nothing is changed at all. The next `zsync.publish` of a source that has not changed meanwhile asks for
    ``force``.

    Parameters
    ----------
    target
        The URL of a product, or of a prefix that holds several; or a configuration.
    publication_id
        The publication: its id, the beginning of one, ``head~2``, or a time such as ``2026-11-20``. Products that it
        did not hold stay as they are; of a time, each goes back to what it was then.
    only
        Only these products of it, by their names.
    dry_run
        Stop after the plan, having written nothing.
    progress
        As for `zsync.publish`.
    **overrides
        Options of the configuration, for instance ``endpoint_url``, ``on_incompatible`` or ``message``.

    Returns
    -------
    PublishResult
        What was done; shows itself in a notebook.

    Raises
    ------
    ConfigError
        Nothing was published there, or there is no such publication.
    GoneError
        Something is not to be had any more: the bucket keeps no versions, and it was not kept.
    GuardError
        An array would change incompatibly, and `on_incompatible` does not say to replace it.
    ConflictError
        Somebody else is publishing one of the products.
    TargetError
        The target refused or could not be reached.

    Examples
    --------
    >>> import zsync
    >>> zsync.rollback("s3://bucket/products/oco3", "head~1", dry_run=True).plan  # doctest: +SKIP
    """
    started = time.monotonic()
    config, places = reached(target, **overrides)
    dry_run = dry_run or config.dry_run

    def work() -> PublishResult:
        from zsync.returning.going import go_back, terms_of_rollback
        from zsync.returning.meant import meant_by
        from zsync.returning.sources import look, refuse_if_gone

        terms = terms_of_rollback(config)
        meant, others = meant_by(places, said.moment("publication_id", publication_id), said.texts("only", only))
        for place in others:
            log.info("%s was not part of that publication: it stays as it is", place.url)
        earlier = side_by_side(lambda item: look(item, terms, publishes=not dry_run), meant)
        refuse_if_gone(earlier)
        result = go_back(earlier, terms, progress_for(progress), started, is_dry=dry_run)
        return replace(result, stay=tuple(place.url for place in others))

    return work() if dry_run else and_tell(config, work)
