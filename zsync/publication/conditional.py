"""Conditional writes that survive a lost response."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from zsync.errors import (
    CredentialsError,
    NetworkError,
    ObjectNotFoundError,
    PreconditionError,
    SilentError,
    TargetError,
    TransientError,
)
from zsync.storage import Headers, Over, RetryPolicy, Seen, Stored, retry

if TYPE_CHECKING:
    from zsync.keys import Key
    from zsync.storage import ObjectStore

STATE_HEADERS = Headers(content_type="application/json", cache_control="no-cache")


def write_document(store: ObjectStore, key: Key, document: dict[str, Any], etag: str | None) -> Stored:
    """Write a JSON document only if the object still has `etag`, or, with None, only if it is absent.

    A response can be lost after the service acted: the retry then fails against our own write. The document's
    ``write_id`` tells the two apart.

    Parameters
    ----------
    document
        Must hold a ``write_id`` that no other write has.

    Raises
    ------
    PreconditionError
        Somebody else wrote the object.
    """
    data = json.dumps(document, indent=1).encode()

    def attempt() -> Stored:
        try:
            return store.put_if(key, data, STATE_HEADERS, etag)
        except SilentError:  # it would not answer this either
            raise
        except (PreconditionError, TransientError, NetworkError):
            landed = _is_ours(store, key, document["write_id"])
            if landed is None:
                raise
            return landed

    return retry(attempt, RetryPolicy())


def ignored_conditions(store: ObjectStore, key: Key, data: bytes) -> tuple[str, ...]:
    """Return which conditions of a write a service ignores.

    Parameters
    ----------
    key
        An object that is there.
    data
        What it holds: it is written again if a condition is ignored.

    Returns
    -------
    tuple of str
        Of ``If-None-Match`` and ``If-Match`` those that let a write pass that they should have stopped.
    """
    ignored = []
    for name, etag in (("If-None-Match", None), ("If-Match", "0" * 32)):
        try:
            store.put_if(key, data, STATE_HEADERS, etag)
        except PreconditionError:
            continue
        ignored.append(name)
    habits = store.capabilities.habits
    if habits.conditions == "refused":  # then each write was looked at beforehand instead
        return ("If-None-Match", "If-Match")
    habits.conditions = "ignored" if ignored else "honoured"
    return tuple(ignored)


def heeds_conditions_of_copies(store: ObjectStore, key: Key) -> bool:
    """Return whether a service stops copies that their conditions should stop: it is tried out.

    Parameters
    ----------
    key
        An object that is there and does not change; it is copied onto itself if a condition is ignored.
    """
    try:
        there = store.head(key).etag
        for source, over in ((there, None), (there, "0" * 32), ("0" * 32, there)):
            try:
                store.copy_seen(Seen(key, 0, source), key, STATE_HEADERS, Over(over))
            except PreconditionError:
                continue
            return False
    except (TransientError, NetworkError, CredentialsError):
        raise
    except TargetError:
        return False
    return True


def _is_ours(store: ObjectStore, key: Key, write_id: str) -> Stored | None:
    try:
        found = store.get(key)
        document = json.loads(found.data)
    except (ObjectNotFoundError, ValueError, RecursionError):
        return None
    if isinstance(document, dict) and document.get("write_id") == write_id:
        return Stored(found.etag, found.version)
    return None
