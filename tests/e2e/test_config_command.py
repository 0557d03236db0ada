"""`zsync config init | show | check`, and the environment of the utility that zsync replaces."""

from __future__ import annotations

import json

import pytest
from trees import read_tree, s3_bytes, weather, write_cog, write_store


@pytest.fixture
def run_directory(tmp_path):
    import numpy as np

    root = tmp_path / "out"
    write_store(root / "pre.zarr", weather(6, 4), zarr_format=2, chunks={"time": 3, "x": 4})
    write_store(root / "post.zarr", weather(6, 4, k=2), zarr_format=2, chunks={"time": 3, "x": 4})
    write_cog(root / "cog" / "a.tif", np.ones((64, 64), "f4"))
    return root


def test_init_writes_what_show_understands(run_zsync, tmp_path):
    path = tmp_path / "zsync.yaml"
    assert run_zsync("config", "init", str(path)).returncode == 0
    again = run_zsync("config", "init", str(path), check=None)
    assert (again.returncode, "there already" in again.stderr) == (2, True)
    shown = run_zsync("config", "show", str(path))
    assert "target:" in shown.stdout


def test_show_masks_secrets(run_zsync, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "source: /data\ntarget: s3://bucket/x\n"
        "storage: {access_key_id: AKIASECRETNAME, secret_access_key: verysecret}\n"
    )
    shown = run_zsync("config", "show", str(path), "-v")
    assert "verysecret" not in shown.stdout + shown.stderr
    assert "****" in shown.stdout


def test_check_tries_all_that_a_publish_needs(run_zsync, s3, bucket, run_directory):
    done = run_zsync(
        "config", "check", str(run_directory / "pre.zarr"), "--target", f"s3://{bucket}/x", "--json", env=s3.env()
    )
    checks = json.loads(done.stdout)
    assert {check["check"] for check in checks} == {
        "source", "bucket and listing", "reading", "writing", "conditional writing", "deleting",
    }  # fmt: skip
    assert all(check["ok"] for check in checks)
    assert s3_bytes(s3, bucket, "") == {}


@pytest.mark.parametrize(
    ("target", "environment", "says"),
    [
        ("s3://no-such-bucket-here/x", {}, "bucket does not exist"),
        ("s3://{bucket}/x", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "does not accept these credentials"),
    ],
)
def test_check_tells_what_is_wrong(run_zsync, s3, bucket, run_directory, target, environment, says):
    source, target = str(run_directory / "pre.zarr"), target.format(bucket=bucket)
    done = run_zsync("config", "check", source, "--target", target, env={**s3.env(), **environment}, check=None)
    assert (done.returncode, says in done.stdout) == (1, True), done.stdout


def test_check_tells_a_403_from_a_404(run_zsync, s3, bucket, run_directory, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(f"source: {run_directory}/pre.zarr\ntarget: s3://{bucket}/x\nstorage: {{anonymous: true}}\n")
    done = run_zsync("config", "check", str(config), env=s3.env(), check=None)
    assert (done.returncode, "permission denied" in done.stdout) == (1, True), done.stdout


def environment(s3, bucket, root):
    return {
        **s3.env(),
        "LOCAL_ROOT": str(root),
        "PRE_QF_NAME": "pre.zarr",
        "POST_QF_NAME": "post.zarr",
        "S3_BUCKET": bucket,
        "S3_ROOT_PREFIX": "products/oco3",
        "COG_DIR": str(root / "cog"),
        "COG_DIR_S3": "cogs",
    }


def test_the_environment_alone_does_the_whole_job(run_zsync, s3, bucket, run_directory):
    variables = environment(s3, bucket, run_directory)
    dry = run_zsync(env={**variables, "DRYRUN": ""})
    assert "to send" in dry.stdout
    assert s3_bytes(s3, bucket, "") == {}
    done = run_zsync(env=variables)
    assert "published" in done.stdout
    published = s3_bytes(s3, bucket, "products/oco3/")
    local = read_tree(run_directory)
    assert {key for key in published if not key.startswith(".zsync/")} == {
        key.replace("cog/", "cogs/") if key.startswith("cog/") else key for key in local
    }


def test_the_pipelines_run_config(run_zsync, s3, bucket, run_directory, tmp_path):
    path = tmp_path / "rc.yaml"
    path.write_text(
        f"output:\n  local: file://{run_directory}/\n  global: true\n"
        "  naming: {pre_qf: pre.zarr, post_qf: post.zarr}\n"
        f"  cog: {{output: {{local: file://{run_directory}/cog/}}, options: {{BLOCKSIZE: 128}}}}\n"
        "input: {files: []}\nchunking: {time: 14}\n"
    )
    variables = {
        **s3.env(),
        "S3_BUCKET": bucket,
        "S3_ROOT_PREFIX": "a",
        "COG_DIR_S3": "cogs",
        "RC_FILE_OVERRIDE": str(path),
    }
    assert "published" in run_zsync(env=variables).stdout
    assert {key.split("/")[0] for key in s3_bytes(s3, bucket, "a/")} == {"pre.zarr", "post.zarr", "cogs", ".zsync"}
    alone = run_zsync("publish", str(path), "--target", f"s3://{bucket}/b", env=s3.env())
    assert "published" in alone.stdout
    assert {key.split("/")[0] for key in s3_bytes(s3, bucket, "b/")} == {"pre.zarr", "post.zarr", "cog", ".zsync"}


def test_output_on_s3_leaves_nothing_to_do(run_zsync, tmp_path):
    path = tmp_path / "rc.yaml"
    path.write_text(
        "output:\n  s3: {url: s3://there/x, region: us-west-2,"
        " auth: {accessKeyID: AKIAX, secretAccessKey: verysecret}}\n"
        "  naming: {pre_qf: pre.zarr, post_qf: post.zarr}\n"
    )
    done = run_zsync("publish", str(path), "--target", "s3://bucket/x")
    assert done.returncode == 0
    assert "S3" in done.stdout
    assert "verysecret" not in done.stdout + done.stderr


def test_publish_json(run_zsync, s3, bucket, run_directory):
    args = ("publish", str(run_directory / "pre.zarr"), "--target", f"s3://{bucket}/x", "--json")
    document = json.loads(run_zsync(*args, env=s3.env()).stdout)
    assert document["status"] == "published"
    assert document["publication"]
    assert document["products"][0].keys() >= {"name", "sent", "unchanged", "retired", "bytes"}
    assert isinstance(document["seconds"], float)
    assert json.loads(run_zsync(*args, env=s3.env()).stdout)["status"] == "unchanged"
    planned = json.loads(run_zsync(*args, "--dry-run", env=s3.env()).stdout)
    assert planned["status"] == "planned"
    assert planned["plan"]["cost"]["puts"] == 0


def test_plan_out_and_report(run_zsync, s3, bucket, run_directory, tmp_path):
    import pyarrow.parquet as pq

    done = run_zsync(
        "plan", str(run_directory / "pre.zarr"), "--target", f"s3://{bucket}/x",
        "--plan-out", str(tmp_path / "plan.parquet"),
        "--report", str(tmp_path / "plan.html"), env=s3.env(),
    )  # fmt: skip
    assert "at S3's list price" in done.stdout
    assert set(pq.read_table(tmp_path / "plan.parquet")["action"].to_pylist()) == {"send"}
    assert "<table" in (tmp_path / "plan.html").read_text()
