"""What the operating system says, and what to do about it: one table."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import stat
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MANY = 50_000  # objects
# How the command has its libraries work: Arrow's own allocators keep what is freed, a third of all memory where objects
# are many; and OpenBLAS, which nothing here asks to compute, starts a thread a processor when NumPy is loaded.
_SETTINGS = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}
_set: set[str] = set()

_ADVICE = {
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions, and whether it is immutable",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`), or use fewer workers",
    errno.ENFILE: "the whole machine has too many files open: end what keeps them, or raise fs.file-max",
    errno.ENOSPC: "make room on that file system, inodes included",
    errno.EDQUOT: "make room: the quota is used up",
    errno.EROFS: "the file system is mounted read-only: choose another place, or mount it for writing",
    errno.ENAMETOOLONG: "use a shorter name or path",
    errno.EFBIG: "the file is larger than the file system, or `ulimit -f`, allows",
    errno.EIO: "the device or the mount fails: see to it (dmesg)",
    errno.ESTALE: "the mount is stale: mount it again",
    errno.ENOTCONN: "the mount is gone: mount it again",
    errno.ELOOP: "its symbolic links lead in a circle",
    errno.ENOTDIR: "a part of its path is a file",
    errno.EISDIR: "it is a directory",
    errno.ENOTEMPTY: "the directory is not empty",
    errno.EEXIST: "it is there already",
    errno.ENOENT: "check its path",
    errno.EBUSY: "another process uses it: try again",
    errno.ETXTBSY: "another process uses it: try again",
    errno.ENOMEM: "the machine is out of memory: use fewer workers",
    errno.EINVAL: "the file system does not take this name or size",
    errno.EXDEV: "it lies on another file system",
    errno.ENOTSUP: "the file system cannot do this: choose another place",
    errno.ETIMEDOUT: "the mount does not answer: see to it",
}


def set_libraries() -> None:
    """Have the libraries of this process work as a command needs them, before they are loaded; what is set stays."""
    for name, value in _SETTINGS.items():
        if name not in os.environ:
            os.environ[name] = value
            _set.add(name)


def inherited() -> dict[str, str]:
    """Return the environment as this process was given it: for a program of somebody else's."""
    return {name: value for name, value in os.environ.items() if name not in _set}


def open_files_most() -> int:
    """Return how many files this process may have open at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**16 if soft == resource.RLIM_INFINITY else soft


def why(error: OSError) -> str:
    """Return what the system says of an error, in a few words."""
    return error.strerror or type(error).__name__


def advice_on(error: OSError) -> str | None:
    """Return what to do about an error of the system; None where there is nothing to say.

    Examples
    --------
    >>> advice_on(OSError(errno.EROFS, "Read-only file system"))
    'the file system is mounted read-only: choose another place, or mount it for writing'
    """
    return None if error.errno is None else _ADVICE.get(error.errno)


class NotRegularError(OSError):
    """What is to be read is no regular file; to open a pipe may wait forever, and a device has no end."""


def read_regular(path: str, most: int) -> bytes:
    """Return what a regular file holds.

    Parameters
    ----------
    most
        Its size in bytes, at most.

    Raises
    ------
    NotRegularError
        It is a pipe, a device or a socket.
    OSError
        It cannot be read, or is larger.
    """
    _check_regular(os.stat(path), most)  # noqa: PTH116 - before it is opened: a tape winds back then
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        _check_regular(os.fstat(handle), most)
        return file.read(most)


def _check_regular(status: os.stat_result, most: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularError(errno.EINVAL, "not a regular file")
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes")


def keep_text(path: Path, text: str) -> None:
    """Write a file that may be lost, as a cache is: whole, or, where it cannot be written, not at all."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of its own: another process may be writing the same file.
        beside = path.with_name(f"{path.name}.{os.getpid()}-{time.time_ns()}.partial")
        beside.write_text(text)
        beside.replace(path)


def let_go_of_memory(objects: int) -> None:
    """Give back to the system what was freed, after a step in which it was much.

    The C library keeps what it can no longer use at the end of its heap, and Arrow keeps more: without this a run of a
    million objects would be half as large again as what it holds.

    Parameters
    ----------
    objects
        What the step was about; of few it is not worth while.
    """
    if objects < _MANY:
        return
    import ctypes

    if (arrow := sys.modules.get("pyarrow")) is not None:
        arrow.default_memory_pool().release_unused()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
