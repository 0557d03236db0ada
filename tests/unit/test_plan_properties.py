"""Plans are right for any source, target and manifest: properties over small worlds of keys and bytes."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import answers_of, digest, md5

from zsync.layout import describe, place
from zsync.planning import (
    Plan,
    PlannedProduct,
    Survey,
    guard_findings,
    manifest_of,
    plan_product,
    split_arrays,
    undecided,
)
from zsync.tables import MANIFEST, SOURCE, TARGET, column, table_of, with_values
from zsync.words import STAGES, Action, Kind, Reason, Stage

KEYS = st.sampled_from(["a", "b", "dir/a", "dir/b", "dir/deep/c", "x y", "z.json"])
BODIES = st.sampled_from([b"", b"one", b"two", b"other", b"longer body"])
TREES = st.dictionaries(KEYS, BODIES, max_size=6)


def survey(source, target, published=None, *, headers="h", etag_is_md5=True, known=True):
    """Return what is known of a source and a target, given as key to bytes, and of what was published before."""
    keys = sorted(source)
    layout = describe(Kind.FILES, "p", keys, {})
    rows = [
        {"key": key, "size": len(source[key]), "mtime_ns": 0, "ctime_ns": 0, "inode": 1,
         "digest": digest(source[key]) if known else None, "etag": md5(source[key]) if known else None}
        for key in keys
    ]  # fmt: skip
    gone = sorted(set(target) - set(source))
    recorded = [
        {
            "key": key,
            "source_key": key,
            "size": len(body),
            "digest": digest(body),
            "etag": md5(body),
            "stage": "data",
            "headers": "h",
        }
        for key, body in (published or {}).items()
    ]
    return Survey(
        source=table_of(rows, SOURCE),
        objects=layout.objects,
        headers=column([headers] * len(keys), pa.string()),
        generated={},
        target=table_of([{"key": k, "size": len(b), "etag": md5(b)} for k, b in sorted(target.items())], TARGET),
        gone=place(layout, gone),
        gone_selected=column([True] * len(gone), pa.bool_()),
        manifest=table_of(recorded, MANIFEST),
        etag_is_md5=etag_is_md5,
    )


def plan_of(made, *, keeps=False, retire="trash"):
    return Plan(plan_product("p", made, keeps=keeps), (PlannedProduct("p", "s3://b/p", "/src", "files", retire, None),))


def apply(plan, source, target):
    after = dict(target)
    for wave in plan.waves():
        for row in wave.table.to_pylist():
            if row["action"] == Action.SEND:
                after[row["key"]] = source[row["key"]]
            else:
                del after[row["key"]]
    return after


@given(source=TREES, target=TREES, published=TREES, keeps=st.booleans(), etag_is_md5=st.booleans())
def test_a_plan_carried_out_makes_the_target_the_source(source, target, published, keeps, etag_is_md5):
    plan = plan_of(survey(source, target, published, etag_is_md5=etag_is_md5), keeps=keeps)
    assert sorted(plan.table["key"].to_pylist()) == sorted({*source, *target})
    after = apply(plan, source, target)
    assert after == ({**target, **source} if keeps else source)
    assert plan_of(survey(source, source, source)).is_empty


@given(source=TREES, target=TREES, published=TREES)
def test_only_what_differs_is_sent(source, target, published):
    sent = plan_of(survey(source, target, published)).rows(Action.SEND)["key"].to_pylist()
    assert set(sent) == {key for key, body in source.items() if target.get(key) != body}


@given(source=TREES, target=TREES)
def test_an_unknown_hash_is_never_equal(source, target):
    plan = plan_of(survey(source, target, etag_is_md5=False))
    assert plan.count(Action.UNCHANGED) == 0


@given(source=TREES, target=TREES, published=TREES, etag_is_md5=st.booleans())
def test_what_is_undecided_is_all_that_must_be_hashed(source, target, published, etag_is_md5):
    blind = survey(source, target, published, etag_is_md5=etag_is_md5, known=False)
    wanted = undecided(blind)
    etags = dict(zip(wanted["key"].to_pylist(), wanted["etag"].to_pylist(), strict=True))
    # Nothing is hashed that the target does not have, or that a size tells apart already.
    assert all(key in target and len(target[key]) == len(source[key]) for key in etags)
    rows = blind.source.to_pylist()
    for row in rows:
        if row["key"] in etags:
            row["digest"] = digest(source[row["key"]])
            row["etag"] = md5(source[row["key"]]) if etags[row["key"]] is not None else None
    hashed = replace(blind, source=table_of(rows, SOURCE))
    assert len(undecided(hashed)) == 0
    assert (
        plan_of(hashed).table["action"]
        == plan_of(survey(source, target, published, etag_is_md5=etag_is_md5)).table["action"]
    )


@given(source=TREES, target=TREES, published=TREES, seed=st.randoms(use_true_random=False))
def test_the_order_of_a_listing_does_not_matter(source, target, published, seed):
    made = survey(source, target, published)
    rows, recorded = made.target.to_pylist(), made.manifest.to_pylist()
    seed.shuffle(rows)
    seed.shuffle(recorded)
    shuffled = replace(made, target=table_of(rows, TARGET), manifest=table_of(recorded, MANIFEST))
    assert plan_of(shuffled).table == plan_of(made).table


@given(source=TREES, target=TREES, published=TREES)
def test_waves_are_in_order_and_hold_all_that_is_done(source, target, published):
    plan = plan_of(survey(source, target, published))
    waves = list(plan.waves())
    places = [(STAGES.index(wave.stage), wave.rank) for wave in waves]
    assert places == sorted(set(places))
    done = [row["key"] for wave in waves for row in wave.table.to_pylist()]
    assert sorted(done) == sorted(
        plan.rows(Action.SEND)["key"].to_pylist() + plan.rows(Action.RETIRE)["key"].to_pylist()
    )
    data = [wave.table["reason"].to_pylist() for wave in waves if wave.stage == Stage.DATA]
    new = [i for i, reasons in enumerate(data) if Reason.NEW in reasons]
    replaced = [i for i, reasons in enumerate(data) if Reason.CHANGED in reasons]
    assert not new or not replaced or max(new) < min(replaced)


@given(source=TREES, target=TREES, published=TREES, keeps=st.booleans())
def test_the_manifest_is_what_the_target_then_holds(source, target, published, keeps):
    plan = plan_of(survey(source, target, published), keeps=keeps)
    sent = plan.rows(Action.SEND)["key"].to_pylist()
    manifest = manifest_of(plan, "p", answers_of({key: source[key] for key in sent})).to_pylist()
    after = apply(plan, source, target)
    assert {row["key"]: (row["digest"], row["etag"]) for row in manifest}.items() <= {
        key: (digest(body), md5(body)) for key, body in after.items()
    }.items()
    assert set(source) <= {row["key"] for row in manifest}
    if sent:
        with pytest.raises(KeyError):
            manifest_of(plan, "p")


@pytest.mark.parametrize(
    ("source", "target", "published", "reason"),
    [
        (b"a", None, None, Reason.NEW),
        (b"a", None, b"a", Reason.NEW),
        (b"a", b"a", b"a", Reason.SAME),
        (b"a", b"a", None, Reason.SAME),
        (b"a", b"b", b"b", Reason.CHANGED),
        (b"a", b"b", None, Reason.CHANGED),
        (b"a", b"b", b"a", Reason.FOREIGN_WRITE),
        (b"a", b"bc", b"a", Reason.FOREIGN_WRITE),
        (None, b"a", b"a", Reason.GONE),
        (None, b"a", None, Reason.GONE),
    ],
)
def test_reasons(source, target, published, reason):
    trees = [{} if body is None else {"k": body} for body in (source, target, published)]
    assert plan_of(survey(*trees)).table["reason"].to_pylist() == [reason]


def test_headers_that_drift_are_mended_and_unknown_ones_are_left():
    tree = {"k": b"a"}
    assert plan_of(survey(tree, tree, tree, headers="other")).table["reason"].to_pylist() == [Reason.HEADERS]
    assert plan_of(survey(tree, tree, None, headers="other")).is_empty


@pytest.mark.parametrize(("gone", "limit", "refused"), [(3, 2, True), (2, 2, False), (0, 0, False)])
def test_the_guard(gone, limit, refused):
    target = {str(number): b"x" for number in range(10)}
    source = {str(number): b"x" for number in range(gone, 10)}
    plan = plan_of(survey(source, target, target))
    assert bool(guard_findings("p", plan.table, lambda total: limit if total == 10 else 10**6)) == refused


def test_arrays_that_a_selection_would_tear():
    documents = {".zgroup": {"zarr_format": 2}}
    documents["t/.zarray"] = {"zarr_format": 2, "shape": [4], "chunks": [2], "dtype": "<f4", "compressor": None}
    raw = {key: json.dumps(document).encode() for key, document in documents.items()}
    objects = describe(Kind.ZARR, "p", [*raw, "t/0", "t/1"], raw).objects
    assert split_arrays(objects, column([True, True, True, False], pa.bool_())) == ["t"]
    assert split_arrays(objects, column([True, False, False, False], pa.bool_())) == []


@pytest.mark.parametrize(("size", "puts"), [(64 * 2**20, 1), (64 * 2**20 + 1, 2 + 2), (200 * 2**20, 4 + 2)])
def test_what_large_objects_cost(size, puts):
    source = {"large": b"", "small": b""}
    made = survey(source, {})
    rows = made.source.to_pylist()
    rows[0]["size"] = size
    plan = plan_of(replace(made, source=table_of(rows, SOURCE)))
    assert plan.cost().puts == puts + 1 + 7
    assert plan_of(survey(source, source, source)).cost().puts == 0


@pytest.mark.parametrize(("retire", "has_trash"), [("trash", True), ("keep", True), ("delete", False)])
@pytest.mark.parametrize(("there", "gone", "lists", "deletes"), [(2000, 1001, 2, 2), (1999, 1000, 1, 1)])
def test_a_thousand_objects_are_listed_or_deleted_at_once(there, gone, lists, deletes, retire, has_trash):
    target = {f"{number:04}": b"x" for number in range(there)}
    source = {key: body for key, body in target.items() if int(key) >= gone}
    cost = plan_of(survey(source, target, target), retire=retire).cost()
    assert (cost.puts, cost.copies, cost.gets) == (7, gone if has_trash else 0, 9)
    assert (cost.lists, cost.deletes) == (lists + 1, deletes)


def test_what_no_reader_sees_is_nobody_s_loss():
    target = {f"{number}": b"x" for number in range(4)}
    table = plan_of(survey({"0": b"x"}, target, target)).table
    named = with_values(table, "array", [None, "t", "t", "u"])

    def refused(unseen):
        return [finding.code for finding in guard_findings("p", named, lambda _: 1, unseen)]

    assert refused(()) == ["max-delete"]
    assert refused({("", "t")}) == []
    assert refused({("", "u")}) == ["max-delete"]
    assert refused({("s", "t")}) == ["max-delete"]
    vanished = with_values(table, "reason", ["vanished chunk", "gone from the source", "vanished chunk", None])
    found = guard_findings("p", vanished, lambda _: 9)
    assert [(finding.level, finding.code) for finding in found] == [("warning", "vanished-chunks")]
    assert found[0].message.startswith("2 chunks that were published")


def test_how_a_plan_shows_itself(tmp_path):
    made = Plan(
        plan_product("<b>x", survey({"a": b"1"}, {"b": b"2"}), keeps=False),
        (PlannedProduct("<b>x", "s3://b/x", "/src", "files", "trash", None),),
    )
    html = made._repr_html_()
    assert "<b>x" not in html
    assert "&lt;b&gt;x" in html
    assert json.loads(json.dumps(made.to_dict()))["products"][0]["send"] == 1
    made.write_parquet(str(tmp_path / "plan.parquet"))
    assert pq.read_table(tmp_path / "plan.parquet") == made.table
    assert len(made.to_pandas()) == 2
