"""Logs: lines for people, or one JSON document a line."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Literal

from zsync.errors import ConfigError
from zsync.printable import printable
from zsync.report.lines import TIME

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "zsync"
_OWN = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"})


class TextFormatter(logging.Formatter):
    """A line: time, level, site, message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", TIME)
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as logging calls it
        """Return the line; what is said of a site begins with its name."""
        site = getattr(record, "site", None)
        if site is not None:
            record.message = f"{site}: {record.message}"
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - as logging calls it
        """Return a traceback."""
        return printable(super().formatException(ei), lines=True)


class JsonFormatter(logging.Formatter):
    """One JSON document a line: time (ISO 8601, UTC), level, logger, message, and whatever else is said (site, ...)."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        document = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in record.__dict__.items() if name not in _OWN},
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str)


class SiteFilter(logging.Filter):
    """Says of which site a record is that was made while that site's work was done, in whatever room."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything through."""
        thread = record.threadName or ""
        if not hasattr(record, "site") and thread.startswith(SITE_THREAD):
            record.site = thread.removeprefix(SITE_THREAD)
        return True


SITE_THREAD = "zsync-site-"  # how the threads of sites are called


def log_to(level: str, shape: Literal["text", "json"], file: str | Path | None = None) -> logging.Handler:
    """Send what zsync logs to one place, in one shape, instead of where it went before.

    Parameters
    ----------
    level
        ``debug``, ``info``, ``warning`` or ``error``.
    shape
        ``text`` or ``json``.
    file
        Where to; None: stderr. A file that is moved away (by logrotate) is begun anew.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    try:
        handler = logging.StreamHandler(sys.stderr) if file is None else _file_handler(file)
    except OSError as error:
        raise ConfigError(
            f"cannot log there ({error.strerror})", str(file), "choose another file for --log-file, or watch.log_file"
        ) from error
    handler.setFormatter(JsonFormatter() if shape == "json" else TextFormatter())
    handler.addFilter(SiteFilter())
    logger = logging.getLogger(_NAME)
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(level.upper())
    return handler


def _file_handler(file: str | Path) -> logging.Handler:
    from logging.handlers import WatchedFileHandler

    return WatchedFileHandler(file, encoding="utf-8")
