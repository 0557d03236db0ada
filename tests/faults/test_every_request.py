"""Kill the publisher at its n-th request, for every n: readers see only what the promises allow, and the same call
ends right and sends nothing twice that had arrived.

What a publisher that dies at request n leaves in the target is what is there when request n of any publisher comes in:
so one run that is watched shows all that is ever left there. What dying leaves in the process and on its machine is
shown by dying: all stores of this process die at request n, before the service hears of it or after it has acted, so
nothing is cleaned up either. And the real command is killed with kill -9.
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
from dataclasses import dataclass

import obstore
import prepared
import pytest
from proxy import Fault, Proxy, on
from scenarios import FORMATS, SCENARIOS, Kept, OnServer, View
from servers import _tool, object_store
from target import Site, same
from trees import read_tree, weather

import zsync


@dataclass(frozen=True)
class State:
    """What is in a target at some time: key, relative to the target, to body, attributes and ETag."""

    objects: dict[str, tuple[bytes, dict, str]]

    @property
    def published(self):
        """ETags of what is not zsync's own record."""
        return {key: etag for key, (_, _, etag) in self.objects.items() if ".zsync/" not in key}

    @property
    def bodies(self):
        return {key: body for key, (body, _, _) in self.objects.items()}


class Stage:
    """One scenario in one format: the target before is made once, and written again wherever it is needed."""

    def __init__(self, s3, bucket, root, name, layout, tally):
        self.tally = tally
        self.s3, self.bucket, self.name = s3, bucket, f"{name}-{layout}"
        self.scenario, self.root = SCENARIOS[name], root
        self.store = object_store(s3, bucket)
        self.after = self.scenario.after(root / "after", FORMATS[layout])
        self.files = {key: hashlib.md5(body).hexdigest() for key, body in read_tree(root / "after").items()}
        self.known = {}  # what was read of the target, by its key and ETag
        self.before, self.state_before = {}, State({})
        if self.scenario.before is not None:
            self.before = self.scenario.before(root / "before", FORMATS[layout])
            self.publish("base", root / "before")
            self.state_before = self.state("base")
        self.looked_at, self.seen, self.finished, self.pool = set(), {}, set(), ThreadPoolExecutor(4)
        if self.flips:  # what it comes to is what readers see of it
            self.set_up("undisturbed")
            self.publish("undisturbed")
            state = self.state("undisturbed")
            assert same(View(Kept(state.bodies), {}, {}).read("a.zarr"), self.after["a.zarr"])
            self.files = state.published

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

    @property
    def flips(self):
        """Whether what is published has other keys than the source."""
        return self.name.startswith("flip-")

    def set_up(self, place, state=None):
        """Bring the target to a state, by default the one before, under a prefix of its own.

        (The server takes longer to copy.)
        """

        self.turn(place, State({}), state or self.state_before)

    def turn(self, place, old, new):
        """Bring the target from one state to another."""

        def put(key):
            body, attributes, _ = new.objects[key]
            obstore.put(self.store, f"{self.name}/{place}/{key}", body, attributes=attributes)

        list(self.pool.map(put, (key for key in new.objects if old.objects.get(key) != new.objects[key])))
        if gone := old.objects.keys() - new.objects.keys():
            obstore.delete(self.store, [f"{self.name}/{place}/{key}" for key in gone])

    def etags(self, place):
        """Return what is in the target, without what stands for directories: key to ETag."""
        base = f"{self.name}/{place}/"
        return {
            key.removeprefix(base): etag.strip('"')
            for page in obstore.list(self.store, base, return_arrow=True)
            for key, size, etag in zip(*(page[name].to_pylist() for name in ("path", "size", "e_tag")), strict=True)
            if size or key.removeprefix(base) in self.files
        }

    def state(self, place):
        """Return what is in the target, and read of it what was never read."""
        found = self.etags(place)
        for key, etag in found.items() - self.known.keys():
            got = obstore.get(self.store, f"{self.name}/{place}/{key}")
            self.known[key, etag] = got.bytes().to_bytes(), got.attributes, etag
        return State({key: self.known[key, etag] for key, etag in found.items()})

    def check_readers(self, state, place=None):
        """See what readers see, once for each state of what is published: at a place, or as it was."""
        what = frozenset(state.published.items())
        if what in self.looked_at:
            return
        self.looked_at.add(what)
        target = OnServer(self.s3, self.bucket, f"{self.name}/{place}") if place else Kept(state.bodies)
        self.scenario.check(View(target, self.before, self.after, {} if place else self.seen))
        self.tally("looks of readers at states that kills left", 2 * len(self.after))

    def matters(self, state):
        """Return what the next publisher is told of a state: what is published, and of the records leases and heads.

        The others are named by a head, or by nothing.
        """
        records = {
            (key, etag if self.is_of_before(key, state) else len(body))
            for key, (body, _, etag) in state.objects.items()
            if key.endswith(("/lease.json", "/head.json"))
        }
        return frozenset({*state.published.items(), *records})

    def is_of_before(self, key, state):
        return state.objects.get(key) == self.state_before.objects.get(key)

    def unnamed(self, state):
        """Return new records that nothing names: what is in the trash, and all of a product whose head is not new."""
        for key in state.objects.keys() - state.published.keys() - self.state_before.objects.keys():
            head = "/".join([*key.split("/")[: key.split("/").index(".zsync") + 2], "head.json"])
            if not key.endswith(("/lease.json", "/head.json")) and ("/trash/" in key or self.is_of_before(head, state)):
                yield key

    def finish(self, fate, place, state):
        """Publish again: the work is finished, and nothing is sent that had arrived."""
        fate.set()
        self.publish(place)
        base = f"{self.name}/{place}/"
        arrived = state.published
        # What is withdrawn while an array is replaced has to come back.
        sent = {key.removeprefix(base) for key in {*fate.puts} - {*fate.deleted}}
        assert {key: etag for key, etag in self.etags(place).items() if ".zsync/" not in key} == self.files
        assert not {key for key in sent & arrived.keys() if arrived[key] == self.files[key]}
        # So states that differ in nothing else are the same to it.
        unnamed = {f"{base}{key}" for key in self.unnamed(state)}
        assert not {key for key in unnamed for asked in fate.asked if key.startswith(asked)}
        self.tally("states that kills left, and the same call finished", 1)

    def check_with_rclone(self, places):
        """Have rclone compare the targets that were finished with the source, by MD5; or, pulled, compare them."""
        if self.flips:
            for place in places:
                zsync.pull(self.config(place, self.root / "after"), dest=str(self.root / place), progress=False)
                assert read_tree(self.root / place / "a.zarr") == read_tree(self.root / "after" / "a.zarr")
            return
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


class Caches:
    """What zsync keeps on this machine, which each publisher finds as those before the publish left it."""

    def __init__(self, monkeypatch, root):
        self.monkeypatch, self.root = monkeypatch, root
        monkeypatch.setattr("zsync.inventory.cache.RACY_NS", 0)  # digests of these files are kept, new as they are
        monkeypatch.setenv("ZSYNC_CACHE_DIR", str(root / "before"))

    def of(self, place):
        """Have whoever publishes from now on use those of a place."""
        if not (self.root / place).exists():
            shutil.copytree(self.root / "before", self.root / place)
        self.monkeypatch.setenv("ZSYNC_CACHE_DIR", str(self.root / place))

    def content(self, place):
        return frozenset(read_tree(self.root / place).items())


@pytest.fixture
def caches(monkeypatch, tmp_path):
    (tmp_path / "caches" / "before").mkdir(parents=True)
    return Caches(monkeypatch, tmp_path / "caches")


def turn_of(scenario, layout):
    """Return 0 in the format in which a scenario is looked into most closely, 1 and 2 in the others."""
    return (list(FORMATS).index(layout) - list(SCENARIOS).index(scenario)) % len(FORMATS)


def states_of_a_publish(stage, fate, caches):
    """Publish, and return what is in the target at its requests: the state before, and one after each write."""
    stage.set_up("watched")
    caches.of("watched")
    states = [stage.state("watched")]
    fate.set(watch=lambda: states.append(stage.state("watched")))
    stage.publish("watched")
    assert states[0].objects == stage.state_before.objects
    assert states[-1].published == stage.files
    return states


EVERY = 5  # one state in so many is looked at on the server; the others were read from it, and are looked at in memory


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_p1_to_p4_and_p9_killed_at_every_request(
    s3, bucket, tmp_path, impatient, fate, caches, scenario, layout, tally
):
    """Whoever is killed, as by kill -9, leaves nothing but one of these states.

    Readers look at each of them, and the same call finishes the work: from each in one format of each scenario, from
    every other one in the two others.
    """
    stage, turn = Stage(s3, bucket, tmp_path, scenario, layout, tally), turn_of(scenario, layout)
    states = {stage.matters(state): state for state in states_of_a_publish(stage, fate, caches)}
    assert len(states) >= 5  # of one shard: the state before, the lease, the shard, the head, the lease
    tally("states of a publish between two writes", len(states))
    for number, state in enumerate(states.values()):
        place = f"state-{number}"
        if turn and number % 2 != turn - 1:
            stage.check_readers(state)
            continue
        stage.set_up(place, state)
        stage.check_readers(state, place if number % EVERY == 0 else None)
        caches.of(place)
        stage.finish(fate, place, state)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_p1_to_p4_and_p9_dying_at_a_request(s3, bucket, tmp_path, impatient, fate, caches, scenario, tally):
    """Who dies at a request may have written down what had come of those before; nothing else is left by it.

    It is one request in two, and every other one of them the service still acts on.
    """
    layout = next(layout for layout in FORMATS if turn_of(scenario, layout) == 0)
    stage, killed, finished = Stage(s3, bucket, tmp_path, scenario, layout, tally), 0, set()
    for n in itertools.count(1, 2):
        place = f"killed-{n}"
        stage.set_up(place)
        caches.of(place)
        fate.set(n, acts=n % 4 == 1)
        with contextlib.suppress(zsync.ZsyncError):
            stage.publish(place)
        if not fate.has_come:  # n is beyond its last request
            break
        killed += 1
        state = stage.state(place)
        left = stage.matters(state), caches.content(place)
        if left not in finished:
            finished.add(left)
            stage.check_readers(state)
            stage.finish(fate, place, state)
    assert killed > 5  # of one shard: eleven requests
    assert len(finished) > killed / 4
    tally("kills in process", killed)


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
    requests, killed, finished = fate.count, 0, {}
    for number in range(KILLS):
        n, place = 1 + number * (requests - 1) // (KILLS - 1), f"killed-{number:02d}"
        stage.set_up(place)
        with Proxy(s3.endpoint_url) as proxy:
            config = tmp_path / "config.json"
            config.write_text(json.dumps(stage.config(place, tmp_path / "after", proxy.endpoint_url)))
            killed += kill_command(proxy, config, n, afresh=number == KILLS // 2)
        state = stage.state(place)
        stage.check_readers(state, place)
        if (left := stage.matters(state)) not in finished:
            finished[left] = place
            stage.finish(fate, place, state)
    assert killed >= KILLS - 2  # a request or two less than were counted, and there is none to kill at
    tally("kills of the command, with kill -9", killed)
    stage.check_with_rclone(finished.values())


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
        site = Site(s3, proxy, bucket, tmp_path / "run", {"rewrites": "inplace"})
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
