"""`zsync lease` and `zsync trash` as a user meets them; and sources that move."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import threading
import time

import pytest
from servers import s3_client, tool_env
from target import At, same
from trees import read_tree, s3_bytes, s3_tree, weather, write_store

import zsync
from zsync.errors import ConfigError, ConflictError, SourceChangedError, SourceError
from zsync.verbs.lease import leases
from zsync.verbs.trash import empty_trash, list_trash, restore_trash

PUBLISH = {"rewrites": "inplace"}  # flips have tests of their own: test_flip


def shrink(site, data):
    shutil.rmtree(site.root / "a.zarr")
    write_store(site.root / "a.zarr", data, chunks={"time": 5, "x": 4})


def storage(site):
    return {"storage": site.config()["storage"]}


# --- lease ------------------------------------------------------------------------------------------------------------


def test_lease_show_says_who_publishes(site, run_zsync):
    site.store("a.zarr", weather(6, 8))
    url, env = f"s3://{site.bucket}/run/a.zarr", tool_env(site.s3)
    shown = []

    def look():
        shown.append(json.loads(run_zsync("lease", "show", url, "--json", env=env).stdout))
        shown.append(run_zsync("lease", "show", f"s3://{site.bucket}/run", env=env).stdout)

    zsync.publish(site.config(), progress=At("array", look))
    [[held], text] = shown
    assert held["held"]
    assert held["by"]["pid"] == str(os.getpid())
    assert held["url"] == url
    assert "held by" in text
    assert f"process {os.getpid()}" in text
    assert run_zsync("lease", "show", url, env=env).stdout == f"{url}: free\n"


def test_lease_break_stops_the_publisher_before_its_next_stage(site, tmp_path, run_zsync):
    site.store("a.zarr", weather(6, 8))
    config = tmp_path / "config.json"
    config.write_text(json.dumps(site.config()))
    told = []

    def usurp():
        told.append(run_zsync("lease", "break", config).stdout)
        told.append(run_zsync("publish", config, "--json").stdout)

    with pytest.raises(ConflictError, match="broke it"):
        zsync.publish(site.config(), progress=At("data", usurp))
    assert "broken; it was held by" in told[0]
    assert json.loads(told[1])["status"] == "published"
    assert len(site.puts()) == len(read_tree(site.root))  # the other's: ours stopped before it sent anything
    assert same(site.read("a.zarr"), weather(6, 8))
    [free] = leases(site.config())
    assert not free.is_held
    [again] = leases(site.config(), breaks=True)
    assert not again.was_broken


def test_lease_of_what_was_never_published(site, run_zsync):
    url = f"s3://{site.bucket}/nowhere"
    done = run_zsync("lease", "show", url, env=tool_env(site.s3), check=2)
    assert "nothing was ever published there" in done.stderr
    assert url in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("seconds_ago", "is_taken"), [(-30, False), (5, False), (11, True)])
def test_p7_a_lease_runs_out_and_is_taken_over_though_clocks_may_differ(site, caplog, seconds_ago, is_taken):
    caplog.set_level("INFO", "zsync")
    site.store("a.zarr", weather(6, 8))
    moment = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds_ago)
    lease = {
        "format": 1, "publication": "x", "since": "2026-01-01T00:00:00+00:00", "expires": moment.isoformat(),
        "by": {"user": "ada", "host": "elsewhere", "pid": "7", "machine": "another", "started": "1"},
        "write_id": "x",
    }  # fmt: skip
    with contextlib.closing(s3_client(site.s3)) as client:
        client.put_object(Bucket=site.bucket, Key="run/.zsync/a.zarr/lease.json", Body=json.dumps(lease).encode())
    if is_taken:
        assert site.publish().status == "published"
        assert "taking over the lease that was left behind by ada@elsewhere" in caplog.text
    else:
        with pytest.raises(ConflictError, match="ada@elsewhere"):
            site.publish()


def test_p7_a_service_without_conditions_is_told_apart(site, rclone_s3, tmp_path, caplog):
    """rclone's server ignores conditions on writes: a publish says so, and works."""
    rclone_s3.create_bucket("conditions")
    write_store(tmp_path / "a.zarr", weather(6, 8))
    config = {
        "source": str(tmp_path / "a.zarr"),
        "target": "s3://conditions/a.zarr",
        "storage": {
            "endpoint_url": rclone_s3.endpoint_url,
            "region": rclone_s3.region,
            "access_key_id": rclone_s3.access_key,
            "secret_access_key": rclone_s3.secret_key,
        },
    }
    result = zsync.publish(config, progress=False)
    assert [finding.code for finding in result.findings] == ["conditions-ignored"]
    assert "If-Match" in result.findings[0].message
    site.store("a.zarr", weather(6, 8))
    assert not site.publish().findings


@pytest.mark.parametrize("url", ["memory://leases/a.zarr", "file"])
def test_p7_best_effort_where_there_are_no_conditional_writes(tmp_path, url):
    write_store(tmp_path / "src" / "a.zarr", weather(6, 8), chunks={"time": 5, "x": 4})
    target = f"file://{tmp_path}/target/a.zarr" if url == "file" else url
    config = {"source": str(tmp_path / "src" / "a.zarr"), "target": target}
    told = []

    def meanwhile():
        with pytest.raises(ConflictError) as raised:
            zsync.publish(config, progress=False)
        told.append(str(raised.value))

    result = zsync.publish(config, progress=At("data", meanwhile))
    assert result.status == "published"
    assert "is publishing this product" in told[0]
    assert [finding.code for finding in result.findings] == ["no-conditional-writes"]

    write_store(tmp_path / "src" / "a.zarr", weather(7, 8), chunks={"time": 5, "x": 4})
    with pytest.raises(ConflictError, match="lease was lost"):
        zsync.publish(config, progress=At("data", lambda: leases(config, breaks=True)))


# --- trash ------------------------------------------------------------------------------------------------------------


def test_trash_list_restore_and_empty(site, tmp_path, run_zsync):
    site.store("a.zarr", weather(15, 8), groups={"Auxiliary": weather(15, 8)})
    site.publish()
    before = s3_bytes(site.s3, site.bucket, "run/a.zarr/")
    shrink(site, weather(10, 8))
    publication = site.publish(max_delete="100%").publication
    gone = before.keys() - s3_tree(site.s3, site.bucket, "run/a.zarr/").keys()
    assert gone
    url, env = f"s3://{site.bucket}/run/a.zarr", tool_env(site.s3)

    [item] = json.loads(run_zsync("trash", "list", url, "--json", env=env).stdout)
    assert (item["publication"], set(item["keys"]), item["url"]) == (publication, gone, url)
    assert "t2m/2.0" in run_zsync("trash", "list", f"s3://{site.bucket}/run", "--keys", env=env).stdout

    writes = len(site.writes())
    [restored] = restore_trash(site.config(), include=["Auxiliary/**", "t2m/*"])
    order = [key.removeprefix("a.zarr/") for method, key in site.writes()[writes:] if "/.zsync/" not in f"/{key}"]
    assert restored.restored == len(gone)
    metadata = [key for key in order if key.rpartition("/")[2].startswith(".z")]
    assert order[-len(metadata) :] == metadata
    assert metadata[-1] in ("Auxiliary/.zgroup", "Auxiliary/.zattrs")
    there = s3_bytes(site.s3, site.bucket, "run/a.zarr/")
    assert {key: there[key] for key in gone} == {key: before[key] for key in gone}
    assert "0 of" in run_zsync("trash", "restore", url, env=env).stdout  # nothing that is there is overwritten

    back = tmp_path / "back"
    run_zsync("trash", "restore", url, "--to", back, env=env)
    assert read_tree(back) == {key: before[key] for key in gone}

    assert "--yes" in run_zsync("trash", "empty", url, env=env, check=2).stderr
    assert "nothing to be deleted" in run_zsync("trash", "empty", url, "--yes", "--older-than", "1d", env=env).stdout
    assert list_trash(site.config())
    run_zsync("trash", "empty", url, "--yes", env=env)
    assert list_trash(site.config()) == []
    assert s3_tree(site.s3, site.bucket, "run/a.zarr/").keys() == there.keys()


def test_the_newest_of_several_versions_is_restored(site):
    for k in (1, 2):
        site.store("a.zarr", weather(15, 8, k=k))
        site.publish()
        newest = s3_bytes(site.s3, site.bucket, "run/a.zarr/")["t2m/2.0"]
        shrink(site, weather(10, 8, k=k))
        site.publish()
    assert [len(item.keys) for item in list_trash(site.config())] == [2, 2]
    assert [item.restored for item in restore_trash(site.config())] == [2, 0]
    assert s3_bytes(site.s3, site.bucket, "run/a.zarr/")["t2m/2.0"] == newest


def test_the_trash_is_not_touched_while_somebody_publishes(site):
    site.store("a.zarr", weather(15, 8))
    site.publish()
    shrink(site, weather(10, 8))
    site.publish()
    shrink(site, weather(11, 8))

    def meddle():
        for action in (restore_trash, empty_trash):
            with pytest.raises(ConflictError):
                action(site.config())

    zsync.publish(site.config(), progress=At("data", meddle))
    assert len(list_trash(site.config())) == 1


def test_a_key_in_the_trash_never_leads_out_of_the_directory(site, tmp_path):
    site.store("a.zarr", weather(15, 8))
    site.publish()
    shrink(site, weather(10, 8))
    publication = site.publish().publication
    with contextlib.closing(s3_client(site.s3)) as client:
        client.put_object(Bucket=site.bucket, Key=f"run/.zsync/a.zarr/trash/{publication}/x/..%2f..%2fevil", Body=b"x")
    directory = tmp_path / "deep" / "down"
    (tmp_path / "deep").mkdir()
    (directory).mkdir()
    (directory / "t2m").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="leads out of the directory"):
        restore_trash(site.config(), to=directory, include=["t2m/*"])
    assert not (tmp_path / "2.0").exists()


# --- sources that move ------------------------------------------------------------------------------------------------


def test_settle_waits_until_the_writer_is_done(site):
    site.store("a.zarr", weather(5, 8))
    done = threading.Event()

    def write():
        for n_time in range(6, 10):
            time.sleep(0.25)
            site.store("a.zarr", weather(n_time, 8))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    result = site.publish(settle=4)  # on a busy machine a writer that is at work may rest for seconds
    assert done.is_set()
    writer.join()
    assert result.status == "published"
    assert same(site.read("a.zarr"), weather(9, 8))


def test_settle_does_not_wait_for_what_is_old(site, caplog):
    site.store("a.zarr", weather(5, 8))
    for path in site.root.rglob("*"):
        os.utime(path, (1, 1))
    time.sleep(1.1)  # ctime cannot be set
    with caplog.at_level("INFO", "zsync"):
        assert site.publish(settle=1).status == "published"
        assert "to settle" not in caplog.text
        site.store("a.zarr", weather(6, 8))
        site.publish(settle=1)
        assert "to settle" in caplog.text


def test_an_unfinished_file_means_a_writer_at_work(site):
    site.store("a.zarr", weather(5, 8))
    partial = site.root / "a.zarr/t2m/0.0.abc.partial"
    done = threading.Event()

    def write():
        for _ in range(8):
            partial.write_bytes(b"x")
            time.sleep(0.2)
        partial.unlink()
        done.set()

    writer = threading.Thread(target=write)
    time.sleep(1.0)
    writer.start()
    time.sleep(0.05)
    site.publish(settle=1)
    assert done.is_set()
    writer.join()


def test_files_from_the_future_are_pointed_out_and_settle_all_the_same(site):
    site.store("a.zarr", weather(5, 8))
    chunk = site.root / "a.zarr/t2m/0.0"
    os.utime(chunk, (time.time() + 1000, time.time() + 1000))
    result = site.publish(settle=1)
    assert [finding.code for finding in result.findings] == ["future-mtime"]


def test_a_writer_that_never_rests_is_not_waited_for_for_ever(site, monkeypatch):
    monkeypatch.setattr("zsync.steps.settle._PATIENCE", 2)
    site.store("a.zarr", weather(5, 8))
    stop = threading.Event()

    def write():
        while not stop.wait(0.1):
            (site.root / "a.zarr/t2m/0.0").touch()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with pytest.raises(SourceError, match="does not come to rest"):
            site.publish(settle=1)
    finally:
        stop.set()
        writer.join()
    assert s3_tree(site.s3, site.bucket, "run/") == {}


@pytest.mark.parametrize("meddling", ["a chunk more", "metadata", "a chunk less"])
def test_p6_a_source_that_moves_while_data_goes_up_fails_before_any_metadata(site, meddling):
    """As a writer that appends: it makes the array longer first, and writes the chunks after that."""
    site.store("a.zarr", weather(12, 8))
    array = site.root / "a.zarr/t2m"

    def meddle():
        if meddling == "a chunk more":
            (array / "2.2").write_bytes(b"x")
        elif meddling == "metadata":
            document = json.loads((array / ".zarray").read_text())
            (array / ".zarray").write_text(json.dumps({**document, "shape": [20, 8]}))
        else:
            (site.root / "a.zarr/x/0").unlink()

    sent = []

    class Late(At):
        def advance(self, objects, size):
            sent.append(objects)
            if sum(sent) == 9:  # all data has gone up: no read of a file will notice
                self.action()

    with pytest.raises(SourceChangedError):
        zsync.publish(site.config(), progress=Late("never", meddle), workers=1)
    assert not any(key.endswith((".zarray", ".zgroup", ".zmetadata", ".zattrs")) for key in site.puts())


def test_p6_what_is_excluded_may_change(site):
    site.store("a.zarr", weather(12, 8))
    log = site.root / "a.zarr" / "writer.log"
    log.write_text("a")
    zsync.publish(site.config(), progress=At("data", lambda: log.write_text("ab")), exclude=["*.log"])
    assert same(site.read("a.zarr"), weather(12, 8))


def test_p7_who_trusts_the_manifest_looks_again_after_a_run_that_ended_early(site):
    """What another tool, or a run that was cut off, left in the target is in no manifest: the next run lists."""
    site.store("a.zarr", weather(6, 8))
    site.publish()
    site.store("a.zarr", weather(6, 8, k=2))
    with contextlib.closing(s3_client(site.s3)) as client:
        client.put_object(Bucket=site.bucket, Key="run/a.zarr/t2m/0.0", Body=b"another tool's")
    with pytest.raises(ConflictError, match="somebody else wrote this object"):
        site.publish(trust="manifest")
    assert site.publish(trust="manifest").status == "published"
    assert same(site.read("a.zarr"), weather(6, 8, k=2))
    requests = len(site.proxy.requests)
    assert site.publish(trust="manifest").status == "unchanged"
    assert not any("list-type" in e.query for e in site.proxy.requests[requests:])
