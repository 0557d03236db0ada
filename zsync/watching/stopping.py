"""Stop work at a safe point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.errors import ZsyncError

if TYPE_CHECKING:
    import threading

_STOPPABLE = ("survey", "digest", "data")  # steps in which nothing that readers see has changed for good


class StoppedError(ZsyncError):
    """The work was stopped at a safe point, because the service ends."""


class Stoppable:
    """Progress that stops the work at a safe point, once that is asked for: before anything but data was written."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._step = ""

    def begin(self, step: str, objects: int, size: int) -> None:  # noqa: ARG002 - as `Progress` has it
        """Begin a step."""
        self._step = step
        self._look()

    def advance(self, objects: int, size: int) -> None:  # noqa: ARG002 - as `Progress` has it
        """Go on."""
        self._look()

    def end(self) -> None:
        """End a step."""

    def pace(self, limit: int | None) -> None:
        """Take notice of the service's wish."""

    def _look(self) -> None:
        if self._stop.is_set() and self._step in _STOPPABLE:
            raise StoppedError("stopped, because the service ends")
