"""Progress: bars on a terminal, a line in a notebook, plain log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import Any, Protocol

from zsync.errors import ConfigError
from zsync.report.cell import Cell, in_notebook
from zsync.report.format import human_bytes
from zsync.report.step_names import STEPS

log = logging.getLogger("zsync.progress")

_NARROW, _WIDE = 100, 140  # columns: below, a bar has room beside the number of objects only; above, for all
_EVERY_S = 10.0  # seconds between two log lines of one step


class Progress(Protocol):
    """Told what is happening; every method is called from the thread that publishes."""

    def begin(self, step: str, objects: int, size: int) -> None:
        """Begin a step of the protocol, of so many objects and bytes."""

    def advance(self, objects: int, size: int) -> None:
        """Go on by so many objects and bytes."""

    def end(self) -> None:
        """End the step, complete or not."""

    def pace(self, limit: int | None) -> None:
        """Take notice that the service asks to slow down: so many requests at a time now; None: full speed again."""


def progress_for(wanted: Progress | bool | None) -> Progress:  # noqa: FBT001 - True and False are what users say
    """Return what shows progress.

    Parameters
    ----------
    wanted
        True: bars. False: nothing. None: bars on a terminal, log lines elsewhere. In a notebook both are a line that is
        brought up to date in place. Or an object that is used as it is.
    """
    if wanted is None or wanted is True:
        if in_notebook():
            return Cell()
        return Bars() if wanted or sys.stderr.isatty() else LogLines()
    if not (wanted is False or hasattr(wanted, "begin")):
        raise ConfigError(
            f"this shows no progress: {type(wanted).__name__}", "progress", "give True, False, None or a Progress"
        )
    return wanted or Silent()


class Silent:
    """Shows nothing."""

    def begin(self, step: str, objects: int, size: int) -> None:
        """Begin a step."""

    def advance(self, objects: int, size: int) -> None:
        """Go on."""

    def end(self) -> None:
        """End the step."""

    def pace(self, limit: int | None) -> None:
        """Take notice of the service's wish."""


class LogLines:
    """A log line when a step of any length begins to matter, every ten seconds, and at its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # digests advance from several threads
        self._slowed = False

    def begin(self, step: str, objects: int, size: int) -> None:
        """Begin a step."""
        self._step, self._objects, self._size = STEPS.get(step, step), objects, size
        self._done, self._bytes = 0, 0
        self._began = self._said = time.monotonic()

    def advance(self, objects: int, size: int) -> None:
        """Go on."""
        with self._lock:
            self._done += objects
            self._bytes += size
            now = time.monotonic()
            if now - self._said >= _EVERY_S:
                self._said = now
                self._say(now)

    def end(self) -> None:
        """End the step."""
        if self._step != STEPS["survey"] and self._objects:
            self._say(time.monotonic())

    def pace(self, limit: int | None) -> None:
        """Say when the service begins to ask for less, and when it is over; the limit changes too often to say."""
        slowed = limit is not None
        if slowed != self._slowed:
            self._slowed = slowed
            if slowed:
                log.info("slowed down by the service: %d requests at a time", limit)
            else:
                log.info("full speed again")

    def _say(self, now: float) -> None:
        sizes = ""
        if self._size:
            rate = human_bytes(int(self._bytes / max(now - self._began, 1e-3)))
            sizes = f", {human_bytes(self._bytes)} of {human_bytes(self._size)}, {rate}/s"
        log.info("%s: %d of %d objects%s", self._step, self._done, self._objects, sizes)


class Bars:
    """Bars with rich: objects, bytes, rate and time left, a bar a step."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # digests advance from several threads
        self._display: Any = None
        self._task: Any = None
        self._limit: int | None = None

    def begin(self, step: str, objects: int, size: int) -> None:
        """Begin a step."""
        self._display = _display()
        self._objects, self._size, self._done, self._bytes = objects, size, 0, 0
        # Steps without bytes are measured in objects.
        self._task = self._display.add_task(STEPS.get(step, step), total=size or objects, amount="", rate="")
        self._began = time.monotonic()
        if objects:
            self._display.start()

    def advance(self, objects: int, size: int) -> None:
        """Go on."""
        with self._lock:
            self._done += objects
            self._bytes += size
            is_narrow = self._display.console.width < _NARROW
            amount = f"{self._done:,}/{self._objects:,}{'' if is_narrow else ' objects'}"
            rate = ""
            if self._size and not is_narrow:
                amount += f"  {human_bytes(self._bytes)}/{human_bytes(self._size)}"
                rate = f"{human_bytes(int(self._bytes / max(time.monotonic() - self._began, 1e-3)))}/s"
            if self._limit is not None and not is_narrow:
                rate = f"{rate}  slowed down by the service: {self._limit} requests at a time".strip()
            completed = self._bytes if self._size else self._done
            self._display.update(self._task, completed=completed, amount=amount, rate=rate)

    def end(self) -> None:
        """End the step; what follows prints below its bar."""
        self._display.stop()

    def pace(self, limit: int | None) -> None:
        """Show the limit beside the rate, from the next advance on."""
        self._limit = limit


def _display() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description:<15}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=10 if console.width < _NARROW else 40 if console.width >= _WIDE else 20),
        TextColumn("{task.fields[amount]}", table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
    )
