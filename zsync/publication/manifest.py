"""Manifests: the inventory of what was published, as Parquet parts named by their content.

A part holds one array, or a COG directory, or what is too small for a part of its own; so an unchanged array's part is
shared from publication to publication. Any Parquet reader reads it.
"""

from __future__ import annotations

import contextlib
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from zsync.errors import ObjectNotFoundError, TargetError, TooLargeError, UnfitKeyError
from zsync.keys import SUSPECT, shown, unfit
from zsync.storage import Headers
from zsync.tasks import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

    from zsync.publication.state import StateKeys
    from zsync.storage import ObjectStore
    from zsync.tasks import TaskGroup

log = logging.getLogger(__name__)

# Fewer objects than this share a part with their neighbours: hundreds of stores of a few objects each must not cost a
# request an array.
PART_OBJECTS = 512
MOST_OBJECTS = 65_536  # of a part: it is in memory as a whole
_HEADERS = Headers(content_type="application/vnd.apache.parquet")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ROW_BYTES = 4096  # unpacked: two keys of a kilobyte, and what is known of the object
_MOST_MEBIBYTES = 2**40  # of a product
_PARTS_AT_ONCE = 8
_ANEW = "have it published anew"


class ManifestLostError(Exception):
    """A part of a manifest is missing or damaged."""


class Rows(Protocol):
    """Rows of a manifest that are made when they are asked for."""

    @property
    def places(self) -> pa.Table:
        """Store, array and key of each."""

    def rows(self, places: np.ndarray) -> pa.Table:
        """Return those at some places, `zsync.tables.MANIFEST`."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a manifest: its name is the BLAKE3 of its bytes."""

    digest: str
    objects: int
    bytes: int  # of the objects that it lists

    def to_dict(self) -> dict[str, Any]:
        """Return the part as JSON."""
        return {"digest": self.digest, "objects": self.objects, "bytes": self.bytes}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Part:
        """Read a part from JSON.

        Raises
        ------
        ValueError
            It is none: its digest becomes a key and the name of a file.
        """
        part = cls(document["digest"], document["objects"], document["bytes"])
        numbers = (part.objects, part.bytes)
        if _DIGEST.fullmatch(part.digest) is None or any(type(n) is not int or not 0 <= n < 2**63 for n in numbers):
            raise ValueError("this is no part of a manifest")
        return part


def split(places: pa.Table) -> list[np.ndarray]:
    """Return, for each part of a manifest, where its rows are, in the order of their keys.

    An array of many objects is a part of its own, the rest of a store of many as well, and then the rest; what is
    larger than a part may be is several. Pure; the same rows give the same parts.

    Parameters
    ----------
    places
        Store, array and key of each row.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from zsync.tables import NO_TEXT, column, numbers, scalar

    store = pc.fill_null(places["store"], scalar("\0"))
    array = pc.fill_null(places["array"], scalar("\0"))
    names = pc.binary_join_element_wise(store, array, scalar("\1"))
    large = _large(names)
    in_large_array = pc.is_in(names, value_set=large)
    rest_of_store = pc.if_else(in_large_array, NO_TEXT, store)
    in_large_store = pc.and_(pc.invert(in_large_array), pc.is_in(store, value_set=_large(rest_of_store)))
    group = pc.if_else(in_large_array, names, pc.if_else(in_large_store, store, scalar("")))
    groups = column(sorted(pc.unique(group).to_pylist()), pa.string())
    codes, keys = numbers(pc.index_in(group, groups)), places["key"]
    if pc.all(pc.less(keys.slice(0, max(len(keys) - 1, 0)), keys.slice(1))).as_py():
        order = np.argsort(codes, kind="stable")
    else:
        rows = pa.table([column(codes, pa.int64()), keys], names=["code", "key"])
        order = numbers(pc.sort_indices(rows, sort_keys=[("code", "ascending"), ("key", "ascending")]))
    ends = np.searchsorted(codes[order], np.arange(len(groups)), side="right")
    return [
        part[start : start + MOST_OBJECTS]
        for part in np.split(order, ends[:-1])
        for start in range(0, len(part), MOST_OBJECTS)
    ]


def _large(names: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    from zsync.tables import scalar

    counts = pc.value_counts(pc.drop_null(names))
    return pc.filter(
        counts.field("values"), pc.greater_equal(counts.field("counts"), scalar(PART_OBJECTS, pa.int64()))
    ).cast(pa.string())


def write(
    store: ObjectStore, keys: StateKeys, rows: Rows, known: Iterable[Part], cache: Path, tasks: TaskGroup
) -> tuple[Part, ...]:
    """Have the parts of a manifest written that are not there yet, and return all of them.

    Parameters
    ----------
    rows
        What is to be on record; of one part after the other rows are asked for, and let go.
    known
        Parts of the publication before, which are there already.
    cache
        Directory in which parts are kept for the next reading.
    tasks
        What writes them while their caller goes on.
    """
    import io

    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from blake3 import blake3

    there = {part.digest for part in known}

    def one(table: pa.Table) -> Part:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        data = buffer.getvalue()
        part = Part(blake3(data).hexdigest(), len(table), pc.sum(table["size"]).as_py() or 0)
        if part.digest not in there:
            tasks.start(put, part.digest, data)
        return part

    def put(digest: str, data: bytes) -> None:
        store.put(keys.manifest(digest), data, _HEADERS)
        _remember(cache, digest, data)

    return tuple(one(rows.rows(part)) for part in split(rows.places))


def read(store: ObjectStore, keys: StateKeys, parts: Sequence[Part], cache: Path) -> pa.Table:
    """Return a manifest, from the cache where it has the parts.

    Raises
    ------
    ManifestLostError
        A part is missing, damaged, or of a form that this version does not know.
    """
    import pyarrow as pa

    from zsync.tables import MANIFEST, table_of

    tables = side_by_side(lambda part: _read_part(store, keys, part, cache), parts, _PARTS_AT_ONCE)
    return pa.concat_tables(tables) if tables else table_of([], MANIFEST)


def _read_part(store: ObjectStore, keys: StateKeys, part: Part, cache: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from blake3 import blake3

    from zsync.tables import MANIFEST

    data = _recall(cache, part.digest)
    if data is None:
        try:
            data = store.get(keys.manifest(part.digest), most=_most_bytes(part)).data
        except ObjectNotFoundError as error:
            raise ManifestLostError(f"{store.url(keys.manifest(part.digest))} is missing") from error
        except TooLargeError as error:
            raise ManifestLostError(str(error)) from error
        if blake3(data).hexdigest() != part.digest:
            raise ManifestLostError(f"{store.url(keys.manifest(part.digest))} is damaged")
        _remember(cache, part.digest, data)
    url = store.url(keys.manifest(part.digest))
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        _refuse_too_much(part, len(data), file.metadata, url)
        table = _completed(file.read()).select(MANIFEST.names).cast(MANIFEST)
        table.validate(full=True)
        if table["source_key"].equals(table["key"]):  # as almost always: then it is there once
            table = table.set_column(MANIFEST.get_field_index("source_key"), "source_key", table["key"])
    except (pa.ArrowException, KeyError, OSError) as error:  # an OSError: pages that cannot be decompressed
        raise ManifestLostError(f"{url} cannot be read ({error})") from error
    _refuse_unsound(table, url)
    return table


def _most_bytes(part: Part) -> int:
    """Return how large a part may be: what is larger was not made by zsync."""
    return 2**18 + _ROW_BYTES * part.objects


def _refuse_too_much(part: Part, size: int, metadata: Any, url: str) -> None:
    """Refuse a part before it is unpacked that holds other than it says, or far more than its bytes can.

    Raises
    ------
    ManifestLostError
        So it is.
    """
    unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    rows: int = metadata.num_rows
    if rows != part.objects or rows > 4 * size + 10_000 or not 0 <= unpacked <= _most_bytes(part):
        raise ManifestLostError(f"{url} does not hold what it says")


def _refuse_unsound(table: pa.Table, url: str) -> None:
    """Refuse what no publication comes to: a manifest is only what somebody wrote.

    Raises
    ------
    UnfitKeyError
        A key leads elsewhere, or is none.
    TargetError
        A size, an ETag or a digest is none.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from zsync.tables import scalar

    sizes = pc.min(table["size"]).as_py() if len(table) else 0
    is_sound = not table["key"].null_count and not table["size"].null_count and sizes >= 0
    is_sound = is_sound and pc.count_distinct(table["key"]).as_py() == len(table)
    mebibytes = pc.sum(pc.shift_right(table["size"], scalar(20, pa.int64()))).as_py() or 0
    is_sound = is_sound and mebibytes <= _MOST_MEBIBYTES
    texts = {"etag": r"[^\x20-\x7e]", "version": r"[^\x20-\x7e]", "digest": r"[^0-9a-f]"}
    if not is_sound or any(pc.any(pc.match_substring_regex(table[name], bad)).as_py() for name, bad in texts.items()):
        raise TargetError("the manifest of what is published makes no sense", url, _ANEW)
    for name in ("key", "source_key"):
        suspects = table[name].filter(pc.fill_null(pc.match_substring_regex(table[name], SUSPECT), scalar(False)))
        for key in suspects.to_pylist():
            if (reason := unfit(key)) is not None:
                raise UnfitKeyError(f"the manifest names what is no key: {reason}", f"{url}: {shown(key)}", _ANEW)


def _completed(table: pa.Table) -> pa.Table:
    """Return a part with the columns that came later than the version that wrote it."""
    import pyarrow as pa

    from zsync.tables import MANIFEST

    for name in ("gone_s", "order", "original"):
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), MANIFEST.field(name).type))
    return table


def _recall(cache: Path, digest: str) -> bytes | None:
    from blake3 import blake3

    try:
        data = (cache / f"{digest}.parquet").read_bytes()
    except OSError:
        return None
    return data if blake3(data).hexdigest() == digest else None


def _remember(cache: Path, digest: str, data: bytes) -> None:
    with contextlib.suppress(OSError):  # only a cache
        cache.mkdir(parents=True, exist_ok=True)
        beside = cache / f"{digest}.partial"
        beside.write_bytes(data)
        beside.replace(cache / f"{digest}.parquet")
