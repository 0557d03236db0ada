"""What a plan says of arrays and objects, case by case, in a world without disks and networks."""

from __future__ import annotations

import pytest
from world import Array, State, World

from zsync.planning import ChangeClass
from zsync.words import Action, Reason, Stage


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


def test_values_behind_an_edge_that_moves_tell_an_append_from_an_update():
    world = published(store(5).files())
    [append] = [change for change in world.plan(store(6).files()).changes if change.array == "v"]
    assert (append.kind, append.inside) == (ChangeClass.APPEND, 0)
    [update] = [change for change in world.plan(store(6, k=2).files()).changes if change.array == "v"]
    assert (update.kind, update.inside) == (ChangeClass.UPDATE, 6)


@pytest.mark.parametrize("prefix", ["", "tree/a.zarr"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_is_removed_beside_what_shrinks_is_fenced_with_it(prefix, zarr_format):
    world = published(store(more=["w"], zarr_format=zarr_format).files(prefix))
    plan = world.plan(store(2, zarr_format=zarr_format).files(prefix))
    assert classes(plan)[f"{prefix}/w".lstrip("/")] == ChangeClass.REMOVED
    consolidated = [row for row in plan.shown_while(Stage.FENCE) if row["rank"]]
    assert len(consolidated) == 1
    assert b'"w' not in consolidated[0]["content"]


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


def test_what_is_kept_is_kept_for_that_reason_and_what_vanished_is_told():
    """An array that the source has is whole there: a chunk that it lacks is not kept."""
    world = published(store(more=["w"]).files())
    source = {key: body for key, body in store().files().items() if key != "v/0.0"}
    kept = world.plan(source, keeps=True)
    reasons = {row["key"]: row["reason"] for row in kept.rows(Action.KEEP).to_pylist()}
    assert (reasons["w/0.0"], set(reasons.values())) == (Reason.POLICY, {Reason.POLICY})
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
