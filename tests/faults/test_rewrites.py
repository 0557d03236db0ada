"""A reader that hardly rests, and 100 rewrites in which every value is another: each read is one state, and no mix.

All arrays of the store say which generation they are of, by their values: coordinates too. A rewrite changes them all,
and besides, at random, chunk shapes, the data type, the length of either axis, and codecs. Half of the reads are of
stores that were opened before the rewrite and read after it: they find what they opened.
"""

from __future__ import annotations

import shutil
import threading
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import seeds
import xarray as xr
import zarr
from proxy import Proxy
from servers import opened
from target import Site

REWRITES = seeds.more(100, 200)


@dataclass(frozen=True)
class State:
    """What a store holds."""

    generation: int
    time: int
    x: int
    chunks: tuple[int, int]
    dtype: str
    compressed: bool

    def dataset(self):
        cells = np.arange(self.time * self.x).reshape(self.time, self.x) + 10_000 * self.generation
        return xr.Dataset(
            {"t2m": (("time", "x"), cells.astype(self.dtype)), "mask": (("time", "x"), cells % 251 + self.generation)},
            coords={"time": np.arange(self.time) + 100 * self.generation, "x": np.arange(self.x) + self.generation},
            attrs={"generation": self.generation},
        )

    def write(self, place):
        shutil.rmtree(place, ignore_errors=True)
        codecs = "auto" if self.compressed else None
        encoding = {name: {"chunks": self.chunks, "compressors": codecs} for name in ("t2m", "mask")}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.dataset().to_zarr(place, zarr_format=3, consolidated=True, encoding=encoding)


def next_state(state, rng):
    return State(
        state.generation + 1,
        rng.randint(3, 12),
        rng.randint(2, 6),
        (rng.randint(2, 5), rng.randint(2, 4)),
        rng.choice(["f4", "f8", "i4"]),
        rng.random() < 0.7,
    )


class Reader(threading.Thread):
    """Opens and reads, until it is told to stop; what it opened it reads at once, or after the next publication."""

    def __init__(self, open_store, states, published):
        super().__init__()
        self.open_store, self.states, self.published = open_store, states, published
        self.stop, self.wrong, self.counts = threading.Event(), [], {"at once": 0, "later": 0}

    def run(self):
        while not self.stop.is_set():
            for how in self.counts:
                before = self.published()
                there = self.open_store()
                while how == "later" and self.published() == before and not self.stop.is_set():
                    self.stop.wait(0.01)
                try:
                    found = there.load()
                except Exception as problem:
                    self.wrong.append(f"{how}: {type(problem).__name__}: {problem}")
                    continue
                state = self.states[found.attrs["generation"]]
                if not found.identical(state.dataset()):
                    self.wrong.append(f"{how}: not as {state} was published")
                self.counts[how] += 1


@pytest.mark.slow
@pytest.mark.torture
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1])
def test_no_read_ever_mixes_two_rewrites(s3, bucket, tmp_path, tally, seed):
    rng, done = seeds.rng(seed), 0
    states = [State(0, 6, 4, (3, 2), "f4", compressed=True)]
    with Proxy(s3.endpoint_url) as proxy:
        site = Site(s3, proxy, bucket, tmp_path / "run")
        site.products["a.zarr"] = {"path": "a.zarr", "kind": "zarr"}

        def open_store():
            store = zarr.storage.ObjectStore(opened(s3, bucket, "run/a.zarr"), read_only=True)
            return xr.open_zarr(store, chunks={})

        states[0].write(site.root / "a.zarr")
        site.publish()
        reader = Reader(open_store, states, lambda: done)
        reader.start()
        try:
            for _ in range(REWRITES):
                states.append(next_state(states[-1], rng))
                states[-1].write(site.root / "a.zarr")
                result = site.publish(max_delete="100%")
                assert not [change for change in result.plan.changes if change.stays]
                done += 1
        finally:
            reader.stop.set()
            reader.join()
    tally("rewrites under a reader", REWRITES)
    for how, count in reader.counts.items():
        tally(f"reads of rewrites, {how}", count)
    assert not reader.wrong, reader.wrong[:5]
    assert all(count > REWRITES / 10 for count in reader.counts.values())
