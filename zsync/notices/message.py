"""What is said: from an event to the bytes and headers of a message. Pure.

Signatures are those of the Standard Webhooks specification 1.0.0 (standardwebhooks.com), so that a receiver verifies
them with a ready-made library.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zsync.words import Finding

FORMAT = 1
# SQS and SNS take no more than 256 KiB, and count 64 KiB as one request.
MAX_BYTES = 64 * 2**10
SECRET_PREFIX = "whsec_"  # noqa: S105 - what a key in base64 begins with, not a key
_OMITTED = "_omitted"
_PER_CHARACTER = 12  # bytes of JSON that a character may come to: two escapes


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to one receiver.

    Attributes
    ----------
    delivery
        Its id, the same however often it is sent.
    publication, targets
        The publication, and the URLs of its products.
    data
        The message as JSON.
    """

    kind: str
    delivery: str
    publication: str | None
    targets: tuple[str, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """What happened; holds no secret.

    Attributes
    ----------
    kind
        What sort of event it is.
    publication
        Id of the publication, if it is one.
    products
        What was done with each product, as the verb's own JSON has it: at least ``name`` and ``url``.
    findings
        What was noticed on the way; those that are only infos are not told.
    seconds
        How long it took.
    error, exit_status
        Why it failed, in one line, and the exit status of the command.
    site
        The site of a service for many sites.
    """

    kind: Literal["published", "pulled", "synced", "failed"]
    publication: str | None = None
    products: tuple[Mapping[str, Any], ...] = ()
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    error: str | None = None
    exit_status: int | None = None
    site: str | None = None


def document(event: Event, time: str, by: Mapping[str, str]) -> dict[str, Any]:
    """Return the message, whole.

    Parameters
    ----------
    event
        What happened.
    time
        When: ISO 8601, UTC.
    by
        Who did it: user, host, version of zsync.
    """
    return {
        "format": FORMAT,
        "type": event.kind,
        "timestamp": time,
        "publication": event.publication,
        "site": event.site,
        "by": dict(by),
        "seconds": round(event.seconds, 3),
        "error": None if event.error is None else {"message": event.error, "exit_status": event.exit_status},
        "products": [dict(product) for product in event.products],
        "findings": [finding.to_dict() for finding in event.findings if finding.level != "info"],
    }


def body(event: Event, time: str, by: Mapping[str, str]) -> bytes:
    """Return the message as JSON of at most `MAX_BYTES`.

    Where all of it is too much, lists are cut short, each with the number of what was left out beside it
    (``findings_omitted``), and then texts.
    """
    whole = document(event, time, by)
    data = _json(whole)
    items, characters = 64, 2048
    while len(data) > MAX_BYTES:
        data = _json(_cut(whole, items, characters))
        items, characters = items // 2, max(characters // 2, MAX_BYTES // _PER_CHARACTER // 64)
    return data


def _json(value: Any) -> bytes:
    # In ASCII: SQS refuses most control characters, and a key of a file need not be proper Unicode.
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _cut(value: Any, items: int, characters: int) -> Any:
    """Return a document with at most so many items a list, and so many characters a text."""
    if isinstance(value, str):
        return value if len(value) <= characters else f"{value[: characters - 1]}…"
    if isinstance(value, list):
        return [_cut(item, items, characters) for item in value[:items]]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, item in value.items():
        made[name] = _cut(item, items, characters)
        if isinstance(item, list) and len(item) > items:
            made[f"{name}{_OMITTED}"] = len(item) - items
    return made


def signature(secret: str, delivery: str, timestamp: int, data: bytes) -> str:
    """Return the signature of a message: HMAC-SHA256 of its id, its time and its bytes.

    Parameters
    ----------
    secret
        The key: ``whsec_`` and base64, or any text, of which the bytes are the key.
    delivery
        Id of the message, the same however often it is sent.
    timestamp
        When this attempt is made, in seconds since the epoch.
    data
        The message.

    Examples
    --------
    >>> signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """  # noqa: E501 - the example of the specification's own libraries
    key = secret.encode()
    if secret.startswith(SECRET_PREFIX):
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX) + "==")
    signed = f"{delivery}.{timestamp}.".encode() + data
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def headers(
    kind: str, delivery: str, timestamp: int, data: bytes, *, secret: str | None, version: str
) -> dict[str, str]:
    """Return the headers of a webhook.

    Parameters
    ----------
    kind
        Of the event.
    delivery, timestamp, data
        As for `signature`.
    secret
        The key; None: the message is not signed.
    version
        zsync's.
    """
    made = {
        "Content-Type": "application/json",
        "User-Agent": f"zsync/{version}",
        "Zsync-Event": kind,
        "Zsync-Delivery": delivery,
        "webhook-id": delivery,
        "webhook-timestamp": str(timestamp),
    }
    if secret is not None:
        made["webhook-signature"] = signature(secret, delivery, timestamp, data)
    return made
