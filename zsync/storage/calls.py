"""Requests of S3 that obstore does not know: conditions on deletions and on the end of an upload, uploads under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zsync.storage.retrying import retry
from zsync.storage.translation import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from zsync.config import Location
    from zsync.storage.pacing import Pace
    from zsync.storage.retrying import RetryPolicy


@dataclass(frozen=True, slots=True)
class S3Calls:
    """Makes requests to one bucket by their names in botocore, for instance ``delete_objects``.

    Attributes
    ----------
    root
        The bucket.
    client
        Opens s3fs's client for it, which takes half a second the first time.
    pace
        The bucket's.
    policy
        How often is tried again.
    """

    root: Location
    client: Callable[[], Any]
    pace: Pace
    policy: RetryPolicy

    def once(self, method: str, place: str = "", **arguments: Any) -> dict[str, Any]:
        """Make one request; it is neither paced nor tried again.

        Parameters
        ----------
        method
            Its name.
        place
            The key or prefix that it is about, for messages.
        **arguments
            Its parameters, but for the bucket.

        Raises
        ------
        TargetError
            The service refuses, or cannot be reached.
        """
        with translated(self.root.child(place).url if place else self.root.url):
            answer: dict[str, Any] = self.client().call_s3(method, Bucket=self.root.bucket, **arguments)
            return answer

    def again(self, method: str, place: str = "", **arguments: Any) -> dict[str, Any]:
        """Make one request as `once` does, at the bucket's pace, and try again what may be tried again."""

        def paced() -> dict[str, Any]:
            with self.pace.slot(len(arguments.get("Body", b"")), insists=self.policy.insists):
                return self.once(method, place, **arguments)

        return retry(paced, self.policy)
