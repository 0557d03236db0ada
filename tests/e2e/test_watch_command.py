"""`zsync watch` as a command: the documents of the service for many sites (S3) and of the two-way starter (S4), setting
by setting, and what every service must bear: signals, taken ports, logs that programs read.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import prepared
import pytest
from botocore.exceptions import ClientError
from servers import s3_client, tool_env
from target import CHUNKS
from trees import read_tree, s3_bytes, s3_tree, weather, write_store, write_tree

PATIENCE_S = 30


class Command:
    """The command in a process of its own; what it logs goes to a file."""

    def __init__(self, tmp_path, s3, *args, env=None):
        self.log = tmp_path / f"log-{time.monotonic_ns()}"
        with self.log.open("wb") as out:
            self.process = prepared.command(
                "watch", *args, env={**os.environ, **tool_env(s3), **(env or {})}, cwd=tmp_path,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip

    @property
    def said(self):
        return self.log.read_text()

    @property
    def address(self):
        until(lambda: "listening on" in self.said, self)
        return re.search(r"listening on http://([0-9.:]+)", self.said)[1]

    def ask(self, method, path):
        connection = http.client.HTTPConnection(self.address, timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


def until(condition, command=None):
    end = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(OSError, KeyError, ValueError, ClientError):
            if condition():
                return
        assert time.monotonic() < end, command and command.said
        assert command is None or command.process.poll() is None, command.said
        time.sleep(0.05)


@pytest.fixture
def start(tmp_path, s3):
    commands = []

    def start(*args, **more):
        commands.append(Command(tmp_path, s3, *args, **more))
        return commands[-1]

    yield start
    for command in commands:
        command.process.kill()
        command.process.wait()


@pytest.fixture
def once(tmp_path, s3, run_zsync):
    def once(*args, check=0, env=None):
        return run_zsync("watch", *args, "--once", env={**tool_env(s3), **(env or {})}, check=check)

    return once


def put(s3, bucket, **objects):
    with contextlib.closing(s3_client(s3)) as client:
        for key, data in objects.items():
            client.put_object(Bucket=bucket, Key=key.replace("__", "/"), Body=data)


def age(root):
    for path in root.rglob("*"):
        os.utime(path, (time.time() - 1000, time.time() - 1000))


# --- S3: the service for many sites ------------------------------------------------------------------------------

S3 = """\
upload_workers: 10
sites:
- local_path: {root}/path1
  bucket: {bucket}
  bucket_path: one
  bucket_region: us-east-1
  storage_class: STANDARD_IA
  access_key: {access_key}
  secret_access_key: {secret_key}
  exclusions:
    - .[Dd][Ss]_[Ss]tore
    - .[Aa]pple[Dd]ouble
- local_path: {root}/path2
  bucket: {bucket}
  bucket_path: path2
  exclusions:
    - "[Tt]humbs.db"
- local_path: {root}/path3
  bucket: {bucket}
  bucket_path: path3
  retire_deleted: true
"""


@pytest.fixture
def service(tmp_path, s3, bucket):
    """The document's example, with a bucket that is there, and three directories."""
    root = tmp_path / "local"
    for name in ("path1", "path2", "path3"):
        write_tree(root / name, {"a": b"1", "d/b": b"22"})
    path = tmp_path / "config.yml"

    def write(text=S3, **more):
        said = {"root": root, "bucket": bucket, "access_key": s3.access_key, "secret_key": s3.secret_key, **more}
        path.write_text(text.format(**said))
        return path

    write()
    return root, path, write


def there(s3, bucket, name):
    return s3_bytes(s3, bucket, f"{name}/")


def test_s3_the_example_as_it_stands(service, s3, bucket, once):
    root, path, _ = service
    write_tree(root / "path1", {"x.AppleDouble": b"x", "DS_Store.txt": b"x"})
    write_tree(root / "path2", {"Thumbs.db": b"x", "deep/thumbs.db": b"x"})
    once(path)
    assert there(s3, bucket, "one").keys() == {"a", "d/b", "DS_Store.txt"}
    assert there(s3, bucket, "path2").keys() == {"a", "d/b"}
    assert there(s3, bucket, "path3") == read_tree(root / "path3")
    with contextlib.closing(s3_client(s3)) as client:
        found = client.list_objects_v2(Bucket=bucket, Prefix="one/")["Contents"]
    assert {entry["StorageClass"] for entry in found} == {"STANDARD_IA"}


def test_s3_the_comparison_at_the_start_goes_by_content_and_storage_class(service, s3, bucket, once):
    root, path, _ = service
    with contextlib.closing(s3_client(s3)) as client:
        client.put_object(Bucket=bucket, Key="one/a", Body=b"1", StorageClass="STANDARD_IA")
        client.put_object(Bucket=bucket, Key="one/d/b", Body=b"22")  # of the wrong class
        client.put_object(Bucket=bucket, Key="path2/a", Body=b"9")  # of the same size
        before = client.head_object(Bucket=bucket, Key="one/a")["LastModified"]
        time.sleep(1.1)
        once(path)
        assert client.head_object(Bucket=bucket, Key="one/a")["LastModified"] == before, "it was not sent again"
        assert client.head_object(Bucket=bucket, Key="one/d/b")["StorageClass"] == "STANDARD_IA"
    assert there(s3, bucket, "path2") == read_tree(root / "path2")


def test_s3_retire_deleted(service, s3, bucket, once):
    """false, the default: what is gone here stays there; true: it goes, and is in the trash."""
    root, path, _ = service
    put(s3, bucket, path2__foreign=b"x", path3__foreign=b"x")
    once(path)
    for name in ("path2", "path3"):
        (root / name / "d" / "b").unlink()
    once(path)
    assert there(s3, bucket, "path2").keys() == {"a", "d/b", "foreign"}
    assert there(s3, bucket, "path3").keys() == {"a"}
    trash = s3_tree(s3, bucket, ".zsync/path3/trash/")
    assert {key.partition("/")[2] for key in trash} == {"d/b", "foreign"}


def test_s3_changes_go_up_in_real_time(service, s3, bucket, start):
    """watch_interval, for all sites and for one; in milliseconds, or with a unit."""
    root, _, write = service
    path = write(S3.replace("upload_workers: 10", "upload_workers: 10\nwatch_interval: 200").replace(
        "  bucket_path: path2", "  bucket_path: path2\n  watch_interval: 1s"))  # fmt: skip
    command = start(path, "--listen", "127.0.0.1:0")
    until(lambda: there(s3, bucket, "path2") == read_tree(root / "path2"), command)
    write_tree(root / "path2", {"new": b"3", "more/deep": b"4"})
    write_store(root / "path3" / "s.zarr", weather(6, 8), chunks=CHUNKS)
    (root / "path3" / "a").unlink()
    until(lambda: there(s3, bucket, "path2") == read_tree(root / "path2"), command)
    until(lambda: there(s3, bucket, "path3") == read_tree(root / "path3"), command)
    assert command.end() == 0


def test_s3_a_site_s_settings_beat_those_of_all_and_these_beat_the_environment(service, s3, bucket, once):
    root, _, write = service
    text = "access_key: wrong\nsecret_access_key: wrong\n" + S3
    done = once(write(text), check=1)
    assert there(s3, bucket, "one") == read_tree(root / "path1"), "a site's own keys"
    assert there(s3, bucket, "path2") == {}
    assert "does not accept these credentials" in done.stderr
    good = f"access_key: {s3.access_key}\nsecret_access_key: {s3.secret_key}\naws_region: us-east-1\n" + S3
    once(write(good), env={"AWS_ACCESS_KEY_ID": "wrong", "AWS_SECRET_ACCESS_KEY": "wrong"})
    assert there(s3, bucket, "path2") == read_tree(root / "path2")
    assert "wrong" not in done.stderr.replace("wrong" + " ", "")


def test_s3_endpoint_and_inclusions(service, s3, bucket, once):
    root, _, write = service
    text = """\
sites:
- name: only
  local_path: {root}/path1
  bucket: {bucket}
  endpoint: {endpoint}
  bucket_path: /only/
  bucket_region: us-east-1
  inclusions: ["^d/", "\\\\.txt$"]
  exclusions: ["secret"]
  s3_ops_retries: 2
"""
    write_tree(root / "path1", {"x.txt": b"x", "secret.txt": b"x"})
    once(write(text, endpoint=s3.endpoint_url), env={"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert there(s3, bucket, "only").keys() == {"d/b", "x.txt"}


@pytest.mark.parametrize(("level", "says"), [("warn", False), ("info", True), ("debug", True)])
def test_s3_loglevel(service, once, level, says):
    _, _, write = service
    done = once(write(f"loglevel: {level}\n" + S3))
    assert ("published" in done.stderr) is says
    assert ("send path2/a" in done.stderr) is (level == "debug")


def test_s3_settings_that_are_not_needed_are_said_so(service, once):
    _, _, write = service
    done = once(write("upload_queue_buffer: 5\nchecksum_workers: 3\n" + S3))
    assert "note: upload_queue_buffer is not needed" in done.stderr
    assert "note: checksum_workers is not needed" in done.stderr


def test_s3_gotcha_a_site_at_the_root_of_the_bucket_of_others(service, once):
    """It would delete what the others publish: refused, with the reason; harmless if it retires nothing."""
    _, _, write = service
    text = S3.replace("  bucket_path: path3\n", "")
    done = once(write(text), check=2)
    assert "site path3 would retire what site path1 publishes" in done.stderr
    once(write(text.replace("  retire_deleted: true\n", "")))


def test_s3_endpoints(service, s3, bucket, start):
    _, path, _ = service
    command = start(path, "--listen", "127.0.0.1:0")
    until(lambda: len(json.loads(command.ask("GET", "/info")[1])["sites"]) == 3, command)
    until(lambda: command.ask("GET", "/healthz")[0] == 200, command)
    until(lambda: 'zsync_site_objects{site="path3"} 2.0' in command.ask("GET", "/metrics")[1], command)
    assert command.ask("POST", "/reload")[0] == 202
    assert command.ask("GET", "/reload")[0] == 405
    said = "".join(command.ask("GET", path)[1] for path in ("/healthz", "/info", "/metrics"))
    assert s3.secret_key not in said + command.said
    assert command.end() == 0


# --- S4: the two-way starter -------------------------------------------------------------------------------------

S4 = """\
general:
  local_folder: folder
  s3_bucket: {bucket}
  aws_profile: starter
sync:
  interval: 1
  sync_deletions: {deletions}
logging:
  level: INFO
  file: sync.log
"""


@pytest.fixture
def starter(tmp_path, s3, bucket):
    """The document's configuration, and a profile for it."""
    Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).write_text(
        f"[starter]\naws_access_key_id = {s3.access_key}\naws_secret_access_key = {s3.secret_key}\n"
    )
    path = tmp_path / "config.yml"
    path.write_text(S4.format(bucket=bucket, deletions="true"))
    root = write_tree(tmp_path / "folder", {"both": b"ours", "ours": b"1"})
    age(root)
    # Only the profile knows the keys.
    return root, path, {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}


def objects(s3, bucket):
    return {key: data for key, data in s3_bytes(s3, bucket).items() if not key.startswith(".zsync/")}


def test_s4_the_first_sync_from_local_mirrors_the_folder(starter, s3, bucket, once):
    root, path, env = starter
    put(s3, bucket, both=b"theirs", theirs=b"2")
    once(path, "--initial-sync-source", "local", env=env)
    assert objects(s3, bucket) == read_tree(root) == {"both": b"ours", "ours": b"1"}
    kept = [data for key, data in s3_bytes(s3, bucket, ".zsync/@root/trash/").items() if key.endswith("/theirs")]
    assert kept == [b"2"]


@pytest.mark.parametrize("word", ["s3", "s3-to-local"])
def test_s4_the_first_sync_from_s3_brings_what_is_ahead_there(starter, s3, bucket, once, word):
    root, path, env = starter
    put(s3, bucket, both=b"theirs", theirs=b"2")
    once(path, "--initial-sync-source", word, env=env)
    assert objects(s3, bucket) == read_tree(root) == {"both": b"theirs", "theirs": b"2", "ours": b"1"}


@pytest.mark.parametrize(("newer_here", "both"), [(True, b"ours"), (False, b"theirs")])
def test_s4_auto_goes_by_the_last_modification(starter, s3, bucket, once, newer_here, both):
    root, path, env = starter
    put(s3, bucket, both=b"theirs")
    if newer_here:
        time.sleep(2)  # S3 tells whole seconds
        (root / "ours").touch()
    once(path, "--initial-sync-source", "auto", env=env)
    assert objects(s3, bucket)["both"] == (root / "both").read_bytes() == both


def test_s4_afterwards_local_wins_at_each_interval(starter, s3, bucket, start):
    """New and changed files go up, deletions are mirrored, and what was deleted in S3 is put back."""
    root, path, env = starter
    command = start(path, "--initial-sync-source", "local", "--listen", "off", env=env)
    until(lambda: objects(s3, bucket) == read_tree(root), command)
    write_tree(root, {"new": b"3", "ours": b"changed"})
    until(lambda: objects(s3, bucket) == read_tree(root), command)
    (root / "both").unlink()
    until(lambda: objects(s3, bucket) == read_tree(root), command)
    with contextlib.closing(s3_client(s3)) as client:
        client.delete_object(Bucket=bucket, Key="new")
    until(lambda: objects(s3, bucket) == read_tree(root), command)
    assert (root / "new").exists()
    assert command.end(signal.SIGINT) == 0
    assert "published" in (path.parent / "sync.log").read_text(), "the log goes where the document says"


def test_s4_without_sync_deletions_nothing_is_deleted(starter, s3, bucket, once):
    root, path, env = starter
    path.write_text(S4.format(bucket=bucket, deletions="false"))
    once(path, env=env)
    (root / "both").unlink()
    once(path, env=env)
    assert objects(s3, bucket).keys() == {"both", "ours"}


# --- any service -------------------------------------------------------------------------------------------------


@pytest.fixture
def native(tmp_path, bucket):
    root = write_tree(tmp_path / "data", {"a": b"1"})
    path = tmp_path / "native.yaml"
    path.write_text(f"source: {root}\ntarget: s3://{bucket}/data\nwatch: {{settle: 100ms, interval: 100ms}}\n")
    return root, path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_when_it_is_told_to(native, s3, bucket, start, number):
    root, path = native
    command = start(path, "--listen", "off")
    until(lambda: there(s3, bucket, "data") == read_tree(root), command)
    assert command.end(number) == 0
    assert "stopped" in command.said


def test_sighup_reads_the_configuration_again(native, s3, bucket, start):
    root, path = native
    command = start(path, "--listen", "127.0.0.1:0")
    until(lambda: there(s3, bucket, "data") == read_tree(root), command)
    command.process.send_signal(signal.SIGHUP)
    until(lambda: "zsync_reloads_total 1.0" in command.ask("GET", "/metrics")[1], command)
    assert command.end() == 0


def test_a_taken_port_is_bad_configuration(native, start, run_zsync, s3):
    _, path = native
    command = start(path, "--listen", "127.0.0.1:0")
    done = run_zsync("watch", path, "--listen", command.address, env=tool_env(s3), check=2)
    assert "cannot listen there" in done.stderr
    assert command.process.poll() is None


@pytest.mark.parametrize("address", ["8090", "nowhere:x", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_bad_configuration(native, run_zsync, s3, address):
    run_zsync("watch", native[1], "--listen", address, env=tool_env(s3), check=2)


def test_logs_can_be_read_by_programs(native, once):
    done = once(native[1], "--log-format", "json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    said = next(line for line in lines if line["message"].startswith("published"))
    assert said | {"level": "info", "site": "data"} == said
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said["time"])
    assert said["publication"] in said["message"]


def test_the_log_can_be_quiet(native, once):
    assert once(native[1], "-q").stderr == ""


def test_one_pass_tells_how_it_went_by_its_status(native, once, bucket):
    root, path = native
    once(path)
    root.rename(root.with_name("away"))
    assert "the source is not there" in once(path, check=3).stderr
    root.with_name("away").rename(root)
    path.write_text(path.read_text().replace(bucket, "there-is-no-such-bucket"))
    assert "the bucket does not exist" in once(path, check=1).stderr
    path.write_text("sourc: x\n")
    once(path, check=2)


def test_a_directory_and_a_target_are_enough(tmp_path, s3, bucket, once):
    root = write_tree(tmp_path / "plain", {"a": b"1"})
    once(root, "--target", f"s3://{bucket}/plain")
    assert there(s3, bucket, "plain") == {"a": b"1"}


def test_after_a_kill_one_pass_finishes(native, s3, bucket, start, once):
    root, path = native
    write_tree(root, {f"f{number}": bytes(1000) for number in range(300)})
    command = start(path, "--listen", "off")
    until(lambda: len(s3_tree(s3, bucket, "data/")) > 20, command)
    command.process.kill()
    command.process.wait()
    once(path)
    assert there(s3, bucket, "data") == read_tree(root)
