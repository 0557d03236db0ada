"""Progress in a notebook: one line a run, brought up to date in place; it needs no widgets, and stays."""

from __future__ import annotations

import sys
import threading
import time
from html import escape
from typing import Any

from zsync.report.format import human_bytes
from zsync.report.step_names import STEPS

_EVERY_S = 0.2  # between two updates of the line
_COUNTED = {"survey", "digest"}  # before anything moves: not part of what was moved


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this code; IPython is there already if it does."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return running is not None and hasattr(running, "kernel")


class Cell:
    """One line below the cell: the step that goes on, and in the end what all of them came to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # digests advance from several threads
        self._handle: Any = None
        self._began = self._said = time.monotonic()
        self._step, self._step_began = "", 0.0
        self._objects, self._size, self._done, self._bytes = 0, 0, 0, 0
        self._raised: BaseException | None = None  # what was being handled when the step began
        self._ended: dict[str, tuple[int, int]] = {}  # how much the steps did, and were to do
        self._moved, self._moved_bytes = 0, 0
        self._limit: int | None = None

    def begin(self, step: str, objects: int, size: int) -> None:
        """Begin a step."""
        with self._lock:
            self._step, self._objects, self._size, self._done, self._bytes = step, objects, size, 0, 0
            self._step_began, self._raised = time.monotonic(), sys.exception()
            self._show(self._going(), self._share())

    def advance(self, objects: int, size: int) -> None:
        """Go on."""
        with self._lock:
            self._done += objects
            self._bytes += size
            if time.monotonic() - self._said >= _EVERY_S:
                self._show(self._going(), self._share())

    def end(self) -> None:
        """End the step; where an error ends it, all ends there."""
        with self._lock:
            if self._step not in _COUNTED:
                self._moved += self._done
                self._moved_bytes += self._bytes
            if sys.exception() is not self._raised:
                self._show(f"stopped: {self._going()}", self._share())
                return
            if self._objects and self._step != "survey":  # that counts products
                done, objects = self._ended.get(self._step, (0, 0))
                self._ended[self._step] = done + self._done, objects + self._objects
            self._show(self._complete(), 1.0)

    def pace(self, limit: int | None) -> None:
        """Show the limit beside the rate, from the next advance on."""
        self._limit = limit

    def _going(self) -> str:
        said = f"{STEPS.get(self._step, self._step)}: {self._done:,} of {self._objects:,}"
        if self._size:
            rate = self._bytes / max(time.monotonic() - self._step_began, 1e-3)
            size = f"{human_bytes(self._bytes)} of {human_bytes(self._size)}"
            said = f"{said} objects, {size}, {human_bytes(int(rate))}/s"
        if self._limit is not None:
            said = f"{said}, slowed down by the service: {self._limit} requests at a time"
        return said

    def _complete(self) -> str:
        seconds = f"{time.monotonic() - self._began:.1f} s"
        # What moves while it is looked at may be left for the next time.
        steps = ", ".join(
            f"{STEPS.get(step, step)} {done:,}" + (f" of {objects:,}" if done < objects else "")
            for step, (done, objects) in self._ended.items()
        )
        if not self._moved:
            return f"{steps or 'took stock'} in {seconds}"
        size = f" ({human_bytes(self._moved_bytes)})" if self._moved_bytes else ""
        count = f"{self._moved:,} object{'' if self._moved == 1 else 's'}"
        return f"{count}{size} in {seconds}: {steps}"

    def _share(self) -> float:
        done, total = (self._bytes, self._size) if self._size else (self._done, self._objects)
        return min(1.0, done / total) if total else 0.0

    def _show(self, text: str, share: float) -> None:
        self._said = time.monotonic()
        bar = f'<progress value="{share:.3f}" max="1" style="width:12em;vertical-align:middle"></progress>'
        # Digits of one width: the line does not dance.
        line = f'<div style="font-variant-numeric:tabular-nums">{bar} {escape(text)}</div>'
        bundle = {"text/plain": text, "text/html": line}
        if self._handle is None:
            from IPython import display

            show: Any = display.display
            self._handle = show(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)
