"""Rasters and files beside stores: what is judged, what is left out, and what is said of a publish that stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest
from proxy import Fault, on
from rasters import seen, write_raster
from trees import s3_bytes, s3_tree, weather, write_cog, write_store, write_tree

from zsync.errors import PermissionDeniedError, SourceError

DENIED = Fault.error(403, "AccessDenied")


def there(site, product):
    return s3_tree(site.s3, site.bucket, f"{site.prefix}/{product}/").keys()


@pytest.fixture
def rasters(site):
    """Two rasters, the first with a mask, and an index; published."""
    site.products["cog"] = {"path": "cog", "kind": "cog"}
    write_raster(site.root / "cog" / "a.tif", 1, (".msk",))
    write_raster(site.root / "cog" / "b.tif", 1)
    (site.root / "cog" / "index.json").write_text(json.dumps({"tiles": ["a.tif", "b.tif"], "generation": 1}))
    site.publish(check_cogs="off")
    return site


def remake(site):
    write_raster(site.root / "cog" / "b.tif", 2)
    write_raster(site.root / "cog" / "c.tif", 2)
    (site.root / "cog" / "index.json").write_text(json.dumps({"tiles": ["a.tif", "b.tif", "c.tif"], "generation": 2}))


# --- What is said of a publish that stopped ---------------------------------------------------------------------------


def test_a_publish_of_files_that_stops_half_way_says_what_was_replaced(rasters, run_zsync, tmp_path):
    remake(rasters)
    rasters.products["cog"]["kind"] = "cog"
    config = tmp_path / "config.json"
    config.write_text(json.dumps(rasters.config(publish={"check_cogs": "off"})))
    rasters.proxy.faults.append(on(DENIED, method="PUT", key="run/cog/index.json", times=None))
    done = run_zsync("publish", "--quiet", config, check=1)
    assert (
        "of the files of cog readers find 1 replaced (b.tif) and 1 new (c.tif); 1 more are still to be sent"
        in done.stderr
    )
    assert "readers see what they saw before" not in done.stderr
    rasters.proxy.faults.clear()
    assert "index.json" in run_zsync("publish", "-v", config).stderr


def test_before_any_file_is_replaced_readers_see_what_they_saw(rasters, caplog):
    remake(rasters)
    rasters.proxy.faults.append(on(DENIED, method="PUT", key="run/cog/[bc].tif", times=None))
    with pytest.raises(PermissionDeniedError):
        rasters.publish(check_cogs="off")
    assert "readers see what they saw before" in caplog.text


def test_stores_are_told_apart_from_files(rasters, caplog):
    remake(rasters)
    rasters.store("a.zarr", weather(3, 4))
    rasters.proxy.faults.append(on(DENIED, method="PUT", key="run/a.zarr/*metadata", times=None))
    with pytest.raises(PermissionDeniedError):
        rasters.publish(check_cogs="off")
    assert "1 replaced (b.tif)" in caplog.text
    assert "readers see each store whole" in caplog.text


# --- Where nobody may delete ------------------------------------------------------------------------------------------


def may_not_delete(exchange):
    is_delete = exchange.method == "DELETE" or (exchange.method == "POST" and "delete" in exchange.query)
    is_copy = any(name.lower() == "x-amz-copy-source" for name in exchange.headers)
    return Fault.error(403, "AccessDenied") if (is_delete or is_copy) and ".zsync" not in exchange.key else None


def test_who_may_not_delete_replaces_rasters_with_their_masks_in_place(rasters, caplog):
    write_raster(rasters.root / "cog" / "a.tif", 2, (".msk",))
    rasters.proxy.faults.append(may_not_delete)
    assert rasters.publish(check_cogs="off", retire="keep").status == "published"
    assert "readers may see both mixed in between" in caplog.text
    assert seen(s3_bytes(rasters.s3, rasters.bucket, "run/cog/"), "a.tif")[:2] == (2, 2)


def test_a_mask_that_cannot_be_taken_away_keeps_its_raster(rasters):
    write_raster(rasters.root / "cog" / "a.tif", 2)
    rasters.proxy.faults.append(may_not_delete)
    with pytest.raises(PermissionDeniedError, match="what belonged to a raster that is replaced cannot be taken away"):
        rasters.publish(check_cogs="off", retire="keep")
    rasters.proxy.faults.clear()
    assert rasters.publish(check_cogs="off", retire="keep").status == "published"
    assert there(rasters, "cog") == {"a.tif", "b.tif", "index.json"}


# --- Both kinds in one product ----------------------------------------------------------------------------------------


def test_cogs_beside_stores_are_judged_and_ordered_as_cogs(site):
    write_store(site.root / "mixed" / "a.zarr", weather(3, 4), chunks={"time": 2, "x": 4})
    write_cog(site.root / "mixed" / "cog" / "a.tif", np.ones((32, 32), "float32"))
    write_raster(site.root / "mixed" / "cog" / "b.tif", 1, (".msk",))
    (site.root / "mixed" / "catalog.json").write_text('{"links": [{"rel": "child", "href": "a.zarr/.zmetadata"}]}')
    site.products = {"mixed": {"path": "mixed"}}
    raster = site.root / "mixed" / "cog" / "a.tif"
    whole = raster.read_bytes()
    for wrong, said in ((whole[: len(whole) // 2], "ends before"), (b"no raster", "not a TIFF")):
        raster.write_bytes(wrong)
        with pytest.raises(SourceError, match=said):
            site.publish()
    raster.write_bytes(whole)
    site.proxy.requests.clear()
    result = site.publish()
    assert "foreign" not in {finding.code for finding in result.findings}
    puts = [
        e.key.removeprefix("run/mixed/") for e in site.proxy.completed if e.method == "PUT" and ".zsync" not in e.key
    ]
    assert puts.index("cog/b.tif.msk") < puts.index("cog/b.tif")
    assert puts[-1] == "catalog.json"
    assert "a.zarr" in puts[-2]


# --- What is no data --------------------------------------------------------------------------------------------------

SPARE = {
    ".git": {"config": b"[core]"}, ".env": b"KEY=1", ".aws": {"credentials": b"x"},
    "d": {"id_rsa": b"x", ".netrc": b"x"},
    ".DS_Store": b"x", "Thumbs.db": b"x", "a.tif.ovr.tmp": b"x", "0.0.__lock": b"x", ".__lock": b"x", "notes~": b"x",
    "x.swp": b"x",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["files", "cog", None])
def test_leftovers_and_secrets_are_left_out_and_named(site, kind):
    write_tree(site.root / "p", {**SPARE, "data.txt": b"1", ".gitignore": b"x", "environment.env.txt": b"x"})
    site.products["p"] = {"path": "p", **({"kind": kind} if kind else {})}
    result = site.publish()
    assert there(site, "p") == {"data.txt", ".gitignore", "environment.env.txt"}
    said = {finding.code: finding.message for finding in result.findings}
    for name in (".git", ".env", ".aws", "id_rsa", ".netrc"):
        assert f"1 {name}" in said["private"]
    for name in (".DS_Store", "Thumbs.db", "*.?*.tmp", "2 *.__lock", "*~", "*.swp"):
        assert name in said["leftover"]


def test_secrets_go_out_when_they_are_meant(site):
    write_tree(site.root / "p", {".env": b"KEY=1", ".git": {"config": b"x"}, "data.txt": b"1"})
    site.products["p"] = {"path": "p", "kind": "files", "include": ["**", ".env"]}
    result = site.publish()
    assert there(site, "p") == {"data.txt", ".env"}
    assert ".git" in next(finding.message for finding in result.findings if finding.code == "private")
    site.products["p"]["exclude"] = [".git"]
    assert not [finding for finding in site.publish().findings if finding.code == "private"]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_and_groups_with_names_of_leftovers_go(site, zarr_format):
    data = weather(3, 4)
    names = ["co2.partial", "._aux", "x.swp", "y~", ".env"]
    data = data.assign(dict.fromkeys(names, data["t2m"]))
    write_store(site.root / "a.zarr", data, chunks={"time": 2, "x": 4}, zarr_format=zarr_format)
    write_store(site.root / "a.zarr" / "g.swp", weather(3, 4), chunks={"time": 2, "x": 4}, zarr_format=zarr_format)
    (site.root / "a.zarr" / "t2m" / "0.0.uuid.partial").write_bytes(b"x")
    write_store(site.root / "b.zarr.partial", weather(3, 4), chunks={"time": 2, "x": 4}, zarr_format=zarr_format)
    site.products["all"] = {"path": ".", "kind": "zarr", "to": "all"}
    result = site.publish()
    assert set(names) <= set(site.read("all/a.zarr").data_vars)
    keys = there(site, "all")
    assert {key.split("/")[1] for key in keys} >= {*names, "g.swp"}
    assert not any("uuid" in key or "b.zarr.partial" in key for key in keys)
    said = [finding.message for finding in result.findings if finding.code == "leftover"]
    assert said == ["left out: 2 *.partial"]
