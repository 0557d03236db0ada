"""Uploads in parts that were begun and never ended: readers never see them, but they are paid for."""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zsync.errors import NotSupportedError, ObjectNotFoundError
from zsync.storage.opening import asked, calls_to
from zsync.storage.signed import documented, name_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from xml.etree.ElementTree import Element

    from zsync.storage.spec import StoreSpec

_ROOT = "ListMultipartUploadsResult"


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

    Raises
    ------
    TargetError
        The service refuses, or cannot be reached.
    """
    if spec.location.scheme != "s3":
        return []
    try:
        return [_upload(found) for page in _pages(spec, prefix) for found in page if name_of(found) == "Upload"]
    except (NotSupportedError, ObjectNotFoundError):  # some say that there is no such object
        return []


def abort_uploads(spec: StoreSpec, uploads: Iterable[Upload]) -> None:
    """Give up uploads, and free what they hold; one that is no more is no error."""
    for upload in uploads:
        with contextlib.suppress(ObjectNotFoundError):
            calls_to(spec).again("abort_multipart_upload", upload.key, Key=upload.key, UploadId=upload.upload_id)


def _pages(spec: StoreSpec, prefix: str) -> Iterator[Element]:
    query = {"uploads": "", "prefix": prefix}
    while True:
        page = documented(asked(spec, "GET", query=query).body, spec.location.url)
        if name_of(page) != _ROOT:  # a service that knows no such question, and answers another one
            return
        yield page
        after = {"key-marker": text_of(page, "NextKeyMarker"), "upload-id-marker": text_of(page, "NextUploadIdMarker")}
        more = {name: value for name, value in after.items() if value}
        if text_of(page, "IsTruncated") != "true" or not more or more.items() <= query.items():
            return
        query |= more


def _upload(found: Element) -> Upload:
    try:
        begun = dt.datetime.fromisoformat(text_of(found, "Initiated") or "")
    except ValueError:  # it does not say when
        begun = dt.datetime.fromtimestamp(0, dt.UTC)
    return Upload(text_of(found, "Key") or "", text_of(found, "UploadId") or "", begun)
