"""The flip: what is rewritten goes up under other chunk keys, and one write of the root turns readers over."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr
from servers import opened, s3_client
from target import CHUNKS, collapse, looking, same
from trees import read_tree, s3_bytes, weather, write_store, write_tree

import zsync

V3 = {"zarr_format": 3}
V2 = {"zarr_format": 2}
SHARDED = {"zarr_format": 3, "shards": {"time": 10, "x": 8}}


def states(site, before, after, **options):
    """Publish one dataset over another; return what readers saw after each write, and the result."""
    layout = options.pop("layout", V3)
    to = options.pop("to", layout)
    site.store("a.zarr", before, **layout)
    site.publish()
    site.store("a.zarr", after, **to)
    seen = []

    def look(_key):
        found = site.read("a.zarr")
        seen.append("old" if same(found, before) else "new" if same(found, after) else found)

    with looking(site, look):
        result = site.publish(max_delete="100%", **options)
    return collapse(["old", *seen]), result


CHANGES = {
    "update": (weather(10, 8), weather(10, 8, k=2)),
    "dtype": (weather(10, 8), weather(10, 8, k=2, dtype="f8")),
    "growth": (weather(10, 8), weather(15, 8, k=2)),
    "shrink": (weather(12, 8), weather(7, 8, k=2)),
    "mixed": (weather(10, 8), weather(13, 6, k=2)),
}


@pytest.mark.parametrize("layout", [V3, SHARDED], ids=["v3", "sharded"])
@pytest.mark.parametrize("change", CHANGES)
def test_readers_see_the_old_store_and_then_the_new_one(site, change, layout):
    seen, result = states(site, *CHANGES[change], layout=layout, rewrites="flip")
    assert seen == ["old", "new"]
    assert result.status == "published"
    assert site.publish().status == "unchanged"


@pytest.mark.parametrize("layout", [V3, SHARDED], ids=["v3", "sharded"])
def test_a_pull_gives_the_sources_own_files_back(site, layout, tmp_path):
    for k in range(1, 4):
        site.store("a.zarr", weather(10, 8, k=k), **layout)
        site.publish(max_delete="100%")
        zsync.pull(site.config(), dest=str(tmp_path / "back"), progress=False)
        assert read_tree(tmp_path / "back" / "a.zarr") == read_tree(site.root / "a.zarr")


def test_only_what_changed_is_sent_and_the_rest_is_copied(site):
    site.store("a.zarr", weather(20, 8), **V3)
    site.publish()
    data = weather(20, 8).load()
    data.t2m[:5] += 1  # two of eight chunks
    site.store("a.zarr", data, **V3)
    plan, since = zsync.plan(site.config()), len(site.proxy.completed)
    result = site.publish()
    [product] = result.products
    assert (product.sent, product.copied, product.unchanged) == (4, 6, 4)  # two documents, and what has other names
    assert plan.cost().copies >= 6
    assert "6 to copy" in str(plan)
    assert same(site.read("a.zarr"), data)
    sent = [exchange for exchange in site.proxy.completed[since:] if exchange.method == "PUT" and exchange.size]
    assert sorted(e.key.rpartition("/")[2] for e in sent if "/t2m/" in e.key) == ["0.0", "0.1", "zarr.json"]
    copied = [exchange.key for exchange in site.proxy.completed[since:] if "x-amz-copy-source" in names_of(exchange)]
    assert sorted(key for key in copied if ".zsync/" not in key) == [
        f"run/a.zarr/t2m/{i}.{j}" for i in range(1, 4) for j in range(2)
    ]


def names_of(exchange):
    return {name.lower() for name in exchange.headers}


def test_a_service_that_copies_nothing_on_condition_is_sent_all(site, monkeypatch):
    monkeypatch.setattr("zsync.steps.carry.heeds_conditions_of_copies", lambda *_where: False)
    site.store("a.zarr", weather(20, 8), **V3)
    site.publish()
    data = weather(20, 8).load()
    data.t2m[:5] += 1
    site.store("a.zarr", data, **V3)
    [product] = site.publish().products
    assert (product.sent, product.copied) == (10, 0)


def test_one_object_that_takes_the_place_of_another_is_no_flip(site):
    site.store("a.zarr", weather(20, 8), **V3)
    site.publish()
    data = weather(20, 8)
    data.t2m[:5, :4] += 1
    site.store("a.zarr", data, **V3)
    site.publish()
    assert site.puts()[-1] == "a.zarr/t2m/c/0/0"
    assert same(site.read("a.zarr"), data)


@pytest.mark.parametrize(("layout", "to"), [(V2, V3), (V3, V2)], ids=["to v3", "to v2"])
def test_a_store_that_changes_its_format_turns_over_as_a_whole(site, layout, to, tmp_path):
    before, after = weather(10, 8), weather(12, 6, k=2)
    if layout is V3:  # one-dimensional arrays of v2 have no keys that v3 does not have: they were written so
        before, after = (data.drop_vars(["time", "x"]) for data in (before, after))
    seen, _ = states(site, before, after, layout=layout, to=to)
    assert seen == ["old", "new"]
    assert site.publish().status == "unchanged"
    zsync.pull(site.config(), dest=str(tmp_path / "back"), progress=False)
    assert read_tree(tmp_path / "back" / "a.zarr") == read_tree(site.root / "a.zarr")


def test_v2_flips_what_can_and_says_what_cannot(site):
    seen, result = states(site, weather(10, 8), weather(10, 8, k=2), layout=V2)
    assert seen == ["old", "new"]
    assert not [finding for finding in result.findings if finding.code == "not-flipped"]  # coordinates did not change


def test_back_and_forth(site):
    """Each rewrite goes where nobody reads any more."""
    states_seen = []
    for k in range(1, 8):
        site.store("a.zarr", weather(10, 8, k=k), **V3)
        result = site.publish()
        states_seen.append(site.read("a.zarr"))
        assert same(states_seen[-1], weather(10, 8, k=k))
    assert {"cut-short"} == {finding.code for finding in result.findings}
    site.publish(grace=0)
    site.store("a.zarr", weather(10, 8, k=9), **V3)
    site.publish(grace=0)
    keys = [o["Key"] for o in list_of(site, "run/a.zarr/t2m/")]
    assert len(keys) == 1 + 4, keys


def list_of(site, prefix):
    return s3_client(site.s3).list_objects_v2(Bucket=site.bucket, Prefix=prefix).get("Contents", [])


def test_who_opened_before_goes_on_reading_what_they_opened(site):
    site.store("a.zarr", weather(10, 8), **V3)
    site.publish()
    before = open_lazily(site)
    site.store("a.zarr", weather(12, 8, k=2, dtype="f8"), **V3)
    site.publish()
    assert before.load().equals(weather(10, 8))
    assert same(site.read("a.zarr"), weather(12, 8, k=2, dtype="f8"))


def open_lazily(site):
    return xr.open_zarr(zarr.storage.ObjectStore(opened(site.s3, site.bucket, "run/a.zarr"), read_only=True), chunks={})


def test_what_was_published_is_verified_told_and_gone_back_to(site, tmp_path):
    ids = []
    for k in range(1, 4):
        site.store("a.zarr", weather(10, 8, k=k), **V3)
        ids.append(site.publish(keep_history=True).publication)
    verified = zsync.verify(site.config(), deep=True)
    assert verified.status == "sound", str(verified)
    difference = zsync.log(site.config(), f"{ids[0]}..{ids[2]}")
    [product] = difference.products
    rows = {row["key"]: row["change"] for row in product.rows()}
    assert rows == {f"t2m/c/{i}/{j}": "changed" for i in range(2) for j in range(2)}, rows
    for k, publication in enumerate(ids, 1):
        with zsync.open_zarr(f"{site.config()['target']}/a.zarr", at=publication, **reach(site)) as data:
            assert data.load().equals(weather(10, 8, k=k))
    for k, publication in ((1, ids[0]), (2, ids[1])):
        result = zsync.rollback(site.config(), publication, progress=False)
        assert result.status == "published"
        assert same(site.read("a.zarr"), weather(10, 8, k=k))
        zsync.pull(site.config(), dest=str(tmp_path / "back"), progress=False)
        with xr.open_zarr(tmp_path / "back" / "a.zarr") as data:
            assert data.load().equals(weather(10, 8, k=k))


def reach(site):
    keys = ("endpoint_url", "region", "access_key_id", "secret_access_key")
    return {key: site.config()["storage"][key] for key in keys}


@pytest.mark.parametrize("layout", [V2, V3], ids=["v2", "v3"])
def test_what_a_flip_leaves_is_nobodys_fault(site, layout):
    """`verify`, a pull by listing, and a machine without the manifest understand what they find."""
    for k in (1, 2):
        site.store("a.zarr", weather(10, 8, k=k), **layout)
        site.publish(max_delete="100%")
    assert zsync.verify(site.config(), deep=True, as_reader=True).status == "sound"
    verified = zsync.verify(f"{site.config()['target']}/a.zarr", **reach(site))
    assert verified.status == "sound", str(verified)
    assert not [finding for finding in verified.findings if finding.level != "info"], str(verified)


def test_who_lost_the_record_goes_on_with_the_keys_that_readers_know(site, tmp_path):
    for k in (1, 2):
        site.store("a.zarr", weather(10, 8, k=k), **V3)
        site.publish(grace=0)
    client = s3_client(site.s3)
    for item in client.list_objects_v2(Bucket=site.bucket, Prefix="run/.zsync/")["Contents"]:
        client.delete_object(Bucket=site.bucket, Key=item["Key"])
    [product] = site.publish().products
    assert (product.sent, product.copied, product.retired) == (0, 0, 0)
    zsync.pull(site.config(), dest=str(tmp_path / "back"), progress=False)
    assert read_tree(tmp_path / "back" / "a.zarr") == read_tree(site.root / "a.zarr")


def test_p8_a_flip_hides_no_loss(site):
    """The guard counts what the source lost, and what vanished is told, though all of it stays for a while."""
    site.store("a.zarr", weather(40, 8), **V3)
    site.publish()
    site.store("a.zarr", weather(5, 8, k=2), **V3)
    with pytest.raises(zsync.GuardError, match="14 of 22 objects would be retired, more than max_delete allows"):
        site.publish()
    assert same(site.read("a.zarr"), weather(40, 8))
    site.store("a.zarr", weather(40, 8, k=2), **V3)
    (site.root / "a.zarr/t2m/c/3/0").unlink()
    result = site.publish()
    assert [finding.code for finding in result.findings] == ["vanished-chunks"]
    assert [(loss.kind, loss.count) for loss in result.plan.losses] == [("chunks", 1)]
    assert np.isnan(site.read("a.zarr").t2m[15:20, :4]).all()


def test_p8_nor_does_one_of_an_array_that_is_cut_otherwise(site):
    site.store("a.zarr", weather(40, 8), **V3)
    site.publish()
    site.store("a.zarr", weather(40, 8, dtype="f8"), **V3)
    assert not site.publish().plan.losses
    site.store("a.zarr", weather(5, 8), **V3)
    with pytest.raises(zsync.GuardError, match="would be retired"):
        site.publish()


@pytest.fixture(scope="module", params=[V2, V3], ids=["v2", "v3"])
def flipped_thrice(request, s3, _buckets, tmp_path_factory):
    """Return what is published after one, two and three flips, as directories, and its values."""
    root = tmp_path_factory.mktemp("flipped")
    target = {"target": f"s3://{_buckets.take()}/run", "storage": {**reach_of(s3), "region": s3.region}}
    states = []
    for k in range(1, 5):
        write_store(root / "source" / "a.zarr", weather(10, 8, k=k), chunks=CHUNKS, **request.param)
        zsync.publish({"source": str(root / "source" / "a.zarr"), **target}, progress=False)
        objects = s3_bytes(s3, target["target"].split("/")[2], "run/a.zarr/")
        write_tree(root / f"copy-{k}" / "a.zarr", objects)
        states.append((root / f"copy-{k}" / "a.zarr", weather(10, 8, k=k).t2m.values[5, 3]))
    assert len({bytes_of(place) for place, _ in states}) > 1
    return request.param["zarr_format"], states[1:]


def bytes_of(place):
    name = "zarr.json" if (place / "zarr.json").exists() else ".zarray"
    return (place / "t2m" / name).read_bytes()


def reach_of(s3):
    return {"endpoint_url": s3.endpoint_url, "access_key_id": s3.access_key, "secret_access_key": s3.secret_key}


def test_tensorstore_reads_what_was_flipped(flipped_thrice):
    tensorstore = pytest.importorskip("tensorstore")
    zarr_format, states = flipped_thrice
    for place, value in states:
        where = {"driver": "file", "path": str(place / "t2m")}
        array = tensorstore.open({"driver": "zarr3" if zarr_format == 3 else "zarr", "kvstore": where}).result()
        assert array[5, 3].read().result() == value


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_gdal_reads_what_was_flipped(flipped_thrice):
    zarr_format, states = flipped_thrice
    if zarr_format == 3 and tuple(map(int, rasterio.__gdal_version__.split(".")[:2])) < (3, 11):
        pytest.skip("this GDAL reads only what Zarr v3 was before it was settled")
    for place, value in states:
        with rasterio.open(f'ZARR:"{place}":/t2m') as band:
            assert band.read(1)[5, 3] == value


def test_zarrita_reads_what_was_flipped(flipped_thrice, zarrita):
    for place, value in flipped_thrice[1]:
        done = subprocess.run(
            ["node", "read.mjs", str(place), "43"], cwd=zarrita, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert float(done.stdout.split()[0]) == value


def test_a_team_knows_the_sources_keys_only(site, tmp_path):
    """What was published, and flipped since, is the same to who synchronizes the folder that it came from."""
    for k in (1, 2):
        site.store("a.zarr", weather(10, 8, k=k), **V3)
        site.publish()
    folders = [site.root / "a.zarr", tmp_path / "a.zarr"]

    def sync(folder):
        storage = {**reach_of(site.s3), "region": site.s3.region}
        config = {"source": str(folder), "target": f"s3://{site.bucket}/run", "storage": storage}
        return zsync.sync({**config, "team": {"member": folder.parent.name}}, yes=True, progress=False)

    for folder in folders:
        folder.mkdir(exist_ok=True)
        sync(folder)
        assert read_tree(folder).keys() == read_tree(site.root / "a.zarr").keys()
        assert same(xr.open_zarr(folder).load(), weather(10, 8, k=2))
    write_store(folders[1], weather(12, 8, k=3), chunks=CHUNKS, **V3)
    for folder in reversed(folders):
        sync(folder)
    assert read_tree(folders[0]) == read_tree(folders[1])
    assert same(site.read("a.zarr"), weather(12, 8, k=3))


@pytest.mark.slow
def test_a_tree_of_stores_is_rechunked_and_re_encoded_store_by_store(site):
    """As a mission's product is: hundreds of stores of v2 with groups of their own, told as one product."""
    places = [f"pre_qf.zarr/{name}.zarr" for name in ("site0", "site1")]

    def write(k, **how):
        for number, place in enumerate(places):
            data = weather(10, 8, k=k + number)
            write_store(site.root / place, data, groups={"Sounding": data}, zarr_format=2, **how)

    site.products["pre_qf.zarr"] = {"path": "pre_qf.zarr", "kind": "zarr"}
    write(1, chunks=CHUNKS)
    site.publish()
    write(1, chunks={"time": 3, "x": 8})
    seen = {place: [] for place in places}

    def look(key):
        place = next(place for place in places if f"/{place}/" in key)
        found = site.read(place, group="Sounding" if "/Sounding/" in key else None)
        is_same = same(found, weather(10, 8, k=1 + places.index(place)))
        seen[place].append(chunks_of(site, place) if is_same else found)

    with looking(site, look):
        result = site.publish(workers=2)  # the proxy looks while all wait
    assert {change.kind for change in result.plan.changes if change.flips} == {"incompatible"}
    assert [collapse(shapes) for shapes in seen.values()] == [[(5, 4), (3, 8)]] * 2


def chunks_of(site, place):
    store = zarr.storage.ObjectStore(opened(site.s3, site.bucket, f"run/{place}"), read_only=True)
    return zarr.open_consolidated(store, mode="r")["t2m"].chunks


@pytest.mark.parametrize("scheduler", ["serial", "processes"])
def test_workers_copy_what_does_not_change(site, scheduler):
    site.store("a.zarr", weather(40, 8), **V3)
    site.publish()
    data = weather(40, 8).load()
    data.t2m[:5] += 1
    site.store("a.zarr", data, **V3)
    since = len(site.proxy.completed)
    [product] = site.publish(scheduler=scheduler).products
    assert (product.sent, product.copied) == (4, 14)
    copied = [e for e in site.proxy.completed[since:] if "x-amz-copy-source" in names_of(e) and ".zsync/" not in e.key]
    assert len(copied) == 14
    assert same(site.read("a.zarr"), data)
