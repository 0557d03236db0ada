"""Kill the publisher at its n-th request, for every n: readers see only what the promises allow, and the same call
ends right and sends nothing twice that had arrived.

Most of it happens in this process: all stores die at request n, before the service hears of it or after it has acted,
so nothing is cleaned up either. The rest is done to the real command, with kill -9.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import obstore
import prepared
import pytest
from mortal import Fate, Mortal
from proxy import Fault, Proxy, on
from scenarios import FORMATS, SCENARIOS, View
from servers import _tool, object_store
from target import Site, same
from trees import read_tree, s3_tree, weather

import zsync


@pytest.fixture
def fate(monkeypatch):
    """The fate of all stores that are opened from now on."""
    from zsync.storage import opening

    fate, opened = Fate(), opening._open_obstore
    monkeypatch.setattr("zsync.storage.opening._open_obstore", lambda place: Mortal(opened(place), fate))
    opening._connect.cache_clear()
    yield fate
    opening._connect.cache_clear()


class Stage:
    """One scenario in one format: the target before is made once, and written again for every n."""

    def __init__(self, s3, bucket, root, name, layout, tally):
        self.tally = tally
        self.s3, self.bucket, self.name = s3, bucket, f"{name}-{layout}"
        self.scenario, self.root = SCENARIOS[name], root
        self.store = object_store(s3, bucket)
        self.after = self.scenario.after(root / "after", FORMATS[layout])
        self.before, self.objects_before = {}, {}
        if self.scenario.before is not None:
            self.before = self.scenario.before(root / "before", FORMATS[layout])
            self.publish("base", root / "before")
            for key in s3_tree(s3, bucket, f"{self.name}/base/"):
                found = obstore.get(self.store, f"{self.name}/base/{key}")
                self.objects_before[key] = found.bytes().to_bytes(), found.attributes
        self.files = {key: hashlib.md5(body).hexdigest() for key, body in read_tree(root / "after").items()}
        self.looked_at, self.finished, self.pool = set(), set(), ThreadPoolExecutor(4)

    def config(self, place, root, endpoint_url=None):
        products = {path.name: {"path": path.name} for path in sorted(root.iterdir())}
        return {
            "source": str(root),
            "target": f"s3://{self.bucket}/{self.name}/{place}",
            "products": products,
            "storage": {
                "endpoint_url": endpoint_url or self.s3.endpoint_url,
                "region": self.s3.region,
                "access_key_id": self.s3.access_key,
                "secret_access_key": self.s3.secret_key,
            },
            "publish": self.scenario.options,
        }

    def publish(self, place, root=None):
        return zsync.publish(self.config(place, root or self.root / "after"), progress=False)

    def set_up(self, place):
        """Bring the target to the state before, under a prefix of its own. (The server takes longer to copy.)"""

        def put(key):
            body, attributes = self.objects_before[key]
            obstore.put(self.store, f"{self.name}/{place}/{key}", body, attributes=attributes)

        list(self.pool.map(put, self.objects_before))

    def check_readers(self, place, arrived):
        """See what readers see, once for each state that the target is in."""
        state = frozenset(arrived.items())
        if state in self.looked_at:
            return
        self.looked_at.add(state)
        self.scenario.check(View(self.s3, self.bucket, f"{self.name}/{place}", self.before, self.after))
        self.tally("looks of readers at states that kills left", 2 * len(self.after))

    def look(self, place):
        """Return what is in the target without what stands for directories, and what there is of zsync's records."""
        base = f"{self.name}/{place}/"
        pages = obstore.list(self.store, base, return_arrow=True)
        rows = [
            (key.removeprefix(base), size, etag.strip('"'))
            for page in pages
            for key, size, etag in zip(*(page[name].to_pylist() for name in ("path", "size", "e_tag")), strict=True)
        ]
        records = sorted((os.path.dirname(key), size) for key, size, _ in rows if ".zsync/" in key)
        found = {key: etag for key, size, etag in rows if ".zsync/" not in key and (size or key in self.files)}
        return found, tuple(records)

    def check_with_rclone(self, places):
        """Have rclone compare the targets that were finished with the source, by MD5."""
        links = self.root / "links"
        links.mkdir()
        for place in places:
            (links / place).symlink_to(self.root / "after")
        rules = self.root / "rules"
        rules.write_text("\n".join(["- .zsync/**", "- */.zsync/**", *(f"+ /{place}/**" for place in places), "- **"]))
        s3 = self.s3
        remote = (
            f":s3,provider=Other,access_key_id='{s3.access_key}',secret_access_key='{s3.secret_key}',"
            f"endpoint='{s3.endpoint_url}',region={s3.region}:{self.bucket}/{self.name}"
        )
        command = [
            *(_tool("rclone"), "check", str(links), remote, "--copy-links", "--checksum", "--config", os.devnull),
            *("--filter-from", str(rules), "--checkers", "16"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        self.tally("targets that rclone compared with their source", len(places))


def kill_in_process(stage, fate, place, n, *, acts):
    """Publish with all stores dying at request n; return whether there was one, and whether it was a write."""
    stage.set_up(place)
    fate.set(n, acts=acts)
    with contextlib.suppress(zsync.ZsyncError):
        stage.publish(place)
    died, at_write = fate.has_come, fate.at_write
    fate.set()
    return died, at_write


def check_after(stage, fate, place):
    """What readers see, that the same call finishes the work, and that it sends nothing that had arrived.

    Once for each state of the target; returns whether it was one that had not been finished before.
    """
    arrived, records = stage.look(place)
    stage.check_readers(place, arrived)
    if (state := (frozenset(arrived.items()), records)) in stage.finished:
        return False
    stage.finished.add(state)
    fate.set()
    stage.publish(place)
    # What is withdrawn while an array is replaced has to come back.
    sent = {key.removeprefix(f"{stage.name}/{place}/") for key in {*fate.puts} - {*fate.deleted}}
    assert stage.look(place)[0] == stage.files
    assert not {key for key in sent & arrived.keys() if arrived[key] == stage.files[key]}
    return True


def kills(scenario, layout):
    """Say at which requests a publish is killed, and how: ``(n, acts)``, without end.

    Each scenario is killed at every request in one format, before the service hears of it and after it has acted; and
    in the other two at every other request, odd or even.
    """
    turn = (list(FORMATS).index(layout) - list(SCENARIOS).index(scenario)) % len(FORMATS)
    for n in itertools.count(1):
        if turn == 0:
            yield n, False
        if turn == 0 or n % 2 == turn - 1:
            yield n, True


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_p1_to_p4_and_p9_killed_at_every_request(s3, bucket, tmp_path, impatient, fate, scenario, layout, tally):
    stage = Stage(s3, bucket, tmp_path, scenario, layout, tally)
    finished, killed, read_at = [], 0, None
    for n, acts in kills(scenario, layout):
        if acts and n == read_at:  # to the target it is the same whether a read was answered
            continue
        place = f"{n}-{'acted' if acts else 'unheard'}"
        died, at_write = kill_in_process(stage, fate, place, n, acts=acts)
        if check_after(stage, fate, place):
            finished.append(place)
        killed += died
        if not died:  # n is beyond its last request
            break
        read_at = None if at_write else n
    assert killed > 6  # the smallest has some twenty requests, of which every other one is killed
    assert len(finished) > killed / 4
    tally("kills in process", killed)
    stage.check_with_rclone(finished)


KILLS = 6  # by kill -9, a scenario: a sample of what is proved in process


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_p1_to_p4_and_p9_kill_9_of_the_real_command(s3, bucket, tmp_path, scenario, fate, tally):
    layout = list(FORMATS)[list(SCENARIOS).index(scenario) % len(FORMATS)]
    stage = Stage(s3, bucket, tmp_path, scenario, layout, tally)
    fate.set()
    stage.set_up("whole")
    stage.publish("whole")
    requests, killed = fate.count, 0
    for number in range(KILLS):
        n, place = 1 + number * (requests - 1) // (KILLS - 1), f"killed-{number:02d}"
        stage.set_up(place)
        with Proxy(s3.endpoint_url) as proxy:
            config = tmp_path / "config.json"
            config.write_text(json.dumps(stage.config(place, tmp_path / "after", proxy.endpoint_url)))
            killed += kill_command(proxy, config, n, afresh=number % 3 == 0)
        check_after(stage, fate, place)
    assert killed >= KILLS - 2  # a request or two less than were counted, and there is none to kill at
    tally("kills of the command, with kill -9", killed)


def kill_command(proxy, config, n, *, afresh):
    """Run the command, and kill it when its n-th request comes in; return whether that came."""
    process = None
    started, is_dead = threading.Event(), []

    def rule(exchange):
        if exchange.arrival + 1 < n and not is_dead:
            return None
        started.wait(10)
        if not is_dead:
            is_dead.append(True)
            os.kill(process.pid, signal.SIGKILL)
        return Fault.lost() if n % 2 and exchange.arrival + 1 == n else Fault.reset()

    proxy.faults.append(rule)
    process = prepared.command("publish", config, "-q", stderr=subprocess.PIPE, text=True, afresh=afresh)
    started.set()
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), said
    return bool(is_dead)


def test_a_fence_is_never_taken_for_the_source(s3, bucket, tmp_path, monkeypatch, impatient):
    """Digests of what was sent are kept for the next run; those of a fence's objects are not those of any file."""
    monkeypatch.setattr("zsync.inventory.cache.RACY_NS", 0)
    with Proxy(s3.endpoint_url) as proxy:
        site = Site(s3, proxy, bucket, tmp_path / "run")
        site.store("a.zarr", weather(10, 8))
        site.publish()
        shutil.rmtree(site.root)
        site.store("a.zarr", weather(13, 6))
        proxy.faults.append(on(Fault.error(403, "AccessDenied"), method="PUT", key="run/a.zarr/t2m/[0-9]*"))
        with pytest.raises(zsync.ZsyncError):
            site.publish(max_delete="100%")
        assert same(site.read("a.zarr"), weather(10, 6))  # the fence stands
        assert site.publish(max_delete="100%").status == "published"
        assert same(site.read("a.zarr"), weather(13, 6))
        assert site.publish().status == "unchanged"
