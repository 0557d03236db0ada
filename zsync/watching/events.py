"""When to look: file events where they work, else time alone. What changed is told by a scan, never by an event."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from zsync.watching.where import has_events

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

_TICK_MS = 500  # how soon the watcher notices that it is to stop
_BURST_MS = 400  # events that come together are one
_RETRY_S = 5.0  # until it is tried again to watch a directory that was not there


class Events:
    """Calls `wake` when something happens below directories, if the system tells of it."""

    def __init__(self, roots: Sequence[str], wanted: str, wake: Callable[[], None]) -> None:
        self._roots = tuple(roots)
        self._wake = wake
        self._stop = threading.Event()
        self._is_on = False
        self._wants = wanted == "native" or (wanted == "auto" and all(map(has_events, roots)))
        self._thread = threading.Thread(target=self._run, name="zsync-events", daemon=True)

    @property
    def is_on(self) -> bool:
        """Whether events can be waited for; else only looking tells."""
        return self._is_on

    def start(self) -> None:
        """Begin, in a thread of its own."""
        if self._wants:
            self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        said = ""
        while not self._stop.is_set():
            try:
                self._watch()
            except (OSError, RuntimeError) as error:  # too many directories for the system, or they went away
                problem = str(error)
                if problem != said:
                    log.warning("no file events, so the files are looked at now and then: %s", problem)
                    said = problem
            self._is_on = False
            self._wake()
            self._stop.wait(_RETRY_S)

    def _watch(self) -> None:
        from watchfiles import watch

        if not all(map(os.path.isdir, self._roots)):  # said elsewhere
            return
        changes = watch(
            *self._roots,
            watch_filter=None,
            debounce=_BURST_MS,
            rust_timeout=_TICK_MS,
            yield_on_timeout=True,
            stop_event=self._stop,
            raise_interrupt=False,
            recursive=True,
            ignore_permission_denied=True,
        )
        for found in changes:
            # Only now are all directories watched: what happened before is found by the look that this asks for.
            if found or not self._is_on:
                self._is_on = True
                self._wake()
            if not all(map(os.path.isdir, self._roots)):
                return
