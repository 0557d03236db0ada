"""What a plan says of arrays and objects, case by case, in a world without disks and networks."""

from __future__ import annotations

import json
import math

import pytest
from world import Array, State, World, layout_of

from zsync.layout import members_of
from zsync.planning import ChangeClass, Grace, withdraw, without_moving, without_waiting
from zsync.tables import with_values
from zsync.words import Action, Reason, Role, Stage


def store(t=4, x=4, *, k=1, more=(), title="", zarr_format=2):
    """Return a store of a coordinate and a field, and more fields."""
    arrays = {"t": Array((t,)), "v": Array((t, x), k)} | {name: Array((t, x)) for name in more}
    return State(arrays, zarr_format, title, is_consolidated=True, separator="." if zarr_format == 2 else "/")


def published(files, **policy):
    """Return a world in which a source is published."""
    world = World()
    for _ in world.steps(world.plan(files, **policy), files, list):
        pass
    return world


def classes(plan):
    return {f"{change.store}/{change.array}".lstrip("/"): change.kind for change in plan.changes}


@pytest.mark.parametrize("prefix", ["", "tree/deep/a.zarr"])
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("new", "kind"),
    [
        ({"k": 2}, ChangeClass.UPDATE),
        ({"t": 6}, ChangeClass.APPEND),
        ({"t": 5}, ChangeClass.APPEND),
        ({"t": 2}, ChangeClass.SHRINK),
        ({"t": 6, "x": 2}, ChangeClass.RESIZE),
        ({"title": "other"}, ChangeClass.UNCHANGED),
        ({}, ChangeClass.UNCHANGED),
    ],
)
def test_what_happens_to_an_array_is_told_in_trees_too(prefix, zarr_format, new, kind):
    world = published(store(zarr_format=zarr_format).files(prefix))
    plan = world.plan(store(zarr_format=zarr_format, **new).files(prefix))
    assert classes(plan)[f"{prefix}/v".lstrip("/")] == kind
    assert bool(plan.shown_while(Stage.FENCE)) == (kind in (ChangeClass.SHRINK, ChangeClass.RESIZE))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_array_that_is_new_and_one_of_which_only_attributes_change(zarr_format):
    files = store(zarr_format=zarr_format).files("a.zarr")
    assert classes(World().plan(files)) == dict.fromkeys(["a.zarr/t", "a.zarr/v"], ChangeClass.NEW)
    key = "a.zarr/v/.zattrs" if zarr_format == 2 else "a.zarr/v/zarr.json"
    described = {**json.loads(files.get(key, b"{}")), "attributes": {"long_name": "v"}}
    plan = published(files).plan({**files, key: json.dumps(described).encode()})
    assert classes(plan) == {"a.zarr/t": ChangeClass.UNCHANGED, "a.zarr/v": ChangeClass.METADATA}


def test_values_behind_an_edge_that_moves_tell_an_append_from_an_update():
    world = published(store(5).files())
    [append] = [change for change in world.plan(store(6).files()).changes if change.array == "v"]
    assert (append.kind, append.inside) == (ChangeClass.APPEND, 0)
    [update] = [change for change in world.plan(store(6, k=2).files()).changes if change.array == "v"]
    assert (update.kind, update.inside) == (ChangeClass.UPDATE, 6)


@pytest.mark.parametrize("prefix", ["", "tree/a.zarr"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_is_removed_beside_what_shrinks_is_fenced_with_it(prefix, zarr_format):
    """And nothing else is: what grows meanwhile is shown as it was."""
    before, after = store(more=["w"], zarr_format=zarr_format), store(2, zarr_format=zarr_format)
    before.arrays["u"], after.arrays["u"] = Array((2,)), Array((4,))
    plan = published(before.files(prefix)).plan(after.files(prefix))
    assert classes(plan)[f"{prefix}/w".lstrip("/")] == ChangeClass.REMOVED
    [consolidated] = [row for row in plan.shown_while(Stage.FENCE) if row["rank"]]
    shown = members_of(json.loads(consolidated["content"]))
    shapes = {key.partition("/")[0]: document["shape"] for key, document in shown.items() if "shape" in document}
    assert shapes == {"t": [2], "v": [2, 4], "u": [2]}


def test_a_group_that_goes_leaves_consolidated_metadata_with_the_fence():
    before = store(6)
    before.arrays["g/u"] = Array((4,))
    plan = published(before.files("a.zarr")).plan(store(2).files("a.zarr"))
    [consolidated] = [row for row in plan.shown_while(Stage.FENCE) if row["rank"]]
    shown = members_of(json.loads(consolidated["content"]))
    assert set(shown) == {".zgroup", ".zattrs", "t/.zarray", "v/.zarray"}


def test_what_names_others_is_retired_before_what_is_named():
    world = published(store(more=["w"]).files())
    plan = world.plan(store().files())
    ranks = {row["key"]: row["rank"] for row in plan.rows(Action.RETIRE).to_pylist()}
    chunks = [rank for key, rank in ranks.items() if key.startswith("w/") and not key.startswith("w/.")]
    assert len(chunks) == 4
    assert ranks["w/.zarray"] < min(chunks)


def test_a_chunk_left_of_a_publish_that_no_root_followed_never_comes_to_light():
    world = World()
    files = store(4).files("a.zarr")
    for stage in world.steps(world.plan(files), files, list):
        if stage == Stage.ROOT:  # all arrays are there, and what makes the store visible is not
            break
    source = {key: body for key, body in files.items() if key != "a.zarr/v/1.0"}
    [stale] = [row for row in world.plan(source).table.to_pylist() if row["key"] == "a.zarr/v/1.0"]
    assert (stale["action"], stale["reason"], stale["stage"]) == (Action.RETIRE, Reason.STALE, Stage.WITHDRAW)


def test_a_chunk_that_vanished_is_seen_until_all_is_there_whatever_comes_with_it():
    world = published(store().files("a.zarr"))
    source = {key: body for key, body in store(6, more=["w"]).files("a.zarr").items() if key != "a.zarr/v/0.0"}
    [gone] = world.plan(source).rows(Action.RETIRE).to_pylist()
    assert (gone["key"], gone["reason"], gone["stage"]) == ("a.zarr/v/0.0", Reason.VANISHED, Stage.RETIRE)


@pytest.mark.parametrize("prefix", ["", "tree/a.zarr"])
def test_a_chunk_that_outlived_a_shrink_does_not_come_back_when_the_array_grows(prefix):
    """Beyond what is shown along one axis is enough; what lies inside can be seen now, and vanishes."""
    world, key = published(store(2).files(prefix)), f"{prefix}/v/1.0".lstrip("/")
    world.target[key] = b"old"
    source = {name: body for name, body in store(4).files(prefix).items() if not name.endswith(("v/1.0", "v/0.1"))}
    gone = {row["key"]: (row["stage"], row["reason"]) for row in world.plan(source).rows(Action.RETIRE).to_pylist()}
    assert gone == {
        key: (Stage.WITHDRAW, Reason.STALE), key.replace("1.0", "0.1"): (Stage.RETIRE, Reason.VANISHED)
    }  # fmt: skip
    nowhere = key.replace("1.0", "9.9")  # in no grid: nothing shows it
    world.target[nowhere] = b"old"
    rows = {row["key"]: row["stage"] for row in world.plan(source).rows(Action.RETIRE).to_pylist()}
    assert rows[nowhere] == Stage.RETIRE


def test_a_chunk_in_the_grid_that_is_on_no_record_has_not_vanished():
    world = published(store().files())
    world.manifest = world.manifest.filter([key != "v/0.0" for key in world.manifest["key"].to_pylist()])
    source = {key: body for key, body in store().files().items() if key != "v/0.0"}
    [gone] = world.plan(source).rows(Action.RETIRE).to_pylist()
    assert (gone["key"], gone["reason"], gone["stage"]) == ("v/0.0", Reason.GONE, Stage.RETIRE)


def test_a_vanished_chunk_has_no_grace():
    """Readers see it until it is gone, at the side of new values."""
    world = published(store(more=["w"]).files())
    source = {key: body for key, body in store().files().items() if key != "v/0.0"}
    rows = {row["key"]: row["reason"] for row in world.plan(source, grace_s=3600).table.to_pylist()}
    assert (rows["v/0.0"], rows["w/0.0"], rows["w/.zarray"]) == (Reason.VANISHED, Reason.GRACE, Reason.GRACE)


def test_what_is_withdrawn_is_not_fenced_before():
    state, after = store(), store(2)
    state.arrays["g/u"], after.arrays["g/u"] = Array((4,)), Array((4,), dtype="<u2")
    plan = published(state.files()).plan(after.files())
    assert [row["key"] for row in plan.shown_while(Stage.FENCE)] == ["t/.zarray", "v/.zarray"]
    assert ".zmetadata" in [row["key"] for row in plan.shown_while(Stage.WITHDRAW)]


def test_a_plan_that_is_not_to_replace_arrays_withdraws_nothing():
    world = published(store().files())
    files = {name: body.replace(b"|u1", b"|i1") for name, body in store().files().items()}
    plan, stores = world.plan(files), layout_of(files).stores
    assert withdraw(plan.lasting, stores, plan.changes, replaces=False) == (plan.lasting, [])
    assert len(withdraw(plan.lasting, stores, plan.changes, replaces=True)[1]) == 4


def test_what_is_kept_is_kept_for_that_reason_and_what_vanished_is_told():
    """An array that the source has is whole there: a chunk that it lacks is not kept."""
    world = published(store(more=["w"]).files())
    source = {key: body for key, body in store().files().items() if key != "v/0.0"}
    kept = world.plan(source, keeps=True)
    reasons = {row["key"]: row["reason"] for row in kept.rows(Action.KEEP).to_pylist()}
    assert (reasons["w/0.0"], set(reasons.values())) == (Reason.POLICY, {Reason.POLICY})
    assert "w" not in classes(kept)
    assert {row["key"]: row["reason"] for row in kept.rows(Action.RETIRE).to_pylist()} == {"v/0.0": Reason.VANISHED}
    gone = {row["key"]: row["reason"] for row in world.plan(source).rows(Action.RETIRE).to_pylist()}
    assert (gone["w/0.0"], gone["v/0.0"]) == (Reason.GONE, Reason.VANISHED)
    assert world.plan(source).vanished() == 1


def test_a_grace_goes_on_from_run_to_run_also_of_what_was_never_on_record():
    files = store(more=["w"]).files()
    world = published(files)
    for key in [key for key in files if key.startswith("w/")]:
        world.target[key] += b" "  # somebody else's now
    world.manifest = world.manifest.filter([not key.startswith("w/") for key in world.manifest["key"].to_pylist()])
    waits = []
    for passed_s in (0, 2000, 2000):
        world.now_s += passed_s
        plan = world.plan(store().files(), grace_s=3600)
        waits.append(sum(row["reason"] == Reason.GRACE for row in plan.table.to_pylist()))
        assert (plan.waits_until(Grace(3600, 0)) < math.inf) == bool(waits[-1])
        for _ in world.steps(plan, store().files(), list):
            pass
    assert waits == [5, 5, 0]
    assert set(world.target) == set(published(store().files()).target)


def test_a_plan_costs_what_it_asks_for():
    world = published(store(more=["w"]).files())
    plan = world.plan(store(title="other").files())
    cost = plan.cost()
    sent, retired = plan.count(Action.SEND), plan.count(Action.RETIRE)
    assert (cost.copies, cost.deletes) == (retired, 1)
    assert cost.puts == sent + 7
    per_put, per_get = 0.005 / 1000, 0.0004 / 1000
    assert cost.dollars == pytest.approx((cost.puts + cost.copies + cost.lists) * per_put + cost.gets * per_get)


def test_what_tells_readers_untrue_things_waits_for_nothing():
    world = published(store(more=["w"]).files())
    waiting = world.plan(store().files(), grace_s=3600)
    rows = {row["key"]: row for row in waiting.table.to_pylist()}
    assert rows["w/.zarray"]["action"] == Action.KEEP
    table = without_waiting(waiting.table, {"w/.zarray", "v/.zarray", "absent"})
    changed = {row["key"]: row for row in table.to_pylist() if row != rows[row["key"]]}
    gone = {"stage": Stage.RETIRE, "action": Action.RETIRE, "reason": Reason.GONE}
    assert changed == {"w/.zarray": rows["w/.zarray"] | gone}
    assert without_waiting(waiting.table, set()) == waiting.table


def test_of_what_was_left_out_what_is_on_record_stays_so():
    files = store().files("a.zarr")
    world = published(files)
    plan = world.plan(store(k=2).files("a.zarr") | {"new": b"x", "other": b"x"})
    left = {("p", "a.zarr/v/0.0"), ("p", "a.zarr/v/.zarray"), ("p", "new"), ("q", "other")}
    world.manifest = with_values(
        world.manifest, "etag", ["else" if k.endswith(".zarray") else e for k, e in columns_of(world.manifest)]
    )
    table = without_moving(plan.lasting, left, {"p": world.manifest})
    before, after = ({row["key"]: row for row in rows.to_pylist()} for rows in (plan.lasting, table))
    assert before.keys() - after.keys() == {"a.zarr/v/.zarray", "new"}, "it is not on record as it is"
    assert [key for key in after if after[key] != before[key]] == ["a.zarr/v/0.0"]
    recorded = {row["key"]: row for row in world.manifest.to_pylist()}["a.zarr/v/0.0"]
    kept = after["a.zarr/v/0.0"]
    assert (kept["action"], kept["reason"], kept["role"], kept["rank"]) == (Action.KEEP, Reason.MOVING, "chunk", 0)
    assert {name: kept[name] for name in ("digest", "etag", "stage")} == {
        name: recorded[name] for name in ("digest", "etag", "stage")
    }


def columns_of(manifest):
    return zip(manifest["key"].to_pylist(), manifest["etag"].to_pylist(), strict=True)


def waves(plan):
    """Return what a plan does, wave by wave: stage, rank, action and keys."""
    return [
        (str(wave.stage), wave.rank, *{row["action"] for row in wave.table.to_pylist()}, wave.table["key"].to_pylist())
        for wave in plan.waves()
    ]


def test_what_is_replaced_is_withdrawn_from_the_top_down_and_comes_back():
    state = store()
    state.arrays["g/u"] = Array((4,))
    files = state.files()
    changed = {**files, "g/u/.zarray": files["g/u/.zarray"].replace(b"|u1", b"|i1")}
    del changed["g/u/1"]
    plan = published(files).plan(changed)
    assert waves(plan) == [
        ("withdraw", 0, "retire", [".zmetadata"]),
        ("withdraw", 1, "retire", [".zgroup"]),
        ("withdraw", 2, "retire", ["g/.zgroup"]),
        ("withdraw", 3, "retire", ["g/u/.zarray"]),
        ("withdraw", 4, "retire", ["g/u/1"]),
        ("array", 1, "send", ["g/u/.zarray"]),
        ("group", -3, "send", ["g/.zgroup"]),
        ("root", 1, "send", [".zgroup"]),
        ("root", 2, "send", [".zmetadata"]),
    ]
    assert {row["reason"] for row in plan.shown_while(Stage.WITHDRAW)} == {Reason.WITHDRAWN}
    assert {row["key"]: row["reason"] for row in plan.rows(Action.RETIRE).to_pylist()} == {"g/u/1": Reason.STALE}


def test_documents_of_another_format_go_first_and_do_not_come_back():
    world = published(store().files("a.zarr"))
    [*begin, (_, _, _, attributes), (_, _, _, chunks)] = waves(world.plan(store(zarr_format=3).files("a.zarr")))
    assert begin == [
        ("withdraw", 0, "retire", ["a.zarr/.zmetadata"]),
        ("withdraw", 1, "retire", ["a.zarr/.zgroup"]),
        ("withdraw", 3, "retire", ["a.zarr/t/.zarray", "a.zarr/v/.zarray"]),
        ("data", 0, "send", ["a.zarr/t/c/0", "a.zarr/t/c/1", *(f"a.zarr/v/c/{i}/{j}" for i in (0, 1) for j in (0, 1))]),
        ("array", 1, "send", ["a.zarr/t/zarr.json", "a.zarr/v/zarr.json"]),
        ("root", 2, "send", ["a.zarr/zarr.json"]),
    ]
    assert (attributes, len(chunks)) == (["a.zarr/.zattrs"], 6)


def test_what_shrinks_and_what_goes_step_by_step():
    before, after = store(6, more=["w"]), store(2, k=2)
    before.arrays["g/u"] = Array((4,))
    plan = published(before.files()).plan(after.files())
    chunks = ["g/u/0", "g/u/1", "t/1", "t/2", *(f"v/{i}.{j}" for i in (1, 2) for j in (0, 1))]
    chunks += [f"w/{i}.{j}" for i in (0, 1, 2) for j in (0, 1)]
    assert {(row["role"], row["reason"], row["store"]) for row in plan.shown_while(Stage.FENCE)} == {
        (Role.METADATA, Reason.FENCE, "")
    }
    assert waves(plan) == [
        ("fence", 0, "send", ["t/.zarray", "v/.zarray"]),
        ("fence", 1000, "send", [".zmetadata"]),
        ("data", 10, "send", ["v/0.0", "v/0.1"]),
        ("array", 1, "send", ["t/.zarray", "v/.zarray"]),
        ("root", 2, "send", [".zmetadata"]),
        ("retire", 10_003, "retire", ["g/.zgroup"]),
        ("retire", 20_003, "retire", ["w/.zarray"]),
        ("retire", 20_007, "retire", ["g/u/.zarray"]),
        ("retire", 30_000, "retire", chunks),
    ]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_that_is_on_no_record_is_retired_from_its_root_on(zarr_format):
    """Cut off before the record, it is seen all the same; and by then the source does not tell what its keys are."""
    world, made = World(), store(more=["w"], zarr_format=zarr_format)
    files = made.files("tree/a.zarr") | made.files("tree/b.zarr")
    for stage in world.steps(world.plan(files), files, list):
        if stage == Stage.ROOT and files.keys() <= world.target.keys():
            break
    assert not len(world.manifest)
    plan = world.plan(made.files("tree/a.zarr"))
    waves = [wave.table["key"].to_pylist() for wave in plan.waves() if wave.stage == Stage.RETIRE]
    gone = [{key.removeprefix("tree/b.zarr/") for key in wave if key.startswith("tree/b.zarr/")} for wave in waves]
    chunks = {key.removeprefix("tree/b.zarr/") for key in files if key.startswith("tree/b.zarr/")}
    chunks = {key for key in chunks if not key.rpartition("/")[2].startswith((".z", "zarr.json"))}
    assert {"v", "w"} <= {key.partition("/")[0] for key in chunks}
    assert gone[0] == {".zmetadata"} if zarr_format == 2 else {"zarr.json"}
    assert gone[-1] == chunks
    assert all(not wave & chunks for wave in gone[:-1])
