"""What fsspec, s3fs and botocore raise, in our words."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zsync.errors import CredentialsError, TargetError, UnansweredError, ZsyncError
from zsync.storage.answers import error_for, error_of_system, said_of, unreached
from zsync.storage.certificates import problem_in
from zsync.storage.proxies import unanswered

if TYPE_CHECKING:
    from collections.abc import Iterator

# What botocore, aiohttp and fsspec call a connection that broke, or an answer that came in part only.
_BROKEN = {
    "ReadTimeoutError", "ConnectionClosedError", "HTTPClientError", "ClientPayloadError", "ServerDisconnectedError",
    "IncompleteReadError", "ResponseStreamingError", "ResponseParserError", "FSTimeoutError",
}  # fmt: skip

# What has to be allowed for an operation of S3 whose name is another one.
_ACTIONS = {
    "ListObjectsV2": "s3:ListBucket", "HeadBucket": "s3:ListBucket", "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject", "PutObject": "s3:PutObject", "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject", "UploadPartCopy": "s3:PutObject", "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload", "CopyObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject", "DeleteObjects": "s3:DeleteObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads", "ListObjectVersions": "s3:ListBucketVersions",
}  # fmt: skip

_UNREACHED = {"EndpointConnectionError", "ConnectTimeoutError", "ClientConnectorError", "ConnectionRefusedError"}
_ENDPOINT = re.compile(r"https?://[^/\s\"'?@]+")
_NOT_RENEWED = {
    "CredentialRetrievalError", "TokenRetrievalError", "RefreshWithMFAUnsupportedError", "SSOTokenLoadError",
    "UnauthorizedSSOTokenError", "MetadataRetrievalError",
}  # fmt: skip


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn the errors of fsspec and of what is below it into ours."""
    try:
        yield
    except ZsyncError:
        raise
    except Exception as error:
        ours = translate(error, url)
        if ours is None:
            raise
        raise ours from error


def translate(error: Exception, url: str) -> ZsyncError | None:
    """Return our error for one of fsspec's, s3fs's or botocore's; None for an error that is nobody's answer."""
    answer = answer_of(error)
    if answer is not None:
        details = answer.get("Error", {})
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = details.get("Code")
        # A HEAD has no error document: botocore then gives the status as the code.
        text = " ".join(f"<{name}>{value}</{name}>" for name, value in details.items() if isinstance(value, str))
        return error_for(
            status,
            None if str(code).isdigit() else code,
            url,
            region=details.get("Region"),
            text=text,
            action=_ACTIONS.get(operation_of(error) or ""),
        )
    if (obstacle := _on_the_way(error, url)) is not None:
        return obstacle
    name = type(error).__name__
    if name in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
        return CredentialsError("no credentials were found", url, "set a profile, AWS_ACCESS_KEY_ID, or access_key_id")
    if name in _NOT_RENEWED:
        return CredentialsError("credentials could not be had or renewed", url, "sign in again, or check the profile")
    if name in _UNREACHED or "WRONG_VERSION_NUMBER" in str(error):
        text = said_of(error)
        endpoint = _ENDPOINT.search(text)
        return unreached(endpoint[0] if endpoint else url, _number_of(error), text)
    if name in _BROKEN:
        return UnansweredError("the connection broke", url, "try again")
    if isinstance(error, OSError):
        return error_of_system(error, url)
    if type(error).__module__.partition(".")[0] in ("botocore", "aiobotocore"):  # it would not even ask
        return TargetError(f"the client for S3 broke down over this ({name})", url, "check endpoint and region")
    return None


def _on_the_way(error: BaseException | None, url: str) -> ZsyncError | None:
    """Return what came between us and the service: a proxy, or a certificate that is not accepted."""
    while error is not None and not isinstance(error, ZsyncError):
        if (problem := problem_in(str(error), url)) is not None:
            return problem
        if type(error).__name__ == "ProxyConnectionError":
            return unanswered(str(getattr(error, "kwargs", {}).get("proxy_url", "")))
        error = error.__cause__ or error.__context__
    return None


def _number_of(error: BaseException | None) -> int | None:
    """Return the number of the system's error behind one of a library."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__cause__ or error.__context__
    return None


def operation_of(error: BaseException | None) -> str | None:
    """Return the operation of S3 that an error of botocore's is about."""
    while error is not None:
        name = getattr(error, "operation_name", None)
        if isinstance(name, str):
            return name
        error = error.__cause__ or error.__context__
    return None


def answer_of(error: BaseException | None) -> dict[str, Any] | None:
    """Find the service's answer in the chain of causes: s3fs puts its own OSError in front of botocore's error.

    An error of ours further down the chain is one that was being handled when this one came up: another story.
    """
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return response
        error = error.__cause__ or error.__context__
        if isinstance(error, ZsyncError):
            return None
    return None
