"""Kill a publisher of rasters and indexes at its n-th request, for every n: no reader finds a mask over pixels that it
is not of, a raster without its mask, or an index that names what is not there; and the same call ends right.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil

import pytest
from proxy import Fault
from rasters import SIDECARS, seen, write_raster
from trees import s3_bytes, weather, write_store

import zsync
from zsync.errors import ZsyncError

# What each file names, by the generation of the run.
BODIES = {
    "cog/mosaic.vrt": lambda names: "<VRTDataset>" + "".join(f"<SourceFilename>{n}</SourceFilename>" for n in names),
    "cog/items/one.json": lambda names: json.dumps(
        {"links": [{"rel": "parent", "href": "../stac.json"}], "assets": {n: {"href": f"../{n}"} for n in names}}
    ),
    "site/list.of-files": lambda names: "\n".join(f"../cog/{name}" for name in names),
}
ABOVE = {
    "cog/stac.json": ("items/one.json", "mosaic.vrt"),
    "cog/zone.json": ("stac.json",),  # of the same class by its name, and it names the other
    "site/index.html": ("../cog/stac.json", "list.of-files", "../cube.zarr/"),
}


def write_run(root, generation):
    """Write a run of three products: of the first a raster is remade without sidecars, one goes, one comes."""
    shutil.rmtree(root, ignore_errors=True)
    names = ["a.tif", "b.tif"] if generation == 1 else ["a.tif", "c.tif"]
    write_raster(root / "cog" / "a.tif", generation, SIDECARS if generation != 2 else ())
    write_raster(root / "cog" / names[1], generation, (".msk",))
    for key, body in BODIES.items():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_text(f"{body(names)}\n")
    for key, named in ABOVE.items():
        links = "".join(f'<a href="{name}">{generation}</a>' for name in named)
        body = json.dumps({"links": [{"rel": "item", "href": n} for n in named], "g": generation})
        (root / key).write_text(links if key.endswith("html") else body)
    write_store(root / "cube.zarr", weather(2, 4), chunks={"time": 2, "x": 4})


def named_by(tree, key):
    """Return the keys that an index, as it is there, names."""
    text = tree[key].decode()
    if key in ABOVE:
        found = ABOVE[key]
        base = key.rpartition("/")[0]
        return {n.removeprefix("../") if n.startswith("../") else f"{base}/{n}" for n in found}
    return {f"cog/{name}" for name in ("a.tif", "b.tif", "c.tif") if name in text}


def check(tree, may_hide):
    """Look at what readers find."""
    for key in ("cog/a.tif", "cog/b.tif", "cog/c.tif"):
        found = seen(tree, key)
        if found is None:
            continue
        value, *others = found
        assert {other for other in others if other is not None} <= {value}, (key, found)
        has_mask = not (key == "cog/a.tif" and value == 2)
        assert (found[1] is not None) == has_mask, (key, found)
    for key in (*BODIES, *ABOVE):
        if key in tree:
            for name in named_by(tree, key):
                there = name in tree or ((name.endswith("/") and f"{name}.zmetadata" in tree) or name in may_hide)
                assert there or f"{name}zarr.json" in tree, f"{key} names {name}"


@pytest.fixture
def run(s3, proxy, bucket, tmp_path):
    """Publish the run through the proxy."""

    def publish(**policy):
        document = {
            "source": str(tmp_path / "run"),
            "target": f"s3://{bucket}/run",
            "products": {
                "cog": {"path": "cog", "kind": "cog"},
                "site": {"path": "site", "kind": "files"},
                "cube": {"path": "cube.zarr", "kind": "zarr"},
            },
            "storage": {"endpoint_url": proxy.endpoint_url, "region": s3.region, "access_key_id": s3.access_key,
                        "secret_access_key": s3.secret_key},
            "publish": {"scheduler": "serial", "max_delete": "100%", "check_cogs": "off", **policy},
        }  # fmt: skip
        return zsync.publish(document, progress=False)

    return publish


@pytest.mark.parametrize(
    ("before", "after", "policy"),
    [
        (None, 1, {}),
        (1, 2, {"retire": "keep"}),
        (1, 2, {"retire": "trash"}),
        (1, 2, {"retire": "delete"}),
        (2, 3, {"grace": "2h"}),
    ],
    ids=["first", "sidecars-gone-keep", "sidecars-gone-trash", "sidecars-gone-delete", "masks-come-grace"],
)
def test_rasters_and_indexes_are_whole_wherever_a_publish_is_cut_off(
    s3, proxy, bucket, tmp_path, run, impatient, tally, before, after, policy
):
    root, found, known = tmp_path / "run", [], {}

    def look(exchange):
        if exchange.is_write and ".zsync" not in exchange.key:
            tree = s3_bytes(s3, bucket, "run/", known)
            if not found or tree != found[-1]:
                found.append(tree)

    if before:
        write_run(root, before)
        run(**policy)
    write_run(root, after)
    proxy.faults.append(look)
    # Cut off twice on the way, it is at the end where it would have been.
    for nth in (9, 6):
        writes = itertools.count(1)

        def die(exchange, nth=nth, writes=writes):
            is_due = exchange.is_write and ".zsync" not in exchange.key and next(writes) >= nth
            return Fault.error(403, "AccessDenied") if is_due else None

        proxy.faults[1:] = [die]
        with contextlib.suppress(ZsyncError):
            run(**policy)
    del proxy.faults[1:]
    run(**policy)
    proxy.faults.clear()
    tally("states of a publish of files that were looked at", len(found))
    # A raster of which the mask changes is not found meanwhile; what names it names it all the same.
    hidden = {"cog/a.tif", "cog/c.tif"} if before else set()
    for tree in found:
        check(tree, hidden)
    tree = s3_bytes(s3, bucket, "run/")
    check(tree, set())
    assert seen(tree, "cog/a.tif") == ((after, None, None, None) if after == 2 else (after,) * 4)
    assert all(tree[key] == (root / key).read_bytes() for key in (*BODIES, *ABOVE))
    assert len(found) > 10
