"""Recognise what is on this machine already, so that a pull need not fetch it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from zsync.inventory import Objects, digest_source
from zsync.inventory.digest import Signature, Wanted
from zsync.tables import MANIFEST, column, scalar, table_of, with_values

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
    here = survey.target.take(pc.index_in(survey.source["key"], survey.target["key"]))
    recorded = survey.manifest.take(pc.index_in(survey.source["key"], survey.manifest["key"]))
    unknown = pc.and_(
        pc.fill_null(pc.equal(here["size"], survey.source["size"]), scalar(False)),
        pc.or_(
            pc.invert(pc.fill_null(pc.equal(here["etag"], recorded["etag"]), scalar(False))),
            pc.is_null(survey.source["digest"]),  # what is there is known, but not to be what is here
        ),
    )
    if not everything:
        unknown = pc.and_(unknown, pc.is_valid(survey.objects["store"]))
    rows = pa.table([survey.source["key"], survey.source["digest"], here["etag"]], names=["key", "digest", "token"])
    rows = rows.filter(pc.and_(unknown, pc.is_in(rows["key"], column(list(origin.tags), pa.string())))).to_pylist()
    if not rows:
        return item
    root = f"/{item.stock.product.location.path}"
    stats = {row["key"]: os.stat(f"{root}/{row['key']}") for row in rows}  # noqa: PTH116 - a path an object costs more
    wanted = [Wanted(row["key"], Signature.of(stats[row["key"]]), origin.tags[row["key"]][0]) for row in rows]
    hashed = digest_source(root, wanted, workers=os.cpu_count() or 1)
    tokens = {row["key"]: (row["digest"], row["token"]) for row in rows}
    same = [
        found
        for found in hashed
        if found.digest == tokens[found.key][0]
        or (tokens[found.key][0] is None and found.etag == origin.tags[found.key][0])
    ]
    known = table_of(
        [
            {"key": found.key, "source_key": found.key, "size": stats[found.key].st_size, "digest": found.digest,
             "etag": tokens[found.key][1]}
            for found in same
        ],
        MANIFEST,
    )  # fmt: skip
    keys = column([found.key for found in same], pa.string())
    others = survey.manifest.filter(pc.invert(pc.is_in(survey.manifest["key"], keys)))
    digests = {found.key: found.digest for found in same}
    values = [
        digests.get(key, digest)
        for key, digest in zip(survey.source["key"].to_pylist(), survey.source["digest"].to_pylist(), strict=True)
    ]
    source = with_values(survey.source, "digest", values)
    return replace(item, survey=replace(survey, source=source, manifest=pa.concat_tables([others, known])))
