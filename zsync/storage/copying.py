"""Copies inside a bucket of S3, made by the service, that happen only if both their ends are as they were seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zsync.errors import NotSupportedError, TargetError
from zsync.storage.base import Stored, bare_etag, keep_replaced
from zsync.storage.conditional import condition_of
from zsync.storage.multipart import copy_in_parts, s3_headers
from zsync.storage.signed import documented, text_of

if TYPE_CHECKING:
    from zsync.keys import Key
    from zsync.storage.base import Headers, ObjectStore, Over, Seen
    from zsync.storage.calls import S3Calls
    from zsync.storage.signed import SignedRequests

_WIRE = {
    "ContentType": "Content-Type",
    "CacheControl": "Cache-Control",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
    "IfMatch": "If-Match",
    "IfNoneMatch": "If-None-Match",
}
_OF_NO_SOURCE = {"x-amz-metadata-directive": "REPLACE", "x-amz-tagging-directive": "REPLACE"}
PART = 256 * 2**20  # bytes; a service says nothing until it has copied them


def copy_seen(
    requests: SignedRequests,
    calls: S3Calls,
    store: ObjectStore,
    source: Seen,
    target: Key,
    headers: Headers,
    over: Over,
) -> Stored:
    """Copy an object of S3; see `ObjectStore.copy_seen`.

    Notes
    -----
    Amazon S3 API Reference, CopyObject: ``x-amz-copy-source-if-match`` is about the source, ``If-Match`` and
    ``If-None-Match`` are about the target. UploadPartCopy has the first, CompleteMultipartUpload the others.
    """
    named = _on_the_wire(s3_headers(headers) | condition_of(over))
    if not "".join(named.values()).isascii():
        raise NotSupportedError("these headers cannot be sent with a copy", store.url(target))
    keep_replaced(store, target, over)
    if source.size > PART:
        return copy_in_parts(calls, store, source, target, headers, over, PART)
    if source.etag is not None:
        named["x-amz-copy-source-if-match"] = f'"{source.etag}"'
    answer = requests.copy(source.key, target, source.version, named | _OF_NO_SOURCE)
    etag = bare_etag(text_of(documented(answer.body, store.url(target)), "ETag"))
    # What is not the same is what the service made of an object that went up in parts, or a key of KMS.
    is_told = store.capabilities.habits.etags_are_md5 and "-" not in (source.etag or "-")
    if not etag or (is_told and etag != source.etag):
        raise TargetError("the service does not tell what it copied", store.url(target), "read it and write it")
    return Stored(etag, answer.headers.get("x-amz-version-id"))


def _on_the_wire(named: dict[str, Any]) -> dict[str, str]:
    """Return parameters as they are called in a request; older botocores do not know the conditions of copies."""
    metadata = named.pop("Metadata", {})
    return {_WIRE[name]: value for name, value in named.items()} | {
        f"x-amz-meta-{name}": value for name, value in metadata.items()
    }
