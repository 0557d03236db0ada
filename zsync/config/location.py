"""Where things are: URLs of targets, and paths of sources.

Parsing is literal: percent signs, spaces and ``+`` in a key are that key's characters, never an encoding. A URL never
holds a secret; one that seems to is refused without being repeated.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from zsync.errors import ConfigError

_ALIASES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "local": "file"}
# What is known without importing fsspec, the registry of all the others.
_COMMON = frozenset({"s3", "file", "memory", "gs", "abfs", "abfss", "az", "adl", "sftp", "ssh", "http", "https"})
_NO_BUCKET = frozenset({"file", "memory"})
# Their URLs name a user or a container before an @, and that is no secret.
_NAMED_USER = frozenset({"abfs", "abfss", "az", "adl", "sftp", "ssh", "hdfs", "webhdfs"})
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_FILE_URL = re.compile(r"(?:file|local):(?://(?:localhost)?(?=/)|(?=/(?!/)))", re.IGNORECASE)
_FILE_SCHEME = re.compile(r"(?:file|local):", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
# Names of the same bucket in a browser: AWS's two ways of writing it, and its console.
_AWS_HOST = re.compile(r"(?:(.+)\.)?s3(?:[.-](?:dualstack[.])?[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?", re.IGNORECASE)
_CONSOLE = re.compile(
    r"(?:[a-z0-9-]+\.)*console\.aws\.amazon\.com/s3/(?:buckets|object)/([^/?]+)(?:\?.*?prefix=([^&]*))?.*"
)
# An ARN, or slashes too few: s3:/bucket, s3//bucket, s3:bucket.
_MISSPELT = re.compile(r"(?:arn:aws[a-z-]*:s3:::|s3:/?|s3//|//s3/)(?!/)([A-Za-z0-9][^@:]*)")
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Location:
    """A place in an object store or a file system.

    Parameters
    ----------
    scheme
        ``s3``, ``file``, ``memory``, or another protocol of fsspec.
    bucket
        The bucket, container or host; empty for ``file`` and ``memory``.
    path
        The key prefix, without slashes at its ends; empty for the root. Of a file: the absolute path without its
        leading slash.

    Examples
    --------
    >>> place = Location.parse("s3://my-bucket/products/oco3/")
    >>> place.child("a.zarr").url
    's3://my-bucket/products/oco3/a.zarr'
    >>> place.parent.url, place.name
    ('s3://my-bucket/products', 'oco3')
    """

    scheme: str
    bucket: str
    path: str

    @classmethod
    def parse(cls, url: str | os.PathLike[str]) -> Location:
        """Return the location that a URL, or an absolute local path, names.

        Raises
        ------
        ConfigError
            It is not a URL, its protocol is unknown, or it holds credentials.
        """
        text = os.fspath(url)
        if CONTROL.search(text):
            raise ConfigError("a URL holds a control character", None, "check for stray line ends")
        match = _URL.fullmatch(text)
        if _FILE_SCHEME.match(text) or match is None:
            return cls("file", "", _absolute(text)[1:])
        scheme = _known_scheme(match[1])
        if scheme in {"http", "https"}:
            _refuse_web_address(match[2])
        if scheme in _NO_BUCKET:
            bucket, rest = "", match[2].lstrip("/")
        else:
            bucket, _, rest = match[2].partition("/")
            _check_authority(scheme, bucket)
        return cls(scheme, bucket, _checked_path(scheme, rest.rstrip("/")))

    @property
    def url(self) -> str:
        """The canonical URL; parsing it gives this location again."""
        root = "file:///" if self.scheme == "file" else f"{self.scheme}://{self.bucket}"
        return f"{root}/{self.path}" if self.bucket and self.path else f"{root}{self.path}"

    @property
    def name(self) -> str:
        """The last element of the path; empty at the root."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> Location:
        """The location that holds this one; a root is its own parent."""
        return Location(self.scheme, self.bucket, self.path.rpartition("/")[0])

    def child(self, key: str) -> Location:
        """Return the location of a key below this one; the empty key is this location itself."""
        path = f"{self.path}/{key}" if self.path and key else self.path or key
        return Location(self.scheme, self.bucket, path)

    def contains(self, other: Location) -> bool:
        """Return whether the other location is this one, or lies below it."""
        if (self.scheme, self.bucket) != (other.scheme, other.bucket):
            return False
        return not self.path or f"{other.path}/".startswith(f"{self.path}/")

    def __str__(self) -> str:
        return self.url


def local_path(text: str) -> str:
    """Return the local path that a path or a ``file://`` URL names, with ``~`` expanded.

    Relative paths stay relative; nothing else is expanded.

    Raises
    ------
    ConfigError
        It is the URL of something that is not local.
    """
    if _FILE_SCHEME.match(text):
        path, found = _FILE_URL.subn("", text, count=1)
        if not found:
            raise ConfigError("a file URL needs an absolute path", text, "write file:///path")
        return os.path.normpath(path)
    if _URL.fullmatch(text):
        raise ConfigError("a local path is needed here, not a URL", None, "give a directory, or a file:// URL")
    if _WINDOWS.match(text):
        raise ConfigError("this is a path of Windows", text, "write it as Linux sees it, like /mnt/c/data")
    if not text.startswith("~"):
        return os.path.normpath(text) if text else text
    try:
        return os.path.normpath(Path(text).expanduser())
    except RuntimeError:
        raise ConfigError("there is no such home directory", text, "write the path out") from None


def anchored(text: str, base: str) -> str:
    """Return a relative path joined to its base directory; URLs, ``~`` and absolute paths stay as they are."""
    if not text or text.startswith(("/", "~")) or _FILE_SCHEME.match(text) or _URL.fullmatch(text):
        return text
    if _WINDOWS.match(text):  # which is told where it is checked
        return text
    return str(Path(base, text))


def absolute(path: str) -> str:
    """Return a path from the root of the file system; relative ones start from the current directory."""
    # Not Path.resolve: what a symbolic link points to is not what the user wrote.
    return f"/{os.path.normpath(Path.cwd() / path).strip('/')}"


def _absolute(text: str) -> str:
    path = local_path(text)
    if (meant := _MISSPELT.fullmatch(text)) is not None:
        raise ConfigError("this is no URL", text, f"did you mean s3://{meant[1]}?")
    if not path.startswith("/"):
        raise ConfigError(
            "neither a URL nor an absolute path",
            "(empty)" if not path else None if "@" in path else path,
            "write s3://bucket/prefix, or ./ for a directory here",
        )
    # POSIX gives two leading slashes a meaning of their own; here they have none.
    return f"/{path.strip('/')}"


def _known_scheme(text: str) -> str:
    scheme = _ALIASES.get(text.lower(), text.lower())
    if scheme in _COMMON:
        return scheme
    from fsspec.registry import available_protocols

    known = sorted(set(available_protocols()) | _COMMON)
    if scheme in known:
        return scheme
    import difflib

    near = difflib.get_close_matches(scheme, known, n=1, cutoff=0.5)
    raise ConfigError(
        "unknown protocol", f"{scheme}://", f"did you mean {near[0]}://?" if near else "use s3:// or file://"
    )


def _refuse_web_address(rest: str) -> None:
    """Refuse the address that a bucket of AWS has in a browser, and say how it is written here."""
    host, _, path = rest.partition("/")
    path = path.partition("?")[0].strip("/")
    if (console := _CONSOLE.fullmatch(rest)) is not None:
        bucket, path = console[1], (console[2] or "").strip("/")
    elif (match := _AWS_HOST.fullmatch(host)) is not None:
        bucket, _, path = (match[1], "", path) if match[1] else path.partition("/")
    else:
        return
    raise ConfigError(
        "this is the web address of a bucket, not the URL of a target",
        f"https://{host}/...",
        f"write {f's3://{bucket}/{path}'.rstrip('/')}",
    )


def _check_authority(scheme: str, authority: str) -> None:
    """Check what stands between ``://`` and the path; it is not repeated where it may hold a secret."""
    user, at, host = authority.rpartition("@")
    if at and (":" in user or scheme not in _NAMED_USER):
        raise ConfigError(
            f"a {scheme}:// URL holds credentials", None, "take them out; use storage.profile or the environment"
        )
    if scheme == "s3":
        _check_bucket(host)
        return
    name, _, port = host.partition(":")
    if not name:
        raise ConfigError(f"a {scheme}:// URL names no bucket or host", None, f"write {scheme}://name/path")
    if port and not port.isdecimal():
        raise ConfigError(f"the host in a {scheme}:// URL is not valid", None, "a URL must not hold credentials")


def _check_bucket(bucket: str) -> None:
    if ":" in bucket:
        raise ConfigError(
            "the bucket of an s3:// URL is not valid", None, "write s3://bucket/prefix, without credentials or an ARN"
        )
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError(
            "not a bucket name", f"s3://{bucket}", "it has at least three characters: letters, digits, hyphens, dots"
        )


def _checked_path(scheme: str, path: str) -> str:
    if scheme in {"http", "https"} and ("?" in path or "#" in path):
        raise ConfigError(f"a {scheme}:// URL holds a query", None, "take it out; it may hold a signature")
    if any(part in {"", ".", ".."} for part in path.split("/")) and path:
        raise ConfigError("a URL has an empty, '.' or '..' path element", f".../{path}", "write the path without it")
    return path
