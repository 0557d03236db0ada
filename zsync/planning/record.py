"""The manifest that a carried-out plan comes to: built from receipts, not from intentions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from zsync.tables import MANIFEST, scalar, with_values
from zsync.words import Action

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zsync.planning.model import Plan


class Answer(Protocol):
    """What the store answered for one object that was sent."""

    @property
    def digest(self) -> str:
        """BLAKE3 of the bytes that were sent."""

    @property
    def etag(self) -> str | None:
        """ETag that the store gave them."""

    @property
    def version(self) -> str | None:
        """Version that the store gave them."""


def manifest_of(plan: Plan, product: str, answers: Mapping[tuple[str, str], Answer]) -> pa.Table:
    """Return what the target holds of a product once the plan is carried out.

    Parameters
    ----------
    plan
        The plan.
    product
        Name of the product.
    answers
        What the store answered, by product and key; one for every object that the plan sends.

    Returns
    -------
    pyarrow.Table
        `zsync.tables.MANIFEST`. Objects of others that stay in the target unasked are not part of it.

    Raises
    ------
    KeyError
        An object that was to be sent has no answer.
    """
    rows = plan.share(product)
    unchanged = rows.filter(pc.equal(rows["action"], scalar(str(Action.UNCHANGED))))
    is_known = pc.or_(pc.is_valid(rows["digest"]), pc.is_valid(rows["gone_s"]))
    kept = rows.filter(pc.and_(pc.equal(rows["action"], scalar(str(Action.KEEP))), is_known))
    sent = rows.filter(pc.equal(rows["action"], scalar(str(Action.SEND))))
    mine = [answers[product, key] for key in sent["key"].to_pylist()]
    for name in ("digest", "etag", "version"):
        sent = with_values(sent, name, [getattr(answer, name) for answer in mine])
    return pa.concat_tables([part.select(MANIFEST.names) for part in (unchanged, kept, sent)]).cast(MANIFEST)
