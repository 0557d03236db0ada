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
    Grace,
    Plan,
    PlannedProduct,
    Survey,
    guard_findings,
    kept_keys,
    manifest_of,
    plan_product,
    split_arrays,
    undecided,
)
from zsync.planning.show import plan_text
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


@given(source=TREES, target=TREES, published=TREES, doubted=st.frozensets(KEYS))
def test_what_is_doubted_is_sent_whatever_a_listing_shows_and_the_rest_as_ever(source, target, published, doubted):
    made = survey(source, target, published)
    plain, plan = plan_of(made), plan_of(replace(made, doubted=doubted))
    sent = set(plan.rows(Action.SEND)["key"].to_pylist())
    assert sent == set(plain.rows(Action.SEND)["key"].to_pylist()) | (doubted & source.keys())
    assert plan.rows(Action.RETIRE) == plain.rows(Action.RETIRE)
    reasons = dict(zip(plan.table["key"].to_pylist(), plan.table["reason"].to_pylist(), strict=True))
    news = {key for key in sent if reasons[key] == Reason.DOUBTED}
    assert news == set(plain.rows(Action.UNCHANGED)["key"].to_pylist()) & doubted


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


@pytest.mark.parametrize(
    ("target", "published", "reason"),
    [
        (b"b", None, Reason.UNKNOWN),
        (b"bc", None, Reason.CHANGED),  # the size tells
        (b"b", b"b", Reason.CHANGED),  # the record tells
        (b"b", b"c", Reason.FOREIGN_WRITE),
        (b"a", b"a", Reason.SAME),
    ],
)
def test_reasons_where_etags_say_nothing(target, published, reason):
    trees = {"k": b"a"}, {"k": target}, {} if published is None else {"k": published}
    assert plan_of(survey(*trees, etag_is_md5=False)).table["reason"].to_pylist() == [reason]


def test_headers_that_drift_are_mended_and_unknown_ones_are_left():
    tree = {"k": b"a"}
    assert plan_of(survey(tree, tree, tree, headers="other")).table["reason"].to_pylist() == [Reason.HEADERS]
    assert plan_of(survey(tree, tree, None, headers="other")).is_empty


def test_what_lies_in_another_storage_class_is_sent_again_for_that_reason_if_for_no_other():
    tree = {"a": b"a", "b": b"b", "c": b"c", "d": b"d"}
    made = survey(tree, {**tree, "b": b"old"}, {**tree, "b": b"old"})
    plan = plan_of(replace(made, misplaced=["a", "b", "absent"]))
    assert plan.table["reason"].to_pylist() == [Reason.CLASS, Reason.CHANGED, Reason.SAME, Reason.SAME]
    drifted = replace(made, misplaced=["a"], headers=column(["other", "h", "h", "h"], pa.string()))
    assert plan_of(drifted).table["reason"].to_pylist()[0] == Reason.HEADERS


def test_what_is_on_record_of_headers_and_versions_is_what_is_known():
    """Of an object that somebody else wrote no listing tells them."""
    tree = {"foreign": b"1", "new": b"2", "same": b"3"}
    made = survey(tree, {"foreign": b"1", "same": b"3"}, {"foreign": b"old", "same": b"3"})
    rows = [{**row, "version": "v1"} for row in made.manifest.to_pylist()]
    plan = plan_of(replace(made, manifest=table_of(rows, MANIFEST)))
    answers = with_values(answers_of({"new": b"2"}), "version", ["v2"])
    manifest = {row["key"]: (row["headers"], row["version"]) for row in manifest_of(plan, "p", answers).to_pylist()}
    assert manifest == {"foreign": (None, None), "new": ("h", "v2"), "same": ("h", "v1")}


def test_what_zsync_makes_itself_comes_from_no_file_of_the_source():
    tree = {"file": b"1", "made": b"2"}
    made = replace(survey(tree, {"file": b"0", "made": b"0"}), generated={"made": b"2"})
    rows = [[row["source_key"], row["reason"], row["content"]] for row in plan_of(made).table.to_pylist()]
    assert rows == [["file", Reason.CHANGED, None], [None, Reason.GENERATED, b"2"]]


# What only the target has

HOUR, NOW = 3600, 1_000_000


def gone_of(made, *, since=None, keeps=False, seconds=HOUR):
    """Return the row of the one object that the source lacks, since some time as the record says."""
    recorded = [{**row, "gone_s": since, "version": "v1"} for row in made.manifest.to_pylist()]
    made = replace(made, manifest=table_of(recorded, MANIFEST))
    [row] = plan_product("p", made, keeps=keeps, grace=Grace(seconds, NOW)).to_pylist()
    return row


@pytest.mark.parametrize(
    ("since", "seconds", "waits", "told"),
    [
        (None, HOUR, True, NOW), (NOW - HOUR + 1, HOUR, True, NOW - HOUR + 1), (NOW - HOUR, HOUR, False, NOW - HOUR),
        (None, 0, False, NOW),
        (NOW + 9999, HOUR, True, NOW),  # by a clock that was ahead
    ],
)  # fmt: skip
def test_what_the_source_lost_stays_for_its_grace_and_no_longer(since, seconds, waits, told):
    row = gone_of(survey({}, {"k": b"a"}, {"k": b"a"}), since=since, seconds=seconds)
    action, reason = (Action.KEEP, Reason.GRACE) if waits else (Action.RETIRE, Reason.GONE)
    assert (row["action"], row["reason"], row["gone_s"]) == (action, reason, told)
    assert row["stage"] == (Stage.DATA if waits else Stage.RETIRE)


def test_whoever_keeps_what_is_gone_has_no_grace_to_wait_for():
    row = gone_of(survey({}, {"k": b"a"}, {"k": b"a"}), keeps=True)
    assert (row["action"], row["reason"], row["gone_s"]) == (Action.KEEP, Reason.POLICY, NOW)


@pytest.mark.parametrize("since", [None, NOW - 5])
@pytest.mark.parametrize("keeps", [True, False])
def test_what_a_selection_leaves_out_stays_as_it_is_on_record(since, keeps):
    made = replace(survey({}, {"k": b"a"}, {"k": b"a"}), gone_selected=column([False], pa.bool_()))
    row = gone_of(made, since=since, keeps=keeps, seconds=0)
    assert (row["action"], row["reason"], row["stage"]) == (Action.KEEP, Reason.NOT_SELECTED, Stage.DATA)
    assert (row["gone_s"], row["digest"], row["version"], row["source_key"]) == (since, digest(b"a"), "v1", "k")


def test_what_stays_of_others_is_on_no_record():
    made = survey({}, {"foreign": b"1", "ours": b"2"}, {"foreign": b"other", "ours": b"2"})
    for selected in (True, False):
        chosen = replace(made, gone_selected=column([selected] * 2, pa.bool_()))
        plan = plan_of(chosen, keeps=True)
        assert plan.count(Action.KEEP) == 2
        assert manifest_of(plan, "p")["key"].to_pylist() == ["ours"]


@pytest.mark.parametrize(("keeps", "stay"), [(True, ["a", "b"]), (False, ["b"])])
def test_which_keys_stay_in_the_target(keeps, stay):
    gone = survey({}, {"a": b"1", "b": b"2"}).gone
    assert kept_keys(gone, column([True, False], pa.bool_()), keeps=keeps)["key"].to_pylist() == stay


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
    assert split_arrays(objects, column([True] * 4, pa.bool_())) == []


@pytest.mark.parametrize(("size", "puts"), [(64 * 2**20, 1), (64 * 2**20 + 1, 5 + 2), (200 * 2**20, 13 + 2)])
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


def test_history_that_is_kept_costs_a_look_and_a_copy():
    plan = plan_of(survey({"a": b"1", "b": b"2", "c": b"3"}, {"a": b"0", "b": b"2", "d": b"4"}, {}))
    keeping = replace(plan, products=tuple(replace(product, keeps_replaced=True) for product in plan.products))
    plain, kept = plan.cost(), keeping.cost()
    assert keeping.replaced("p") == 1
    assert (kept.copies, kept.gets, kept.puts) == (plain.copies + 1, plain.gets + 1, plain.puts)
    assert "history: replaced objects go to the trash first: 1" in plan_text(keeping)
    assert "history" not in plan_text(plan)


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
    stale = with_values(table, "stage", ["data", "withdraw", "withdraw", "retire"])
    assert guard_findings("p", stale, lambda _: 1) == [], "no reader can see what is withdrawn"
    vanished = with_values(table, "reason", ["vanished chunk", "gone from the source", "vanished chunk", None])
    found = guard_findings("p", vanished, lambda _: 9)
    assert [(finding.level, finding.code) for finding in found] == [("warning", "vanished-chunks")]
    assert found[0].message.startswith("2 chunks that were published")


def test_each_product_has_its_share_of_a_plan_whatever_the_order_of_its_rows():
    tables = [plan_product(name, survey({"a": b"1", "b": b"2"}, {}), keeps=False) for name in ("p", "q")]
    mixed = pa.concat_tables([tables[0].slice(0, 1), *tables[1:], tables[0].slice(1)])
    plan = Plan(mixed, ())
    for name in ("q", "p"):
        assert [plan.share(name)[what].to_pylist() for what in ("product", "key")] == [[name] * 2, ["a", "b"]]
    assert (len(plan.share("other")), len(plan.passing)) == (0, 0)
    assert (plan.count(Action.SEND), plan.count(Action.SEND, "q"), plan.bytes(Action.SEND, "p")) == (4, 2, 2)


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
