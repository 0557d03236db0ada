"""Uploads in parts that were begun and never ended: readers never see them, but they are paid for."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zsync.errors import NotSupportedError, ObjectNotFoundError
from zsync.storage.opening import calls_to

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
    except NotSupportedError:
        return []


def abort_uploads(spec: StoreSpec, uploads: Iterable[Upload]) -> None:
    """Give up uploads, and free what they hold; one that is no more is no error."""
    for upload in uploads:
        with contextlib.suppress(ObjectNotFoundError):
            calls_to(spec).again("abort_multipart_upload", upload.key, Key=upload.key, UploadId=upload.upload_id)


def _pages(spec: StoreSpec, prefix: str) -> Iterator[dict[str, Any]]:
    after: dict[str, str] = {}
    while True:
        page = calls_to(spec).again("list_multipart_uploads", prefix, Prefix=prefix, **after)
        yield page
        if not page.get("IsTruncated"):
            return
        after = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
