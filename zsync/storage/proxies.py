"""Proxies that the environment names: who cannot connect is told which one is in between."""

from __future__ import annotations

import os
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from zsync.errors import NetworkError


def through_proxy(url: str) -> NetworkError | None:
    """Return the error that it is when nobody answers at a URL for which the environment names a proxy; None else."""
    parts = urlsplit(url)
    proxies = getproxies_environment()
    kind = next((kind for kind in (parts.scheme, "all") if proxies.get(kind)), None)
    if kind is None or parts.scheme not in ("http", "https") or proxy_bypass(parts.netloc):
        return None
    return unanswered(proxies[kind], _variable(kind))


def unanswered(proxy: str, variable: str | None = None) -> NetworkError:
    """Return the error that it is when a proxy does not answer; user and password are not shown."""
    scheme, mark, rest = proxy.strip().rpartition("://")
    place = f"{scheme}{mark}{rest.rpartition('@')[2]}"
    variable = variable or next((name for name in map(_variable, ("https", "http", "all")) if name), "the proxy")
    return NetworkError(
        "cannot connect through the proxy", place, f"check {variable}, or name the service in NO_PROXY to go without it"
    )


def _variable(kind: str) -> str | None:
    """Return the name of the variable that names a proxy."""
    names = (f"{kind}_proxy", f"{kind.upper()}_PROXY")
    return next((name for name in names if os.environ.get(name)), None)
