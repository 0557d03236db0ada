"""The other transport: fsspec, for every URL it knows, with s3fs for S3."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

from zsync.errors import (
    NoBucketError,
    NotSupportedError,
    ObjectNotFoundError,
    PermissionDeniedError,
    PreconditionError,
    TargetError,
)
from zsync.storage.base import (
    Capabilities,
    Fetched,
    Headers,
    ObjectStore,
    Over,
    Page,
    Stored,
    bare_etag,
    fetched_pieces,
    keep_replaced,
    refuse_larger,
    refuse_short,
    remove_one_by_one,
)
from zsync.storage.conditional import believed, condition_of, on_condition
from zsync.storage.copying import copy_seen
from zsync.storage.multipart import put_in_parts, s3_headers
from zsync.storage.removal import remove_seen
from zsync.storage.translation import translated
from zsync.words import WHOLE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from zsync.config import Location
    from zsync.keys import Key
    from zsync.storage.base import Answer, Seen, UploadRecord
    from zsync.storage.calls import S3Calls
    from zsync.storage.signed import SignedRequests

# These show a file while it is being written: there an object is written beside its place and then renamed.
_WRITTEN_IN_PLACE = {"sftp", "ssh", "ftp", "smb", "hdfs"}


class FsspecTransport(ObjectStore):
    """One bucket, or one file system, through fsspec.

    Parameters
    ----------
    calls
        For S3, requests that the file system has no method for.
    requests
        For S3, opens what makes signed requests to the bucket.
    """

    def __init__(
        self,
        fs: Any,
        root: Location,
        calls: S3Calls | None = None,
        requests: Callable[[], SignedRequests] | None = None,
    ) -> None:
        self._fs = fs
        self._calls, self._requests = calls, requests
        self._root = root
        self._base = root.bucket if root.bucket else ""
        self._renames = root.scheme in _WRITTEN_IN_PLACE
        is_s3 = root.scheme == "s3"
        kms = is_s3 and str(fs.s3_additional_kwargs.get("ServerSideEncryption", "")).startswith("aws:kms")
        self._capabilities = Capabilities("fsspec", conditional_put=is_s3, headers=is_s3, etag_is_md5=is_s3 and not kms)

    @property
    def capabilities(self) -> Capabilities:
        """What this transport can do with this service."""
        return self._capabilities

    def url(self, key: str) -> str:
        """Return the URL of a key, for messages."""
        return self._root.child(key).url if key else self._root.url

    def _path(self, key: str) -> str:
        return f"{self._base}/{key}"

    def list(self, prefix: str) -> Iterator[Page]:
        """Yield everything below `prefix`."""
        with translated(self.url(prefix)):
            found = self._fs.find(self._path(prefix).rstrip("/") or "/", detail=True, withdirs=False)
            if not found:
                self._check_bucket()
        yield self._page([info for info in found.values() if info["type"] == "file"], prefix)

    def list_exactly(self, prefix: str) -> Iterator[Page]:
        """Yield everything below `prefix`: keys are always shown as they are."""
        return self.list(prefix)

    def list_few(self, prefix: str) -> Page | None:
        """Return None: whoever lists all here is not told when it becomes much."""
        del prefix
        return None

    def list_after(self, prefix: str, key: str | None) -> Answer | None:
        """Return None: there is no such thing here."""
        del prefix, key
        return None

    def list_level(self, prefix: str) -> tuple[Page, Sequence[str]]:
        """Return the objects and the prefixes directly below `prefix`."""
        with translated(self.url(prefix)):
            try:
                level = self._fs.ls(self._path(prefix).rstrip("/") or "/", detail=True)
            except FileNotFoundError:
                self._check_bucket()
                level = []
        names = [self._key(info["name"]) for info in level if info["type"] == "directory"]
        return self._page([info for info in level if info["type"] == "file"], prefix), [f"{name}/" for name in names]

    def _page(self, infos: Sequence[dict[str, Any]], prefix: str) -> Page:
        # `find` and `ls` answer with the file itself where the prefix names a file.
        rows = [(self._key(info["name"]), info["size"], _token(info)) for info in infos]
        rows = [row for row in rows if row[0].startswith(prefix)]
        return Page(*([list(column) for column in zip(*rows, strict=True)] or ([], [], [])))

    def _key(self, name: str) -> str:
        if self._root.scheme == "s3":  # there a key may begin with a slash of its own
            return str(name).removeprefix(f"{self._base}/")
        return str(name).removeprefix(self._base).lstrip("/")

    def _check_bucket(self) -> None:
        if self._base and not self._fs.exists(self._base):
            raise NoBucketError("the bucket does not exist", self.url(""), "create it, or correct `target`")

    def get(self, key: Key, *, most: int | None = None) -> Fetched:
        """Read an object whole."""
        with translated(self.url(key)):
            try:
                # First: if the object is replaced between the two, the condition of a write that follows fails.
                stored = self.head(key)
                if most is not None:
                    refuse_larger(self._fs.info(self._path(key))["size"], most, self.url(key))
            except PermissionDeniedError:
                self._fs.ls(self._base)  # a HEAD has no error document; a listing says what is wrong with credentials
                raise
            return Fetched(self._fs.cat_file(self._path(key)), stored.etag, stored.version, stored.modified_s)

    def fetch(self, key: Key, start: int, length: int, *, etag: str | None, version: str | None = None) -> bytes:
        """Read a part of an object, as it was seen: there is no condition on reads here, so it is looked at after."""
        if version is not None and self._root.scheme != "s3":
            raise NotSupportedError("versions of objects are not read here", self.url(key))
        which = {"version_id": version} if version is not None else {}
        with translated(self.url(key)):
            data: bytes = self._fs.cat_file(self._path(key), start=start, end=start + length, **which)
        if version is None and etag is not None and self.head(key).etag != etag:
            raise PreconditionError("the object is not as it was seen", self.url(key))
        refuse_short(len(data), length, self.url(key))
        return data

    def pieces(
        self, key: Key, start: int, length: int, *, etag: str | None, version: str | None = None
    ) -> Iterator[bytes]:
        """Yield a part of an object, as it was seen."""
        return fetched_pieces(self, key, start, length, etag=etag, version=version)

    def head(self, key: Key) -> Stored:
        """Ask for an object's ETag (or what stands for it) and version."""
        with translated(self.url(key)):
            self._fs.invalidate_cache(self._path(key))
            info = self._fs.info(self._path(key))
        if info.get("type") == "directory":  # there is no such object, only some below it
            raise ObjectNotFoundError("there is no such object", self.url(key))
        return _stored(info)

    def put(self, key: Key, data: bytes, headers: Headers, *, over: Over | None = None) -> Stored:
        """Write an object in one part."""
        with translated(self.url(key)):
            if self._renames:
                return self._put_renamed(key, lambda path: self._fs.pipe_file(path, data), over)
            if over is not None:
                keep_replaced(self, key, over)
            if not self._capabilities.conditional_put:
                return self._put(key, data, headers, None)
        return on_condition(self, key, over, lambda condition: self._put(key, data, headers, condition))

    def _put(self, key: Key, data: bytes, headers: Headers, over: Over | None) -> Stored:
        with translated(self.url(key)):
            answer = self._fs.pipe_file(self._path(key), data, **self._options(headers), **condition_of(over))
            stored = _stored(answer) if isinstance(answer, dict) else self.head(key)
        return believed(self, key, data, stored)

    def put_parts(
        self,
        key: Key,
        parts: Iterable[bytes],
        headers: Headers,
        part_size: int,
        *,
        over: Over | None = None,
        record: UploadRecord | None = None,
    ) -> Stored:
        """Write an object in parts."""
        if self._calls is not None:
            return put_in_parts(self._calls, self, key, parts, headers, over, record)
        if self._root.scheme == "memory":  # it shows what is not written yet, and is in memory anyway
            return self.put(key, b"".join(parts), headers, over=over)

        def write(path: str) -> None:
            file = self._fs.open(path, "wb", block_size=part_size)
            try:
                for part in parts:
                    file.write(part)
                file.close()
            except BaseException:
                with contextlib.suppress(Exception):  # the first error is the one to tell
                    if self._renames:
                        file.close()
                    else:
                        file.discard()
                        file.closed = True  # else its finalizer would write what is left
                raise

        with translated(self.url(key)):
            if self._renames:
                return self._put_renamed(key, write, over)
            if over is not None:
                keep_replaced(self, key, over)
            write(self._path(key))
            return self.head(key)

    def _put_renamed(self, key: Key, write: Callable[[str], None], over: Over | None = None) -> Stored:
        path = self._path(key)
        directory = path.rpartition("/")[0]
        beside = f"{directory}/.{uuid.uuid4().hex}.partial"  # not longer for a name that is as long as may be
        self._fs.makedirs(directory, exist_ok=True)
        try:
            write(beside)
            if over is not None and over.keep is not None:
                keep_replaced(self, key, over)
            self._fs.mv(beside, path)
        except BaseException:
            with contextlib.suppress(Exception):
                self._fs.rm_file(beside)
            raise
        return self.head(key)

    def put_if(self, key: Key, data: bytes, headers: Headers, etag: str | None) -> Stored:
        """Write an object only if it is absent, or still has `etag`."""
        if not self._capabilities.conditional_put:
            raise TargetError("this target has no conditional writes", self.url(key))
        return on_condition(self, key, Over(etag), lambda condition: self._put(key, data, headers, condition))

    def copy(self, source: Key, target: Key) -> None:
        """Copy an object inside the store."""
        with translated(self.url(source)):
            if self._renames:
                self._put_renamed(target, lambda path: self._fs.cp_file(self._path(source), path))
            else:
                self._fs.cp_file(self._path(source), self._path(target))

    def copy_seen(self, source: Seen, target: Key, headers: Headers, over: Over) -> Stored:
        """Copy an object inside a bucket of S3, on condition of both ends."""
        if self._calls is None or self._requests is None:
            raise NotSupportedError("this target has no copies on condition", self.url(target))
        return copy_seen(self._requests(), self._calls, self, source, target, headers, over)

    def delete(self, keys: Sequence[Key]) -> None:
        """Delete objects."""
        for key in keys:
            with translated(self.url(key)), contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._path(key))

    def remove(self, items: Sequence[tuple[Key, Over]]) -> Mapping[str, TargetError]:
        """Delete objects that must be as they were seen."""
        if self._calls is not None:
            return remove_seen(self._calls, self, items)
        return remove_one_by_one(self, items)

    def _options(self, headers: Headers) -> dict[str, Any]:
        return s3_headers(headers) | {"chunksize": WHOLE_SIZE} if self._capabilities.headers else {}


def _stored(info: dict[str, Any]) -> Stored:
    return Stored(_token(info), info.get("VersionId") or None, _modified_s(info))


def _modified_s(info: dict[str, Any]) -> float | None:
    moment = next((info[name] for name in ("LastModified", "mtime", "modified", "created") if info.get(name)), None)
    return moment.timestamp() if isinstance(moment, dt.datetime) else moment


def _token(info: dict[str, Any]) -> str | None:
    """Return what changes when the object does: its ETag, or what stands for one on a file system.

    It is only ever compared with a token that was recorded, never taken for a hash of the content.
    """
    for name in ("ETag", "etag", "md5Hash", "generation"):
        if info.get(name):
            return bare_etag(str(info[name]))
    moments = [_stamp(info[name]) for name in ("mtime", "ino", "modified", "created") if info.get(name) is not None]
    return "-".join([*moments, str(info["size"])]) if moments else None


def _stamp(value: Any) -> str:
    """Write a moment in one way: one file system tells it as a number here and as a date there."""
    return str(value.timestamp() if isinstance(value, dt.datetime) else value)
