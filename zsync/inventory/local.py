"""The source: a fast recursive scan."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import stat
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zsync.errors import SourceError
from zsync.inventory.digest import stats_of
from zsync.system import advice_on
from zsync.words import Finding

if TYPE_CHECKING:
    import pyarrow as pa

# What writers, editors and file systems leave behind; never data.
LEFTOVERS = (
    "*.partial", ".nfs*", ".DS_Store", "._*", "Thumbs.db", ".zsync*", ".ipynb_checkpoints", ".fuse_hidden*", "*.swp",
    ".*.un~",
)  # fmt: skip
_LEFTOVER = re.compile("|".join(fnmatch.translate(name) for name in LEFTOVERS))
_UNFINISHED = ".partial"
VANISHED = "vanished"  # code of the finding
_SKEW_NS = 10 * 10**9  # nanoseconds that clocks may differ before it is worth a word
_OUR_UNFINISHED = re.compile(r"(?:^|/)\.[0-9a-f]{32}\.partial$")  # as `zsync.storage` names what it has not renamed yet
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\]")  # control characters and backslash: services disagree about them


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan found, column by column, sorted by key.

    Attributes
    ----------
    keys
        Keys relative to the product's root.
    signatures
        Size in bytes, mtime and ctime in nanoseconds, and inode of each file.
    findings
        What was left out, and what makes the source unfit.
    unfinished
        Keys and signatures of files that a writer has not finished, or never will (``*.partial``).
    """

    keys: list[str]
    signatures: list[tuple[int, int, int, int]]
    findings: tuple[Finding, ...]
    unfinished: tuple[tuple[str, tuple[int, int, int, int]], ...] = ()

    @property
    def newest_ns(self) -> int:
        """When anything changed last, in nanoseconds since the epoch; 0 if there is nothing."""
        signatures = [*self.signatures, *(signature for _, signature in self.unfinished)]
        return max((max(mtime, ctime) for _, mtime, ctime, _ in signatures), default=0)

    def table(self) -> pa.Table:
        """Return the scan as `zsync.tables.SOURCE`, without digests."""
        import pyarrow as pa

        from zsync.tables import SOURCE, column

        stats = zip(*self.signatures, strict=True) if self.keys else ((), (), (), ())
        columns = [self.keys, *(list(values) for values in stats)]
        arrays = [column(values, field.type) for values, field in zip(columns, SOURCE, strict=False)]
        unknown = [pa.nulls(len(self.keys), field.type) for field in list(SOURCE)[len(arrays) :]]
        return pa.table([*arrays, *unknown], schema=SOURCE)


@dataclass(slots=True)
class _Rows:
    keys: list[str] = field(default_factory=list)
    signatures: list[tuple[int, int, int, int]] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    unfinished: list[tuple[str, tuple[int, int, int, int]]] = field(default_factory=list)
    errors: list[tuple[str, str, str]] = field(default_factory=list)  # code, key, message
    specials: list[str] = field(default_factory=list)


def is_leftover(key: str) -> bool:
    """Return whether a key is what writers, editors and file systems leave behind, or lies in it."""
    return any(_LEFTOVER.match(part) for part in key.split("/"))


def is_unfinished_transfer(key: str) -> bool:
    """Return whether a file is one that zsync began to write, and has not given its name yet."""
    return _OUR_UNFINISHED.search(key) is not None


def scan(root: str, product: str, *, follow_symlinks: bool = False) -> Scan:
    """Return every file below a directory.

    Parameters
    ----------
    root
        Absolute path of the product's root.
    product
        Its name, for findings.
    follow_symlinks
        Follow links that lead out of the root. Links that stay inside are always followed.

    Raises
    ------
    SourceError
        The root is missing, is no directory, or a directory below it cannot be read.
    """
    if not os.path.lexists(root):
        raise SourceError("the source is not there", root, f"check `source` and the path of product {product}")
    if not os.path.isdir(root):
        raise SourceError("the source is not a directory", root, f"check the path of product {product}")
    rows = _Rows()
    _walk(root, rows, follow_symlinks=follow_symlinks)
    order = sorted(range(len(rows.keys)), key=rows.keys.__getitem__)
    return Scan(
        [rows.keys[i] for i in order],
        [rows.signatures[i] for i in order],
        (*_findings(rows, product), *_clock_findings(rows, product)),
        tuple(sorted(rows.unfinished)),
    )


def _walk(root: str, rows: _Rows, *, follow_symlinks: bool) -> None:
    """Visit every directory once; `pending` holds path, key prefix, and the real paths of the links above it."""
    real_root = os.path.realpath(root)
    pending: list[tuple[str, str, tuple[str, ...]]] = [(root, "", ())]
    while pending:
        directory, prefix, above = pending.pop()
        try:
            entries = list(os.scandir(directory))
        except FileNotFoundError:
            if not prefix:
                raise SourceError("the source is not there any more", root, "is it mounted?") from None
            rows.errors.append((VANISHED, prefix.rstrip("/"), "a directory went away while it was looked at"))
            continue
        except OSError as error:
            raise SourceError(f"a directory cannot be read ({error.strerror})", directory, advice_on(error)) from error
        for entry in entries:
            name = entry.name
            if _LEFTOVER.match(name) is not None:
                rows.leftovers.append(prefix + name)
                if name.endswith(_UNFINISHED):
                    _add_unfinished(entry, prefix + name, rows)
                continue
            if entry.is_symlink() and not _link_is_fine(entry, prefix, rows, real_root, above, follow=follow_symlinks):
                continue
            if entry.is_dir():
                links = (*above, os.path.realpath(entry.path)) if entry.is_symlink() else above
                pending.append((entry.path, f"{prefix}{name}/", links))
            else:
                _add_file(entry, prefix + name, rows)


def _add_unfinished(entry: os.DirEntry[str], key: str, rows: _Rows) -> None:
    with contextlib.suppress(OSError):  # its writer is done with it already
        rows.unfinished.append((key, stats_of(entry.stat(follow_symlinks=False))))


def _add_file(entry: os.DirEntry[str], key: str, rows: _Rows) -> None:
    if not key.isascii() and not _is_utf8(key):
        rows.errors.append(
            ("not-utf8", key.encode(errors="backslashreplace").decode(), "a name is not UTF-8; rename the file")
        )
        return
    if _UNFIT.search(key):
        rows.errors.append(
            ("unfit-name", repr(key)[1:-1], "a name holds a control character or a backslash; rename the file")
        )
        return
    try:
        status = entry.stat()
    except FileNotFoundError:
        rows.errors.append((VANISHED, key, "a file went away while it was looked at; is a writer still at work?"))
        return
    except OSError as error:
        rows.errors.append(
            (
                "unreadable",
                key,
                f"a file cannot be read ({error.strerror}); {advice_on(error) or 'is a writer at work?'}",
            )
        )
        return
    if not stat.S_ISREG(status.st_mode):
        rows.specials.append(key)
        return
    rows.keys.append(key)
    rows.signatures.append(stats_of(status))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _link_is_fine(
    entry: os.DirEntry[str], prefix: str, rows: _Rows, real_root: str, above: tuple[str, ...], *, follow: bool
) -> bool:
    key = prefix + entry.name
    real = os.path.realpath(entry.path)
    if not os.path.lexists(real):
        rows.errors.append(
            ("broken-link", key, f"a symbolic link leads nowhere ({real}); remove it or restore its target")
        )
        return False
    inside = real == real_root or real.startswith(real_root + os.sep)
    if not inside and not follow:
        rows.errors.append(
            (
                "outside-link",
                key,
                f"a symbolic link leads out of the source ({real}); set follow_symlinks: true to publish it",
            )
        )
        return False
    # A directory is not entered through itself, be it by way of its own parents or of links.
    parent = os.path.realpath(os.path.dirname(entry.path))
    if real in above or parent == real or parent.startswith(real + os.sep):
        rows.errors.append(
            ("link-loop", key, f"a symbolic link leads back to a directory above it ({real}); remove it")
        )
        return False
    return True


def _findings(rows: _Rows, product: str) -> tuple[Finding, ...]:
    found = [Finding("error", code, product, key, message) for code, key, message in sorted(rows.errors)]
    if rows.leftovers:
        kinds = Counter(_kind_of_leftover(key) for key in rows.leftovers)
        named = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        found.append(Finding("warning", "leftover", product, min(rows.leftovers), f"left out: {named}"))
    if rows.specials:
        found.append(
            Finding(
                "warning", "special-file", product, min(rows.specials), f"left out: {len(rows.specials)} special files"
            )
        )
    return tuple(found)


def _clock_findings(rows: _Rows, product: str) -> list[Finding]:
    limit = time.time_ns() + _SKEW_NS
    future = [key for key, (_, mtime, _, _) in zip(rows.keys, rows.signatures, strict=True) if mtime > limit]
    if not future:
        return []
    message = f"{len(future)} files were written in the future, by this machine's clock; do the clocks agree?"
    return [Finding("warning", "future-mtime", product, min(future), message)]


def _kind_of_leftover(key: str) -> str:
    name = key.rpartition("/")[2]
    return next(pattern for pattern in LEFTOVERS if fnmatch.fnmatchcase(name, pattern))
