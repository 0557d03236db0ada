"""How IPython shows our errors: what is wrong on top, then the lines of the user's own code that led there."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from traceback import FrameSummary

ALL = "ZSYNC_TRACEBACK"  # set to anything, it asks for all frames
_OURS = f"{os.path.dirname(os.path.dirname(__file__))}{os.sep}"
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"  # no colour: notebooks have a red ground


def show_in_ipython() -> None:
    """Have IPython show our errors so; they themselves lie below whoever may ask the environment how much of them."""
    from zsync.errors import ZsyncError

    ZsyncError._render_traceback_ = rendered


def show_interrupt_in_ipython(error: KeyboardInterrupt) -> None:
    """Have IPython show an interrupt of our work so as well; others are none of our business."""
    setattr(error, "_render_traceback_", functools.partial(rendered, error))  # noqa: B010


def rendered(error: BaseException) -> list[str]:
    """Return the lines that IPython shows of an error that nobody caught.

    All frames, and what the error came of, with ``ZSYNC_TRACEBACK`` in the environment, or while zsync logs at
    level DEBUG.
    """
    import traceback

    if _wants_all():
        return [line.rstrip("\n") for line in traceback.format_exception(error)]
    frames = list(_own_frames(traceback.extract_tb(error.__traceback__)))
    lines = [f"{_BOLD}{type(error).__name__}{_PLAIN}{': ' if str(error) else ''}{error}"]
    if frames:
        lines += ["", *(_line(frame) for frame in frames)]
    return lines


def _wants_all() -> bool:
    logging = sys.modules.get("logging")
    return bool(os.environ.get(ALL)) or (logging is not None and logging.getLogger("zsync").isEnabledFor(logging.DEBUG))


def _own_frames(frames: list[FrameSummary]) -> Iterator[FrameSummary]:
    """Yield the frames that are the user's: what IPython runs them in, what we do and what we call is not."""
    for frame in frames:
        if frame.filename.startswith(_OURS):
            return
        if f"{os.sep}IPython{os.sep}" not in frame.filename and f"{os.sep}ipykernel{os.sep}" not in frame.filename:
            yield frame


def _line(frame: FrameSummary) -> str:
    return f"{_place(frame.filename)}, line {frame.lineno}:  {frame.line or '?'}"


def _place(filename: str) -> str:
    """Return a file's name as the user knows it: that of a cell is its number."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    named = getattr(getattr(shell, "compile", None), "format_code_name", None)
    found = named(filename) if named is not None else None
    return " ".join(found) if found else filename
