"""A world without disks and networks: stores as bytes in a dictionary, a reader, and a publish that may be cut off.

What the core decides is carried out here wave by wave, in any order inside a wave, and a reader looks in between. So
the promises about readers are tried on the pure rooms alone, thousands of times in seconds.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from blake3 import blake3
from layout_strategies import consolidate

from zsync.layout import describe, is_metadata, members_of, place
from zsync.planning import (
    Grace,
    Plan,
    PlannedProduct,
    Survey,
    boundary,
    classify,
    fence_of,
    fence_table,
    manifest_of,
    plan_product,
    removed_groups,
    unless_withdrawn,
    withdraw,
    withdrawal_table,
)
from zsync.tables import ANSWERS, MANIFEST, SOURCE, TARGET, column, table_of
from zsync.words import Action, Kind, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zsync.layout import Layout

Shape = tuple[int, ...]
CHUNKS = {1: (2,), 2: (2, 2)}  # cells, by number of dimensions
CONSOLIDATED = (".zmetadata", "zarr.json")


@dataclass(frozen=True)
class Array:
    """An array of one-byte cells: which values they have hangs on `k` alone, and none is the fill value."""

    shape: Shape
    k: int = 1
    dtype: str = "|u1"

    def value(self, index):
        return 1 + (self.k * 31 + sum(i * p for i, p in zip(index, (7, 3), strict=False))) % 250

    @property
    def size(self):
        """Bytes a cell."""
        return 2 if self.dtype.endswith("2") else 1

    def chunks(self) -> Iterator[tuple[Shape, bytes]]:
        """Yield the chunks, each whole: what lies beyond the array is fill value."""
        lengths = CHUNKS[len(self.shape)]
        for number in itertools.product(*(range(-(-n // c)) for n, c in zip(self.shape, lengths, strict=True))):
            corner = [i * c for i, c in zip(number, lengths, strict=True)]
            cells = itertools.product(*(range(at, at + c) for at, c in zip(corner, lengths, strict=True)))
            inside = (all(i < n for i, n in zip(cell, self.shape, strict=True)) and cell for cell in cells)
            yield number, b"".join((self.value(cell) if cell else 0).to_bytes(self.size, "little") for cell in inside)


@dataclass(frozen=True)
class State:
    """A store: arrays by path, groups made for those that lie in one."""

    arrays: Mapping[str, Array]
    zarr_format: int = 2
    title: str = ""
    is_consolidated: bool = False
    separator: str = "."

    def files(self, prefix: str = "") -> dict[str, bytes]:
        """Return the store as its writer leaves it, by key."""
        groups = sorted({"", *(above for path in self.arrays for above in _above(path))})
        write = self._v2 if self.zarr_format == 2 else self._v3
        documents, chunks = write(groups)
        bodies = {key: json.dumps(document).encode() for key, document in documents.items()} | chunks
        base = f"{prefix}/" if prefix else ""
        return {f"{base}{key}": body for key, body in bodies.items()}

    def _v2(self, groups):
        documents: dict[str, Any] = {_join(path, ".zgroup"): {"zarr_format": 2} for path in groups}
        documents[".zattrs"] = {"title": self.title}
        for path, array in self.arrays.items():
            documents[f"{path}/.zarray"] = {
                "zarr_format": 2, "shape": list(array.shape), "chunks": list(CHUNKS[len(array.shape)]),
                "dtype": array.dtype, "compressor": None, "filters": None, "fill_value": 0, "order": "C",
                **({"dimension_separator": "/"} if self.separator == "/" else {}),
            }  # fmt: skip
        if self.is_consolidated:
            documents[".zmetadata"] = {"zarr_consolidated_format": 1, "metadata": dict(documents)}
        chunks = {
            f"{path}/{self.separator.join(map(str, number))}": body
            for path, array in self.arrays.items()
            for number, body in array.chunks()
        }
        return documents, chunks

    def _v3(self, groups):
        inside = {
            path: {"zarr_format": 3, "node_type": "group", "attributes": {}} for path in groups if path
        } | {
            path: {
                "zarr_format": 3, "node_type": "array", "shape": list(array.shape), "attributes": {},
                "data_type": {"|u1": "uint8", "<u2": "uint16"}[array.dtype], "fill_value": 0,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": CHUNKS[len(array.shape)]}},
                "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
                "codecs": [{"name": "bytes", **({"configuration": {"endian": "little"}} if array.size > 1 else {})}],
            }
            for path, array in self.arrays.items()
        }  # fmt: skip
        root: dict[str, Any] = {"zarr_format": 3, "node_type": "group", "attributes": {"title": self.title}}
        if self.is_consolidated:
            root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": inside}
        chunks = {
            "/".join([path, "c", *map(str, number)]): body
            for path, array in self.arrays.items()
            for number, body in array.chunks()
        }
        return {_join(path, "zarr.json"): document for path, document in {**inside, "": root}.items()}, chunks


def _above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


# --- readers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What a reader sees of a store: of every array its shape and cells, 0 where there is no chunk."""

    arrays: Mapping[str, tuple[Shape, Mapping[Shape, int]]]
    title: str = ""

    @property
    def shapes(self) -> dict[str, Shape]:
        """The arrays' shapes, by path."""
        return {path: shape for path, (shape, _) in self.arrays.items()}


def read(target: Mapping[str, bytes], prefix: str, zarr_format: int, *, consolidated: bool = True) -> Seen | None:
    """Return what a reader sees, who may go by consolidated metadata or past it; None: there is no store."""
    base = f"{prefix}/" if prefix else ""
    documents = {
        key[len(base) :]: _parsed(body)
        for key, body in target.items()
        if key.startswith(base) and is_metadata(Kind.ZARR, key)
    }
    root = documents.get(".zgroup" if zarr_format == 2 else "zarr.json")
    if consolidated:
        document = documents.get(".zmetadata" if zarr_format == 2 else "zarr.json")
        if document is None or not (zarr_format == 2 or "consolidated_metadata" in document):
            return None
        known = members_of(document) | ({} if zarr_format == 2 else {"zarr.json": document})
    elif root is None:
        return None
    else:
        known = {
            key: document
            for key, document in documents.items()
            if zarr_format == 3 or all(_join(above, ".zgroup") in documents for above in _above(key))
            or key.rpartition("/")[0] in _arrays_of(documents)
        }  # fmt: skip
    attributes = known.get(".zattrs", {}) if zarr_format == 2 else known["zarr.json"].get("attributes", {})
    arrays = {path: _cells(target, base + path, known[_join(path, name)]) for path, name in _arrays_of(known).items()}
    return Seen(arrays, attributes.get("title", ""))


@functools.lru_cache(1000)
def _parsed(body: bytes) -> Any:
    """Return what a document says: readers look after every object, and find the same ones."""
    return json.loads(body)


def _arrays_of(documents: Mapping[str, Any]) -> dict[str, str]:
    return {
        key.rpartition("/")[0]: key.rpartition("/")[2]
        for key, document in documents.items()
        if key.endswith(".zarray") or (key.endswith("zarr.json") and document.get("node_type") == "array")
    }


def _cells(target: Mapping[str, bytes], directory: str, document: Mapping[str, Any]) -> tuple[Shape, dict[Shape, int]]:
    """Decode an array by its document."""
    shape = tuple(document["shape"])
    is_v2 = document["zarr_format"] == 2
    lengths = document["chunks"] if is_v2 else document["chunk_grid"]["configuration"]["chunk_shape"]
    size = 2 if document["dtype" if is_v2 else "data_type"] in ("<u2", "uint16") else 1
    between = document.get("dimension_separator", ".") if is_v2 else "/"
    cells = {}
    for cell in itertools.product(*map(range, shape)):
        number = [str(i // n) for i, n in zip(cell, lengths, strict=True)]
        key = between.join(number) if is_v2 else "/".join(["c", *number])
        place = 0
        for i, n in zip(cell, lengths, strict=True):
            place = place * n + i % n
        body = target.get(f"{directory}/{key}", b"")[place * size : (place + 1) * size]
        cells[cell] = int.from_bytes(body, "little")
    return shape, cells


# --- a publish -------------------------------------------------------------------------------------------------------


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


def digest(body: bytes) -> str:
    return blake3(body).hexdigest()


def answers_of(bodies: Mapping[str, bytes]) -> pa.Table:
    """Return what a service answers for some objects, `zsync.tables.ANSWERS`."""
    return table_of(
        [{"key": key, "digest": blake3(body).digest(), "etag": md5(body)} for key, body in bodies.items()], ANSWERS
    )


def layout_of(source: Mapping[str, bytes]) -> Layout:
    """Return the layout of a product, which is sound."""
    keys = sorted(source)
    documents = {key: source[key] for key in keys if is_metadata(Kind.ZARR, key)}
    layout = describe(Kind.ZARR, "p", keys, documents)
    assert not [finding for finding in layout.findings if finding.level == "error"], layout.findings
    return layout


def made_of(layout: Layout, extra: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the consolidated metadata that is made of a product, by key; `extra` stays in the target, by store."""
    return {
        _join(prefix, key): body
        for prefix, store in layout.stores.items()
        for key, body in consolidate(store, extra.get(prefix, {})).items()
    }


@dataclass
class World:
    """A target, what is on record of it, and publishes to it."""

    target: dict[str, bytes] = field(default_factory=dict)
    manifest: pa.Table = field(default_factory=lambda: table_of([], MANIFEST))
    now_s: int = 1_000_000

    def plan(
        self, source: Mapping[str, bytes], *, replaces: bool = True, keeps: bool = False, grace_s: int = 0
    ) -> Plan:
        """Return the plan of a product, as the protocol makes it."""
        layout = layout_of(source)
        gone_keys = sorted(set(self.target) - set(source))
        extra: dict[str, dict[str, Any]] = {}
        for row in place(layout, gone_keys).to_pylist() if keeps else []:
            if row["role"] == "metadata" and row["store"] in layout.stores:
                inside = row["key"].removeprefix(f"{row['store']}/") if row["store"] else row["key"]
                extra.setdefault(row["store"], {})[inside] = json.loads(self.target[row["key"]])
        generated = made_of(layout, extra)
        bodies = {**source, **generated}
        keys, gone_keys = sorted(bodies), sorted(set(self.target) - set(bodies))
        survey = Survey(
            source=table_of([_source_row(key, bodies[key], is_ours=key in generated) for key in keys], SOURCE),
            objects=place(layout, keys),
            headers=column(["h"] * len(keys), pa.string()),
            generated=generated,
            target=table_of(
                [{"key": k, "size": len(b), "etag": md5(b)} for k, b in sorted(self.target.items())], TARGET
            ),
            gone=place(layout, gone_keys),
            gone_selected=column([True] * len(gone_keys), pa.bool_()),
            manifest=self.manifest,
            etag_is_md5=True,
        )
        table = plan_product("p", survey, keeps=keeps, grace=Grace(grace_s, self.now_s))
        published = {prefix: self._as_seen(prefix, store.zarr_format) for prefix, store in layout.stores.items()}
        published = {prefix: documents for prefix, documents in published.items() if documents}
        changes = classify("p", table, layout.stores, published)
        if edge := boundary(table, layout.stores, changes):
            same = {chunk.key for chunk in edge if self._is_same(chunk, bodies[chunk.key])}
            changes = classify("p", table, layout.stores, published, same)
        table, withdrawals = withdraw(table, layout.stores, changes, replaces=True)
        own = {prefix: self._documents(prefix) for prefix in published}
        fence = fence_of(changes, own, removed_groups(table, layout.stores, published))
        fence = unless_withdrawn(fence, withdrawals)
        product = PlannedProduct("p", "s3://b/p", "/src", "zarr", "keep" if keeps else "trash", None)
        rows = pa.concat_tables([table, fence_table(fence), withdrawal_table(withdrawals)])
        return Plan(rows, (product,), tuple(layout.findings), tuple(changes))

    def _documents(self, prefix: str) -> dict[str, Any]:
        base = f"{prefix}/" if prefix else ""
        return {
            key[len(base) :]: json.loads(body)
            for key, body in self.target.items()
            if key.startswith(base) and is_metadata(Kind.ZARR, key)
        }

    def _as_seen(self, prefix: str, zarr_format: int) -> dict[str, Any]:
        own = self._documents(prefix)
        root = next((own[name] for name in reversed(CONSOLIDATED) if name in own), {})
        names = (".zarray", ".zgroup", ".zattrs") if zarr_format == 2 else ("zarr.json",)
        return members_of(root) or {key: doc for key, doc in own.items() if key.rpartition("/")[2] in names}

    def _is_same(self, chunk: Any, new: bytes) -> bool:
        """Return whether the cells of a chunk that both extents have in common keep their values."""
        old = self.target.get(chunk.key, bytes(len(new)))
        lengths = CHUNKS[len(chunk.cells)]
        size = len(new) // (lengths[0] if len(lengths) == 1 else lengths[0] * lengths[1])
        for cell in itertools.product(*map(range, chunk.cells)):
            at = 0
            for i, n in zip(cell, lengths, strict=True):
                at = at * n + i
            if old[at * size : (at + 1) * size] != new[at * size : (at + 1) * size]:
                return False
        return True

    def steps(self, plan: Plan, source: Mapping[str, bytes], shuffle: Any) -> Iterator[Stage]:
        """Carry a plan out object by object, in any order inside a wave; yield the stage after each object.

        On record it comes before anything is retired.
        """
        bodies = {**source, **made_by_zsync(plan)}
        is_on_record = False
        for wave in plan.waves():
            if wave.stage == Stage.RETIRE and not is_on_record:
                is_on_record = self._record(plan, bodies)
            for row in shuffle(wave.table.to_pylist()):
                if row["action"] == Action.SEND:
                    self.target[row["key"]] = row["content"] or bodies[row["key"]]
                else:
                    self.target.pop(row["key"], None)
                yield wave.stage
        if not is_on_record:
            self._record(plan, bodies)

    def _record(self, plan: Plan, bodies: Mapping[str, bytes]) -> bool:
        sent = plan.rows(Action.SEND)["key"].to_pylist()
        self.manifest = manifest_of(plan, "p", answers_of({key: bodies[key] for key in sent}))
        return True


def made_by_zsync(plan: Plan) -> dict[str, bytes]:
    """Return what zsync makes itself, by key."""
    rows = zip(plan.lasting["key"].to_pylist(), plan.lasting["content"].to_pylist(), strict=True)
    return {key: body for key, body in rows if body is not None}


def _source_row(key: str, body: bytes, *, is_ours: bool) -> dict[str, Any]:
    file = {} if is_ours else {"mtime_ns": 0, "ctime_ns": 0, "inode": 1}
    return {"key": key, "size": len(body), "digest": digest(body), "etag": md5(body), **file}
