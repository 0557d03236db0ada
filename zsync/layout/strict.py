"""JSON as RFC 8259 has it: what every reader can read, whatever it is written in.

Python writes NaN, Infinity and halves of surrogate pairs, and reads them; most others fail on the whole document.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_HALVES = re.compile("[\ud800-\udfff]")
_ATTRIBUTES = "attributes"
_FILL = "fill_value"
# Documents inside consolidated metadata of v2 that hold nothing but attributes.
_ATTRIBUTES_V2 = ".zattrs"


def unfit(document: Any) -> str | None:
    """Return what of a document strict JSON cannot say, for people; None if it can say all.

    Examples
    --------
    >>> unfit({"attributes": {"limit": float("inf")}}), unfit({"a": [1, None]})
    ('Infinity in attributes.limit', None)
    """
    pending = [("", document)]  # no recursion: attributes may be nested deeper than Python calls functions
    while pending:
        place, value = pending.pop()
        if (what := _unfit_value(value)) is not None:
            return f"{what} in {_shown(place)}"
        if isinstance(value, dict):
            if any(_HALVES.search(name) for name in value):
                return f"a name that is no Unicode in {_shown(place)}"
            pending += [(f"{place}.{name}" if place else name, item) for name, item in value.items()]
        elif isinstance(value, list):
            pending += [(place, item) for item in value]
    return None


def _unfit_value(value: Any) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return _named(value)
    return "text that is no Unicode" if isinstance(value, str) and _HALVES.search(value) else None


def _named(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _shown(place: str) -> str:
    return place or "it"


def text(document: Any) -> bytes:
    """Return a document that is fit as bytes; the order of its members is kept, for readers show attributes in it.

    Raises
    ------
    ValueError
        It is not fit.
    """
    return json.dumps(document, indent=2, allow_nan=False).encode()


def with_fill(node: dict[str, Any]) -> dict[str, Any]:
    """Return the document of a node in which a fill value that is no number is the text that Zarr has for it."""
    return {**node, _FILL: _fill(node[_FILL])} if _FILL in node else node


def _fill(value: Any) -> Any:
    if isinstance(value, list):  # the parts of a complex number
        return [_fill(item) if isinstance(item, float) else item for item in value]
    return _named(value) if isinstance(value, float) and not math.isfinite(value) else value


def made_fit(document: Any) -> Any:
    """Return a copy of a document that is fit: for what is shown for moments only, and to be understood by all.

    Attributes of which strict JSON cannot say all are left out; elsewhere texts take the place of numbers.
    """
    if isinstance(document, dict):
        return {
            _whole(name): _fit_attributes(item) if name.endswith((_ATTRIBUTES, _ATTRIBUTES_V2)) else made_fit(item)
            for name, item in document.items()
        }
    if isinstance(document, list):
        return [made_fit(item) for item in document]
    if isinstance(document, float):
        return _fill(document)
    return _whole(document) if isinstance(document, str) else document


def _fit_attributes(attributes: Any) -> Any:
    if not isinstance(attributes, dict):
        return made_fit(attributes)
    return {name: item for name, item in attributes.items() if unfit({name: item}) is None}


def _whole(value: str) -> str:
    return _HALVES.sub("\ufffd", value)
