"""What a pull replaces or removes and did not put there as it is: somebody's edit, of which a copy is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from zsync.tables import column, scalar
from zsync.words import Action, Finding

if TYPE_CHECKING:
    from zsync.planning import Plan
    from zsync.steps.surveyed import Surveyed


def keeping_edits(item: Surveyed, plan: Plan) -> tuple[Surveyed, tuple[Finding, ...]]:
    """Return a product of which every edit that goes leaves a copy in the trash, and what is to be said of that."""
    edits = _edits(item, plan)
    if not edits:
        return item, ()
    location = item.stock.product.location
    message = (
        f"{len(edits):,} files that were changed here, or never pulled, make way for what is published; copies of them"
        f" are kept: zsync trash list {location.url}"
    )
    kept = replace(item, edits=frozenset(edits))
    return kept, (Finding("warning", "edits-kept", item.name, edits[0], message),)


def _edits(item: Surveyed, plan: Plan) -> list[str]:
    acts = column([str(Action.SEND), str(Action.RETIRE)], pa.string())
    share = plan.share(item.name)
    rows = share.filter(pc.is_in(share["action"], value_set=acts))
    rows = rows.filter(pc.is_valid(rows["etag"]))
    manifest = item.survey.manifest
    recorded = manifest["etag"].take(pc.index_in(rows["key"], manifest["key"]))
    is_ours = pc.fill_null(pc.equal(rows["etag"], recorded), scalar(False))
    keys: list[str] = rows.filter(pc.invert(is_ours))["key"].to_pylist()
    return sorted(keys)
