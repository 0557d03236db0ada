"""A publisher is paused at its n-th request, for every n, while a second one publishes something else; then it goes on.

Nothing of the second publication changes (P7), whatever the first one had under way. The request at which it is paused,
and all that come beside it, are held on their way: they reach the service after the second publisher is done, as those
of a machine do that slept, or whose network stalled.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from fnmatch import fnmatchcase

import numpy as np
import pytest
import zarr
from proxy import Exchange, Fault, Proxy, on
from scenarios import FORMATS, SCENARIOS
from servers import s3_client
from target import At, Site, same
from test_every_request import Stage
from trees import quiet_zarr, s3_bytes, s3_tree, weather, write_cog

import zsync
from zsync.errors import ConfigError, ConflictError
from zsync.verbs.lease import leases

IN_PLACE = {"rewrites": "inplace"}

# Each scenario in one of the formats.
CASES = [
    ("first", "v3"), ("append", "v2"), ("boundary", "sharded"), ("shrink", "v2"), ("mixed", "v3"),
    ("update", "sharded"), ("removal", "v3"), ("tree", "v2"), ("three", "v3"), ("replace", "v2"), ("flip-update", "v3"),
]  # fmt: skip


def written_by_another(root):
    """Turn a source into what somebody else publishes: other values, other attributes, the same places."""
    for path in sorted({*root.rglob(".zgroup"), *root.rglob("zarr.json")}):
        if path.name == "zarr.json" and json.loads(path.read_text())["node_type"] != "group":
            continue
        group = zarr.open_group(str(path.parent), mode="r+", use_consolidated=False)
        group.attrs["who"] = "the second publisher"
        for _, array in group.arrays():
            if array.dtype.kind == "f":
                array[...] = array[...] + 1000
    for path in [path for path in root.rglob("*.zarr") if (path / ".zgroup").exists() or (path / "zarr.json").exists()]:
        with quiet_zarr():
            zarr.consolidate_metadata(str(path))
    for path in root.rglob("*.tif"):
        write_cog(path, np.full((32, 32), 77, "float32"))
    for path in root.rglob("index.json"):
        path.write_text('"second"')


class Successor:
    """Who publishes something else while the first publisher is paused.

    What it makes of a state of the target is the same each time, and how it came about the first publisher cannot see.
    So it publishes once from each state, and where that comes again what it left is written there.
    """

    def __init__(self, stage, root):
        self.stage, self.root = stage, root
        self.left, self.publishes = {}, 0

    def publish(self, place):
        """Publish; return the ETags of what there was, and of what there is then: all but the leases, which go on."""
        found = self.stage.state(place)
        told = self.stage.matters(found)
        if told in self.left:
            self.stage.turn(place, found, self.left[told])
        else:
            self.left[told] = self._publish(place)
        return etags(found), etags(self.left[told])

    def _publish(self, place):
        with contextlib.suppress(ConfigError):  # nothing is there yet
            leases(self.stage.config(place, self.root), breaks=True)
        result = zsync.publish(self.stage.config(place, self.root), progress=False)
        assert result.status in ("published", "unchanged")
        self.publishes += 1
        return self.stage.state(place)


def etags(state):
    return {key: etag for key, (_, _, etag) in state.objects.items() if not key.endswith("lease.json")}


class Paused:
    """Holds the n-th request and all after it, until it is let go."""

    def __init__(self, proxy, n):
        self.n, self.first = n, len(proxy.requests)
        self.held, self.go_on = threading.Event(), threading.Event()
        proxy.faults[:] = [self]

    def __call__(self, exchange: Exchange) -> Fault | None:
        if exchange.arrival - self.first + 1 < self.n or self.go_on.is_set():
            return None
        self.held.set()
        return Fault.hold(self.go_on, 60)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "layout"), CASES)
def test_p7_a_publisher_that_was_paused_changes_nothing_of_its_successor(
    s3, bucket, tmp_path, name, layout, tally, monkeypatch
):
    stage = Stage(s3, bucket, tmp_path, name, layout, tally)
    SCENARIOS[name].after(tmp_path / "second", FORMATS[layout])
    written_by_another(tmp_path / "second")
    second = Successor(stage, tmp_path / "second")
    asleep = threading.Event()  # once it is set, whoever looks at the clock sees that the lease ran out long ago
    monkeypatch.setattr("zsync.publication.clock.Deadline.has_passed", property(lambda _: asleep.is_set()))
    paused = told = same_as_before = 0
    with Proxy(s3.endpoint_url) as proxy:
        for n in range(1, 200):
            place = f"paused-{n}"
            stage.set_up(place)
            asleep.clear()
            pause = Paused(proxy, n)
            config = stage.config(place, stage.root / "after", proxy.endpoint_url)
            outcome = []

            def publish(config=config, outcome=outcome):
                try:
                    outcome.append(zsync.publish(config, progress=False))
                except zsync.ZsyncError as error:
                    outcome.append(error)

            first = threading.Thread(target=publish)
            first.start()
            while not pause.held.wait(0.02) and first.is_alive():
                pass
            if not pause.held.is_set():
                first.join()
                break
            found, before = second.publish(place)
            asleep.set()
            pause.go_on.set()
            first.join(60)
            assert not first.is_alive()
            after = stage.etags(place)
            changed = {key for key in before if after.get(key) != before[key]}
            # An ETag names a content, not a generation: of what was on its way, only where the second publisher left an
            # object as it was can no service tell that it is not what the first one saw.
            assert all(before[key] == found.get(key) for key in changed), (n, changed, outcome)
            same_as_before += len(changed)
            paused += 1
            told += isinstance(outcome[0], ConflictError)
    assert paused > 8
    assert told > paused // 2  # before the claim, and after the commit, it may end well
    tally("pauses of a publisher while another published", paused)
    tally("publishes over what a paused publisher left", second.publishes)
    assert second.publishes > paused / 6
    assert same_as_before <= 2


@pytest.mark.parametrize("where", ["*.zarr/t2m/*", "*.zmetadata", "*?delete*"])
def test_p7_a_process_that_was_stopped_and_goes_on_after_its_lease_ran_out(s3, bucket, tmp_path, where):
    """SIGSTOP in the midst of data, roots and retirements, for longer than the lease holds; then SIGCONT."""
    with Proxy(s3.endpoint_url) as proxy:
        site = Site(s3, proxy, bucket, tmp_path / "run", IN_PLACE)
        site.store("a.zarr", weather(40, 8))
        site.publish()
        site.store("a.zarr", weather(35, 8, k=2))
        config = {**site.config(), "publish": {"max_delete": "100%", "workers": 2, **IN_PLACE}}
        script = (
            "import json, sys, zsync, zsync.publication.holding as h\n"
            "h.Leases.__init__.__defaults__ = (2.0,)\n"
            "try:\n"
            "    zsync.publish(json.loads(sys.argv[1]), progress=False)\n"
            "except zsync.ZsyncError as error:\n"
            "    sys.exit(f'{int(error.exit_status)} {error}')\n"
        )
        reached, go_on = threading.Event(), threading.Event()

        def rule(exchange):
            place = f"{exchange.key}?{'&'.join(exchange.query)}"
            if exchange.is_write and fnmatchcase(place, f"{where}*" if "?" not in where else where):
                reached.set()
                return None if go_on.is_set() else Fault.delay(0.5)
            return None

        proxy.faults.append(rule)
        process = subprocess.Popen(
            [sys.executable, "-c", script, json.dumps(config)], stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
        assert reached.wait(60)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            go_on.set()
            time.sleep(2.5)
            other = tmp_path / "other"
            with Proxy(s3.endpoint_url) as direct:
                beside = Site(s3, direct, bucket, other, IN_PLACE)
                beside.store("a.zarr", weather(50, 8, k=5))
                leases(beside.config(), breaks=True)
                assert beside.publish(max_delete="100%").status == "published"
                before = s3_bytes(s3, bucket, "run/a.zarr/")
        finally:
            os.kill(process.pid, signal.SIGCONT)
        _, said = process.communicate(timeout=60)
        if process.returncode or "delete" not in where:  # with its last deletions under way it was done, and on record
            assert said.splitlines()[-1].startswith("4 "), said
        assert s3_bytes(s3, bucket, "run/a.zarr/") == before
        assert same(site.read("a.zarr"), weather(50, 8, k=5))


def test_p7_a_clock_that_is_ahead_takes_over_no_live_lease(s3, proxy, bucket, tmp_path, monkeypatch):
    """J3: the lease is judged by the clock of the service, not by that of who wants it."""
    import datetime as dt

    from zsync.publication import lease

    site = Site(s3, proxy, bucket, tmp_path / "run", IN_PLACE)
    site.store("a.zarr", weather(6, 8))
    site.publish()
    site.store("a.zarr", weather(9, 8))
    told = []

    def meanwhile():
        with monkeypatch.context() as patch:
            patch.setattr(lease, "now", lambda: dt.datetime.now(dt.UTC) + dt.timedelta(seconds=120))
            patch.setattr(lease, "is_this", lambda _process: False)
            try:
                told.append(site.publish())
            except ConflictError as error:
                told.append(error)

    zsync.publish(site.config(), progress=At("data", meanwhile))
    assert isinstance(told[0], ConflictError), told
    assert "is publishing this product" in str(told[0])
    assert same(site.read("a.zarr"), weather(9, 8))
    state = s3_tree(s3, bucket, "run/.zsync/a.zarr/")
    assert not [key for key in state if key.startswith("clock-")]


@pytest.mark.parametrize(
    "key", ["*lease.json", "*head.json", "run/a.zarr/t2m/0.0", "*.zmetadata", "run/a.zarr/t2m/.zarray"]
)
def test_p7_an_answer_that_was_lost_is_no_conflict(s3, proxy, bucket, tmp_path, key):
    """A2: the service acted, the answer was lost: the retry meets its own bytes, and goes on."""
    site = Site(s3, proxy, bucket, tmp_path / "run", IN_PLACE)
    for k in (1, 2):
        site.store("a.zarr", weather(4 + k, 8, k=k))
        proxy.faults[:] = [on(Fault.lost(), method="PUT", key=key)]
        assert site.publish().status == "published"
        assert any(exchange.fault is not None for exchange in proxy.requests)
        proxy.requests.clear()
        assert same(site.read("a.zarr"), weather(4 + k, 8, k=k))
    assert site.publish().status == "unchanged"


def test_p7_what_another_tool_wrote_meanwhile_ends_the_run_and_stays(s3, proxy, bucket, tmp_path):
    site = Site(s3, proxy, bucket, tmp_path / "run", IN_PLACE)
    site.store("a.zarr", weather(6, 8))
    site.publish()
    site.store("a.zarr", weather(6, 8, k=2))

    def overwrite():
        with contextlib.closing(s3_client(s3)) as client:
            client.put_object(Bucket=bucket, Key="run/a.zarr/t2m/0.0", Body=b"another tool's")

    with pytest.raises(ConflictError, match="somebody else wrote this object"):
        zsync.publish(site.config(), progress=At("data", overwrite))
    assert s3_bytes(s3, bucket, "run/a.zarr/")["t2m/0.0"] == b"another tool's"
    assert site.publish().status == "published"  # it is seen now, and the source is what is published
    assert same(site.read("a.zarr"), weather(6, 8, k=2))
