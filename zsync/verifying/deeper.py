"""What a listing does not tell: structure, bytes, digests of stores."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from zsync.inventory.cogs import cut_off, is_raster
from zsync.inventory.selection import is_in
from zsync.layout import is_metadata, lineage, store_prefixes
from zsync.transfer import executor_for
from zsync.verifying.asking import documents_of
from zsync.verifying.difference import Wrong, of_finding, with_same_bytes
from zsync.verifying.reading import checks_of, differences_of, read_all
from zsync.verifying.structure import sparse, stores_to_look_at, structure
from zsync.verifying.zarr_checksum import zarr_checksum
from zsync.words import Kind

if TYPE_CHECKING:
    from collections.abc import Collection

    from zsync.report.progress import Progress
    from zsync.verifying.looked import Depth, Looked

_MD5 = re.compile(r"[0-9a-f]{32}")


def inspect(looked: Looked) -> None:
    """Inspect all where nothing is on record; else the stores of which metadata is not as it was published."""
    found, kind = looked.found, looked.kind
    keys, is_foreign = found.listing.keys, found.recorded is None
    prefixes = frozenset({""})
    if not is_foreign:
        differing = {item.key for item in looked.differences} | looked.touched
        prefixes = stores_to_look_at(kind, [*keys, *found.keys_on_record()], differing)
        if not prefixes:
            return
    sizes = zip(keys, found.listing.sizes, strict=True)
    rows = [row for row in sizes if is_in(row[0], prefixes)]
    wanted = [key for key, _ in rows if is_metadata(kind, key)]
    looked.documents, unread = documents_of(found, wanted)
    inspected = structure(found.name, kind, [key for key, _ in rows], [size for _, size in rows], looked.documents)
    looked.differences += [*unread, *inspected.differences]
    looked.findings += [*inspected.findings, *(sparse(found.name, inspected.layout) if is_foreign else ())]
    if is_foreign and found.is_here:
        rasters = [key for key in keys if is_raster(key)]
        looked.differences += map(of_finding, cut_off(f"/{found.target.place.location.path}", found.name, rasters))


def read_bytes(looked: Looked, depth: Depth, progress: Progress, only: Collection[str] | None) -> None:
    """Read what is to be read; of files of which only the times changed, all."""
    gone = {item.key for item in looked.differences if item.kind in (Wrong.MISSING, Wrong.SIZE)}
    there = [key for key in looked.found.there["key"].to_pylist() if key not in gone]
    chosen = set(depth.bytes.of(there) if depth.bytes is not None else ())
    looked.is_sampled = looked.is_sampled or 0 < len(chosen) < len(there)
    if only is not None:
        chosen = set(there).intersection(only)
    chosen |= looked.touched
    if not chosen:
        return
    checks = checks_of(looked.found, [key for key in there if key in chosen])
    with executor_for(depth.scheduler, depth.workers, specs=[looked.found.target.place.spec]) as executor:
        read = read_all(looked.found, checks, executor, progress)
    looked.read, looked.read_bytes = read.objects, read.bytes
    rewritten = {item.key for item in looked.differences if item.kind == Wrong.OVERWRITTEN}
    known = looked.found.on_record(key for key in rewritten if key in read.digests)
    same = {key for key, row in known.items() if row["digest"] is not None}
    looked.differences = [
        with_same_bytes(item) if item.kind == Wrong.OVERWRITTEN and item.key in same else item
        for item in looked.differences
    ]
    # That the bytes of what was written over are others is no news.
    looked.differences += [item for item in differences_of(read) if item.key not in rewritten]


def checksums(looked: Looked, depth: Depth, progress: Progress) -> dict[str, str]:
    """Return DANDI's digest of each store."""
    if looked.kind is not Kind.ZARR:
        return {}
    found = looked.found
    tells = found.target.place.store.capabilities.etags_tell
    listing = found.listing
    md5s: dict[str, str] = {
        key: etag for key, etag in zip(listing.keys, listing.etags, strict=True)
        if tells and etag is not None and _MD5.fullmatch(etag)
    }  # fmt: skip
    now = replace(found, there=listing.table(), is_past=False)
    unknown = [key for key in listing.keys if key not in md5s]
    if unknown:
        with executor_for(depth.scheduler, depth.workers, specs=[found.target.place.spec]) as executor:
            md5s |= read_all(now, checks_of(now, unknown, is_md5=True), executor, progress).digests
    prefixes = store_prefixes(listing.keys)
    files: defaultdict[str, list[tuple[str, int, str]]] = defaultdict(list)
    for key, size in zip(listing.keys, listing.sizes, strict=True):
        prefix = next((above for above in lineage(key.rpartition("/")[0]) if above in prefixes), None)
        if prefix is not None and key in md5s:
            files[prefix].append((key[len(prefix) + 1 :] if prefix else key, size, md5s[key]))
    return {prefix: zarr_checksum(rows) for prefix, rows in sorted(files.items())}
