"""Ranges of labels, as a user writes them: what they come to along a dimension."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from zsync.errors import ConfigError

if TYPE_CHECKING:
    import xarray as xr

_RANGE = re.compile(r"(.*?)\.\.(.*)", re.DOTALL)


def indices_of(labels: xr.Dataset, name: str, text: str, size: int) -> slice:
    """Return the range of indices that a range of labels names; of indices, if the dimension has no labels.

    Raises
    ------
    ConfigError
        It is no such range.
    """
    match = _RANGE.fullmatch(text)
    first, last = (match[1], match[2]) if match else (text, text)
    try:
        if name not in labels.indexes:
            return slice(int(first or 0), int(last) + 1 if last else size)
        index = labels.indexes[name]
        start, end = (_label(first, index), _label(last, index))
        if index.is_monotonic_decreasing and len(index) > 1:
            start, end = end, start
        return index.slice_indexer(start, end)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            "this is no range of the dimension", f"{name}={text}", f"it is {extent_of(labels, name)}"
        ) from error


def _label(text: str, index: Any) -> Any:
    if not text:
        return None
    return float(text) if index.dtype.kind in "iuf" else text


def extent_of(labels: xr.Dataset, name: str) -> str:
    """Return what there is of a dimension, in words."""
    index = labels.indexes.get(name)
    if index is None:
        return "counted from 0, as it has no labels"
    return f"{index[0]}..{index[-1]}" if len(index) else "empty"
