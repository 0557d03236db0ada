"""Log records as lines for people, where nobody has said how they are to look."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import Any

from zsync.printable import printable

log = logging.getLogger("zsync")

TIME = "%Y-%m-%dT%H:%M:%SZ"


class LineFormatter(logging.Formatter):
    """The message, with what it names escaped; a traceback only where debugging is on.

    Parameters
    ----------
    timed
        Begin with time and level, as who reads it later needs them.
    """

    def __init__(self, *, timed: bool) -> None:
        super().__init__()
        self._is_timed = timed

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = printable(record.getMessage())
        if self._is_timed:
            line = f"{time.strftime(TIME, time.gmtime(record.created))} {record.levelname} {line}"
        if record.exc_info and log.isEnabledFor(logging.DEBUG):
            line = f"{line}\n{printable(self.formatException(record.exc_info), lines=True)}"
        return line


def log_lines() -> None:
    """Log to stderr, a line a record, unless something is logged somewhere already."""
    if not logging.root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(LineFormatter(timed=not sys.stderr.isatty()))
        logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.raiseExceptions = False  # a log that cannot be written is no reason to say so where it is not read


def hide_tracebacks() -> None:
    """Have what ends a thread, or goes wrong where nobody can be told, say one line too."""
    threading.excepthook = _thread_ended
    sys.unraisablehook = _not_raised


def _thread_ended(found: threading.ExceptHookArgs) -> None:
    name = found.thread.name if found.thread is not None else "?"
    log.error("internal error in thread %s: %s", name, found.exc_type.__name__, exc_info=found.exc_value)


def _not_raised(found: Any) -> None:
    log.debug("not raised: %s", found.err_msg or found.exc_type.__name__, exc_info=found.exc_value)
