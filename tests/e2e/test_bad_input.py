"""Bad input: one line that says what is wrong, the right exit status, and nothing written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from trees import s3_bytes, weather, write_store


@pytest.fixture
def place(s3, bucket, tmp_path):
    """A directory with one good store, and the target of a publish."""
    write_store(tmp_path / "good.zarr", weather(6, 4), zarr_format=2, chunks={"time": 3, "x": 4})
    return tmp_path


def publish(run_zsync, s3, *args, **environment):
    done = run_zsync("publish", *map(str, args), env={**s3.env(), **environment}, check=None)
    lines = done.stderr.strip().splitlines()
    assert "Traceback" not in done.stderr
    assert len([line for line in lines if line.startswith("zsync: ")]) == 1, done.stderr
    return done.returncode, lines[-1]


def break_json(store):
    (store / "t2m" / ".zarray").write_text('{"zarr_format": 2, ')


def leave_chunk_outside(store):
    shutil.copy(store / "t2m" / "0.0", store / "t2m" / "9.0")


def name_without_utf8(store):
    (store / os.fsdecode(b"caf\xe9")).write_bytes(b"x")


def empty_chunk(store):
    (store / "t2m" / "0.0").write_bytes(b"")


def link_out(store):
    (store / "t2m" / "1.0").unlink()
    (store / "t2m" / "1.0").symlink_to("/etc/hostname")


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (break_json, "is not JSON"),
        (leave_chunk_outside, "outside the grid"),
        (name_without_utf8, "not UTF-8"),
        (empty_chunk, "no bytes"),
        (link_out, "leads out of the source"),
    ],
)
def test_a_source_that_is_unfit(run_zsync, s3, bucket, place, breaks, says):
    breaks(place / "good.zarr")
    status, line = publish(run_zsync, s3, place / "good.zarr", "--target", f"s3://{bucket}/x")
    assert (status, says in line) == (3, True), line
    assert s3_bytes(s3, bucket, "") == {}


def test_a_source_that_is_not_there(run_zsync, s3, bucket, place):
    (place / "c.yaml").write_text(f"source: {place}\ntarget: s3://{bucket}/x\nproducts: {{a: absent.zarr}}\n")
    status, line = publish(run_zsync, s3, place / "c.yaml")
    assert (status, "not there" in line) == (3, True), line
    assert s3_bytes(s3, bucket, "") == {}


def test_a_source_that_is_empty(run_zsync, s3, bucket, place):
    (place / "empty.zarr").mkdir()
    status, line = publish(run_zsync, s3, place / "empty.zarr", "--target", f"s3://{bucket}/x")
    assert (status, "is empty" in line) == (3, True), line
    assert s3_bytes(s3, bucket, "") == {}


def test_a_bucket_that_is_not_there(run_zsync, s3, place):
    status, line = publish(run_zsync, s3, place / "good.zarr", "--target", "s3://no-such-bucket-here/x")
    assert (status, "bucket does not exist" in line) == (1, True), line


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "does not accept these credentials"),
        ({"AWS_ACCESS_KEY_ID": "unknown"}, "does not accept these credentials"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "S3_ENDPOINT_URL": ""}, "cannot connect"),
    ],
)
def test_wrong_credentials_and_no_network(run_zsync, s3, bucket, place, environment, says):
    status, line = publish(run_zsync, s3, place / "good.zarr", "--target", f"s3://{bucket}/x", **environment)
    assert (status, says in line) == (1, True), line
    assert s3_bytes(s3, bucket, "") == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sorce: {place}\ntarget: s3://{bucket}/x\n", "did you mean source"),
        ("source: {place}\n", "target"),
        (
            "source: {place}\ntarget: s3://{bucket}/x\nproducts: {{a: good.zarr, b: {{path: b, to: good.zarr}}}}\n",
            "one target",
        ),
        (
            "source: {place}\ntarget: s3://{bucket}/x\nproducts: {{a: good.zarr, b: {{path: b, to: good.zarr/b}}}}\n",
            "inside",
        ),
        ("source: {place}\ntarget: s3://{bucket}/x\npublish: {{retire: sometimes}}\n", "retire"),
        ("source: [\n", "YAML"),
    ],
)
def test_bad_configurations(run_zsync, s3, bucket, place, text, says):
    (place / "c.yaml").write_text(text.format(place=place, bucket=bucket))
    status, line = publish(run_zsync, s3, place / "c.yaml")
    assert (status, says in line) == (2, True), line
    assert s3_bytes(s3, bucket, "") == {}


def test_a_missing_variable(run_zsync, s3):
    done = run_zsync(env={**s3.env(), "LOCAL_ROOT": "/data", "S3_BUCKET": "bucket"}, check=None)
    assert done.returncode == 2
    assert "PRE_QF_NAME" in done.stderr
    assert "POST_QF_NAME" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_option(run_zsync):
    done = run_zsync("publish", "--wat", check=None)
    assert done.returncode == 2
    assert "--wat" in done.stderr


def test_an_array_is_not_published_in_part(run_zsync, s3, bucket, place):
    status, line = publish(run_zsync, s3, place / "good.zarr", "--target", f"s3://{bucket}/x", "--exclude", "t2m/1.0")
    assert (status, "only a part of an array" in line) == (2, True), line
    assert s3_bytes(s3, bucket, "") == {}


def test_errors_as_json(run_zsync, s3, bucket, place):
    import json

    (place / "empty.zarr").mkdir()
    done = run_zsync(
        "publish", str(place / "empty.zarr"), "--target", f"s3://{bucket}/x", "--json", env=s3.env(), check=None
    )
    document = json.loads(done.stdout)
    assert (document["status"], document["exit_status"], done.returncode) == ("failed", 3, 3)
    assert "is empty" in document["error"]["message"]


def test_v_shows_the_traceback(run_zsync, s3, bucket, place):
    (place / "empty.zarr").mkdir()
    done = run_zsync(
        "publish", str(place / "empty.zarr"), "--target", f"s3://{bucket}/x", "-v", env=s3.env(), check=None
    )
    assert done.returncode == 3
    assert "Traceback" in done.stderr


def test_what_is_to_be_done_at_exit_is_done(tmp_path):
    """The process ends without the interpreter being taken apart; what was registered, and output, are not lost."""
    code = (
        "import atexit, sys; atexit.register(print, 'bye', end='')\n"
        "sys.argv = ['zsync', *sys.argv[1:]]\n"
        "from zsync.cli import main; main()"
    )
    for words, status in ((["--version"], 0), (["publish", str(tmp_path / "nothing")], 2), (["bogus"], 2)):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.endswith("bye")) == (status, True), done
        assert (len(done.stderr) > 0) == (status > 0)
