"""Files of this machine: what is written has its name only when it is whole and on disk."""

from __future__ import annotations

import contextlib
import errno
import os
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from zsync.errors import NotSupportedError, PreconditionError, TargetError, UnfitKeyError, ZsyncError
from zsync.keys import checked, of_state, shown
from zsync.packed import Texts, numbers_of
from zsync.storage.answers import error_of_system
from zsync.storage.base import (
    Answer,
    Capabilities,
    Fetched,
    Headers,
    ObjectStore,
    Over,
    Page,
    Seen,
    Stored,
    fetched_pieces,
    refuse_larger,
    refuse_short,
    refuse_unless_seen,
)
from zsync.storage.handles import directory, open_plain, place, remove, rename, write_new, written_beside
from zsync.words import STATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from zsync.config import Location
    from zsync.keys import Key
    from zsync.storage.base import UploadRecord

_BLOCK = 2**20  # bytes; what is copied at a time
_PATH_MAX = 4096  # bytes of a path, with what ends it
_LONG = _PATH_MAX // 4  # characters
_ROWS = 1024  # of a listing that are Python objects at a time
_Row = tuple[str, int, str]  # key, size, token


class FileTransport(ObjectStore):
    """The file system, from its root: a key is an absolute path without the first ``/``.

    What stands for an ETag is what changes when a file does: times, inode and size.

    Parameters
    ----------
    below
        The directory, absolute without the first ``/``, that a product is. Nothing is written or deleted but below it
        and in its state beside it, and no link there is followed for that. What is read of a product may be linked.
    """

    def __init__(self, root: Location, below: str) -> None:
        self._root = root
        self._below = below
        self._capabilities = Capabilities(
            "file", conditional_put=False, headers=False, etag_is_md5=False, takes_pieces=True
        )

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
            self._refuse_linked_state(prefix)
            yield _page(_below(_path(prefix), ()))

    def list_exactly(self, prefix: str) -> Iterator[Page]:
        """Yield everything below `prefix`: keys are always shown as they are."""
        return self.list(prefix)

    def list_few(self, prefix: str) -> Page | None:
        """Return everything below `prefix`: to go through directories one after the other takes no longer."""
        return next(self.list(prefix))

    def list_after(self, prefix: str, key: str | None) -> Answer | None:
        """Return None: there is no such thing here."""
        del prefix, key
        return None

    def list_level(self, prefix: str) -> tuple[Page, Sequence[str]]:
        """Return the files and the directories directly below `prefix`."""
        with _translated(self.url(prefix)):
            self._refuse_linked_state(prefix)
            files, directories = _level(_path(prefix))
            return _page(files), sorted(f"{path[1:]}/" for path in directories)

    def get(self, key: Key, *, most: int | None = None) -> Fetched:
        """Read a file whole."""
        with _translated(self.url(key)), self._opened(key) as file:
            # Before it is read: if somebody writes into it meanwhile, it is not as it is on record.
            status = os.fstat(file.fileno())
            refuse_larger(status.st_size, most, self.url(key))
            token = _token(status)
            return Fetched(file.read(), token, modified_s=status.st_mtime)

    def fetch(self, key: Key, start: int, length: int, *, etag: str | None, version: str | None = None) -> bytes:
        """Read a part of a file, as it was seen; there are no versions."""
        del version
        with _translated(self.url(key)), self._opened(key) as file:
            file.seek(start)
            data = file.read(length)
            is_as_seen = etag is None or _token(os.fstat(file.fileno())) == etag
        if not is_as_seen:
            raise PreconditionError("the object is not as it was seen", self.url(key))
        refuse_short(len(data), length, self.url(key))
        return data

    def pieces(
        self, key: Key, start: int, length: int, *, etag: str | None, version: str | None = None
    ) -> Iterator[bytes]:
        """Yield a part of a file, as it was seen."""
        return fetched_pieces(self, key, start, length, etag=etag, version=version)

    def head(self, key: Key) -> Stored:
        """Ask for what stands for a file's ETag."""
        with _translated(self.url(key)):
            if self._is_state(key):
                with self._place(key) as (handle, name):
                    return Stored(_token(os.stat(name, dir_fd=handle, follow_symlinks=False)))
            return Stored(_token(os.stat(_path(key))))  # noqa: PTH116 - a Path costs more than the answer, here and below

    def put(self, key: Key, data: bytes, headers: Headers, *, over: Over | None = None) -> Stored:
        """Write a file."""
        return self.put_parts(key, (data,), headers, len(data), over=over)

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
        """Write a file, block by block."""
        del headers, part_size, record  # a file has none, and takes blocks of any size
        with _translated(self.url(key)), self._place(key, make=True) as (handle, name):
            with written_beside(handle, parts) as beside:
                if over is not None:
                    self._keep(key, over)
                rename(handle, beside, name)
            # After the renaming, which is a change of its own.
            return Stored(_token(os.stat(name, dir_fd=handle, follow_symlinks=False)))

    def put_if(self, key: Key, data: bytes, headers: Headers, etag: str | None) -> Stored:
        """Refuse: a file system has no conditional writes."""
        del data, headers, etag
        raise TargetError("this target has no conditional writes", self.url(key))

    def copy(self, source: Key, target: Key) -> None:
        """Copy a file."""
        with _translated(self.url(source)), self._opened(source) as file:
            self.put_parts(target, iter(lambda: file.read(_BLOCK), b""), Headers(), _BLOCK)

    def copy_seen(self, source: Seen, target: Key, headers: Headers, over: Over) -> Stored:
        """Refuse: a file system has no such thing."""
        del source, headers, over
        raise NotSupportedError("this target has no copies on condition", self.url(target))

    def delete(self, keys: Sequence[Key]) -> None:
        """Delete files."""
        for key in keys:
            with (
                _translated(self.url(key)),
                contextlib.suppress(FileNotFoundError),
                self._place(key) as (handle, name),
            ):
                remove(handle, name)

    def remove(self, items: Sequence[tuple[Key, Over]]) -> Mapping[str, TargetError]:
        """Delete files that must be as they were seen, and keep those that are to be kept."""
        stay: dict[str, TargetError] = {}
        for key, over in items:
            try:
                with _translated(self.url(key)):
                    self._keep(key, over, is_to_go=True)
                    with self._place(key) as (handle, name):
                        remove(handle, name)
            except TargetError as error:
                if os.path.lexists(_path(key)):
                    stay[key] = error
        return stay

    def _keep(self, key: Key, over: Over, *, is_to_go: bool = False) -> None:
        """Keep what is about to be replaced, as the file that it is: who is writing into it now writes into that."""
        if not is_to_go or over.seen is not None:
            refuse_unless_seen(self, key, over)
        if over.keep is None:
            return
        with self._place(key) as (handle, name), self._place(over.keep, make=True) as (keeper, kept):
            try:
                os.link(name, kept, src_dir_fd=handle, dst_dir_fd=keeper, follow_symlinks=False)
            except FileExistsError:  # it is kept already: the attempt before this one came so far
                return
            except OSError:  # another file system, or one without hard links
                with open(open_plain(handle, name, _path(key), follow=True), "rb") as file:
                    write_new(keeper, kept, iter(lambda: file.read(_BLOCK), b""))

    def _is_state(self, key: str) -> bool:
        return f"{key}/".startswith(self._state)

    @property
    def _state(self) -> str:
        """The prefix of what zsync keeps beside the product."""
        above = self._below.rpartition("/")[0]
        return f"{above}/{STATE}/" if above else f"{STATE}/"

    def _split(self, key: str) -> tuple[str, Key]:
        """Return the user's own directory, and the path below it that a key names.

        Raises
        ------
        UnfitKeyError
            It lies outside, or cannot be a path.
        """
        if self._is_state(key):
            above = self._below.rpartition("/")[0]
            return f"/{above}", of_state(key[len(self._state) :])
        base = f"{self._below}/" if self._below else ""
        if not key.startswith(base):
            raise UnfitKeyError("this lies outside the directory", shown(_path(key)), "leave it out")
        return f"/{self._below}", checked(key[len(base) :])

    def _place(self, key: Key, *, make: bool = False) -> AbstractContextManager[tuple[int, str]]:
        if len(key) > _LONG and len(os.fsencode(key)) > _PATH_MAX - 2:  # by a handle it could be made, and never opened
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        return place(*self._split(key), make=make)

    @contextmanager
    def _opened(self, key: Key) -> Iterator[BinaryIO]:
        if self._is_state(key):
            with self._place(key) as (handle, name), open(open_plain(handle, name, _path(key)), "rb") as file:
                yield file
            return
        above, _, name = _path(key).rpartition("/")
        with directory(above or "/", "") as handle:
            descriptor = open_plain(handle, name, _path(key), follow=True)
        with open(descriptor, "rb") as file:
            yield file

    def _refuse_linked_state(self, prefix: str) -> None:
        """Raise if a link leads to what zsync keeps: that is nobody's but its own."""
        if self._is_state(prefix.rstrip("/")):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                root, inside = self._split(prefix.rstrip("/"))
                with directory(root, inside):
                    pass


def _path(key: str) -> str:
    return f"/{key}"


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
    for deeper in directories:
        yield from _below(deeper, (*above, here))


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
    keys, sizes, tokens = Texts[str](), numbers_of(()), Texts[str]()
    rest = iter(rows)
    while some := list(islice(rest, _ROWS)):
        keys.extend(key for key, _, _ in some)
        sizes.extend(size for _, size, _ in some)
        tokens.extend(token for _, _, token in some)
    return Page(keys, sizes, tokens)


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
