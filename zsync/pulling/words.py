"""What is said of a pull: it goes through what a publish goes through, and must not be called one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from zsync.steps.wording import reworded

if TYPE_CHECKING:
    from zsync.words import Finding

_WORDS = {"publish again": "pull again", "next publish": "next pull", "publishing": "pulling"}


def of_pull(text: str) -> str:
    """Return what is said of a publish as it is said of a pull.

    Examples
    --------
    >>> of_pull("readers see what they saw before; publish again to finish")
    'readers see what they saw before; pull again to finish'
    """
    return reworded(text, _WORDS)


def finding_of_pull(finding: Finding) -> Finding:
    """Return a finding in the words of a pull."""
    return replace(finding, message=of_pull(finding.message))
