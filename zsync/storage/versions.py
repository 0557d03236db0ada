"""The versions that a bucket keeps of its objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zsync.storage.base import bare_etag
from zsync.storage.listing import endless
from zsync.storage.opening import calls_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zsync.storage.spec import StoreSpec


@dataclass(frozen=True, slots=True)
class ObjectVersion:
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


def list_versions(spec: StoreSpec, prefix: str) -> Iterator[ObjectVersion]:
    """Yield every version of every object whose key begins with a prefix; none where there is no such thing.

    Raises
    ------
    TargetError
        The service refuses, or cannot be reached.
    """
    if spec.location.scheme != "s3":
        return
    after: dict[str, str] = {}
    while True:
        page = calls_to(spec).again("list_object_versions", prefix, Prefix=prefix, **after)
        for found in page.get("Versions", []):
            yield ObjectVersion(found["Key"], found["VersionId"], found["Size"], bare_etag(found.get("ETag")))
        if not page.get("IsTruncated"):
            return
        follows = {"KeyMarker": page.get("NextKeyMarker", ""), "VersionIdMarker": page.get("NextVersionIdMarker", "")}
        if follows == after or not follows["KeyMarker"]:
            raise endless(spec.location.child(prefix).url)
        after = follows
