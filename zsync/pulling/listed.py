"""Bring what the targets of a configuration really hold: the first sync of a watched directory."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from zsync.notices.telling import and_tell
from zsync.pulling.bring import bring, terms_of_pull
from zsync.pulling.found import look, sources_of
from zsync.pulling.wanted import wanted_of
from zsync.storage.archived import all_named

if TYPE_CHECKING:
    from zsync.config import RunConfig
    from zsync.pulling.pulled import PullResult
    from zsync.report.progress import Progress


def pull_listed(config: RunConfig, progress: Progress) -> PullResult:
    """Bring what the targets of a configuration really hold, whoever wrote it; what is replaced here goes to the trash.

    Files that are only here stay.

    Raises
    ------
    ZsyncError
        As for `zsync.pull`.
    """
    started = time.monotonic()

    def work() -> PullResult:
        wanted = wanted_of(config, None, is_url=False)
        found = [
            look(item, (product.include, product.exclude), None, publishes=True, as_listed=True)
            for item, product in zip(wanted, config.resolve(), strict=True)
        ]
        terms = replace(terms_of_pull(config.publish), retires="ours", keeps=frozenset({""}))
        with all_named(sources_of(found)):
            return bring(found, terms, progress, started)

    return and_tell(config, work)
