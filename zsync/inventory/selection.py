"""Which keys of a product take part: include and exclude globs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Selection:
    """Include and exclude globs; exclude wins.

    A glob without ``/`` names a file or a directory at any depth; one with ``/`` starts at the product's root. A
    directory stands for all that is below it. ``*`` does not cross ``/``, ``**`` does.

    Examples
    --------
    >>> Selection(exclude=("Auxiliary", "a/**/x*")).mask(["t/0", "b/Auxiliary/t/0", "a/b/c/x1"])
    [True, False, False]
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.include and not self.exclude

    def mask(self, keys: Sequence[str]) -> list[bool]:
        """Return for every key whether it takes part."""
        if self.is_everything:
            return [True] * len(keys)
        included, excluded = _compiled(self.include), _compiled(self.exclude)
        return [
            (included is None or included.match(key) is not None) and (excluded is None or excluded.match(key) is None)
            for key in keys
        ]


def _compiled(globs: Iterable[str]) -> re.Pattern[str] | None:
    patterns = [_regex(glob) for glob in globs]
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else None


def _regex(glob: str) -> str:
    from fsspec.utils import glob_translate

    anchored = glob.strip("/")
    anywhere = "" if "/" in glob.rstrip("/") else "(?:.*/)?"
    # fsspec's translation is of a whole path; it ends in \Z, and ours may go on below a directory.
    body = re.sub(r"\\[Zz]$", "", glob_translate(anchored))
    return rf"{anywhere}{body}(?:/.*)?\Z"
