"""The nodes of the Zarr hierarchies in a product, and the stores that they form."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from zsync.layout import documents as docs
from zsync.layout.checks import examples
from zsync.layout.model import Array, Store
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Node:
    """A directory that holds the metadata of an array or of a group.

    Parameters
    ----------
    directory
        The directory, relative to the product's root.
    store
        The directory of the node at the root of its store.
    kind
        What it is.
    zarr_format
        Its format.
    array
        What its metadata says; None for a group, and for an array whose metadata does not say it.
    """

    directory: str
    store: str
    kind: Literal["array", "group"]
    zarr_format: int
    array: Array | None

    @property
    def path(self) -> str:
        """The path in the store."""
        return below(self.store, self.directory)


@dataclass(frozen=True, slots=True)
class Documents:
    """The metadata documents of a product.

    Parameters
    ----------
    parsed
        Those that are JSON objects, by key.
    fit
        The keys of those that are, further, what their names say.
    names
        The names of all, by directory.
    """

    parsed: Mapping[str, dict[str, Any]]
    fit: frozenset[str]
    names: Mapping[str, frozenset[str]]


def join(*parts: str) -> str:
    """Return the key that directories and a name come to; empty parts are left out."""
    return "/".join(filter(None, parts))


def below(directory: str, key: str) -> str:
    """Return a key, which is at or below a directory, relative to that directory."""
    return key[len(directory) + 1 :] if directory else key


def parent(key: str) -> str:
    """Return the directory that holds a key."""
    return key.rpartition("/")[0]


def lineage(directory: str) -> Iterator[str]:
    """Yield a directory's ancestors, from the product's root, and the directory itself.

    Examples
    --------
    >>> list(lineage("a/b"))
    ['', 'a', 'a/b']
    """
    yield ""
    end = directory.find("/")
    while end >= 0:
        yield directory[:end]
        end = directory.find("/", end + 1)
    if directory:
        yield directory


def read_documents(product: str, keys: Iterable[str], raw: Mapping[str, bytes]) -> tuple[Documents, list[Finding]]:
    """Parse the metadata documents among some keys, and judge each by itself."""
    parsed: dict[str, dict[str, Any]] = {}
    fit: set[str] = set()
    names: defaultdict[str, set[str]] = defaultdict(set)
    findings: list[Finding] = []
    for key in keys:
        directory, _, name = key.rpartition("/")
        names[directory].add(name)
        document, wrong = docs.parse(name, raw[key])
        if document is not None:
            parsed[key] = document
            wrong = docs.problem(name, document) or ""
        if wrong:
            message = f"{key} {wrong}; write the metadata again, or take it out of the source"
            findings.append(Finding("error", "bad-metadata", product, key, message))
            continue
        fit.add(key)
        if missing := docs.omissions(name, document or {}):
            message = (
                f"{key} lacks {', '.join(missing)}, without which some readers cannot open the array; write it again"
            )
            findings.append(Finding("warning", "incomplete-metadata", product, key, message))
    return Documents(parsed, frozenset(fit), {d: frozenset(n) for d, n in names.items()}), findings


def store_prefixes(keys: Iterable[str]) -> frozenset[str]:
    """Return the directories of the stores that keys belong to, as the names of documents tell; "" is the root.

    Examples
    --------
    >>> sorted(store_prefixes(["a.zarr/.zgroup", "a.zarr/t/.zarray", "b.txt", "c/zarr.json"]))
    ['a.zarr', 'c']
    """
    parts = (key.rpartition("/") for key in keys)
    directories = {directory for directory, _, name in parts if name in docs.NODE_NAMES}
    return frozenset(
        directory
        for directory in directories
        if not any(above in directories for above in lineage(directory) if above != directory)
    )


def find_nodes(documents: Documents) -> dict[str, Node]:
    """Return the nodes, by directory."""
    directories = {d for d, names in documents.names.items() if names & docs.NODE_NAMES}
    with_nodes_below = {above for d in directories for above in lineage(d) if above != d}
    nodes = {}
    for directory in sorted(directories):
        store = next(above for above in lineage(directory) if above in directories)
        nodes[directory] = _node(documents, directory, store, leaf=directory not in with_nodes_below)
    return nodes


def _node(documents: Documents, directory: str, store: str, *, leaf: bool) -> Node:
    names = documents.names[directory]
    # Readers prefer v3 where both are there.
    name = next(name for name in (docs.ZARR_JSON, docs.ZARRAY, docs.ZGROUP) if name in names)
    zarr_format = 3 if name == docs.ZARR_JSON else 2
    key = join(directory, name)
    if key in documents.fit:
        document = documents.parsed[key]
        kind = docs.node_kind(name, document)
        array = docs.array_of(below(store, directory), document) if kind == "array" else None
        return Node(directory, store, kind, zarr_format, array)
    # What an unfit zarr.json stands for shows in whether other nodes lie below it.
    unknown: Literal["array", "group"] = "array" if leaf else "group"
    return Node(directory, store, unknown if zarr_format == 3 else docs.node_kind(name, {}), zarr_format, None)


def nearest(nodes: Mapping[str, Node], directory: str) -> Node | None:
    """Return the node at a directory, or else the nearest above it."""
    above = [nodes[d] for d in lineage(directory) if d in nodes]
    return above[-1] if above else None


def build_stores(documents: Documents, nodes: Mapping[str, Node]) -> dict[str, Store]:
    """Return the stores, by prefix."""
    parts: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for key in sorted(documents.parsed):
        directory = parent(key)
        node = nearest(nodes, directory)
        # What looks like metadata among the chunks of an array is none.
        if node is not None and (node.directory == directory or node.kind == "group"):
            parts[node.store][below(node.store, key)] = documents.parsed[key]
    members: defaultdict[str, list[Node]] = defaultdict(list)
    for directory in sorted(nodes):
        members[nodes[directory].store].append(nodes[directory])
    return {
        prefix: Store(
            prefix=prefix,
            zarr_format=nodes[prefix].zarr_format,
            documents=parts[prefix],
            arrays={node.path: node.array for node in of_store if node.array is not None},
            groups=tuple(node.path for node in of_store if node.kind == "group"),
        )
        for prefix, of_store in sorted(members.items())
    }


def structure_findings(product: str, documents: Documents, nodes: Mapping[str, Node]) -> list[Finding]:
    """Return what is wrong with how nodes and metadata lie to each other."""
    findings = [finding for node in nodes.values() for finding in _node_findings(product, documents, nodes, node)]
    findings += _implicit_groups(product, nodes)
    findings += _orphans(product, documents, nodes)
    return findings


def _node_findings(product: str, documents: Documents, nodes: Mapping[str, Node], node: Node) -> Iterator[Finding]:
    names, here = documents.names[node.directory], node.directory or "the product's root"
    v2 = sorted(names & {docs.ZARRAY, docs.ZGROUP})
    if v2 and docs.ZARR_JSON in names:
        yield from _both_formats(product, documents, node)
    if len(v2) == 2:
        message = f"{here} is an array (.zarray) and a group (.zgroup) at once; take one of them away"
        yield Finding("error", "array-and-group", product, join(node.directory, docs.ZARRAY), message)
    key = join(node.directory, next(name for name in sorted(docs.NODE_NAMES) if name in names))
    above = nearest(nodes, parent(node.directory)) if node.directory else None
    if above is not None and above.kind == "array":
        message = (
            f"{here} has metadata of its own inside the array {above.directory or 'at the root'}; move it elsewhere"
        )
        yield Finding("error", "nested-in-array", product, key, message)
    elif above is not None and above.zarr_format != node.zarr_format:
        message = (
            f"{here} is Zarr v{node.zarr_format} inside a v{above.zarr_format} group, through which readers"
            " do not find it; write both in one format"
        )
        yield Finding("warning", "foreign-format", product, key, message)
    if node.array is not None and node.array.grid is None:
        message = f"the chunk grid or key encoding of {here} is not known to zsync: missing chunks cannot be noticed"
        yield Finding("info", "unaccounted-grid", product, key, message)


def _both_formats(product: str, documents: Documents, node: Node) -> Iterator[Finding]:
    """Yield what is to be said of a node that has metadata of Zarr v2 and of v3, as `zarr migrate v3` leaves it.

    Both go up, and readers of each see what their own says: so both must tell of the same chunks.
    """
    here, key = node.directory or "the product's root", join(node.directory, docs.ZARR_JSON)
    v3 = documents.parsed.get(key) if key in documents.fit else None
    is_array = docs.ZARRAY in documents.names[node.directory]
    if v3 is None:
        return
    if is_array != (docs.node_kind(docs.ZARR_JSON, v3) == "array"):
        message = f"{here} is an array in one of Zarr v2 and v3 and a group in the other; take one of them away"
        yield Finding("error", "two-formats", product, key, message)
        return
    if not node.path:
        message = f"{here} has metadata of Zarr v2 and of v3: both are published, and readers of either find it"
        yield Finding("info", "two-formats", product, key, message)
    other = join(node.directory, docs.ZARRAY)
    if is_array and other in documents.fit:
        yield from _disagreement(product, docs.array_of("", documents.parsed[other]), docs.array_of("", v3), here, key)


def _disagreement(product: str, v2: Array, v3: Array, here: str, key: str) -> Iterator[Finding]:
    """Yield that two formats tell of other chunks, or of another extent.

    A smaller extent in v2 is what appending through v3 leaves: readers of v2 see what they saw before.
    """
    if v2.grid is None or v3.grid is None:
        return
    fits = len(v2.shape) == len(v3.shape) and all(a <= b for a, b in zip(v2.shape, v3.shape, strict=True))
    same_keys = v2.grid.encoding == v3.grid.encoding or (
        v3.grid.encoding.name == "v2" and len(v3.shape) < 2 and len(v2.shape) == len(v3.shape)
    )
    said = f"{here} has shape {list(v2.shape)} in .zarray and {list(v3.shape)} in zarr.json"
    if not same_keys or v2.grid.chunks != v3.grid.chunks:
        message = f"{here} has other chunks in .zarray than in zarr.json; write it again, or take one of them away"
        yield Finding("error", "two-formats", product, key, message)
    elif not fits:
        yield Finding("error", "two-formats", product, key, f"{said}; write .zarray again, or take one of them away")
    elif v2.shape != v3.shape:
        yield Finding("warning", "two-formats", product, key, f"{said}: readers of Zarr v2 see that much of it")


def _implicit_groups(product: str, nodes: Mapping[str, Node]) -> Iterator[Finding]:
    missing: dict[str, Node] = {}
    for node in nodes.values():
        for directory in lineage(node.directory):
            if len(directory) > len(node.store) and directory not in nodes:
                above = nearest(nodes, directory)
                if above is not None and above.kind == "group":
                    missing.setdefault(directory, above)
    for directory, more in examples(missing):
        name = docs.ZGROUP if missing[directory].zarr_format == 2 else docs.ZARR_JSON
        message = (
            f"the group {directory} has no {name}: what is below it is found through consolidated metadata only;"
            f" create the group{more}"
        )
        yield Finding("warning", "implicit-group", product, join(directory, name), message)


def _orphans(product: str, documents: Documents, nodes: Mapping[str, Node]) -> Iterator[Finding]:
    lonely = [directory for directory in documents.names if _is_lonely(nodes, directory)]
    lost = _lost_roots(documents, nodes, lonely)
    for directory, more in examples(lost):
        name = directory or "the product's root"
        message = (
            f"{name} has attributes (.zattrs) and arrays, and no .zgroup: as a store it cannot be opened{more}; restore"
            " it, or remove the .zattrs, or set damaged: allow"
        )
        yield Finding("error", "lost-metadata", product, directory, message)
    # Readers look for the group first: consolidated metadata without one is a store that cannot be opened.
    levels: tuple[tuple[str, Literal["error", "warning"]], ...] = ((docs.ZMETADATA, "error"), (docs.ZATTRS, "warning"))
    for name, level in levels:
        for key, more in examples(join(d, name) for d in lonely if name in documents.names[d]):
            allow = ", or set damaged: allow" if level == "error" else ""
            message = (
                f"{key} belongs to no node: neither .zgroup nor .zarray is beside it{more}; restore the one that"
                f" was{allow}"
            )
            yield Finding(level, "orphan-metadata", product, key, message)


def _lost_roots(documents: Documents, nodes: Mapping[str, Node], lonely: Iterable[str]) -> list[str]:
    """Return the directories that were the roots of stores: there are attributes, and arrays beside them."""
    above_arrays = {parent(node.directory) for node in nodes.values() if node.kind == "array" and node.directory}
    return [
        directory
        for directory in lonely
        if docs.ZATTRS in documents.names[directory] and directory in above_arrays and nearest(nodes, directory) is None
    ]


def _is_lonely(nodes: Mapping[str, Node], directory: str) -> bool:
    node = nearest(nodes, directory)
    # What has such a name inside an array is counted as foreign there.
    return directory not in nodes and (node is None or node.kind == "group")
