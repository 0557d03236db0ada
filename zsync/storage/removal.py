"""Deletions in S3 that happen only if an object is as it was seen."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from zsync.errors import (
    NetworkError,
    NotSupportedError,
    ObjectNotFoundError,
    PermissionDeniedError,
    PreconditionError,
    TargetError,
    TransientError,
)
from zsync.storage.answers import error_for
from zsync.storage.base import Over, is_absent, remove_one_by_one

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.keys import Key
    from zsync.storage.base import ObjectStore
    from zsync.storage.calls import S3Calls

_DELETE_LIMIT = 1000  # keys a DeleteObjects request
_GONE = {"NoSuchKey", "NoSuchVersion"}


def remove_seen(calls: S3Calls, store: ObjectStore, items: Sequence[tuple[Key, Over]]) -> dict[str, TargetError]:
    """Delete objects of S3, many a request, each on condition of its ETag; see `ObjectStore.remove`.

    Notes
    -----
    Amazon S3 API Reference, DeleteObjects: the element ``ETag`` of ``Object``.
    """
    if store.capabilities.habits.conditions in ("ignored", "refused"):
        return remove_one_by_one(store, items)
    stay: dict[str, TargetError] = {}
    copied: list[tuple[Key, Over]] = []
    for key, over in items:
        try:
            if over.keep is not None:
                store.copy(key, over.keep)
            copied.append((key, over))
        except ObjectNotFoundError:
            continue
        except (TransientError, NetworkError):
            raise
        except TargetError as error:
            stay[key] = error
    for start in range(0, len(copied), _DELETE_LIMIT):
        stay |= _delete(calls, store, copied[start : start + _DELETE_LIMIT])
    return stay


def _delete(calls: S3Calls, store: ObjectStore, items: Sequence[tuple[Key, Over]]) -> dict[str, TargetError]:
    objects = [{"Key": key, **({"ETag": over.seen} if over.seen else {})} for key, over in items]
    try:
        answer = calls.once("delete_objects", items[0][0], Delete={"Objects": objects, "Quiet": True})
    except (TransientError, NetworkError):
        raise
    except PermissionDeniedError as error:
        return {key: error for key, _ in items}
    except TargetError:  # the service has no such request, or does not know a part of it
        return _delete_one_by_one(calls, store, items)
    stay: dict[str, TargetError] = {}
    for entry in answer.get("Errors", []):
        key, code = entry["Key"], entry.get("Code")
        if code not in _GONE:
            stay[key] = error_for(412 if code == "PreconditionFailed" else 200, code, store.url(key))
    for refused in stay.values():
        if isinstance(refused, TransientError):
            raise refused
    return stay


def _delete_one_by_one(calls: S3Calls, store: ObjectStore, items: Sequence[tuple[Key, Over]]) -> dict[str, TargetError]:
    stay: dict[str, TargetError] = {}
    for key, over in items:
        try:
            delete_one(calls, key, over.seen)
        except (TransientError, NetworkError):
            raise
        except NotSupportedError:  # of conditions
            stay |= remove_one_by_one(store, [(key, Over(over.seen))])
        except TargetError as error:
            if not (isinstance(error, PreconditionError) and is_absent(store, key)):
                stay[key] = error
    return stay


def delete_one(calls: S3Calls, key: Key, etag: str | None = None) -> None:
    """Delete one object by a request of its own, on condition of its ETag if that is given.

    Raises
    ------
    TargetError
        The service refuses, or cannot be reached.
    """
    with contextlib.suppress(ObjectNotFoundError):
        calls.once("delete_object", key, Key=key, **({"IfMatch": f'"{etag}"'} if etag else {}))
