"""A reader that hardly rests, and 100 publishes: every read is a state that was published, or what two of them share.

The reader is a process of its own. It opens stores as anybody would, reads them whole, and writes down what it found
and which publications were done before and begun after. The verdict comes at the end, when all states are known. It
reads the store that is being published, several times while that goes on and once when it is done, and now and then
another; while the next source is written, and nothing changes, it rests. One read in so many goes by URL, through s3fs
and dask, all others through obstore.

What one open leads to is sure to be whole only until readers are shown something else: who opened before a shrink and
asks for a chunk after it finds fill values where cells were. So a read with wrong values counts against the publisher
only if no consolidated metadata of its store was written between its open and its end. And of a shard readers ask for
the index first, then for the chunks that it tells: who is between the two when the shard is replaced gets the wrong
bytes, whatever the order of writes. Both kinds are counted, and must be few. No open may fail, ever.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import time
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pytest
import seeds
import xarray as xr
import zarr
from proxy import Proxy
from servers import opened
from target import CHUNKS, Site, looking, same
from trees import weather, write_store

import zsync

if TYPE_CHECKING:
    from random import Random

PUBLISHES = seeds.more(100, 200)
BY_URL = 10  # one read in so many goes by URL
ANOTHER = 7  # one read in so many is of a store that is not being published
REST_S = 0.02  # between two reads: the publisher gets on
SHARDED = "sharded.zarr"
STORES = {
    "two.zarr": {"zarr_format": 2},
    "three.zarr": {"zarr_format": 3},
    SHARDED: {"zarr_format": 3, "shards": {"time": 10, "x": 8}},
}
GENERATION = {"d2m": 2, "tcc": 3}  # of the variables that come and go; t2m is always there, as generation 1
LONGEST, WIDEST = 14, 7


@dataclass(frozen=True)
class State:
    """What a store holds; the values follow."""

    time: int
    x: int
    names: frozenset[str] = frozenset()
    revision: int = 0

    def dataset(self) -> xr.Dataset:
        ds = weather(self.time, self.x)
        for name in sorted(self.names):
            ds[name] = weather(self.time, self.x, k=GENERATION[name]).t2m
        ds.t2m.attrs["revision"] = self.revision
        return ds

    @classmethod
    def of(cls, found: xr.Dataset) -> State:
        names = frozenset(map(str, found.data_vars)) - {"t2m"}
        return cls(found.sizes["time"], found.sizes["x"], names, found.t2m.attrs["revision"])


@dataclass(frozen=True)
class Read:
    """One read: what was found, whether all its values are right, and what happened meanwhile."""

    store: str
    done: int  # the last publication that was done before the open
    begun: int  # the last that had begun at the end
    spans: bool  # what readers are shown was written anew between the open and the end, or a shard was
    state: State | None = None  # None: the open failed
    is_right: bool = False
    error: str = ""

    def is_excused(self) -> bool:
        """Whether its values may be wrong; what it was shown when it opened may not."""
        return self.spans and (not self.error or self.store == SHARDED)


class Server(NamedTuple):
    """What the reader has to know of the server."""

    endpoint_url: str
    region: str
    access_key: str
    secret_key: str


def opener(server, bucket, prefix):
    """Return what opens a store, by URL or through obstore."""
    options = {
        "key": server.access_key,
        "secret": server.secret_key,
        "endpoint_url": server.endpoint_url,
        "use_listings_cache": False,
    }

    def open_store(store, *, by_url):
        if by_url:
            return xr.open_zarr(f"s3://{bucket}/{prefix}/{store}", storage_options=options)
        place = zarr.storage.ObjectStore(opened(server, bucket, f"{prefix}/{store}"), read_only=True)
        return xr.open_zarr(place, chunks=None, consolidated=True)  # whoever asks for it is never told otherwise

    return open_store


def whose_turn(reads, begun):
    """Return which store is read after so many reads: each once, then the one that is being published, or another."""
    return reads if reads < len(STORES) else (begun + (reads % ANOTHER == 0)) % len(STORES)


def read_until(stop, publishes, done, begun, arrived, answered, answers, target):
    """Read what is published until told to stop; runs in a process of its own."""
    open_store = opener(*target)
    reads = []
    gc.set_threshold(50_000, 20, 50)  # an eighth of its time went to the garbage collector, as in `conftest`
    while not stop.is_set():
        if len(reads) >= len(STORES):
            time.sleep(REST_S)
            if reads[-1].done == begun.value:
                publishes.wait()
        number = whose_turn(len(reads), begun.value)
        by_url = len(reads) < len(STORES) or len(reads) % BY_URL == 0
        store = [*STORES][number]
        done_before, answered_before = done.value, answered[number]
        state, is_right, error = None, False, ""
        try:
            with open_store(store, by_url=by_url) as there:
                state = State.of(there)
                found = there.load()
            is_right = found.drop_attrs(deep=False).identical(state.dataset().drop_attrs(deep=False))
        except Exception as problem:
            error = f"{type(problem).__name__}: {problem}"
        # Equal only if no write that matters was under way at the open, and none arrived until now.
        spans = arrived[number] != answered_before
        reads.append(Read(store, done_before, begun.value, spans, state, is_right, error))
        if len(reads) == len(STORES):
            answers.send("at work")
    answers.send(reads)


def changed(state: State, rng: Random) -> State:
    """Return a state that differs in one way, or in several at once; no value inside the old extent is another."""
    was = state
    while state == was:
        for _ in range(rng.choice([1, 1, 2, 3])):
            state = CHANGES[rng.choice([*CHANGES])](state, rng)
    return state


def append_into_the_boundary_chunk(state, rng):
    return replace(state, time=min(LONGEST, state.time + rng.randint(1, 2)))


def append_beyond_the_boundary_chunk(state, rng):
    return replace(state, time=min(LONGEST, state.time + rng.randint(5, 7)))


def shrink(state, rng):
    return replace(state, time=rng.randint(1, state.time), x=rng.choice([state.x, rng.randint(1, state.x)]))


def grow_time_and_shrink_x(state, rng):
    return replace(state, time=rng.randint(state.time, LONGEST), x=rng.randint(1, state.x))


def shrink_time_and_grow_x(state, rng):
    return replace(state, time=rng.randint(1, state.time), x=rng.randint(state.x, WIDEST))


def add_or_remove_a_variable(state, rng):
    return replace(state, names=state.names ^ {rng.choice([*GENERATION])})


def change_an_attribute(state, _rng):
    return replace(state, revision=state.revision + 1)


CHANGES = {
    change.__name__: change
    for change in (
        append_into_the_boundary_chunk,
        append_beyond_the_boundary_chunk,
        shrink,
        grow_time_and_shrink_x,
        shrink_time_and_grow_x,
        add_or_remove_a_variable,
        change_an_attribute,
    )
}


def between(old: State, new: State) -> set[State]:
    """Return what readers may see while one state follows another: the fence shows old documents, cut to the minimum.

    A variable that goes away may go with the fence already.
    """
    common = replace(old, time=min(old.time, new.time), x=min(old.x, new.x))
    return {old, common, replace(common, names=old.names & new.names), new}


def allowed(history: list[State], read: Read) -> set[State]:
    states = history[read.done : read.begun + 1]
    return {states[0]}.union(*(between(old, new) for old, new in pairwise(states)))


@pytest.mark.slow
@pytest.mark.torture
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1])
def test_no_read_is_ever_wrong(s3, bucket, tmp_path, tally, seed):
    rng = seeds.rng(seed)
    processes = multiprocessing.get_context("spawn")
    stop = processes.Event()
    arrived, answered = processes.Array("q", len(STORES)), processes.Array("q", len(STORES))
    done, begun = processes.Value("q", 0), processes.Value("q", 0)
    answers, send = processes.Pipe(duplex=False)
    publishes = processes.Event()

    def count(exchange, counter):
        for number, name in enumerate(STORES):
            is_root = exchange.key.endswith((f"/{name}/.zmetadata", f"/{name}/zarr.json"))
            is_shard = name == SHARDED and f"/{name}/" in exchange.key and not exchange.key.endswith("zarr.json")
            if exchange.method == "PUT" and (is_root or is_shard):
                counter[number] += 1

    with Proxy(s3.endpoint_url) as proxy:
        site = Site(s3, proxy, bucket, tmp_path / "run")
        history = {name: [State(7, 6)] for name in STORES}
        for name, form in STORES.items():
            site.store(name, history[name][0].dataset(), **form)
        site.publish()
        proxy.faults.append(lambda exchange: count(exchange, arrived))
        # The publisher is not told of a write before it is counted: what the write leads to comes later.
        proxy.watchers.append(lambda exchange: count(exchange, answered))
        server = Server(s3.endpoint_url, s3.region, s3.access_key, s3.secret_key)
        shared = (stop, publishes, done, begun, arrived, answered, send, (server, bucket, site.prefix))
        reader = processes.Process(target=read_until, args=shared, daemon=True)
        reader.start()
        try:
            assert answers.poll(60)
            answers.recv()  # it has read each store once: its imports are behind it
            for number in range(1, PUBLISHES + 1):
                its_turn = [*STORES][number % len(STORES)]
                for name, states in history.items():
                    states.append(changed(states[-1], rng) if name == its_turn else states[-1])
                write_store(site.root / its_turn, history[its_turn][-1].dataset(), chunks=CHUNKS, **STORES[its_turn])
                begun.value = number
                publishes.set()
                assert site.publish(max_delete="100%").status == "published"
                done.value = number
                publishes.clear()
        finally:
            stop.set()
            publishes.set()
        assert answers.poll(60)
        reads: list[Read] = answers.recv()
        reader.join(30)

    failures = [
        read
        for read in reads
        if read.state not in allowed(history[read.store], read) or not (read.is_right or read.is_excused())
    ]
    spanning = Counter(read.store for read in reads if not read.is_right and read.is_excused())
    states = Counter(store for store, _ in {(read.store, read.state) for read in reads})
    tally("random publishes with a looping reader", PUBLISHES)
    tally("reads of a looping reader", len(reads))
    tally("reads of a looping reader that spanned a change of metadata", sum(spanning.values()))
    told = [f"{read}\n  allowed: {allowed(history[read.store], read)}" for read in failures[:5]]
    assert not failures, "\n".join([f"{len(failures)} reads that no publication explains", *told])
    assert len(reads) >= PUBLISHES / 2
    assert min(states.values()) >= 20
    assert spanning.total() <= len(reads) / 10


@pytest.mark.parametrize("form", STORES)
@pytest.mark.parametrize("shrunk", [{"time": 3}, {"x": 3}, {"time": 14, "x": 3}], ids=str)
def test_a_variable_may_go_away_while_the_others_shrink(s3, bucket, tmp_path, form, shrunk):
    """What the loop above found by chance: while the fence stands, the variable that will go has to fit the others."""
    old = State(12, 8, frozenset({"d2m", "tcc"}))
    new = replace(old, names=frozenset({"tcc"}), **shrunk)
    seen = []
    with Proxy(s3.endpoint_url) as proxy:
        site = Site(s3, proxy, bucket, tmp_path / "run")
        site.store("a.zarr", old.dataset(), **STORES[form])
        site.publish()
        site.store("a.zarr", new.dataset(), **STORES[form])
        with looking(site, lambda _: seen.append(site.read("a.zarr"))):
            site.publish(max_delete="100%")
        seen.append(site.read("a.zarr"))
    assert not [found for found in seen if isinstance(found, str)]
    assert {State.of(found) for found in seen} <= between(old, new)
    assert all(same(found, State.of(found).dataset()) for found in seen)
    assert same(seen[-1], new.dataset())


@pytest.mark.parametrize("form", ["two.zarr", "three.zarr"])
@pytest.mark.parametrize("change", [{"time": 14}, {"time": 3}, {"x": 3}], ids=str)
def test_a_variable_that_is_kept_does_not_close_the_store_to_readers(s3, bucket, tmp_path, form, change):
    """With `retire: keep` it stays as it is while the others change: that is refused, or the store opens still."""
    old = State(7, 6, frozenset({"d2m"}))
    new = replace(old, names=frozenset(), **change)
    with Proxy(s3.endpoint_url) as proxy:
        site = Site(s3, proxy, bucket, tmp_path / "run")
        site.store("a.zarr", old.dataset(), **STORES[form])
        site.publish()
        site.store("a.zarr", new.dataset(), **STORES[form])
        with contextlib.suppress(zsync.ZsyncError):
            site.publish(retire="keep")
        found = site.read("a.zarr")
    assert not isinstance(found, str)
    assert any(same(found[["t2m"]], state.dataset()[["t2m"]]) for state in (old, new))
