"""Which two publications are meant: ``A..B``, ``A..``, ``..B``, or ``A`` against the one before it; pure."""

from __future__ import annotations

from dataclasses import dataclass

from zsync.errors import ConfigError

_HOW = "write A..B, A.., ..B or A; each an id, the beginning of one, head, head~2 or a time"


@dataclass(frozen=True, slots=True)
class Span:
    """Two publications, as they were named.

    Attributes
    ----------
    first
        The one to compare with; None: the oldest on record, or, of one alone, the one before it.
    last
        The one to be compared.
    is_one
        Only one was named.
    """

    first: str | None
    last: str
    is_one: bool = False

    @classmethod
    def of(cls, text: str) -> Span:
        """Return what a text means.

        Examples
        --------
        >>> Span.of("head~2..")
        Span(first='head~2', last='head', is_one=False)
        >>> Span.of("2026-11-20")
        Span(first=None, last='2026-11-20', is_one=True)

        Raises
        ------
        ConfigError
            It means nothing.
        """
        first, dots, last = (part.strip() for part in text.partition(".."))
        if not text.strip() or ".." in last:
            raise ConfigError("this names no publications", text, _HOW)
        return cls(first or None, last or "head") if dots else cls(None, first, is_one=True)
