"""What a document names, and in which order documents that name each other go.

A document is looked at as far as it was read: JSON as a whole, if it is whole; other text by the words and the quoted
strings in it. What it names counts only where it is one of the objects that are known, so that no form has to be known.

Sources: STAC specification, "Relation types"; RFC 3986.
"""

from __future__ import annotations

import html
import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

Node = TypeVar("Node")
Place = tuple[str, str]  # product and key

# Links that lead up, or to the document itself: what they lead to names the document, not the other way round.
_UPWARDS = frozenset({"self", "root", "parent", "collection", "up", "canonical", "prev", "previous", "first", "start"})
_BINARY = (b"SQLite format 3\0", b"PAR1", b"fgb\x03", b"ARROW1")  # GeoPackage and tile indexes, Parquet, FlatGeobuf
_WORD = re.compile(r"[^\s\"'`<>|()\[\]{},;=]+")
_QUOTED = re.compile(r"\"([^\"\n]+)\"|'([^'\n]+)'|>([^<>\n]+)<")
_ENCODED = re.compile(r"[%?#&\\]")
_MOST = 1024  # characters of a name
_OTHERWISE = (b"%", b"&", b"\\")  # with these a name may be written in other letters than its own
_FEW_ENDS = 64  # of more it takes as long to look for all as to read the document


def is_binary_index(head: bytes) -> bool:
    """Return whether a file is of a binary form in which names of others are kept; which, its head does not tell."""
    return head.startswith(_BINARY)


def named_in(head: bytes, *, is_whole: bool) -> list[str]:
    """Return what a document may name: paths and URLs, as they are written in it.

    Parameters
    ----------
    head
        Its bytes, or its first ones.
    is_whole
        They are all.

    Examples
    --------
    >>> named_in(b'{"links": [{"rel": "root", "href": "../c.json"}, {"rel": "item", "href": "i.json"}]}', is_whole=True)
    ['links', 'rel', 'item', 'href', 'i.json']
    """
    if b"\0" in head:
        return []
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if is_whole and text[:1] in ("{", "["):
        try:
            return _strings(json.loads(text))
        except (ValueError, RecursionError):  # perhaps JSON line by line
            pass
    words = _WORD.findall(text)
    words += [part for found in _QUOTED.findall(text) for part in found if part]
    words += text.splitlines()
    return list(dict.fromkeys(word.strip() for word in words if len(word) <= _MOST))


def _strings(document: object) -> list[str]:
    found: dict[str, None] = {}
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if isinstance(value.get("rel"), str) and value["rel"].lower() in _UPWARDS and "href" in value:
                continue
            for name, inner in reversed(value.items()):
                pending += [inner, name]
        elif isinstance(value, list):
            pending += reversed(value)
        elif isinstance(value, str) and 0 < len(value) <= _MOST:
            found[value] = None
    return list(found)


class Objects:
    """The objects of a run by what documents may call them.

    Parameters
    ----------
    places
        Product and key of each.
    directories
        Product and key of directories that are named as a whole: Zarr stores.
    """

    def __init__(self, places: Iterable[Place], directories: Iterable[Place] = ()) -> None:
        self._by_key: defaultdict[str, list[Place]] = defaultdict(list)
        self._by_name: defaultdict[str, list[Place]] = defaultdict(list)
        self._directories: defaultdict[str, list[Place]] = defaultdict(list)
        for place in places:
            self._by_key[place[1]].append(place)
            self._by_name[place[1].rpartition("/")[2]].append(place)
        for place in directories:
            if place[1]:
                self._directories[place[1]].append(place)
        self._directory_names = {key.rpartition("/")[2] for key in self._directories}
        self._ends = {_end(name) for name in (*self._by_name, *self._directory_names)}

    def may_be_in(self, head: bytes) -> bool:
        """Return whether a document may name any of them at all: most do not, and that is soon told by ends of names.

        Examples
        --------
        >>> objects = Objects([("p", "a/b.tif")])
        >>> objects.may_be_in(b"x.tif"), objects.may_be_in(b"1.5, 2.5"), objects.may_be_in(b"b%2etif")
        (True, False, True)
        """
        if len(self._ends) > _FEW_ENDS or any(mark in head for mark in _OTHERWISE):
            return True
        return any(end in head for end in self._ends)

    def found(self, place: Place, names: Iterable[str]) -> set[Place]:
        """Return the objects that a document names, itself not among them."""
        found: set[Place] = set()
        for name in filter(self._may_be, names):
            for parts in _paths(name):
                found |= self._resolved(place, parts)
        return found - {place}

    def _may_be(self, name: str) -> bool:
        """Return whether a word may be a name; most are told by their end alone."""
        if self._directories or _ENCODED.search(name):
            return True
        return name.rstrip("/").rpartition("/")[2] in self._by_name

    def _resolved(self, place: Place, parts: Sequence[str]) -> set[Place]:
        """Return what a path may lead to: from the document, else the longest end of it that is known."""
        product, key = place
        plain = [part for part in parts if part not in ("", ".", "..")]
        if not plain or (plain[-1] not in self._by_name and self._directory_names.isdisjoint(plain)):
            return set()  # most words are no names
        beside = _from(key, parts)
        if beside is not None:
            here = [other for other in self._at("/".join(beside)) if other[0] == product]
            if here:
                return set(here)
        for start in range(len(plain)):
            if there := self._at("/".join(plain[start:])):
                return set(there)
            for end in range(len(plain) - 1, start, -1) if self._directories else ():
                if stores := self._directories.get("/".join(plain[start:end])):
                    return set(stores)
        # A base may be said elsewhere; a bare word is no name of a file.
        named = self._by_name.get(plain[-1], []) if "." in plain[-1] else []
        return set(named) if len(named) == 1 else set()

    def _at(self, key: str) -> list[Place]:
        return [*self._by_key.get(key, ()), *self._directories.get(key, ())]


def _end(name: str) -> bytes:
    """Return what a name ends with: its suffix, or all of it if it has none."""
    before, dot, suffix = name.rpartition(".")
    return (dot + suffix if before else name).encode(errors="ignore")


def _paths(name: str) -> Iterator[list[str]]:
    """Yield the parts of the paths that a name may stand for."""
    if not name or name.isspace():
        return
    plain = html.unescape(name) if "&" in name else name
    path = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*:(//[^/]*)?", "", plain).replace("\\", "/")
    bare = re.split(r"[?#]", path, maxsplit=1)[0]
    forms = {path, bare, unquote(bare)} if "%" in path or bare != path else {path}
    yield from (form.split("/") for form in forms if form)


def _from(key: str, parts: Sequence[str]) -> list[str] | None:
    """Return a path that is relative to a document, from the product's root; None if it leads out of it."""
    way = [] if parts[0] == "" else key.split("/")[:-1]
    for part in parts:
        if part == "..":
            if not way:
                return None
            way.pop()
        elif part not in ("", "."):
            way.append(part)
    return way


def ranks(bases: Mapping[Node, tuple[int, int]], names: Mapping[Node, Collection[Node]]) -> dict[Node, int]:
    """Return a rank for each document, so that what is named has a lower one than what names it.

    Where documents name each other in a circle there is no such order; then those go first that are of lower base,
    and of these the deeper ones: a catalog names its items, and an item its catalog for the way back.

    Parameters
    ----------
    bases
        Of each document the rank that it has if it names nothing, and how deep it lies.
    names
        What each names; what is no key of `bases` does not matter.

    Examples
    --------
    >>> ranks({"a": (10, 0), "b": (10, 0), "c": (10, 1)}, {"a": ["b"], "b": ["c"], "c": ["b"]})
    {'c': 10, 'b': 11, 'a': 12}
    """
    graph = {node: [other for other in names.get(node, ()) if other in bases and other != node] for node in bases}
    found: dict[Node, int] = {}
    for circle in _circles(graph):
        members = set(circle)
        orders = {node: (bases[node][0], -bases[node][1]) for node in circle}
        for node in sorted(circle, key=orders.__getitem__):
            below = (n for n in graph[node] if n not in members or orders[n] < orders[node])
            found[node] = max([bases[node][0], *(found[other] + 1 for other in below)])
    return found


def _circles(graph: Mapping[Node, Sequence[Node]]) -> Iterator[list[Node]]:
    """Yield the strongly connected components of a graph, what is named before what names it (Tarjan)."""
    number: dict[Node, int] = {}
    low: dict[Node, int] = {}
    stack: list[Node] = []
    on_stack: set[Node] = set()
    for root in graph:
        if root in number:
            continue
        path = [(root, iter(graph[root]))]
        number[root] = low[root] = len(number)
        stack.append(root)
        on_stack.add(root)
        while path:
            node, others = path[-1]
            for other in others:
                if other not in number:
                    number[other] = low[other] = len(number)
                    stack.append(other)
                    on_stack.add(other)
                    path.append((other, iter(graph[other])))
                    break
                if other in on_stack:
                    low[node] = min(low[node], number[other])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == number[node]:
                    yield _popped(stack, on_stack, node)


def _popped(stack: list[Node], on_stack: set[Node], last: Node) -> list[Node]:
    circle: list[Node] = []
    while not circle or circle[-1] != last:
        circle.append(stack.pop())
    on_stack.difference_update(circle)
    return circle
