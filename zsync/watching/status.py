"""How sites are doing: what the endpoints tell. Holds no secret."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """How one site is doing.

    Attributes
    ----------
    source, target
        From where, and to where.
    state
        ``starting``, ``watching``, ``failing`` (the last attempt failed, or a store is held back because it is unfit),
        ``stopped``.
    publication
        The current publication.
    objects, bytes
        What the target holds of it.
    last_success, last_attempt
        Seconds since the epoch.
    error
        Why it is failing.
    exit_status
        The exit status that goes with the error.
    behind_since_s
        When the oldest change that is not published was first seen, by the steady clock.
    errors, publications, bytes_sent, passes, pass_seconds
        Counted since the service began to watch the site.
    events
        Whether file events tell of changes.
    """

    name: str
    source: str
    target: str
    state: str = "starting"
    publication: str | None = None
    objects: int = 0
    bytes: int = 0
    last_success: float | None = None
    last_attempt: float | None = None
    error: str | None = None
    exit_status: int = 0
    behind_since_s: float | None = None
    errors: int = 0
    publications: int = 0
    bytes_sent: int = 0
    passes: int = 0
    pass_seconds: float = 0.0
    events: bool = False

    @property
    def lag_s(self) -> float:
        """For how long the oldest change has been waiting, in seconds."""
        return 0.0 if self.behind_since_s is None else max(0.0, time.monotonic() - self.behind_since_s)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "source": self.source,
            "target": self.target,
            "state": self.state,
            "publication": self.publication,
            "objects": self.objects,
            "bytes": self.bytes,
            "last_success": _moment(self.last_success),
            "last_attempt": _moment(self.last_attempt),
            "error": self.error,
            "lag_seconds": round(self.lag_s, 3),
            "errors": self.errors,
            "publications": self.publications,
            "bytes_sent": self.bytes_sent,
            "events": self.events,
        }


class Board:
    """Where sites put up how they are doing, and the endpoints read it."""

    def __init__(self, version: str) -> None:
        self.version = version
        self._began_s = time.monotonic()
        self._lock = threading.Lock()
        self._sites: dict[str, SiteStatus] = {}
        self._reloads = 0
        self._reload_error: str | None = None
        self._reload_errors = 0

    def add(self, status: SiteStatus) -> None:
        """Put up a new site, or one that was changed; what was counted goes on."""
        with self._lock:
            old = self._sites.get(status.name)
            if old is not None:
                status = replace(
                    status, errors=old.errors, publications=old.publications, bytes_sent=old.bytes_sent,
                    passes=old.passes, pass_seconds=old.pass_seconds,
                )  # fmt: skip
            self._sites[status.name] = status

    def remove(self, name: str) -> None:
        """Take a site down."""
        with self._lock:
            self._sites.pop(name, None)

    def update(self, name: str, **values: Any) -> None:
        """Change some of what is told of a site; one that is gone stays so."""
        with self._lock:
            if name in self._sites:
                self._sites[name] = replace(self._sites[name], **values)

    def count(self, name: str, **amounts: float) -> None:
        """Add to what is counted of a site."""
        with self._lock:
            if name in self._sites:
                old = self._sites[name]
                added = {field: getattr(old, field) + amount for field, amount in amounts.items()}
                self._sites[name] = replace(old, **added)

    def reloaded(self, error: str | None) -> None:
        """Take note of a reload, and of what was wrong with it."""
        with self._lock:
            self._reloads += 1
            self._reload_errors += error is not None
            self._reload_error = error

    @property
    def sites(self) -> Mapping[str, SiteStatus]:
        """All sites by name, as they are now."""
        with self._lock:
            return dict(self._sites)

    @property
    def reloads(self) -> tuple[int, int]:
        """How many reloads there were, and how many of them failed."""
        with self._lock:
            return self._reloads, self._reload_errors

    @property
    def failing(self) -> dict[str, str]:
        """The sites that are failing, with the reason."""
        return {name: status.error for name, status in self.sites.items() if status.error is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return {
            "version": self.version,
            "uptime_seconds": round(time.monotonic() - self._began_s, 3),
            "configuration_error": self._reload_error,
            "sites": {name: status.to_dict() for name, status in sorted(self.sites.items())},
        }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
