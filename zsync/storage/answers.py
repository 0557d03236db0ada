"""What a service, or a file system, answers when it does not do as asked, in our words: one table for all."""

from __future__ import annotations

import errno
import json
import os
import re
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from zsync.errors import (
    ArchivedError,
    CredentialsError,
    NetworkError,
    NoBucketError,
    NotSupportedError,
    ObjectNotFoundError,
    PermissionDeniedError,
    PreconditionError,
    RegionError,
    TargetError,
    ThrottledError,
    TransientError,
    UnansweredError,
)
from zsync.storage.permissions import statement_for
from zsync.storage.proxies import through_proxy
from zsync.system import advice_on

_OF_THIS_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_UNKNOWN_CREDENTIALS = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
    "AuthorizationHeaderMalformed", "InvalidSecurity", "NotSignedUp",
}  # fmt: skip
_ELSEWHERE = {"PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"}
_WANTS_TLS = re.compile(
    r"HTTP request to an HTTPS server|plain HTTP request was sent to HTTPS|speaking plain HTTP", re.I
)
_NO_TLS = re.compile(r"WRONG_VERSION_NUMBER|record layer failure|InvalidContentType|HTTP_REQUEST", re.I)
_NO_HOST = re.compile(r"dns error|failed to lookup|not known|No address associated|nodename nor servname", re.I)
_NO_DNS = re.compile(r"Temporary failure in name resolution|DNS server returned", re.I)
_LATE = re.compile(r"timed out|timeout|TimedOut|deadline has elapsed", re.I)
_ACTION = re.compile(r"not authorized to perform: ?([\w-]+:\w+)")
_PLACE = re.compile(r"s3://([^/]+)(?:/(.*))?", re.DOTALL)
_SLOW_DOWN = {
    "SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded",
}  # fmt: skip
_TRY_AGAIN = {
    "InternalError", "RequestTimeout", "OperationAborted", "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch",
    "ConditionalRequestConflict",
}  # fmt: skip


def error_for(
    status: int, code: str | None, url: str, *, region: str | None = None, text: str = "", action: str | None = None
) -> TargetError:
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
    text
        The error document, or whatever was sent in its place.
    action
        What has to be allowed for such a request.

    Notes
    -----
    Codes: Amazon S3 API Reference, "Error responses".
    """
    said = code or str(status)
    if code == "NoSuchBucket":
        return NoBucketError("the bucket does not exist", url, "create it, or correct `target`")
    if code == "RequestTimeTooSkewed":
        return CredentialsError(_skew(text), url, "set this machine's clock (NTP), and try again")
    if region is not None or code in _ELSEWHERE:
        said = f"region {region}" if region else "another region"
        return RegionError(f"the bucket is in {said}", url, f"set `region{f': {region}' if region else ''}`")
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
    return _refusal(status, code, url, text, action)


def _skew(text: str) -> str:
    """Say by how much the clocks differ, if the service tells what its own says."""
    asked, own = (_instant(_first(rf"<{name}>([^<]+)<", text)) for name in ("RequestTime", "ServerTime"))
    if asked is None or own is None:
        return "this machine's clock and that of the service differ by more than the service takes"
    minutes = round((asked - own).total_seconds() / 60)
    return f"this machine's clock is {abs(minutes):,} minutes {'ahead of' if minutes > 0 else 'behind'} the service's"


def _instant(text: str | None) -> datetime | None:
    for shape in ("%Y%m%dT%H%M%SZ", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ", "%a, %d %b %Y %H:%M:%S GMT"):
        try:
            return datetime.strptime(text or "", shape).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _first(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None


def _denied(said: str, url: str, text: str, action: str | None) -> PermissionDeniedError:
    """Return the error for what credentials may not do, with the statement of a policy that would allow it."""
    action = _first(_ACTION.pattern, text) or action
    place = _PLACE.fullmatch(url)
    if action is None or place is None:
        return PermissionDeniedError(f"permission denied ({said})", url, "check what these credentials may do")
    if "explicit deny" in text:
        advice = "a policy denies it explicitly: see those of the bucket, the role and the organization"
    else:
        statement = json.dumps(statement_for(action, place[1], (place[2] or "").rpartition("/")[0]))
        advice = f"allow it: {statement} (`zsync config check --iam` prints all that is needed)"
    return PermissionDeniedError(f"permission denied ({said}): {action}", url, advice)


def _refusal(status: int, code: str | None, url: str, text: str, action: str | None) -> TargetError:
    """Return the error for an answer that will be the same the next time."""
    said = code or str(status)
    if _WANTS_TLS.search(text):
        return NetworkError(
            "the service speaks TLS only", url, "write https:// in `endpoint_url`; `ca_bundle` names its authority"
        )
    if code == "InvalidObjectState":
        return ArchivedError("the object is archived", url, "restore it first")
    if status in (409, 412):
        return PreconditionError("the object is not as the condition says", url)
    if code == "AccessDenied" or status in (401, 403):  # for one key of many, in an answer that is 200
        return _denied(said, url, text, action)
    if status in (301, 307, 308):
        return RegionError("the bucket is in another region", url, "set `region`")
    if status == 404:
        return ObjectNotFoundError("there is no such object", url)
    if status == 400 and code is None:  # as a HEAD is answered that is signed for another region
        return RegionError("the service refused (400)", url, "check `region` and `endpoint_url`")
    return TargetError(f"the service refused ({said})", url)


def unreached(url: str, number: int | None = None, text: str = "") -> NetworkError:
    """Return the error that it comes to when there is no connection.

    What this machine lacks is not to be looked for in the network.

    Parameters
    ----------
    number
        The system's, if it said one.
    text
        What the client says.
    """
    if number in _OF_THIS_MACHINE:
        error = OSError(number, os.strerror(number))
        return NetworkError(f"cannot connect ({error.strerror})", url, advice_on(error))
    if (proxy := through_proxy(url)) is not None:
        return proxy
    said, advice = _obstacle(url, number, text)
    return NetworkError(f"cannot connect{said}", url, advice)


def _obstacle(url: str, number: int | None, text: str) -> tuple[str, str]:
    """Return what is in the way of a connection, and what to do about it."""
    host = urlsplit(url).hostname or url
    if _NO_TLS.search(text):
        return ": the service does not speak TLS", "write http:// in `endpoint_url`, or the port of its TLS"
    if _NO_DNS.search(text):
        return f": the name {host} cannot be looked up", "is the network up, and a name server named?"
    if _NO_HOST.search(text):
        return f": there is no host {host}", "check `endpoint_url`, or `region` for AWS"
    if number == errno.ECONNREFUSED or "refused" in text.lower():
        return ": nobody listens there (connection refused)", "check `endpoint_url` and its port; does the service run?"
    if _LATE.search(text):
        return ": no answer", "a firewall, or a wrong address: check `endpoint_url` and the network"
    return "", "check `endpoint_url` and the network"


def said_of(error: BaseException | None) -> str:
    """Return what an error says, and all that are behind it: libraries hide the system's in their own."""
    told = []
    while error is not None:
        told.append(str(error))
        error = error.__cause__ or error.__context__
    return "; ".join(told)


def error_of_system(error: OSError, url: str) -> TargetError:
    """Return the error that one of the operating system comes to."""
    if isinstance(error, ConnectionError | TimeoutError):
        return UnansweredError("the connection broke", url, "try again")
    if isinstance(error, FileNotFoundError):
        return ObjectNotFoundError("there is no such object", url)
    if isinstance(error, PermissionError):
        return PermissionDeniedError("permission denied", url, "check what you may write there")
    return TargetError(f"the target refused ({error.strerror or error})", url, advice_on(error))
