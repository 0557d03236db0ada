"""Deciding, without doing: inventories and terms in, a plan out. Pure.

The order of writes
-------------------

It is derived in one place each: `layout` says which stage and rank a key has, `planning` orders stages
(`Plan.waves`).

0. `fence`: only where arrays shrink. The arrays' own metadata, then consolidated metadata, with the element-wise
   minimum of old and new shapes: the old documents otherwise. It is the one stage that changes what readers see
   before the data is there, and it only ever takes away cells that will be gone, or that will come back with the
   root.
0. `withdraw`: stale chunks, which readers cannot see now (they lie beyond the extent that is shown, or their array is
   not shown at all) and would see under the new metadata. And where arrays are replaced (`on_incompatible: replace`):
   consolidated metadata and `.zgroup`/`zarr.json` of the groups above them, then their own metadata, then chunks of
   the old kind. All of it comes back in its own stage. This is the one case in which readers find no store for a
   while, and only on demand.
1. `data`: chunks and shards that are new (rank 0), then those that replace others (rank 10, one burst). What belongs
   to a raster (mask, overviews, statistics, georeference: `layout/rasters`) goes before it (rank -10): by itself
   nobody sees it. A raster that is replaced together with its mask or georeference, or that has lost them, is
   withdrawn (4) while the old ones go (5) and the new ones come (7), and is back at 10: a bucket cannot exchange two
   objects at once, and none is better than a wrong one. Overviews and statistics are spare: they go at 5, and come at
   15 (`planning/exchange`; only a publish takes away, a pull and a team keep to the ranks). Who may not delete
   exchanges in place, and is told.
2. `array`: `.zattrs` before `.zarray`: what makes a node visible comes after what it needs. v3 has one document.
3. `group`: groups below the root, deepest first; in each `.zattrs`, `.zgroup`, then its own consolidated metadata.
4. `root`: `.zattrs`, `.zgroup`, then `.zmetadata` (v2) or the root `zarr.json` (v3). Then (rank 10 and more), in
   every kind of product, what names others: by its name (`layout/files`), or because its beginning names an object of
   the run (`steps/naming`, `layout/references`). Among those that are sent, each goes after the ones that it names,
   across products; in a circle (a catalog and its items lead to each other) kind and depth tell. Links that lead up
   count for nothing. To go late harms nobody, so that in doubt a file is an index. Manifests keep that order
   (`order`), for retiring.
5. `retire`: what names others before what is named: root, group, array, data; inside a stage too the reverse of
   publishing. Arrays that go away while others shrink leave consolidated metadata with the fence already: at their
   old length they would not fit beside the others, and no reader could open the group. It comes after the record
   (see `zsync.steps`; teams retire before it, for what no record names would be taken for somebody's edit): what a
   service refuses to delete stays, is named, and keeps what it names, an index all that is left
   (`transfer/engine.retire`).

DESIGN lists `.zgroup` before `.zattrs`; we send the attributes first, because a store that was never published
becomes visible with `.zgroup`, and should have its attributes by then.

Every wave is a barrier for all products. A failure in any of them ends the run before the next wave begins; the
receipts that came in are kept in the digest cache, and nothing is committed.

Why it is so
------------

- Grace is kept in the manifest (`gone_s`: since when the source lacks an object), so that it counts from the
  publication that took the object out of the metadata, whoever publishes next. What lies in an array's grid has none:
  readers can still see it.
- An array that a source has is whole there, as a selection that takes a part of one is refused: with `retire: keep`,
  too, a chunk that was published and is gone is fill value now, and goes to the trash, as stale chunks do; else
  readers would see old values for ever. `max_delete` counts it.
- A fence's objects are not receipts. They are neither the source's content nor what stays, so they enter neither
  manifest nor digest cache.
"""

from zsync.planning.classify import (
    ArrayChange,
    BoundaryChunk,
    ChangeClass,
    boundary,
    classify,
    removed_groups,
)
from zsync.planning.cost import Cost, cost_of
from zsync.planning.diff import Grace, Survey, kept_keys, of_other_keys, plan_product, undecided
from zsync.planning.exchange import exchange
from zsync.planning.fence import FenceWrite, fence_of, fence_table, unless_withdrawn
from zsync.planning.flip import NO_FLIPS, Flips, flip_findings, flips_of, marked, sent_instead, turned, with_copies
from zsync.planning.guard import guard_findings, split_arrays
from zsync.planning.incompatible import INCOMPATIBLE, incompatible_findings, summed_up
from zsync.planning.losses import Loss, losses_of
from zsync.planning.model import Plan, PlannedProduct, Wave
from zsync.planning.moving import without_moving
from zsync.planning.record import Recorded, manifest_of
from zsync.planning.safe import leave_existing
from zsync.planning.seen import files_seen
from zsync.planning.withdraw import Withdrawal, edited, withdraw, withdrawal_table, without_waiting

__all__ = [
    "INCOMPATIBLE",
    "NO_FLIPS",
    "ArrayChange",
    "BoundaryChunk",
    "ChangeClass",
    "Cost",
    "FenceWrite",
    "Flips",
    "Grace",
    "Loss",
    "Plan",
    "PlannedProduct",
    "Recorded",
    "Survey",
    "Wave",
    "Withdrawal",
    "boundary",
    "classify",
    "cost_of",
    "edited",
    "exchange",
    "fence_of",
    "fence_table",
    "files_seen",
    "flip_findings",
    "flips_of",
    "guard_findings",
    "incompatible_findings",
    "kept_keys",
    "leave_existing",
    "losses_of",
    "manifest_of",
    "marked",
    "of_other_keys",
    "plan_product",
    "removed_groups",
    "sent_instead",
    "split_arrays",
    "summed_up",
    "turned",
    "undecided",
    "unless_withdrawn",
    "with_copies",
    "withdraw",
    "withdrawal_table",
    "without_moving",
    "without_waiting",
]
