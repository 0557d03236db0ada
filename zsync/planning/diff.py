"""Compare what is there with what was published, and say of every object what is to be done with it and why.

Content decides (promise P5). An object counts as unchanged only if

- the target still holds what the manifest says that we sent (same ETag and size), and the source's digest is the one
  that the manifest records; or
- the target's ETag is an MD5, and it is the MD5 of the source's bytes (a target that was filled by another tool, or by
  a run that did not reach its commit).

Everything else is sent. Sizes can only prove a difference, never equality; times decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from zsync.tables import NO_TEXT, PLAN, column, looked_up, scalar, taken, with_values
from zsync.words import Action, Reason, Role, Stage

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_COMPARABLE = r"^[0-9a-f]{32}(-[0-9]+)?$"
# Objects that replace others go after those that are new, in one burst; what belongs to a raster goes before rasters.
SIDECAR_RANK, REPLACED_RANK = 7, 10
_FALSE = scalar(False)
_ANY_CHUNK = r"(^|/)(c([./][0-9]+)*|[0-9]+([./][0-9]+)*)$"  # in any of the encodings of chunk keys
_RANKS = 10_000  # more than a stage has
# Retiring undoes the order of publishing: what names others goes before what is named.
_RETIRE_RANK = {Stage.ROOT: 0, Stage.GROUP: 1, Stage.ARRAY: 2, Stage.DATA: 3}


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that the plan of one product is made of.

    Attributes
    ----------
    source
        `zsync.tables.SOURCE`: what is to be published, consolidated metadata made by zsync included.
    objects
        `zsync.tables.OBJECTS`, row by row with `source`.
    headers
        Digest of the headers that each row of `source` is to have.
    generated
        Bytes of the objects that zsync makes, by key.
    target
        `zsync.tables.TARGET`: what is in the target.
    gone
        `zsync.tables.OBJECTS` for the keys that only the target has, row by row with `gone_selected`.
    gone_selected
        Which of them the user's selection covers.
    manifest
        `zsync.tables.MANIFEST` of the head's publication; empty if there is none.
    etag_is_md5
        The target's ETags may be compared with MD5s.
    misplaced
        Keys that the target keeps in another storage class than asked for.
    doubted
        Keys of which the target is known not to hold what is on record, whatever a listing shows.
    own_keys
        Keys of the source's files, row by row with `source`, where some are published under others.
    originals
        What the source has in place of what zsync makes to name other keys, by key.
    lost
        Of chunks that are published under other keys than the source's, and of which the source has no file any more,
        whether they would lie in their array's grid; row by row with `gone`, null for all else.
    """

    source: pa.Table
    objects: pa.Table
    headers: pa.Array
    generated: Mapping[str, bytes]
    target: pa.Table
    gone: pa.Table
    gone_selected: pa.Array
    manifest: pa.Table
    etag_is_md5: bool
    misplaced: Collection[str] = ()
    doubted: Collection[str] = ()
    own_keys: pa.ChunkedArray | None = None
    originals: Mapping[str, bytes] = field(default_factory=dict)
    lost: pa.Array | None = None

    @property
    def files(self) -> pa.ChunkedArray:
        """Keys of the source's files, row by row; of objects that zsync makes their own."""
        return self.source["key"] if self.own_keys is None else self.own_keys

    @property
    def source_files(self) -> pa.Table:
        """The source, `zsync.tables.SOURCE`, by the keys of its files."""
        return self.source if self.own_keys is None else with_values(self.source, "key", self.own_keys)


@dataclass(frozen=True, slots=True)
class Grace:
    """How long objects stay in the target after the source lost them: readers at work may still want them.

    Attributes
    ----------
    seconds
        How long; 0: not at all.
    now_s
        Now, in seconds since the epoch.
    flipped_s
        How long those stay of which others, under other keys, have taken the place: who reads them does not know.
    """

    seconds: float
    now_s: int
    flipped_s: float = 0

    @property
    def now(self) -> pa.Scalar:
        """Now, as an Arrow scalar."""
        return scalar(self.now_s, pa.int64())


NO_GRACE = Grace(0, 0)


def undecided(survey: Survey) -> pa.Table:
    """Return the rows of the source that must be hashed before the plan can be made.

    Returns
    -------
    pyarrow.Table
        `zsync.tables.SOURCE` by the keys of files; the column `etag` holds the target's ETag that the hash must be
        compared with, or null where only the digest is needed.
    """
    related = _relate(survey)
    # What is not there is sent, and another size proves that it differs: neither needs to be hashed for that.
    undecidable = pc.and_(related["in_target"], pc.invert(related["other_size"]))
    digest_unknown = pc.is_null(survey.source["digest"])
    wants_digest = pc.and_(related["pristine"], digest_unknown)
    by_etag = pc.and_(pc.invert(related["pristine"]), related["comparable"])
    # A digest kept from an earlier run does not help against an ETag that we did not record; the pair is hashed anew.
    wants_etag = pc.and_(
        by_etag, pc.or_(digest_unknown, _differs(_shape(survey.source["etag"]), _shape(related["etag"])))
    )
    wanted = pc.and_(undecidable, pc.or_(wants_digest, wants_etag))
    etags = pc.if_else(by_etag, related["etag"], NO_TEXT)
    return with_values(survey.source_files, "etag", etags).filter(wanted)


def plan_product(name: str, survey: Survey, *, keeps: bool, grace: Grace = NO_GRACE) -> pa.Table:
    """Return the plan of one product: every key exactly once, with action and reason.

    Parameters
    ----------
    name
        The product's name.
    survey
        What is there; what `undecided` names has been hashed.
    keeps
        Objects that the source no longer has stay in the target (``retire: keep``), but for chunks in the grid of an
        array that it does have: readers would go on seeing old values where the source has none.
    grace
        How long they stay in any case.

    Returns
    -------
    pyarrow.Table
        `zsync.tables.PLAN`.
    """
    return pa.concat_tables([_plan_source(name, survey), _plan_gone(name, survey, grace, keeps=keeps)])


def kept_keys(gone: pa.Table, gone_selected: pa.Array, *, keeps: bool) -> pa.Table:
    """Return the keys that only the target has and that stay there."""
    return gone if keeps else gone.filter(pc.invert(gone_selected))


def _relate(survey: Survey) -> pa.Table:
    """Put beside each row of the source what the target and the manifest say of its key."""
    keys = survey.source["key"]
    in_target = pc.index_in(keys, survey.target["key"])
    in_manifest = pc.index_in(keys, survey.manifest["key"])
    seen = taken(survey.target.select(["etag", "size"]), in_target)
    etag, size = seen["etag"], seen["size"]
    recorded = survey.manifest.select(["digest", "etag", "size", "version", "headers", "order"])
    recorded = taken(recorded, in_manifest)
    there = pc.is_valid(in_target)
    # Nobody wrote over what we sent: then the digest on record speaks for what the target holds.
    pristine = pc.and_(_equal(etag, recorded["etag"]), _equal(size, recorded["size"]))
    # The ETag of an encrypted object looks like an MD5 and is none: the service has to be one whose ETags are.
    comparable = (
        pc.fill_null(pc.match_substring_regex(etag, _COMPARABLE), _FALSE) if survey.etag_is_md5 else _never(there)
    )
    return pa.table(
        {
            "etag": etag,
            "in_target": there,
            "in_manifest": pc.is_valid(in_manifest),
            "other_size": pc.and_(there, pc.invert(_equal(size, survey.source["size"]))),
            "pristine": pristine,
            "comparable": comparable,
            "digest": recorded["digest"],
            "version": recorded["version"],
            "headers": recorded["headers"],
            "order": recorded["order"],
        }
    )


def _plan_source(name: str, survey: Survey) -> pa.Table:
    related = _relate(survey)
    source, objects = survey.source, survey.objects
    same_digest = pc.and_(related["pristine"], _equal(source["digest"], related["digest"]))
    same_etag = pc.and_(
        pc.and_(pc.invert(related["pristine"]), related["comparable"]), _equal(source["etag"], related["etag"])
    )
    same = pc.and_(pc.or_(same_digest, same_etag), pc.invert(related["other_size"]))
    drifted = pc.and_(same_digest, _differs(survey.headers, related["headers"]))
    misplaced = pc.and_(same, pc.is_in(source["key"], value_set=column(list(survey.misplaced), pa.string())))
    doubted = pc.and_(same, pc.is_in(source["key"], value_set=column(list(survey.doubted), pa.string())))
    generated = pc.is_in(source["key"], value_set=column(list(survey.generated), pa.string()))
    unknown = pc.and_(pc.invert(related["comparable"]), pc.invert(pc.or_(related["pristine"], related["other_size"])))
    # The first that holds. Headers and class come before `same`: of these objects only the bytes are.
    reason = pc.case_when(
        pc.make_struct(
            pc.invert(related["in_target"]),
            doubted,
            drifted,
            misplaced,
            same,
            generated,
            pc.and_(related["in_manifest"], pc.invert(related["pristine"])),
            unknown,
        ),
        *(
            scalar(str(word))
            for word in (
                Reason.NEW,
                Reason.DOUBTED,
                Reason.HEADERS,
                Reason.CLASS,
                Reason.SAME,
                Reason.GENERATED,
                Reason.FOREIGN_WRITE,
                Reason.UNKNOWN,
                Reason.CHANGED,
            )
        ),
    )
    if survey.originals:
        names_others = pc.is_in(source["key"], value_set=column(list(survey.originals), pa.string()))
        renaming = pc.and_(names_others, pc.equal(reason, scalar(str(Reason.GENERATED))))
        reason = pc.if_else(renaming, scalar(str(Reason.RENAMING)), reason)
    unchanged = pc.equal(reason, scalar(str(Reason.SAME)))
    # An update in place is not atomic; the time in which old and new values are mixed is as short as can be if all that
    # is new is there already.
    late = pc.and_(
        pc.and_(related["in_target"], pc.equal(objects["stage"], scalar(str(Stage.DATA)))),
        pc.less_equal(objects["rank"], scalar(0, pa.int32())),
    )
    is_sidecar = pc.equal(objects["role"], scalar(str(Role.SIDECAR)))
    late_rank = pc.if_else(is_sidecar, scalar(SIDECAR_RANK, pa.int32()), scalar(REPLACED_RANK, pa.int32()))
    count = len(source)
    return _table(
        {
            "product": _constant(name, count),
            "key": source["key"],
            "source_key": pc.if_else(generated, NO_TEXT, survey.files) if survey.generated else survey.files,
            "store": objects["store"],
            "array": objects["array"],
            "role": objects["role"],
            "stage": objects["stage"],
            "rank": pc.if_else(late, late_rank, objects["rank"]),
            "action": pc.if_else(unchanged, scalar(str(Action.UNCHANGED)), scalar(str(Action.SEND))),
            "reason": reason,
            "size": source["size"],
            "digest": source["digest"],
            "mtime_ns": source["mtime_ns"],
            "ctime_ns": source["ctime_ns"],
            "inode": source["inode"],
            "etag": related["etag"],
            "version": pc.if_else(related["pristine"], related["version"], NO_TEXT),
            # Headers of an object that somebody else wrote are not known: a listing does not tell them.
            "headers": pc.if_else(
                unchanged, pc.if_else(related["pristine"], related["headers"], NO_TEXT), survey.headers
            ),
            "gone_s": pa.nulls(count, pa.int64()),
            "order": pc.if_else(pc.and_(unchanged, related["in_manifest"]), related["order"], _order(objects)),
            "content": looked_up(source["key"], survey.generated, pa.binary()),
            "original": looked_up(source["key"], survey.originals, pa.binary()),
            "copy_key": pa.nulls(count, pa.string()),
            "copy_etag": pa.nulls(count, pa.string()),
        }
    )


def _order(objects: pa.Table) -> Any:
    """Return the rank of indexes, null for all else."""
    is_index = pc.equal(objects["role"], scalar(str(Role.INDEX)))
    return pc.if_else(is_index, objects["rank"], pa.nulls(1, pa.int32())[0])


def _plan_gone(name: str, survey: Survey, grace: Grace, *, keeps: bool) -> pa.Table:
    gone = survey.gone
    in_target = pc.index_in(gone["key"], survey.target["key"])
    in_manifest = pc.index_in(gone["key"], survey.manifest["key"])
    recorded = survey.manifest.take(in_manifest)
    etag = survey.target["etag"].take(in_target)
    pristine = _equal(etag, recorded["etag"])
    in_grid = pc.fill_null(gone["in_grid"], _FALSE)
    flipped = of_other_keys(gone)
    # What was published earlier under the keys that are taken now has been gone since then.
    vanished = pc.and_(pc.and_(pc.is_valid(in_manifest), pc.is_null(recorded["gone_s"])), in_grid)
    since = pc.coalesce(recorded["gone_s"], scalar(grace.now_s, pa.int64()))
    if grace.now_s:  # what was gone only after now was put down by a clock that was ahead
        since = pc.min_element_wise(since, grace.now)
    # What lies in an array's grid can still be seen: no grace makes it right.
    seconds = pc.if_else(flipped, *(scalar(int(each), pa.int64()) for each in (grace.flipped_s, grace.seconds)))
    waits = pc.and_(pc.invert(in_grid), pc.greater(pc.add(since, seconds), grace.now))
    # What no publication names, a run that was cut off has left: nobody has seen it.
    waits = pc.and_(waits, pc.if_else(flipped, pc.is_valid(in_manifest), scalar(not keeps)))
    retired = pc.if_else(vanished, scalar(str(Reason.VANISHED)), scalar(str(Reason.GONE)))
    retired = pc.if_else(waits, scalar(str(Reason.GRACE)), retired)
    retired = pc.if_else(flipped, _of_flipped(survey, recorded), retired)
    # An array that the source has is whole there: what is lacking is fill value, and no old values may show instead.
    kept = pc.and_(scalar(keeps), pc.invert(pc.or_(in_grid, flipped)))
    selected = pc.if_else(kept, scalar(str(Reason.POLICY)), retired)
    reason = pc.if_else(survey.gone_selected, selected, scalar(str(Reason.NOT_SELECTED)))
    stays = pc.or_(pc.invert(survey.gone_selected), pc.or_(waits, kept))
    recorded_since = pc.if_else(pc.or_(waits, pristine), since, pa.nulls(1, pa.int64())[0])
    stage = pc.coalesce(recorded["stage"], gone["stage"])
    # Earlier versions had indexes on record as data.
    stage = pc.if_else(pc.equal(gone["role"], scalar(str(Role.INDEX))), gone["stage"], stage)
    count = len(gone)
    return _table(
        {
            "product": _constant(name, count),
            "key": gone["key"],
            # What the manifest says of an object goes on being so.
            "source_key": recorded["source_key"],
            "store": pc.coalesce(recorded["store"], gone["store"]),
            "array": pc.coalesce(recorded["array"], gone["array"]),
            "role": gone["role"],
            "stage": pc.if_else(stays, stage, scalar(str(Stage.RETIRE))),
            "rank": _retire_rank(stage, pc.coalesce(recorded["order"], gone["rank"]), gone["role"]),
            "action": pc.if_else(stays, scalar(str(Action.KEEP)), scalar(str(Action.RETIRE))),
            "reason": reason,
            "size": survey.target["size"].take(in_target),
            "digest": pc.if_else(pristine, recorded["digest"], NO_TEXT),
            "mtime_ns": pa.nulls(count, pa.int64()),
            "ctime_ns": pa.nulls(count, pa.int64()),
            "inode": pa.nulls(count, pa.uint64()),
            "etag": etag,
            "version": recorded["version"],
            "headers": recorded["headers"],
            "gone_s": pc.if_else(survey.gone_selected, recorded_since, recorded["gone_s"]),
            "order": recorded["order"],
            "content": pa.nulls(count, pa.binary()),
            "original": recorded["original"],
            "copy_key": pa.nulls(count, pa.string()),
            "copy_etag": pa.nulls(count, pa.string()),
        }
    )


def _of_flipped(survey: Survey, recorded: pa.Table) -> Any:
    """Return why chunks go of which others have taken the place: that the source lost some is no less so."""
    if survey.lost is None:
        return scalar(str(Reason.FLIPPED))
    is_news = pc.and_(pc.is_valid(survey.lost), pc.is_null(recorded["gone_s"]))
    lost = pc.if_else(survey.lost, scalar(str(Reason.VANISHED)), scalar(str(Reason.GONE)))
    return pc.if_else(is_news, lost, scalar(str(Reason.FLIPPED)))


def of_other_keys(objects: pa.Table) -> Any:
    """Return which keys chunks of the source's arrays would have if these named their chunks otherwise."""
    in_array = pc.and_(pc.is_valid(objects["array"]), pc.equal(objects["role"], scalar(str(Role.FOREIGN))))
    if not pc.any(in_array).as_py():
        return in_array
    return pc.and_(in_array, pc.match_substring_regex(objects["key"], _ANY_CHUNK))


def _retire_rank(stage: Any, rank: Any, role: Any) -> Any:
    """Order retirements so that nothing visible names what is gone: root, group, array, data; sidecars last.

    Inside a stage the order of publishing is reversed too: what makes a node visible goes before its attributes.
    """
    place: Any = scalar(4, pa.int32())
    for name, number in _RETIRE_RANK.items():
        place = pc.if_else(pc.equal(stage, scalar(str(name))), scalar(number, pa.int32()), place)
    place = pc.if_else(pc.equal(role, scalar(str(Role.SIDECAR))), scalar(5, pa.int32()), place)
    # Data name nothing: all of them may go in one wave.
    is_data = pc.greater_equal(place, scalar(_RETIRE_RANK[Stage.DATA], pa.int32()))
    inside = pc.if_else(is_data, scalar(0, pa.int32()), rank)
    return pc.subtract(pc.multiply(place, scalar(_RANKS, pa.int32())), inside)


def _table(columns: dict[str, Any]) -> pa.Table:
    return pa.table([columns[field.name] for field in PLAN], names=PLAN.names).cast(PLAN)


def _constant(text: str, count: int) -> pa.Array:
    return pa.repeat(scalar(text), count)


def _never(like: Any) -> Any:
    return pc.and_(like, _FALSE)


def _equal(left: Any, right: Any) -> Any:
    """Compare; what is not known is not equal."""
    return pc.fill_null(pc.equal(left, right), _FALSE)


def _differs(left: Any, right: Any) -> Any:
    """Compare; what is not known does not differ."""
    return pc.fill_null(pc.not_equal(left, right), _FALSE)


def _shape(etag: Any) -> Any:
    """Return what makes two ETags comparable: of how many parts they are, if of parts; null has a shape of its own."""
    return pc.fill_null(pc.replace_substring_regex(etag, "^[0-9a-f]*", ""), scalar("?"))
