"""The storage seam: what every transport does, and the values that cross it.

A store is one bucket (or, for other URLs, one file system). Keys are whole keys in that bucket, without a leading
``/``. Differences between services and transports are data (`Capabilities`), never `isinstance`. What cannot be
emulated safely, a conditional write, has no emulation: a transport that lacks it says so.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from zsync.errors import ObjectNotFoundError, PreconditionError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from zsync.keys import Key

PARTS_MAX = 10_000  # S3's limit of parts an object


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a transport can do with a service.

    Attributes
    ----------
    transport
        ``obstore``, ``fsspec`` or ``file``.
    conditional_put
        Writes that succeed only if the object is absent, or still is the one that was read.
    headers
        Content type, cache control, storage class and tags are stored with an object.
    etag_is_md5
        The ETag of an object that went up in one part may be compared with an MD5 (S3 without KMS).
    shows_keys
        Listings show every key as it is; else ``a/`` may show as ``a``.
    """

    transport: str
    conditional_put: bool
    headers: bool
    etag_is_md5: bool
    shows_keys: bool = True


@dataclass(frozen=True, slots=True)
class Headers:
    """What is stored with an object beside its bytes."""

    content_type: str | None = None
    cache_control: str | None = None
    storage_class: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def digest(self) -> str:
        """A short digest for the manifest: drift of headers is invisible to an ETag."""
        fields = [self.content_type, self.cache_control, self.storage_class, self.tags, self.metadata]
        return hashlib.blake2b(json.dumps(fields).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store answered to a write, or says of an object."""

    etag: str | None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object that was read whole."""

    data: bytes = field(repr=False)
    etag: str | None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """What a write takes the place of, where that must not be lost.

    Attributes
    ----------
    seen
        Its ETag as it was seen; None where nothing was.
    keep
        The whole key that it is kept under; None where it is ours, and need not be kept.
    """

    seen: str | None
    keep: Key | None


@dataclass(frozen=True, slots=True)
class Page:
    """Objects of a listing, column by column: whole keys, sizes in bytes, ETags (None where the service has none)."""

    keys: Sequence[str] = ()
    sizes: Sequence[int] = ()
    etags: Sequence[str | None] = ()


class ObjectStore(Protocol):
    """Objects in, objects out, conditional writes.

    Every method raises an error of the family in `zsync.errors` and no other; which one a caller may retry is told by
    its class (`TransientError`, `NetworkError`).
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this transport can do with this service."""

    def url(self, key: str) -> str:
        """Return the URL of a key, for messages."""

    def list(self, prefix: str) -> Iterator[Page]:
        """Yield everything below `prefix` (empty, or ending in ``/``), page by page, in any order.

        An absent prefix yields nothing; an absent bucket raises `NoBucketError`.
        """

    def list_level(self, prefix: str) -> tuple[Page, Sequence[str]]:
        """Return the objects directly below `prefix`, and the prefixes below it (each ending in ``/``)."""

    def list_exactly(self, prefix: str) -> Iterator[Page]:
        """Yield everything below `prefix`, with keys as they are, if more slowly than `list`."""

    def get(self, key: Key, *, most: int | None = None) -> Fetched:
        """Read an object whole.

        Parameters
        ----------
        most
            Bytes that it may have; what is larger is refused before it is read.
        """

    def fetch(self, key: Key, start: int, length: int, *, etag: str | None, version: str | None = None) -> bytes:
        """Read a part of an object, as it was seen: with this ETag, or in this version.

        Raises
        ------
        PreconditionError
            It has another ETag now.
        """

    def head(self, key: Key) -> Stored:
        """Ask for an object's ETag and version."""

    def put(self, key: Key, data: bytes, headers: Headers, *, over: Over | None = None) -> Stored:
        """Write an object in one part, replacing what is there.

        Parameters
        ----------
        over
            What is there must be this, and is kept. Of a file system that holds up to the moment of the renaming; of an
            object store it rests on a lease.

        Raises
        ------
        PreconditionError
            What is there is not as it was seen.
        """

    def put_parts(
        self, key: Key, parts: Iterable[bytes], headers: Headers, part_size: int, *, over: Over | None = None
    ) -> Stored:
        """Write an object in parts of `part_size` bytes; `over` as for `put`.

        Nothing becomes visible, and nothing stays behind, if the iterable raises: the error comes through as it is.
        """

    def put_if(self, key: Key, data: bytes, headers: Headers, etag: str | None) -> Stored:
        """Write an object only if it still has `etag`, or, with None, only if it is absent.

        Raises
        ------
        PreconditionError
            It is not so. After a lost response this may be our own write: compare a write id in the object.
        """

    def copy(self, source: Key, target: Key) -> None:
        """Copy an object inside the store."""

    def delete(self, keys: Sequence[Key]) -> None:
        """Delete objects; one that is absent already is no error."""

    def discard(self, key: Key, over: Over) -> None:
        """Delete an object that must be as it was seen, and keep it under another key.

        Raises
        ------
        PreconditionError
            It is not as it was seen.
        """


def refuse_larger(size: int, most: int | None, url: str) -> None:
    """Raise if an object is larger than it may be.

    Raises
    ------
    TooLargeError
        It is.
    """
    if most is not None and size > most:
        raise TooLargeError(f"this is larger than it can be ({size:,} bytes)", url, "see who wrote it")


def refuse_unless_seen(store: ObjectStore, key: Key, over: Over) -> None:
    """Raise unless an object is as it was seen.

    Raises
    ------
    PreconditionError
        It is another one, or there is one where none was, or none any more.
    """
    try:
        found = store.head(key).etag
    except ObjectNotFoundError:
        found = None
    if found != over.seen:
        raise PreconditionError("this changed since it was looked at", store.url(key), "look again")


def keep_replaced(store: ObjectStore, key: Key, over: Over) -> None:
    """Copy what is about to be replaced or deleted to where it is kept; see `ObjectStore.put`."""
    refuse_unless_seen(store, key, over)
    if over.keep is not None:
        store.copy(key, over.keep)
