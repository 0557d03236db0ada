"""Ten thousand files over five sites change at random, eleven thousand times, and `zsync watch` keeps up.

The service is the real command in a process of its own. Two sites hold a Zarr store that grows, each with a reader
that never rests. Meanwhile every endpoint is asked again and again, and the memory of the process is measured. In the
end the bytes are the same on both sides (the server's ETags are the MD5s of what it holds). And the same with fewer
files for a short while, a kill -9 in the middle, and one pass.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import xarray as xr
import yaml
import zarr
from seeds import rng
from servers import opened, tool_env
from target import CHUNKS, NOT_FOUND
from trees import append, read_tree, s3_tree, weather, write_store

# What is there is compared with the sources byte for byte.
PUBLISH = {"max_delete": "100%", "rewrites": "inplace", "on_incompatible": "refuse"}

FILES, FEW, SITES, WITH_STORE = 10_000, 2_000, 5, 2
CHANGES, SHORT = 2_200, 300  # of each site, in the storm and until the service has been killed
BURST, PAUSE_S, SHORT_PAUSE_S = 20, 0.15, 0.4
WIDTH = 8
BY_URL = 10  # one read in so many goes by URL
STORE = "grows.zarr"
QUIET_S = 90  # what the service may take to catch up on a slow machine


class Storm:
    """Changes the files of one site so many times: writes, deletions, renames, new directories."""

    def __init__(self, root: Path, seed: int, total: int, pause_s: float) -> None:
        self.root, self.total, self.pause_s = root, total, pause_s
        self.rng = rng(seed)
        self.files = [path for path in root.rglob("*") if path.is_file() and STORE not in path.parts]
        self.changes = 0

    def run(self) -> None:
        while self.changes < self.total:
            for _ in range(BURST):
                self.rng.choices([self.rewrite, self.create, self.delete, self.rename, self.grow], [5, 3, 2, 2, 1])[0]()
                self.changes += 1
            time.sleep(self.pause_s)

    def rewrite(self) -> None:
        # Of the same size, often: only content tells.
        path = self.rng.choice(self.files)
        path.write_bytes(self.rng.randbytes(path.stat().st_size))

    def create(self) -> None:
        path = self.root / f"d{self.rng.randrange(60)}" / f"new-{self.rng.getrandbits(48):x}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.rng.randbytes(self.rng.randrange(1, 3000)))
        self.files.append(path)

    def delete(self) -> None:
        self.files.pop(self.rng.randrange(len(self.files))).unlink()

    def rename(self) -> None:
        number = self.rng.randrange(len(self.files))
        there = self.root / f"d{self.rng.randrange(60)}" / f"moved-{self.rng.getrandbits(48):x}"
        there.parent.mkdir(exist_ok=True)
        self.files[number] = self.files[number].rename(there)

    def grow(self) -> None:
        with self.rng.choice(self.files).open("ab") as file:
            file.write(self.rng.randbytes(100))


class Service:
    """`zsync watch` in a process of its own."""

    def __init__(self, config: Path, env: dict[str, str], log: Path) -> None:
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "zsync", "watch", str(config), "--log-format", "json"],
                env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=config.parent,
            )  # fmt: skip
        self.log = log
        self.address = ""

    def wait_for_address(self) -> None:
        until = time.monotonic() + 30
        while not (found := re.search(r"listening on (http://[0-9.:]+)", self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)
        self.address = found[1]

    def ask(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"{self.address}{path}", timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def rss(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


@pytest.fixture
def sites(request, s3, bucket, tmp_path):
    """Directories by name, filled with so many files in all, and a configuration for them."""
    choose = rng(7)
    roots = {}
    for number in range(SITES):
        name = f"site{number}"
        roots[name] = root = tmp_path / name
        for directory in range(40):
            (root / f"d{directory}").mkdir(parents=True)
        for file in range(request.param // SITES):
            (root / f"d{file % 40}" / f"f{file}").write_bytes(choose.randbytes(choose.randrange(1, 2000)))
        if number < WITH_STORE:
            write_store(root / STORE, weather(12, WIDTH), chunks=CHUNKS, zarr_format=2 + number)
    document = {
        "watch": {"listen": "127.0.0.1:0", "interval": "250ms", "settle": "500ms", "compare": "8s", "history": 20},
        "storage": {"endpoint_url": s3.endpoint_url, "region": s3.region},
        "sites": {
            name: {"source": str(root), "target": f"s3://{bucket}/{name}", "publish": PUBLISH}
            for name, root in roots.items()
        },
    }
    path = tmp_path / "sites.yaml"
    path.write_text(yaml.safe_dump(document))
    return roots, path


class Grower(threading.Thread):
    """Appends to a store, as a pipeline does, with rests in between."""

    def __init__(self, path: Path, storm: threading.Thread) -> None:
        super().__init__(daemon=True)
        self.path, self.storm, self.length = path, storm, 12
        self.start()

    def run(self) -> None:
        while self.storm.is_alive():
            append(self.path, weather(self.length + 4, WIDTH).isel(time=slice(self.length, None)))
            self.length += 4
            time.sleep(1.5)


class Reader(threading.Thread):
    """Opens a store as anybody would and reads it whole, time and again, and writes down what was wrong.

    One read in so many goes by URL, through s3fs and dask, all others through obstore.
    """

    def __init__(self, s3, bucket: str, store: str) -> None:
        super().__init__(daemon=True)
        keys = {"key": s3.access_key, "secret": s3.secret_key, "endpoint_url": s3.endpoint_url}
        options = {"storage_options": {**keys, "use_listings_cache": False}}
        place = zarr.storage.ObjectStore(opened(s3, bucket, store), read_only=True)
        self.ways = [(f"s3://{bucket}/{store}", options), *[(place, {"chunks": None})] * (BY_URL - 1)]
        self.problems: list[str] = []
        self.lengths: list[int] = []
        self.ends = threading.Event()
        self.start()

    def run(self) -> None:
        for where, options in itertools.cycle(self.ways):
            if self.ends.wait(0.2):
                return
            try:
                with xr.open_zarr(where, consolidated=True, **options) as there:
                    found = there.load()
            except Exception as error:
                # Before it was published, and between the last two objects of its first publication, there is no store.
                if self.lengths or not (type(error).__name__ in NOT_FOUND or str(error) == ".zmetadata"):
                    self.problems.append(f"{type(error).__name__} after {len(self.lengths)} reads: {error}")
                continue
            length = found.sizes["time"]
            if not found.equals(weather(length, WIDTH)):
                self.problems.append(f"wrong values at length {length}")
            self.lengths.append(length)


def same_everywhere(s3, bucket, roots):
    """Return the sites of which the target does not hold just what the source holds."""
    different = {}
    for name, root in roots.items():
        here = {key: (len(data), hashlib.md5(data).hexdigest()) for key, data in read_tree(root).items()}
        there = s3_tree(s3, bucket, f"{name}/")
        if here != there:
            different[name] = sorted(key for key in {*here, *there} if here.get(key) != there.get(key))[:5]
    return different


def run_storm(roots, seed, total, pause_s):
    storms = [Storm(root, seed + number, total, pause_s) for number, root in enumerate(roots.values())]
    threads = [threading.Thread(target=storm.run, daemon=True) for storm in storms]
    for thread in threads:
        thread.start()
    return storms, threads


@pytest.mark.slow
@pytest.mark.torture
@pytest.mark.timeout(400)
@pytest.mark.parametrize("sites", [FILES], indirect=True)
def test_a_storm_over_five_sites_ends_with_bytes_equal(s3, bucket, sites, tmp_path, tally):
    roots, config = sites
    env = {**os.environ, **tool_env(s3)}
    service = Service(config, env, tmp_path / "watch.log")
    try:
        service.wait_for_address()
        readers = [Reader(s3, bucket, f"site{number}/{STORE}") for number in range(WITH_STORE)]
        wait_until_read(readers)  # what a slow machine takes for the first 10,000 files is not what is tried here
        storms, threads = run_storm(roots, 1, CHANGES, PAUSE_S)
        growers = [Grower(roots[f"site{number}"] / STORE, threads[number]) for number in range(WITH_STORE)]
        memory, asked = watch_while(service, [*threads, *growers])
        settled = wait_until_quiet(service)
    finally:
        service.process.send_signal(signal.SIGTERM)
        ended = time.monotonic()
        service.process.wait(30)
        ended = time.monotonic() - ended
    for reader in readers:
        reader.ends.set()
        reader.join(30)
    print(
        f"{sum(storm.changes for storm in storms)} changes, {asked} questions; quiet {settled:.1f} s after the storm;"
    )
    print(f"memory {[size // 2**20 for size in memory[:: max(1, len(memory) // 20)]]} MiB; ended in {ended:.1f} s")
    assert service.process.returncode == 0
    assert same_everywhere(s3, bucket, roots) == {}
    for reader in readers:
        assert reader.problems == []
        assert len(set(reader.lengths)) > 1, "it saw the store grow"
        assert reader.lengths == sorted(reader.lengths)
        assert (
            reader.lengths[-1]
            == xr.open_zarr(roots["site0" if reader is readers[0] else "site1"] / STORE).sizes["time"]
        )
    # A pass that kept what it made would keep the tables of 2,000 objects, about a megabyte, hundreds of times.
    third = len(memory) // 3
    assert max(memory[2 * third :]) < max(memory[third : 2 * third]) + 40 * 2**20
    tally("changes to files that were watched", sum(storm.changes for storm in storms))
    tally("reads of stores that were watched", sum(len(reader.lengths) for reader in readers))


@pytest.mark.slow
@pytest.mark.torture
@pytest.mark.timeout(300)
@pytest.mark.parametrize("sites", [FEW], indirect=True)
def test_a_service_that_is_killed_in_a_storm_and_one_pass_end_with_bytes_equal(s3, bucket, sites, tmp_path):
    roots, config = sites
    env = {**os.environ, **tool_env(s3)}
    service = Service(config, env, tmp_path / "killed.log")
    try:
        service.wait_for_address()
        wait_until_equal(s3, bucket, roots)  # what is killed is the publishing of changes
        _, threads = run_storm(roots, 100, SHORT, SHORT_PAUSE_S)
        time.sleep(0.7 * SHORT / BURST * SHORT_PAUSE_S)
        assert service.process.poll() is None
    finally:
        service.process.kill()
        service.process.wait(30)
    for thread in threads:
        thread.join(60)
    done = subprocess.run(
        [sys.executable, "-m", "zsync", "watch", str(config), "--once"],
        env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert same_everywhere(s3, bucket, roots) == {}


def watch_while(service, threads):
    """Ask every endpoint and measure, until the storm is over."""
    memory, asked = [], 0
    while any(thread.is_alive() for thread in threads):
        status, body = service.ask("/healthz")
        assert status == 200, body
        status, body = service.ask("/info")
        assert status == 200
        assert len(json.loads(body)["sites"]) == SITES
        status, body = service.ask("/metrics")
        assert status == 200
        assert body.count(b"zsync_site_objects{") == SITES
        asked += 3
        memory.append(service.rss())
        time.sleep(0.5)
    return memory, asked


def wait_until_read(readers):
    until = time.monotonic() + 2 * QUIET_S
    while not all(reader.lengths for reader in readers):
        assert time.monotonic() < until, [reader.problems for reader in readers]
        time.sleep(0.2)


def wait_until_equal(s3, bucket, roots):
    until = time.monotonic() + QUIET_S
    while different := same_everywhere(s3, bucket, roots):
        assert time.monotonic() < until, different
        time.sleep(0.5)


def wait_until_quiet(service):
    began = time.monotonic()
    still = 0
    while still < 3:
        info = json.loads(service.ask("/info")[1])
        is_quiet = all(site["lag_seconds"] == 0 and site["error"] is None for site in info["sites"].values())
        still = still + 1 if is_quiet else 0
        assert time.monotonic() - began < QUIET_S, info
        time.sleep(0.5)
    return time.monotonic() - began
