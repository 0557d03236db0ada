"""Requests of S3 that obstore does not know: conditions on deletions and on the end of an upload, uploads under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zsync.storage.opening import open_s3fs, pace_of
from zsync.storage.retrying import retry

if TYPE_CHECKING:
    from zsync.storage.spec import StoreSpec


def call(spec: StoreSpec, method: str, place: str = "", **arguments: Any) -> dict[str, Any]:
    """Make one request; it is neither paced nor tried again.

    Parameters
    ----------
    method
        Its name in botocore, for instance ``delete_objects``.
    place
        The key or prefix that it is about, for messages.
    **arguments
        Its parameters, but for the bucket.

    Raises
    ------
    TargetError
        The service refuses, or cannot be reached.
    """
    from zsync.storage.fsspec_transport import translated

    with translated(spec.location.child(place).url if place else spec.location.url):
        answer: dict[str, Any] = open_s3fs(spec).call_s3(method, Bucket=spec.location.bucket, **arguments)
        return answer


def call_again(spec: StoreSpec, method: str, place: str = "", **arguments: Any) -> dict[str, Any]:
    """Make one request as `call` does, at the bucket's pace, and try again what may be tried again."""

    def paced() -> dict[str, Any]:
        with pace_of(spec).slot(len(arguments.get("Body", b""))):
            return call(spec, method, place, **arguments)

    return retry(paced)
