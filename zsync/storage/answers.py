"""What a service, or a file system, answers when it does not do as asked, in our words: one table for all."""

from __future__ import annotations

import errno
import os
from http import HTTPStatus

from zsync.errors import (
    ArchivedError,
    CredentialsError,
    NetworkError,
    NoBucketError,
    NotSupportedError,
    ObjectNotFoundError,
    PermissionDeniedError,
    PreconditionError,
    TargetError,
    ThrottledError,
    TransientError,
    UnansweredError,
)
from zsync.storage.proxies import through_proxy
from zsync.system import advice_on

_OF_THIS_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_UNKNOWN_CREDENTIALS = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
    "AuthorizationHeaderMalformed", "RequestTimeTooSkewed", "InvalidSecurity", "NotSignedUp",
}  # fmt: skip
_SLOW_DOWN = {
    "SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded",
}  # fmt: skip
_TRY_AGAIN = {
    "InternalError", "RequestTimeout", "OperationAborted", "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch",
    "ConditionalRequestConflict",
}  # fmt: skip


def error_for(status: int, code: str | None, url: str, *, region: str | None = None) -> TargetError:
    """Return the error that an answer comes to.

    Parameters
    ----------
    status
        HTTP status.
    code
        Code of the service's error document, if it sent one (a HEAD has none).
    url
        What was asked for.
    region
        The region in which the service says that the bucket is.

    Notes
    -----
    Codes: Amazon S3 API Reference, "Error responses".
    """
    said = code or str(status)
    if code == "NoSuchBucket":
        return NoBucketError("the bucket does not exist", url, "create it, or correct `target`")
    if code in _UNKNOWN_CREDENTIALS:
        return CredentialsError(
            f"the service does not accept these credentials ({said})", url, "check key, secret, token and clock"
        )
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return CredentialsError(
            "the proxy wants to know who asks (407)", url, "write user and password into HTTP(S)_PROXY"
        )
    if code in ("NotImplemented", "MethodNotAllowed") or status in (405, 501):
        return NotSupportedError(f"the service does not do this ({said})", url)
    if code in _SLOW_DOWN or status in (429, 503):
        return ThrottledError(f"the service asks to slow down ({said})", url, "try again later, or with fewer workers")
    if code in _TRY_AGAIN or status >= 500:
        return TransientError(f"the service could not answer ({said})", url, "try again later")
    return _refusal(status, code, url, region)


def _refusal(status: int, code: str | None, url: str, region: str | None) -> TargetError:
    """Return the error for an answer that will be the same the next time."""
    said = code or str(status)
    if code == "InvalidObjectState":
        return ArchivedError("the object is archived", url, "restore it first")
    if status in (409, 412):
        return PreconditionError("the object is not as the condition says", url)
    if code == "AccessDenied" or status in (401, 403):  # for one key of many, in an answer that is 200
        return PermissionDeniedError(f"permission denied ({said})", url, "check what these credentials may do")
    if region is not None:
        return TargetError(f"the bucket is in region {region}", url, f"set `region: {region}`")
    if status == 404:
        return ObjectNotFoundError("there is no such object", url)
    return TargetError(f"the service refused ({said})", url)


def unreached(url: str, number: int | None = None) -> NetworkError:
    """Return the error that it comes to when there is no connection; `number` is the system's, if it said one.

    What this machine lacks is not to be looked for in the network.
    """
    if number in _OF_THIS_MACHINE:
        error = OSError(number, os.strerror(number))
        return NetworkError(f"cannot connect ({error.strerror})", url, advice_on(error))
    if (proxy := through_proxy(url)) is not None:
        return proxy
    return NetworkError("cannot connect", url, "check `endpoint_url` and the network")


def error_of_system(error: OSError, url: str) -> TargetError:
    """Return the error that one of the operating system comes to."""
    if isinstance(error, ConnectionError | TimeoutError):
        return UnansweredError("the connection broke", url, "try again")
    if isinstance(error, FileNotFoundError):
        return ObjectNotFoundError("there is no such object", url)
    if isinstance(error, PermissionError):
        return PermissionDeniedError("permission denied", url, "check what you may write there")
    return TargetError(f"the target refused ({error.strerror or error})", url, advice_on(error))
