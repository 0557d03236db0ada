"""Cut pulls off at every step, on the network and on the disk: local readers see only what the promises allow, and the
same call ends right and fetches nothing twice that had arrived. And pulls through a network that errs.

What a pull that is cut off at a step leaves in the directory is what is there when that step of any pull begins, or, if
it is in the midst of a file, half of that file besides: so one pull that is watched shows all that is ever left. What
else is left, in the process and on its machine, is shown by cutting pulls off.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import prepared
import pytest
import xarray as xr
from mortal import Fate, Mortal
from proxy import Fault, Proxy
from scenarios import FORMATS, SCENARIOS, OnDisk, View, same
from servers import tool_env
from target import CHUNKS
from trees import quiet_zarr, read_tree, weather, write_store, write_tree

import zsync
from zsync.errors import SourceChangedError


class Death(Fate):
    """When buckets and disk die; if that is while a file is written, half of it gets there."""

    tore = 0


def mortal_disk(monkeypatch, fate):
    """Have every write to the disk ask its fate first; one that dies in a write leaves half of it."""
    from zsync.storage import file_transport as disk
    from zsync.storage import handles

    def dying(room, name):
        act = getattr(room, name)
        return lambda handle, *rest: fate("disk", rest[0], lambda: act(handle, *rest))

    def torn(handle, name, blocks, *mode, write=disk.write_new):
        data = b"".join(blocks)
        half = [data[: len(data) // 2]]
        with fate.lock:
            dies = fate.at == fate.count + 1
        if dies:
            fate.tore += 1
            write(handle, name, half, *mode)
        if fate.watch is not None:
            with fate.turns:
                fate.tore += 1
                write(handle, name, half, *mode)
                fate.watch()
                os.unlink(name, dir_fd=handle)
        return fate("disk", name, lambda: write(handle, name, [data], *mode))

    for room, name in ((disk, "rename"), (disk, "remove"), (handles, "remove")):
        monkeypatch.setattr(room, name, dying(room, name))
    for room in (disk, handles):
        monkeypatch.setattr(room, "write_new", torn)


@pytest.fixture
def fate(monkeypatch):
    """The fate of all buckets and of the disk, opened from now on."""
    from zsync.storage import opening

    fate, s3 = Death(), opening._open_obstore
    monkeypatch.setattr("zsync.storage.opening._open_obstore", lambda place: Mortal(s3(place), fate))
    mortal_disk(monkeypatch, fate)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # processes die here, and no disk: what was written is there
    opening._connect.cache_clear()
    yield fate
    opening._connect.cache_clear()


def storage_of(s3, endpoint_url=None):
    return {
        "endpoint_url": endpoint_url or s3.endpoint_url,
        "region": s3.region,
        "access_key_id": s3.access_key,
        "secret_access_key": s3.secret_key,
    }


def here(root, before, after, seen=None, files=None):
    """Return a local copy as readers see it, and what they may see."""
    return View(OnDisk(root, files), before, after, {} if seen is None else seen)


class Copy:
    """What is published before and after, and a local copy that follows it."""

    def __init__(self, s3, bucket, root, name, layout):
        self.s3, self.bucket, self.root = s3, bucket, root
        self.scenario = SCENARIOS[name]
        self.states = {}
        for when in ("before", "after"):
            write = getattr(self.scenario, when)
            if write is not None:
                self.states[when] = write(root / when, FORMATS[layout])
                self.publish(when)
        self.files = read_tree(root / "after")
        self.checked, self.seen = set(), {}

    def publish(self, when):
        products = {path.name: {"path": path.name} for path in sorted((self.root / when).iterdir())}
        zsync.publish(
            {
                "source": str(self.root / when),
                "target": f"s3://{self.bucket}/{when}",
                "products": products,
                "storage": storage_of(self.s3),
            },
            progress=False,
        )

    def pull(self, when, place):
        return zsync.pull(f"s3://{self.bucket}/{when}", self.root / place, progress=False, **storage_of(self.s3))

    def tree(self, place):
        """Return what is there, without zsync's own records."""
        found = read_tree(self.root / place)
        return {key: body for key, body in found.items() if not key.startswith(".zsync/")}

    def look(self, place):
        """See what readers see, once for each state of the files."""
        tree = self.tree(place)
        state = frozenset(tree.items())
        if state not in self.checked:
            self.checked.add(state)
            before, after = self.states.get("before", {}), self.states["after"]
            self.scenario.check(here(self.root / place, before, after, self.seen, tree))
        return tree


def is_data(key):
    return key.rpartition("/")[2] not in (".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json")


class Directories:
    """Copies of directories that zsync takes for the originals: to it the files have the times and inodes of those."""

    def __init__(self, monkeypatch):
        from zsync.storage import file_transport as disk

        self.real, self.tokens = disk._token, {}
        monkeypatch.setattr(disk, "_token", self.token)

    def token(self, status):
        return self.tokens.get(real := self.real(status), real)

    def copy(self, old, new):
        for above, _, names in os.walk(old):
            there = new / os.path.relpath(above, old)
            there.mkdir(parents=True, exist_ok=True)
            for original, made in ((Path(above, name), there / name) for name in names):
                shutil.copyfile(original, made)
                self.tokens[self.real(made.stat())] = self.token(original.stat())


@pytest.fixture
def directories(monkeypatch):
    return Directories(monkeypatch)


def pull_before(copy, fate):
    """Pull what came before, if anything did: each cut begins with a copy of that."""
    fate.set()
    if "before" in copy.states:
        copy.pull("before", "untouched")


def states_of_a_pull(copy, fate, directories):
    """Pull what came after, and return copies of the directory: one after each step on the disk, whole or half done."""
    states = [copy.root / "state-0"]

    def keep():
        directories.copy(copy.root / "here", states[-1])
        states.append(copy.root / f"state-{len(states)}")

    directories.copy(copy.root / "untouched", copy.root / "here")
    fate.set(watch=keep)
    copy.pull("after", "here")
    fate.set()
    shutil.rmtree(copy.root / "here")
    return states[:-1]


def cut_off(copy, fate, directories, n):
    """Pull what came after, and let everything die at step n; return whether there was one."""
    directories.copy(copy.root / "untouched", copy.root / "here")
    fate.set(n)
    with contextlib.suppress(zsync.ZsyncError):
        copy.pull("after", "here")
    died = fate.has_come
    fate.set()
    return died


def finish(copy, place, fetched):
    """See what readers see, and that the same call finishes the work, and fetches no data that had arrived."""
    arrived = {key for key, body in copy.look(place).items() if copy.files.get(key) == body and is_data(key)}
    fetched.clear()
    copy.pull("after", place)
    again = {key.removeprefix("after/") for key in fetched} & arrived
    assert not again, again
    assert copy.tree(place) == copy.files
    assert not list((copy.root / place).rglob("pending/*"))
    shutil.rmtree(copy.root / place)


@pytest.fixture
def fetched(monkeypatch):
    """Keys that are read from the bucket."""
    from zsync.storage.obstore_transport import ObstoreTransport

    keys, fetch = [], ObstoreTransport.fetch

    def noted(self, key, *rest, **named):
        keys.append(key)
        return fetch(self, key, *rest, **named)

    monkeypatch.setattr(ObstoreTransport, "fetch", noted)
    return keys


# A directory has the source's keys, always.
PULLS = [(name, list(FORMATS)[n % 3]) for n, name in enumerate(SCENARIOS) if not name.startswith("flip-")]


DEATHS = 9  # one step in so many


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("scenario", "layout"), PULLS)
def test_a_pull_that_is_cut_off_at_any_step(
    s3, bucket, tmp_path, impatient, fate, directories, fetched, scenario, layout, tally
):
    copy = Copy(s3, bucket, tmp_path, scenario, layout)
    pull_before(copy, fate)
    for n in range(1, 600, DEATHS):
        died = cut_off(copy, fate, directories, n)
        if (tmp_path / "here").exists():
            finish(copy, "here", fetched)
        if not died:  # n is beyond its last step
            break
        tally("cuts of pulls", 1)
    assert n > 20
    states = states_of_a_pull(copy, fate, directories)
    every = {"first": 1, "append": 1, "three": 4}.get(scenario, 2)  # what takes long is finished less often
    for number, state in enumerate(states):
        copy.look(state.name)
        if number % every == 0:
            state.rename(tmp_path / "here")
            finish(copy, "here", fetched)
            tally("states that cuts of pulls leave, and the same call finished", 1)
    assert len(states) > 10
    tally("cuts of pulls in the middle of a file", fate.tore)
    tally("states of local copies that readers looked at", len(copy.checked))


# --- what is published moves on ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "layout"), [("append", "v3"), ("shrink", "sharded"), ("mixed", "v2"), ("removal", "v3")]
)
def test_a_pull_that_was_cut_off_follows_what_was_published_since(
    s3, bucket, tmp_path, impatient, fate, directories, fetched, scenario, layout, tally
):
    """What is here then is of two publications, neither of which is current; but all of it is ours."""
    copy = Copy(s3, bucket, tmp_path, scenario, layout)
    shutil.copytree(tmp_path / "after", tmp_path / "second")
    write_store(tmp_path / "latest" / "a.zarr", weather(11, 7, k=3), chunks=CHUNKS, **FORMATS[layout])
    copy.publish("latest")
    latest = read_tree(tmp_path / "latest")
    pull_before(copy, fate)
    states = states_of_a_pull(copy, fate, directories)[::3]
    for state in states:
        state.rename(tmp_path / "here")
        result = copy.pull("latest", "here")
        assert not [finding for finding in result.findings if finding.code == "left-alone"], state
        assert copy.tree("here") == latest, state
        shutil.rmtree(tmp_path / "here")
    assert len(states) >= 5
    tally("cuts of pulls", len(states))


def test_permissions_and_times_do_not_make_a_store_somebody_elses(s3, bucket, tmp_path):
    copy = Copy(s3, bucket, tmp_path, "append", "v2")
    copy.pull("before", "here")
    for path in (tmp_path / "here" / "a.zarr").rglob("*"):
        if path.is_file():
            path.chmod(0o640)
            os.utime(path)
    assert copy.pull("after", "here").status == "pulled"
    assert copy.tree("here") == copy.files


def test_what_a_desktop_leaves_in_a_store_does_not_make_it_somebody_elses(s3, bucket, tmp_path):
    copy = Copy(s3, bucket, tmp_path, "append", "v3")
    copy.pull("before", "here")
    for name in (".DS_Store", "t2m/._x", "t2m/.nfs0001", "t2m/c/9.partial"):
        write_tree(tmp_path / "here" / "a.zarr", {name: b"left"})
    assert copy.pull("after", "here").status == "pulled"
    left = {"a.zarr/.DS_Store", "a.zarr/t2m/._x", "a.zarr/t2m/.nfs0001", "a.zarr/t2m/c/9.partial"}
    assert copy.tree("here").keys() - copy.files.keys() == left  # it is not ours to remove
    assert {key: body for key, body in copy.tree("here").items() if key not in left} == copy.files


# --- faults of the network --------------------------------------------------------------------------------------------

FAULTS = {
    "throttled": Fault.slow_down(),
    "an error": Fault.error(500),
    "reset": Fault.reset(),
    "cut short": Fault.truncate(10),
    "nothing of it": Fault.truncate(0),
    "lost": Fault.lost(),
}


@pytest.fixture
def published(site):
    """A store, files and COGs in a bucket; pulls go through a proxy that may err."""
    site.store("a.zarr", weather(12, 8), groups={"Auxiliary": weather(12, 8, k=2)})
    write_tree(site.root / "files", {f"{name}.bin": name * 2000 for name in "abcdef"})
    site.products["files"] = {"path": "files", "kind": "files"}
    site.publish()
    return site


def pull_all(site, here, **options):
    return zsync.pull(
        f"s3://{site.bucket}/run", here, progress=False, **{**storage_of(site.s3, site.proxy.endpoint_url), **options}
    )


def check_pulled(site, here):
    for name in site.products:
        assert read_tree(here / name) == read_tree(site.root / name)


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_network_that_errs_now_and_then_does_not_matter(published, tmp_path, fault, transport, tally):
    count = iter(range(10**6))
    published.proxy.faults.append(lambda exchange: fault if next(count) % 4 == 2 and exchange.method == "GET" else None)
    assert pull_all(published, tmp_path / "here", transport=transport).status == "pulled"
    check_pulled(published, tmp_path / "here")
    met = sum(exchange.fault is not None for exchange in published.proxy.requests)
    assert met >= 5
    tally("requests of pulls that met a fault of the network", met)


def damage(monkeypatch, times, of="t2m/0.0"):
    """Let the network change a byte of an object, so many times."""
    from zsync.storage.obstore_transport import ObstoreTransport

    fetch, left = ObstoreTransport.fetch, [times]

    def damaged(self, key, *rest, **named):
        data = fetch(self, key, *rest, **named)
        if key.endswith(of) and left[0]:
            left[0] -= 1
            return data[:-1] + bytes([data[-1] ^ 1])
        return data

    pieces = ObstoreTransport.pieces

    def damaged_pieces(self, key, *rest, **named):
        for piece in pieces(self, key, *rest, **named):
            if key.endswith(of) and left[0]:
                left[0] -= 1
                yield piece[:-1] + bytes([piece[-1] ^ 1])
            else:
                yield piece

    monkeypatch.setattr(ObstoreTransport, "fetch", damaged)
    monkeypatch.setattr(ObstoreTransport, "pieces", damaged_pieces)


@pytest.mark.parametrize("of", ["a.zarr/t2m/0.0", "a.zarr/t2m/.zarray", "a.bin"])
def test_bytes_that_change_on_the_way_are_noticed_and_asked_for_again(published, tmp_path, monkeypatch, of):
    damage(monkeypatch, 1, of)
    pull_all(published, tmp_path / "here")
    check_pulled(published, tmp_path / "here")


@pytest.mark.parametrize("of", ["a.zarr/t2m/0.0", "a.zarr/t2m/.zarray", "a.bin"])
def test_bytes_that_are_never_right_are_never_kept(published, tmp_path, monkeypatch, of):
    damage(monkeypatch, 10**6, of)
    with pytest.raises(zsync.ZsyncError, match=r"did not arrive as it is on record: s3://.*; pull again"):
        pull_all(published, tmp_path / "here")
    assert not (tmp_path / "here" / of.replace("a.bin", "files/a.bin")).exists()
    assert here(tmp_path / "here", {}, {}).read("a.zarr") in ("FileNotFoundError", "GroupNotFoundError")
    monkeypatch.undo()
    pull_all(published, tmp_path / "here")
    check_pulled(published, tmp_path / "here")


def test_a_large_file_that_changes_on_the_way(site, tmp_path, monkeypatch):
    """It comes in parts, of which the sum is looked at before the file has a name."""
    monkeypatch.setattr("zsync.storage.retrying.RetryPolicy.__init__.__defaults__", (2, 1, 0.0, 0.0))
    site.root.mkdir(parents=True)
    (site.root / "large").mkdir()
    with open(site.root / "large" / "x.bin", "wb") as file:
        file.truncate(65 * 2**20)
    site.products["large"] = {"path": "large", "kind": "files"}
    site.publish()
    damage(monkeypatch, 10**6, "x.bin")
    with pytest.raises(zsync.ZsyncError, match="did not arrive as it is on record"):
        pull_all(site, tmp_path / "here")
    assert not list((tmp_path / "here").rglob("x.bin*"))
    monkeypatch.undo()
    damage(monkeypatch, 1, "x.bin")
    pull_all(site, tmp_path / "here")
    check_pulled(site, tmp_path / "here")


# --- what is published moves on while it is pulled --------------------------------------------------------------------


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("at", [0.05, 0.4, 0.7, 0.95])
def test_what_is_published_during_a_pull(site, tmp_path, layout, at, tally):
    """The copy is consistent with one publication, or the pull fails and says what to do, and then is."""
    site.store("a.zarr", weather(12, 8), **FORMATS[layout])
    site.publish()
    dest, url = tmp_path / "here", f"s3://{site.bucket}/run/a.zarr"
    storage = storage_of(site.s3, site.proxy.endpoint_url)
    zsync.pull(url, tmp_path / "other", progress=False, **storage)
    requests = [exchange for exchange in site.proxy.requests if exchange.method == "GET"]
    count = int(at * len(requests) / 2)
    seen, direct = iter(range(10**6)), {**site.config(), "storage": storage_of(site.s3)}
    old, new = weather(12, 8), weather(14, 6, k=2)

    def republish(exchange):
        if exchange.method == "GET" and next(seen) == count:
            zsync.publish(direct, progress=False, max_delete="100%", on_incompatible="replace")

    shutil.rmtree(site.root)
    site.store("a.zarr", new, **FORMATS[layout])
    site.proxy.watchers.append(republish)
    stopped = ""
    try:
        zsync.pull(url, dest, progress=False, **storage)
    except SourceChangedError as error:
        stopped = str(error)
    found = here(dest, {}, {}).read("a.zarr")
    assert "pull again" in stopped if stopped else same(found, old) or same(found, new)
    assert not stopped or found in ("FileNotFoundError", "GroupNotFoundError")
    tally("pulls that were stopped by what was published meanwhile", bool(stopped))
    site.proxy.watchers.clear()
    zsync.pull(url, dest, progress=False, **storage)
    assert same(here(dest, {}, {}).read("a.zarr"), new)
    assert read_tree(dest / "a.zarr") == read_tree(site.root / "a.zarr")


# --- kill -9 ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", ["first", "append", "shrink", "three"])
def test_kill_9_of_the_real_command(s3, bucket, tmp_path, fate, fetched, scenario, tally):
    copy = Copy(s3, bucket, tmp_path, scenario, "v2")
    fate.set()
    copy.pull("after", "whole")
    killed = 0
    for n in (4, 8, 12, 16, 20):
        shutil.rmtree(tmp_path / "here", ignore_errors=True)
        if "before" in copy.states:
            copy.pull("before", "here")
        with Proxy(s3.endpoint_url) as proxy:
            killed += kill_command(s3, proxy, f"s3://{bucket}/after", tmp_path / "here", n, afresh=n == 12)
        finish(copy, "here", fetched)
    assert killed >= 3
    tally("kills of pulls, with kill -9", killed)


def test_kill_9_of_a_pull_of_a_part_and_the_next_takes_away_what_it_left(s3, bucket, tmp_path, tally):
    copy, here = Copy(s3, bucket, tmp_path, "append", "v2"), tmp_path / "here"
    url, left = f"s3://{bucket}/after/a.zarr", []
    for n in range(13, 19):  # of eighteen requests the last six are for chunks, which go to the part as they come
        with Proxy(s3.endpoint_url) as proxy:
            tally("kills of pulls, with kill -9", kill_command(s3, proxy, url, here, n, "--select", "time=9..16"))
        left.append(len([*here.glob(".zsync/a.zarr/parts/*/owner.json")]))
    assert max(left) == 1  # it was killed while it wrote the part; and each took away what the one before left
    zsync.pull(url, here, select={"time": "9..16"}, progress=False, **storage_of(s3))
    assert not [*here.glob(".zsync/a.zarr/parts")]
    part = copy.states["after"]["a.zarr"].sel(time=slice(9, 16))
    with quiet_zarr():
        assert same(xr.open_zarr(here / "a.zarr").load(), part)


def kill_command(s3, proxy, url, dest, n, *options, afresh=None):
    """Pull by the command, and kill it when its n-th request comes in; return whether that came."""
    process, started, is_dead = None, threading.Event(), []

    def rule(exchange):
        if exchange.arrival + 1 < n and not is_dead:
            return None
        started.wait(10)
        if not is_dead:
            is_dead.append(True)
            os.kill(process.pid, signal.SIGKILL)
        return Fault.reset()

    proxy.faults.append(rule)
    environment = {**os.environ, **tool_env(s3), "AWS_ENDPOINT_URL": proxy.endpoint_url}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = prepared.command("pull", url, dest, "-q", *options, env=environment, afresh=afresh, **pipes)
    started.set()
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), said
    return bool(is_dead)
