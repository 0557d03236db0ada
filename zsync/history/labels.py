"""Coordinates as text: what is said of the first and the last cell of a range; pure, but for what decodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

_DAY_CHARACTERS, _MINUTE, _SECOND = 10, 16, 19  # of 2020-01-05T12:30:15


def as_text(values: np.ndarray[Any, Any]) -> Sequence[str]:
    """Return labels as text, no longer than tells them apart.

    Examples
    --------
    >>> import numpy as np
    >>> as_text(np.array(["2020-01-05", "2020-01-06"], dtype="datetime64[ns]"))
    ['2020-01-05', '2020-01-06']
    >>> as_text(np.array([-70.0, 0.1], dtype="f4"))
    ['-70', '0.1']
    """
    if values.dtype.kind == "M":
        return _times([str(value)[:_SECOND] for value in values.astype("datetime64[s]")])
    if values.dtype.kind == "f":
        return [f"{value:.6g}" for value in values.tolist()]
    if values.dtype.kind == "O" and len(values) and hasattr(values[0], "isoformat"):  # calendars of models
        return _times([str(value.isoformat())[:_SECOND] for value in values])
    return [str(value) for value in values.tolist()]


def _times(texts: list[str]) -> list[str]:
    """Return times without the part that says nothing."""
    if all(text[_DAY_CHARACTERS:] in ("", "T00:00:00") for text in texts):
        return [text[:_DAY_CHARACTERS] for text in texts]
    if all(text[_MINUTE:] == ":00" for text in texts):
        return [text[:_MINUTE] for text in texts]
    return texts
