"""Files of this machine: what is written has its name only when it is whole and on disk."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from zsync.errors import PreconditionError, TargetError, TransientError, ZsyncError
from zsync.storage.answers import error_of_system
from zsync.storage.base import Capabilities, Fetched, Headers, ObjectStore, Over, Page, Stored, refuse_unless_seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from zsync.config import Location

_BLOCK = 2**20  # bytes; what is copied at a time
_Row = tuple[str, int, str]  # key, size, token


class FileTransport(ObjectStore):
    """The file system, from its root: a key is an absolute path without the first ``/``.

    What stands for an ETag is what changes when a file does: times, inode and size.
    """

    def __init__(self, root: Location) -> None:
        self._root = root
        self._capabilities = Capabilities("file", conditional_put=False, headers=False, etag_is_md5=False)

    @property
    def capabilities(self) -> Capabilities:
        """What this transport can do."""
        return self._capabilities

    def url(self, key: str) -> str:
        """Return the URL of a key, for messages."""
        return self._root.child(key).url if key else self._root.url

    def list(self, prefix: str) -> Iterator[Page]:
        """Yield everything below `prefix`."""
        with _translated(self.url(prefix)):
            yield _page(_below(_path(prefix), ()))

    def list_level(self, prefix: str) -> tuple[Page, Sequence[str]]:
        """Return the files and the directories directly below `prefix`."""
        with _translated(self.url(prefix)):
            files, directories = _level(_path(prefix))
            return _page(files), sorted(f"{path[1:]}/" for path in directories)

    def get(self, key: str) -> Fetched:
        """Read a file whole."""
        with _translated(self.url(key)), open(_path(key), "rb") as file:
            # Before it is read: if somebody writes into it meanwhile, it is not as it is on record.
            token = _token(os.fstat(file.fileno()))
            return Fetched(file.read(), token)

    def fetch(self, key: str, start: int, length: int, *, etag: str | None, version: str | None = None) -> bytes:
        """Read a part of a file, as it was seen; there are no versions."""
        del version
        with _translated(self.url(key)), open(_path(key), "rb") as file:
            file.seek(start)
            data = file.read(length)
            is_as_seen = etag is None or _token(os.fstat(file.fileno())) == etag
        if not is_as_seen:
            raise PreconditionError("the object is not as it was seen", self.url(key))
        if len(data) != length:
            raise TransientError("only a part of an object came", self.url(key), "try again")
        return data

    def head(self, key: str) -> Stored:
        """Ask for what stands for a file's ETag."""
        with _translated(self.url(key)):
            return Stored(_token(os.stat(_path(key))))  # noqa: PTH116 - a Path costs more than the answer, here and below

    def put(self, key: str, data: bytes, headers: Headers, *, over: Over | None = None) -> Stored:
        """Write a file."""
        return self.put_parts(key, (data,), headers, len(data), over=over)

    def put_parts(
        self, key: str, parts: Iterable[bytes], headers: Headers, part_size: int, *, over: Over | None = None
    ) -> Stored:
        """Write a file, block by block."""
        del headers, part_size  # a file has none, and takes blocks of any size
        path = _path(key)
        beside = f"{path.rpartition('/')[0]}/.{uuid.uuid4().hex}.partial"  # a name as long as may be has no longer one
        with _translated(self.url(key)):
            try:
                _write(beside, parts)
                if over is not None:
                    self._keep(key, over)
                _rename(beside, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    _remove(beside)
                raise
            return Stored(_token(os.stat(path)))  # noqa: PTH116 - after the renaming, which is a change of its own

    def put_if(self, key: str, data: bytes, headers: Headers, etag: str | None) -> Stored:
        """Refuse: a file system has no conditional writes."""
        del data, headers, etag
        raise TargetError("this target has no conditional writes", self.url(key))

    def copy(self, source: str, target: str) -> None:
        """Copy a file."""
        with _translated(self.url(source)), open(_path(source), "rb") as file:
            self.put_parts(target, iter(lambda: file.read(_BLOCK), b""), Headers(), _BLOCK)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete files."""
        for key in keys:
            with _translated(self.url(key)), contextlib.suppress(FileNotFoundError):
                _remove(_path(key))

    def discard(self, key: str, over: Over) -> None:
        """Delete a file that must be as it was seen, and keep it."""
        with _translated(self.url(key)):
            self._keep(key, over)
            _remove(_path(key))

    def _keep(self, key: str, over: Over) -> None:
        """Keep what is about to be replaced, as the file that it is: who is writing into it now writes into that."""
        refuse_unless_seen(self, key, over)
        if over.keep is None:
            return
        path, kept = _path(key), _path(over.keep)
        os.makedirs(os.path.dirname(kept), exist_ok=True)  # noqa: PTH103
        try:
            os.link(path, kept)
        except FileExistsError:  # it is kept already: the attempt before this one came so far
            return
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(path, kept)


def _path(key: str) -> str:
    return f"/{key}"


def _write(path: str, blocks: Iterable[bytes]) -> None:
    """Write a new file, and see that it is on disk: after a power cut there is no name without its bytes."""
    with _new(path) as file:
        for block in blocks:
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def _new(path: str) -> BinaryIO:
    try:
        return open(path, "xb")
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103
        return open(path, "xb")


def _rename(old: str, new: str) -> None:
    os.replace(old, new)  # noqa: PTH105


def _remove(path: str) -> None:
    os.unlink(path)  # noqa: PTH108


def _below(path: str, above: tuple[tuple[int, int], ...]) -> Iterator[_Row]:
    """Yield the files below a directory; links are followed, but not back to where they came from."""
    files, directories = _level(path)
    yield from files
    if not directories:
        return
    status = os.stat(path)  # noqa: PTH116
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for directory in directories:
        yield from _below(directory, (*above, here))


def _level(path: str) -> tuple[list[_Row], list[str]]:
    """Return the files and the paths of the directories in a directory; what goes meanwhile is not there."""
    files: list[_Row] = []
    directories: list[str] = []
    try:
        entries = os.scandir(path)
    except (FileNotFoundError, NotADirectoryError):
        return files, directories
    base = path.rstrip("/")
    with entries:
        for entry in entries:
            try:
                if entry.is_dir():
                    directories.append(f"{base}/{entry.name}")
                elif entry.is_file():
                    status = entry.stat()
                    files.append((f"{base[1:]}/{entry.name}".lstrip("/"), status.st_size, _token(status)))
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ELOOP):  # a link to itself is nothing either
                    raise
    return files, directories


def _page(rows: Iterable[_Row]) -> Page:
    return Page(*([list(column) for column in zip(*rows, strict=True)] or ([], [], [])))


def _token(status: os.stat_result) -> str:
    """Return what is another one when the file is: only ever compared with one on record, never taken for a hash."""
    return f"{status.st_mtime_ns}-{status.st_ino}-{status.st_ctime_ns}-{status.st_size}"


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn the errors of the system into ours."""
    try:
        yield
    except ZsyncError:
        raise
    except OSError as error:
        raise error_of_system(error, url) from error
