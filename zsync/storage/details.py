"""What only S3's own listing tells of objects: their storage class, and when they were written."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zsync.errors import TargetError
from zsync.keys import under
from zsync.storage.base import Headers, bare_etag
from zsync.storage.opening import calls_to, connect
from zsync.storage.translation import translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zsync.storage.spec import StoreSpec

_MOMENTS = ("mtime", "LastModified", "modified", "created")  # what file systems of fsspec call it
_USUAL = "STANDARD"  # what a service means that names no class


@dataclass(frozen=True, slots=True)
class Details:
    """One object.

    Attributes
    ----------
    key
        Whole key in the bucket.
    storage_class
        Empty where there is no such thing.
    modified
        When it was written, by the service's clock.
    """

    key: str
    size: int
    etag: str | None
    storage_class: str
    modified: dt.datetime


def list_details(spec: StoreSpec, prefix: str) -> Iterator[Details]:
    """Yield every object below a prefix, which is empty or ends in ``/``.

    Raises
    ------
    TargetError
        The target refuses, or cannot be reached.
    """
    return _listed(spec, prefix) if spec.location.scheme == "s3" else _found(spec, prefix)


def keeps_classes(spec: StoreSpec, key: str, storage_class: str) -> bool:
    """Return whether a service keeps objects in the class that they are written with: it is tried out.

    Parameters
    ----------
    key
        Whole key of an object that is written for this and deleted again; its name is made unique.
    """
    directory, _, name = key.rpartition("/")
    store, trial = connect(spec), under(directory, f"{name}-{secrets.token_hex(4)}")
    store.put(trial, b"", Headers(storage_class=storage_class))
    try:
        return any(found.storage_class == storage_class for found in list_details(spec, trial))
    finally:
        store.delete([trial])


def etag_is_opaque(spec: StoreSpec, key: str) -> bool:
    """Return whether an object's ETag says nothing of its bytes: it is encrypted with a key of somebody's.

    Notes
    -----
    Amazon S3 API Reference, "Object", `ETag`. Where one object is so, all are taken to be: it is a bucket's setting.
    Only where others were seen to have MD5s each is asked for.
    """
    habits = connect(spec).capabilities.habits
    if habits.etags_are_md5 is False:
        return True
    found = calls_to(spec).again("head_object", key, Key=key)
    is_opaque = str(found.get("ServerSideEncryption", "")).startswith("aws:kms") or "SSECustomerAlgorithm" in found
    if is_opaque and habits.etags_are_md5 is None:
        habits.etags_are_md5 = False
    return is_opaque


def _listed(spec: StoreSpec, prefix: str) -> Iterator[Details]:
    after: dict[str, str] = {}
    while True:
        page = calls_to(spec).again("list_objects_v2", prefix, Prefix=prefix, **after)
        for found in page.get("Contents", []):
            yield Details(
                found["Key"],
                found["Size"],
                bare_etag(found.get("ETag") or None),
                found.get("StorageClass") or _USUAL,
                found["LastModified"],
            )
        if not page.get("IsTruncated"):
            return
        after = {"ContinuationToken": page["NextContinuationToken"]}


def _found(spec: StoreSpec, prefix: str) -> Iterator[Details]:
    """Yield what a file system tells; most know a time, by one name or another."""
    import fsspec

    place = spec.location.child(prefix.rstrip("/"))
    with translated(place.url):
        fs = fsspec.filesystem(spec.location.scheme)
        base = f"{spec.location.bucket}/"
        for name, info in fs.find(f"{base}{prefix}".rstrip("/") or "/", detail=True).items():
            moment = next((info[word] for word in _MOMENTS if word in info), None)
            if moment is None:
                raise TargetError("this target does not tell when objects were written", place.url)
            when = moment if isinstance(moment, dt.datetime) else dt.datetime.fromtimestamp(moment, dt.UTC)
            yield Details(str(name).removeprefix(base).lstrip("/"), info["size"], None, "", when)
