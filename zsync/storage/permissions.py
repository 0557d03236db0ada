"""What a request to S3 needs to be allowed: its action, and the statement of a policy that allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_OF_BUCKETS = frozenset({
    "s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:ListBucketVersions", "s3:GetBucketVersioning",
})  # fmt: skip

# The action that a request needs; what is named first that its query holds.
_BY_QUERY = {
    ("GET", "list-type"): "s3:ListBucket",
    ("GET", "versioning"): "s3:GetBucketVersioning",
    ("GET", "versions"): "s3:ListBucketVersions",
    ("GET", "uploads"): "s3:ListBucketMultipartUploads",
    ("GET", "tagging"): "s3:GetObjectTagging",
    ("PUT", "tagging"): "s3:PutObjectTagging",
    ("GET", "versionId"): "s3:GetObjectVersion",
    ("HEAD", "versionId"): "s3:GetObjectVersion",
    ("DELETE", "versionId"): "s3:DeleteObjectVersion",
    ("DELETE", "uploadId"): "s3:AbortMultipartUpload",
    ("GET", "uploadId"): "s3:ListMultipartUploadParts",
    ("POST", "delete"): "s3:DeleteObject",
}
_BY_METHOD = {
    "GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "POST": "s3:PutObject",
    "DELETE": "s3:DeleteObject",
}  # fmt: skip


def action_of(method: str, key: str, query: Iterable[str] = ()) -> str | None:
    """Return the IAM action that a request needs; None where it is not known.

    Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3".

    Examples
    --------
    >>> action_of("GET", "", ["list-type"]), action_of("PUT", "a/b"), action_of("GET", "a", ["versionId"])
    ('s3:ListBucket', 's3:PutObject', 's3:GetObjectVersion')
    """
    names = list(query)
    for name in names:
        if (found := _BY_QUERY.get((method, name))) is not None:
            return found
    if not key and method in ("GET", "HEAD"):
        return "s3:ListBucket"
    return _BY_METHOD.get(method)


def statement_for(action: str, bucket: str, path: str = "") -> dict[str, Any]:
    """Return the statement of a policy that allows one action in a bucket, on objects below a path."""
    place = f"arn:aws:s3:::{bucket}"
    below = f"{path.strip('/')}/*" if path.strip("/") else "*"
    return {"Effect": "Allow", "Action": action, "Resource": place if action in _OF_BUCKETS else f"{place}/{below}"}
