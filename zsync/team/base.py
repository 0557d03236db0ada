"""The base: what a folder and its target last agreed on, kept in one file beside the folder.

It is replaced in one step, and never tells of anything that the folder did not hold: a base that is older than the
truth costs a question too many, one that is newer would cost somebody's edit.
"""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from blake3 import blake3

from zsync.errors import ConflictError, TargetError
from zsync.planning.merge import Content, Pending, Side, Yielding
from zsync.storage.handles import directory as handle_of
from zsync.storage.handles import open_plain, refuse_link, rename, written_beside
from zsync.system import advice_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

log = logging.getLogger(__name__)

_T = TypeVar("_T")

FORMAT = 1
FILE = "base.parquet"
_LOCK = "sync.lock"
_locks: set[io.FileIO] = set()  # those that this process holds
_META = b"zsync"
_COLUMNS = ("state", "key", "size", "digest", "etag")
_BASE, _COMING, _GOING = "base", "coming", "going"
_YIELDING_HERE, _YIELDING_THERE = "yielding here", "yielding there"


def _state(directory: Path, *, make: bool = False) -> AbstractContextManager[int]:
    """Open a folder's state: below the directory that holds the folder no link is followed."""
    return handle_of(str(directory.parent.parent), f"{directory.parent.name}/{directory.name}", make=make)


@dataclass(frozen=True, slots=True)
class Base:
    """What a folder and its target last agreed on.

    Attributes
    ----------
    url
        The target.
    publication
        The publication of it that was seen last; None if none was.
    member
        Who synchronized last.
    contents
        What both sides held, by key.
    coming, going
        What was on its way here, and there, when a synchronization was cut off.
    yielding_here, yielding_there
        The stores that it was to replace, as they were.
    exists
        The folder was synchronized before.
    """

    url: str
    publication: str | None = None
    member: str = ""
    contents: Side = field(default_factory=dict)
    coming: Pending = field(default_factory=dict)
    going: Pending = field(default_factory=dict)
    yielding_here: Yielding = field(default_factory=dict)
    yielding_there: Yielding = field(default_factory=dict)
    exists: bool = False

    def agreed(self, keys: Iterable[str], contents: Mapping[str, Content]) -> Base:
        """Return the base once both sides agree on some keys: on their contents, or that there is none."""
        keys = set(keys)
        kept = {key: content for key, content in self.contents.items() if key not in keys}
        kept |= {key: contents[key] for key in keys if key in contents}
        return replace(
            self,
            contents=kept,
            coming=_without(self.coming, keys),
            going=_without(self.going, keys),
            yielding_here=_without(self.yielding_here, keys),
            yielding_there=_without(self.yielding_there, keys),
        )

    def expecting(self, contents: Mapping[str, Content | None]) -> Base:
        """Return the base once contents are on their way here; None stands for a deletion."""
        return replace(self, coming=_with(self.coming, contents))

    def sending(self, contents: Mapping[str, Content | None]) -> Base:
        """Return the base once contents are on their way to the target."""
        return replace(self, going=_with(self.going, contents))

    def replacing(self, here: Yielding, there: Yielding) -> Base:
        """Return the base once stores are about to be replaced, on either side, that have changes of their own."""
        return replace(
            self,
            yielding_here={**self.yielding_here, **here},
            yielding_there={**self.yielding_there, **there},
        )

    def settled(self) -> Base:
        """Return the base once nothing is on its way any more, nor about to be replaced."""
        return replace(self, coming={}, going={}, yielding_here={}, yielding_there={})


def _without(known: dict[str, _T], keys: set[str]) -> dict[str, _T]:
    return {key: value for key, value in known.items() if key not in keys}


def _with(pending: Pending, contents: Mapping[str, Content | None]) -> Pending:
    more = {key: pending.get(key, frozenset()) | {content} for key, content in contents.items()}
    return {**pending, **more}


def read_base(directory: Path, url: str) -> Base:
    """Return the base of a folder, or an empty one if it was never synchronized with this target.

    Parameters
    ----------
    directory
        The folder's state.
    url
        The target.
    """
    import pyarrow as pa

    try:
        about, rows = _read(directory)
    except FileNotFoundError:
        return Base(url)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, RecursionError) as error:
        log.warning("the base cannot be read, so all is compared anew: %s (%s)", directory / FILE, error)
        return Base(url, exists=True)
    if about["url"] != url:
        log.info("this folder was synchronized with %s before; with %s for the first time", about["url"], url)
        return Base(url)
    contents = {row["key"]: _content(row) for row in rows if row["state"] == _BASE}
    known = {key: content for key, content in contents.items() if content is not None}
    return Base(
        url,
        about["publication"],
        about["member"],
        known,
        coming=_pending_of(rows, _COMING),
        going=_pending_of(rows, _GOING),
        yielding_here=_yielding_of(rows, _YIELDING_HERE),
        yielding_there=_yielding_of(rows, _YIELDING_THERE),
        exists=True,
    )


def _read(directory: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    import pyarrow.parquet as pq

    path = directory / FILE
    with _state(directory) as handle, open(open_plain(handle, FILE, str(path)), "rb") as file:
        table = pq.ParquetFile(file).read()
    about = json.loads(table.schema.metadata[_META])
    if about["format"] > FORMAT:
        raise TargetError("the folder was synchronized by a newer zsync", str(path), "upgrade zsync")
    rows = table.to_pylist()
    checksum = about.pop("checksum", None)  # earlier versions wrote none
    if checksum is not None and checksum != _checksum(about, rows):
        raise ValueError("it is damaged")
    return about, rows


def _checksum(about: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> str:
    total = blake3(json.dumps(about, sort_keys=True).encode())
    for row in rows:
        total.update(json.dumps([row[name] for name in _COLUMNS]).encode())
    return total.hexdigest()


def _content(row: Mapping[str, Any]) -> Content | None:
    return None if row["size"] is None else Content(row["size"], row["digest"], row["etag"])


def _pending_of(rows: Iterable[Mapping[str, Any]], state: str) -> Pending:
    found: Pending = {}
    for row in rows:
        if row["state"] == state:
            found[row["key"]] = found.get(row["key"], frozenset()) | {_content(row)}
    return found


def _yielding_of(rows: Iterable[Mapping[str, Any]], state: str) -> Yielding:
    return {row["key"]: _content(row) for row in rows if row["state"] == state}


def write_base(directory: Path, base: Base) -> None:
    """Put a base in the place of the one before, in one step and on disk.

    Raises
    ------
    TargetError
        It cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from zsync.tables import table_of

    schema = pa.schema([(name, pa.int64() if name == "size" else pa.string()) for name in _COLUMNS])
    about = {
        "format": FORMAT,
        "url": base.url,
        "publication": base.publication,
        "member": base.member,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    rows = [_row(_BASE, key, content) for key, content in sorted(base.contents.items())]
    for state, pending in ((_COMING, base.coming), (_GOING, base.going)):
        rows += [_row(state, key, content) for key, known in sorted(pending.items()) for content in known]
    for state, yielding in ((_YIELDING_HERE, base.yielding_here), (_YIELDING_THERE, base.yielding_there)):
        rows += [_row(state, key, content) for key, content in sorted(yielding.items())]
    whole = [{name: row.get(name) for name in _COLUMNS} for row in rows]
    about["checksum"] = _checksum(about, whole)
    table = table_of(whole, schema).replace_schema_metadata({_META: json.dumps(about).encode()})
    try:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        with (
            _state(directory, make=True) as handle,
            written_beside(handle, [buffer.getbuffer()], 0o600) as beside,
        ):
            rename(handle, beside, FILE)
    except OSError as error:
        raise TargetError(
            f"the folder's state cannot be written ({error.strerror})", str(directory), advice_on(error)
        ) from error


def _row(state: str, key: str, content: Content | None) -> dict[str, Any]:
    if content is None:
        return {"state": state, "key": key}
    return {"state": state, "key": key, "size": content.size, "digest": content.digest, "etag": content.etag}


def _let_go() -> None:
    """Close the parent's locks in a forked child, which would keep them from others for as long as it lives."""
    while _locks:
        _locks.pop().close()


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def locked(directory: Path, folder: str) -> Iterator[None]:
    """Keep other synchronizations of the same folder on this machine out; the lock ends with the process.

    Raises
    ------
    ConflictError
        There is one.
    TargetError
        The folder's state cannot be written.
    """
    try:
        with _state(directory, make=True) as handle:
            refuse_link(handle, _LOCK, str(directory / _LOCK))
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            file = open(os.open(_LOCK, flags, 0o666, dir_fd=handle), "r+b", buffering=0)  # noqa: SIM115 - closed below
    except OSError as error:
        raise TargetError(
            f"the folder's state cannot be written ({error.strerror})", str(directory), advice_on(error)
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConflictError(
                "this folder is being synchronized already", folder, "wait until that is done"
            ) from error
        _locks.add(file)
        try:
            yield
        finally:
            _locks.discard(file)
