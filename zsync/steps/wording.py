"""Who goes through what a publish goes through speaks of it in words of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from zsync.errors import ZsyncError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def reworded(text: str, words: Mapping[str, str]) -> str:
    """Return a text with some words in place of others, one after the other.

    Examples
    --------
    >>> reworded("publish again to finish", {"publish again": "pull again"})
    'pull again to finish'
    """
    for word, other in words.items():
        text = text.replace(word, other)
    return text


@contextmanager
def advising(in_words: Callable[[str], str]) -> Iterator[None]:
    """Have errors say what to do in the words of who is asked to."""
    try:
        yield
    except ZsyncError as error:
        if error.advice is None or in_words(error.advice) == error.advice:
            raise
        raise type(error)(error.message, error.where, in_words(error.advice)) from error
