"""Consolidated metadata: whether what a store has is true, and what is to be published where it is not.

Sources: zarr-python's ``.zmetadata`` (format 1), as GDAL and others read it; zarr-specs pull request 373 and
zarr-python for the ``consolidated_metadata`` inside a v3 group's ``zarr.json``.

Two things are less than obvious. zarr-python cannot open a store that lists a node without the groups above it: groups
without metadata of their own are therefore listed too. And it cannot find nodes of one parent that do not stand
together.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from zsync.layout.canonical import same_document
from zsync.layout.documents import ZARR_JSON, ZARRAY, ZATTRS, ZGROUP, ZMETADATA
from zsync.layout.nodes import below, join, lineage, parent
from zsync.layout.strict import text, unfit, with_fill

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zsync.layout.model import Store

_NODE_NAMES = {2: (ZARRAY, ZGROUP), 3: (ZARR_JSON,)}
_NAMES = {2: (ZARRAY, ZGROUP, ZATTRS, ZMETADATA), 3: (ZARR_JSON,)}


@dataclass(frozen=True, slots=True)
class _Member:
    """A node, as consolidated metadata knows it."""

    kind: Literal["array", "group"]
    document: Mapping[str, Any]
    attributes: Mapping[str, Any]  # v2: from the document beside it; v3 has them inside


Consolidating = Literal["auto", "always", "never", "as-is", "renew"]


@dataclass(frozen=True, slots=True)
class Remade:
    """What is done about the consolidated metadata of one group.

    Attributes
    ----------
    key
        The object that holds it, relative to the store's root.
    what
        ``added`` where the source has none, ``renewed`` or ``removed`` where the source's is untrue; ``missing`` or
        ``untrue`` where it goes up as it is all the same.
    body
        The object to publish in place of the source's; None: none in particular (what was removed of v2 is no object).
    unfit
        What strict JSON cannot say, and why it therefore goes up as it is.
    """

    key: str
    what: Literal["added", "renewed", "removed", "missing", "untrue"]
    body: bytes | None = None
    unfit: str | None = None


def remade(store: Store, extra: Mapping[str, Any] = {}, how: Consolidating = "auto") -> list[Remade]:
    """Return what is done about consolidated metadata that is missing or untrue.

    The root group's is made where it is missing; a subgroup's only where there is one that is untrue. What is made is
    what zarr-python would write for what the target will hold, in strict JSON, and lists groups without metadata of
    their own as well.

    Parameters
    ----------
    store
        The store as the source has it.
    extra
        Parsed documents, by key relative to the store's root, of what will remain in the target though the source lacks
        it. The source wins where the two cannot both be.
    how
        ``auto`` and ``always`` make what is missing or untrue; ``renew`` only what is untrue; ``never`` makes none, and
        takes away what is untrue; ``as-is`` leaves all as it stands.

    Returns
    -------
    list
        Empty where what the source has is present and true.
    """
    if "" not in store.groups:
        return []
    group_of = {2: _group_v2, 3: _group_v3}
    # Where a store has both, readers of each format find what is listed in it.
    formats = [store.zarr_format, *([2] if store.zarr_format == 3 and ZGROUP in store.documents else [])]
    groups: list[_Group | None] = []
    for zarr_format in formats:
        documents = _union(store, extra, zarr_format)
        members = _members(documents, zarr_format)
        groups += [
            group_of[zarr_format](documents, path, _below(members, path))
            for path, member in members.items()
            if member.kind == "group"
        ]
    return [made for group in groups if group is not None and (made := _remade(group, how)) is not None]


@dataclass(frozen=True, slots=True)
class _Group:
    """A group of which the consolidated metadata is missing or untrue."""

    key: str
    has_one: bool
    with_one: Mapping[str, Any]  # its document with consolidated metadata that is true
    without: Mapping[str, Any] | None  # and with none; None: then there is no such object


def _remade(group: _Group, how: Consolidating) -> Remade | None:
    if how == "as-is":
        return Remade(group.key, "untrue" if group.has_one else "missing")
    if how in ("renew", "never") and not group.has_one:
        return None
    document = group.without if how == "never" else group.with_one
    if document is not None and (reason := unfit(document)) is not None:
        return Remade(group.key, "untrue" if group.has_one else "missing", unfit=reason)
    body = None if document is None else text(document)
    return Remade(group.key, "removed" if how == "never" else "renewed" if group.has_one else "added", body)


def _union(store: Store, extra: Mapping[str, Any], zarr_format: int) -> dict[str, Any]:
    """Return the documents of one format that the target will hold."""
    names = _NAMES[zarr_format]
    own = {key: doc for key, doc in store.documents.items() if _name(key) in names}
    others = {key: doc for key, doc in extra.items() if _name(key) in names and isinstance(doc, dict)}
    own_kinds, other_kinds = _kinds(own, zarr_format), _kinds(others, zarr_format)
    occupied = {above for path in own_kinds for above in lineage(path)}

    def overruled(path: str) -> bool:
        if other_kinds.get(path) == "array" and path in occupied and own_kinds.get(path) != "array":
            return True
        # What is an array in the source holds no nodes, and is no group.
        arrays = [above for above in lineage(path) if own_kinds.get(above) == "array"]
        return bool(arrays) and (path not in arrays or other_kinds.get(path) == "group")

    return {key: doc for key, doc in others.items() if not overruled(parent(key))} | own


def _kinds(documents: Mapping[str, Any], zarr_format: int) -> dict[str, Literal["array", "group"]]:
    """Return what the documents of nodes make of their directories."""
    kinds: dict[str, Literal["array", "group"]] = {}
    for key, document in documents.items():
        name, path = _name(key), parent(key)
        if name == ZARRAY or (name == ZARR_JSON and document.get("node_type") == "array"):
            kinds[path] = "array"
        elif name in _NODE_NAMES[zarr_format]:
            kinds.setdefault(path, "group")
    return kinds


def _members(documents: Mapping[str, Any], zarr_format: int) -> dict[str, _Member]:
    """Return all nodes by path, in zarr-python's order, groups without metadata of their own among them."""
    kinds = _kinds(documents, zarr_format)
    arrays = {path for path, kind in kinds.items() if kind == "array"}
    paths = {above for path in kinds for above in lineage(path)}
    visible = [path for path in paths if not any(above in arrays for above in lineage(path) if above != path)]
    return {
        path: _member(documents, zarr_format, path, kinds.get(path, "group")) for path in sorted(visible, key=_order)
    }


def _member(documents: Mapping[str, Any], zarr_format: int, path: str, kind: Literal["array", "group"]) -> _Member:
    if zarr_format == 2:
        document = documents.get(join(path, ZARRAY if kind == "array" else ZGROUP), {"zarr_format": 2})
        return _Member(kind, document, documents.get(join(path, ZATTRS), {}))
    absent = {"attributes": {}, "zarr_format": 3, "node_type": "group"}
    return _Member(kind, documents.get(join(path, ZARR_JSON), absent), {})


def _order(path: str) -> tuple[int, str, str, str]:
    # As zarr-python orders, and siblings together, which by zarr-python's order those of parents alike but for case
    # are not.
    above, _, name = path.rpartition("/")
    return path.count("/") + bool(path), above, unicodedata.normalize("NFKC", name).casefold(), name


def _below(members: Mapping[str, _Member], group: str) -> dict[str, _Member]:
    """Return the members below a group by their paths in it, in order."""
    start = f"{group}/" if group else ""
    return {below(group, path): m for path, m in members.items() if path != group and path.startswith(start)}


def _group_v2(documents: Mapping[str, Any], path: str, members: Mapping[str, _Member]) -> _Group | None:
    key = join(path, ZMETADATA)
    if path and key not in documents:
        return None
    own = _member(documents, 2, path, "group")
    entries: dict[str, Any] = {}
    for member_path, member in {"": own, **members}.items():
        entries[join(member_path, ZATTRS)] = member.attributes
        if member.kind == "array":
            entries[join(member_path, ZARRAY)] = with_fill(dict(member.document))
        else:
            # zarr-python lists the members of a group without this one by one, from the store.
            inner = {"consolidated_metadata": _inline({})} if member_path else {}
            entries[join(member_path, ZGROUP)] = _plain(member.document) | inner
    if _true_v2(documents.get(key), entries):
        return None
    return _Group(key, key in documents, {"metadata": entries, "zarr_consolidated_format": 1}, None)


def _true_v2(given: Any, entries: Mapping[str, Any]) -> bool:
    if not isinstance(given, dict) or given.get("zarr_consolidated_format") != 1:
        return False
    listed = given.get("metadata")
    # A node without attributes may go without an entry for them.
    if not isinstance(listed, dict) or not {key for key, entry in entries.items() if entry} <= listed.keys():
        return False
    return _same_entries(listed, entries) and _siblings_together(parent(key) for key in listed)


def _group_v3(documents: Mapping[str, Any], path: str, members: Mapping[str, _Member]) -> _Group | None:
    key = join(path, ZARR_JSON)
    document = documents.get(key)
    if document is None:
        return None
    given = document.get("consolidated_metadata")
    if path and not given:
        return None
    entries = {
        name: {
            **with_fill(_plain(member.document)),
            **({"consolidated_metadata": _inline({})} if member.kind == "group" else {}),
        }
        for name, member in members.items()
    }
    if _true_v3(given, entries):
        return None
    return _Group(key, bool(given), {**document, "consolidated_metadata": _inline(entries)}, _plain(document))


def _true_v3(given: Any, entries: Mapping[str, Any]) -> bool:
    if not isinstance(given, dict) or given.get("kind") != "inline":
        return False
    listed = given.get("metadata")
    if not isinstance(listed, dict) or listed.keys() != entries.keys():
        return False
    return _same_entries(listed, entries) and _siblings_together(listed)


def _same_entries(listed: Mapping[str, Any], entries: Mapping[str, Any]) -> bool:
    return all(
        key in entries and isinstance(entry, dict) and same_document(entry, entries[key])
        for key, entry in listed.items()
    )


def _siblings_together(paths: Iterable[str]) -> bool:
    """Return whether, at each depth, the nodes of one parent follow one another, as zarr-python needs them to."""
    by_depth = sorted(dict.fromkeys(path for path in paths if path), key=lambda path: path.count("/"))
    parents = [group for group, _ in groupby(by_depth, key=parent)]
    return len(parents) == len(set(parents))


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node's document without consolidated metadata of its own."""
    return {key: value for key, value in document.items() if key != "consolidated_metadata"}


def _inline(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "inline", "must_understand": False, "metadata": entries}


def _name(key: str) -> str:
    return key.rpartition("/")[2]
