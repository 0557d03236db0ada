"""Log records as lines for people, where nobody has said how they are to look."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

from zsync.printable import printable

log = logging.getLogger("zsync")


class LineFormatter(logging.Formatter):
    """The message, with what it names escaped; a traceback only where debugging is on."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = printable(record.getMessage())
        if record.exc_info and log.isEnabledFor(logging.DEBUG):
            line = f"{line}\n{printable(self.formatException(record.exc_info), lines=True)}"
        return line


def log_lines() -> None:
    """Log to stderr, a line a record, unless something is logged somewhere already."""
    if not logging.root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(LineFormatter())
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
