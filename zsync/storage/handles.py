"""Files of this machine, reached from a directory handle: no link below that directory is followed.

The directory itself, and what is above it, is the user's own: there links lead where the user wants. Below it a link
may have been put, or put in the place of a directory, since it was looked at; so every part of a path is opened
relative to the one above it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zsync.errors import LinkError, TargetError
from zsync.storage.base import PIECE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zsync.keys import Key

# A handle that only leads on, where there is such a thing: a directory need not be readable for that.
_TO_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
# Without waiting: a FIFO would have nobody at its other end.
_TO_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def directory(root: str, inside: str, *, make: bool = False) -> Iterator[int]:
    """Yield a handle of a directory.

    Parameters
    ----------
    root
        A directory of the user's.
    inside
        A path below it; empty for itself.
    make
        Make what is missing.

    Raises
    ------
    LinkError
        A link is in the way.
    OSError
        It is not there, or cannot be opened.
    """
    if make:
        os.makedirs(root, exist_ok=True)  # noqa: PTH103
    handle = os.open(root, _TO_DIRECTORY)
    try:
        at = root
        for part in inside.split("/") if inside else ():
            at = f"{at}/{part}"
            below = _step(handle, part, at, make=make)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)


def _step(handle: int, part: str, path: str, *, make: bool) -> int:
    try:
        return os.open(part, _TO_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
    except FileNotFoundError:
        if not make:
            raise
    except OSError:
        refuse_link(handle, part, path)
        raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(part, dir_fd=handle)
    return _step(handle, part, path, make=False)


def refuse_link(handle: int, name: str, path: str) -> None:
    """Raise if a name is that of a link.

    Raises
    ------
    LinkError
        It is.
    """
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISLNK(os.lstat(name, dir_fd=handle).st_mode):
            raise LinkError(
                "a symbolic link is in the way, and is not followed", path, "put what it leads to in its place"
            )


@contextmanager
def place(root: str, key: Key, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Yield a handle of the directory that holds a file, and the file's name in it.

    Parameters are those of `directory`.
    """
    inside, _, name = key.rpartition("/")
    with directory(root, inside, make=make) as handle:
        yield handle, name


def open_plain(handle: int, name: str, path: str, *, follow: bool = False) -> int:
    """Open a regular file to be read; anything else is refused and never waited for.

    Parameters
    ----------
    path
        Its whole path, for messages.
    follow
        The file itself may be a link.

    Raises
    ------
    TargetError
        It is a link, a directory, a FIFO, or a device.
    OSError
        It is not there, or cannot be opened.
    """
    if not follow:
        refuse_link(handle, name, path)
    file = os.open(name, _TO_READ if follow else _TO_READ | os.O_NOFOLLOW, dir_fd=handle)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise TargetError("this is no regular file", path, "move it away")
    return file


def write_new(handle: int, name: str, blocks: Iterable[bytes | memoryview], mode: int = 0o666) -> None:
    """Write a file that must not be there yet, and see that it is on disk.

    After a power cut there is no name without its bytes.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(name, flags, mode, dir_fd=handle), "wb") as file:
        for block in blocks:
            data = memoryview(block)
            for start in range(0, len(data), PIECE):
                file.write(data[start : start + PIECE])
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def written_beside(handle: int, blocks: Iterable[bytes | memoryview], mode: int = 0o666) -> Iterator[str]:
    """Yield the name of a new file, to be given the name that it is for once it is whole; an error takes it away.

    What a process leaves that is killed has the name of an unfinished transfer, and the next run clears it away.
    """
    beside = f".{secrets.token_hex(16)}.partial"  # a name as long as may be has no longer one
    try:
        write_new(handle, beside, blocks, mode)
        yield beside
    except BaseException:
        with contextlib.suppress(OSError):
            remove(handle, beside)
        raise


def rename(handle: int, old: str, new: str) -> None:
    """Give a file another name in its directory, in the place of what has it."""
    os.replace(old, new, src_dir_fd=handle, dst_dir_fd=handle)


def remove(handle: int, name: str) -> None:
    """Remove a file, or a link itself."""
    os.unlink(name, dir_fd=handle)


def exists(handle: int, name: str) -> bool:
    """Return whether there is something of this name, be it a link that leads nowhere."""
    try:
        os.lstat(name, dir_fd=handle)
    except FileNotFoundError:
        return False
    return True


def names(handle: int) -> list[str]:
    """Return what is in a directory."""
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
    try:
        return os.listdir(readable)  # noqa: PTH208 - of a handle
    finally:
        os.close(readable)


def is_plain(root: str, key: Key) -> bool:
    """Return whether a file is there and is reached without a link, itself included."""
    try:
        with place(root, key) as (handle, name):
            return stat.S_ISREG(os.lstat(name, dir_fd=handle).st_mode)
    except (OSError, TargetError):
        return False
