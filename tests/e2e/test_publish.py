"""The main job against a real server, judged by other tools and by the real readers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import boto3
import boto3.s3.transfer
import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr
from rasterio.transform import from_origin
from servers import s3_client
from target import same
from trees import read_tree, s3_bytes, s3_tree, weather, write_cog, write_store

import zsync
from zsync.errors import SourceError
from zsync.inventory.cache import RACY_NS


def storage_options(s3):
    return {
        "key": s3.access_key,
        "secret": s3.secret_key,
        "endpoint_url": s3.endpoint_url,
        "client_kwargs": {"region_name": s3.region},
    }


@pytest.fixture
def config(s3, bucket, tmp_path):
    """Three products of one run: a v2 store with a group, a tree of v3 stores, one of them sharded, and COGs."""
    source = tmp_path / "run"
    write_store(
        source / "pre_qf.zarr",
        weather(12, 8),
        zarr_format=2,
        chunks={"time": 5, "x": 4},
        groups={"Auxiliary": weather(12, 8)},
    )
    for site in ("north", "south"):
        write_store(
            source / "post_qf.zarr" / "oco3" / f"{site}.zarr",
            weather(10, 8, k=2),
            zarr_format=3,
            chunks={"time": 4, "x": 4},
            shards={"time": 8, "x": 8} if site == "south" else None,
        )
    for day in range(3):
        write_cog(source / "cog" / f"oco3_north_2026-01-0{day + 1}_filtered_xco2.tif", np.full((64, 64), day, "f4"))
    (source / "cog" / "oco3_north_2026-01-01_filtered_xco2.tif.aux.xml").write_text("<PAMDataset/>")
    (source / "cog" / "index.json").write_text("{}")
    return {
        "source": str(source),
        "target": f"s3://{bucket}/products/run",
        "products": {
            "pre_qf": {"path": "pre_qf.zarr", "kind": "zarr"},
            "post_qf": {"path": "post_qf.zarr", "kind": "zarr"},
            "cog": {"path": "cog", "kind": "cog"},
        },
        "storage": {
            "endpoint_url": s3.endpoint_url,
            "region": s3.region,
            "access_key_id": s3.access_key,
            "secret_access_key": s3.secret_key,
        },
    }


def without_state(objects):
    return {key: body for key, body in objects.items() if not key.startswith(".zsync/")}


def sent(result):
    return {product.name: product.sent for product in result.products}


def client(s3):
    return boto3.client(
        "s3", endpoint_url=s3.endpoint_url, aws_access_key_id=s3.access_key, aws_secret_access_key=s3.secret_key,
        region_name=s3.region,
    )  # fmt: skip


def settle():
    """Wait until a change of the source is sure to show in its times: until then nothing is remembered of it."""
    time.sleep(RACY_NS / 1e9 + 0.1)


def test_other_tools_see_the_same_objects(config, s3, bucket, tmp_path):
    result = zsync.publish(config, progress=False)
    assert result.status == "published"
    local = read_tree(Path(config["source"]))
    assert without_state(s3_bytes(s3, bucket, "products/run/")) == local
    environment = {**os.environ, **s3.env()}
    rclone_config = tmp_path / "rclone.conf"
    rclone_config.write_text(
        f"[s3]\ntype = s3\nprovider = SeaweedFS\nenv_auth = true\nendpoint = {s3.endpoint_url}\nregion = {s3.region}\n"
    )
    here = Path(sys.executable).parent
    checked = subprocess.run(
        [
            here / "rclone", "--config", rclone_config, "check", config["source"], f"s3:{bucket}/products/run",
            "--exclude", ".zsync/**",
        ],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    listed = subprocess.run(
        [here / "s5cmd", "--endpoint-url", s3.endpoint_url, "--json", "ls", f"s3://{bucket}/products/run/*"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    keys = {json.loads(line)["key"].split("products/run/", 1)[1] for line in listed.stdout.splitlines()}
    assert {key for key in keys if not key.startswith(".zsync/")} == set(local)


def test_readers_get_the_values_of_the_source(config, s3, bucket):
    zsync.publish(config, progress=False)
    options = storage_options(s3)
    source = Path(config["source"])
    base = f"s3://{bucket}/products/run"
    for store in ("pre_qf.zarr", "post_qf.zarr/oco3/north.zarr", "post_qf.zarr/oco3/south.zarr"):
        published = xr.open_zarr(f"{base}/{store}", consolidated=True, storage_options=options).load()
        xr.testing.assert_identical(published, xr.open_zarr(source / store, consolidated=True).load())
        opened = zarr.open_consolidated(f"{base}/{store}", mode="r", storage_options=options)
        assert sorted(name for name, _ in opened.arrays()) == sorted(published.variables)
    group = xr.open_zarr(f"{base}/pre_qf.zarr", group="Auxiliary", consolidated=True, storage_options=options).load()
    xr.testing.assert_identical(group, xr.open_zarr(source / "pre_qf.zarr", group="Auxiliary").load())
    host = s3.endpoint_url.partition("://")[2]
    session = rasterio.session.AWSSession(
        boto3.Session(s3.access_key, s3.secret_key, region_name=s3.region), endpoint_url=host
    )
    with rasterio.Env(session, AWS_HTTPS="NO", AWS_VIRTUAL_HOSTING="FALSE"):
        for path in sorted((source / "cog").glob("*.tif")):
            with rasterio.open(f"/vsis3/{bucket}/products/run/cog/{path.name}") as there, rasterio.open(path) as here:
                assert np.array_equal(there.read(), here.read())
                assert there.tags() == here.tags()


def test_headers_of_what_is_published(config, s3, bucket):
    zsync.publish({**config, "storage": {**config["storage"], "cache_control": {"data": "max-age=60"}}}, progress=False)
    answers = {
        key: client(s3).head_object(Bucket=bucket, Key=f"products/run/{key}")
        for key in ("pre_qf.zarr/.zmetadata", "pre_qf.zarr/t2m/0.0", "cog/oco3_north_2026-01-01_filtered_xco2.tif")
    }
    assert answers["pre_qf.zarr/.zmetadata"]["ContentType"] == "application/json"
    assert answers["pre_qf.zarr/.zmetadata"]["CacheControl"] == "no-cache"
    assert answers["pre_qf.zarr/t2m/0.0"]["ContentType"] == "application/octet-stream"
    assert answers["pre_qf.zarr/t2m/0.0"]["CacheControl"] == "max-age=60"
    cog = answers["cog/oco3_north_2026-01-01_filtered_xco2.tif"]
    assert cog["ContentType"] == "image/tiff; application=geotiff; profile=cloud-optimized"
    assert not any(answer.get("ContentEncoding") for answer in answers.values())


def test_publishing_again_sends_nothing(config):
    first = zsync.publish(config, progress=False)
    again = zsync.publish(config, progress=False)
    assert again.status == "unchanged"
    assert again.publication == first.publication
    assert set(sent(again).values()) == {0}
    assert [product.unchanged for product in again.products] == [product.sent for product in first.products]


def test_nothing_to_do_is_remembered_only_while_nothing_changes(config):
    zsync.publish(config, progress=False)
    settle()
    for _ in range(2):  # the second answer is from memory
        assert zsync.publish(config, progress=False).status == "unchanged"
    chunk = Path(config["source"]) / "pre_qf.zarr" / "t2m" / "0.0"
    chunk.write_bytes(chunk.read_bytes()[::-1])
    assert sent(zsync.publish(config, progress=False)) == {"pre_qf": 1, "post_qf": 0, "cog": 0}


def test_nothing_to_do_is_not_remembered_when_the_target_changes(config, s3, bucket):
    zsync.publish(config, progress=False)
    settle()
    for _ in range(2):
        assert zsync.publish(config, progress=False).status == "unchanged"
    client(s3).put_object(Bucket=bucket, Key="products/run/pre_qf.zarr/t2m/0.0", Body=b"somebody else")
    result = zsync.publish(config, progress=False)
    assert sent(result) == {"pre_qf": 1, "post_qf": 0, "cog": 0}
    client(s3).delete_object(Bucket=bucket, Key="products/run/pre_qf.zarr/t2m/0.0")
    assert sent(zsync.publish(config, progress=False)) == {"pre_qf": 1, "post_qf": 0, "cog": 0}


def test_touching_every_file_sends_nothing(config):
    zsync.publish(config, progress=False)
    for path in Path(config["source"]).rglob("*"):
        os.utime(path)
    assert zsync.publish(config, progress=False).status == "unchanged"


def test_one_flipped_byte_is_found_though_size_and_time_are_kept(config, s3, bucket):
    zsync.publish(config, progress=False)
    settle()
    zsync.publish(config, progress=False)
    chunk = Path(config["source"]) / "pre_qf.zarr" / "t2m" / "1.1"
    status, body = chunk.stat(), bytearray(chunk.read_bytes())
    body[len(body) // 2] ^= 1
    chunk.write_bytes(body)
    os.utime(chunk, ns=(status.st_atime_ns, status.st_mtime_ns))
    result = zsync.publish(config, progress=False)
    assert sent(result) == {"pre_qf": 1, "post_qf": 0, "cog": 0}
    rows = result.plan.table.filter([action == "send" for action in result.plan.table["action"].to_pylist()])
    assert rows["key"].to_pylist() == ["t2m/1.1"]
    assert s3_bytes(s3, bucket, "products/run/pre_qf.zarr/")["t2m/1.1"] == bytes(body)


def test_a_month_is_appended(config, s3, bucket):
    zsync.publish(config, progress=False)
    path = Path(config["source"]) / "pre_qf.zarr"
    more = weather(15, 8).isel(time=slice(12, None))
    more.to_zarr(path, append_dim="time", consolidated=False)
    zarr.consolidate_metadata(path)
    result = zsync.publish(config, progress=False)
    assert result.status == "published"
    assert sent(result)["pre_qf"] > 0
    assert sent(result)["post_qf"] == sent(result)["cog"] == 0
    published = xr.open_zarr(
        f"s3://{bucket}/products/run/pre_qf.zarr", consolidated=True, storage_options=storage_options(s3)
    )
    xr.testing.assert_equal(published.load(), weather(15, 8))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_missing_consolidated_metadata_is_made_and_the_source_left_alone(s3, bucket, tmp_path, config, zarr_format):
    source = tmp_path / "bare.zarr"
    weather(6, 4).to_zarr(source, zarr_format=zarr_format, consolidated=False)
    before = read_tree(source)
    one = {"source": str(source), "target": f"s3://{bucket}", "storage": config["storage"]}
    result = zsync.publish(one, progress=False)
    assert result.status == "published"
    assert read_tree(source) == before
    published = xr.open_zarr(f"s3://{bucket}/bare.zarr", consolidated=True, storage_options=storage_options(s3))
    xr.testing.assert_equal(published.load(), weather(6, 4))
    assert zsync.publish(one, progress=False).status == "unchanged"


def test_untrue_consolidated_metadata_is_made_anew(s3, bucket, tmp_path, config):
    source = tmp_path / "grown.zarr"
    write_store(source, weather(6, 4), zarr_format=2, chunks={"time": 3, "x": 4})
    weather(9, 4).isel(time=slice(6, None)).to_zarr(source, append_dim="time", consolidated=False)
    zsync.publish({"source": str(source), "target": f"s3://{bucket}", "storage": config["storage"]}, progress=False)
    published = xr.open_zarr(f"s3://{bucket}/grown.zarr", consolidated=True, storage_options=storage_options(s3))
    xr.testing.assert_equal(published.load(), weather(9, 4))


def test_keep_makes_the_union_of_what_is_there(config, s3, bucket):
    zsync.publish(config, progress=False)
    path = Path(config["source"]) / "pre_qf.zarr"
    subprocess.run(["rm", "-r", str(path / "Auxiliary")], check=True)
    zarr.consolidate_metadata(path)
    result = zsync.publish(config, retire="keep", progress=False)
    assert [product.retired for product in result.products] == [0, 0, 0]
    options = storage_options(s3)
    base = f"s3://{bucket}/products/run/pre_qf.zarr"
    xr.testing.assert_equal(
        xr.open_zarr(base, group="Auxiliary", consolidated=True, storage_options=options).load(), weather(12, 8)
    )
    gone = zsync.publish(config, max_delete="100%", progress=False)
    assert gone.products[0].retired > 0
    with pytest.raises((KeyError, FileNotFoundError)):
        xr.open_zarr(base, group="Auxiliary", consolidated=True, storage_options=options)


def test_a_selection_leaves_the_rest_alone(config, s3, bucket):
    zsync.publish(config, progress=False)
    for name in ("t2m", "Auxiliary/t2m"):
        chunk = Path(config["source"]) / "pre_qf.zarr" / name / "0.0"
        chunk.write_bytes(chunk.read_bytes()[::-1])
    before = s3_bytes(s3, bucket, "products/run/pre_qf.zarr/")
    assert sent(zsync.publish(config, exclude=["Auxiliary"], only=["pre_qf"], progress=False)) == {"pre_qf": 1}
    after = s3_bytes(s3, bucket, "products/run/pre_qf.zarr/")
    assert {key for key in after if after[key] != before.get(key)} == {"t2m/0.0"}
    assert before.keys() == after.keys()


@pytest.mark.parametrize(
    "selection", [{"exclude": ["Auxiliary"]}, {"include": ["t2m", "time", "x"], "exclude": ["Auxiliary"]}]
)
def test_a_part_is_published_first_and_the_rest_later(config, s3, bucket, selection):
    result = zsync.publish(config, only=["pre_qf"], progress=False, **selection)
    assert {(row["store"], row["array"]) for row in result.plan.table.to_pylist()} <= {
        ("", None), ("", "t2m"), ("", "time"), ("", "x"),
    }  # fmt: skip
    base, options = f"s3://{bucket}/products/run/pre_qf.zarr", storage_options(s3)
    xr.testing.assert_identical(
        xr.open_zarr(base, consolidated=True, storage_options=options).load(),
        xr.open_zarr(Path(config["source"]) / "pre_qf.zarr").load(),
    )
    assert [*zarr.open_consolidated(base, mode="r", storage_options=options).group_keys()] == []
    zsync.publish(config, progress=False)
    xr.testing.assert_equal(
        xr.open_zarr(base, group="Auxiliary", consolidated=True, storage_options=options).load(), weather(12, 8)
    )
    assert without_state(s3_bytes(s3, bucket, "products/run/")) == read_tree(Path(config["source"]))


def test_a_selection_with_nothing_to_do_leaves_the_record_alone(config):
    first = zsync.publish(config, progress=False)
    for selection in ({"include": ["t2m"]}, {"exclude": ["Auxiliary"]}, {"only": ["cog"]}):
        result = zsync.publish(config, progress=False, **selection)
        assert (result.status, result.publication) == ("unchanged", first.publication)
    assert zsync.publish(config, retire="keep", progress=False).status == "unchanged"


def test_a_target_that_another_tool_filled_is_compared_and_put_on_record(config, s3, bucket):
    subprocess.run(
        [Path(sys.executable).parent / "s5cmd", "--endpoint-url", s3.endpoint_url, "sync", f"{config['source']}/", f"s3://{bucket}/products/run/"],
        env={**os.environ, **s3.env()}, capture_output=True, check=True,
    )  # fmt: skip
    result = zsync.publish(config, progress=False)
    assert result.status == "published"
    assert set(sent(result).values()) == {0}
    assert zsync.publish(config, progress=False).status == "unchanged"


def test_objects_that_another_tool_sent_in_parts_are_compared(s3, bucket, tmp_path, config):
    (tmp_path / "files").mkdir()
    body = np.random.default_rng(1).bytes(17 * 2**20)
    (tmp_path / "files" / "large.bin").write_bytes(body)
    part = boto3.s3.transfer.TransferConfig(multipart_threshold=5 * 2**20, multipart_chunksize=8 * 2**20)
    client(s3).upload_file(str(tmp_path / "files" / "large.bin"), bucket, "files/large.bin", Config=part)
    one = {"source": str(tmp_path / "files"), "target": f"s3://{bucket}", "storage": config["storage"]}
    assert sent(zsync.publish(one, progress=False)) == {"files": 0}


def test_an_object_beyond_64_mib_goes_up_in_parts(s3, bucket, tmp_path, config):
    (tmp_path / "files").mkdir()
    body = np.random.default_rng(1).bytes(65 * 2**20)
    (tmp_path / "files" / "large.bin").write_bytes(body)
    one = {"source": str(tmp_path / "files"), "target": f"s3://{bucket}", "storage": config["storage"]}
    assert sent(zsync.publish(one, progress=False)) == {"files": 1}
    assert client(s3).head_object(Bucket=bucket, Key="files/large.bin")["ETag"].strip('"').endswith("-5")
    assert s3_bytes(s3, bucket, "files/")["large.bin"] == body
    assert zsync.publish(one, progress=False).status == "unchanged"


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_both_transports_publish_the_same(config, s3, bucket, transport):
    config["target"] = f"s3://{bucket}/{transport}"
    assert zsync.publish(config, transport=transport, progress=False).status == "published"
    published = without_state(s3_bytes(s3, bucket, f"{transport}/"))
    assert published == read_tree(Path(config["source"]))
    assert zsync.publish(config, transport=transport, progress=False).status == "unchanged"


def test_a_directory_is_a_target_too(config, tmp_path):
    config["target"] = f"file://{tmp_path}/published"
    assert zsync.publish(config, progress=False).status == "published"
    published = without_state(read_tree(tmp_path / "published"))
    assert published == read_tree(Path(config["source"]))
    assert zsync.publish(config, progress=False).status == "unchanged"
    chunk = Path(config["source"]) / "pre_qf.zarr" / "t2m" / "0.0"
    chunk.write_bytes(chunk.read_bytes()[::-1])
    assert sent(zsync.publish(config, progress=False)) == {"pre_qf": 1, "post_qf": 0, "cog": 0}


def test_what_stands_for_a_directory_is_left_alone(config, s3, bucket):
    client(s3).put_object(Bucket=bucket, Key="products/run/pre_qf.zarr/folder/", Body=b"")
    client(s3).put_object(Bucket=bucket, Key="products/run/pre_qf.zarr/empty", Body=b"")
    result = zsync.publish(config, max_delete=1, progress=False)
    assert [product.retired for product in result.products] == [1, 0, 0]  # the empty object is one
    assert zsync.publish(config, progress=False).status == "unchanged"
    listed = client(s3).list_objects_v2(Bucket=bucket, Prefix="products/run/pre_qf.zarr/folder")
    assert [entry["Key"] for entry in listed["Contents"]] == ["products/run/pre_qf.zarr/folder/"]


def test_any_fsspec_url_is_a_target(config):
    import fsspec

    config["target"] = "memory://published/run"
    assert zsync.publish(config, progress=False).status == "published"
    memory = fsspec.filesystem("memory")
    found = {path.removeprefix("/published/run/"): memory.cat_file(path) for path in memory.find("/published/run")}
    assert without_state(found) == read_tree(Path(config["source"]))
    assert zsync.publish(config, progress=False).status == "unchanged"
    memory.rm("/published", recursive=True)


def test_the_serial_executor_does_the_same(config, s3, bucket):
    assert zsync.publish(config, scheduler="serial", progress=False).status == "published"
    published = without_state(s3_bytes(s3, bucket, "products/run/"))
    assert published == read_tree(Path(config["source"]))


def test_a_publish_with_nothing_to_do_imports_nothing_heavy(config, tmp_path):
    zsync.publish(config, progress=False)
    settle()
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    script = (
        "import json, sys, zsync\n"
        f"status = zsync.publish({str(path)!r}, progress=False).status\n"
        "heavy = {'zarr', 'xarray', 'rasterio', 'dask', 'pandas'} & set(sys.modules)\n"
        "print(json.dumps([status, sorted(heavy), 'pyarrow' in sys.modules]))\n"
    )
    answers = [
        json.loads(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
        for _ in range(2)
    ]
    assert answers[0][:2] == ["unchanged", []]
    assert answers[1] == ["unchanged", [], False]


@pytest.mark.parametrize("command", ["plan", "publish"])
def test_nothing_imports_pandas(config, tmp_path, command):
    """It takes longer than a small publish, and pyarrow imports it wherever it converts a value."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    script = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(sorted({'pandas', 'xarray'} & set(sys.modules))))\n"
        "from zsync.cli import main\n"
        f"sys.argv = ['zsync', {command!r}, {str(path)!r}, '--only', 'pre_qf', '--only', 'post_qf']\n"
        "main()\n"
    )
    said = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"


def test_a_plan_says_what_and_why_and_writes_nothing(config, s3, bucket, tmp_path):
    plan = zsync.plan(config)
    assert s3_bytes(s3, bucket, "") == {}
    assert {row["reason"] for row in plan.to_dict()["changes"]} == {"new"}
    assert len(plan.table) == len(read_tree(Path(config["source"])))
    result = zsync.publish(config, dry_run=True, progress=False)
    assert result.status == "planned"
    assert s3_bytes(s3, bucket, "") == {}
    assert "pre_qf" in result._repr_html_()
    assert set(plan.to_pandas()["product"]) == {"pre_qf", "post_qf", "cog"}


def test_a_file_that_is_no_tiff_is_refused_and_one_that_is_no_cog_is_told(config, s3, bucket):
    cogs = Path(config["source"]) / "cog"
    profile = {"width": 2048, "height": 1024, "count": 1, "dtype": "float32", "crs": "EPSG:4326"}
    with rasterio.open(
        cogs / "plain.tif", "w", driver="GTiff", transform=from_origin(-10, 50, 0.5, 0.5), **profile
    ) as file:
        file.write(np.zeros((1, 1024, 2048), "f4"))
    result = zsync.publish(config, progress=False)
    assert [finding.code for finding in result.findings] == ["not-a-cog"]
    (cogs / "broken.tif").write_bytes(b"no tiff at all")
    with pytest.raises(zsync.ZsyncError) as raised:
        zsync.publish(config, progress=False)
    assert raised.value.exit_status == 3
    assert "broken.tif" in str(raised.value)


def test_consolidated_metadata_that_zsync_makes_goes_up_whatever_its_size(site, monkeypatch):
    """L6: above the size of a part it goes up in parts, as a file would."""
    monkeypatch.setattr("zsync.transfer.work.WHOLE_SIZE", 5 * 2**20)
    monkeypatch.setattr("zsync.transfer.work.PART_SIZE", 5 * 2**20)
    data = weather(6, 8).assign_attrs(history="x" * 12 * 2**20)
    site.store("a.zarr", data)
    (site.root / "a.zarr" / ".zmetadata").unlink()
    assert site.publish().status == "published"
    assert len(s3_bytes(site.s3, site.bucket, "run/a.zarr/")[".zmetadata"]) > 12 * 2**20
    assert any("uploadId" in exchange.query for exchange in site.proxy.requests)
    assert same(site.read("a.zarr"), data)
    assert site.publish().status == "unchanged"


def test_chunks_that_a_writer_left_beyond_the_shape(site, tmp_path):
    """Refused, with what to write; left out on demand; and who pulls from somebody else's bucket is not asked."""
    site.store("a.zarr", weather(12, 8))
    for name, shape in (("t2m", [10, 8]), ("time", [10])):
        path = site.root / f"a.zarr/{name}/.zarray"
        path.write_text(json.dumps({**json.loads(path.read_text()), "shape": shape}))
    zarr.consolidate_metadata(site.root / "a.zarr")
    with pytest.raises(SourceError, match=r"lies outside the grid .* set outside_grid: skip"):
        site.publish()
    result = site.publish(outside_grid="skip")
    told = [finding for finding in result.findings if finding.code == "outside-grid"]
    assert {(finding.level, finding.message.rpartition(": ")[2]) for finding in told} == {("warning", "left out")}
    published = s3_tree(site.s3, site.bucket, "run/a.zarr/")
    assert not [key for key in published if key.startswith("t2m/2.")]
    assert same(site.read("a.zarr"), weather(10, 8))
    assert site.publish(outside_grid="skip").status == "unchanged"
    source = read_tree(site.root / "a.zarr")
    with contextlib.closing(s3_client(site.s3)) as client:
        for key, body in source.items():
            client.put_object(Bucket=site.bucket, Key=f"theirs/a.zarr/{key}", Body=body)
    url = f"s3://{site.bucket}/theirs/a.zarr"
    assert zsync.pull(url, tmp_path / "here", progress=False, **site.config()["storage"]).status == "pulled"
    assert read_tree(tmp_path / "here/a.zarr") == source
