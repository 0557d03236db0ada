"""Codecs that must not decode what others wrote: they would run it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Zarr v2 names codecs by `id`, v3 by `name` (numcodecs' own begin with `numcodecs.`), or by no more than a text.
_RUNS = re.compile(r"(?:^|[^a-z])(?:cloud)?(?:pickle|dill|joblib|marshal)(?:$|[^a-z])", re.IGNORECASE)
_NAMED = ("id", "name")
_HOLD_CODECS = ("compressor", "filters", "codecs", "index_codecs", "storage_transformers")
_ATTRIBUTES = ("attributes", ".zattrs")


def unsafe_codec(document: Any) -> str | None:
    """Return the name of a codec in metadata that unpickles, or runs otherwise, what it decodes; None if there is none.

    Parameters
    ----------
    document
        Metadata of an array, or consolidated metadata of any number of them.

    Examples
    --------
    >>> unsafe_codec({"filters": [{"id": "pickle"}], "compressor": {"id": "zlib"}})
    'pickle'
    """
    return next((name for name in _codecs(document) if _RUNS.search(name)), None)


def _codecs(document: Any) -> Iterator[str]:
    """Yield the names of all codecs, however deep: shards hold codecs of their own."""
    pending: list[tuple[Any, bool]] = [(document, False)]
    while pending:
        value, names_codec = pending.pop()
        if isinstance(value, str):
            if names_codec:
                yield value
        elif isinstance(value, list):
            pending += [(item, names_codec) for item in value]
        elif isinstance(value, dict):
            pending += _members(value, names_codec=names_codec)


def _members(value: Mapping[str, Any], *, names_codec: bool) -> Iterator[tuple[Any, bool]]:
    for name, item in value.items():
        if name in _HOLD_CODECS or (names_codec and name in _NAMED):
            yield item, True
        elif isinstance(item, dict | list) and not name.endswith(_ATTRIBUTES):
            yield item, False
