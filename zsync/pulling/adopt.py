"""Recognise what is on this machine already, so that a pull need not fetch it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from zsync.inventory import Objects, digest_source
from zsync.inventory.digest import Signature, Wanted
from zsync.packed import packed
from zsync.tables import MANIFEST, column, looked_up, scalar, table_of, taken, with_values

if TYPE_CHECKING:
    from zsync.steps.surveyed import Surveyed


def adopted(item: Surveyed, *, everything: bool) -> Surveyed:
    """Compare what is here and is not known to have been pulled, by hashing it, and count what is the same as pulled.

    Parameters
    ----------
    everything
        Files too; else only Zarr stores, which are one thing each.
    """
    survey, origin = item.survey, item.stock.origin
    if not isinstance(origin, Objects):
        return item
    here = taken(survey.target.select(["etag", "size"]), pc.index_in(survey.source["key"], survey.target["key"]))
    where = pc.index_in(survey.source["key"], survey.manifest["key"])
    recorded = taken(survey.manifest.select(["etag"]), where)
    unknown = pc.and_(
        pc.fill_null(pc.equal(here["size"], survey.source["size"]), scalar(False)),
        pc.or_(
            pc.invert(pc.fill_null(pc.equal(here["etag"], recorded["etag"]), scalar(False))),
            pc.is_null(survey.source["digest"]),  # what is there is known, but not to be what is here
        ),
    )
    if not everything:
        unknown = pc.and_(unknown, pc.is_valid(survey.objects["store"]))
    names = ["key", "digest", "token"]
    table = pa.table([survey.source["key"], survey.source["digest"], here["etag"]], names=names).filter(unknown)
    seen = table.filter(pc.is_in(table["key"], column(packed(origin.seen.keys), pa.string())))
    rows = seen.append_column("etag", origin.etags(seen["key"])).to_pylist()
    if not rows:
        return item
    root = f"/{item.stock.product.location.path}"
    stats = {row["key"]: os.stat(f"{root}/{row['key']}") for row in rows}  # noqa: PTH116 - a path an object costs more
    wanted = [Wanted(row["key"], Signature.of(stats[row["key"]]), row["etag"]) for row in rows]
    hashed = digest_source(root, wanted, workers=os.cpu_count() or 1)
    known_of = {row["key"]: row for row in rows}
    same = [
        found
        for found in hashed
        if found.digest == known_of[found.key]["digest"]
        or (known_of[found.key]["digest"] is None and found.etag == known_of[found.key]["etag"])
    ]
    known = table_of(
        [
            {"key": found.key, "source_key": found.key, "size": stats[found.key].st_size, "digest": found.digest,
             "etag": known_of[found.key]["token"]}
            for found in same
        ],
        MANIFEST,
    )  # fmt: skip
    keys = column([found.key for found in same], pa.string())
    others = survey.manifest.filter(pc.invert(pc.is_in(survey.manifest["key"], keys)))
    digests = {found.key: found.digest for found in same}
    found_here = looked_up(survey.source["key"], digests, pa.string())
    source = with_values(survey.source, "digest", pc.coalesce(found_here, survey.source["digest"]))
    return replace(item, survey=replace(survey, source=source, manifest=pa.concat_tables([others, known])))
