"""Take away what earlier runs left unfinished, under the lease (step 8 of the protocol)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from zsync.errors import TargetError
from zsync.inventory.begun import Begun
from zsync.keys import under
from zsync.storage import abort_uploads, connect, unfinished_uploads
from zsync.tables import scalar
from zsync.words import WHOLE_SIZE, Action, Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.planning import Plan
    from zsync.steps.surveyed import Surveyed
    from zsync.storage import Upload


def sweep(items: Sequence[Surveyed], plan: Plan, *, took_over: bool) -> list[Finding]:
    """Abort multipart uploads that earlier runs left unfinished: they cost money, and no listing shows them.

    Nobody else publishes while we hold the lease; only objects that are ours to send in parts are touched. What is
    unfinished on a file system was seen before the lease was taken, when nobody held it.
    """
    findings = []
    for item in items:
        prefix = f"{item.stock.product.location.path}/"
        connect(item.stock.spec).delete([under(prefix, key) for key in item.stock.unfinished])
        large, to_send = _large(plan, item.name)
        if not large or not (took_over or to_send):
            continue
        path = item.stock.product.location.path
        base = f"{path}/" if path else ""
        try:
            unfinished = unfinished_uploads(item.stock.spec, base)
            ours = [upload for upload in unfinished if upload.key.removeprefix(base) in large]
            left = [upload for upload in ours if not _is_gone_on_with(item, upload, base, to_send)]
            abort_uploads(item.stock.spec, left)
        except TargetError as error:  # whether there are any is not what a publish depends on
            message = f"multipart uploads that earlier runs left unfinished could not be looked for: {error}"
            findings.append(Finding("info", "unfinished-uploads", item.name, "", message))
            continue
        if going_on := [upload for upload in ours if upload not in left]:
            message = f"going on with {len(going_on)} multipart uploads that an earlier run left unfinished"
            findings.append(Finding("info", "resumed-uploads", item.name, going_on[0].key.removeprefix(base), message))
        if left:
            message = f"aborted {len(left)} multipart uploads that earlier runs left unfinished"
            findings.append(Finding("info", "unfinished-uploads", item.name, left[0].key.removeprefix(base), message))
    return findings


def _is_gone_on_with(item: Surveyed, upload: Upload, base: str, to_send: set[str]) -> bool:
    """Return whether an upload is one that this machine began of an object that is still to be sent."""
    key = upload.key.removeprefix(base)
    return key in to_send and Begun(item.stock.spec, under(base, key)).upload() == upload.upload_id


def _large(plan: Plan, product: str) -> tuple[set[str], set[str]]:
    """Return the keys of the source's objects that go up in parts: all of them, and those that are to be sent."""
    rows = plan.share(product).select(["key", "size", "action"])
    rows = rows.filter(pc.greater(rows["size"], scalar(WHOLE_SIZE, pa.int64())))
    send, copy, unchanged = (
        set(rows["key"].filter(pc.equal(rows["action"], scalar(str(action)))).to_pylist())
        for action in (Action.SEND, Action.COPY, Action.UNCHANGED)
    )
    return send | copy | unchanged, send
