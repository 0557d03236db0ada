"""What must not come to light: stale chunks, and arrays that are replaced; and what only values tell apart."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr
from proxy import Fault, on
from target import CHUNKS, absent, collapse, looking, same
from trees import append, read_tree, s3_bytes, s3_tree, weather, write_store

import zsync
from zsync.errors import GuardError
from zsync.planning.show import plan_text

PUBLISH = {"rewrites": "inplace", "on_incompatible": "refuse", "grace": 0}  # flips have tests of their own: test_flip

FORMATS = [
    pytest.param({"zarr_format": 2}, id="v2"),
    pytest.param({"zarr_format": 3}, id="v3"),
    pytest.param({"zarr_format": 3, "shards": {"time": 10, "x": 8}}, id="v3 sharded"),
]


def rewrite(site, data, **options):
    shutil.rmtree(site.root / "a.zarr")
    write_store(site.root / "a.zarr", data, **{"chunks": CHUNKS, **options})


def classes(plan):
    return {change.array: str(change.kind) for change in plan.changes}


# --- append or update: values tell ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", FORMATS)
def test_a_boundary_chunk_that_keeps_its_old_cells_makes_an_append(site, options):
    site.store("a.zarr", weather(12, 8), **options)
    site.publish()
    append(site.root / "a.zarr", weather(14, 8).isel(time=slice(12, None)))
    plan = zsync.plan(site.config())
    assert classes(plan) == {"t2m": "append", "time": "append", "x": "unchanged"}
    assert all(change.inside == 0 for change in plan.changes)
    assert "not atomic" not in plan_text(plan)


@pytest.mark.parametrize("options", FORMATS)
def test_one_old_cell_that_changes_in_a_boundary_chunk_makes_an_update(site, options):
    site.store("a.zarr", weather(12, 8), **options)
    site.publish()
    append(site.root / "a.zarr", weather(14, 8).isel(time=slice(12, None)))
    array = zarr.open_array(str(site.root / "a.zarr" / "t2m"), mode="r+")
    array[11, 7] = -1
    plan = zsync.plan(site.config())
    assert classes(plan)["t2m"] == "update"
    assert {change.array: change.inside for change in plan.changes} == {"t2m": 1, "time": 0, "x": 0}
    assert "update: t2m, 1 chunk inside the old extent; not atomic" in plan_text(plan)


def test_an_old_cell_that_was_fill_value_and_is_none_any_more_makes_an_update(site):
    data = weather(12, 8)
    data["t2m"][10:, :4] = np.nan
    site.store("a.zarr", data)
    (site.root / "a.zarr/t2m/2.0").unlink(missing_ok=True)  # as a writer that leaves out chunks of fill value only
    site.publish()
    append(site.root / "a.zarr", weather(14, 8).isel(time=slice(12, None)))
    assert classes(zsync.plan(site.config()))["t2m"] == "append"
    zarr.open_array(str(site.root / "a.zarr/t2m"), mode="r+")[11, 0] = 5
    assert classes(zsync.plan(site.config()))["t2m"] == "update"


def test_packed_text_and_dates_are_compared_by_value(site):
    def made(count):
        return xr.Dataset(
            {
                "packed": (("time",), np.arange(count) * 0.1),
                "name": (("time",), np.array([f"n{i}" for i in range(count)], dtype=object)),
                "flag": (("time",), np.arange(count) % 2 == 0),
            },
            coords={"time": np.datetime64("2020-01-01") + np.arange(count)},
        )

    encoding = {
        "packed": {"dtype": "i2", "scale_factor": 0.1, "_FillValue": -1, "chunks": (10,)},
        "name": {"chunks": (10,)},
        "flag": {"chunks": (10,)},
        "time": {"chunks": (10,), "units": "days since 2020-01-01", "dtype": "i4"},
    }
    for zarr_format in (2, 3):
        shutil.rmtree(site.root, ignore_errors=True)
        name = f"{zarr_format}.zarr"
        site.products = {name: {"path": name, "kind": "zarr"}}
        made(12).to_zarr(site.root / name, encoding=encoding, zarr_format=zarr_format, consolidated=True)
        site.publish()
        shutil.rmtree(site.root)
        made(15).to_zarr(site.root / name, encoding=encoding, zarr_format=zarr_format, consolidated=True)
        kinds = classes(zsync.plan(site.config()))
        assert set(kinds.values()) == {"append"}, kinds


# --- stale chunks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("retire", ["keep", "trash", "delete"])
@pytest.mark.parametrize("consolidated", [True, False])
def test_a_chunk_that_outlived_a_shrink_does_not_come_back(site, retire, consolidated):
    """The array grows again with fill values only, which need no chunks: the old chunk must not show in their place."""
    site.store("a.zarr", weather(15, 8))
    site.publish()
    rewrite(site, weather(10, 8))
    site.publish(retire="keep")
    assert "t2m/2.0" in s3_tree(site.s3, site.bucket, "run/a.zarr/")
    grown = weather(15, 8)
    grown["t2m"][10:] = np.nan
    rewrite(site, grown)
    for chunk in ("2.0", "2.1"):
        (site.root / "a.zarr/t2m" / chunk).unlink(missing_ok=True)
    seen = []
    with looking(site, lambda _: seen.append(site.read("a.zarr", consolidated=consolidated))):
        result = site.publish(retire=retire)
    states = [next((n for n, s in (("old", weather(10, 8)), ("new", grown)) if same(f, s)), f) for f in seen]
    assert collapse(states)[-1] == "new"
    assert set(states) <= ({"old", "new"} if consolidated else {"old", "new", "ValueError"})
    assert result.products[0].retired == 2
    trash = s3_tree(site.s3, site.bucket, f"run/.zsync/a.zarr/trash/{result.publication}/")
    assert set(trash) == (set() if retire == "delete" else {"t2m/2.0", "t2m/2.1"})


def test_what_a_first_publish_left_that_never_ended_does_not_show(site):
    site.store("a.zarr", weather(12, 8))
    site.proxy.faults.append(on(Fault.error(403, "AccessDenied"), method="PUT", key="*/.zarray", times=None))
    with pytest.raises(zsync.ZsyncError):
        site.publish()
    site.proxy.faults.clear()
    assert "t2m/1.0" in s3_tree(site.s3, site.bucket, "run/a.zarr/")
    data = weather(12, 8)
    data["t2m"][5:10, :4] = np.nan
    rewrite(site, data)
    (site.root / "a.zarr/t2m/1.0").unlink(missing_ok=True)
    seen = []
    with looking(site, lambda _: seen.append(site.read("a.zarr"))):
        site.publish()
    assert all(same(found, data) or absent(found) for found in seen)
    assert same(seen[-1], data)


# --- replace ----------------------------------------------------------------------------------------------------------


CHANGES = {
    "data type": {"dtype": "f8"},
    "chunk shape": {"chunks": {"time": 6, "x": 8}},
    "format": {"zarr_format": 3},
    "scale factor": {"scale_factor": 0.5},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("retire", ["auto", "keep"])
def test_a_replaced_array_is_not_found_until_it_is_whole(site, change, retire):
    old, new = weather(12, 8), weather(14, 8, dtype=CHANGES[change].get("dtype", "f4"))
    site.store("a.zarr", old, groups={"Auxiliary": old})
    site.publish()
    shutil.rmtree(site.root / "a.zarr")
    options = {name: value for name, value in CHANGES[change].items() if name in ("chunks", "zarr_format")}
    if "scale_factor" in CHANGES[change]:
        new["t2m"].encoding = {"scale_factor": 0.5, "dtype": "f4"}
    groups = {"Auxiliary": new}
    if "scale_factor" in CHANGES[change]:
        scaled = new.assign(t2m=new.t2m.assign_attrs(scale_factor=0.5))
        write_store(site.root / "a.zarr", scaled, chunks=CHUNKS, groups={"Auxiliary": scaled})
        new = xr.open_zarr(site.root / "a.zarr", consolidated=True).load()
    else:
        write_store(site.root / "a.zarr", new, **{"chunks": CHUNKS, "groups": groups, **options})
    with pytest.raises(GuardError, match="incompatible"):
        site.publish(max_delete="100%")
    seen, bypassing, inside = [], [], []

    def look(_):
        seen.append(site.read("a.zarr"))
        bypassing.append(site.read("a.zarr", consolidated=False))
        inside.append(site.read("a.zarr", group="Auxiliary"))

    with looking(site, look):
        result = site.publish(on_incompatible="replace", retire=retire)
    assert [finding.code for finding in result.findings].count("incompatible") >= 1
    for views in (seen, inside):
        states = ["old" if same(f, old) else "new" if same(f, new) else "none" if absent(f) else f for f in views]
        assert collapse(states) in (["old", "none", "new"], ["none", "new"]), collapse(states)
    assert all(same(f, old) or same(f, new) or absent(f) or f == "ValueError" for f in bypassing)
    assert same(site.read("a.zarr"), new)
    assert site.publish(on_incompatible="replace", retire=retire).status == "unchanged"
    if retire == "auto":
        assert set(s3_tree(site.s3, site.bucket, "run/a.zarr/")) == set(read_tree(site.root / "a.zarr"))


def test_after_a_crash_a_replacement_is_finished_by_the_same_command(site):
    old, new = weather(12, 8), weather(12, 8, dtype="f8")
    site.store("a.zarr", old)
    site.publish()
    rewrite(site, new, chunks={"time": 6, "x": 8})
    site.proxy.faults.append(on(Fault.error(403, "AccessDenied"), method="PUT", key="run/a.zarr/t2m/*", times=None))
    with pytest.raises(zsync.ZsyncError):
        site.publish(on_incompatible="replace")
    site.proxy.faults.clear()
    assert absent(site.read("a.zarr"))
    seen = []
    with looking(site, lambda _: seen.append(site.read("a.zarr"))):
        site.publish(on_incompatible="replace")
    assert all(absent(found) or same(found, new) for found in seen)
    assert set(s3_tree(site.s3, site.bucket, "run/a.zarr/")) == set(read_tree(site.root / "a.zarr"))


def test_a_plan_says_what_readers_see_while_an_array_is_replaced(site, tmp_path, run_zsync):
    site.store("a.zarr", weather(12, 8))
    site.publish()
    rewrite(site, weather(12, 8, dtype="f8"))
    config = tmp_path / "config.json"
    config.write_text(json.dumps(site.config()))
    text = run_zsync("plan", config, "--on-incompatible", "replace").stdout
    assert "incompatible: t2m" in text
    assert "until then readers do not find the store" in text
    document = json.loads(run_zsync("plan", config, "--on-incompatible", "replace", "--json").stdout)
    assert document["plan"]["withdrawn"] == 3  # .zmetadata, .zgroup, t2m/.zarray
    assert "ERROR an incompatible change" in run_zsync("plan", config, check=3).stderr


def test_what_a_replacement_that_stops_tells(site, tmp_path, run_zsync):
    site.store("a.zarr", weather(12, 8))
    site.publish()
    rewrite(site, weather(12, 8, dtype="f8"))
    config = tmp_path / "config.json"
    config.write_text(json.dumps(site.config()))
    site.proxy.faults.append(on(Fault.error(403, "AccessDenied"), method="PUT", key="run/a.zarr/t2m/*", times=None))
    done = run_zsync("publish", config, "--on-incompatible", "replace", check=1)
    assert "readers do not find a.zarr" in done.stderr
    site.proxy.faults.clear()
    done = run_zsync("publish", config, check=0)  # nothing is visible that could be read wrongly: no option is needed
    assert same(site.read("a.zarr"), weather(12, 8, dtype="f8"))


# --- grace ------------------------------------------------------------------------------------------------------------


def test_grace_keeps_what_readers_at_work_may_still_want(site, monkeypatch):
    now = 1_800_000_000
    monkeypatch.setattr("zsync.steps.decide.time.time", lambda: now)
    site.store("a.zarr", weather(15, 8))
    site.publish()
    rewrite(site, weather(10, 8))
    first = site.publish(grace="1h")
    assert (first.status, first.products[0].retired) == ("published", 0)
    assert "t2m/2.0" in s3_tree(site.s3, site.bucket, "run/a.zarr/")
    assert same(site.read("a.zarr"), weather(10, 8))
    now += 3000
    assert site.publish(grace="1h").status == "unchanged"
    now += 601  # counted from the publication that took it out of the root, not from the last one
    second = site.publish(grace="1h")
    assert (second.status, second.products[0].retired) == ("published", 2)
    assert s3_bytes(site.s3, site.bucket, f"run/.zsync/a.zarr/trash/{second.publication}/").keys() == {
        "t2m/2.0", "t2m/2.1",
    }  # fmt: skip
    assert site.publish(grace="1h").status == "unchanged"


def test_a_chunk_that_readers_still_see_has_no_grace(site):
    site.store("a.zarr", weather(12, 8))
    site.publish()
    (site.root / "a.zarr/t2m/1.0").unlink()
    assert site.publish(grace="1h").products[0].retired == 1


def test_what_comes_back_within_its_grace_is_as_if_it_had_never_been_gone(site):
    site.store("a.zarr", weather(15, 8))
    site.publish()
    rewrite(site, weather(10, 8))
    site.publish(grace="1h")
    rewrite(site, weather(15, 8))
    result = site.publish(grace="1h")
    assert not {key for key in site.puts()[-result.products[0].sent :] if key.startswith("a.zarr/t2m/2.")}
    assert same(site.read("a.zarr"), weather(15, 8))
