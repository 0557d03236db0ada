"""The gate: whatever names an object or a file becomes a `Key` here, or nowhere.

Keys come from outside: from listings, manifests, records, metadata, names of products. Any of them may be absolute,
climb out of a directory, or be no name at all. What is written, deleted or opened takes a `Key`, so that a way round
the gate does not type-check; nothing but this module makes one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType, cast

from zsync.errors import UnfitKeyError
from zsync.packed import Texts
from zsync.words import STATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Key = NewType("Key", str)
"""A key that has passed the gate: relative, UTF-8, without parts that lead elsewhere."""

# Amazon S3 User Guide, "Naming Amazon S3 objects".
MAX_KEY_BYTES = 1024
MAX_NAME_BYTES = 255  # of a name in a directory, on the usual file systems

# Without possessive quantifiers: those of a group do not look at what stands behind it in Python 3.11.2.
_PART = rf"(?!(?:\.\.?|{re.escape(STATE)})(?:/|\Z))[^/\x00-\x1f\x7f\\\ud800-\udfff]+"
_FIT = re.compile(rf"{_PART}(?:/{_PART})*", re.IGNORECASE)
# What Arrow can tell quickly, in RE2's syntax: a key that does not match is fit.
SUSPECT = (
    rf"(?:^|/)(?:\.{{0,2}}|(?i:{re.escape(STATE)}))(?:/|$)|[\x00-\x1f\x7f\\\\]|.{{{MAX_KEY_BYTES // 4}}}|\x{{17F}}"
)
_NO_NAME = re.compile(r"[\x00-\x1f\x7f\\]")
_DRIVE = re.compile(r"[A-Za-z]:(?:/|\Z)")


@dataclass(frozen=True, slots=True)
class Sorted:
    """Keys from outside, told apart.

    Attributes
    ----------
    fit
        Those that may go on, in their order.
    unfit
        The others, and what is wrong with each.
    """

    fit: Sequence[Key]
    unfit: dict[str, str]


def unfit(text: str) -> str | None:
    """Return why a text cannot be a key; None if it can.

    Examples
    --------
    >>> unfit("a.zarr/c/0"), unfit("../a")
    (None, 'it has a part that leads elsewhere')
    """
    if _FIT.fullmatch(text) is not None and (len(text) <= MAX_KEY_BYTES // 4 or _bytes(text) <= MAX_KEY_BYTES):
        return None
    return _reason(text)


def unfit_here(text: str) -> str | None:
    """Return why a text cannot be the path of a file of this machine, below a directory; None if it can."""
    if (reason := unfit(text)) is not None:
        return reason
    if _DRIVE.match(text) is not None:
        return "it begins with the letter of a drive"
    if len(text) > MAX_NAME_BYTES // 4 and max(map(_bytes, text.split("/"))) > MAX_NAME_BYTES:
        return f"a part has more than {MAX_NAME_BYTES} bytes"
    return None


def _reason(text: str) -> str:
    parts = text.split("/")
    if any(part in (".", "..") for part in parts):
        return "it has a part that leads elsewhere"
    if not all(parts):
        return "it has an empty part"
    if _NO_NAME.search(text):
        return "it holds a control character or a backslash"
    try:
        size = _bytes(text)
    except UnicodeEncodeError:
        return "it is not UTF-8"
    return (
        f"it has more than {MAX_KEY_BYTES} bytes" if size > MAX_KEY_BYTES else "it lies where zsync keeps its records"
    )


def _bytes(text: str) -> int:
    return len(text.encode())


def checked(text: str) -> Key:
    """Return a text as the key that it is.

    Raises
    ------
    UnfitKeyError
        It cannot be one.
    """
    return under("", text)


def under(prefix: str, inside: str) -> Key:
    """Return a key below a prefix.

    Parameters
    ----------
    prefix
        What the user, or zsync itself, named: empty, or with or without a ``/`` at its end.
    inside
        The rest, which may come from outside.

    Raises
    ------
    UnfitKeyError
        It cannot be the rest of a key.

    Examples
    --------
    >>> under("products/", "a.zarr"), under("products", "a.zarr"), under("", "a.zarr")
    ('products/a.zarr', 'products/a.zarr', 'a.zarr')
    """
    if _FIT.fullmatch(inside) is None or len(inside) > MAX_KEY_BYTES // 4 or "/../" in f"/{prefix}/":
        reason = _reason(prefix) if "/../" in f"/{prefix}/" else unfit(inside)
        if reason is not None:
            raise UnfitKeyError(f"this cannot be a key: {reason}", shown(inside), "leave it out, or remove it there")
    return Key(f"{prefix}{inside}" if not prefix or prefix.endswith("/") else f"{prefix}/{inside}")


def of_state(inside: str) -> Key:
    """Return the key, beside a product, of what zsync keeps there; of the directory itself if `inside` is empty.

    Raises
    ------
    UnfitKeyError
        It cannot be one.
    """
    return Key(f"{STATE}/{checked(inside)}" if inside else STATE)


def sort(texts: Iterable[str], *, here: bool = False) -> Sorted:
    """Tell keys from what cannot be one.

    Parameters
    ----------
    here
        They are to become files of this machine.
    """
    reason_of = unfit_here if here else unfit
    wrong: dict[str, str] = {}

    def is_fit(text: str) -> bool:
        reason = reason_of(text)
        if reason is not None:
            wrong[text] = reason
        return reason is None

    return Sorted(together(Key(text) for text in texts if is_fit(text)), wrong)


def together(keys: Iterable[Key]) -> Sequence[Key]:
    """Return keys without an object each."""
    return cast("Sequence[Key]", Texts[str](keys))


def shown(text: str) -> str:
    """Return a text as it may be shown: whatever a terminal or a log could take for more than text is escaped."""
    return repr(text)[1:-1]
