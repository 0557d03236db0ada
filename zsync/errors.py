"""The errors zsync raises: one small family, each with the exit status of the command.

::

    ZsyncError                 1  failed; a warning says what readers see
    ├── ConfigError            2  bad usage or configuration
    ├── SourceError            3  the source is missing or unfit to publish
    │   ├── SourceChangedError 3  a source file changed while it was being published
    │   ├── UnfitKeyError      3  a key leads elsewhere, or is none
    │   └── GuardError         3  more would be retired than the guard allows
    ├── ConflictError          4  someone else holds the lease, or the head moved
    │   └── OutdatedError      4  what a worker was allowed to do it came to too late
    ├── VerifyError            5  what is published differs from its manifest
    └── TargetError            1  the target refused, or cannot be reached
        ├── NoBucketError         the bucket does not exist
        ├── CredentialsError      no credentials, or the service does not know them
        ├── PermissionDeniedError the credentials are known but may not do this
        ├── RegionError           the bucket is in another region
        ├── NetworkError          the endpoint does not answer
        │   └── SilentError       it has not answered anybody for a minute
        ├── ArchivedError         an object is archived: it has to be restored first
        ├── CertificateError      the certificate of the service is not accepted
        ├── TransientError        the service asks to be tried again (5xx)
        │   ├── ThrottledError    the service asks to slow down (503, 429)
        │   └── UnansweredError   the connection broke, or timed out, before there was a whole answer
        ├── ObjectNotFoundError   there is no such object
        ├── NotSupportedError     the service does not know such a request
        ├── LinkError             a symbolic link is in the way
        ├── TooLargeError         an object is larger than it can be
        ├── MalformedKeyError     the bucket holds a key that the transport cannot show
        └── PreconditionError     a conditional write lost

Every error is one line: what is wrong, where, and what to do. Every error survives `pickle`, because workers in other
processes return errors as values.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

from zsync.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable


class ExitStatus(IntEnum):
    """Exit statuses of the `zsync` command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SOURCE = 3
    CONFLICT = 4
    DIFFERENT = 5
    UNRETIRED = 6


class ZsyncError(Exception):
    """Base of all errors that zsync raises on purpose.

    Parameters
    ----------
    message
        What is wrong, in a few words.
    where
        The option, path, key or URL that it is about.
    advice
        What to do about it.

    Examples
    --------
    >>> str(ZsyncError("the source is not there", "/data/oco3", "check `source`"))
    'the source is not there: /data/oco3; check `source`'
    """

    exit_status = ExitStatus.FAILED
    _render_traceback_: ClassVar[Callable[[ZsyncError], list[str]]]  # how IPython shows it (`zsync.report.traces`)

    def __init__(self, message: str, where: str | None = None, advice: str | None = None) -> None:
        # All three go to Exception.__init__, so that pickle can rebuild the error from `args`.
        super().__init__(message, where, advice)
        self.message = message
        self.where = where
        self.advice = advice

    @property
    def said(self) -> str:
        """The error on one line, with what it names as it is: for JSON."""
        message, advice = (part and " ".join(part.split()) for part in (self.message, self.advice))
        text = f"{message}" if self.where is None else f"{message}: {self.where}"
        return text if advice is None else f"{text}; {advice}"

    def __str__(self) -> str:
        return printable(self.said)

    def at(self, where: str) -> ZsyncError:
        """Return the same error with its place named, unless it names one already."""
        return self if self.where is not None else type(self)(self.message, where, self.advice)


class ConfigError(ZsyncError):
    """Bad usage or configuration."""

    exit_status = ExitStatus.USAGE


class SourceError(ZsyncError):
    """The source is missing or unfit to publish."""

    exit_status = ExitStatus.SOURCE


class SourceChangedError(SourceError):
    """A source file changed while it was being published (promise P6)."""


class UnfitKeyError(SourceError):
    """A key leads elsewhere, or is none: nothing may be written, deleted or opened by it."""


class GuardError(SourceError):
    """More would be retired than the guard allows (promise P8), or a rollback undone, without being asked for."""


class ConflictError(ZsyncError):
    """Someone else holds the lease, or the head moved (promise P7)."""

    exit_status = ExitStatus.CONFLICT


class OutdatedError(ConflictError):
    """A worker came to its objects only after what it was granted had run out."""


class VerifyError(ZsyncError):
    """What is published differs from its manifest."""

    exit_status = ExitStatus.DIFFERENT


class TargetError(ZsyncError):
    """The target refused, or cannot be reached."""


class NoBucketError(TargetError):
    """The bucket does not exist."""


class CredentialsError(TargetError):
    """There are no credentials, or the service does not know them."""


class PermissionDeniedError(TargetError):
    """The credentials are known but may not do this."""


class RegionError(TargetError):
    """The bucket is, or may be, in another region than the one that was asked."""


class NetworkError(TargetError):
    """The endpoint does not answer."""


class SilentError(NetworkError):
    """The endpoint has not answered anybody for a minute; what it did with the request is not known."""


class ArchivedError(TargetError):
    """An object is archived, and cannot be read before it is restored."""


class CertificateError(TargetError):
    """The certificate of the service is not accepted."""


class TransientError(TargetError):
    """The service asks to be tried again: 5xx, throttling, a request that timed out."""


class ThrottledError(TransientError):
    """The service asks to slow down: 503, 429, and whatever else it calls that."""


class LinkError(TargetError):
    """A symbolic link is in the way, and is not followed."""


class TooLargeError(TargetError):
    """An object is larger than it can be: somebody else wrote it."""


class MalformedKeyError(TargetError):
    """A listing holds a key that the transport cannot show."""


class UnansweredError(TransientError):
    """The connection broke, or nothing came, before there was a whole answer; what was done is not known."""


class ObjectNotFoundError(TargetError):
    """There is no such object."""


class GoneError(TargetError):
    """What a publication named is not to be had any more."""


class NotSupportedError(TargetError):
    """The service does not know such a request (501, 405)."""


class PreconditionError(TargetError):
    """A conditional write lost: the object is not in the state that the condition names."""
