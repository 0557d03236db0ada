"""Names in two trees: where one has a file and the other a directory, and what a copy beside a file is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.layout import lineage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_LONGEST = 255  # bytes of a name on the usual file systems


def clashes(kept: Iterable[str], coming: Iterable[str]) -> list[str]:
    """Return which coming keys cannot be files beside those that stay: one of two would be a directory to the other.

    Examples
    --------
    >>> clashes(["a", "b/c"], ["a/x", "b", "d"])
    ['a/x', 'b']
    """
    kept = set(kept)
    above = {directory for key in kept for directory in lineage(key.rpartition("/")[0])}
    return sorted(
        key for key in set(coming) - kept if key in above or not kept.isdisjoint(lineage(key.rpartition("/")[0]))
    )


def contested(here: Collection[str], there: Collection[str]) -> list[str]:
    """Return the names that are a file on one side and a directory on the other.

    Examples
    --------
    >>> contested(["a", "b/c", "d"], ["a/x/y", "b", "d"])
    ['a', 'b']
    """
    here, there = set(here), set(there)
    return sorted(here & _directories(there) | there & _directories(here))


def names_of(keys: Collection[str]) -> set[str]:
    """Return the names of files, and of the directories that they are in.

    Examples
    --------
    >>> sorted(names_of(["a/b/c", "d"]))
    ['', 'a', 'a/b', 'a/b/c', 'd']
    """
    return {*keys, *_directories(keys)}


def _directories(keys: Iterable[str]) -> set[str]:
    return {directory for key in keys for directory in lineage(key.rpartition("/")[0])}


def copy_name(unit: str, member: str, stamp: str, taken: Iterable[str] = ()) -> str:
    """Return the name of a conflict copy: of a file or of a store's directory, beside it and with its ending.

    Parameters
    ----------
    unit
        Place of what is copied.
    member
        Whose version it is.
    stamp
        When, as it is to be written in the name.
    taken
        Names that are not free.

    Examples
    --------
    >>> copy_name("a/table.csv", "mary@x", "20261121T1000Z")
    'a/table.conflict-mary-x-20261121T1000Z.csv'
    >>> copy_name(".env", "m", "t", taken=[".env.conflict-m-t"])
    '.env.conflict-m-t-2'
    """
    directory, slash, name = unit.rpartition("/")
    stem, dot, ending = name.rpartition(".")
    if not stem:
        stem, dot, ending = name, "", ""
    who = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in member)
    taken = set(taken)
    number = 1
    while True:
        more = f".conflict-{who}-{stamp}" + (f"-{number}" if number > 1 else "")
        short = stem.encode()[: _LONGEST - len(f"{more}{dot}{ending}".encode())].decode(errors="ignore")
        found = f"{directory}{slash}{short}{more}{dot}{ending}"
        if found not in taken:
            return found
        number += 1
