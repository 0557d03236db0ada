"""Text from outside, as it may be shown: what a terminal or a reader would take for something else is escaped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = "\u3000\u200c\u200d"  # a space that is wide, and what joins letters: ordinary text in its languages
_USER_IN_URL = re.compile(r"(//)[^/\s@]+@")
_QUERY_OF_URL = re.compile(r"(://[^\s?]*\?)\S+")


def printable(text: str, *, lines: bool = False) -> str:
    r"""Return text with everything escaped that is not seen as what it is.

    That is control characters, marks that change the direction of writing, line separators, lone surrogates, and what
    Unicode does not know. Letters of all languages stay as they are. What is escaped already stays so.

    Parameters
    ----------
    lines
        Line feeds and tabs stay: the text is several lines of ours.

    Examples
    --------
    >>> printable("\x1b[31mMünchen\u202e東京\n")
    '\\x1b[31mMünchen\\u202e東京\\n'
    """
    if text.isprintable():
        return text
    kept = _SHOWN + "\n\t" if lines else _SHOWN
    return "".join(char if char.isprintable() or char in kept else _escaped(char) for char in text)


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return the first of some names, and how many there are besides.

    Examples
    --------
    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def without_secrets(text: str) -> str:
    """Return text with whatever may be a secret in its URLs taken out.

    Examples
    --------
    >>> without_secrets("zsync publish a s3://key:word@bucket/x --endpoint-url https://host/?sig=abc")
    'zsync publish a s3://...@bucket/x --endpoint-url https://host/?...'
    """
    return _QUERY_OF_URL.sub(r"\1...", _USER_IN_URL.sub(r"\1...@", text))
