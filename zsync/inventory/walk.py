"""The walk over a source: every directory once, links with care, and nothing that is left out."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zsync.errors import SourceError
from zsync.inventory.digest import stats_of
from zsync.inventory.selection import Selection, directories_above
from zsync.inventory.spare import NODE_NAMES, Spare, is_spare_name, judged
from zsync.packed import Signature, Signatures
from zsync.system import advice_on
from zsync.words import UNREADABLE, VANISHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UNFINISHED = ".partial"
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\]")  # control characters and backslash: services disagree about them
_NOWHERE = (errno.ENOENT, errno.ENOTDIR)
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # the process's trouble, not that of a directory


@dataclass(slots=True)
class Rows:
    """What a walk comes across.

    Attributes
    ----------
    errors
        Code, key and message of what makes the source unfit.
    unseen
        Directories, and links, that were not entered.
    links
        All symbolic links, whether they were followed or not.
    """

    keys: list[str] = field(default_factory=list)
    signatures: Signatures = field(default_factory=Signatures)
    leftovers: list[str] = field(default_factory=list)
    private: list[str] = field(default_factory=list)
    unfinished: list[tuple[str, Signature]] = field(default_factory=list)
    errors: list[tuple[str, str, str]] = field(default_factory=list)
    specials: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def add(self, key: str, signature: Signature) -> None:
        """Take in a file."""
        self.keys.append(key)
        self.signatures.append(signature)


@dataclass(slots=True)
class Sum(Rows):
    """What a walk comes across, of which files are only added up: that tells whether they are what they were.

    Attributes
    ----------
    count, total
        How many files there are, and what they come to, in whatever order they come.
    """

    count: int = 0
    total: int = 0

    def add(self, key: str, signature: Signature) -> None:
        """Add up a file."""
        self.count += 1
        self.total += hash((key, signature))

    @classmethod
    def of(cls, keys: Iterable[str], signatures: Iterable[Signature]) -> tuple[int, int]:
        """Return what some files come to: count and total."""
        made = cls()
        for key, signature in zip(keys, signatures, strict=True):
            made.add(key, signature)
        return made.count, made.total


@dataclass(slots=True)
class Walk:
    """A walk over one source.

    Attributes
    ----------
    selection
        What takes part. Nothing is said of what does not, and what is below a directory that is left out is not even
        looked at.
    """

    root: str
    selection: Selection
    follow_symlinks: bool
    rows: Rows = field(default_factory=Rows)
    _real_root: str = ""
    _selects: bool = False

    def run(self) -> Rows:
        """Walk, and return what was found.

        Raises
        ------
        SourceError
            The root itself cannot be read.
        """
        self._real_root = os.path.realpath(self.root)
        self._selects = not self.selection.is_everything
        pending = [(self.root, "", False)]
        while pending:
            pending += self._below(*pending.pop())
        return self.rows

    def _below(self, directory: str, prefix: str, in_store: bool) -> list[tuple[str, str, bool]]:  # noqa: FBT001 - a fact
        """Take in what is in a directory, and return the directories there that are to be walked over as well."""
        deeper: list[os.DirEntry[str]] = []
        spare: list[os.DirEntry[str]] = []  # whether it is depends on what else is there
        # Entries are let go of one by one: with its answer from `stat` each takes close to a kilobyte.
        for entry in self._entries(directory, prefix):
            in_store = in_store or entry.name in NODE_NAMES
            if is_spare_name(entry.name):
                spare.append(entry)
            elif self._is_to_enter(entry, prefix):
                deeper.append(entry)
        data = [entry for entry in spare if not self._is_left(entry, prefix, in_store=in_store)]
        deeper += [entry for entry in data if self._is_to_enter(entry, prefix)]
        return [(entry.path, f"{prefix}{entry.name}/", in_store) for entry in deeper]

    def _entries(self, directory: str, prefix: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(directory) as entries:
                yield from entries
        except OSError as error:
            if not prefix and error.errno == errno.ENOENT:
                raise SourceError("the source is not there any more", self.root, "is it mounted?") from None
            if error.errno in _OURS or not prefix:
                raise SourceError(
                    f"a directory cannot be read ({error.strerror})", directory, advice_on(error)
                ) from error
            key = prefix[:-1]
            if error.errno in _NOWHERE:
                self._tell(VANISHED, key, "a directory went away while it was looked at")
                return
            self.rows.unseen.append(key)
            if self.selection.may_take_below(key):
                message = (
                    f"a directory cannot be read ({error.strerror}), so nothing below it is known; {_advice(error)}"
                )
                self.rows.errors.append((UNREADABLE, _shown(key), message))

    def _is_left(self, entry: os.DirEntry[str], prefix: str, *, in_store: bool) -> bool:
        """Whether an entry is left out for what it is; then it is taken in as that."""
        key = prefix + entry.name
        try:
            spare = judged(entry, in_store=in_store)
        except OSError as error:
            self._cannot_read(key, "a file", error)
            return True
        if spare is None or self.selection.names(key):
            return False
        self._add_spare(spare, entry, key)
        return True

    def _is_to_enter(self, entry: os.DirEntry[str], prefix: str) -> bool:
        """Take in one entry, and return whether it is a directory to walk over as well."""
        key = prefix + entry.name
        try:
            if not self._is_name(entry.name, key):
                return False
            if entry.is_symlink():
                return self._is_link_to_enter(entry, key)
            if not entry.is_dir(follow_symlinks=False):
                self._add_file(key, entry.stat(follow_symlinks=False))
                return False
            return not self._is_left_out(key)
        except OSError as error:
            self._cannot_read(key, "a file", error)
            return False

    def _is_left_out(self, directory: str) -> bool:
        """Whether a directory is not to be entered."""
        if not self._selects:
            return False
        if self.selection.leaves_out_below(directory):
            self.rows.unseen.append(directory)
            return True
        return self.selection.is_outside(directory)

    def _is_name(self, name: str, key: str) -> bool:
        if not name.isascii() and not _is_utf8(name):
            self._tell("not-utf8", key, "a name is not UTF-8; rename it, or exclude it")
            return False
        if _UNFIT.search(name):
            message = "a name holds a control character or a backslash; rename it, or exclude it"
            self._tell("unfit-name", key, message)
            return False
        return True

    def _add_spare(self, spare: Spare, entry: os.DirEntry[str], key: str) -> None:
        if self._selects and self.selection.leaves_out(key):
            return
        if self._is_of_interest(key):
            (self.rows.leftovers if spare is Spare.LEFTOVER else self.rows.private).append(key)
        if entry.name.endswith(UNFINISHED):
            with contextlib.suppress(OSError):  # its writer is done with it already
                self.rows.unfinished.append((key, stats_of(entry.stat(follow_symlinks=False))))

    def _add_file(self, key: str, status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode):
            self.rows.add(key, stats_of(status))
        elif self._is_of_interest(key):
            self.rows.specials.append(key)

    def _is_link_to_enter(self, entry: os.DirEntry[str], key: str) -> bool:
        self.rows.links.append(key)
        if self._is_left_out(key):
            return False
        if self._selects and self.selection.leaves_out(key):
            self._add_left_out(entry, key)
            return False
        status, wrong = self._followed(entry, key)
        if status is None:
            self.rows.unseen.append(key)
            self._tell(wrong[0], key, wrong[1])
            return False
        if stat.S_ISDIR(status.st_mode):
            return True
        self._add_file(key, status)
        return False

    def _add_left_out(self, entry: os.DirEntry[str], key: str) -> None:
        """Take in a link to a file, as files that are left out are: it may be what says that a writer is done."""
        with contextlib.suppress(OSError):
            status = os.stat(entry.path)  # noqa: PTH116 - links are to be followed
            if stat.S_ISREG(status.st_mode):
                self._add_file(key, status)
                return
        self.rows.unseen.append(key)

    def _followed(self, entry: os.DirEntry[str], key: str) -> tuple[os.stat_result | None, tuple[str, str]]:
        """Return what a link leads to; or nothing, and what is wrong with it: a code and a message."""
        real = os.path.realpath(entry.path)
        is_allowed = self.follow_symlinks or real == self._real_root or real.startswith(self._real_root + os.sep)
        try:
            status = os.stat(entry.path)  # noqa: PTH116 - links are to be followed
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None, ("link-loop", "a symbolic link leads to itself; remove it, or exclude it")
            if error.errno in _NOWHERE:
                return None, (
                    "broken-link",
                    f"a symbolic link leads nowhere ({real}); remove it or restore its target",
                )
            if is_allowed:
                raise
        if not is_allowed:
            return None, (
                "outside-link",
                f"a symbolic link leads out of the source ({real}); set follow_symlinks: true to publish it",
            )
        if stat.S_ISDIR(status.st_mode) and self._leads_back(key, real):
            message = f"a symbolic link leads back to a directory above it ({real}); remove it, or exclude it"
            return None, ("link-loop", message)
        return status, ("", "")

    def _leads_back(self, key: str, real: str) -> bool:
        """Whether a link leads to a directory that it lies in, be it by way of other links."""
        above = [self.root, *(f"{self.root}/{directory}" for directory in directories_above(key))]
        parent = os.path.realpath(above[-1])
        if parent == real or parent.startswith(real + os.sep):
            return True
        return any(os.path.realpath(directory) == real for directory in above)

    def _cannot_read(self, key: str, what: str, error: OSError) -> None:
        if error.errno in _OURS:
            raise SourceError(
                f"{what} cannot be read ({error.strerror})", f"{self.root}/{key}", advice_on(error)
            ) from error
        if error.errno in _NOWHERE:
            self._tell(VANISHED, key, "a file went away while it was looked at; is a writer still at work?")
            return
        self._tell(UNREADABLE, key, f"{what} cannot be read ({error.strerror}); {_advice(error)}")

    def _is_of_interest(self, key: str) -> bool:
        return not self._selects or self.selection.mask([key])[0]

    def _tell(self, code: str, key: str, message: str) -> None:
        if self._is_of_interest(key):
            self.rows.errors.append((code, _shown(key), message))


def _advice(error: OSError) -> str:
    said = advice_on(error)
    return f"{said}, or exclude it" if said else "exclude it"


def _shown(key: str) -> str:
    """Return a key as text that can be written anywhere."""
    if key.isascii() or _is_utf8(key):
        return repr(key)[1:-1] if _UNFIT.search(key) else key
    return key.encode(errors="backslashreplace").decode()


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
