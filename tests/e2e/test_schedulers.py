"""Publishes and pulls whose objects other processes send: dask's workers, and processes of this machine."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import threading
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from distributed import Client, LocalCluster
from proxy import Fault, on
from target import same
from trees import read_tree, s3_bytes, weather, write_tree

import zsync
from zsync.errors import ConfigError, SourceError
from zsync.inventory import cache_directory


@pytest.fixture(scope="module")
def cluster(_one_authority):
    """Two workers, each a process, of this machine."""
    before = dict(os.environ)
    os.environ["SSL_CERT_DIR"] = str(_one_authority)
    try:
        with LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as cluster:
            yield cluster
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def client(cluster):
    with Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        yield client


@pytest.fixture
def files(site):
    """A hundred files, and what is in them."""
    write_tree(site.root / "d", {f"{n % 7}/f{n:03}": bytes([n]) * (100 + n) for n in range(100)})
    site.products["d"] = {"path": "d", "kind": "files"}
    return site


def there(site):
    """What is in the target, read by a client that knows nothing of zsync."""
    return s3_bytes(site.s3, site.bucket, f"{site.prefix}/d/")


def test_a_client_of_dask_sends_what_threads_would(site, client, tmp_path):
    site.store("a.zarr", weather(6, 8))
    done = site.publish(client=client)
    assert done.status == "published"
    assert same(site.read("a.zarr"), weather(6, 8))
    assert site.publish().status == "unchanged", "what was put on record is what a run without dask finds"
    site.store("a.zarr", weather(6, 8, k=3))
    site.publish(client=client)
    assert same(site.read("a.zarr"), weather(6, 8, k=3))
    site.publish(client=client, max_delete="100%")
    storage = site.config()["storage"]
    scheduler = client.scheduler.address
    zsync.pull(f"s3://{site.bucket}/run/a.zarr", tmp_path / "p", progress=False, scheduler=scheduler, **storage)
    assert read_tree(tmp_path / "p/a.zarr") == read_tree(site.root / "a.zarr")


def test_p2_p9_a_worker_that_is_killed_costs_no_byte_and_no_restart(files, client):
    victims, lock = client.run(os.getpid), threading.Lock()

    def kill(exchange):
        with lock:
            if victims and exchange.method == "PUT" and exchange.key.endswith("/f050"):
                os.kill(victims.popitem()[1], signal.SIGKILL)
                victims.clear()
                return Fault.delay(0.2)
        return None

    files.proxy.faults.append(kill)
    assert files.publish(client=client).status == "published"
    assert not victims
    assert there(files) == read_tree(files.root / "d")
    client.wait_for_workers(2)


def test_a_worker_that_came_later_is_given_credentials_when_it_lacks_them(files, client, monkeypatch):
    """As one that a nanny began anew in the place of another, at the same address."""
    from zsync.transfer.cluster import Cluster

    monkeypatch.setattr(Cluster, "_begin", lambda _self: None)
    assert files.publish(client=client).status == "published"
    assert there(files) == read_tree(files.root / "d")
    assert not any(client.run(_vaults).values())


def test_a_slow_worker_is_waited_for(files, client):
    files.proxy.faults.append(on(Fault.delay(1.0), method="PUT", key="*/f007"))
    assert files.publish(client=client).status == "published"
    assert there(files) == read_tree(files.root / "d")


def _blind():
    import zsync.inventory.digest

    def blocks(file, key, *_more):
        raise zsync.inventory.digest._changed(key)

    zsync.inventory.origin.read_blocks = blocks


def _sees():
    import zsync.inventory.digest

    zsync.inventory.origin.read_blocks = zsync.inventory.digest.read_blocks


def test_a_worker_without_the_source_is_named_with_its_path(files, client):
    """As on a host where the file system is not mounted: there every file is gone."""
    client.run(_blind)
    try:
        with pytest.raises(SourceError) as caught:
            files.publish(client=client)
    finally:
        client.run(_sees)
    assert os.uname().nodename in str(caught.value)
    assert str(files.root / "d") in str(caught.value)
    assert "mounted" in str(caught.value)
    assert files.publish(client=client).status == "published", "what failed holds nobody up"


@pytest.fixture
def known(files, monkeypatch):
    """The files, published, of which nobody knows the digests any more; this process hashes none."""
    files.publish()
    shutil.rmtree(cache_directory())
    target = files.root / "d/3/f010"
    target.write_bytes(b"?" * 110)

    def refuse(*_what):
        raise AssertionError("hashed in the process that plans")

    monkeypatch.setattr("zsync.inventory.digest.hash_file", refuse)
    return files


def test_what_the_plan_needs_is_hashed_by_workers(known, client):
    plan = zsync.plan(known.config(), progress=False, client=client)
    assert [row["key"] for row in plan.rows("send").to_pylist()] == ["3/f010"]
    done = known.publish(client=client)
    assert [product.sent for product in done.products] == [1]
    assert there(known) == read_tree(known.root / "d")


def test_a_worker_that_cannot_hash_a_file_is_named_with_its_path(known, client):
    client.run(_hashes_nothing)
    try:
        with pytest.raises(SourceError) as caught:
            known.publish(client=client)
    finally:
        client.run(_hashes)
    assert os.uname().nodename in str(caught.value)
    assert str(known.root / "d") in str(caught.value)


def _hashes_nothing():
    import zsync.transfer.checking

    def hash_file(_path, wanted):
        raise zsync.inventory.digest._changed(wanted.key)

    zsync.transfer.checking.hash_file = hash_file


def _hashes():
    import zsync.transfer.checking

    zsync.transfer.checking.hash_file = zsync.inventory.digest.hash_file


def test_no_secret_is_in_graphs_logs_or_pages(files, client, cluster):
    """They are looked at while a batch is under way."""
    found, released = [], threading.Event()

    def look():
        try:
            gather(cluster.scheduler)
        finally:
            released.set()

    def gather(scheduler):
        tasks = dict(scheduler.tasks)
        found.append(pickle.dumps([str(task.run_spec) for task in tasks.values()]))
        found.extend(pickle.dumps(task.run_spec) for task in tasks.values())
        found.append(repr(cluster.get_logs()).encode())
        base = f"http://127.0.0.1:{scheduler.http_server.port}"
        pages = [f"/info/main/{name}.html" for name in ("workers", "logs")]
        pages += [f"/info/task/{quote(task)}.html" for task in tasks]
        for page in pages:
            try:
                with urlopen(base + page) as answer:
                    found.append(answer.read())
            except HTTPError as error:
                if error.code != 404:  # which it is of a task that is done meanwhile
                    raise
        found.append(repr(client.run(_environment)).encode())

    def hold(exchange):
        if exchange.method == "PUT" and exchange.key.endswith("/f001"):
            threading.Thread(target=look).start()
            return Fault.hold(released, 60)
        return None

    files.proxy.faults.append(hold)
    assert files.publish(client=client).status == "published"
    assert released.is_set()
    assert len(found) > 5
    assert any(b"f001" in text for text in found), "it is looked at where it would be"
    for secret in (files.s3.secret_key, files.s3.access_key):
        assert not any(secret.encode() in text for text in found)
    assert not any(client.run(_vaults).values()), "what was handed over is forgotten"


def _environment():
    return dict(os.environ)


def _vaults():
    import zsync.storage.spec

    return list(zsync.storage.spec._vault)


def test_processes_of_this_machine(files):
    done = files.publish(scheduler="processes")
    assert done.status == "published"
    assert there(files) == read_tree(files.root / "d")


def test_nobody_at_an_address(files, monkeypatch):
    monkeypatch.setattr("zsync.transfer.cluster._CONNECT_S", 0.2)
    with pytest.raises(ConfigError, match="no dask scheduler answers there"):
        files.publish(scheduler="tcp://127.0.0.1:9")
    assert there(files) == {}


def test_a_script_whose_workers_run_it_too_is_told_so(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("a")
    asked = {}

    def refuse(**options):
        asked.update(options)
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr("distributed.LocalCluster", refuse)
    with pytest.raises(zsync.ConfigError, match=r"workers cannot be started here.*below `if __name__ == .__main__.:`"):
        zsync.publish(tmp_path / "out", tmp_path / "there", scheduler="distributed", progress=False)
    assert asked["dashboard_address"].endswith(":0")  # that of another cluster is no reason to warn


def test_what_is_no_client_is_refused(files):
    with pytest.raises(ConfigError, match=r"no synchronous distributed\.Client"):
        files.publish(client="tcp://127.0.0.1:8786")
