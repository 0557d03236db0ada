"""Whether what watching needs besides the publisher is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from zsync.errors import ConfigError
from zsync.version import install

if TYPE_CHECKING:
    from collections.abc import Iterable


def refuse_missing(listen: str, events: Iterable[str]) -> None:
    """Refuse to begin what could not go on.

    Parameters
    ----------
    listen
        The address of the endpoints, or ``off``.
    events
        What tells each site of changes.

    Raises
    ------
    ConfigError
        A package is not installed that the configuration asks for.
    """
    if any(way != "poll" for way in events) and find_spec("watchfiles") is None:
        raise ConfigError(
            "watchfiles, for file events, is not installed", "watch.events", f"{install('watch')}, or --events poll"
        )
    if listen != "off" and find_spec("prometheus_client") is None:
        raise ConfigError(
            "prometheus-client, for metrics, is not installed", "watch.listen", f"{install('watch')}, or --listen off"
        )
