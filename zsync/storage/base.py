"""The storage seam: what every transport does, and the values that cross it.

A store is one bucket (or, for other URLs, one file system). Keys are whole keys in that bucket, without a leading
``/``. Differences between services and transports are data (`Capabilities`), never `isinstance`. What cannot be
emulated safely, a conditional write, has no emulation: a transport that lacks it says so.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from zsync.errors import (
    NetworkError,
    ObjectNotFoundError,
    PreconditionError,
    TargetError,
    TooLargeError,
    TransientError,
)
from zsync.packed import numbers_of

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from zsync.keys import Key

_MOST = 2**63  # bytes; of more our tables cannot tell
PAGE = 1000  # entries of an answer to a listing that is full
PARTS_MAX = 10_000  # S3's limit of parts an object
# Bytes that are read or written at a time: they are still in the processor's cache when they are hashed and copied, and
# the kernel has no page at hand that is much larger.
PIECE = 2**20
_FETCHED = 8 * PIECE


@dataclass(slots=True)
class Habits:
    """What a service turned out to do, learned by those who use it: one value a store and process.

    Attributes
    ----------
    conditions
        ``honoured``; ``ignored``: a write passes that its condition should have stopped; ``refused``: a write with a
        condition is not taken at all (501).
    etags_are_md5
        The ETags of objects that go up in one part were seen to be the MD5 of what was sent, or not to be.
    """

    conditions: Literal["unknown", "honoured", "ignored", "refused"] = "unknown"
    etags_are_md5: bool | None = None


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
    habits
        What is not known beforehand.
    shows_keys
        Listings show every key as it is; else ``a/`` may show as ``a``.
    takes_pieces
        `ObjectStore.put_parts` takes parts of any size, and as many as there are: it is a file.
    """

    transport: str
    conditional_put: bool
    headers: bool
    etag_is_md5: bool
    shows_keys: bool = True
    takes_pieces: bool = False
    habits: Habits = field(default_factory=Habits, compare=False)

    @property
    def etags_tell(self) -> bool:
        """Whether ETags tell of the bytes, as far as is known."""
        return self.etag_is_md5 and self.habits.etags_are_md5 is not False


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
    """What the store answered to a write, or says of an object.

    Attributes
    ----------
    modified_s
        When it was written, in seconds since the epoch, by the clock of the service; None where it was not told.
    """

    etag: str | None
    version: str | None = None
    modified_s: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object that was read whole."""

    data: bytes = field(repr=False)
    etag: str | None
    version: str | None = None
    modified_s: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Over:
    """What a write takes the place of: it must be what was seen (promise P7).

    Attributes
    ----------
    seen
        Its ETag as it was seen; None where nothing was.
    keep
        The whole key that it is kept under; None where it need not be kept.
    """

    seen: str | None
    keep: Key | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """An object, or one version of it, as it was seen.

    Attributes
    ----------
    key
        Its whole key.
    size
        In bytes.
    etag
        The ETag that it has to have still; None where the version tells enough.
    """

    key: Key
    size: int
    etag: str | None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Objects of a listing, column by column: whole keys, sizes in bytes, ETags (None where the service has none)."""

    keys: Sequence[str] = ()
    sizes: Sequence[int] = ()
    etags: Sequence[str | None] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a listing: what follows a key in the service's own order; nothing does after the last."""

    page: Page
    is_last: bool


class UploadRecord(Protocol):
    """Remembers an upload in parts of one object beyond the process, so that a later one can go on with it."""

    def upload(self, headers: Headers | None = None) -> str | None:
        """Return the id of one that was begun, with these headers if any are given, and has not ended."""

    def keep(self, upload: str, headers: Headers) -> None:
        """Remember one that is begun."""

    def forget(self) -> None:
        """Forget it: it has ended."""


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

    def list_few(self, prefix: str) -> Page | None:
        """Return everything below `prefix` if it comes with one answer; None if not, or if that is not known.

        An absent prefix is an empty page; an absent bucket raises `NoBucketError`.
        """

    def list_after(self, prefix: str, key: str | None) -> Answer | None:
        """Return what follows a key in the listing of everything below `prefix`: one answer, the first without a key.

        None where there is no such thing: the transport has none, or does not show every key.
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

    def pieces(
        self, key: Key, start: int, length: int, *, etag: str | None, version: str | None = None
    ) -> Iterator[bytes]:
        """Yield what `fetch` returns, in order, piece by piece as it arrives; `PIECE` bytes each, or about so many."""

    def head(self, key: Key) -> Stored:
        """Ask for an object's ETag and version."""

    def put(self, key: Key, data: bytes, headers: Headers, *, over: Over | None = None) -> Stored:
        """Write an object in one part, replacing what is there.

        Parameters
        ----------
        over
            What is there must be this; without it, it may be anything. The service compares, where it has conditions;
            a file system up to the moment of the renaming; elsewhere it is looked at first, if it is to be kept.

        Raises
        ------
        PreconditionError
            What is there is not as it was seen.
        """

    def put_parts(
        self,
        key: Key,
        parts: Iterable[bytes],
        headers: Headers,
        part_size: int,
        *,
        over: Over | None = None,
        record: UploadRecord | None = None,
    ) -> Stored:
        """Write an object in parts of `part_size` bytes; `over` as for `put`.

        Nothing becomes visible, and nothing stays behind, if the iterable raises: the error comes through as it is.

        Parameters
        ----------
        record
            Remembers the upload, where there is such a thing: of one that was cut off, parts that arrived are not sent
            again. What a network that is gone leaves behind is for the next one.
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

    def copy_seen(self, source: Seen, target: Key, headers: Headers, over: Over) -> Stored:
        """Copy an object inside the store, on the server, on condition that both its ends are as they were seen.

        Whether a service heeds all conditions is for the caller to know.

        Parameters
        ----------
        headers
            What the copy is to have; nothing is taken from the source.
        over
            What the copy takes the place of.

        Raises
        ------
        PreconditionError
            One of them is not as it was seen; or the copy was made by an attempt of which the answer was lost.
        NotSupportedError
            There is no such thing here: read and write it.
        """

    def delete(self, keys: Sequence[Key]) -> None:
        """Delete objects; one that is absent already is no error."""

    def remove(self, items: Sequence[tuple[Key, Over]]) -> Mapping[str, TargetError]:
        """Delete objects that must be as they were seen, and keep a copy of those that are to be kept.

        Where the service has no conditions on deletions, what is kept is copied first, and what is deleted is looked at
        as late as possible. One that is absent already is no error. Of one whose ETag was not seen nothing is asked.

        Returns
        -------
        Mapping
            The keys that stay, each with the reason: a `PreconditionError` for what is not as it was seen.

        Raises
        ------
        TargetError
            Nobody answers, or the answer does not tell which keys are gone: the call may be made again.
        """


def bare_etag(etag: str | None) -> str | None:
    """Return an ETag as it is compared: without quotes, and weak ones like strong ones.

    Examples
    --------
    >>> bare_etag('W/"abc"'), bare_etag('"abc-2"'), bare_etag(None)
    ('abc', 'abc-2', None)
    """
    return None if etag is None else etag.removeprefix("W/").strip('"')


def sizes_of(values: Iterable[int]) -> array[int]:
    """Return sizes in one piece; -1 for what is none.

    Examples
    --------
    >>> list(sizes_of([7, 2**64]))
    [7, -1]
    """
    return numbers_of(size if 0 <= size < _MOST else -1 for size in values)


def refuse_short(came: int, length: int, url: str) -> None:
    """Raise if other than all that was asked for came.

    Raises
    ------
    TransientError
        It did not.
    """
    if came != length:
        raise TransientError("only a part of an object came", url, "try again")


def fetched_pieces(
    store: ObjectStore, key: Key, start: int, length: int, *, etag: str | None, version: str | None
) -> Iterator[bytes]:
    """Yield a part of an object as `ObjectStore.pieces` does, where nothing arrives piece by piece."""
    for at in range(start, start + length, _FETCHED):
        yield store.fetch(key, at, min(_FETCHED, start + length - at), etag=etag, version=version)


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
    """Copy what is about to be replaced to where it is kept; see `ObjectStore.put`."""
    if over.keep is not None:
        refuse_unless_seen(store, key, over)
        store.copy(key, over.keep)


def remove_one_by_one(store: ObjectStore, items: Sequence[tuple[Key, Over]]) -> dict[str, TargetError]:
    """Delete objects as `ObjectStore.remove` does, where there are no conditions: each is looked at, then deleted."""
    stay: dict[str, TargetError] = {}
    for key, over in items:
        try:
            if over.seen is not None:
                refuse_unless_seen(store, key, over)
            if over.keep is not None:
                store.copy(key, over.keep)
            store.delete([key])
        except (TransientError, NetworkError):
            raise
        except TargetError as error:
            if not (isinstance(error, PreconditionError) and is_absent(store, key)):
                stay[key] = error
    return stay


def is_absent(store: ObjectStore, key: Key) -> bool:
    """Return whether there is no such object."""
    try:
        store.head(key)
    except ObjectNotFoundError:
        return True
    return False
