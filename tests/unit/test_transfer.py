"""Bytes in motion: executors that agree, batches, budgets, headers; and manifests in parts."""

from __future__ import annotations

import pickle
import resource
import threading
import time
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsync.config import Location, Storage
from zsync.publication.manifest import PART_OBJECTS, split
from zsync.storage import HeaderRules, Headers, pace_of, spec_for
from zsync.tables import MANIFEST, OBJECTS, table_of
from zsync.transfer import Batch, HeaderPolicy, Outcome, Send, Serial, Threads, executor_for
from zsync.transfer.batch import BATCH_BYTES, BATCH_OBJECTS, Batches, Cut, cut
from zsync.transfer.window import MOST, START, START_FAR
from zsync.transfer.work import ByteBudget
from zsync.words import Kind

SPEC = spec_for(Location.parse("memory://x"), Storage())


def sends(sizes):
    return [Send("p", str(number), str(number), size, Headers()) for number, size in enumerate(sizes)]


@pytest.mark.parametrize("executor", [Serial(), Threads(4)], ids=["serial", "dask threads"])
def test_every_batch_runs_once_and_comes_back(executor):
    ran, came = Counter(), []

    def work(batch, _crew):
        ran[batch.items[0].key] += 1
        return Outcome((), (), len(batch.items), 0)

    batches = [Batch(SPEC, (item,)) for item in sends([1] * 50)]
    caller = threading.current_thread()
    executor.run(work, batches, lambda outcome: came.append((outcome.objects, threading.current_thread() is caller)))
    assert ran == Counter({str(number): 1 for number in range(50)})
    assert came == [(1, True)] * 50


@pytest.mark.parametrize("executor", [Serial(), Threads(4)], ids=["serial", "dask threads"])
def test_after_a_failure_no_batch_begins(executor):
    began = []

    def work(batch, _crew):
        began.append(batch.items[0].key)
        time.sleep(0.02)
        return Outcome((), (), 1, 0)

    def done(_outcome):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        executor.run(work, [Batch(SPEC, (item,)) for item in sends([1] * 100)], done)
    count = len(began)
    assert count <= 3 * executor.tasks
    time.sleep(0.1)
    assert len(began) == count


@pytest.mark.parametrize(
    ("files", "most"), [(1024, 341), (96, 32), (2, 1), (20_000, MOST), (resource.RLIM_INFINITY, MOST)], ids=str
)
def test_as_many_transfers_as_the_system_bears_or_the_user_wants(monkeypatch, files, most):
    monkeypatch.setattr("resource.getrlimit", lambda _which: (files, resource.RLIM_INFINITY))
    with executor_for("auto", "auto") as executor:
        assert (executor.window.size, executor.window.most) == (min(most, START), most)
    for wanted in (7, 100):
        with executor_for("threads", wanted) as executor:
            assert (executor.window.size, executor.window.most) == (min(wanted, START), wanted)


@pytest.mark.parametrize(
    ("answers", "start"), [((), START), ((0.001, 0.3), START), ((0.3, 0.06), START_FAR)], ids=["unknown", "near", "far"]
)
def test_far_away_more_requests_are_under_way_from_the_beginning(monkeypatch, answers, start):
    spec = spec_for(Location.parse(f"s3://asked-{start}-{len(answers)}/x"), Storage())
    now = [0.0]
    monkeypatch.setattr("zsync.storage.pacing.time.monotonic", lambda: now[0])
    for took in answers:
        with pace_of(spec).slot():
            now[0] += took
    with executor_for("auto", "auto", specs=[SPEC, spec]) as executor:
        assert executor.window.size == start
    with executor_for("auto", 8, specs=[spec]) as executor:
        assert executor.window.size == 8


@given(sizes=st.lists(st.integers(0, 2 * BATCH_BYTES), max_size=300), tasks=st.integers(1, 40))
def test_batches_hold_every_object_once_in_order_and_within_limits(sizes, tasks):
    cuts = list(cut("p", sizes, tasks, len(sizes)))
    assert {found.product for found in cuts} <= {"p"}
    assert [number for found in cuts for number in range(found.start, found.stop)] == list(range(len(sizes)))
    assert all(1 <= found.stop - found.start <= BATCH_OBJECTS for found in cuts)
    assert all(found.stop - found.start == 1 or sum(sizes[found.start : found.stop]) <= BATCH_BYTES for found in cuts)
    assert len(cuts) >= min(4 * tasks, len(sizes) // 8)


def test_a_batch_is_made_when_it_is_asked_for():
    made = []

    def make(cut):
        made.append(cut.start)
        return Batch(SPEC, tuple(sends([1] * (cut.stop - cut.start))))

    batches = Batches([Cut("p", 0, 2), Cut("p", 2, 3), Cut("p", 3, 7)], make)
    assert len(batches) == 3
    assert made == []
    assert len(batches[1].items) == 1
    assert [len(batch.items) for batch in batches[1:]] == [1, 4]
    assert made == [2, 2, 3]
    with pytest.raises(IndexError):
        batches[3]


def test_the_budget_holds_and_lets_one_in_that_is_larger():
    budget, held, most = ByteBudget(10), [0], [0]
    lock = threading.Lock()

    def use(size):
        with budget.hold(size):
            with lock:
                held[0] += size
                most[0] = max(most[0], held[0])
            time.sleep(0.005)
            with lock:
                held[0] -= size

    threads = [threading.Thread(target=use, args=(size,)) for size in [4, 4, 4, 7, 3] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most[0] <= 10
    with budget.hold(1000):
        pass


@pytest.mark.parametrize("content_type", [{}, {"*.csv": "text/special"}])
def test_digests_of_headers_are_those_of_the_headers(content_type):
    storage = Storage(
        content_type=content_type, cache_control={"data": "max-age=1"}, tags={"a": "b"}, storage_class="X"
    )
    policy = HeaderPolicy(Kind.ZARR, HeaderRules.of(storage))
    rows = [("t/0.0", "chunk", "data"), ("t/1.0", "chunk", "data"), ("t/.zarray", "metadata", "array"),
            (".zmetadata", "consolidated", "root"), ("x.csv", "foreign", "data")]  # fmt: skip
    objects = table_of([dict(zip(("key", "role", "stage"), row, strict=True)) for row in rows], OBJECTS)
    assert policy.digests(objects).to_pylist() == [policy.headers(*row).digest for row in rows]
    assert policy.headers(*rows[4]).content_type == content_type.get("*.csv", policy.headers(*rows[4]).content_type)
    assert policy.headers(*rows[3]).cache_control == "no-cache"
    assert policy.headers(*rows[0]).cache_control == "max-age=1"


def test_what_travels_holds_no_secret():
    storage = Storage(access_key_id="AKIANAME", secret_access_key="verysecret")
    spec = spec_for(Location.parse("s3://bucket/x"), storage)
    batch = Batch(spec, tuple(sends([1, 2])))
    for secret in (b"verysecret", b"AKIANAME"):
        assert secret not in pickle.dumps(batch)
        assert secret.decode() not in repr(batch)


def manifest(counts, mark="0"):
    rows = [
        {
            "key": f"{store}/{array}/{number:05d}",
            "store": store,
            "array": array,
            "size": 1,
            "digest": mark if array == "b" else "0",
        }
        for (store, array), count in counts.items()
        for number in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=MANIFEST)


def parts_of(table):
    return [table.take(part) for part in split(table)]


def test_large_arrays_have_parts_of_their_own():
    table = manifest(
        {("s", "a"): PART_OBJECTS, ("s", "b"): 3, ("t", "c"): 2, ("u", "d"): PART_OBJECTS - 1, ("u", "e"): 1}
    )
    parts = parts_of(table)
    assert sorted(len(part) for part in parts) == [5, PART_OBJECTS, PART_OBJECTS]
    assert sorted(key for part in parts for key in part["key"].to_pylist()) == sorted(table["key"].to_pylist())
    assert [part.to_pylist() for part in parts_of(table.take(list(reversed(range(len(table))))))] == [
        p.to_pylist() for p in parts
    ]
    changed = parts_of(manifest({("s", "a"): PART_OBJECTS, ("s", "b"): PART_OBJECTS}, mark="1"))
    before = parts_of(manifest({("s", "a"): PART_OBJECTS, ("s", "b"): PART_OBJECTS}))
    assert [old.equals(new) for old, new in zip(before, changed, strict=True)] == [True, False]
