"""A publication as a file system for GDAL: rasters, and what lies beside them, read by ranges."""

from __future__ import annotations

import io
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Self

from rasterio.abc import FileContainer

from zsync.errors import GoneError, ZsyncError

if TYPE_CHECKING:
    from zsync.snapshots.reading import Contents

log = logging.getLogger(__name__)

_BLOCK = 2**16  # bytes; GDAL reads headers a few bytes at a time
_AHEAD = 64  # blocks that are asked for at once, at most
_BLOCKS = 3 * _AHEAD  # that are kept, of a file


@FileContainer.register  # of many ranges at once rasterio loses the errors, and hands out pixels that nobody read
class SnapshotFiles:
    """The objects of a publication, as rasterio has them opened: with everything beside a raster that belongs to it.

    Attributes
    ----------
    error
        What went wrong first: GDAL says only that something did.
    """

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self.error: ZsyncError | None = None

    def open(self, path: str, mode: str = "rb", **_: Any) -> SnapshotFile:
        """Open an object."""
        size = self._contents.size(path)
        if size is None or mode.strip("b") != "r":
            raise FileNotFoundError(path)
        return SnapshotFile(self, self._contents, path, size)

    def isfile(self, path: str) -> bool:
        """Return whether the publication names an object."""
        return self._contents.size(path) is not None

    def isdir(self, path: str) -> bool:
        """Return whether objects lie below a prefix."""
        return next(self._contents.keys(f"{path.rstrip('/')}/"), None) is not None

    def ls(self, path: str) -> list[str]:
        """Return the names directly below a prefix."""
        below = path.strip("/.")
        return [*self._contents.level(f"{below}/" if below else "")]

    def mtime(self, path: str) -> int:
        """Return no time: what was published does not change."""
        del path
        return 0

    def size(self, path: str) -> int:
        """Return the size of an object in bytes."""
        size = self._contents.size(path)
        if size is None:
            raise FileNotFoundError(path)
        return size

    def rm(self, path: str) -> None:
        """Refuse."""
        raise PermissionError(path)


class SnapshotFile:
    """An object as an open file.

    To GDAL an error is that nothing comes: an exception in what it calls would end the process. Once that was so,
    nothing comes any more, or parts of two answers could be taken for one.
    """

    def __init__(self, files: SnapshotFiles, contents: Contents, path: str, size: int) -> None:
        self._files, self._contents, self._path, self._size = files, contents, path, size
        self._at = 0
        self._is_broken = False
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._ahead, self._next = 1, -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what was kept."""
        self._blocks.clear()

    def tell(self) -> int:
        """Return where reading goes on."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return bytes; none where they are not to be had."""
        stop = self._size if size < 0 else min(self._at + size, self._size)
        if self._is_broken or stop <= self._at:
            return b""
        try:
            data = self._bytes(self._at, stop)
        except ZsyncError as error:
            self._break(error)
            return b""
        self._at = stop
        return data

    def _break(self, error: ZsyncError) -> None:
        self._is_broken = True
        self._files.error = self._files.error or error
        log.error("%s", error)

    def _bytes(self, start: int, stop: int) -> bytes:
        if stop - start >= _AHEAD * _BLOCK:
            return self._part(start, stop)
        first, last = start // _BLOCK, (stop - 1) // _BLOCK
        data = b"".join(self._block(number, last) for number in range(first, last + 1))
        return data[start - first * _BLOCK : stop - first * _BLOCK]

    def _block(self, number: int, last: int) -> bytes:
        """Return a block; if it has to be asked for, with those that follow, up to the last that is wanted."""
        if number not in self._blocks:
            # Who reads on where the last request ended goes on so: GDAL does, where it reads all of a raster.
            self._ahead = min(2 * self._ahead, _AHEAD) if number == self._next else 1
            self._next = number + max(self._ahead, last + 1 - number)
            data = self._part(number * _BLOCK, min(self._next * _BLOCK, self._size))
            for start in range(0, len(data), _BLOCK):
                self._blocks[number + start // _BLOCK] = data[start : start + _BLOCK]
            while len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _part(self, start: int, stop: int) -> bytes:
        data = self._contents.part(self._path, start, stop - start)
        if data is None or len(data) != stop - start:
            raise GoneError("a raster ends before its tiles do", self._path)
        return data
