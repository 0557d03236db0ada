"""What an array holds, in a form that every writer and every reader can tell alike. Needs numpy only."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np


def told(array: Any) -> list[Any]:
    """Return shape, kind and digest of an array's values.

    Byte order and the width of text are the reader's business, not the writer's, so they do not count.
    """
    array = np.asarray(array)
    kind, values = _plain(array)
    text = json.dumps(values, default=_shown, sort_keys=True)
    return [list(array.shape), kind, hashlib.sha256(text.encode()).hexdigest()[:16]]


def _plain(array: np.ndarray) -> tuple[str, Any]:
    if array.dtype.kind in "Mm":
        return array.dtype.kind, array.astype("i8").tolist()
    if array.dtype.kind in "UOT":
        return "text", [_shown(value) for value in array.ravel().tolist()]
    if array.dtype.kind == "S":
        return "bytes", array.tolist()
    if array.dtype.kind == "V":
        return "struct", [_shown(value) for value in array.ravel().tolist()]
    return array.dtype.newbyteorder("=").str.lstrip("<|="), array.tolist()


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.rstrip(b"\0").decode("latin-1")
    if isinstance(value, (tuple, list)):
        return [_shown(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return [_shown(inner) for inner in value.tolist()]
    if isinstance(value, np.void):
        return _shown(value.tolist())
    if isinstance(value, complex):
        return [value.real, value.imag]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
