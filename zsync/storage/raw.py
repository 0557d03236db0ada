"""A listing that shows every key as it is, by s3fs's client: for buckets that hold keys which obstore will not show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zsync.storage.base import Page, bare_etag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zsync.storage.spec import StoreSpec


def list_raw(spec: StoreSpec, prefix: str, delimiter: str = "") -> Iterator[tuple[Page, tuple[str, ...]]]:
    """Yield the pages of a listing of an S3 bucket, and the prefixes that each shows in place of what is below them.

    Parameters
    ----------
    spec
        The bucket.
    prefix
        What the keys begin with.
    delimiter
        ``/`` to list one level; empty to list all.
    """
    from zsync.storage.fsspec_transport import translated
    from zsync.storage.opening import open_s3fs

    where = spec.location.child(prefix).url if prefix else spec.location.url
    asked = {"Bucket": spec.location.bucket, "Prefix": prefix} | ({"Delimiter": delimiter} if delimiter else {})
    after: dict[str, str] = {}
    while True:
        with translated(where):
            answer: dict[str, Any] = open_s3fs(spec).call_s3("list_objects_v2", **asked, **after)
        found = answer.get("Contents", [])
        page = Page(
            [item["Key"] for item in found],
            [item["Size"] for item in found],
            [bare_etag(item.get("ETag")) for item in found],
        )
        yield page, tuple(item["Prefix"] for item in answer.get("CommonPrefixes", []))
        if not answer.get("IsTruncated"):
            return
        after = {"ContinuationToken": answer["NextContinuationToken"]}
