"""What S3 tells of objects beside their bytes: their headers, and the versions that a bucket keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from zsync.errors import TargetError
from zsync.storage.base import Headers, bare_etag
from zsync.storage.listing import endless
from zsync.storage.opening import asked
from zsync.storage.signed import documented, name_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from zsync.keys import Key
    from zsync.storage.spec import StoreSpec

_METADATA = "x-amz-meta-"
_ROOT = "ListVersionsResult"


@dataclass(frozen=True, slots=True)
class Described:
    """What a HEAD tells of an object.

    Attributes
    ----------
    headers
        What is stored with it; but for its tags, which no HEAD tells.
    encoding
        Its Content-Encoding; empty if there is none.
    """

    etag: str | None
    version: str | None
    headers: Headers
    encoding: str


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object.

    Attributes
    ----------
    key
        Whole key in the bucket.
    """

    key: str
    version: str
    size: int
    etag: str | None


def described(spec: StoreSpec, key: Key) -> Described:
    """Return what a bucket of S3 tells of an object.

    Raises
    ------
    ObjectNotFoundError
        There is none.
    """
    told = asked(spec, "HEAD", key, query={}).headers
    metadata = sorted((name.removeprefix(_METADATA), told[name]) for name in told if name.startswith(_METADATA))
    headers = Headers(
        content_type=told.get("content-type"),
        cache_control=told.get("cache-control"),
        storage_class=told.get("x-amz-storage-class"),
        metadata=tuple(metadata),
    )
    encoding = told.get("content-encoding", "")
    return Described(bare_etag(told.get("etag")), told.get("x-amz-version-id"), headers, encoding)


def tags_of(spec: StoreSpec, key: Key) -> tuple[tuple[str, str], ...]:
    """Return the tags of an object of S3, in order."""
    root = documented(asked(spec, "GET", key, query={"tagging": ""}).body, spec.location.child(key).url)
    found = [tag for group in root if name_of(group) == "TagSet" for tag in group]
    return tuple(sorted((text_of(tag, "Key") or "", text_of(tag, "Value") or "") for tag in found))


def list_versions(spec: StoreSpec, prefix: str) -> Iterator[Version]:
    """Yield all versions of all objects below a prefix of a bucket of S3; those that mark a deletion are none.

    Of what is no S3 there are none.

    Raises
    ------
    TargetError
        The service refuses, cannot be reached, or does not list versions.
    """
    if spec.location.scheme != "s3":
        return
    query = {"versions": "", "prefix": prefix, "encoding-type": "url"}
    while True:
        page = documented(asked(spec, "GET", query=query).body, spec.location.url)
        if name_of(page) != _ROOT:
            raise TargetError("the service does not list versions", spec.location.url, "leave out `at`")
        decode = unquote_plus if text_of(page, "EncodingType") == "url" else str
        for found in page:
            if name_of(found) == "Version":
                yield _version(found, decode(text_of(found, "Key") or ""), spec)
        after = {
            "key-marker": text_of(page, "NextKeyMarker"),
            "version-id-marker": text_of(page, "NextVersionIdMarker"),
        }
        more = {name: decode(value) for name, value in after.items() if value}
        if text_of(page, "IsTruncated") != "true":
            return
        if not more or more.items() <= query.items():
            raise endless(spec.location.child(prefix).url)
        query |= more


def _version(found: Element, key: str, spec: StoreSpec) -> Version:
    try:
        size = int(text_of(found, "Size") or "")
    except ValueError as error:
        raise TargetError(
            "the service lists what cannot be: a size", spec.location.url, "see to the service"
        ) from error
    return Version(key, text_of(found, "VersionId") or "null", size, bare_etag(text_of(found, "ETag") or None))
