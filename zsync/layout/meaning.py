"""What an array's metadata says about how bytes become values: what must not change under a reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain, repeat
from typing import TYPE_CHECKING, Any, TypeGuard

from zsync.layout.canonical import equal, rules_v2, rules_v3
from zsync.layout.documents import ZARR_JSON, ZARRAY, ZATTRS, key_encoding
from zsync.layout.packing import packing

if TYPE_CHECKING:
    from zsync.layout.grid import Edges, KeyEncoding

_GRID = "chunk shape"
_FILL = "fill value"
_KEYS = "chunk key separator"
_OF_BYTES = ("data type", _GRID, _KEYS, "codecs")  # rules of how bytes become numbers
_FIXED = 4000  # cells: what a chunk that is not to change with its array may well hold
# Where in a document a rule is written, and what that is called.
_WRITTEN = {
    "data type": {"dtype": "data type", "data_type": "data type"},
    _KEYS: {
        "dimension_separator": "chunk key separator", "chunk_key_encoding": "chunk key encoding",
    },
    "codecs": {
        "compressor": "compressor", "filters": "filters", "order": "order", "codecs": "codecs", "dtype": "data type",
    },
    "fill value": {"fill_value": "fill value"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Meaning:
    """An array as readers decode it.

    Attributes
    ----------
    zarr_format
        2 or 3.
    shape
        Its shape.
    rules
        All that decides how bytes become values, by a name for people.
    document
        The array's own document, to show what is written there.
    """

    zarr_format: int
    shape: tuple[int, ...]
    rules: Mapping[str, Any]
    document: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def named(self) -> KeyEncoding | None:
        """How the keys of its chunks are written; None where that is not known here."""
        return key_encoding(self.document)

    def difference(self, other: Meaning, *, other_keys: bool = False) -> tuple[str, Any, Any] | None:
        """Return the first thing that differs, with both values; None if chunks decode the same under both.

        Only cells that both have can tell: where there are none, nothing differs.

        Parameters
        ----------
        other_keys
            That the chunks have other keys is no difference.
        """
        if other_keys:
            return replace(self, rules=_without_keys(self.rules)).difference(
                replace(other, rules=_without_keys(other.rules))
            )
        if self.zarr_format != other.zarr_format:
            # The chunks may be the same all the same, under the same keys.
            same = (
                self.shape == other.shape and _difference(_filled(self.rules), _filled(other.rules), self.shape) is None
            )
            return None if same else ("format", self.zarr_format, other.zarr_format)
        if len(self.shape) != len(other.shape):
            return "dimensions", len(self.shape), len(other.shape)
        common = tuple(map(min, self.shape, other.shape))
        rule = None if 0 in common else _difference(self.rules, other.rules, common)
        return None if rule is None else self._as_written(other, rule)

    def says_the_same(self, other: Meaning) -> bool:
        """Return whether what chunks decode to means the same: what is missing, and how numbers become values."""
        mine, theirs = (
            {name: rule for name, rule in _filled(meaning.rules).items() if name not in _OF_BYTES}
            for meaning in (self, other)
        )
        return all(equal(mine.get(name), theirs.get(name)) for name in {**mine, **theirs})

    def fixed_chunks(self, before: Meaning) -> tuple[int, ...]:
        """Return a chunk shape that would not have changed, where a chunk that holds all of an axis grew with it."""
        mine, theirs = self.rules.get(_GRID), before.rules.get(_GRID)
        if not (_are_lengths(mine) and _are_lengths(theirs)) or len(mine) != len(theirs) or mine == theirs:
            return ()
        axes = list(zip(theirs, before.shape, mine, self.shape, strict=False))
        if not all(was == now or (was >= old and now >= new) for was, old, now, new in axes):
            return ()
        return tuple(now if was == now else _FIXED * -(-now // _FIXED) for was, _, now, _ in axes)

    def _as_written(self, other: Meaning, rule: str) -> tuple[str, Any, Any]:
        for name, called in _WRITTEN.get(rule, {}).items():
            mine, theirs = self.document.get(name), other.document.get(name)
            if not equal(mine, theirs):
                return called, mine, theirs
        mine, theirs = self.rules.get(rule), other.rules.get(rule)
        return rule, _shown(mine), _shown(theirs)


def _without_keys(rules: Mapping[str, Any]) -> dict[str, Any]:
    return {name: rule for name, rule in rules.items() if name != _KEYS}


def _are_lengths(grid: Any) -> TypeGuard[tuple[int, ...]]:
    return isinstance(grid, tuple) and all(isinstance(edges, int) for edges in grid)


def _shown(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _filled(rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return rules in which zeros fill as nothing does: Zarr v2 may leave open what a missing chunk holds."""
    return {**rules, _FILL: rules.get(_FILL) or None}


def _difference(mine: Mapping[str, Any], theirs: Mapping[str, Any], common: tuple[int, ...]) -> str | None:
    for name in dict.fromkeys([*mine, *theirs]):
        ours, their = mine.get(name), theirs.get(name)
        if not (_same_grid(ours, their, common) if name == _GRID else equal(ours, their)):
            return name
    return None


def _same_grid(mine: Any, theirs: Any, common: tuple[int, ...]) -> bool:
    """Return whether the chunks that hold cells of an extent are cut alike."""
    if not all(isinstance(grid, tuple) and len(grid) == len(common) for grid in (mine, theirs)):
        return equal(mine, theirs)
    return all(map(_same_edges, mine, theirs, common))


def _same_edges(mine: Edges, theirs: Edges, end: int) -> bool:
    if isinstance(mine, int) and isinstance(theirs, int):
        return mine == theirs
    # As soon as one differs from its like, so do the places at which the next begin.
    for start, ours, their in zip(chain([0], accumulate(_each(mine))), _each(mine), _each(theirs), strict=False):
        if start >= end:
            return True
        if ours != their:
            return False
    return True  # one of them names no more chunks than are in the extent


def _each(edges: Edges) -> Iterator[int]:
    return repeat(edges) if isinstance(edges, int) else iter(edges)


def meaning_of(documents: Mapping[str, Any], path: str) -> Meaning | None:
    """Return what the metadata of one array means; None if there is none that can be understood.

    Parameters
    ----------
    documents
        Parsed documents, by key relative to the store's root.
    path
        The array's path in the store.

    Examples
    --------
    >>> v2 = {"zarr_format": 2, "shape": [4], "chunks": [2], "dtype": "<f4"}
    >>> meaning_of({"t/.zarray": v2, "t/.zattrs": {"scale_factor": 2}}, "t").rules["scale_factor"]
    2
    """
    below = f"{path}/" if path else ""
    v3, v2 = documents.get(f"{below}{ZARR_JSON}"), documents.get(f"{below}{ZARRAY}")
    document = v3 if v3 is not None else v2
    if not isinstance(document, Mapping) or not isinstance(document.get("shape"), list):
        return None
    if not all(type(length) is int for length in document["shape"]):
        return None
    if v3 is not None:
        rules, attributes = rules_v3(document), document.get("attributes")
    else:
        rules, attributes = rules_v2(document), documents.get(f"{below}{ZATTRS}")
    # What v2 fills with is what readers take for missing anyway.
    masked = rules[_FILL] if v3 is None else None
    return Meaning(
        3 if v3 is not None else 2,
        tuple(document["shape"]),
        rules | packing(attributes, rules["data type"], masked),
        document,
    )
