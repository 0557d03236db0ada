"""The dialect of the periodic two-way starter: ``config.yml`` with `general`, `sync` and `logging`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from zsync.config.dialect import Reading
from zsync.config.location import anchored
from zsync.config.problems import checked
from zsync.config.values import Duration, Section, Text

_MARKS = {"local_folder", "s3_bucket"}
_LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "warn": "warning", "error": "error",
           "critical": "error"}  # fmt: skip
_FILE = ("file", "log_file", "filename")


class _General(Section):
    local_folder: Text
    s3_bucket: Text
    aws_profile: Text | None = None


class _Sync(Section):
    interval: Duration = 60
    sync_deletions: bool = True


class _Starter(Section):
    general: _General
    sync: _Sync = Field(default_factory=_Sync)
    logging: dict[str, Any] = Field(default_factory=dict)


def recognise(doc: dict[str, Any]) -> bool:
    """Return whether a document is in this dialect."""
    general = doc.get("general")
    return isinstance(general, dict) and not general.keys().isdisjoint(_MARKS)


def read(doc: dict[str, Any], base: str, place: str | None) -> Reading:
    """Return the native document: one folder that is published as often as `interval` says.

    Raises
    ------
    ConfigError
        Something is missing, unknown or of the wrong type.
    """
    said = checked(_Starter, doc, place)
    folder = anchored(said.general.local_folder, base)
    bucket = said.general.s3_bucket.strip("/")
    target = bucket if "://" in bucket else f"s3://{bucket}"
    interval = said.sync.interval
    watch, notes = _logging(said.logging, base)
    found: dict[str, Any] = {
        "source": folder,
        "target": target,
        "products": {folder.rstrip("/").rpartition("/")[2] or "folder": {"path": folder, "to": target}},
        # What S3 lost is put back: so each time all is compared with what is there.
        "watch": {"interval": interval, "compare": interval, "events": "poll", **watch},
        "publish": {"retire": "trash", "max_delete": "100%"} if said.sync.sync_deletions else {"retire": "keep"},
    }
    if said.general.aws_profile:
        found["storage"] = {"profile": said.general.aws_profile}
    return Reading(found, notes)


def _logging(said: dict[str, Any], base: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return what is understood of the section for logs: a level and a file."""
    watch: dict[str, str] = {}
    level = said.get("level", said.get("log_level"))
    if isinstance(level, str) and level.lower() in _LEVELS:
        watch["log_level"] = _LEVELS[level.lower()]
    file = next((said[name] for name in _FILE if isinstance(said.get(name), str) and said[name]), None)
    if file is not None:
        watch["log_file"] = anchored(file, base)
    unneeded = [name for name in said if name not in {"level", "log_level", *_FILE}]
    return watch, tuple(f"logging.{name} is not needed" for name in unneeded)
