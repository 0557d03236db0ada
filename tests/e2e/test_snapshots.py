"""Publications are read in place as they were published, whatever is published meanwhile (issue 14, point 4)."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import pickle
import shutil

import numpy as np
import pytest
import rasterio
import zarr
from proxy import Fault, on
from rasters import write_raster
from seeds import rng
from servers import lasting_client, tool_env
from target import Site, looking, same
from trees import weather, write_cog, write_store

import zsync
from zsync.config import RunConfig
from zsync.errors import ConfigError, CredentialsError, GoneError, PermissionDeniedError
from zsync.snapshots.reading import contents_of
from zsync.storage.opening import _connect
from zsync.verbs.trash import empty_trash, list_trash

PUBLISH = {"rewrites": "inplace"}  # a flip leaves what readers opened before

STORES = {
    "p/v2.zarr": {"zarr_format": 2},
    "p/v3.zarr": {"zarr_format": 3},
    "p/sharded.zarr": {"zarr_format": 3, "shards": {"time": 10, "x": 8}},
}


@pytest.fixture
def versioned(s3, proxy, versioned_bucket, tmp_path):
    return Site(s3, proxy, versioned_bucket, tmp_path / "run", PUBLISH)


@pytest.fixture(params=["plain", "versioned"])
def kept(request):
    """A run and its target that keeps what is replaced: by versions, or in the trash."""
    return request.getfixturevalue("site" if request.param == "plain" else "versioned")


def reach(site, through=None):
    return {**site.config()["storage"], "endpoint_url": (through or site.s3).endpoint_url}


def url(site, name=""):
    return f"s3://{site.bucket}/{site.prefix}/{name}".rstrip("/")


def opened(site, name="a.zarr", **options):
    return zsync.open_zarr(url(site, name), **{"chunks": None, **reach(site), **options})


def rewrite(site, name, data, **options):
    shutil.rmtree(site.root / name, ignore_errors=True)
    site.store(name, data, **options)


def publish(site, **options):
    return site.publish(**{"keep_history": True, "max_delete": "100%", **options}).publication


class Changing:
    """A dataset that is changed at random: appended to, shrunk, widened, its values updated, an array removed."""

    def __init__(self, chance):
        self.chance, self.length, self.width, self.updates, self.has_more = chance, 8, 8, {}, True
        self.data = weather(8, 8)

    def change(self):
        match self.chance.choice(["append", "update", "update", "shrink", "array", "widen"]):
            case "append":
                self.length += self.chance.randint(1, 4)
            case "shrink":
                self.length = self.chance.randint(3, self.length)
            case "widen":
                self.width = self.chance.choice([6, 8, 12])
            case "array":
                self.has_more = not self.has_more
        # In any case, so that no publication is like the one before.
        self.updates[self.chance.randrange(self.length)] = self.chance.randint(1, 999) / 1024
        data = weather(self.length, self.width)
        rows = [row for row in self.updates if row < self.length]
        data["t2m"].values[rows] += np.array([[self.updates[row]] for row in rows], "f4")
        self.data = data.assign(more=data["t2m"] * 2) if self.has_more else data


@pytest.mark.slow
def test_each_of_thirty_snapshots_stays_as_it_was(kept):
    """Read by who opened it at the time, and by who comes later, while a further publish runs; and the way back."""
    chance = rng(14)
    changing = {name: Changing(chance) for name in STORES}
    copies, readers, names = {}, [], list(STORES)

    def change(*some):
        for name in some:
            changing[name].change()
            rewrite(kept, name, changing[name].data, **STORES[name])

    change(*names)
    for count in range(30):
        name = names[count % 3]
        change(name)
        publication = publish(kept)
        copies[publication] = {each: changing[each].data for each in names}
        readers.append((opened(kept, name), copies[publication][name]))
    looks = itertools.count()

    def look(_key):
        publication, name = list(copies)[next(looks) * 7 % 30], chance.choice(names)
        if next(looks) % 4 == 1:
            assert same(opened(kept, name, at=publication).load(), copies[publication][name])

    change(*names)
    with looking(kept, look):
        publish(kept)
    assert next(looks) > 20
    for reader, copy in readers:
        assert same(reader.load(), copy)
    # Back to some of them, each as plain readers saw it then.
    for publication in chance.sample(list(copies), 5 if "plain" in kept.bucket else 2):
        done = zsync.rollback(url(kept), publication, progress=False, **reach(kept))
        assert done.restores == publication
        for name in names:
            assert same(kept.read(name), copies[publication][name])


# --- what is not to be had --------------------------------------------------------------------------------------------


def test_without_history_a_reader_is_told_that_what_it_opened_is_gone(site):
    """Never does it get two publications mixed, nor fill values; what did not change it reads as before."""
    site.store("a.zarr", weather(12, 8))
    first = site.publish().publication
    head, then = opened(site), opened(site, at=first)
    site.store("a.zarr", weather(12, 8, k=2))
    site.publish()
    with pytest.raises(GoneError, match=rf"published again since this snapshot, {first}.*a.zarr/t2m/.*; open it anew"):
        head.t2m.load()
    assert head.time.load().equals(weather(12, 8).time)
    site.proxy.faults.append(on(Fault.error(403, "AccessDenied"), times=None, method="GET", key=""))  # may not list
    with pytest.raises(GoneError, match=rf"an object of publication {first} is gone"):
        zsync.open_zarr(url(site, "a.zarr"), at=first, chunks=None, **reach(site, site.proxy)).t2m.load()
    site.proxy.faults.clear()
    assert same(opened(site).load(), weather(12, 8, k=2))
    with pytest.raises(GoneError, match=rf"an object of publication {first} is gone"):
        then.t2m.load()
    assert then.x.load().equals(weather(12, 8).x)


def _delete(site, key):
    lasting_client(site.s3).delete_object(Bucket=site.bucket, Key=f"{site.prefix}/{key}")


@pytest.mark.parametrize("kind", ["zarr", "files"])
def test_a_chunk_that_is_gone_is_an_error_and_one_that_never_was_is_fill_value(site, kind):
    data = weather(12, 8)
    site.store("a.zarr", data)
    site.products["a.zarr"]["kind"] = kind
    (site.root / "a.zarr/t2m/0.1").unlink()
    publish(site)
    reader = opened(site)
    assert np.isnan(reader.t2m[:5, 4:].values).all()
    assert np.array_equal(reader.t2m[5:].values, data.t2m[5:].values)
    _delete(site, "a.zarr/t2m/1.0")
    with pytest.raises(GoneError, match=r"t2m/1\.0"):
        opened(site).load()
    with pytest.raises(GoneError, match=r"t2m/1\.0"):  # in zarr's own words as well
        zarr.open_array(zsync.SnapshotStore(url(site, "a.zarr"), **reach(site)), path="t2m")[:]


@pytest.mark.parametrize("options", [{}, {"zarr_format": 3}], ids=["v2", "v3"])
def test_an_array_that_another_tool_put_there_is_not_read_as_fill_values(site, tmp_path, options):
    """Consolidated metadata tells of it; what it holds is on no record."""
    site.store("a.zarr", weather(12, 8), **options)
    publish(site)
    write_store(tmp_path / "b.zarr", weather(12, 8).rename(t2m="other"), chunks={"time": 5, "x": 4}, **options)
    client = lasting_client(site.s3)
    for path in (tmp_path / "b.zarr/other").rglob("*"):
        if path.is_file():
            key = f"{site.prefix}/a.zarr/{path.relative_to(tmp_path / 'b.zarr')}"
            client.put_object(Bucket=site.bucket, Key=key, Body=path.read_bytes())
    publish(site, retire="keep")
    assert same(site.read("a.zarr").other.to_dataset(), weather(12, 8).rename(t2m="other").other.to_dataset())
    reader = opened(site)
    assert reader.t2m.load().equals(weather(12, 8).t2m)
    with pytest.raises(GoneError, match=r"the array is not part of publication .*: another tool put it there"):
        reader.other.load()


def test_bytes_that_are_not_on_record_are_never_taken(kept):
    """Somebody wrote over a chunk, of the same size; and over one in the trash."""
    kept.store("a.zarr", weather(12, 8))
    first = publish(kept)
    client, key = lasting_client(kept.s3), f"{kept.prefix}/a.zarr/t2m/0.0"
    body = client.get_object(Bucket=kept.bucket, Key=key)["Body"].read()
    client.put_object(Bucket=kept.bucket, Key=key, Body=body[::-1])
    reader = opened(kept, at=first)
    if kept.bucket.startswith("versioned"):
        assert same(reader.load(), weather(12, 8))
        return
    with pytest.raises(GoneError):
        reader.load()
    publish(kept)
    rewrite(kept, "a.zarr", weather(12, 8, k=2))
    second = publish(kept)
    [trash] = list_trash(url(kept, "a.zarr"), publication=second, include=["t2m/1.0"], **reach(kept))
    place = f"{kept.prefix}/.zsync/a.zarr/trash/{second}/{trash.keys[0]}"
    body = client.get_object(Bucket=kept.bucket, Key=place)["Body"].read()
    client.put_object(Bucket=kept.bucket, Key=place, Body=body[::-1])
    with pytest.raises(GoneError, match=r"t2m/1\.0"):
        opened(kept, at=first).load()
    assert np.array_equal(opened(kept, at=first).t2m[:5].values, weather(12, 8).t2m[:5].values)
    empty_trash(url(kept, "a.zarr"), **reach(kept))
    with pytest.raises(GoneError, match=first):
        zsync.open_zarr(url(kept, "a.zarr"), at=first, chunks=None, **{**reach(kept), "retries": 1}).load()


def test_what_a_run_put_aside_that_was_cut_off_is_found(site, impatient):
    """At several points of a publish that shrinks an array: fenced, with data replaced, with what is gone retired."""
    states = [weather(12 if count % 2 else 7, 8, k=count) for count in range(6)]
    site.store("a.zarr", states[0])
    copies = {publish(site): states[0]}
    for nth, state in zip((1, 3, 5, 7, 9), states[1:], strict=True):
        rewrite(site, "a.zarr", state)
        site.proxy.faults[:] = [
            on(Fault.error(403, "AccessDenied"), nth=nth, method="PUT", key=f"{site.prefix}/a.zarr/*")
        ]
        with pytest.raises(PermissionDeniedError):
            publish(site)
        site.proxy.faults.clear()
        newest = list(copies)[-1]
        assert same(opened(site, at=newest).load(), copies[newest])
        copies[publish(site)] = state
    for at, copy in copies.items():
        assert same(opened(site, at=at).load(), copy)


# --- which publication ------------------------------------------------------------------------------------------------


def test_a_publication_is_named_by_its_id_or_by_a_time(versioned):
    ids = []
    for count in range(1, 4):
        rewrite(versioned, "t/deep/a.zarr", weather(6, 8, k=count), groups={"Auxiliary": weather(6, 8, k=9)})
        ids.append(publish(versioned))
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    asked = {
        "head": 3, None: 3, ids[0]: 1, ids[1][:-2]: 2, "head~2": 1, later.date(): 3, later: 3,
        later.date().isoformat(): 3,
    }  # fmt: skip
    for at, count in asked.items():
        store = zsync.SnapshotStore(url(versioned, "t/deep/a.zarr"), at=at, **reach(versioned))
        assert (store.publication, store.path) == (ids[count - 1], "deep/a.zarr"), at
    where = url(versioned, "t")
    assert same(opened(versioned, "t", group="deep/a.zarr", at=ids[0]).load(), weather(6, 8, k=1))
    assert same(opened(versioned, "t/deep/a.zarr", group="Auxiliary").load(), weather(6, 8, k=9))
    wrong = {
        "2025-12-31": "nothing was published by then",
        dt.date(2025, 12, 31): "nothing was published by then",
        "20260101T000000000Z-00000000": "there is no such publication",
        "../../head": "there is no such publication",
    }
    for at, message in wrong.items():
        with pytest.raises(zsync.ZsyncError, match=message):
            zsync.open_zarr(f"{where}/deep/a.zarr", at=at, **reach(versioned))
    for place, message in {
        where: "has no Zarr store or group there.*name one in the URL: deep/a.zarr",
        f"{where}/elsewhere": "has no Zarr store or group there.*check the URL",
        url(versioned): "several products lie there.*name one of them: .*/run/t",
        f"s3://{versioned.bucket}/nothing/here": "zsync published nothing there",
    }.items():
        with pytest.raises(ConfigError, match=message):
            zsync.open_zarr(place, **reach(versioned))
    with pytest.raises(ConfigError, match="give endpoint_url"):
        zsync.open_zarr(where, storage_options={"anon": True})


# --- how it is read ---------------------------------------------------------------------------------------------------


def test_it_travels_without_secrets_and_reads_no_more_than_it_needs(site, monkeypatch):
    site.store("a.zarr", weather(12, 8), zarr_format=3)
    publish(site)
    store = zsync.SnapshotStore(url(site, "a.zarr"), **reach(site, site.proxy))
    sent = pickle.dumps(store)
    assert site.s3.secret_key.encode() not in sent + repr(store).encode()
    before = len(site.proxy.requests)
    contents_of.cache_clear()  # as in another process
    there = pickle.loads(sent)
    assert there == store
    assert zarr.open_array(there, path="t2m")[0, 0] == weather(12, 8).t2m[0, 0]
    keys = [exchange.key.removeprefix(f"{site.prefix}/a.zarr/") for exchange in site.proxy.requests[before:]]
    assert sorted(keys) == ["t2m/c/0/0", "t2m/zarr.json"]
    monkeypatch.setattr("zsync.storage.spec._vault", {})  # neither do the credentials that were given here
    _connect.cache_clear()
    with pytest.raises(CredentialsError, match="use a profile or environment variables on the workers"):
        zarr.open_array(there, path="t2m")[11, 7]
    for name, value in tool_env(site.s3).items():
        monkeypatch.setenv(name, value)
    assert same(opened(site, consolidated=False).load(), weather(12, 8))
    lazy = zsync.open_zarr(url(site, "a.zarr"))
    assert lazy.t2m.chunks == ((5, 5, 2), (4, 4))
    assert pickle.loads(pickle.dumps(lazy)).t2m.sum().compute() == weather(12, 8).t2m.sum()
    again = zsync.open_zarr(url(site, "a.zarr"))
    assert again.t2m.data.name == lazy.t2m.data.name  # what dask knows already it does not do twice


def test_who_may_not_read_versions_reads_what_is_published_now(versioned):
    versioned.store("a.zarr", weather(12, 8))
    publish(versioned)
    versioned.proxy.faults.append(on(Fault.error(403, "AccessDenied"), times=None, query="versionId"))
    options = reach(versioned, versioned.proxy)
    reader = zsync.open_zarr(url(versioned, "a.zarr"), chunks=None, **options)
    assert same(reader.load(), weather(12, 8))
    asked = [exchange for exchange in versioned.proxy.requests if "versionId" in exchange.query]
    assert len(asked) < 10
    reader = zsync.open_zarr(url(versioned, "a.zarr"), chunks=None, **options)
    rewrite(versioned, "a.zarr", weather(12, 8, k=2))
    publish(versioned)
    with pytest.raises(zsync.ZsyncError, match="permission denied"):
        reader.t2m.load()


def test_objects_of_which_no_version_is_on_record_are_found_among_the_versions(versioned):
    """They were there already, as they are, when the product was first published."""
    versioned.store("a.zarr", weather(12, 8))
    client = lasting_client(versioned.s3)
    for path in (versioned.root / "a.zarr").rglob("*.*"):
        if path.is_file():
            key = f"{versioned.prefix}/a.zarr/{path.relative_to(versioned.root / 'a.zarr')}"
            client.put_object(Bucket=versioned.bucket, Key=key, Body=path.read_bytes())
    first = publish(versioned)
    rewrite(versioned, "a.zarr", weather(12, 8, k=2))
    publish(versioned)
    assert same(opened(versioned, at=first).load(), weather(12, 8))


def test_what_went_up_in_parts_is_told_by_its_bytes(site, monkeypatch):
    """Its copy in the trash has another ETag: all of it is read once, then only what is asked for."""
    monkeypatch.setattr("zsync.transfer.work.WHOLE_SIZE", 5 * 2**20)
    monkeypatch.setattr("zsync.transfer.work.PART_SIZE", 5 * 2**20)
    rng = np.random.default_rng(0)
    (site.root / "f").mkdir(parents=True)
    bodies = [rng.bytes(11 * 2**20) for _ in range(2)]
    site.products["f"] = {"path": "f", "kind": "files"}
    (site.root / "f" / "large").write_bytes(bodies[0])
    first = publish(site)
    (site.root / "f" / "large").write_bytes(bodies[1])
    publish(site)
    store = zsync.SnapshotStore(url(site, "f"), at=first, **reach(site, site.proxy))
    assert store.contents.part("large", 5, 7) == bodies[0][5:12]
    before = len(site.proxy.requests)
    assert store.contents.part("large", 2**20, 9) == bodies[0][2**20 : 2**20 + 9]
    assert len(site.proxy.requests) == before + 1
    assert store.contents.read("large") == bodies[0]


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_directories_and_other_services_keep_history_too(tmp_path, scheme):
    target = f"file://{tmp_path}/out/a.zarr" if scheme == "file" else f"memory://{tmp_path.name}/out/a.zarr"
    config = {"source": str(tmp_path / "a.zarr"), "target": target, "publish": {"keep_history": True}}
    copies = {}
    for count in range(1, 4):
        write_store(tmp_path / "a.zarr", weather(6 * count, 8, k=count), chunks={"time": 5, "x": 4})
        publication = zsync.publish(config, progress=False, max_delete="100%").publication
        copies[publication] = weather(6 * count, 8, k=count)
    for at, copy in copies.items():
        assert same(zsync.open_zarr(target, at=at, chunks=None).load(), copy)
    assert same(zsync.open_zarr(target.removeprefix("file://"), chunks=None).load(), copy)


# --- rasters ----------------------------------------------------------------------------------------------------------


def test_rasters_are_read_by_ranges_as_they_were(kept):
    first = np.random.default_rng(1).random((700, 900)).astype("f4")
    write_cog(kept.root / "cog/2026/a.tif", first)
    kept.products["cog"] = {"path": "cog", "kind": "cog"}
    before = publish(kept)
    with zsync.open_rasterio(url(kept, "cog"), "2026/a.tif", **reach(kept, kept.proxy)) as raster:
        write_cog(kept.root / "cog/2026/a.tif", first + 1)
        publish(kept)
        start = len(kept.proxy.requests)
        window = ((100, 200), (200, 300))
        assert np.array_equal(raster.read(1, window=window), first[100:200, 200:300])
        ranges = [exchange.headers["range"][6:].split("-") for exchange in kept.proxy.requests[start:] if exchange.key]
        assert sum(int(stop) + 1 - int(begin) for begin, stop in ranges) < first.nbytes / 3
        assert kept.s3.secret_key not in repr(raster)
        assert np.array_equal(raster.read(1), first)
    with zsync.open_rasterio(url(kept, "cog/2026/a.tif"), **reach(kept)) as raster:
        assert np.array_equal(raster.read(1), first + 1)
    with zsync.open_rasterio(url(kept, "cog"), "2026/a.tif", at=before, overview_level=0, **reach(kept)) as raster:
        assert raster.shape == (350, 450)
    with pytest.raises(ConfigError, match="has no such object"):
        zsync.open_rasterio(url(kept, "cog"), "2026/b.tif", **reach(kept))


def test_what_lies_beside_a_raster_is_of_the_same_publication(site):
    sidecars = (".msk", ".ovr", ".aux.xml")
    site.products["cog"] = {"path": "cog", "kind": "cog"}
    write_raster(site.root / "cog/a.tif", 3, sidecars)
    first = publish(site)
    write_raster(site.root / "cog/a.tif", 5, sidecars)
    publish(site)
    for at, generation in ((first, 3), ("head", 5)):
        with zsync.open_rasterio(url(site, "cog"), "a.tif", at=at, **reach(site)) as raster:
            assert (raster.read(1)[-1, -1], raster.tags()["generation"]) == (generation, str(generation))
            assert (raster.read_masks(1)[:, -1] == 0).sum() == generation
            assert raster.overviews(1) == [2]


def test_a_raster_that_is_gone_is_an_error_when_it_is_opened_and_when_it_is_read(site, caplog):
    site.products["cog"] = {"path": "cog", "kind": "cog"}
    values = np.random.default_rng(1).random((700, 900)).astype("f4")
    write_cog(site.root / "cog/a.tif", values)
    first = site.publish().publication
    with zsync.open_rasterio(url(site, "cog"), "a.tif", **reach(site)) as raster:
        write_cog(site.root / "cog/a.tif", values + 1)
        site.publish()
        for _ in range(2):
            with pytest.raises(rasterio.errors.RasterioIOError):
                raster.read(1, window=((300, 700), (300, 700)))
        assert "the product was published again since this snapshot" in caplog.text
    with pytest.raises(GoneError, match=first):
        zsync.open_rasterio(url(site, "cog"), "a.tif", at=first, **reach(site))


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_history_is_kept_on_request_and_only_where_there_are_no_versions(site, versioned, tmp_path, run_zsync):
    for place in (site, versioned):
        place.store("a.zarr", weather(12, 8))
        place.publish()
        rewrite(place, "a.zarr", weather(12, 8, k=2))
        place.publish()
        assert not list_trash(url(place), **reach(place))
        rewrite(place, "a.zarr", weather(8, 8, k=3))
    publish(versioned)
    assert not list_trash(url(versioned), **reach(versioned))
    config = tmp_path / "config.json"
    config.write_text(json.dumps(site.config()))
    run_zsync("publish", config, "--keep-history", "--max-delete", "100%", "-q")
    [kept] = list_trash(url(site), **reach(site))
    # All but what did not change; and not the fence that a shrink shows on its way.
    assert {"t2m/0.0", "t2m/2.1", "t2m/.zarray", ".zmetadata"} <= set(kept.keys)
    assert "x/0" not in kept.keys
    with pytest.raises(ConfigError, match="keep_history does not go with retire delete"):
        RunConfig.from_any(site.config(), keep_history=True, retire="delete")


def test_where_no_etags_are_told_it_is_said_that_no_history_is_kept(tmp_path, monkeypatch):
    config = {"source": str(tmp_path / "a.zarr"), "target": f"memory://{tmp_path.name}/a.zarr"}
    write_store(tmp_path / "a.zarr", weather(6, 8), chunks={"time": 5, "x": 4})
    zsync.publish(config, progress=False)
    monkeypatch.setattr("zsync.storage.fsspec_transport._token", lambda _info: None)
    write_store(tmp_path / "a.zarr", weather(6, 8, k=2), chunks={"time": 5, "x": 4})
    result = zsync.publish(config, progress=False, keep_history=True)
    assert "the target tells no ETag of" in {finding.code: finding.message for finding in result.findings}["no-history"]
    with pytest.raises(GoneError):
        zsync.open_zarr(config["target"], chunks=None)
