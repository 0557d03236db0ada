"""Watch: what changes is published, as it happens, and nothing that readers see is ever broken by it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import sys
import threading
import time

import numpy as np
import pyarrow as pa
import pytest
import yaml
from botocore.exceptions import ClientError
from proxy import Fault, on
from servers import s3_client
from target import CHUNKS, absent, same
from trees import append, read_tree, s3_bytes, s3_tree, weather, write_cog, write_store, write_tree

import zsync
from zsync.errors import ConfigError
from zsync.inventory import DigestCache, scan
from zsync.pulling.listed import pull_listed
from zsync.site.passes import SitePasses
from zsync.storage.details import keeps_classes
from zsync.tables import column

PATIENCE_S = 30
OLD = time.time() - 1000


def age(root):
    """Make everything below a directory look as if it had been there for long: nothing has to settle."""
    for path in root.rglob("*"):
        os.utime(path, (OLD, OLD))


class Watched:
    """Sites below one directory, a configuration, and the service in a thread."""

    def __init__(self, site, tmp_path):
        self.site, self.tmp_path = site, tmp_path
        self.path = tmp_path / "watch.yaml"
        self.sites = {}
        self.settings = {"listen": "off", "interval": "50ms", "settle": "200ms", "backoff": "200ms", "events": "poll"}
        self.more = {}
        self.stop = threading.Event()
        self.thread = None
        self.result = None

    def add(self, name, tree=None, **more):
        root = self.tmp_path / name
        root.mkdir(exist_ok=True)
        write_tree(root, tree or {})
        self.sites[name] = {"source": str(root), "target": f"s3://{self.site.bucket}/{name}", **more}
        return root

    def document(self):
        storage = self.site.config()["storage"]
        return {"sites": self.sites, "watch": self.settings, "storage": storage, **self.more}

    def write(self):
        self.path.write_text(yaml.safe_dump(self.document()))

    def once(self, **more):
        return zsync.watch(self.document(), once=True, **more)

    def start(self, **more):
        self.write()

        def run():
            self.result = zsync.watch(self.path, stop=self.stop, **more)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def end(self):
        self.stop.set()
        if self.thread is not None:
            self.thread.join(PATIENCE_S)
            assert not self.thread.is_alive()

    def there(self, name):
        return s3_bytes(self.site.s3, self.site.bucket, f"{name}/")

    def everything(self):
        return s3_tree(self.site.s3, self.site.bucket)

    def read(self, name, store):
        self.site.prefix = name
        return self.site.read(store)

    def writes(self):
        """The keys that were written, without state."""
        return [key for method, key in self.all_writes() if key and "/.zsync/" not in f"/{key}"]

    def all_writes(self):
        return [(e.method, e.key) for e in self.site.proxy.completed if e.is_write and e.status in (200, 204)]


@pytest.fixture
def watched(site, tmp_path):
    watched = Watched(site, tmp_path)
    yield watched
    watched.end()


def until(condition, what=""):
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(OSError, KeyError, ValueError, ClientError):
            if condition():
                return
        assert time.monotonic() < end, what or "it did not happen"
        time.sleep(0.05)


# --- one pass ----------------------------------------------------------------------------------------------------


def test_one_pass_publishes_every_site_and_the_next_has_nothing_to_do(watched):
    one = watched.add("one", {"a": b"1", "d/b": b"2"})
    two = watched.add("two", {"c": b"3"})
    write_store(two / "s.zarr", weather(6, 8), chunks=CHUNKS)
    result = watched.once()
    assert result.exit_status == 0
    assert {name: status.objects for name, status in result.sites.items()} == {"one": 2, "two": len(read_tree(two))}
    assert watched.there("one") == read_tree(one)
    assert watched.there("two") == read_tree(two)
    assert same(watched.read("two", "s.zarr"), weather(6, 8))
    count = len(watched.all_writes())
    assert watched.once().exit_status == 0
    assert len(watched.all_writes()) == count


def test_what_is_still_being_written_is_left_for_the_next_pass(watched):
    watched.settings["settle"] = "1h"
    root = watched.add("one", {"old": b"1"})
    age(root)
    watched.sites["one"]["watch"] = {"settle": "500ms"}
    (root / "old").touch()
    ends = threading.Event()

    def write():
        while not ends.wait(0.05):
            (root / "busy").write_bytes(os.urandom(9))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        result = watched.once()
    finally:
        ends.set()
        writer.join()
    assert result.exit_status == 0
    assert watched.there("one") == {"old": b"1"}
    assert watched.once().exit_status == 0
    assert watched.there("one").keys() == {"old", "busy"}


def test_a_store_is_published_as_a_store_in_stages(watched):
    root = watched.add("one", {"readme": b"x"})
    write_store(root / "s.zarr", weather(6, 8), chunks=CHUNKS)
    age(root)
    watched.once()
    keys = [key.removeprefix("one/") for key in watched.writes()]
    assert keys[-1] == "s.zarr/.zmetadata"
    assert keys.index("s.zarr/t2m/.zarray") > max(keys.index(f"s.zarr/t2m/{i}.{j}") for i in (0, 1) for j in (0, 1))


BROKEN = {
    "metadata that is no JSON": lambda store: (store / "t2m" / ".zarray").write_text("{"),
    "a chunk without bytes": lambda store: (store / "t2m" / "0.0").write_bytes(b""),
    "something unfinished": lambda store: (store / "t2m" / "9.9.partial").write_bytes(b"x"),
    "a link that leads nowhere": lambda store: (
        (store / "t2m" / "1.0").symlink_to("/absent/file") if not (store / "t2m" / "1.0").unlink() else None
    ),
    "an incompatible change": lambda store: write_store(store, weather(6, 8, dtype="f8"), chunks=CHUNKS),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_store_that_is_unfit_is_held_back_and_told_and_the_others_go_on(watched, name):
    watched.more = {"publish": {"on_incompatible": "refuse"}}
    root = watched.add("one", {"f": b"1"})
    for store in ("bad.zarr", "good.zarr"):
        write_store(root / store, weather(6, 8), chunks=CHUNKS)
    age(root)
    assert watched.once().exit_status == 0
    BROKEN[name](root / "bad.zarr")
    append(root / "good.zarr", weather(12, 8).isel(time=slice(6, None)))
    (root / "f").write_bytes(b"2")
    result = watched.once()
    assert result.exit_status == 3
    assert "held back: " in str(result.errors["one"])
    assert "one/bad.zarr" in str(result.errors["one"])
    assert watched.there("one")["f"] == b"2"
    assert same(watched.read("one", "good.zarr"), weather(12, 8))
    assert same(watched.read("one", "bad.zarr"), weather(6, 8)), "readers see what they saw before"
    shutil.rmtree(root / "bad.zarr")
    write_store(root / "bad.zarr", weather(10, 8), chunks=CHUNKS)
    assert watched.once().exit_status == 0
    assert same(watched.read("one", "bad.zarr"), weather(10, 8))


@pytest.mark.parametrize("body", [b"no TIFF", b"II*\0 and then nothing"])
def test_a_geotiff_that_is_none_is_held_back_alone(watched, body):
    root = watched.add("one", kind="cog", publish={"check_cogs": "refuse"})
    for name in ("a.tif", "b.tif"):
        write_cog(root / "d" / name, np.ones((32, 32), "float32"))
    age(root)
    assert watched.once().exit_status == 0
    good = (root / "d" / "a.tif").read_bytes()
    (root / "d" / "a.tif").write_bytes(body)
    write_cog(root / "d" / "c.tif", np.zeros((32, 32), "float32"))
    result = watched.once()
    assert result.exit_status == 3
    assert "d/a.tif" in str(result.errors["one"])
    assert watched.there("one").keys() == {"d/a.tif", "d/b.tif", "d/c.tif"}
    assert watched.there("one")["d/a.tif"] == good


@pytest.mark.parametrize("mark", ["s.zarr/_SUCCESS", "s.zarr._SUCCESS"])
def test_with_a_marker_a_store_waits_for_it_and_readers_do_not_see_it(watched, mark):
    watched.settings["marker"] = "_SUCCESS"
    root = watched.add("one", {"f": b"1"})
    write_store(root / "s.zarr", weather(6, 8), chunks=CHUNKS)
    age(root)
    assert watched.once().exit_status == 0
    assert watched.there("one") == {"f": b"1"}
    assert absent(watched.read("one", "s.zarr"))
    (root / mark).touch()
    assert watched.once().exit_status == 0
    assert same(watched.read("one", "s.zarr"), weather(6, 8))
    assert mark not in watched.there("one")
    (root / mark).unlink()
    append(root / "s.zarr", weather(12, 8).isel(time=slice(6, None)))
    assert watched.once().exit_status == 0
    assert same(watched.read("one", "s.zarr"), weather(6, 8))
    (root / mark).touch()
    assert watched.once().exit_status == 0
    assert same(watched.read("one", "s.zarr"), weather(12, 8))


def test_a_source_that_is_gone_or_empty_retires_nothing(watched):
    root = watched.add("one", {"a": b"1", "b": b"2"}, publish={"max_delete": "100%"})
    age(root)
    watched.once()
    for path in root.iterdir():
        path.unlink()
    assert watched.once().exit_status == 3
    root.rmdir()
    assert watched.once().exit_status == 3
    assert watched.there("one") == {"a": b"1", "b": b"2"}


def test_a_directory_that_was_always_empty_is_no_failure(watched):
    watched.add("one")
    assert watched.once().exit_status == 0
    assert s3_tree(watched.site.s3, watched.site.bucket) == {}


def test_a_site_that_fails_does_not_stop_the_others(watched):
    age(watched.add("good", {"a": b"1"}))
    age(watched.add("bad", {"a": b"1"}))
    watched.sites["bad"]["target"] = "s3://there-is-no-such-bucket/x"
    result = watched.once()
    assert result.exit_status == 1
    assert result.errors.keys() == {"bad"}
    assert watched.there("good") == {"a": b"1"}


def test_more_than_max_delete_is_refused_as_ever(watched):
    root = watched.add("one", {str(number): b"x" for number in range(10)})
    age(root)
    watched.once()
    for number in range(5):
        (root / str(number)).unlink()
    result = watched.once()
    assert result.exit_status == 3
    assert "max_delete" in str(result.errors["one"])
    assert len(watched.there("one")) == 10


# --- what moves while it is sent ---------------------------------------------------------------------------------


def test_a_file_that_changes_while_it_is_sent_is_left_and_the_others_go(watched):
    root = watched.add("one", {f"f{number}": bytes(20) for number in range(8)}, publish={"scheduler": "serial"})
    age(root)
    watched.once()
    for number in range(8):
        (root / f"f{number}").write_bytes(bytes([number]) * 30)
    age(root)

    def change(exchange):
        if exchange.is_write and exchange.key == "one/f0":
            (root / "f5").write_bytes(b"later")

    watched.site.proxy.watchers.append(change)
    watched.settings["settle"] = "0"
    assert watched.once().exit_status == 0
    watched.site.proxy.watchers.remove(change)
    there = watched.there("one")
    assert there.pop("f5") == bytes(20), "as it was"
    assert there == {key: data for key, data in read_tree(root).items() if key != "f5"}
    assert watched.once().exit_status == 0
    assert watched.there("one")["f5"] == b"later"


def test_a_store_that_changes_while_it_is_sent_is_left_and_the_others_go(watched):
    root = watched.add("one", {"f": b"1"}, publish={"scheduler": "serial"})
    for store in ("a.zarr", "b.zarr"):
        write_store(root / store, weather(6, 8), chunks=CHUNKS)
    age(root)
    once = threading.Event()

    def change(exchange):
        if exchange.is_write and exchange.key.startswith("one/a.zarr/") and not once.is_set():
            once.set()
            append(root / "a.zarr", weather(12, 8).isel(time=slice(6, None)))

    watched.site.proxy.watchers.append(change)
    time.sleep(0.3)
    passes = SitePasses("one", passes_config(watched), threading.Event(), "local", pull_listed)
    looked = passes.look(compare=True)
    assert looked.is_published
    assert looked.waits_s is not None
    assert absent(watched.read("one", "a.zarr"))
    assert same(watched.read("one", "b.zarr"), weather(6, 8))
    time.sleep(looked.waits_s[1] + 0.1)
    assert passes.look(compare=False).is_published
    assert same(watched.read("one", "a.zarr"), weather(12, 8))


def passes_config(watched, name="one"):
    from zsync.config import RunConfig

    return RunConfig.from_any(watched.document()).by_site()[name]


# --- what the target holds ---------------------------------------------------------------------------------------


def listings(watched):
    return [e for e in watched.site.proxy.completed if "list-type" in e.query]


def test_between_comparisons_nothing_is_listed_and_a_comparison_puts_back_what_was_lost(watched):
    root = watched.add("one", {"a": b"1", "b": b"2"})
    age(root)
    time.sleep(0.3)
    passes = SitePasses("one", passes_config(watched), threading.Event(), "local", pull_listed)
    assert passes.look(compare=True).is_published
    count = len(listings(watched))
    with contextlib.closing(s3_client(watched.site.s3)) as client:
        client.delete_object(Bucket=watched.site.bucket, Key="one/a")
    requests = len(watched.site.proxy.requests)
    assert not passes.look(compare=False).is_published
    assert len(watched.site.proxy.requests) == requests, "nothing changed here, so nothing is asked"
    (root / "b").write_bytes(b"3")
    time.sleep(0.3)
    assert passes.look(compare=False).is_published
    assert len(listings(watched)) == count
    assert watched.there("one") == {"b": b"3"}
    assert passes.look(compare=True).is_published
    assert watched.there("one") == {"a": b"1", "b": b"3"}


def test_what_was_in_motion_when_all_was_compared_is_compared_when_it_is_at_rest(watched):
    """It is not on record, and yet it need not be sent if the target has it."""
    put(watched, a=b"1", b=b"2")
    watched.add("one", {"a": b"1", "b": b"3"})
    passes = SitePasses("one", passes_config(watched), threading.Event(), "local", pull_listed)
    assert not passes.look(compare=True).is_published, "all of it is in motion"
    time.sleep(0.3)
    assert passes.look(compare=False).is_published
    assert watched.writes() == ["one/b"]
    count = len(listings(watched))
    (watched.tmp_path / "one" / "b").write_bytes(b"4")
    time.sleep(0.3)
    assert passes.look(compare=False).is_published
    assert len(listings(watched)) == count


def classes(watched):
    with contextlib.closing(s3_client(watched.site.s3)) as client:
        found = client.list_objects_v2(Bucket=watched.site.bucket, Prefix="one/")["Contents"]
    return {entry["Key"].removeprefix("one/"): entry["StorageClass"] for entry in found}


def test_an_object_in_the_wrong_storage_class_is_corrected(watched):
    root = watched.add("one", {"a": b"1", "b": b"2"}, storage={"storage_class": "STANDARD_IA"})
    age(root)
    watched.once()
    assert classes(watched) == {"a": "STANDARD_IA", "b": "STANDARD_IA"}
    with contextlib.closing(s3_client(watched.site.s3)) as client:
        client.put_object(Bucket=watched.site.bucket, Key="one/b", Body=b"2")  # the same bytes, of the usual class
    assert classes(watched)["b"] == "STANDARD"
    count = len(watched.writes())
    assert watched.once().exit_status == 0
    assert watched.writes()[count:] == ["one/b"]
    assert classes(watched) == {"a": "STANDARD_IA", "b": "STANDARD_IA"}
    count = len(watched.writes())
    watched.once()
    assert watched.writes()[count:] == []


def test_the_plan_says_that_it_is_for_the_storage_class(watched, caplog):
    root = watched.add("one", {"a": b"1"}, storage={"storage_class": "STANDARD_IA"})
    age(root)
    watched.once()
    with contextlib.closing(s3_client(watched.site.s3)) as client:
        client.put_object(Bucket=watched.site.bucket, Key="one/a", Body=b"1", StorageClass="GLACIER_IR")
    with caplog.at_level("DEBUG", "zsync"):
        watched.once()
    assert any("storage class" in record.getMessage() and "a" in record.getMessage() for record in caplog.records)


def test_a_service_without_storage_classes_costs_no_more(rclone_s3, tmp_path, bucket):
    from zsync.config import Location, RunConfig
    from zsync.storage import spec_for

    rclone_s3.create_bucket(bucket)
    root = write_tree(tmp_path / "source", {"a": b"1"})
    age(root)
    storage = {"endpoint_url": rclone_s3.endpoint_url, "region": "us-east-1", "access_key_id": rclone_s3.access_key,
               "secret_access_key": rclone_s3.secret_key, "storage_class": "STANDARD_IA"}  # fmt: skip
    document = {"source": str(root), "target": f"s3://{bucket}/one", "storage": storage, "watch": {"settle": 0}}
    config = RunConfig.from_any(document)
    spec = spec_for(Location.parse(f"s3://{bucket}/one"), config.storage)
    assert not keeps_classes(spec, "one/trial", "STANDARD_IA")
    passes = SitePasses("one", config.by_site()["source"], threading.Event(), "local", pull_listed)
    assert passes.look(compare=True).is_published
    assert not passes.look(compare=True).is_published


# --- all the time ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", ["native", "poll"])
def test_changes_go_up_as_they_happen(watched, events):
    watched.settings |= {"events": events, "interval": "100ms"}
    root = watched.add("one", {"a": b"1", "d/b": b"2"}, publish={"max_delete": "100%"})
    watched.start()
    until(lambda: watched.there("one") == read_tree(root))
    (root / "a").write_bytes(b"new")
    (root / "d/b").rename(root / "moved")
    (root / "e").mkdir()
    (root / "e/c").write_bytes(b"3")
    until(lambda: watched.there("one") == read_tree(root))
    write_store(root / "s.zarr", weather(6, 8), chunks=CHUNKS)
    until(lambda: same(watched.read("one", "s.zarr"), weather(6, 8)))
    append(root / "s.zarr", weather(12, 8).isel(time=slice(6, None)))
    until(lambda: same(watched.read("one", "s.zarr"), weather(12, 8)))
    shutil.rmtree(root / "s.zarr")
    until(lambda: watched.there("one") == read_tree(root))


def test_with_file_events_an_idle_site_is_not_looked_at(watched, monkeypatch):
    from zsync.site import passes

    looks = []
    scan = passes.scan
    monkeypatch.setattr(passes, "scan", lambda *args, **more: looks.append(1) or scan(*args, **more))
    watched.settings |= {"events": "native", "interval": "20ms"}
    root = watched.add("one", {"a": b"1"})
    age(root)
    watched.start()
    until(lambda: watched.there("one") == {"a": b"1"})
    time.sleep(1)
    count = len(looks)
    time.sleep(1)
    assert len(looks) - count <= 1, "polling would have looked fifty times"
    (root / "b").write_bytes(b"2")
    until(lambda: watched.there("one") == {"a": b"1", "b": b"2"})


def test_a_site_that_failed_recovers_and_others_never_waited(watched, caplog):
    root = watched.add("one", {"a": b"1"})
    other = watched.add("two", {"a": b"1"})
    age(root)
    root.rename(root.with_name("away"))
    with caplog.at_level("INFO", "zsync"):
        watched.start()
        until(lambda: watched.there("two") == read_tree(other))
        time.sleep(1)
        (other / "b").write_bytes(b"2")
        until(lambda: watched.there("two") == read_tree(other))
        root.with_name("away").rename(root)
        until(lambda: watched.there("one") == {"a": b"1"})
        until(lambda: any(record.getMessage() == "well again" for record in caplog.records))
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 1, "once, not at every attempt"
    assert "the source is not there" in said[0]


def test_what_is_unfit_is_failing_until_it_is_not(watched, free_port):
    """Also while nothing else happens, and nothing is published."""
    watched.settings["listen"] = f"127.0.0.1:{free_port}"
    root = watched.add("one", {"f": b"1"})
    write_store(root / "s.zarr", weather(6, 8), chunks=CHUNKS)
    watched.start()
    until(lambda: watched.there("one") == read_tree(root))
    good = (root / "s.zarr/.zgroup").read_bytes()
    (root / "s.zarr/.zgroup").write_bytes(b"{")
    until(lambda: ask(free_port, "/healthz")["status"] == "failing")
    for _ in range(10):
        time.sleep(0.1)
        assert "one/s.zarr/.zgroup" in ask(free_port, "/healthz")["failing"]["one"]
    assert metric(free_port, "zsync_site_lag_seconds") > 0.5
    (root / "s.zarr/.zgroup").write_bytes(good)
    until(lambda: ask(free_port, "/healthz")["status"] == "ok")
    until(lambda: metric(free_port, "zsync_site_lag_seconds") == 0)


def test_a_file_that_is_not_what_its_times_say_is_told(watched):
    """A digest that was kept is wrong, as on a file system that does not tell of changes: that is not silent."""
    root = watched.add("one", {"a": b"1", "b": b"2"})
    watched.settings["settle"] = 0
    passes = SitePasses("one", passes_config(watched), threading.Event(), "local", pull_listed)
    assert passes.look(compare=True).is_published
    (root / "a").write_bytes(b"3")
    time.sleep(2.1)  # what changed a moment ago is not kept in the cache
    table = scan(str(root), "one").table()
    wrong = column(["0" * 64, None], pa.string())
    DigestCache(str(root)).keep(table.set_column(table.schema.get_field_index("digest"), "digest", wrong))
    assert passes.look(compare=False).unfit == ()
    assert watched.there("one") == {"a": b"1", "b": b"2"}
    (finding,) = passes.look(compare=False).unfit
    assert (finding.key, finding.code) == ("a", "unstable")
    (root / "a").touch()
    assert passes.look(compare=False).unfit == ()
    assert watched.there("one") == {"a": b"3", "b": b"2"}


def test_somebody_else_who_publishes_is_waited_for(watched):
    root = watched.add("one", {"a": b"1"})
    age(root)
    watched.once()
    with contextlib.closing(s3_client(watched.site.s3)) as client:
        key = "one/.zsync/x"
        lease_key = next(e["Key"] for e in client.list_objects_v2(Bucket=watched.site.bucket)["Contents"]
                         if e["Key"].endswith("lease.json"))  # fmt: skip
        assert key not in lease_key
        lease = json.loads(client.get_object(Bucket=watched.site.bucket, Key=lease_key)["Body"].read())
        expires = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + 3600))
        held = {**lease, "by": {"user": "x", "host": "y", "pid": "1"}, "expires": expires}
        client.put_object(Bucket=watched.site.bucket, Key=lease_key, Body=json.dumps(held).encode())
        (root / "b").write_bytes(b"2")
        watched.start()
        time.sleep(1.5)
        assert watched.there("one") == {"a": b"1"}
        client.put_object(Bucket=watched.site.bucket, Key=lease_key, Body=json.dumps(lease).encode())
    until(lambda: watched.there("one") == {"a": b"1", "b": b"2"})


def test_it_stops_at_a_safe_point_and_gives_the_lease_back(watched):
    root = watched.add("one", {f"f{number}": b"x" for number in range(40)}, publish={"scheduler": "serial"})
    write_store(root / "s.zarr", weather(12, 8), chunks=CHUNKS)
    age(root)
    watched.site.proxy.faults.append(on(Fault.delay(0.25), times=None, method="PUT", key="one/f*"))
    watched.start()
    until(lambda: len(watched.writes()) > 2)
    began = time.monotonic()
    watched.end()
    assert time.monotonic() - began < 8
    assert absent(watched.read("one", "s.zarr"))
    watched.site.proxy.faults.clear()
    lease = next(key for key in s3_bytes(watched.site.s3, watched.site.bucket) if key.endswith("lease.json"))
    assert json.loads(s3_bytes(watched.site.s3, watched.site.bucket)[lease])["by"] == {}
    watched.stop.clear()
    assert watched.once().exit_status == 0
    assert watched.there("one") == read_tree(root)


# --- the configuration changes -----------------------------------------------------------------------------------


def test_sites_come_go_and_change_while_the_others_go_on(watched):
    one = watched.add("one", {"a": b"1"})
    two = watched.add("two", {"a": b"1"})
    watched.start()
    until(lambda: watched.there("two") == read_tree(two) and watched.there("one") == read_tree(one))
    three = watched.add("three", {"c": b"3"})
    del watched.sites["one"]
    watched.sites["two"]["publish"] = {"exclude": ["*.log"]}
    watched.write()
    until(lambda: watched.there("three") == read_tree(three))
    (one / "b").write_bytes(b"2")
    write_tree(two, {"x.log": b"x", "y": b"y"})
    until(lambda: watched.there("two").keys() == {"a", "y"})
    time.sleep(0.5)
    assert watched.there("one") == {"a": b"1"}
    assert watched.there("two").keys() == {"a", "y"}


def test_a_configuration_that_is_wrong_is_told_and_the_one_before_stays(watched, free_port):
    watched.settings["listen"] = f"127.0.0.1:{free_port}"
    root = watched.add("one", {"a": b"1"})
    watched.start()
    until(lambda: watched.there("one") == read_tree(root))
    good = watched.path.read_text()
    watched.path.write_text(good.replace("sites:", "sitess:"))
    until(lambda: "sitess" in (ask(free_port, "/info")["configuration_error"] or ""))
    (root / "b").write_bytes(b"2")
    until(lambda: watched.there("one") == read_tree(root))
    watched.path.write_text(good)
    until(lambda: ask(free_port, "/info")["configuration_error"] is None)


def test_a_directory_that_is_watched_without_a_file_is_no_configuration_that_changes(watched, caplog):
    root = watched.add("one", {"a": b"1"})
    options = {"target": f"s3://{watched.site.bucket}/one", "watch": watched.settings, "stop": watched.stop}
    watched.thread = threading.Thread(
        target=zsync.watch, args=(root,), kwargs={**options, **watched.site.config()["storage"]}, daemon=True
    )
    with caplog.at_level("INFO", "zsync"):
        watched.thread.start()
        until(lambda: watched.there("one") == read_tree(root))
        (root / "b").write_bytes(b"2")
        until(lambda: watched.there("one") == read_tree(root))
        time.sleep(2.2)
    assert not any("configuration" in record.getMessage() for record in caplog.records)


def test_a_reload_can_be_asked_for(watched, free_port):
    watched.settings["listen"] = f"127.0.0.1:{free_port}"
    root = watched.add("one", {"a": b"1"})
    watched.start()
    until(lambda: watched.there("one") == read_tree(root))
    connection = http.client.HTTPConnection("127.0.0.1", free_port, timeout=10)
    connection.request("POST", "/reload")
    assert connection.getresponse().status == 202
    until(lambda: metric(free_port, "zsync_reloads_total") == 1)
    assert metric(free_port, "zsync_reload_errors_total") == 0


@pytest.fixture
def free_port():
    from zsync.devserver.ports import free_ports

    return free_ports(1)[0]


def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def metric(port, name):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(name))


def test_the_endpoints_tell_how_sites_are_doing_and_no_secret(watched, free_port):
    watched.settings["listen"] = f"127.0.0.1:{free_port}"
    root = watched.add("one", {"a": b"1", "b": b"22"})
    watched.start()
    until(lambda: watched.there("one") == read_tree(root))
    until(lambda: ask(free_port, "/info")["sites"]["one"]["objects"] == 2)
    info = ask(free_port, "/info")
    assert info["sites"]["one"] | {
        "state": "watching", "bytes": 3, "bytes_sent": 3, "error": None, "source": str(root),
        "target": f"s3://{watched.site.bucket}/one",
    } == info["sites"]["one"]  # fmt: skip
    assert metric(free_port, 'zsync_site_bytes{site="one"}') == 3
    assert ask(free_port, "/healthz")["status"] == "ok"
    root.rename(root.with_name("away"))
    until(lambda: ask(free_port, "/healthz")["status"] == "failing")
    assert "the source is not there" in ask(free_port, "/healthz")["failing"]["one"]
    assert watched.site.s3.secret_key not in json.dumps(ask(free_port, "/info"))
    root.with_name("away").rename(root)
    until(lambda: ask(free_port, "/healthz")["status"] == "ok")


def test_sites_that_get_in_each_other_s_way_are_refused(watched):
    watched.add("one", {"a": b"1"})
    watched.add("two", {"a": b"1"})
    watched.sites["two"]["target"] = watched.sites["one"]["target"] + "/inside"
    with pytest.raises(ConfigError, match="site one would retire what site two publishes"):
        watched.once()


# --- history -----------------------------------------------------------------------------------------------------


def test_publications_do_not_pile_up_and_those_that_stay_can_be_read(watched, tmp_path):
    watched.settings |= {"history": 3, "settle": 0}
    root = watched.add("one", {"a": b"0"})
    for number in range(12):
        (root / "a").write_bytes(str(number).encode())
        assert watched.once().exit_status == 0
    state = [key for key in s3_tree(watched.site.s3, watched.site.bucket) if ".zsync/" in key]
    kept = sorted(key.rpartition("/")[2].removesuffix(".json") for key in state if "/publications/" in key)
    assert len(kept) == 3
    assert len([key for key in state if "/manifests/" in key]) == 3
    storage = watched.site.config()["storage"]
    url = f"s3://{watched.site.bucket}/one"
    zsync.pull(url, tmp_path / "now", progress=False, **storage)
    assert read_tree(tmp_path / "now" / "one") == {"a": b"11"}
    (root / "a").write_bytes(b"12")
    assert watched.once().exit_status == 0


# --- who is told -------------------------------------------------------------------------------------------------


def test_publications_are_told_and_of_failures_the_first(watched, tmp_path):
    said = tmp_path / "said"
    program = f"import sys; open({str(said)!r}, 'a').write(sys.stdin.read() + chr(10))"
    watched.more["notify"] = [{"command": [sys.executable, "-c", program], "on": ["published", "failed"]}]
    root = watched.add("one", {"a": b"1"})
    age(root)
    watched.start()
    until(lambda: watched.there("one") == {"a": b"1"})
    root.rename(root.with_name("away"))
    until(lambda: said.exists() and len(said.read_text().splitlines()) == 2)
    time.sleep(1.5)
    root.with_name("away").rename(root)
    (root / "b").write_bytes(b"2")
    until(lambda: watched.there("one") == {"a": b"1", "b": b"2"})
    until(lambda: len(said.read_text().splitlines()) >= 3)
    messages = [json.loads(line) for line in said.read_text().splitlines()]
    assert [(message["type"], message["site"]) for message in messages] == [
        ("published", "one"), ("failed", "one"), ("published", "one"),
    ]  # fmt: skip


# --- the first sync ----------------------------------------------------------------------------------------------


def put(watched, **objects):
    with contextlib.closing(s3_client(watched.site.s3)) as client:
        for key, data in objects.items():
            client.put_object(Bucket=watched.site.bucket, Key=f"one/{key}", Body=data)


def test_a_first_sync_from_s3_brings_what_is_there_and_loses_nothing(watched):
    put(watched, both=b"theirs", theirs=b"2")
    root = watched.add("one", {"both": b"ours", "ours": b"1"})
    age(root)
    assert watched.once(initial_sync_source="s3").exit_status == 0
    assert read_tree(root) == watched.there("one") == {"both": b"theirs", "theirs": b"2", "ours": b"1"}
    trash = (root.parent / ".zsync" / "one" / "trash").rglob("both")
    assert [path.read_bytes() for path in trash] == [b"ours"]


def test_a_first_sync_from_s3_does_not_bring_what_stands_for_directories(watched):
    markers = {"sub/": b"", "new/": b"x", "sub_$folder$": b"", "deep": b"\n"}
    put(watched, **markers, **{"sub/theirs": b"2", "deep/er": b"3"})
    root = watched.add("one", {"ours": b"1"})
    age(root)
    assert watched.once(initial_sync_source="s3").exit_status == 0
    assert read_tree(root) == {"sub/theirs": b"2", "deep/er": b"3", "ours": b"1"}
    assert not (root / "new").exists()


def test_a_first_sync_from_local_is_what_happens_unasked(watched):
    put(watched, both=b"theirs", theirs=b"2")
    root = watched.add("one", {"both": b"ours", "ours": b"1"}, publish={"retire": "trash", "max_delete": "100%"})
    age(root)
    assert watched.once().exit_status == 0
    assert read_tree(root) == watched.there("one") == {"both": b"ours", "ours": b"1"}


@pytest.mark.parametrize(("ours_is_newer", "expected"), [(True, b"ours"), (False, b"theirs")])
def test_auto_takes_the_side_that_was_changed_last(watched, ours_is_newer, expected):
    put(watched, both=b"theirs")
    root = watched.add("one", {"both": b"ours"})
    if ours_is_newer:
        os.utime(root / "both", (time.time() + 5, time.time() + 5))
        watched.settings["settle"] = 0
    else:
        age(root)
    assert watched.once(initial_sync_source="auto").exit_status == 0
    assert read_tree(root) == watched.there("one") == {"both": expected}


def test_auto_an_empty_or_missing_side_loses(watched):
    put(watched, theirs=b"2")
    root = watched.add("one")
    root.rmdir()
    assert watched.once(initial_sync_source="auto").exit_status == 0
    assert read_tree(root) == {"theirs": b"2"}
    with contextlib.closing(s3_client(watched.site.s3)) as client:
        client.delete_object(Bucket=watched.site.bucket, Key="one/theirs")
    os.utime(root / "theirs", (OLD, OLD))
    assert watched.once(initial_sync_source="auto").exit_status == 0
    assert watched.there("one") == {"theirs": b"2"}


def test_equal_sides_stay_as_they_are_whichever_is_newer(watched, caplog):
    caplog.set_level("DEBUG", "zsync")
    root = watched.add("one", {"a": b"1"})
    age(root)
    watched.once()
    before = (root / "a").stat().st_ino
    count = len(watched.writes())
    for source in ("auto", "s3", "local"):
        assert watched.once(initial_sync_source=source).exit_status == 0
    assert (root / "a").stat().st_ino == before
    assert len(watched.writes()) == count


def test_a_site_that_is_replaced_does_not_begin_anew(watched):
    """Else what changed here a moment ago would be replaced by what S3 has."""
    put(watched, a=b"theirs")
    root = watched.add("one", {"a": b"ours"})
    watched.start(initial_sync_source="s3")
    until(lambda: (root / "a").read_bytes() == b"theirs" and ".zsync/one/head.json" in watched.everything())
    watched.sites["one"]["watch"] = {"settle": "1s"}
    (root / "a").write_bytes(b"ours again")
    watched.write()
    until(lambda: watched.there("one") == {"a": b"ours again"})
    assert (root / "a").read_bytes() == b"ours again"


def test_what_is_noticed_is_said_once(watched, caplog):
    """Here that chunks that were published are gone."""
    root = watched.add("one", {"f": b"1"}, publish={"max_delete": "100%"})
    write_store(root / "s.zarr", weather(6, 8), chunks=CHUNKS)
    watched.start()
    until(lambda: watched.there("one") == read_tree(root))
    (root / "s.zarr/t2m/0.0").unlink()
    until(lambda: watched.there("one") == read_tree(root))
    write_tree(root, {"g": b"2"})
    until(lambda: watched.there("one") == read_tree(root))
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len([text for text in said if "lie inside their arrays and are gone" in text]) == 1


def test_an_unknown_side_is_refused(watched):
    watched.add("one", {"a": b"1"})
    with pytest.raises(ConfigError, match="not a side to begin with: remote"):
        watched.once(initial_sync_source="remote")
