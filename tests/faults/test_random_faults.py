"""A bad day: every fifth request goes wrong, and the work is done all the same. And a day on which nothing helps: one
line that says so, and readers see what they saw.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections import Counter
from subprocess import run

import pytest
from proxy import Fault, Proxy, on
from seeds import rng
from target import Site, same
from trees import read_tree, s3_bytes, s3_tree, weather

import zsync

FORMATS = {"v2": {"zarr_format": 2}, "v3": {"zarr_format": 3}}
FAULTS = {
    "500": Fault.error(500),
    "503": Fault.slow_down(),
    "reset": Fault.reset(),
    "lost": Fault.lost(),
}
IN_PLACE = {"rewrites": "inplace"}
EXTENTS = [(7, 8), (13, 8), (6, 5), (14, 5), (9, 8), (16, 8), (4, 6)]  # the first, appends, shrinks, both at once
SHARE = 0.2
IN_A_ROW = 3  # one more, and a publisher may take the endpoint for one that cannot be reached


@pytest.fixture
def site(s3, bucket, tmp_path):
    with Proxy(s3.endpoint_url) as proxy:
        yield Site(s3, proxy, bucket, tmp_path / "run")


class BadDay:
    """A fifth of all requests goes wrong, whichever; but never one and the same more than a few times in a row."""

    def __init__(self, seed, counts):
        self.random, self.counts = rng(seed), counts
        self.in_a_row = Counter()

    def __call__(self, exchange):
        self.counts["requests"] += 1
        request = (exchange.method, exchange.key, *exchange.query.items())
        if self.random.random() >= SHARE or self.in_a_row[request] == IN_A_ROW:
            self.in_a_row[request] = 0
            return None
        self.in_a_row[request] += 1
        kind = self.random.choice([*FAULTS])
        self.counts[kind] += 1
        return FAULTS[kind]


def assert_whole(site, data):
    assert same(site.read("a.zarr"), data)
    assert same(site.read("a.zarr", consolidated=False), data)
    if site.options != IN_PLACE:
        zsync.pull(site.config(), site.root.parent / "back", progress=False)
        assert read_tree(site.root.parent / "back/a.zarr") == read_tree(site.root / "a.zarr")
        return
    published = s3_tree(site.s3, site.bucket, f"{site.prefix}/a.zarr/")
    assert {key: etag for key, (_, etag) in published.items()} == {
        key: hashlib.md5(body, usedforsecurity=False).hexdigest()
        for key, body in read_tree(site.root / "a.zarr").items()
    }


def replace_source(site, data, form):
    shutil.rmtree(site.root, ignore_errors=True)
    site.store("a.zarr", data, **FORMATS[form])


@pytest.mark.slow
@pytest.mark.torture
@pytest.mark.parametrize("form", FORMATS)
def test_every_fifth_request_goes_wrong_and_each_publish_succeeds(site, form, tally):
    site.options = IN_PLACE if form == "v2" else {"grace": 0}
    counts: Counter[str] = Counter()
    for seed, extent in enumerate(EXTENTS):
        replace_source(site, weather(*extent), form)
        site.proxy.faults[:] = [BadDay(seed, counts)]
        assert site.publish(max_delete="100%").status == "published"
        site.proxy.faults.clear()
        assert_whole(site, weather(*extent))
        state = s3_bytes(site.s3, site.bucket, "run/.zsync/a.zarr/")
        assert json.loads(state["lease.json"])["by"] == {}
        assert sum(key.startswith("publications/") for key in state) == seed + 1
        assert site.publish().status == "unchanged"
    for name, number in counts.items():
        tally(f"random faults: {name}", number)
    assert min(counts[kind] for kind in FAULTS) >= 3


IMPATIENT = (
    "from zsync.storage.retrying import RetryPolicy\n"
    "RetryPolicy.__init__.__defaults__ = (2, 2, 0.01, 0.01)\n"
    "from zsync.cli import main\n"
    "main()\n"
)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("fault", "says"),
    [(Fault.error(403, "AccessDenied"), "permission denied"), (Fault.error(500), "could not answer")],
    ids=["403", "500"],
)
def test_what_does_not_pass_ends_the_command_with_one_line_and_readers_see_what_they_saw(
    site, tmp_path, form, fault, says
):
    old, new = weather(7, 8), weather(13, 8)
    replace_source(site, old, form)
    site.publish()
    before = s3_bytes(site.s3, site.bucket, "run/a.zarr/")
    replace_source(site, new, form)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(site.config()))
    site.proxy.faults.append(on(fault, method="PUT", key="run/a.zarr/t2m/[0-9c]*", times=None))
    command = [sys.executable, "-c", IMPATIENT, "publish", "--quiet", str(config)]
    done = run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    # What readers see now is a warning of its own; the error is one line, the last.
    warning, error = done.stderr.splitlines()
    assert " WARNING stopped: readers see what they saw before" in warning  # after the time
    assert error.startswith("zsync: ")
    assert says in error
    assert same(site.read("a.zarr"), old)
    assert same(site.read("a.zarr", consolidated=False), old)
    assert s3_bytes(site.s3, site.bucket, "run/a.zarr/") == before
    state = s3_bytes(site.s3, site.bucket, "run/.zsync/a.zarr/")
    assert json.loads(state["lease.json"])["by"] == {}
    assert sum(key.startswith("publications/") for key in state) == 1
    site.proxy.faults.clear()
    assert site.publish().status == "published"
    assert_whole(site, new)
