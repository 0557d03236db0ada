"""Pull: what is published comes to this machine, safely for what is there, and for who reads it there."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr
from proxy import Fault, on
from servers import s3_client
from target import same
from trees import append, quiet_zarr, read_tree, weather, write_cog, write_tree

import zsync
from zsync.errors import ConfigError, ConflictError, GoneError, SourceChangedError, SourceError, TargetError

PUBLISH = {"rewrites": "inplace"}  # flips have tests of their own: test_flip


@pytest.fixture
def here(tmp_path):
    return tmp_path / "here"


def pull(site, dest, what="", **options):
    url = f"s3://{site.bucket}/{site.prefix}{what}"
    storage = site.config()["storage"]
    return zsync.pull(url, dest, progress=False, **storage, **options)


def open_here(path):
    try:
        with quiet_zarr():
            return xr.open_zarr(path, consolidated=True, chunks=None).load()
    except Exception as error:
        return type(error).__name__


FORMATS = [
    pytest.param({"zarr_format": 2}, id="v2"),
    pytest.param({"zarr_format": 3, "shards": {"time": 10, "x": 8}}, id="v3 sharded"),
]


@pytest.mark.parametrize("options", FORMATS)
@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_a_store_comes_whole_and_then_there_is_nothing_to_do(site, here, options, transport):
    site.store("a.zarr", weather(12, 8), groups={"Auxiliary": weather(12, 8, k=2)}, **options)
    publication = site.publish().publication
    result = pull(site, here, "/a.zarr", transport=transport)
    assert (result.status, result.products[0].publication) == ("pulled", publication)
    assert read_tree(here / "a.zarr") == read_tree(site.root / "a.zarr")
    assert same(open_here(here / "a.zarr"), weather(12, 8))
    count = len(site.proxy.requests)
    again = pull(site, here, "/a.zarr", transport=transport)
    assert again.status == "unchanged"
    assert not any("t2m/" in exchange.key for exchange in site.proxy.requests[count:] if exchange.method == "GET"
                   and not exchange.key.endswith((".zarray", ".zattrs", "zarr.json")))  # fmt: skip


def test_several_products_of_one_prefix_come_each_under_its_name(site, here):
    site.store("pre_qf.zarr", weather(6, 8))
    site.store("post_qf.zarr", weather(6, 8, k=2), zarr_format=3)
    write_cog(site.root / "cog" / "a" / "1.tif", np.ones((32, 32), "float32"))
    site.products["cog"] = {"path": "cog", "kind": "cog"}
    site.publish()
    result = pull(site, here)
    assert {product.name for product in result.products} == {"pre_qf.zarr", "post_qf.zarr", "cog"}
    for name in ("pre_qf.zarr", "post_qf.zarr", "cog"):
        assert read_tree(here / name) == read_tree(site.root / name)


def test_a_configuration_is_pulled_to_its_source_or_elsewhere(site, here):
    site.store("a.zarr", weather(6, 8))
    site.publish()
    published = read_tree(site.root / "a.zarr")
    shutil.rmtree(site.root)
    assert zsync.pull(site.config(), progress=False).status == "pulled"
    assert read_tree(site.root / "a.zarr") == published
    assert zsync.pull(site.config(), here, progress=False).status == "pulled"
    assert read_tree(here / "a.zarr") == published


@pytest.mark.parametrize("options", FORMATS)
@pytest.mark.parametrize("change", ["append", "shrink", "update", "dtype", "removed"])
def test_a_store_that_was_pulled_follows_what_is_published(site, here, options, change):
    data = weather(12, 8)
    site.store("a.zarr", data.assign(extra=data.t2m + 1) if change == "removed" else data, **options)
    site.publish()
    pull(site, here, "/a.zarr")
    new = {
        "append": weather(17, 8), "shrink": weather(7, 8), "update": weather(12, 8, k=2),
        "dtype": weather(12, 8, dtype="f8"), "removed": weather(12, 8),
    }[change]  # fmt: skip
    if change == "append":
        append(site.root / "a.zarr", new.isel(time=slice(12, None)))
    else:
        shutil.rmtree(site.root)
        site.store("a.zarr", new, **options)
    site.publish(max_delete="100%", on_incompatible="replace")
    assert pull(site, here, "/a.zarr").status == "pulled"
    assert same(open_here(here / "a.zarr"), new)
    assert read_tree(here / "a.zarr") == read_tree(site.root / "a.zarr")
    assert not [path for path in (here / "a.zarr").rglob("*") if path.is_dir() and not [*path.iterdir()]]


@pytest.mark.parametrize("at", [1, 5, 12, 14])
def test_a_local_reader_sees_nothing_torn_and_the_same_call_finishes(site, here, at, caplog):
    site.store("a.zarr", weather(12, 8))
    site.publish()
    site.proxy.faults.append(
        on(Fault.error(403, "AccessDenied"), method="GET", key="run/a.zarr/*/*", nth=at, times=None)
    )
    with pytest.raises(zsync.ZsyncError):
        pull(site, here, "/a.zarr", workers=1)
    if "stopped" in caplog.text:  # not before anything was fetched
        assert "pull again" in caplog.text
    assert "publish" not in caplog.text
    assert open_here(here / "a.zarr") in ("FileNotFoundError", "GroupNotFoundError", "KeyError", "ValueError")
    assert not list(here.rglob("*.partial"))
    arrived = set(read_tree(here / "a.zarr")) if (here / "a.zarr").exists() else set()
    site.proxy.faults.clear()
    before = len(site.proxy.requests)
    pull(site, here, "/a.zarr")
    assert same(open_here(here / "a.zarr"), weather(12, 8))
    chunks = {exchange.key for exchange in site.proxy.requests[before:] if exchange.key.startswith("run/a.zarr/t2m/")}
    assert not chunks & {f"run/a.zarr/{key}" for key in arrived if not key.endswith((".zarray", ".zattrs"))}


# --- what is there ----------------------------------------------------------------------------------------------------


def test_a_store_that_somebody_changed_is_left_alone_whole(site, here):
    site.store("a.zarr", weather(12, 8))
    site.publish()
    pull(site, here, "/a.zarr")
    zarr.open_array(str(here / "a.zarr/t2m"), mode="r+")[0, 0] = -5
    mine = read_tree(here / "a.zarr")
    append(site.root / "a.zarr", weather(17, 8).isel(time=slice(12, None)))
    site.publish()
    result = pull(site, here, "/a.zarr")
    assert [finding.code for finding in result.findings if finding.level == "warning"] == ["left-alone"]
    assert read_tree(here / "a.zarr") == mine
    assert pull(site, here, "/a.zarr", force_overwrite=True).status == "pulled"
    assert same(open_here(here / "a.zarr"), weather(17, 8))


def test_a_store_that_is_there_already_is_recognised_by_its_content(site, here):
    site.store("a.zarr", weather(12, 8))
    site.publish()
    shutil.copytree(site.root / "a.zarr", here / "a.zarr")
    result = pull(site, here, "/a.zarr")
    assert result.products[0].received == 0
    append(site.root / "a.zarr", weather(17, 8).isel(time=slice(12, None)))
    site.publish()
    assert pull(site, here, "/a.zarr").status == "pulled"
    assert same(open_here(here / "a.zarr"), weather(17, 8))


def files(site, **tree):
    write_tree(site.root / "tiles", tree)
    site.products = {"tiles": {"path": "tiles", "kind": "files"}}
    site.publish(retire="delete", max_delete="100%")


def test_safe_mode_leaves_files_of_the_same_size_and_force_compares_them(site, here):
    files(site, a="one", b="two", sub={"c": "three"})
    write_tree(here / "tiles", {"a": "eno", "b": "longer", "mine": "kept"})
    result = pull(site, here, "/tiles")
    assert read_tree(here / "tiles") == {"a": b"eno", "b": b"two", "mine": b"kept", "sub/c": b"three"}
    assert (result.products[0].received, result.products[0].left) == (2, 2)
    assert pull(site, here, "/tiles", force_overwrite=True).products[0].received == 1
    assert read_tree(here / "tiles") == {"a": b"one", "b": b"two", "mine": b"kept", "sub/c": b"three"}


def test_files_that_went_from_the_bucket_stay_here(site, here):
    files(site, a="one", b="two")
    pull(site, here, "/tiles")
    shutil.rmtree(site.root)
    files(site, a="one")
    for force in (False, True):
        pull(site, here, "/tiles", force_overwrite=force)
        assert read_tree(here / "tiles") == {"a": b"one", "b": b"two"}


def test_a_bucket_that_zsync_never_published_to(site, here):
    with contextlib.closing(s3_client(site.s3)) as client:
        for key in ("s2/clipped/1.tif", "s2/download/raw.zip", "landsat/2.tif", "s2/metadata/m.csv"):
            client.put_object(Bucket=site.bucket, Key=f"run/data/{key}", Body=key.encode())
    result = pull(site, here, "/data", subset=["s2"], exclude_downloads=True, dry_run=True)
    assert result.status == "planned"
    assert {url.rpartition("/data/")[2] for url, _ in result.downloads()} == {"s2/clipped/1.tif", "s2/metadata/m.csv"}
    assert not here.exists()
    pull(site, here, "/data", subset=["s2"], exclude_downloads=True)
    assert set(read_tree(here / "data")) == {"s2/clipped/1.tif", "s2/metadata/m.csv"}
    pull(site, here, "/data")
    assert set(read_tree(here / "data")) == {
        "s2/clipped/1.tif",
        "s2/metadata/m.csv",
        "s2/download/raw.zip",
        "landsat/2.tif",
    }
    count = len(site.proxy.requests)
    assert pull(site, here, "/data", force_overwrite=True).status == "unchanged"
    assert not any(e.method == "GET" and e.key.startswith("run/data/") for e in site.proxy.requests[count:])


@pytest.mark.parametrize("keeps", ["versioned_bucket", "bucket"])
def test_an_old_publication_can_be_had(s3, proxy, tmp_path, here, keeps, request):
    """From the versions of a bucket, or from what was kept in the trash."""
    from target import Site

    site = Site(s3, proxy, request.getfixturevalue(keeps), tmp_path / "run", PUBLISH)
    site.store("a.zarr", weather(12, 8))
    first = site.publish().publication
    shutil.rmtree(site.root)
    site.store("a.zarr", weather(7, 8, k=3))
    site.publish(max_delete="100%", keep_history=True)
    pull(site, here, "/a.zarr", at=first, select={"time": "10..12"})
    assert same(open_here(here / "a.zarr"), weather(12, 8).sel(time=slice(10, 12)))
    shutil.rmtree(here)
    pull(site, here, "/a.zarr", at=first)
    assert same(open_here(here / "a.zarr"), weather(12, 8))
    pull(site, here, "/a.zarr")
    assert same(open_here(here / "a.zarr"), weather(7, 8, k=3))
    with pytest.raises(ConfigError, match="no such publication"):
        pull(site, here, "/a.zarr", at="20200101T000000000Z-00000000")


def test_an_old_publication_of_a_bucket_without_versions_is_told_to_be_gone(site, here):
    site.store("a.zarr", weather(12, 8))
    first = site.publish().publication
    site.store("a.zarr", weather(12, 8, k=2))
    site.publish()
    with pytest.raises(
        GoneError, match=rf"\d objects of publication {first} were replaced .*, and not kept: .*t2m/0.0"
    ):
        pull(site, here, "/a.zarr", at=first)
    assert open_here(here / "a.zarr") in ("FileNotFoundError", "GroupNotFoundError")


# --- what is published moves, and hostile buckets ---------------------------------------------------------------------


def test_what_is_replaced_during_a_pull_is_noticed(site, here):
    from target import At

    site.store("a.zarr", weather(12, 8))
    site.publish()

    def meddle():
        site.store("a.zarr", weather(12, 8, k=2))
        site.publish()

    url = f"s3://{site.bucket}/run/a.zarr"
    with pytest.raises(SourceChangedError, match="pull again"):
        zsync.pull(url, here, progress=At("data", meddle), **site.config()["storage"])
    assert open_here(here / "a.zarr") in ("FileNotFoundError", "GroupNotFoundError")
    pull(site, here, "/a.zarr")
    assert same(open_here(here / "a.zarr"), weather(12, 8, k=2))


HOSTILE = {
    "climbs": ["ok", "../evil"],
    "climbs deep": ["ok", "a/../../../evil"],
    "a dot": ["ok", "./evil"],
    "control": ["ok", "evil\x01"],
    "backslash": ["ok", "..\\evil"],
    "a file and a directory": ["ok", "evil", "evil/more"],
    "a long name": ["ok", "e" * 300],
}


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
@pytest.mark.parametrize("keys", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_bucket_writes_nothing_outside(moto_s3, tmp_path, here, keys, transport):
    bucket = f"hostile-{abs(hash((*keys, transport))) % 10**9}"
    moto_s3.create_bucket(bucket)
    with contextlib.closing(s3_client(moto_s3)) as client:
        for key in keys:
            client.put_object(Bucket=bucket, Key=f"data/{key}", Body=b"evil")
    storage = {
        "endpoint_url": moto_s3.endpoint_url, "region": moto_s3.region, "transport": transport,
        "access_key_id": moto_s3.access_key, "secret_access_key": moto_s3.secret_key,
    }  # fmt: skip
    result = zsync.pull(f"s3://{bucket}/data", here, progress=False, **storage)
    (finding,) = [finding for finding in result.findings if finding.code == "unfit-key"]
    assert finding.message.startswith("left out: 1 objects of others")
    arrived = [
        path.relative_to(here).as_posix()
        for path in tmp_path.rglob("*")
        if path.is_file() and path.read_bytes() == b"evil"
    ]
    assert sorted(arrived) == ["data/evil/more", "data/ok"][-len(keys) + 1 :]


def test_a_hostile_manifest_writes_nothing_outside(site, tmp_path, here, clean_environment):
    """Keys come from the bucket in any case: a manifest is no more to be trusted than a listing."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq
    from blake3 import blake3

    files(site, a="one")
    with contextlib.closing(s3_client(site.s3)) as client:
        head = json.loads(client.get_object(Bucket=site.bucket, Key="run/.zsync/tiles/head.json")["Body"].read())
        part = head["manifest"][0]["digest"]
        body = client.get_object(Bucket=site.bucket, Key=f"run/.zsync/tiles/manifests/{part}.parquet")["Body"].read()
        table = pq.read_table(io.BytesIO(body))
        evil = table.set_column(0, "key", pa.array(["../../evil"]))
        buffer = io.BytesIO()
        pq.write_table(evil, buffer)
        head["manifest"][0]["digest"] = digest = blake3(buffer.getvalue()).hexdigest()
        client.put_object(
            Bucket=site.bucket, Key=f"run/.zsync/tiles/manifests/{digest}.parquet", Body=buffer.getvalue()
        )
        client.put_object(Bucket=site.bucket, Key="run/.zsync/tiles/head.json", Body=json.dumps(head).encode())
    with pytest.raises(SourceError, match="leads elsewhere"):
        pull(site, here, "/tiles")
    assert not here.exists()


def test_a_link_that_leads_out_is_not_written_through(site, tmp_path, here):
    files(site, sub={"c": "three"})
    outside = tmp_path / "outside"
    outside.mkdir()
    (here / "tiles").mkdir(parents=True)
    (here / "tiles" / "sub").symlink_to(outside)
    with pytest.raises(ConfigError, match="leads out"):
        pull(site, here, "/tiles")
    assert not list(outside.iterdir())


def test_space_is_looked_at_first(site, here, monkeypatch):
    files(site, a="one" * 100)
    monkeypatch.setattr(
        "zsync.steps.room.shutil.disk_usage",
        lambda _: os.terminal_size((0, 0)) and type("U", (), {"free": 10})(),
    )
    with pytest.raises(TargetError, match="not enough space"):
        pull(site, here, "/tiles")
    assert not here.exists()


def test_two_pulls_into_one_directory_are_kept_apart(site, here):
    from target import At

    site.store("a.zarr", weather(12, 8))
    site.publish()
    told = []

    def meanwhile():
        with pytest.raises(ConflictError) as raised:
            pull(site, here, "/a.zarr")
        told.append(raised.value)

    zsync.pull(f"s3://{site.bucket}/run/a.zarr", here, progress=At("data", meanwhile), **site.config()["storage"])
    assert told
    assert same(open_here(here / "a.zarr"), weather(12, 8))


def test_one_object_is_told_what_to_write_and_that_works(site, here):
    with contextlib.closing(s3_client(site.s3)) as client:
        for key in ("maps/x [1].tif", "maps/y.tif"):
            client.put_object(Bucket=site.bucket, Key=f"run/{key}", Body=key.encode())
    with pytest.raises(ConfigError, match="this is one object") as raised:
        pull(site, here, "/maps/x [1].tif")
    _, url, _, _, pattern = shlex.split(raised.value.advice.partition(": zsync ")[2])
    assert url == f"s3://{site.bucket}/run/maps"
    pull(site, here, "/maps", include=[pattern])
    assert read_tree(here / "maps") == {"x [1].tif": b"maps/x [1].tif"}


def test_nothing_there_is_told(site, here):
    with pytest.raises(ConfigError, match="nothing there"):
        pull(site, here, "/no/such/place")


# --- a part -----------------------------------------------------------------------------------------------------------


def climate(n_time=24):
    """Monthly values that tell their place, on a grid whose latitudes fall, with packing and a second variable."""
    time = np.array([np.datetime64("2020-01-01", "ns") + np.timedelta64(31 * i, "D") for i in range(n_time)])
    lat, lon = np.linspace(50, -40, 10), np.arange(0.0, 12.0)
    values = np.arange(n_time * 120, dtype="f4").reshape(n_time, 10, 12)
    return xr.Dataset(
        {
            "xco2": (("time", "lat", "lon"), values, {"units": "ppm"}),
            "flag": (("time", "lat"), (np.arange(n_time * 10) % 7).reshape(n_time, 10).astype("i2")),
        },
        coords={"time": time, "lat": lat, "lon": lon},
        attrs={"title": "made up"},
    )


def publish_climate(site, zarr_format=2, **more):
    data = climate()
    encoding = {"xco2": {"chunks": (5, 4, 6), **more}, "flag": {"chunks": (5, 4)}, "time": {"chunks": (100,)}}
    with quiet_zarr():
        data.to_zarr(site.root / "c.zarr", encoding=encoding, zarr_format=zarr_format, consolidated=True)
    site.products = {"c.zarr": {"path": "c.zarr", "kind": "zarr"}}
    site.publish()
    return data


@pytest.mark.parametrize(
    "options", [{}, {"zarr_format": 3}, {"zarr_format": 3, "shards": (10, 8, 12)}], ids=["v2", "v3", "sharded"]
)
@pytest.mark.parametrize(
    ("select", "variables", "wanted"),
    [
        ({"time": "2020-03..2020-09"}, ["xco2"], {"time": slice("2020-03", "2020-09")}),
        ({"lat": "-20..20", "lon": "3..7"}, [], {"lat": slice(20, -20), "lon": slice(3, 7)}),
        ({"time": "2021.."}, ["flag"], {"time": slice("2021", None)}),
        ({"time": "2020-05"}, [], {"time": slice("2020-05", "2020-05")}),
    ],
    ids=["time", "box", "open end", "one label"],
)  # fmt: skip
def test_a_part_of_a_store_opens_and_holds_just_that(site, here, options, select, variables, wanted):
    data = publish_climate(site, **options)
    count = len(site.proxy.requests)
    result = pull(site, here, "/c.zarr", select=select, variables=variables)
    assert result.status == "pulled"
    part = (data[variables] if variables else data).sel(wanted)
    xr.testing.assert_identical(open_here(here / "c.zarr").drop_encoding(), part)
    fetched = {e.key for e in site.proxy.requests[count:] if e.method == "GET" and "/xco2/" in e.key}
    chunks = {key for key in read_tree(site.root / "c.zarr") if key.startswith("xco2/") and key.count("z") == 0}
    assert len(fetched) < len(chunks) or "shards" in options
    assert not list(here.glob(".zsync/*/parts"))
    assert pull(site, here, "/c.zarr", select=select, variables=variables).products[0].received == 0


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_is_packed_comes_bit_by_bit(site, here, zarr_format):
    packing = {"dtype": "i2", "scale_factor": 0.1, "add_offset": 273.15, "_FillValue": -9999}
    publish_climate(site, zarr_format, **packing)
    pull(site, here, "/c.zarr", select={"time": "..2020-06"})
    with quiet_zarr():
        whole, part = (xr.open_zarr(path / "c.zarr", decode_cf=False) for path in (site.root, here))
    xr.testing.assert_identical(part, whole.isel(time=slice(0, 6)))
    assert part.xco2.dtype == "i2"
    assert part.xco2.encoding["chunks"] == whole.xco2.encoding["chunks"]


def test_a_part_may_be_followed_by_a_larger_one(site, here):
    data = publish_climate(site)
    pull(site, here, "/c.zarr", select={"time": "2020-01..2020-06"})
    pull(site, here, "/c.zarr", select={"time": "2020-01..2021-06"})
    xr.testing.assert_identical(open_here(here / "c.zarr").drop_encoding(), data.sel(time=slice("2020-01", "2021-06")))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"variables": ["nope"]}, "no such variable or dimension: nope"),
        ({"select": {"depth": "1..2"}}, "no such variable or dimension: depth"),
        ({"select": {"time": "1990..1991"}}, "nothing lies in this range"),
        ({"select": {"time": "soon.."}}, "no range of the dimension"),
        ({"variables": ["xco2"], "dry_run": True}, "not known before it is read"),
    ],
)
def test_a_part_that_is_not_there_is_told(site, here, options, says):
    publish_climate(site)
    with pytest.raises(ConfigError, match=says):
        pull(site, here, "/c.zarr", **options)
    assert not (here / "c.zarr").exists()


def test_a_chunk_that_is_lost_is_an_error_and_never_fill_values(site, here):
    publish_climate(site)
    with contextlib.closing(s3_client(site.s3)) as client:
        client.delete_object(Bucket=site.bucket, Key="run/c.zarr/xco2/0.0.0")
    with pytest.raises(SourceChangedError, match="replaced or removed"):
        pull(site, here, "/c.zarr", select={"time": "2020-01..2020-02"})
    assert not (here / "c.zarr").exists()
    assert not list(here.glob(".zsync/*/parts"))


# --- edits ------------------------------------------------------------------------------------------------------------


def in_trash(here, name):
    trash = here / ".zsync" / name / "trash"
    return {key.partition("/")[2]: body for key, body in read_tree(trash).items()} if trash.exists() else {}


def test_an_edit_that_makes_way_leaves_a_copy_in_the_trash(site, here):
    files(site, a="one", b="two", c="three")
    pull(site, here, "/tiles")
    write_tree(here / "tiles", {"a": "mine, and longer", "c": "eerht"})
    files(site, a="one", b="two, anew", c="three")
    result = pull(site, here, "/tiles")
    assert read_tree(here / "tiles") == {"a": b"one", "b": b"two, anew", "c": b"eerht"}
    assert in_trash(here, "tiles") == {"a": b"mine, and longer"}  # and not what was pulled as it was
    assert [finding.code for finding in result.findings if finding.level == "warning"] == ["edits-kept"]
    pull(site, here, "/tiles", force_overwrite=True)
    assert in_trash(here, "tiles") == {"a": b"mine, and longer", "c": b"eerht"}


def test_an_edit_of_a_store_leaves_a_copy_too(site, here):
    site.store("a.zarr", weather(12, 8))
    (site.root / "a.zarr/t2m/2.1").unlink()  # as what is all fill value is written
    site.publish()
    pull(site, here, "/a.zarr")
    zarr.open_array(str(here / "a.zarr/t2m"), mode="r+")[[0, 11], [0, 7]] = -5
    edited = {f"t2m/{key}": (here / f"a.zarr/t2m/{key}").read_bytes() for key in ("0.0", "2.1")}
    pull(site, here, "/a.zarr", force_overwrite=True)
    assert read_tree(here / "a.zarr") == read_tree(site.root / "a.zarr")
    assert in_trash(here, "a.zarr") == edited
