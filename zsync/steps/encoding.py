"""How the chunks of a product are named where it is published: as readers see them now, or as they are to be.

What is published was flipped, perhaps, since the source was first published (`zsync.planning.flip`): then its arrays
name their chunks otherwise than the source's do. All that follows works with the published keys; what reads the source
has the keys of its files beside them (`Survey.files`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from zsync.layout import KeyEncoding, encoded, fixed_keys, join, other_encodings, rewritten
from zsync.layout.strict import text
from zsync.planning import of_other_keys
from zsync.tables import firsts, scalar, with_values
from zsync.words import Role, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zsync.layout import Array, Encodings, Layout
    from zsync.steps.inspect import Inspected

Place = tuple[str, str]  # store, path of the array in it

_CHUNK = re.compile(r"(?:^|(.*?)/)(c(?:[./][0-9]+)*|[0-9]+(?:[./][0-9]+)*)")


@dataclass(frozen=True, slots=True)
class Named:
    """How the chunks of arrays are named that readers see now.

    Attributes
    ----------
    encodings
        By store and path of the array, where it is not as the source has it.
    moved
        Arrays of which the source names the chunks otherwise than when it was published last.
    misnamed
        Arrays of which the source has no chunk, but files that would be chunks by another encoding of their keys.
    """

    encodings: Encodings
    moved: frozenset[Place] = frozenset()
    misnamed: frozenset[Place] = frozenset()


def named_now(layout: Layout, manifest: pa.Table, listed: Iterable[str]) -> Named:
    """Return how the chunks of a product's arrays are named where it is published.

    Parameters
    ----------
    layout
        That of the source.
    manifest
        `zsync.tables.MANIFEST` of what is published.
    listed
        Keys in the target: they tell where nothing is on record.
    """
    arrays = {(prefix, path): array for prefix, store in layout.stores.items() for path, array in store.arrays.items()}
    keys = _recorded(manifest) if len(manifest) else _listed(arrays, listed)
    encodings, moved, misnamed = {}, set(), _misnamed(layout)
    for place, (published, original) in keys.items():
        array = arrays.get(place)
        if array is None or array.grid is None or place in misnamed:
            continue
        own, ndim = array.grid.encoding, len(array.shape)
        if original is not None and not own.meets(ndim, KeyEncoding.of_key(original), ndim):
            moved.add(place)
        known = KeyEncoding.of_key(published)
        if (
            not known.meets(ndim, own, ndim)
            and known in KeyEncoding.all_of(array.zarr_format)
            and not fixed_keys(layout.stores[place[0]], place[1])
        ):
            encodings[place] = known
    return Named(encodings, frozenset(moved), misnamed)


def _misnamed(layout: Layout) -> frozenset[Place]:
    rows = layout.objects.filter(of_other_keys(layout.objects))
    if not len(rows):
        return frozenset()
    chunks = layout.objects.filter(pc.equal(layout.objects["role"], scalar(str(Role.CHUNK))))
    others, known = (set(zip(*(t[n].to_pylist() for n in ("store", "array")), strict=True)) for t in (rows, chunks))
    return frozenset(others - known)


def _recorded(manifest: pa.Table) -> dict[Place, tuple[str, str | None]]:
    """Return, for each array on record, the key of one of its chunks in the array, and that of the source's file."""
    is_data = pc.and_(
        pc.and_(pc.is_valid(manifest["array"]), pc.equal(manifest["stage"], scalar(str(Stage.DATA)))),
        pc.and_(pc.is_null(manifest["gone_s"]), pc.is_valid(manifest["source_key"])),
    )
    rows = manifest.select(["store", "array", "key", "source_key"]).filter(is_data)
    found: dict[Place, tuple[str, str | None]] = {}
    for row in firsts(rows, ("store", "array")).to_pylist():
        directory = join(row["store"] or "", row["array"])
        inside = [key[len(directory) + 1 :] if directory else key for key in (row["key"], row["source_key"])]
        if all(_CHUNK.fullmatch(key) for key in inside):
            found[row["store"] or "", row["array"]] = (inside[0], inside[1])
    return found


def _listed(arrays: Mapping[Place, Array], keys: Iterable[str]) -> dict[Place, tuple[str, str | None]]:
    """Return, for each array that the target has under other keys only, one of them, relative to the array."""
    places = {join(*place): place for place in arrays}
    seen: defaultdict[Place, dict[KeyEncoding, str]] = defaultdict(dict)
    for key in keys:
        parts = _CHUNK.fullmatch(key)
        place = None if parts is None else places.get(parts[1] or "")
        if parts is not None and place is not None:
            seen[place].setdefault(KeyEncoding.of_key(parts[2]), parts[2])
    return {place: (next(iter(known.values())), None) for place, known in seen.items() if len(known) == 1}


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Metadata that names other keys than the source's does.

    Attributes
    ----------
    bodies
        What is published, by key.
    originals
        What the source has in its place, or would have.
    """

    bodies: Mapping[str, bytes]
    originals: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Sides:
    """What was inspected, by the keys of its files and by those that it is published under.

    Attributes
    ----------
    own
        As the source has it.
    published
        As it is to be in the target: rows have the same places.
    encodings
        By store and path of the array, where the two differ.
    """

    own: Inspected
    published: Inspected
    encodings: Encodings


def sides(own: Inspected, encodings: Encodings) -> Sides:
    """Return what was inspected as its source has it, and as it is published where some encodings are wanted."""
    changed = other_encodings(own.layout, encodings)
    if not changed:
        return Sides(own, own, changed)
    layout = encoded(own.layout, changed)
    source = with_values(own.source, "key", layout.objects["key"])
    return Sides(own, replace(own, layout=layout, source=source), changed)


def with_other_keys(
    own: Layout, documents: Mapping[str, bytes], generated: Mapping[str, bytes], encodings: Encodings
) -> Rewritten:
    """Return the metadata that has to be published in place of what the source has, or zsync has made of it.

    Parameters
    ----------
    own
        The source's layout.
    documents, generated
        Bytes of the source's metadata, and of what is made in its place, by key.
    """
    bodies: dict[str, bytes] = {}
    originals: dict[str, bytes] = {}
    for prefix in dict.fromkeys(prefix for prefix, _ in encodings):
        mine = {path: known for (where, path), known in encodings.items() if where == prefix}
        base = f"{prefix}/" if prefix else ""
        made = {key.removeprefix(base): body for key, body in generated.items() if key.startswith(base)}
        parsed: dict[str, Any] = {
            **own.stores[prefix].documents,
            **{key: json.loads(body) for key, body in made.items()},
        }
        for key, document in rewritten(parsed, mine).items():
            whole = join(prefix, key)
            bodies[whole], originals[whole] = text(document), generated.get(whole) or documents[whole]
    return Rewritten(bodies, originals)


def rows_of(bodies: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return objects that zsync makes as rows of `zsync.tables.SOURCE`."""
    return [
        {
            "key": key,
            "size": len(body),
            "digest": blake3(body).hexdigest(),
            "etag": hashlib.md5(body, usedforsecurity=False).hexdigest(),
        }
        for key, body in bodies.items()
    ]
