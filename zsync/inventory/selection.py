"""Which keys of a product take part: include and exclude globs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zsync.config.values import REGEX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


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
        included, excluded = _compiled(self.include), _compiled(self.exclude)
        return [
            (included is None or included.match(key) is not None)
            and (excluded is None or excluded.match(key) is None)
            and (self.within is None or _is_in(key, self.within))
            and not (self.without and _is_in(key, self.without))
            for key in keys
        ]


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


def _is_in(key: str, places: frozenset[str]) -> bool:
    """Return whether a key is one of some places, or below one; the place ``""`` holds everything."""
    if key in places or "" in places:
        return True
    end = key.find("/")
    while end >= 0:
        if key[:end] in places:
            return True
        end = key.find("/", end + 1)
    return False


def _compiled(globs: Iterable[str]) -> re.Pattern[str] | None:
    patterns = [_regex(glob) for glob in globs]
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else None


def _regex(glob: str) -> str:
    if glob.startswith(REGEX):
        return rf"(?s:.*?)(?:{glob.removeprefix(REGEX)})"
    from fsspec.utils import glob_translate

    anchored = glob.strip("/")
    anywhere = "" if "/" in glob.rstrip("/") else "(?:.*/)?"
    # fsspec's translation is of a whole path; it ends in \Z, and ours may go on below a directory.
    body = re.sub(r"\\[Zz]$", "", glob_translate(anchored))
    return rf"{anywhere}{body}(?:/.*)?\Z"
