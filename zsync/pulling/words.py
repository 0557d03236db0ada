"""What is said of a pull: it goes through what a publish goes through, and must not be called one."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from zsync.errors import ZsyncError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zsync.words import Finding

_WORDS = {"publish again": "pull again", "next publish": "next pull", "publishing": "pulling"}


def of_pull(text: str) -> str:
    """Return what is said of a publish as it is said of a pull.

    Examples
    --------
    >>> of_pull("readers see what they saw before; publish again to finish")
    'readers see what they saw before; pull again to finish'
    """
    for word, other in _WORDS.items():
        text = text.replace(word, other)
    return text


def finding_of_pull(finding: Finding) -> Finding:
    """Return a finding in the words of a pull."""
    return replace(finding, message=of_pull(finding.message))


@contextmanager
def in_words_of_pull() -> Iterator[None]:
    """Have errors raised in the words of a pull."""
    try:
        yield
    except ZsyncError as error:
        if error.advice is None or of_pull(error.advice) == error.advice:
            raise
        raise type(error)(error.message, error.where, of_pull(error.advice)) from error
