"""Deletions in S3 that happen only if an object is as it was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.errors import NetworkError, ObjectNotFoundError, TargetError, TransientError
from zsync.storage.answers import error_for
from zsync.storage.base import Over, remove_one_by_one
from zsync.storage.calls import call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.storage.base import ObjectStore
    from zsync.storage.spec import StoreSpec

_DELETE_LIMIT = 1000  # keys a DeleteObjects request
_GONE = {"NoSuchKey", "NoSuchVersion"}


def remove_seen(spec: StoreSpec, store: ObjectStore, items: Sequence[tuple[str, Over]]) -> dict[str, TargetError]:
    """Delete objects of S3, many a request, each on condition of its ETag; see `ObjectStore.remove`.

    Notes
    -----
    Amazon S3 API Reference, DeleteObjects: the element ``ETag`` of ``Object``.
    """
    if store.capabilities.habits.conditions in ("ignored", "refused"):
        return remove_one_by_one(store, items)
    stay: dict[str, TargetError] = {}
    copied: list[tuple[str, Over]] = []
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
        stay |= _delete(spec, store, copied[start : start + _DELETE_LIMIT])
    return stay


def _delete(spec: StoreSpec, store: ObjectStore, items: Sequence[tuple[str, Over]]) -> dict[str, TargetError]:
    objects = [{"Key": key, **({"ETag": over.seen} if over.seen else {})} for key, over in items]
    try:
        answer = call(spec, "delete_objects", items[0][0], Delete={"Objects": objects, "Quiet": True})
    except (TransientError, NetworkError):
        raise
    except TargetError:  # the service has no such request, does not know a part of it, or may not be asked at all
        return remove_one_by_one(store, [(key, Over(over.seen)) for key, over in items])
    errors = {
        entry["Key"]: error_for(412 if entry.get("Code") == "PreconditionFailed" else 200, entry.get("Code"),
                                store.url(entry["Key"]))
        for entry in answer.get("Errors", [])
        if entry.get("Code") not in _GONE
    }  # fmt: skip
    for error in errors.values():
        if isinstance(error, TransientError):
            raise error
    return dict(errors)
