"""Two publishers begin together, again and again: one publishes, the other is told at once that it cannot (P7).

The first data of the winner is held back until the loser has gone: on a busy machine one may come late by seconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import statistics
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import prepared
import pytest
from proxy import Fault, Proxy, on
from servers import s3_client
from target import Site, same
from trees import read_tree, s3_bytes, weather

import zsync
from zsync.errors import ConflictError

IN_PLACE = {"rewrites": "inplace"}  # flips are tried in test_flip, and killed in test_every_request

ROUNDS = 25
PATIENCE_S = 2.0  # that the loser may take, though a busy machine may hold up a few


@pytest.fixture
def site(s3, bucket, tmp_path):
    with Proxy(s3.endpoint_url) as proxy:
        yield Site(s3, proxy, bucket, tmp_path / "run", IN_PLACE)


class Look:
    """What lies in the bucket, asked directly; one client for all rounds, for it takes longer to make than to ask."""

    def __init__(self, client, bucket):
        self.client, self.bucket = client, bucket

    def etags(self, prefix):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        found = [entry for page in pages for entry in page.get("Contents", [])]
        return {entry["Key"].removeprefix(prefix): entry["ETag"].strip('"') for entry in found}

    def document(self, key):
        return json.loads(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())


def md5s(root):
    return {key: hashlib.md5(body, usedforsecurity=False).hexdigest() for key, body in read_tree(root).items()}


def run_two(config, cwd, one_has_gone, *, afresh):
    """Start the command twice at once; return when, and status, end and words of each."""

    def wait(process):
        out, err = process.communicate(timeout=60)
        one_has_gone.set()
        return process.returncode, time.monotonic(), out + err

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
    with ThreadPoolExecutor(2) as pool:
        processes = [prepared.command("publish", config, cwd=cwd, afresh=afresh, **pipes) for _ in range(2)]
        return time.monotonic(), sorted(pool.map(wait, processes))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_of_two_commands_one_publishes_and_the_other_gives_way_at_once(site, tmp_path, tally):
    config = tmp_path / "config.json"
    waits = []
    with contextlib.closing(s3_client(site.s3)) as client:
        look = Look(client, site.bucket)
        for number in range(1, ROUNDS + 1):
            data = weather(5 + number * 4 % 9, 6, k=number % 8)
            site.store("a.zarr", data)
            config.write_text(json.dumps(site.config(publish={"max_delete": "100%", **IN_PLACE})))
            one_has_gone = threading.Event()
            site.proxy.faults[:] = [on(Fault.hold(one_has_gone), method="PUT", key="run/a.zarr/t2m/[0-9]*")]
            before = len(site.proxy.requests)
            started, ((won, _, _), (lost, end, said)) = run_two(config, tmp_path, one_has_gone, afresh=number % 10 == 0)
            assert (won, lost) == (0, 4), said
            assert "is publishing this product" in said
            assert "Traceback" not in said
            claim = next(
                exchange
                for exchange in site.proxy.completed
                if exchange.arrival >= before and exchange.method == "PUT" and exchange.key.endswith("/lease.json")
                if exchange.status == 200
            )
            waits.append(end - max(started, claim.ended))
            assert same(site.read("a.zarr"), data)
            assert look.etags("run/a.zarr/") == md5s(site.root / "a.zarr")
            assert look.document("run/.zsync/a.zarr/lease.json")["by"] == {}
            assert len(look.etags("run/.zsync/a.zarr/publications/")) == number
    assert statistics.quantiles(waits, n=10)[-1] < PATIENCE_S
    tally("races of two publishers, each with one winner", ROUNDS)
    tally("ms at the longest until a losing publisher had gone", round(max(waits) * 1000))


class Together:
    """Progress that waits, once stock is taken, until the others have taken theirs."""

    def __init__(self, barrier):
        self.barrier, self.step = barrier, ""

    def begin(self, step, objects, size):
        self.step = step

    def advance(self, objects, size):
        pass

    def end(self):
        if self.step == "survey":
            self.barrier.wait(30)


@pytest.mark.parametrize("publishers", [2, 4])
def test_of_those_that_took_stock_together_all_but_one_lose_at_the_claim(site, publishers):
    for number in range(1, 11):
        data = weather(5 + number, 6)
        site.store("a.zarr", data)
        barrier = threading.Barrier(publishers)
        before = len(site.proxy.requests)

        def publish(_, barrier=barrier):
            try:
                return zsync.publish(site.config(), progress=Together(barrier))
            except ConflictError as error:
                return error

        with ThreadPoolExecutor(publishers) as pool:
            outcomes = [*pool.map(publish, range(publishers))]
        (won,) = (outcome for outcome in outcomes if not isinstance(outcome, ConflictError))
        assert won.status == "published"
        # Each object was sent once: who loses at the claim has written nothing.
        exchanges = [exchange for exchange in site.proxy.requests[before:] if exchange.is_write]
        assert sum(exchange.key.startswith("run/a.zarr/") for exchange in exchanges) == won.products[0].sent
        # (The winner may have conditions refused as well: it tries whether the service knows them.)
        refused = [exchange.key for exchange in exchanges if exchange.status != 200]
        assert len(refused) >= publishers - 1
        assert set(refused) == {"run/.zsync/a.zarr/lease.json"}
        assert same(site.read("a.zarr"), data)
        state = s3_bytes(site.s3, site.bucket, "run/.zsync/a.zarr/")
        assert json.loads(state["lease.json"])["by"] == {}
        assert sum(key.startswith("publications/") for key in state) == number
        assert json.loads(state["head.json"])["publication"] == won.publication
