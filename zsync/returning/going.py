"""Go back: a run of the protocol whose source is an earlier publication of the same place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from zsync.publication import heeds_conditions_of_copies
from zsync.steps.publishing import result_of_run
from zsync.steps.run import Way, run
from zsync.steps.terms import Terms
from zsync.steps.wording import advising, reworded
from zsync.storage import connect
from zsync.tables import column, scalar, with_values
from zsync.tasks import side_by_side
from zsync.words import Role, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.config import RunConfig
    from zsync.planning import Survey
    from zsync.report.progress import Progress
    from zsync.returning.sources import Earlier
    from zsync.steps.result import PublishResult
    from zsync.steps.run import Ran
    from zsync.steps.stock import Stock
    from zsync.steps.surveyed import Surveyed

_MAY_NAME = (str(Role.FILE), str(Role.FOREIGN), str(Role.INDEX))
_WORDS = {
    "publish again": "roll back again",
    "pull again": "roll back again",
    "gone from the source": "not of that publication",
}


def terms_of_rollback(config: RunConfig) -> Terms:
    """Return the terms of a rollback: those of a publish, but that nothing is judged anew and nothing is lost."""
    given = Terms.of(config.publish, config.storage, config.team.member, config.origin)
    stays = given.retire == "keep" or given.grace_s > 0 or given.flipped_s > 0
    return replace(
        given,
        settle_s=0,
        allow_empty=True,
        foreign="publish",
        allows_damage=True,
        trusts_manifest=False,
        retires="recorded",
        max_delete="100%",
        keeps_history=True,
        consolidate="renew" if stays else "as-is",  # as it was then, unless it has to tell of more
        in_words=_of_rollback,
    )


def go_back(
    earlier: Sequence[Earlier], terms: Terms, progress: Progress, started: float, *, is_dry: bool
) -> PublishResult:
    """Go back to what was published earlier.

    Parameters
    ----------
    started
        The reading of the monotonic clock when the work began, in seconds.
    is_dry
        Stop after the plan, having written nothing.

    Raises
    ------
    ZsyncError
        As for `zsync.rollback`.
    """
    stock = [item.stock for item in earlier]
    terms = replace(terms, copies=not is_dry and _can_be_copied(stock))
    with advising(_of_rollback):
        ran = run(stock, terms, progress, way=_Rollback(earlier), is_dry=is_dry)
    return replace(result_of_run(ran, stock, started), restores=max(str(item.restores) for item in stock))


def _can_be_copied(stock: Sequence[Stock]) -> bool:
    """Return whether the services copy objects on conditions; where they do not, bytes come through this machine."""
    records = {item.spec: item.state.publication(str(item.restores)) for item in stock}
    return all(side_by_side(lambda pair: heeds_conditions_of_copies(connect(pair[0]), pair[1]), [*records.items()]))


@dataclass(frozen=True, slots=True)
class _Rollback(Way):
    """What is special to a rollback."""

    earlier: Sequence[Earlier]

    def understood(self, item: Surveyed) -> Surveyed:
        """Take from the record what a source on this machine would be asked for."""
        before = next(found for found in self.earlier if found.stock.product.name == item.name)
        return replace(item, survey=_with_orders(_as_recorded(item.survey, before), before))

    def planned(self, ran: Ran) -> Ran:
        """Say nothing of chunks that were fill value then: nobody lost them."""
        findings = tuple(finding for finding in ran.plan.findings if finding.code != "vanished-chunks")
        return replace(ran, plan=replace(ran.plan, findings=findings))


def _as_recorded(survey: Survey, before: Earlier) -> Survey:
    """Return a survey with ETags that tell what a run that was cut off has sent, and headers of what stays."""
    source, keys = survey.source, survey.files.to_pylist()
    etags = [known or before.etags.get(key) for key, known in zip(keys, source["etag"].to_pylist(), strict=True)]
    recorded = survey.manifest.take(pc.index_in(source["key"], survey.manifest["key"]))
    is_same = pc.and_(pc.equal(source["digest"], recorded["digest"]), pc.is_valid(recorded["headers"]))
    headers = pc.if_else(pc.fill_null(is_same, scalar(False)), recorded["headers"], survey.headers)
    return replace(survey, source=with_values(source, "etag", etags), headers=headers)


def _with_orders(survey: Survey, before: Earlier) -> Survey:
    """Return a survey in which the indexes are those on record, in the order on record: they were read then."""
    objects, orders = survey.objects, [before.orders.get(key) for key in survey.objects["key"].to_pylist()]
    if not any(order is not None for order in orders):
        return survey
    ranks = column(orders, pa.int32())
    is_index = pc.and_(pc.is_valid(ranks), pc.is_in(objects["role"], column(list(_MAY_NAME), pa.string())))
    objects = with_values(objects, "rank", pc.if_else(is_index, ranks, objects["rank"]))
    for name, word in (("role", Role.INDEX), ("stage", Stage.ROOT)):
        objects = with_values(objects, name, pc.if_else(is_index, scalar(str(word)), objects[name]))
    return replace(survey, objects=objects)


def _of_rollback(text: str) -> str:
    return reworded(text, _WORDS)
