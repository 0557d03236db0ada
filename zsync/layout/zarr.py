"""What the keys of a Zarr store, or of a tree of stores, are.

A key belongs to the nearest node at or above its directory, and nodes are known from metadata, never guessed from
names. The stages and ranks follow from the promises (DESIGN, "The protocol of a publish"): a document that makes a node
visible goes after all that it refers to.

Sources: Zarr v2 specification, "Logical storage paths"; Zarr v3 core specification, "Stored representation".
"""

from __future__ import annotations

import array
from collections import defaultdict
from typing import TYPE_CHECKING

from zsync.layout.checks import examples
from zsync.layout.damage import unkept_promises, unlisted_arrays
from zsync.layout.documents import METADATA_NAMES, ZARR_JSON, ZARRAY, ZATTRS, ZGROUP, ZMETADATA
from zsync.layout.files import NCZARR_ARRAY, NCZARR_GROUP, file_verdict
from zsync.layout.nodes import below, build_stores, find_nodes, join, parent, read_documents, structure_findings
from zsync.layout.objects import Verdict, Verdicts
from zsync.layout.recognise import documents_of_zarr, reference_directories, what_else
from zsync.layout.units import STORE_SUFFIX
from zsync.words import Finding, Kind, Role, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from zsync.layout.grid import Grid
    from zsync.layout.model import Store
    from zsync.layout.nodes import Node

# The place of a document among those of its node. The one that makes the node visible comes last, and a group's
# consolidated metadata after that.
_GROUP_ORDER = {ZATTRS: 0, ZGROUP: 1, ZARRAY: 1, ZMETADATA: 2, ZARR_JSON: 2}
_ARRAY_ORDER = {ZATTRS: 0, ZGROUP: 1, ZARRAY: 1, ZARR_JSON: 1}
_ROOT_ARRAY_ORDER = {ZATTRS: 0, ZGROUP: 1, ZARRAY: 2, ZARR_JSON: 2}
_RANKS_OF_GROUP = 4  # more than a group has documents


def describe_zarr(
    product: str, keys: Sequence[str], documents: Mapping[str, bytes], sizes: Sequence[int] | None
) -> tuple[pa.Table, dict[str, Store], list[Finding]]:
    """Return what the keys of a `zarr` product are: its objects, its stores, and what is wrong with it."""
    metadata = documents_of_zarr(keys)
    read, findings = read_documents(product, metadata, documents)
    nodes = find_nodes(read)
    findings += structure_findings(product, read, nodes)
    if keys and not nodes:
        other = what_else(keys)
        message = "there is no Zarr store here: no zarr.json, .zgroup or .zarray; check the product's path and kind"
        if other is not None:
            message = f"there is no Zarr store here, but {other}; set kind: files"
        findings.append(Finding("error", "no-store", product, min(keys), message))
    verdicts, notes = Verdicts(), _Notes()
    codes = _judge(keys, nodes, verdicts, notes)
    findings += unkept_promises(product, keys, read, nodes)
    findings += unlisted_arrays(product, notes.loose(), nodes)
    if sizes is not None:
        _note_empty_chunks(keys, codes, sizes, verdicts, notes)
    return verdicts.table(keys, codes), build_stores(read, nodes), findings + notes.findings(product)


class _Notes:
    """The keys that something is wrong with, by what is wrong and what it is said of."""

    def __init__(self) -> None:
        self.foreign: defaultdict[str, list[str]] = defaultdict(list)
        self.outside: defaultdict[_InGrid, list[str]] = defaultdict(list)
        self.wrong_separator: defaultdict[_InGrid, list[str]] = defaultdict(list)
        self.empty: defaultdict[str, list[str]] = defaultdict(list)

    def loose(self) -> list[str]:
        """Return the keys that may be chunks of which the array is gone: in a group, or in what is named a store."""
        named = [key for key in self.foreign[_Nowhere.where] if f"{STORE_SUFFIX}/" in key]
        return [k for k in (*self.foreign[_InGroup.where], *named) if k.rpartition("/")[2] not in METADATA_NAMES]

    def findings(self, product: str) -> list[Finding]:
        """Return the findings, few for many keys."""
        findings = []
        for where, keys in self.foreign.items():
            for key, more in examples(keys, limit=1):
                message = f"neither metadata nor a chunk, {where}; it is published as it stands, exclude it if unwanted"
                findings.append(Finding("warning", "foreign", product, key, message + more))
        for scope, keys in self.outside.items():
            for key, more in examples(keys):
                findings.append(Finding("error", "outside-grid", product, key, scope.outside_message(key, more)))
        for scope, keys in self.wrong_separator.items():
            for key, more in examples(keys, limit=1):
                findings.append(Finding("error", "wrong-separator", product, key, scope.separator_message() + more))
        for name, keys in self.empty.items():
            for key, more in examples(keys):
                message = (
                    f"this chunk of the array {name} has no bytes, as a writer that crashed leaves it; write it again"
                )
                findings.append(Finding("error", "empty-chunk", product, key, message + more))
        return findings


class _Nowhere:
    """Outside any store."""

    where = "outside any Zarr store"

    def __init__(self, foreign: Verdict, verdicts: Verdicts, notes: _Notes) -> None:
        self.verdicts = verdicts
        self.notes = notes
        self._foreign = verdicts.number(foreign)

    def data(self, key: str) -> int:
        """Return the code of a key that is no metadata: a raster, what belongs to one, an index, or nothing known."""
        verdict = file_verdict(key, Kind.ZARR)
        return self.foreign(key) if verdict.role is Role.FOREIGN else self.verdicts.number(verdict)

    def metadata(self, key: str) -> int:
        """Return the code of a key whose name is that of metadata: of a store that is gone, if it is only there."""
        self.notes.foreign[self.where].append(key)
        return self.verdicts.number(Verdict(Role.FOREIGN, Stage.DATA, _GROUP_ORDER[key.rpartition("/")[2]]))

    def foreign(self, key: str) -> int:
        self.notes.foreign[self.where].append(key)
        return self._foreign


class _InReferences(_Nowhere):
    """In a directory of references that kerchunk keeps in Parquet: what tells of them comes after them."""

    def __init__(self, store: str | None, verdicts: Verdicts, notes: _Notes) -> None:
        super().__init__(Verdict(Role.FOREIGN, Stage.DATA, store=store), verdicts, notes)
        self._index = verdicts.number(file_verdict(ZMETADATA, Kind.ZARR, store))

    def data(self, key: str) -> int:  # noqa: ARG002 - every key is data here
        return self._foreign

    def metadata(self, key: str) -> int:  # noqa: ARG002
        return self._index


class _InGroup(_Nowhere):
    """In a group, and in none of its nodes."""

    where = "in a group"

    def __init__(self, node: Node, verdicts: Verdicts, notes: _Notes) -> None:
        super().__init__(Verdict(Role.FOREIGN, Stage.DATA, store=node.store), verdicts, notes)
        self.store = node.store

    def data(self, key: str) -> int:
        if key.rpartition("/")[2] in NCZARR_GROUP:
            return self._document(key, Role.INDEX, _GROUP_ORDER[ZATTRS])
        verdict = file_verdict(key, Kind.ZARR, self.store)
        if verdict.role in (Role.FOREIGN, Role.INDEX):
            self.foreign(key)
        return self._foreign if verdict.role is Role.FOREIGN else self.verdicts.number(verdict)

    def metadata(self, key: str) -> int:
        name = key.rpartition("/")[2]
        return self._document(key, Role.CONSOLIDATED if name == ZMETADATA else Role.METADATA, _GROUP_ORDER[name])

    def _document(self, key: str, role: Role, rank: int) -> int:
        """Return the code of a document of the group that a key lies in."""
        directory = key.rpartition("/")[0]
        if directory == self.store:
            return self.verdicts.number(Verdict(role, Stage.ROOT, rank, self.store))
        depth = below(self.store, directory).count("/") + 1
        return self.verdicts.number(Verdict(role, Stage.GROUP, rank - _RANKS_OF_GROUP * depth, self.store))


class _InArray(_Nowhere):
    """In an array whose chunks cannot be told from other keys."""

    where = "in an array"

    def __init__(self, node: Node, verdicts: Verdicts, notes: _Notes) -> None:
        super().__init__(Verdict(Role.FOREIGN, Stage.DATA, 0, node.store, node.path), verdicts, notes)
        self.node = node
        self.chunk = verdicts.number(Verdict(Role.CHUNK, Stage.DATA, 0, node.store, node.path))
        stage = Stage.ARRAY if node.path else Stage.ROOT
        self._nczarr = verdicts.number(Verdict(Role.INDEX, stage, _ARRAY_ORDER[ZATTRS], node.store, node.path))

    @property
    def name(self) -> str:
        return self.node.directory or "at the product's root"

    def data(self, key: str) -> int:
        return self.chunk if self._extra(key) is None else self._nczarr

    def _extra(self, key: str) -> str | None:
        """Return the name of a document that NCZarr keeps with an array."""
        directory, _, name = key.rpartition("/")
        return name if name in NCZARR_ARRAY and directory == self.node.directory else None

    def metadata(self, key: str) -> int:
        directory, _, name = key.rpartition("/")
        stage, order = (Stage.ARRAY, _ARRAY_ORDER) if self.node.path else (Stage.ROOT, _ROOT_ARRAY_ORDER)
        if directory != self.node.directory or name not in order:
            return self.foreign(key)
        return self.verdicts.number(Verdict(Role.METADATA, stage, order[name], self.node.store, self.node.path))


class _InGrid(_InArray):
    """In an array whose grid is known."""

    def __init__(self, node: Node, grid: Grid, verdicts: Verdicts, notes: _Notes) -> None:
        super().__init__(node, verdicts, notes)
        self.grid = grid
        self.extent = grid.extent  # once, not once a key
        self.offset = len(node.directory) + 1 if node.directory else 0
        self.inside, self.outside = (
            verdicts.number(Verdict(Role.CHUNK, Stage.DATA, 0, node.store, node.path, in_grid))
            for in_grid in (True, False)
        )

    def data(self, key: str) -> int:
        index = self.grid.encoding.parse(key[self.offset :], len(self.extent))
        if index is None:
            return self._no_chunk(key)
        for number, end in zip(index, self.extent, strict=True):
            if number >= end:
                self.notes.outside[self].append(key)
                return self.outside
        return self.inside

    def _no_chunk(self, key: str) -> int:
        if self._extra(key) is not None:
            return self._nczarr
        if self.grid.encoding.other().parse(key[self.offset :], len(self.extent)) is None:
            return self.foreign(key)
        self.notes.wrong_separator[self].append(key)
        return self._foreign

    def outside_message(self, key: str, more: str) -> str:
        """Return what to say of a chunk, and more like it, that lies outside the grid."""
        index, shape, chunks = self.grid.index(key[self.offset :]) or (), self.grid.shape, self.grid.chunks
        return (
            f"chunk {list(index)} lies outside the grid {list(self.extent)} of the array {self.name} (shape"
            f" {list(shape)}, chunks {list(chunks)}){more}; remove the leftover chunk, or open the array again and"
            " resize it, or set outside_grid: skip to leave it out"
        )

    def separator_message(self) -> str:
        """Return what to say of chunks written with another separator."""
        own, other = self.grid.encoding.separator, self.grid.encoding.other().separator
        return (
            f"the array {self.name} has {own!r} between the numbers of a chunk's key, this chunk has {other!r}, so that"
            f" readers take it for missing; say {other!r} in the array's metadata, or remove the leftover chunk"
        )


def judge(keys: Sequence[str], nodes: Mapping[str, Node]) -> pa.Table:
    """Return what keys are among known nodes, whatever may be wrong with them."""
    verdicts = Verdicts()
    return verdicts.table(keys, _judge(keys, nodes, verdicts, _Notes()))


def _judge(keys: Sequence[str], nodes: Mapping[str, Node], verdicts: Verdicts, notes: _Notes) -> Sequence[int]:
    """Return the code of each key's verdict."""
    nowhere = _Nowhere(Verdict(Role.FOREIGN, Stage.DATA), verdicts, notes)
    scopes = {directory: _scope(node, verdicts, notes) for directory, node in nodes.items()}
    scopes.setdefault("", nowhere)
    for directory in reference_directories(keys):
        scopes[directory] = _InReferences(None, verdicts, notes)
    codes = array.array("i")
    for key in keys:
        directory, _, name = key.rpartition("/")
        if directory not in scopes:
            _inherit(scopes, directory)
        scope = scopes[directory]
        codes.append(scope.metadata(key) if name in METADATA_NAMES else scope.data(key))
    return codes


def _scope(node: Node, verdicts: Verdicts, notes: _Notes) -> _Nowhere:
    if node.kind == "group":
        return _InGroup(node, verdicts, notes)
    if node.array is None or node.array.grid is None:
        return _InArray(node, verdicts, notes)
    return _InGrid(node, node.array.grid, verdicts, notes)


def _inherit(scopes: dict[str, _Nowhere], directory: str) -> None:
    """Give a directory, and those above it that have none, the scope of the nearest that has one."""
    without = []
    while directory not in scopes:
        without.append(directory)
        directory = parent(directory)
    for child in without:
        scopes[child] = scopes[directory]


def _note_empty_chunks(
    keys: Sequence[str], codes: Sequence[int], sizes: Sequence[int], verdicts: Verdicts, notes: _Notes
) -> None:
    for key, code, size in zip(keys, codes, sizes, strict=True):
        if size == 0 and (verdict := verdicts.known[code]).role is Role.CHUNK:
            array = join(verdict.store or "", verdict.array or "").strip("/")
            notes.empty[array or "at the product's root"].append(key)
