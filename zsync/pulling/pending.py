"""What a pull is about to put here, noted before it begins: so that what it left behind is known for ours.

On a file system an ETag is no more than the times and the inode of a file. A pull that was cut off has written files
that are in no manifest yet, and a user may have changed permissions or times of files that are. Both are told by their
content: files that hold what was noted, or what is on record, are ours still.
"""

from __future__ import annotations

import contextlib
import io
import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from blake3 import blake3

from zsync.inventory import Objects, cache_directory, digest_source
from zsync.inventory.digest import Signature, Wanted
from zsync.keys import Key, sort, under
from zsync.publication import ManifestLostError, manifest, new_publication_id
from zsync.storage import Headers
from zsync.storage import connect as open_store
from zsync.tables import MANIFEST, chosen, scalar, table_of, with_values
from zsync.words import Action, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zsync.inventory import Listing
    from zsync.planning import Plan
    from zsync.publication import Head, StateKeys
    from zsync.steps.surveyed import Surveyed
    from zsync.storage import ObjectStore

_ROWS = 65_536  # that are packed at a time
_HEADERS = Headers(content_type="application/vnd.apache.parquet")


def note(item: Surveyed, plan: Plan) -> None:
    """Note what of Zarr stores is about to be written, and to be removed: on record is then what stays."""
    sent, gone = (plan.rows(action, item.name) for action in (Action.SEND, Action.RETIRE))
    sent = chosen(sent, pc.is_valid(sent["store"]))
    # A digest that is not on record is told by the ETag that the bucket gives.
    nothing, origin = pa.nulls(len(sent), pa.string()), item.stock.origin
    tags = origin.etags(sent["source_key"]) if isinstance(origin, Objects) else nothing
    gone = gone.filter(pc.and_(pc.is_valid(gone["store"]), pc.is_valid(gone["digest"])))
    fence = [
        {"key": row["key"], "store": "", "size": row["size"], "digest": blake3(row["content"]).hexdigest()}
        for row in plan.shown_while(Stage.FENCE, product=item.name)
    ]
    noted = [
        with_values(sent.select(MANIFEST.names), "etag", tags),
        with_values(gone.select(MANIFEST.names), "etag", pa.nulls(len(gone), pa.string())),
        table_of(fence, MANIFEST),
    ]
    if not any(map(len, noted)):
        return
    buffer = io.BytesIO()
    pq.write_table(pa.concat_tables(noted), buffer, compression="zstd", row_group_size=_ROWS)
    body = buffer.getvalue()
    key = under(item.stock.state.pending, f"{new_publication_id()}.{blake3(body).hexdigest()}.parquet")
    open_store(item.stock.spec).put(key, body, _HEADERS)


def forget(item: Surveyed) -> None:
    """Forget what was noted: it is on record now."""
    store = open_store(item.stock.spec)
    store.delete(_notes(store, item.stock.state))


def recognised(store: ObjectStore, state: StateKeys, head: Head, listing: Listing, root: str) -> pa.Table:
    """Return the files of Zarr stores that are ours by their content, though not by their times.

    Parameters
    ----------
    store, state
        The directory, and where its state is kept.
    head
        What was pulled last.
    listing
        What is here.
    root
        The directory of the product.

    Returns
    -------
    pyarrow.Table
        `zsync.tables.MANIFEST`, as they would be on record.
    """
    there = listing.table()
    candidates: dict[str, list[dict[str, Any]]] = {}
    for table in _known(store, state, head):
        for row in _not_by_times(table, there):
            candidates.setdefault(row["key"], []).append(row)
    wanted = {(key, row["expected"]) for key, rows in candidates.items() for row in rows}
    signatures = {key: _signature(f"{root}/{key}") for key in candidates}
    hashed = digest_source(
        root,
        [Wanted(key, signature, etag) for key, etag in sorted(wanted, key=str) if (signature := signatures[key])],
        workers=os.cpu_count() or 1,
        skips_moving=True,
    )
    found: dict[str, dict[str, Any]] = {}
    for one in hashed:
        for row in candidates[one.key]:
            if one.digest == row["digest"] or (row["digest"] is None and one.etag == row["expected"]):
                found[one.key] = {**row, "digest": one.digest, "source_key": one.key}
    return table_of(list(found.values()), MANIFEST)


def _known(store: ObjectStore, state: StateKeys, head: Head) -> Iterator[pa.Table]:
    """Yield what is on record, and what was noted since: `zsync.tables.MANIFEST`.

    The ETags of the first are those of files here, of the second those of objects in the bucket.
    """
    with contextlib.suppress(ManifestLostError):
        recorded = manifest.read(store, state, head.parts, cache_directory() / "manifests")
        yield recorded.append_column("expected", pa.nulls(len(recorded), pa.string()))
    for key in _notes(store, state):
        body = store.get(key).data
        named = key.rpartition("/")[2].split(".")[1]  # earlier versions named no digest
        if named not in ("parquet", blake3(body).hexdigest()):  # one that is damaged is no help
            continue
        with contextlib.suppress(pa.ArrowException, KeyError):
            noted = pq.ParquetFile(pa.BufferReader(body)).read().select(MANIFEST.names)
            nothing = pa.nulls(len(noted), pa.string())
            yield with_values(noted.append_column("expected", noted["etag"]), "etag", nothing)


def _not_by_times(known: pa.Table, there: pa.Table) -> list[dict[str, Any]]:
    """Return what may be here by its size, but is not by its times; ``etag`` is then that of the file that is here."""
    known = known.filter(pc.is_valid(known["store"]))
    here = there.take(pc.index_in(known["key"], there["key"]))
    is_same = pc.fill_null(pc.equal(here["etag"], known["etag"]), scalar(False))
    differs = pc.and_(pc.fill_null(pc.equal(here["size"], known["size"]), scalar(False)), pc.invert(is_same))
    rows: list[dict[str, Any]] = with_values(known, "etag", here["etag"]).filter(differs).to_pylist()
    return rows


def _notes(store: ObjectStore, state: StateKeys) -> list[Key]:
    base = f"{state.pending}/"
    page, _ = store.list_level(base)
    return [under(base, name) for name in sort(key.removeprefix(base) for key in page.keys).fit]


def _signature(path: str) -> Signature | None:
    try:
        return Signature.of(os.stat(path))  # noqa: PTH116 - a path an object costs more
    except OSError:  # it went meanwhile
        return None
