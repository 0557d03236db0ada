"""What a HEAD tells of an object, beside what is on record: pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zsync.storage import Headers

_STANDARD = "STANDARD"  # what a service means that names no class; some name it
_PLAIN_ENCODINGS = ("", "identity", "aws-chunked")  # the last is of how it came, and some services keep it


def same_headers(found: Headers, recorded: str) -> bool:
    """Return whether the headers of an object come to a digest that is on record.

    Examples
    --------
    >>> from zsync.storage import Headers
    >>> same_headers(Headers("text/plain", storage_class="STANDARD"), Headers("text/plain").digest)
    True
    """
    classes = {None, _STANDARD} if found.storage_class in (None, _STANDARD) else {found.storage_class}
    return any(replace(found, storage_class=name).digest == recorded for name in classes)


def is_plain(encoding: str) -> bool:
    """Return whether a Content-Encoding leaves an object as it is: with any other, ranges of it make no sense."""
    return encoding.lower() in _PLAIN_ENCODINGS
