"""Datasets are published as they are in memory: `dataset.zsync.publish`, and as a task of dask."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import dask
import numpy as np
import pytest
import xarray as xr
from test_publish import storage_options

import zsync
import zsync.xarray
from zsync.xarray import staging_of


def field(days):
    values = np.arange(days * 40, dtype="f4").reshape(days, 40)
    return xr.Dataset({"sst": (("time", "x"), values)}, {"time": np.arange(days)}).chunk(time=4)


@pytest.fixture
def url(bucket):
    return f"s3://{bucket}/products/sst.zarr"


@pytest.fixture
def storage(s3):
    return {
        "endpoint_url": s3.endpoint_url, "region": s3.region, "access_key_id": s3.access_key,
        "secret_access_key": s3.secret_key,
    }  # fmt: skip


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_only_chunks_that_differ_travel(url, storage, s3, zarr_format):
    how = {"zarr_format": zarr_format, "encoding": {"time": {"chunks": (64,)}}, **storage}
    first = field(12).zsync.publish(url, **how)
    assert (first.status, first.products[0].name) == ("published", "sst")
    assert field(12).zsync.publish(url, **how).status == "unchanged"
    changed = field(12)
    changed["sst"] = changed["sst"].where(changed["time"] != 5, -1)
    planned = changed.zsync.publish(url, dry_run=True, **how)
    assert planned.status == "planned"
    assert changed.zsync.publish(url, **how).products[0].sent == 1
    there = xr.open_zarr(url, storage_options=storage_options(s3), consolidated=True).load()
    xr.testing.assert_equal(there, changed.compute())


def test_a_dataset_that_reads_from_where_it_is_kept(url, storage):
    field(8).zsync.publish(url, **storage)
    kept = xr.open_zarr(staging_of(url))
    assert (kept + 1).zsync.publish(url, **storage).status == "published"
    assert float(xr.open_zarr(staging_of(url))["sst"][0, 0]) == 1
    assert [path.name for path in staging_of(url).parent.iterdir()] == ["sst.zarr"]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_is_computed_anew_goes_on_in_the_chunks_and_codecs_that_are_published(zarr_format, tmp_path):
    """As one works in a notebook: read, compute (which loses the encoding), publish; and a day more the next time."""
    field(8).drop_vars("time").compute().to_zarr(tmp_path / "read.zarr", zarr_format=zarr_format, consolidated=False,
        encoding={"sst": {"chunks": (3, 20)}})  # fmt: skip
    read = xr.open_zarr(tmp_path / "read.zarr", consolidated=False).load()
    url, staging = str(tmp_path / "out" / "sst.zarr"), tmp_path / "staging"
    assert read.zsync.publish(url, staging=staging).products[0].sent
    for days, classes in ((8, ["update"]), (9, ["append"])):
        computed = field(days).drop_vars("time").compute() * (1 if days == 9 else 2)
        plan = computed.zsync.publish(url, staging=staging, dry_run=True).plan
        assert [str(change.kind) for change in plan.changes] == classes, plan
    names = {path.name for path in (staging / "sst.zarr").iterdir()}
    assert ("zarr.json" in names) == (zarr_format == 3)


def test_an_array_is_published_by_its_name(tmp_path):
    array = field(4).sst
    array.zsync.publish(tmp_path / "out" / "a.zarr", staging=tmp_path / "s")
    array.rename(None).zsync.publish(tmp_path / "out" / "b.zarr", staging=tmp_path / "s")
    assert [list(xr.open_zarr(tmp_path / "out" / name).data_vars) for name in ("a.zarr", "b.zarr")] == [
        ["sst"],
        ["data"],
    ]


def test_what_cannot_be_written_is_told_with_its_cause(tmp_path):
    with pytest.raises(zsync.ConfigError, match=r"cannot be written as Zarr \(Invalid attribute.*object is not JSON"):
        field(4).assign_attrs(a=object()).zsync.publish(tmp_path / "a.zarr", staging=tmp_path / "s")
    with pytest.raises(zsync.ConfigError, match="target must be a URL or a path, not an int"):
        field(4).zsync.publish(5)


def test_a_dataset_that_cannot_be_computed_leaves_what_was_there(url, storage):
    field(8).zsync.publish(url, **storage)

    def fails(block):
        raise ValueError("no such calibration")

    broken = field(8)
    broken["sst"] = broken["sst"].copy(data=broken["sst"].data.map_blocks(fails, dtype="f4", meta=np.array((), "f4")))
    with pytest.raises(ValueError, match="no such calibration"):
        broken.zsync.publish(url, **storage)
    assert field(8).zsync.publish(url, **storage).status == "unchanged"
    assert [path.name for path in staging_of(url).parent.iterdir()] == ["sst.zarr"]


def test_what_is_no_store_is_refused_before_anything_is_written(bucket, storage, tmp_path):
    with pytest.raises(zsync.ConfigError, match="a whole bucket is no store"):
        field(4).zsync.publish(f"s3://{bucket}", **storage)
    (tmp_path / "sst.zarr").mkdir()
    (tmp_path / "sst.zarr" / "notes.txt").write_text("mine")
    with pytest.raises(zsync.ConfigError, match="no Zarr store, and is not replaced"):
        field(4).zsync.publish(f"s3://{bucket}/sst.zarr", staging=tmp_path, **storage)
    assert (tmp_path / "sst.zarr" / "notes.txt").read_text() == "mine"
    with pytest.raises(zsync.ConfigError, match="retier"):
        field(4).zsync.publish(f"s3://{bucket}/sst.zarr", staging=tmp_path / "other", retier="keep", **storage)
    assert not (tmp_path / "other").exists()


def test_a_task_publishes_once_all_is_written(url, storage, tmp_path, s3):
    store = tmp_path / "sst.zarr"
    writing = field(12).to_zarr(store, zarr_format=2, compute=False)
    task = zsync.publish_delayed(store, url, after=writing, **storage)
    with pytest.raises(zsync.ConfigError):
        zsync.open_zarr(url, **storage)
    (done,) = dask.compute(task)
    assert done.status == "published"
    there = xr.open_zarr(url, storage_options=storage_options(s3), consolidated=True).load()
    xr.testing.assert_equal(there, field(12).compute())
    assert str(pickle.loads(pickle.dumps(done))) == str(done)


def test_a_task_takes_no_secret_along(url, storage, tmp_path):
    field(4).to_zarr(tmp_path / "sst.zarr", zarr_format=2)
    with pytest.raises(zsync.ConfigError, match="target"):
        zsync.publish_delayed(tmp_path / "sst.zarr")
    task = zsync.publish_delayed(tmp_path / "sst.zarr", url, **storage)
    with pytest.raises(zsync.CredentialsError, match="would travel with the task"):
        pickle.dumps(task)
    assert storage["secret_access_key"] not in repr(task.dask)
    assert pickle.loads(pickle.dumps(zsync.publish_delayed(tmp_path / "sst.zarr", url))).key
    with ThreadPoolExecutor(1) as pool:  # another thread is no other process
        assert task.compute(pool=pool).status == "published"
