"""When to look: file events where they work, else time alone. What changed is told by a scan, never by an event."""

from __future__ import annotations

import logging
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from zsync.watching.where import has_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from watchfiles import Change

log = logging.getLogger(__name__)

_TICK_MS = 500  # how soon the watcher notices that it is to stop
_BURST_MS = 400  # events that come together are one
_RETRY_S = 5.0  # until it is tried again to watch a directory that was not there
_PATIENCE_S = 60.0  # until it is tried again where the system refused: it may be many directories
_WATCHES, _INSTANCES = "max_user_watches", "max_user_instances"
# What the libraries below say of the system's limits.
_LIMITS = {
    "OS file watch limit reached": _WATCHES, "MaxFilesWatch": _WATCHES, "os error 28": _WATCHES,
    "No space left on device": _WATCHES, "os error 24": _INSTANCES, "Too many open files": _INSTANCES,
}  # fmt: skip


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
            pause = _RETRY_S
            try:
                if self._watch():
                    pause = 0.0  # they were replaced by others, which are to be watched at once
            except (OSError, RuntimeError) as error:  # too many directories for the system, or they went away
                pause, problem = _PATIENCE_S, refusal(str(error))
                if problem != said:
                    log.warning("no file events, so the files are looked at now and then: %s", problem)
                    said = problem
            self._is_on = False
            self._wake()
            self._stop.wait(pause)

    def _watch(self) -> bool:
        """Watch, and return whether the directories are there still, though others than those that were watched."""
        from watchfiles import Change

        places = self._places()
        if None in places:  # said elsewhere
            return False
        for found in self._changes(self._roots, self._stop):
            # Only now are all directories watched: what happened before is found by the look that this asks for.
            if found or not self._is_on:
                self._is_on = True
                self._wake()
            now = self._places()
            # A new directory may have the number of one that was removed.
            if now != places or any(change == Change.deleted and path in self._roots for change, path in found):
                return None not in now
            came = [path for change, path in found if change == Change.added and os.path.isdir(path)]
            if came:
                self._try(came[-1])
        return False

    def _places(self) -> list[tuple[int, int] | None]:
        """Return which directories the roots are: one of the same name may have taken the place of another."""
        return [_identity(root) for root in self._roots]

    def _try(self, directory: str) -> None:
        """Watch one directory for a moment: of those that come later nobody says that they could not be watched.

        Raises
        ------
        OSError, RuntimeError
            It cannot be.
        """
        ended = threading.Event()
        ended.set()
        for _ in self._changes((directory,), ended):
            return

    def _changes(self, roots: Sequence[str], stop: threading.Event) -> Iterator[set[tuple[Change, str]]]:
        from watchfiles import watch

        return watch(
            *roots,
            watch_filter=None,
            debounce=_BURST_MS,
            rust_timeout=_TICK_MS,
            yield_on_timeout=True,
            stop_event=stop,
            raise_interrupt=False,
            recursive=stop is self._stop,
            ignore_permission_denied=False,  # else every refusal is passed over in silence, that of limits as well
        )


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - twice a second for every site
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


def refusal(text: str) -> str:
    """Return what is wrong when events are refused: a limit of the system by its name, with how to raise it.

    Examples
    --------
    >>> "fs.inotify.max_user_watches" in refusal("OS file watch limit reached.")
    True
    """
    name = next((name for words, name in _LIMITS.items() if words in text), None)
    if name is None:
        return text
    try:
        limit = int(Path(f"/proc/sys/fs/inotify/{name}").read_text(encoding="ascii"))
    except (OSError, ValueError):
        value, higher = "", "a higher number"
    else:
        value, higher = f" ({limit})", str(4 * limit)
    files = ", or that of open files (ulimit -n)," if name == _INSTANCES else ""
    return (
        f"the limit fs.inotify.{name}{value}{files} is reached: raise it (sysctl fs.inotify.{name}={higher}, and for"
        " good in /etc/sysctl.d), or set watch.events: poll"
    )
