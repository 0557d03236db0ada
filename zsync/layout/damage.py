"""What a store has lost: damage is told from removal by what is left.

A node whose document is gone while chunks or nodes below it are still there is damaged; one that is gone with all that
was below it was removed. Which nodes there were is told by consolidated metadata, by what is published, and by chunks
that belong to no array.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from zsync.layout.checks import examples
from zsync.layout.documents import NODE_NAMES, ZARR_JSON, ZARRAY, ZMETADATA
from zsync.layout.nodes import below, join, lineage, parent
from zsync.layout.published import members_of
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from zsync.layout.nodes import Documents

_INDEX = r"(?:0|[1-9][0-9]*)"
_CHUNK = re.compile(rf"c|(?:c[./])?{_INDEX}(?:[./]{_INDEX})*")
_ADVICE = "; restore what is missing, or remove all of it, or set damaged: allow"


def is_chunk_like(relative: str) -> bool:
    """Return whether a key, relative to an array, is one that chunks have in any of the usual encodings.

    Examples
    --------
    >>> [is_chunk_like(key) for key in ("0", "1.0", "1/0", "c", "c/1/0", "c.0", "01", "readme")]
    [True, True, True, True, True, True, False, False]
    """
    return _CHUNK.fullmatch(relative) is not None


def is_node_document(key: str) -> bool:
    """Return whether a key is that of a document that makes its directory an array or a group."""
    return key.rpartition("/")[2] in NODE_NAMES


def unlisted_arrays(product: str, loose: Iterable[str], nodes: Collection[str]) -> list[Finding]:
    """Return an error for each directory of chunks that no array is there for.

    Parameters
    ----------
    product
        The product's name.
    loose
        Keys that belong to no array.
    nodes
        The directories that have metadata of their own.
    """
    chunks: defaultdict[str, list[str]] = defaultdict(list)
    others: set[str] = set()
    for key in loose:
        directory = _array_of(key, nodes)
        if directory is None:
            others.update(lineage(parent(key)))
        else:
            chunks[directory].append(key)
    # Where other files lie among them, numbers may be the names of anything.
    lost = {directory: min(keys) for directory, keys in chunks.items() if directory not in others}
    return [
        _finding(
            product,
            lost[array],
            f"this looks like a chunk of the array {array}, and {array} has neither .zarray nor zarr.json{more}",
        )
        for array, more in examples(lost)
    ]


def _array_of(key: str, nodes: Collection[str]) -> str | None:
    """Return the directory of the array that a key would be a chunk of, which is none of some nodes; None if none."""
    for directory in lineage(parent(key)):
        if directory and directory not in nodes and is_chunk_like(below(directory, key)):
            return directory
    return None


def unkept_promises(product: str, keys: Sequence[str], documents: Documents, nodes: Collection[str]) -> list[Finding]:
    """Return an error for each array that consolidated metadata lists, that has no document and of which some is left.

    Of groups that says nothing: those that never had a document of their own are listed too.

    Parameters
    ----------
    product
        The product's name.
    keys
        All its keys.
    documents
        Its metadata.
    nodes
        The directories that have metadata of their own.
    """
    listed = {
        join(parent(key), name)
        for key, document in documents.parsed.items()
        if key.rpartition("/")[2] in (ZARR_JSON, ZMETADATA)
        for name, member in members_of(document).items()
        if name.rpartition("/")[2] == ZARRAY or (isinstance(member, dict) and member.get("node_type") == "array")
    }
    missing = {parent(key): key for key in listed if parent(key) not in nodes}
    left = _what_is_left(missing, keys, lambda relative, _: _is_of_node(relative))
    return [
        _finding(
            product,
            left[directory],
            _lost(missing[directory], "consolidated metadata lists it", left[directory]) + more,
        )
        for directory, more in examples(left)
    ]


def lost_nodes(product: str, gone: Iterable[str], keys: Sequence[str], published: Collection[str]) -> list[Finding]:
    """Return an error for each node that was published, has no document any more, and of which some is left.

    Parameters
    ----------
    product
        The product's name.
    gone
        Keys that are published and not in the source.
    keys
        Keys of the source.
    published
        Keys that are published.
    """
    documents = {parent(key): key for key in gone if key.rpartition("/")[2] in NODE_NAMES}
    if not documents:
        return []
    nodes = {parent(key) for key in keys if key.rpartition("/")[2] in NODE_NAMES}
    missing = {directory: key for directory, key in documents.items() if directory not in nodes}
    # What is there for the first time is nothing that was left.
    left = _what_is_left(missing, keys, lambda _, key: key in published)
    # Few for many in one group; but every store for itself, of which the root is lost.
    by_group: defaultdict[str, list[str]] = defaultdict(list)
    for directory in left:
        above = [place for place in lineage(directory) if place != directory]
        if not any(place in left for place in above):
            by_group[next((place for place in reversed(above) if place in nodes), missing[directory])].append(directory)
    return [
        _finding(product, missing[directory], _lost(missing[directory], "it is published", left[directory]) + more)
        for directories in by_group.values()
        for directory, more in examples(directories)
    ]


def lost_arrays(product: str, chunks: Iterable[tuple[str, str]]) -> list[Finding]:
    """Return an error for each array that was published, is something else now, and of which chunks are left.

    Parameters
    ----------
    product
        The product's name.
    chunks
        Keys that lie in no array, with the directory of the array that they were published as chunks of.
    """
    left: dict[str, str] = {}
    for key, directory in sorted(chunks):
        left.setdefault(directory, key)
    return [
        _finding(
            product,
            left[directory],
            f"{directory or 'the root of the product'} is published as an array, is none any more, and its chunk"
            f" {left[directory]} is still there{more}",
        )
        for directory, more in examples(left)
    ]


def lost_attributes(product: str, prefix: str, gone: Iterable[str], published: Mapping[str, Any]) -> list[Finding]:
    """Return an error for each node that stays, and of which the attributes are gone that readers saw.

    Parameters
    ----------
    product
        The product's name.
    prefix
        The store's directory.
    gone
        Keys of attributes, relative to the store, whose node has its own document still.
    published
        Documents as readers see them, by key relative to the store's root.
    """
    held = {key: published[key] for key in gone if published.get(key)}
    found = []
    for key, more in examples(held):
        names = ", ".join(sorted(held[key])[:4])
        message = f"{join(prefix, key)} is gone, and what it is of is not: readers would lose {names}{more}"
        found.append(_finding(product, join(prefix, key), message))
    return found


def _what_is_left(
    directories: Collection[str], keys: Iterable[str], counts: Callable[[str, str], bool]
) -> dict[str, str]:
    """Return the first key that counts below each directory of which there is one."""
    found: dict[str, str] = {}
    for key in keys if directories else ():
        for above in lineage(parent(key)):
            if above in directories and above not in found and counts(below(above, key), key):
                found[above] = key
    return found


def _is_of_node(relative: str) -> bool:
    """Return whether a key, relative to a directory, is of a node there or below: its chunk, or a document."""
    return is_chunk_like(relative) or relative.rpartition("/")[2] in NODE_NAMES


def _lost(key: str, why: str, left: str) -> str:
    """Return what to say of a node that has lost its document."""
    directory, _, name = key.rpartition("/")
    is_array = name == ZARRAY or (name == ZARR_JSON and is_chunk_like(below(directory, left)))
    node = f"the {'array' if is_array else 'group'} {directory or 'at the root of the product'}"
    return f"{node} has lost its {name}: {why}, and {left} is still there"


def _finding(product: str, key: str, message: str) -> Finding:
    return Finding("error", "lost-metadata", product, key, message + _ADVICE)
