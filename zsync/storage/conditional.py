"""Writes that happen only if what they take the place of is as it was seen, and which answers are receipts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

from zsync.errors import (
    NotSupportedError,
    ObjectNotFoundError,
    PermissionDeniedError,
    PreconditionError,
    TransientError,
)
from zsync.storage.base import Stored, is_absent, refuse_unless_seen

if TYPE_CHECKING:
    from collections.abc import Callable

    from zsync.keys import Key
    from zsync.storage.base import ObjectStore, Over

T = TypeVar("T")


def on_condition(store: ObjectStore, key: Key, over: Over | None, write: Callable[[Over | None], T]) -> T:
    """Write on condition that what is there is as it was seen; a service that takes no conditions is asked before.

    Parameters
    ----------
    over
        What was seen; None for a write without a condition.
    write
        Makes the write, on the condition that it is given.

    Raises
    ------
    PreconditionError
        What is there is not as it was seen.
    """
    habits = store.capabilities.habits
    if over is None:
        return write(None)
    if habits.conditions != "refused":
        try:
            return write(over)
        except ObjectNotFoundError as error:  # so some services say that there is nothing to replace
            raise PreconditionError("the object is not there any more", store.url(key), "look again") from error
        except PreconditionError:
            # A service that keeps directories says of what was one that it is there; nobody can read it.
            if over.seen is not None or not is_absent(store, key):
                raise
            return write(None)
        except NotSupportedError:
            habits.conditions = "refused"
    refuse_unless_seen(store, key, over)
    return write(None)


def condition_of(over: Over | None) -> dict[str, str]:
    """Return a condition as the requests of botocore name it."""
    if over is None:
        return {}
    return {"IfNoneMatch": "*"} if over.seen is None else {"IfMatch": f'"{over.seen}"'}


def believed(store: ObjectStore, key: Key, data: bytes, stored: Stored) -> Stored:
    """Return what a service answered to a write, if it fits what was sent.

    That the ETags of a bucket are MD5s is seen once one of them is; buckets that encrypt with a key of KMS have others.
    The first that is none is looked into: the object is read back.

    Raises
    ------
    TransientError
        It does not: another object's ETag is no receipt.
    """
    capabilities = store.capabilities
    if not capabilities.etags_tell:
        return stored
    fits = stored.etag == hashlib.md5(data, usedforsecurity=False).hexdigest()
    if not fits and (capabilities.habits.etags_are_md5 or not _is_there(store, key, data)):
        raise TransientError("the object did not arrive as it was sent", store.url(key), "try again")
    capabilities.habits.etags_are_md5 = fits
    return stored


def _is_there(store: ObjectStore, key: Key, data: bytes) -> bool:
    """Return whether an object holds some bytes, as far as we may know."""
    try:
        return store.get(key).data == data
    except PermissionDeniedError:
        return True
    except ObjectNotFoundError:
        return False


def landed(store: ObjectStore, key: Key, data: bytes) -> Stored | None:
    """Return what there is, if it is just what was to be written: then a write whose answer was lost has arrived."""
    try:
        found = store.head(key)
        if found.etag == hashlib.md5(data, usedforsecurity=False).hexdigest():
            return found
        if store.capabilities.habits.etags_are_md5:
            return None
        read = store.get(key)
    except ObjectNotFoundError:
        return None
    return Stored(read.etag, read.version, read.modified_s) if read.data == data else None
