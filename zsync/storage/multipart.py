"""Uploads in parts whose end has a condition: several parts on their way at once, visible whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from zsync.errors import (
    NetworkError,
    NotSupportedError,
    ObjectNotFoundError,
    PermissionDeniedError,
    PreconditionError,
    TransientError,
)
from zsync.storage.base import Stored, bare_etag, keep_replaced
from zsync.storage.conditional import condition_of, on_condition
from zsync.tasks import TaskGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zsync.keys import Key
    from zsync.storage.base import Headers, ObjectStore, Over, Seen, UploadRecord
    from zsync.storage.calls import S3Calls

PARTS_IN_FLIGHT = 7

T = TypeVar("T")
Arrived = dict[int, tuple[int, "str | None"]]  # size and ETag of each part that a service has, by its number


@dataclass(frozen=True, slots=True)
class _Target:
    """An object of S3 that is to be written in parts, and what remembers the upload."""

    calls: S3Calls
    store: ObjectStore
    key: Key
    headers: Headers
    record: UploadRecord | None = None

    def begin(self) -> dict[str, str]:
        """Begin an upload; return what names it. One with other headers is given up."""
        if self.record is not None and (other := self.record.upload()) is not None:
            self.give_up({"Key": self.key, "UploadId": other})
        answer = self.calls.again("create_multipart_upload", self.key, Key=self.key, **s3_headers(self.headers))
        if self.record is not None:
            self.record.keep(answer["UploadId"], self.headers)
        return {"Key": self.key, "UploadId": answer["UploadId"]}

    def forget(self) -> None:
        """Forget that it was begun."""
        if self.record is not None:
            self.record.forget()

    def give_up(self, upload: dict[str, str]) -> None:
        """Give up an upload, and free what it holds."""
        with contextlib.suppress(Exception):  # the first error is the one to tell
            self.calls.once("abort_multipart_upload", self.key, **upload)
        self.forget()


def put_in_parts(
    calls: S3Calls,
    store: ObjectStore,
    key: Key,
    parts: Iterable[bytes],
    headers: Headers,
    over: Over | None,
    record: UploadRecord | None = None,
) -> Stored:
    """Write an object of S3 in parts; see `ObjectStore.put_parts`.

    Parameters
    ----------
    parts
        Each as large as a part is to be.
    over
        What is there must be this, when the upload ends.

    Raises
    ------
    PreconditionError
        It is not, and what is there is not what was sent either.
    """
    if over is not None:
        keep_replaced(store, key, over)
    to = _Target(calls, store, key, headers, record)
    upload, arrived = _gone_on_with(to)

    def send(upload: dict[str, str], number: int, part: bytes) -> Any:
        if number in arrived and arrived[number] == (len(part), hashlib.md5(part, usedforsecurity=False).hexdigest()):
            return arrived[number][1]
        return calls.again("upload_part", key, **upload, PartNumber=number, Body=part)["ETag"]

    return _in_parts(to, upload or to.begin(), parts, send, over)


def _gone_on_with(to: _Target) -> tuple[dict[str, str] | None, Arrived]:
    """Return the upload that was cut off, if the service still has it, and what arrived of it."""
    upload = to.record.upload(to.headers) if to.record is not None else None
    if upload is None:
        return None, {}
    which = {"Key": to.key, "UploadId": upload}
    arrived: Arrived = {}
    after: dict[str, int] = {}
    try:
        while True:
            page = to.calls.again("list_parts", to.key, **which, **after)
            for part in page.get("Parts", ()):
                arrived[part["PartNumber"]] = part["Size"], bare_etag(part.get("ETag"))
            if not page.get("IsTruncated"):
                return which, arrived
            after = {"PartNumberMarker": page["NextPartNumberMarker"]}
    except (ObjectNotFoundError, NotSupportedError, PermissionDeniedError):  # it ended, or nobody may know
        return None, {}


def copy_in_parts(
    calls: S3Calls, store: ObjectStore, source: Seen, key: Key, headers: Headers, over: Over, part_size: int
) -> Stored:
    """Copy an object of S3 in parts of `part_size` bytes, each on condition of what the source was seen to be.

    Raises
    ------
    PreconditionError
        The source, or what is to be replaced, is not as it was seen.
    """
    place = {"Bucket": calls.root.bucket, "Key": source.key}
    what: dict[str, Any] = {"CopySource": place if source.version is None else {**place, "VersionId": source.version}}
    if source.etag is not None:
        what["CopySourceIfMatch"] = f'"{source.etag}"'
    ranges = ((start, min(start + part_size, source.size) - 1) for start in range(0, source.size, part_size))

    def send(upload: dict[str, str], number: int, part: tuple[int, int]) -> Any:
        span = f"bytes={part[0]}-{part[1]}"
        answer = calls.again("upload_part_copy", key, **upload, **what, PartNumber=number, CopySourceRange=span)
        return answer["CopyPartResult"]["ETag"]

    to = _Target(calls, store, key, headers)
    return _in_parts(to, to.begin(), ranges, send, over)


def _in_parts(
    to: _Target,
    upload: dict[str, str],
    parts: Iterable[T],
    send: Callable[[dict[str, str], int, T], Any],
    over: Over | None,
) -> Stored:
    try:
        stored = _end(to, upload, _send(upload, parts, send), over)
    except BaseException as error:
        # Whoever comes later goes on with what the network cut off.
        if to.record is None or not isinstance(error, TransientError | NetworkError):
            to.give_up(upload)
        raise
    to.forget()
    return stored


def s3_headers(headers: Headers) -> dict[str, Any]:
    """Return headers as S3's requests name them."""
    named = {
        "ContentType": headers.content_type,
        "CacheControl": headers.cache_control,
        "StorageClass": headers.storage_class,
        "Tagging": urlencode(headers.tags) or None,
        "Metadata": dict(headers.metadata) or None,
    }
    return {name: value for name, value in named.items() if value is not None}


def _send(
    upload: dict[str, str], parts: Iterable[T], send: Callable[[dict[str, str], int, T], Any]
) -> list[dict[str, Any]]:
    """Send the parts, a few at a time; what the iterable raises comes through when those under way have ended."""

    def one(number: int, part: T) -> dict[str, Any]:
        return {"PartNumber": number, "ETag": send(upload, number, part)}

    with TaskGroup(PARTS_IN_FLIGHT, "parts") as tasks:
        sent = [tasks.start(one, number, part) for number, part in enumerate(parts, 1)]
    return [answer.result() for answer in sent]


def _end(to: _Target, upload: dict[str, str], sent: list[dict[str, Any]], over: Over | None) -> Stored:
    def complete(condition: Over | None) -> Stored:
        answer = to.calls.again(
            "complete_multipart_upload", to.key, **upload, **condition_of(condition), MultipartUpload={"Parts": sent}
        )
        return Stored(bare_etag(answer.get("ETag")), answer.get("VersionId") or None)

    try:
        return on_condition(to.store, to.key, over, complete)
    except (PreconditionError, ObjectNotFoundError):  # no such upload any more: its answer may have been lost
        found = _landed(to.store, to.key, sent)
        if found is None:
            raise
        return found


def _landed(store: ObjectStore, key: Key, sent: list[dict[str, Any]]) -> Stored | None:
    """Return what there is, if its ETag says that it is of just these parts."""
    try:
        found = store.head(key)
        digests = b"".join(bytes.fromhex(str(bare_etag(part["ETag"]))) for part in sent)
    except (ObjectNotFoundError, ValueError):  # ETags that are no MD5s
        return None
    expected = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(sent)}"
    return found if found.etag == expected else None
