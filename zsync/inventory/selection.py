"""Which keys of a product take part: include and exclude globs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from zsync.config.values import REGEX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What a regular expression must not have in it for this to hold: if it is found in a text, it is found in a longer one.
_LOOKS_AHEAD = re.compile(r"\$|\\[ZzbB]|\(\?[=!>]|[+*?}]\+")
_LITERAL = re.compile(r"(?:[\w/ -]|\\[^\w\s])*")  # what a regular expression begins with that stands for itself


@dataclass(frozen=True, slots=True)
class Selection:
    """Include and exclude patterns; exclude wins. And, apart from patterns, what a run is about.

    A pattern is a glob, or after ``re:`` a regular expression that is searched for in the key. A glob without ``/``
    names a file or a directory at any depth; one with ``/`` starts at the product's root. A directory stands for all
    that is below it. ``*`` does not cross ``/``, ``**`` does.

    Attributes
    ----------
    include, exclude
        Patterns; without any `include` everything is.
    within
        Only these keys and what is below them; None for all.
    without
        Not these keys, nor what is below them.

    Examples
    --------
    >>> Selection(exclude=("Auxiliary", "a/**/x*")).mask(["t/0", "b/Auxiliary/t/0", "a/b/c/x1"])
    [True, False, False]
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    within: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.include and not self.exclude and self.within is None and not self.without

    def mask(self, keys: Sequence[str]) -> list[bool]:
        """Return for every key whether it takes part."""
        if self.is_everything:
            return [True] * len(keys)
        included, excluded = self._patterns
        return [
            (included is None or included.match(key) is not None)
            and (excluded is None or excluded.match(key) is None)
            and (self.within is None or is_in(key, self.within))
            and not (self.without and is_in(key, self.without))
            for key in keys
        ]

    def leaves_out(self, key: str) -> bool:
        """Return whether something takes no part because of what it is: excluded, not because it was not included."""
        _, excluded = self._patterns
        return (excluded is not None and excluded.match(key) is not None) or (
            bool(self.without) and is_in(key, self.without)
        )

    def names(self, key: str) -> bool:
        """Return whether an include pattern calls something by its very name: then it is meant, whatever it is."""
        name = key.rpartition("/")[2]
        return any(pattern.strip("/").rpartition("/")[2] == name for pattern in self.include)

    def is_outside(self, directory: str) -> bool:
        """Return whether a directory is neither in a place that this is about, nor above one."""
        return self.within is not None and not is_in(directory, self.within) and directory not in _above(self.within)

    def leaves_out_below(self, directory: str) -> bool:
        """Return whether a directory need not be entered: all below it is excluded, whatever it is called."""
        if self.without and is_in(directory, self.without):
            return True
        excluded = _compiled(tuple(filter(_covers_what_is_below, self.exclude)))
        return excluded is not None and excluded.match(f"{directory}/") is not None

    def may_take_below(self, directory: str) -> bool:
        """Return whether the patterns speak of a directory of which it is not known what it holds."""
        if self.leaves_out(directory) or self.leaves_out_below(directory) or self.leaves_out(f"{directory}/"):
            return False
        if self.is_outside(directory):
            return False
        return not self.include or self.mask([directory])[0] or any(_may_match(g, directory) for g in self.include)

    @property
    def _patterns(self) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
        return _compiled(self.include), _compiled(self.exclude)


EVERYTHING = Selection()


def idle_patterns(patterns: Iterable[str], keys: Sequence[str]) -> list[str]:
    """Return the patterns that no key matches.

    Examples
    --------
    >>> idle_patterns(["*.tif", "*.tiff"], ["a/b.tif"])
    ['*.tiff']
    """
    found = []
    for pattern in patterns:
        compiled = re.compile(_regex(pattern))
        if not any(compiled.match(key) for key in keys):
            found.append(pattern)
    return found


def is_below(key: str, places: frozenset[str]) -> bool:
    """Return whether a key lies below one of some places, and is none of them."""
    end = key.find("/")
    while end >= 0:
        if key[:end] in places:
            return True
        end = key.find("/", end + 1)
    return False


def is_in(key: str, places: frozenset[str]) -> bool:
    """Return whether a key is one of some places, or below one; the place ``""`` holds everything."""
    return key in places or "" in places or is_below(key, places)


@lru_cache(maxsize=8)
def _above(places: frozenset[str]) -> frozenset[str]:
    return frozenset(above for place in places for above in directories_above(place))


def directories_above(key: str) -> list[str]:
    """Return the directories that a key lies in, the outermost first, without the product's root.

    Examples
    --------
    >>> directories_above("a/b/c")
    ['a', 'a/b']
    """
    parts = key.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def directories_of(keys: Iterable[str]) -> set[str]:
    """Return the names of all directories that keys need."""
    found: set[str] = set()
    for key in keys:
        above = key.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return found


@lru_cache(maxsize=64)
def _compiled(globs: tuple[str, ...]) -> re.Pattern[str] | None:
    patterns = [_regex(glob) for glob in globs]
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else None


def _regex(glob: str) -> str:
    if glob.startswith(REGEX):
        return rf"(?s:.*?)(?:{glob.removeprefix(REGEX)})"
    from fsspec.utils import glob_translate

    anchored = glob.strip("/")
    anywhere = "(?s:.*/)?" if _is_anywhere(glob) else ""
    # fsspec's translation is of a whole path; it ends in \Z, and ours may go on below a directory.
    body = re.sub(r"\\[Zz]$", "", glob_translate(anchored))
    return rf"{anywhere}{body}(?:/(?s:.*))?\Z"


def _is_anywhere(glob: str) -> bool:
    return "/" not in glob.rstrip("/")


def _covers_what_is_below(pattern: str) -> bool:
    """Return whether a pattern that matches a directory, with a slash after it, matches all that is below."""
    return not pattern.startswith(REGEX) or _LOOKS_AHEAD.search(pattern) is None


def _may_match(pattern: str, directory: str) -> bool:
    """Return whether a pattern is about what may lie below a directory.

    A name by itself, which stands for any depth, is not: it would be about every directory that there is.
    """
    if pattern.startswith(REGEX):
        expression = pattern.removeprefix(REGEX)
        if not expression.startswith("^") or "|" in expression:
            return True
        found = _LITERAL.match(expression, 1)
        # The last character may be followed by a quantifier that takes it away again.
        literal = re.sub(r"\\(.)", r"\1", found[0] if found else "")[:-1]
        return literal.startswith(f"{directory}/"[: len(literal)])
    if _is_anywhere(pattern):
        return any(character in pattern for character in "*?[")
    for part, name in zip(pattern.strip("/").split("/"), directory.split("/"), strict=False):
        if part == "**":
            return True
        if not Selection((part,)).mask([name])[0]:
            return False
    return True
