"""Which objects are looked at: all, a number, or a share; by a seed, so that the same are looked at again. Pure."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

from zsync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

_SAMPLE = re.compile(r"(\d+)(?:\.(\d+))?(%?)")


@dataclass(frozen=True, slots=True)
class Sample:
    """How many of some objects.

    Attributes
    ----------
    number
        So many; None for all.
    share
        So many of a hundred, where there is no number.
    seed
        Chooses them.

    Examples
    --------
    >>> Sample.parse("1%", 7).of(range(1000)) == Sample.parse("10", 7).of(range(1000))
    True
    >>> Sample.parse(None, 7).of("abc")
    ['a', 'b', 'c']
    """

    number: int | None = None
    share: Fraction | None = None
    seed: int = 0

    @classmethod
    def parse(cls, text: str | int | None, seed: int) -> Sample:
        """Return what a user says: ``500``, ``1%``, or None for all.

        Raises
        ------
        ConfigError
            It is no number, and no share.
        """
        if text is None:
            return cls(seed=seed)
        match = _SAMPLE.fullmatch(str(text).strip())
        share = Fraction(str(text).strip().rstrip("%")) if match is not None and match[3] else None
        if match is None or (share is None and match[2]) or (share is not None and share > 100):
            raise ConfigError("this is no sample", f"sample: {text}", "write a number, like 500, or a share, like 1%")
        return cls(seed=seed, share=share) if share is not None else cls(int(match[1]), seed=seed)

    def of(self, items: Sequence[T]) -> list[T]:
        """Return the sample, in the order of the items; a share is never nothing of something."""
        if self.share is not None:
            count = -(-len(items) * self.share // 100)
        else:
            count = len(items) if self.number is None else self.number
        if count >= len(items):
            return list(items)
        chosen = random.Random(self.seed).sample(range(len(items)), int(count))  # noqa: S311 - no secret
        return [items[index] for index in sorted(chosen)]

    def __str__(self) -> str:
        if self.share is not None:
            return f"{float(self.share):g}%"
        return "all" if self.number is None else f"{self.number:,}"
