"""Zarr hierarchies, written by hand as keys and bytes, with what each key is known from how it was made."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from zsync.layout import remade

NAMES = st.sampled_from(["a", "b", "t2m", "0", "c", "x.y", "Ünï", "1.0"])


def consolidate(store, *extra) -> dict[str, bytes]:
    """Return the metadata objects that are made because consolidated metadata is missing or untrue, by key."""
    return {made.key: made.body for made in remade(store, *extra) if made.body is not None}


def zarray(shape=(4,), chunks=(2,), **changes: Any) -> dict[str, Any]:
    """Return a `.zarray`."""
    document = {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": list(chunks),
        "dtype": "<f4",
        "compressor": None,
        "fill_value": "NaN",
        "order": "C",
        "filters": None,
        "dimension_separator": ".",
    }
    return document | changes


def zarr_json(shape=(4,), chunks=(2,), **changes: Any) -> dict[str, Any]:
    """Return the `zarr.json` of an array."""
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunks)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "fill_value": "NaN",
        "attributes": {},
    }
    return document | changes


ZGROUP = {"zarr_format": 2}
GROUP = {"zarr_format": 3, "node_type": "group", "attributes": {}}


def files(documents: dict[str, Any]) -> dict[str, bytes]:
    """Return documents as bytes; what is bytes stays as it is."""
    return {k: v if isinstance(v, bytes) else json.dumps(v).encode() for k, v in documents.items()}


@dataclass
class Tree:
    """A store: its objects, and what is true of them."""

    zarr_format: int
    objects: dict[str, bytes] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    array_of: dict[str, str] = field(default_factory=dict)  # chunk or document of an array -> array
    nodes: dict[str, str] = field(default_factory=dict)  # path -> array or group

    def put(self, key: str, content: Any, role: str, array: str | None = None) -> None:
        self.objects[key] = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.roles[key] = role
        if array is not None:
            self.array_of[key] = array

    def documents(self) -> dict[str, bytes]:
        return {k: v for k, v in self.objects.items() if self.roles[k] in {"metadata", "consolidated"}}

    def moved(self, prefix: str) -> dict[str, bytes]:
        return {f"{prefix}/{k}": v for k, v in self.objects.items()}


def chunk_key(name: str, separator: str, index: tuple[int, ...]) -> str:
    """Return a chunk's key as the specifications write it, apart from the code under test."""
    numbers = separator.join(map(str, index))
    if name == "v2":
        return numbers or "0"
    return "c" + separator + numbers if numbers else "c"


def at(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def add_array(tree: Tree, path: str, shape, chunks, encoding: tuple[str, str], attributes: dict[str, Any]) -> None:
    name, separator = encoding
    if tree.zarr_format == 2:
        name = "v2"
        tree.put(at(path, ".zarray"), zarray(shape, chunks, dimension_separator=separator), "metadata", path)
        if attributes:
            tree.put(at(path, ".zattrs"), attributes, "metadata", path)
    else:
        key_encoding = {"name": name, "configuration": {"separator": separator}}
        document = zarr_json(shape, chunks, chunk_key_encoding=key_encoding, attributes=attributes)
        tree.put(at(path, "zarr.json"), document, "metadata", path)
    tree.nodes[path] = "array"
    extent = [-(-n // c) for n, c in zip(shape, chunks, strict=True)]
    for index in itertools.product(*map(range, extent)):
        tree.put(at(path, chunk_key(name, separator, index)), b"x", "chunk", path)


def add_group(tree: Tree, path: str, attributes: dict[str, Any]) -> None:
    if tree.zarr_format == 2:
        tree.put(at(path, ".zgroup"), ZGROUP, "metadata")
        if attributes:
            tree.put(at(path, ".zattrs"), attributes, "metadata")
    else:
        tree.put(at(path, "zarr.json"), GROUP | {"attributes": attributes}, "metadata")
    tree.nodes[path] = "group"


SHAPES = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3)), max_size=3)
ENCODINGS = st.tuples(st.sampled_from(["default", "v2"]), st.sampled_from([".", "/"]))
ATTRIBUTES = st.sampled_from([{}, {"units": "K"}, {"n": 1, "ratio": 1e300, "zarr_format": "said"}])


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> Tree:
    """Return a store that is a group, with arrays and groups below it and every chunk there."""
    tree = Tree(draw(st.sampled_from([2, 3])))

    def fill(path: str, depth: int) -> None:
        add_group(tree, path, draw(ATTRIBUTES))
        # "c" and numbers are left to groups: below the root they could be taken for chunks of no array.
        for name in draw(st.lists(NAMES, max_size=3, unique=True)):
            if depth and draw(st.booleans()):
                fill(at(path, name), depth - 1)
            else:
                axes = draw(SHAPES)
                shape, chunks = [n for n, _ in axes], [c for _, c in axes]
                add_array(tree, at(path, name), shape, chunks, draw(ENCODINGS), draw(ATTRIBUTES))
        if draw(st.booleans()):
            tree.put(at(path, "README.md"), b"text", "foreign")

    fill("", depth)
    return tree
