"""Uploads in parts that were begun and never ended: readers never see them, but they are paid for."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zsync.errors import ObjectNotFoundError, TargetError
from zsync.storage.opening import open_s3fs, pace_of
from zsync.storage.retrying import retry

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    from zsync.storage.spec import StoreSpec


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload in parts that is under way, or was given up.

    Attributes
    ----------
    key
        Whole key in the bucket.
    initiated
        When it was begun, by the service's clock.
    """

    key: str
    upload_id: str
    initiated: dt.datetime


def unfinished_uploads(spec: StoreSpec, prefix: str) -> list[Upload]:
    """Return the unfinished uploads of keys that begin with `prefix`.

    Nothing tells one that is still under way from one whose process died, save its age.

    Returns
    -------
    list[Upload]
        Empty where there is no such thing: other stores than S3, and services that do not list uploads.
    """
    if spec.location.scheme != "s3":
        return []
    try:
        return [
            Upload(found["Key"], found["UploadId"], found["Initiated"])
            for page in _pages(spec, prefix)
            for found in page.get("Uploads", [])
        ]
    except TargetError as error:
        if not _is_unknown(error):
            raise
        return []


def abort_uploads(spec: StoreSpec, uploads: Iterable[Upload]) -> None:
    """Give up uploads, and free what they hold; one that is no more is no error."""
    for upload in uploads:
        with contextlib.suppress(ObjectNotFoundError):
            _call(spec, "abort_multipart_upload", upload.key, Key=upload.key, UploadId=upload.upload_id)


def _pages(spec: StoreSpec, prefix: str) -> Iterator[dict[str, Any]]:
    after: dict[str, str] = {}
    while True:
        page = _call(spec, "list_multipart_uploads", prefix, Prefix=prefix, **after)
        yield page
        if not page.get("IsTruncated"):
            return
        after = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def _call(spec: StoreSpec, method: str, place: str, **arguments: str) -> dict[str, Any]:
    from zsync.storage.fsspec_transport import translated

    def ask() -> dict[str, Any]:
        with pace_of(spec).slot(), translated(spec.location.child(place).url if place else spec.location.url):
            answer: dict[str, Any] = open_s3fs(spec).call_s3(method, Bucket=spec.location.bucket, **arguments)
            return answer

    return retry(ask)


def _is_unknown(error: TargetError) -> bool:
    """Whether the service said that it knows no such request."""
    from zsync.storage.fsspec_transport import answer_of

    answer = answer_of(error) or {}
    return answer.get("ResponseMetadata", {}).get("HTTPStatusCode") in (405, 501)
