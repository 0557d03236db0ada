"""Cut the publisher off at its n-th write, for every n: readers see only states that the promises allow, and the same
call finishes the work.

From the n-th write on, the target refuses everything, so nothing is cleaned up either: as if the process had died, or
the network. Before the refused write the server may have acted already (``lost``) or not (``refuse``).
"""

from __future__ import annotations

import shutil

import pytest
from proxy import Fault, Proxy, on
from target import Site, same
from trees import read_tree, s3_tree, weather

import zsync

FORMATS = {
    "v2": {"zarr_format": 2},
    "v3": {"zarr_format": 3},
    "sharded": {"zarr_format": 3, "shards": {"time": 10, "x": 8}},
}
# (extent before, extent after): None is a store that was never published.
SCENARIOS = {
    "first": (None, (7, 8)),
    "append": ((10, 8), (15, 8)),
    "boundary chunk": ((7, 8), (9, 8)),
    "shrink": ((12, 8), (7, 8)),
    "mixed": ((10, 8), (13, 6)),
}
NOT_FOUND = {"FileNotFoundError", "GroupNotFoundError", "KeyError"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """What is cut off stays cut off: trying again would only take time."""
    monkeypatch.setattr("zsync.storage.retrying.RetryPolicy.__init__.__defaults__", (1, 1, 0.0, 0.0))


class Cut:
    """Refuses every request from the n-th write on; that write itself may still be acted on."""

    def __init__(self, n, *, acted):
        self.n, self.acted, self.writes = n, acted, 0

    def __call__(self, exchange):
        if self.writes >= self.n:
            return Fault.reset()
        self.writes += exchange.is_write
        if self.writes == self.n:
            return Fault.lost() if self.acted else Fault.reset()
        return None


def allowed_states(old, new):
    states = {"new": weather(*new)}
    if old is not None:
        states |= {"old": weather(*old), "common": weather(*map(min, old, new))}
    return states


def check_readers(site, old, states):
    consolidated = site.read("a.zarr")
    assert any(same(consolidated, state) for state in states.values()) or (old is None and consolidated in NOT_FOUND)
    bypassing = site.read("a.zarr", consolidated=False)
    # Arrays turn over one by one there: lengths may conflict (ValueError), values are never wrong.
    assert isinstance(bypassing, str) or any(same(bypassing, state) for state in states.values())
    assert not isinstance(bypassing, str) or bypassing == "ValueError" or (old is None and bypassing in NOT_FOUND)


def test_a_fence_is_never_taken_for_the_source(s3, bucket, tmp_path, monkeypatch):
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


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_cut_off_at_every_write(s3, bucket, tmp_path, scenario, layout, record_property):
    old, new = SCENARIOS[scenario]
    cuts = 0
    for n in range(1, 200):
        with Proxy(s3.endpoint_url) as proxy:
            site = Site(s3, proxy, bucket, tmp_path / str(n))
            site.prefix = f"{scenario}-{layout}-{n}".replace(" ", "-")
            if old is not None:
                site.store("a.zarr", weather(*old), **FORMATS[layout])
                site.publish()
                shutil.rmtree(site.root)
            site.store("a.zarr", weather(*new), **FORMATS[layout])
            proxy.faults.append(Cut(n, acted=n % 2 == 0))
            try:
                site.publish(max_delete="100%")
                finished = True  # n is beyond the last write that matters
            except zsync.ZsyncError:
                finished = False
                cuts += 1
            proxy.faults.clear()
            check_readers(site, old, allowed_states(old, new))
            arrived = s3_tree(s3, bucket, f"{site.prefix}/a.zarr/")
            before = len(site.puts())
            site.publish(max_delete="100%")
            assert same(site.read("a.zarr"), weather(*new))
            assert same(site.read("a.zarr", consolidated=False), weather(*new))
            listed = s3_tree(s3, bucket, f"{site.prefix}/a.zarr/")
            assert set(listed) == set(read_tree(site.root / "a.zarr"))
            again = {key.removeprefix("a.zarr/") for key in site.puts()[before:]}
            assert not {key for key in again if arrived.get(key) == listed[key]}
            assert site.publish().status == "unchanged"
            shutil.rmtree(site.root)
            if finished:
                break
    assert finished
    assert cuts >= 8
    record_property("cuts", cuts)
