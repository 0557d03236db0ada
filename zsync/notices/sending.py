"""Send a message to all who want it, at the same time; every way of sending has its own module."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from typing import TYPE_CHECKING

from zsync.config.values import seconds
from zsync.errors import TargetError
from zsync.notices.message import Event, Message, body
from zsync.publication.process import this_process
from zsync.version import __version__
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zsync.config import Storage
    from zsync.config.sections import Notification

log = logging.getLogger(__name__)

_LATE_S = 1.0  # by how much a sender may overrun its timeout before it is given up


class _Delivery:
    """One notification under way, in a thread of its own that nobody has to wait for."""

    def __init__(
        self, number: int, to: Notification, storage: Storage, message: Message, is_given_up: threading.Event
    ) -> None:
        self.number = number
        self._is_given_up = is_given_up
        self._to, self._storage, self._message = to, storage, message
        self._timeout_s = float(seconds(to.timeout))
        self._problem: str | None = f"no answer within {self._timeout_s:g} s"
        self._until = time.monotonic() + self._timeout_s + _LATE_S
        self._thread = threading.Thread(target=self._run, name="zsync-notice", daemon=True)
        self._thread.start()

    def result(self) -> str | None:
        """Return why it failed, or None."""
        self._thread.join(max(0.0, self._until - time.monotonic()))
        return self._problem

    def _run(self) -> None:
        try:
            _send(self._to, self._storage, self._message, self._timeout_s, self._is_given_up)
            self._problem = None
        except TargetError as error:
            self._problem = str(error)
        except Exception as error:  # noqa: BLE001 - the text of an error that we do not know may hold what is secret
            self._problem = f"internal error: {type(error).__name__}"


def send_all(storage: Storage, wanted: Mapping[int, Notification], event: Event) -> list[Finding]:
    """Send an event to all who want it.

    Parameters
    ----------
    storage
        Holds the credentials for queues and topics.
    wanted
        Who is told, by their place in the configuration.
    event
        What happened.

    Returns
    -------
    list of Finding
        A warning for each that failed.
    """
    process = this_process(__version__)
    by = {name: process[name] for name in ("user", "host", "pid", "zsync")}
    data = body(event, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), by)
    targets = tuple(str(product["url"]) for product in event.products)
    is_given_up = threading.Event()

    def message() -> Message:
        return Message(event.kind, f"msg_{secrets.token_hex(12)}", event.publication, targets, data)

    try:
        deliveries = [_Delivery(number, to, storage, message(), is_given_up) for number, to in wanted.items()]
        problems = {delivery.number: delivery.result() for delivery in deliveries}
    except BaseException:  # Ctrl-C
        from zsync.notices.command import kill_all

        is_given_up.set()
        kill_all()
        raise
    return [_finding(number, event.kind, problem) for number, problem in problems.items() if problem is not None]


def _send(to: Notification, storage: Storage, message: Message, timeout_s: float, is_given_up: threading.Event) -> None:
    if to.command is not None:
        from zsync.notices.command import run

        run(to.command, message, timeout_s, is_given_up, to.inherit)
        return
    url = "" if to.url is None else to.url.get_secret_value()
    if to.format == "sqs":
        from zsync.notices.queues import send_to_queue

        send_to_queue(url, message, storage, timeout_s)
    elif to.format == "sns":
        from zsync.notices.queues import send_to_topic

        send_to_topic(url, to.topic or "", message, storage, timeout_s)
    else:
        from zsync.notices.webhook import post

        secret = None if to.secret is None else to.secret.get_secret_value()
        post(url, message, secret=secret, timeout_s=timeout_s)


def _finding(number: int, kind: str, problem: str) -> Finding:
    log.debug("notification %d of %s failed: %s", number, kind, problem)
    return Finding("warning", "notification-failed", "", f"notify.{number}", f"the notification failed: {problem}")
