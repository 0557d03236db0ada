"""Webhooks: POST a message, and try again while there is time."""

from __future__ import annotations

import http.client
import itertools
import time
import urllib.request
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import urlsplit

from zsync.errors import TargetError
from zsync.notices.message import headers
from zsync.storage import RetryPolicy
from zsync.version import __version__

if TYPE_CHECKING:
    from zsync.notices.message import Message

_POLICY = RetryPolicy(attempts=4, first_s=0.2, longest_s=5.0)
_BUSY = 429


def post(url: str, message: Message, *, secret: str | None, timeout_s: float) -> None:
    """POST a message.

    Connections that break, 429 and 5xx are tried again, within the timeout. Redirects are not followed: the message
    is for whom the configuration names.

    Raises
    ------
    TargetError
        It was not taken; names scheme and host of the URL only, since the rest is often a secret.
    """
    deadline = time.monotonic() + timeout_s
    where = place(url)
    for attempt in itertools.count(1):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TargetError(f"no answer within {timeout_s:g} s", where)
        problem, again_in = _attempt(url, message, secret, left)
        if problem is None:
            return
        delay = max(_POLICY.delay_s(attempt), again_in or 0)
        if again_in is None or attempt >= _POLICY.attempts or time.monotonic() + delay >= deadline:
            tried = f" ({attempt} attempts)" if attempt > 1 else ""
            raise TargetError(f"{problem}{tried}", where)
        time.sleep(delay)


def place(url: str) -> str:
    """Return scheme and host of a URL, for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _attempt(url: str, message: Message, secret: str | None, timeout_s: float) -> tuple[str | None, float | None]:
    """Return what went wrong, if anything, and after how many seconds at least to try again, if that is of use."""
    now = int(time.time())
    named = headers(message.kind, message.delivery, now, message.data, secret=secret, version=__version__)
    try:
        # The configuration takes no other schemes than http and https.
        request = urllib.request.Request(url, message.data, named, method="POST")  # noqa: S310
        with _opener().open(request, timeout=timeout_s) as answer:
            status, later = answer.status, answer.headers.get("Retry-After", "")
    except TimeoutError:
        return f"no answer within {timeout_s:.1f} s", 0
    except URLError as error:  # its text may hold the URL
        if isinstance(error.reason, TimeoutError):
            return f"no answer within {timeout_s:.1f} s", 0
        return f"cannot connect ({getattr(error.reason, 'strerror', None) or type(error.reason).__name__})", 0
    except (OSError, http.client.HTTPException):
        return "the connection broke", 0
    if 200 <= status < 300:
        return None, None
    waits = float(later) if later.isdigit() else 0.0
    return f"the answer was {status}", waits if status == _BUSY or status >= 500 else None


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens URLs, through a proxy where the environment names one; any status is an answer to it."""
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
        opener.add_handler(handler())
    return opener
