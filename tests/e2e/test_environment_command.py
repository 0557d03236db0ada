"""S0, the sync utility of the Zarr and COG pipeline: the variables of its document, one by one."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from servers import s3_client
from test_publish import storage_options
from trees import append, read_tree, s3_bytes, weather, write_cog, write_store


@pytest.fixture
def run(s3, bucket, tmp_path):
    """What a run leaves behind, and the variables that say where it goes."""
    root = tmp_path / "oco3"
    for mission in ("oco2", "oco3"):
        write_store(root / "pre.zarr" / mission / "lauder.zarr", weather(2, 4), chunks={"time": 1, "x": 4})
    write_store(root / "post.zarr", weather(2, 4), chunks={"time": 1, "x": 4})
    write_cog(root / "cog" / "oco3_lauder_20200101_filtered_xco2.tif", np.ones((4, 4), "f4"))
    return {
        **s3.env(),
        "LOCAL_ROOT": str(root), "PRE_QF_NAME": "pre.zarr", "POST_QF_NAME": "post.zarr",
        "S3_BUCKET": bucket, "S3_ROOT_PREFIX": "products/oco3",
    }  # fmt: skip


def keys(s3, bucket):
    """Return what is published, without zsync's own state."""
    return {key for key in s3_bytes(s3, bucket) if ".zsync/" not in key}


def local(run, *names):
    found = read_tree(Path(run["LOCAL_ROOT"]))
    return {key for key in found if key.split("/")[0] in names}


def test_s0_the_module_is_the_utility(run, s3, bucket, clean_environment):
    environ = {"PATH": "", "XDG_CACHE_HOME": str(clean_environment / "cache"), **run}
    done = subprocess.run([sys.executable, "-m", "zsync"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert keys(s3, bucket) == {f"products/oco3/{key}" for key in local(run, "pre.zarr", "post.zarr")}


def test_s0_what_readers_find_is_what_the_run_left(run, run_zsync, s3, bucket):
    run_zsync(env=run)
    url, options = f"s3://{bucket}/products/oco3/pre.zarr/oco2/lauder.zarr", storage_options(s3)
    there = xr.open_zarr(url, storage_options=options, consolidated=True).load()
    here = xr.open_zarr(f"{run['LOCAL_ROOT']}/pre.zarr/oco2/lauder.zarr").load()
    xr.testing.assert_identical(there.drop_encoding(), here.drop_encoding())


def test_s0_a_run_that_appended_sends_what_is_new(run, run_zsync, s3, bucket):
    run_zsync(env=run)
    append(Path(run["LOCAL_ROOT"], "post.zarr"), weather(3, 4).isel(time=slice(2, 3)))
    done = run_zsync(env=run)
    assert "published" in done.stdout
    # The chunk, the coordinate's, the metadata of both and of the store; nothing of pre_qf.
    (sent,) = {int(found) for found in re.findall(r"pre_qf\D+(\d+)", done.stdout)[:1]}
    assert sent == 0, done.stdout
    assert keys(s3, bucket) == {f"products/oco3/{key}" for key in local(run, "pre.zarr", "post.zarr")}


def test_s0_cog_dir_goes_to_cog_dir_s3(run, run_zsync, s3, bucket):
    run_zsync(env={**run, "COG_DIR": f"{run['LOCAL_ROOT']}/cog", "COG_DIR_S3": "maps"})
    found = keys(s3, bucket)
    assert "products/oco3/maps/oco3_lauder_20200101_filtered_xco2.tif" in found
    with contextlib.closing(s3_client(s3)) as client:
        head = client.head_object(Bucket=bucket, Key="products/oco3/maps/oco3_lauder_20200101_filtered_xco2.tif")
    assert head["ContentType"] == "image/tiff; application=geotiff; profile=cloud-optimized"


def test_s0_cog_dir_without_cog_dir_s3_is_refused(run, run_zsync, s3, bucket):
    done = run_zsync(env={**run, "COG_DIR": f"{run['LOCAL_ROOT']}/cog"}, check=None)
    assert (done.returncode, "COG_DIR_S3" in done.stderr) == (2, True), done.stderr
    assert keys(s3, bucket) == set()


@pytest.mark.parametrize("value", ["1", "", "false"])
def test_s0_dryrun_set_at_all_writes_nothing(run, run_zsync, s3, bucket, value):
    done = run_zsync(env={**run, "DRYRUN": value})
    assert "to send" in done.stdout
    assert s3_bytes(s3, bucket) == {}


def test_s0_verbose_is_the_debug_log(run, run_zsync):
    done = run_zsync(env={**run, "VERBOSE": "1"})
    told = [line for line in done.stderr.splitlines() if " DEBUG root: send" in line]
    assert any("post_qf/.zmetadata, new" in line for line in told), done.stderr
    assert len([line for line in done.stderr.splitlines() if ": send " in line]) == 39


def test_s0_verbose_names_every_object_of_a_dry_run_as_the_log_of_the_real_one_does(run, run_zsync):
    planned = run_zsync(env={**run, "VERBOSE": "1", "DRYRUN": "1"}).stdout.splitlines()
    named = [line for line in planned if line.endswith(" bytes)")]
    assert re.fullmatch(r"root: send \w+/\.zmetadata, new \(\d+ bytes\)", named[-1])
    logged = run_zsync(env={**run, "VERBOSE": "1"}).stderr
    assert sorted(re.findall(r"DEBUG (\w+: send .* bytes\))", logged)) == sorted(named)
    assert not [line for line in run_zsync(env={**run, "DRYRUN": "1"}).stdout.splitlines() if line.endswith(" bytes)")]


def test_s0_rc_file_override(run, run_zsync, s3, bucket, tmp_path):
    config = tmp_path / "rc.yaml"
    config.write_text(
        f"output:\n  local: file://{run['LOCAL_ROOT']}/\n  global: false\n"
        "  naming: {pre_qf: pre.zarr, post_qf: post.zarr}\n"
        f"  cog: {{output: {{local: file://{run['LOCAL_ROOT']}/cog/}}}}\n"
        "input: {files: []}\n"
    )
    overridden = {"LOCAL_ROOT": "/nowhere", "PRE_QF_NAME": "x", "POST_QF_NAME": "y", "COG_DIR": "/nowhere/cog"}
    run_zsync(env={**run, **overridden, "COG_DIR_S3": "cog", "RC_FILE_OVERRIDE": str(config)})
    assert keys(s3, bucket) == {f"products/oco3/{key}" for key in local(run, "pre.zarr", "post.zarr", "cog")}


@pytest.mark.parametrize("name", ["LOCAL_ROOT", "PRE_QF_NAME", "POST_QF_NAME", "S3_BUCKET", "S3_ROOT_PREFIX"])
def test_s0_each_variable_that_is_needed_is_named(run, run_zsync, name):
    variables = {key: value for key, value in run.items() if key != name}
    done = run_zsync("publish", env=variables, check=None)
    assert (done.returncode, name in done.stderr) == (2, True), done.stderr


def test_s0_after_a_failed_sync_the_state_of_the_target_is_told(run, run_zsync, s3, bucket):
    done = run_zsync(env={**run, "AWS_SECRET_ACCESS_KEY": "wrong"}, check=None)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) <= 3
    assert "wrong" not in done.stderr
    assert keys(s3, bucket) == set()
