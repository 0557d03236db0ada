"""Promises P1 to P10, each by name: a proxy watches every write, and real readers look after each of them.

A reader may see what was there before, what is there after, or, while arrays shrink, what both have in common. Every
value of `weather` tells its place and its generation, so that any mix shows.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import zarr
from proxy import Fault, on
from servers import opened, s3_client
from target import CHUNKS, At, Site, collapse, looking, same
from trees import append, s3_bytes, s3_tree, weather, write_cog, write_store
from zarr.storage import ObjectStore

import zsync
from zsync.errors import ConflictError, GuardError, SourceChangedError, SourceError

PUBLISH = {"rewrites": "inplace", "on_incompatible": "refuse"}  # flips have tests of their own: test_flip

# --- P1 and P2 -------------------------------------------------------------------------------------------------------

FORMATS = [
    pytest.param({"zarr_format": 2}, id="v2"),
    pytest.param({"zarr_format": 3}, id="v3"),
    pytest.param({"zarr_format": 3, "shards": {"time": 10, "x": 8}}, id="v3 sharded"),
]


@pytest.mark.parametrize("options", FORMATS)
@pytest.mark.parametrize("consolidated", [True, False])
def test_p1_p2_a_store_is_not_found_until_it_is_whole(site, options, consolidated):
    site.store("a.zarr", weather(12, 8), groups={"Auxiliary": weather(12, 8, k=2)}, **options)
    seen = []
    with looking(site, lambda _: seen.append(site.read("a.zarr", consolidated=consolidated))):
        site.publish()
    assert len(seen) == len(site.puts())
    whole = [same(found, weather(12, 8)) for found in seen]
    assert whole[-1]
    assert whole == sorted(whole)
    assert {found for found, is_whole in zip(seen, whole, strict=True) if not is_whole} <= {
        "FileNotFoundError", "GroupNotFoundError", "KeyError", "NotConsolidated",
    }  # fmt: skip


@pytest.mark.parametrize("options", FORMATS)
@pytest.mark.parametrize("added", [3, 8])  # into the last chunk, and beyond it
def test_p1_p2_p3_growth_is_seen_all_at_once(site, options, added):
    old, new = weather(12, 8), weather(12 + added, 8)
    site.store("a.zarr", old, groups={"Auxiliary": old}, **options)
    site.publish()
    append(site.root / "a.zarr", new.isel(time=slice(12, None)), group="Auxiliary")
    append(site.root / "a.zarr", new.isel(time=slice(12, None)))
    seen, unconsolidated = [], []

    def look(_):
        seen.append((site.read("a.zarr"), site.read("a.zarr", group="Auxiliary")))
        unconsolidated.append(site.read("a.zarr", consolidated=False))

    with looking(site, look):
        site.publish()
    wanted = {"old": old, "new": new}
    states = [
        next((name for name, state in wanted.items() if same(root, state) and same(group, state)), (root, group))
        for root, group in seen
    ]
    assert collapse(states) == ["old", "new"]
    # Who bypasses consolidated metadata sees arrays turn over one by one: lengths may conflict, values are never wrong.
    assert all(found == "ValueError" or same(found, old) or same(found, new) for found in unconsolidated)


@pytest.mark.parametrize("options", FORMATS[:2])
def test_p1_p2_order_of_writes_in_a_tree_of_stores(site, options):
    for place in ("oco3/north", "oco3/south", "oco2/west"):
        site.store(f"tree.zarr/{place}.zarr", weather(6, 8), groups={"Auxiliary": weather(6, 8)}, **options)
    site.publish()
    puts = site.puts()
    rank = {"data": 0, "array": 1, "group": 2, "root": 3}
    stages = [rank[stage_of(key)] for key in puts]
    assert stages == sorted(stages)
    assert set(stages) == {0, 1, 2, 3}
    last = ".zmetadata" if options["zarr_format"] == 2 else "zarr.json"
    assert all(key.endswith(last) for key in puts[-3:])


def stage_of(key):
    """Say by its name alone which stage a key of the stores above belongs to."""
    _, _, inside = key.partition(".zarr/")[2].partition(".zarr/")
    parts = inside.split("/")
    if parts[-1] not in (".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"):
        return "data"
    if len(parts) == 1:
        return "root"
    return "group" if parts[:-1] == ["Auxiliary"] else "array"


# --- P3 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", FORMATS)
@pytest.mark.parametrize(
    ("old", "new"),
    [((15, 8), (10, 8)), ((15, 8), (12, 8)), ((15, 8), (12, 6)), ((10, 8), (15, 4)), ((12, 8), (15, 6))],
    ids=["shrink", "shrink into a chunk", "shrink both", "grow and shrink", "grow and shrink into chunks"],
)
@pytest.mark.parametrize("consolidated", [True, False])
def test_p3_shrinking_shows_old_then_common_then_new(site, options, old, new, consolidated):
    states = {"old": weather(*old), "common": weather(*map(min, old, new)), "new": weather(*new)}
    site.store("a.zarr", states["old"], **options)
    site.publish()
    shutil.rmtree(site.root)
    site.store("a.zarr", states["new"], **options)
    seen = []

    def look(_):
        found = site.read("a.zarr", consolidated=consolidated)
        seen.append(next((name for name, state in states.items() if same(found, state)), found))

    with looking(site, look):
        result = site.publish(max_delete="100%")
    assert result.plan is not None
    assert {str(change.kind) for change in result.plan.changes} <= {"shrink", "mixed resize", "append", "unchanged"}
    states_seen = collapse(seen)
    if consolidated:
        # A pure shrink has nothing between: what both have in common is the new extent.
        common = ["common", "new"] if min(old, new) != new and tuple(map(min, old, new)) != new else ["common"]
        assert states_seen in (["old", *common], ["old", "new"])
    else:
        assert all(isinstance(state, str) for state in states_seen)
        assert set(states_seen) <= {"old", "common", "new", "ValueError"}
    assert same(site.read("a.zarr"), states["new"])


def test_p3_without_the_fence_a_reader_would_see_wrong_values(site, monkeypatch):
    """The test above can fail: with its mechanism off, readers see values that no publication had."""
    monkeypatch.setattr("zsync.steps.changes.fence_of", lambda *_: [])
    site.store("a.zarr", weather(15, 8))
    site.publish()
    shutil.rmtree(site.root)
    site.store("a.zarr", weather(12, 8))
    seen = []
    with looking(site, lambda _: seen.append(site.read("a.zarr"))):
        site.publish(max_delete="100%")
    assert not all(same(found, weather(15, 8)) or same(found, weather(12, 8)) for found in seen)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dtype": "f8"}, "data type"),
        ({"chunks": {"time": 6, "x": 4}}, "chunk shape"),
        ({"zarr_format": 3}, "published store is Zarr v2, and the source is Zarr v3"),
    ],
)
def test_p3_an_incompatible_change_is_refused(site, change, says):
    site.store("a.zarr", weather(12, 8))
    site.publish()
    before = s3_bytes(site.s3, site.bucket, "run/a.zarr/")
    shutil.rmtree(site.root)
    data = weather(12, 8, dtype=change.pop("dtype", "f4"))
    write_store(site.root / "a.zarr", data, **{"chunks": CHUNKS, **change})
    with pytest.raises(SourceError, match=says):
        site.publish(max_delete="100%")
    assert s3_bytes(site.s3, site.bucket, "run/a.zarr/") == before


def test_p3_a_coordinate_of_one_chunk_that_grows_is_refused_with_advice(site):
    options = {
        "encoding": {"time": {"chunks": (6,)}, "t2m": {"chunks": (5, 4)}},
        "zarr_format": 2,
        "consolidated": True,
    }
    weather(6, 4).to_zarr(site.root / "a.zarr", **options)
    site.products["a.zarr"] = {"path": "a.zarr", "kind": "zarr"}
    site.publish()
    shutil.rmtree(site.root)
    weather(8, 4).to_zarr(
        site.root / "a.zarr", **{**options, "encoding": {"time": {"chunks": (8,)}, "t2m": {"chunks": (5, 4)}}}
    )
    with pytest.raises(SourceError, match="fixed chunk length"):
        site.publish()


# --- P4 --------------------------------------------------------------------------------------------------------------


def three_products(site, n_time, k=1):
    site.store("pre_qf.zarr", weather(n_time, 8, k=k))
    site.store("post_qf.zarr", weather(n_time, 8, k=k), zarr_format=3)
    for day in range(n_time):
        write_cog(site.root / "cog" / f"{day}.tif", np.full((32, 32), k, "float32"))
    (site.root / "cog" / "index.json").write_text(json.dumps(n_time))
    site.products["cog"] = {"path": "cog", "kind": "cog"}


def test_p4_no_root_before_all_data_of_all_products(site):
    three_products(site, 6)
    site.publish()
    roots = {
        "pre_qf.zarr/.zattrs",
        "pre_qf.zarr/.zgroup",
        "pre_qf.zarr/.zmetadata",
        "post_qf.zarr/zarr.json",
        "cog/index.json",
    }
    puts = site.puts()
    first = min(puts.index(key) for key in roots)
    assert set(puts[first:]) == roots


@pytest.mark.parametrize(
    "victim", ["pre_qf.zarr/t2m/1.*", "post_qf.zarr/t2m/c/1/*", "post_qf.zarr/t2m/zarr.json", "cog/7.tif"]
)
def test_p4_a_failure_in_one_product_leaves_every_reader_what_was_there(site, victim):
    three_products(site, 6)
    site.publish()
    old = {name: site.read(name) for name in ("pre_qf.zarr", "post_qf.zarr")}
    three_products(site, 9)
    site.proxy.faults.append(on(Fault.error(403, "AccessDenied"), method="PUT", key=f"run/{victim}", times=None))
    with pytest.raises(zsync.ZsyncError) as raised:
        site.publish()
    assert raised.value.exit_status == 1
    assert all(same(site.read(name), old[name]) for name in old)
    assert s3_bytes(site.s3, site.bucket, "run/cog/")["index.json"] == b"6"
    site.proxy.faults.clear()
    assert site.publish().status == "published"
    assert all(same(site.read(name), weather(9, 8)) for name in old)
    assert s3_bytes(site.s3, site.bucket, "run/cog/")["index.json"] == b"9"


# --- P5 --------------------------------------------------------------------------------------------------------------


def test_p5_content_decides(site):
    site.store("a.zarr", weather(12, 8))
    site.publish()
    count = len(site.puts())
    shutil.rmtree(site.root)
    site.store("a.zarr", weather(12, 8))  # the same again: other times, other inodes, same bytes
    assert site.publish().status == "unchanged"
    assert len(site.puts()) == count


def test_p5_an_unknown_hash_is_never_equal(site):
    """An ETag that is no MD5, as with SSE-KMS, proves nothing: without a manifest the object is sent."""
    site.store("a.zarr", weather(6, 8))
    first = site.publish()
    with contextlib.closing(s3_client(site.s3)) as client:
        for key in s3_tree(site.s3, site.bucket, "run/.zsync/"):
            client.delete_object(Bucket=site.bucket, Key=f"run/.zsync/{key}")
    plan = zsync.plan(site.config(), sse="aws:kms")
    assert plan.count("send") == first.products[0].sent
    assert set(plan.table["reason"].to_pylist()) == {"unknown content"}


# --- P6 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("meddling", ["rewritten", "replaced", "removed", "same size and time"])
def test_p6_a_source_that_changes_after_planning_fails_before_any_metadata(site, meddling):
    import os

    site.store("a.zarr", weather(12, 8))
    chunk = site.root / "a.zarr" / "t2m" / "1.1"

    def meddle():
        status, body = chunk.stat(), chunk.read_bytes()
        if meddling == "removed":
            chunk.unlink()
        elif meddling == "replaced":
            (chunk.parent / "new").write_bytes(body)
            (chunk.parent / "new").replace(chunk)
        elif meddling == "rewritten":
            chunk.write_bytes(body + b"x")
        else:
            chunk.write_bytes(body[::-1])
            os.utime(chunk, ns=(status.st_atime_ns, status.st_mtime_ns))

    with pytest.raises(SourceChangedError) as raised:
        zsync.publish(site.config(), progress=At("data", meddle))
    assert "t2m/1.1" in str(raised.value)
    assert raised.value.exit_status == 3
    assert not any(key.endswith((".zarray", ".zgroup", ".zmetadata", ".zattrs")) for key in site.puts())


def test_p6_the_manifest_records_the_digest_of_what_was_sent(site):
    from blake3 import blake3

    site.store("a.zarr", weather(12, 8))
    site.publish()
    published = s3_bytes(site.s3, site.bucket, "run/a.zarr/")
    assert {row["key"]: row["digest"] for row in manifest(site, "a.zarr").to_pylist()} == {
        key: blake3(body).hexdigest() for key, body in published.items()
    }


def manifest(site, product):
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    state = s3_bytes(site.s3, site.bucket, f"run/.zsync/{product}/")
    head = json.loads(state["head.json"])
    return pa.concat_tables(
        [pq.read_table(io.BytesIO(state[f"manifests/{part['digest']}.parquet"])) for part in head["manifest"]]
    )


# --- P7 --------------------------------------------------------------------------------------------------------------


def test_p7_of_two_publishers_the_second_is_told_who_holds_the_lease(site):
    site.store("a.zarr", weather(12, 8))
    told = []

    def meanwhile():
        with pytest.raises(ConflictError) as raised:
            zsync.publish(site.config(), progress=False)
        told.append(raised.value)

    assert zsync.publish(site.config(), progress=At("data", meanwhile)).status == "published"
    assert told[0].exit_status == 4
    assert "since 20" in str(told[0])
    assert same(site.read("a.zarr"), weather(12, 8))


def test_p7_two_publishers_together_and_one_wins(site):
    outcomes = []

    def run():
        try:
            outcomes.append(zsync.publish(site.config(), progress=False).status)
        except ConflictError:
            outcomes.append("conflict")

    for n_time in range(5, 15):
        site.store("a.zarr", weather(n_time, 8))
        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert same(site.read("a.zarr"), weather(n_time, 8))
    # One that came too late to conflict finds nothing to do.
    assert outcomes.count("published") == 10
    assert outcomes.count("conflict") + outcomes.count("unchanged") == 10


def test_p7_the_lease_of_a_dead_process_is_taken_over_at_once_and_that_of_another_host_is_not(site):
    import subprocess
    import sys

    site.store("a.zarr", weather(12, 8))
    script = (
        "import json, os, sys, zsync\n"
        "class Killer:\n"
        "    def begin(self, step, objects, size): step == 'array' and os._exit(9)\n"
        "    def advance(self, objects, size): pass\n"
        "    def end(self): pass\n"
        "zsync.publish(json.loads(sys.argv[1]), progress=Killer())\n"
    )
    died = subprocess.run([sys.executable, "-c", script, json.dumps(site.config())], check=False)
    assert died.returncode == 9
    lease = s3_bytes(site.s3, site.bucket, "run/.zsync/a.zarr/")["lease.json"]
    document = json.loads(lease)
    assert document["by"]["pid"]
    document["by"]["machine"] = "another"
    with contextlib.closing(s3_client(site.s3)) as client:
        client.put_object(Bucket=site.bucket, Key="run/.zsync/a.zarr/lease.json", Body=json.dumps(document).encode())
        with pytest.raises(ConflictError):
            site.publish()
        client.put_object(Bucket=site.bucket, Key="run/.zsync/a.zarr/lease.json", Body=lease)
    assert site.publish().status == "published"


def test_p7_a_publisher_that_lost_its_lease_stops_before_its_next_stage(site):
    site.store("a.zarr", weather(12, 8))

    def usurp():
        with contextlib.closing(s3_client(site.s3)) as client:
            client.put_object(Bucket=site.bucket, Key="run/.zsync/a.zarr/lease.json", Body=b"{}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zsync.publication.holding.TTL_S", 0.3)
        patch.setattr("zsync.publication.holding.Leases.__init__.__defaults__", (0.3,))
        with pytest.raises(ConflictError, match="lease was lost"):
            zsync.publish(site.config(), progress=At("array", lambda: (usurp(), threading.Event().wait(1.0))))
    assert not any(key.endswith((".zarray", ".zgroup", ".zmetadata")) for key in site.puts())


# --- P8 --------------------------------------------------------------------------------------------------------------


def test_p8_nothing_is_retired_before_the_new_root_is_visible(site):
    site.store("a.zarr", weather(15, 8), groups={"Auxiliary": weather(15, 8)})
    site.publish()
    shutil.rmtree(site.root)
    site.store("a.zarr", weather(10, 8))
    before = len(site.writes())
    result = site.publish(max_delete="100%")
    writes = site.writes()[before:]
    root = writes.index(("PUT", "a.zarr/.zmetadata"), 2)
    first_delete = next(i for i, (method, _) in enumerate(writes) if method != "PUT")
    assert result.products[0].retired > 0
    assert first_delete > max(i for i, write in enumerate(writes) if write == ("PUT", "a.zarr/.zmetadata"))
    assert root < first_delete


def test_p8_what_is_retired_goes_to_the_trash(site):
    site.store("a.zarr", weather(15, 8))
    site.publish()
    before = s3_bytes(site.s3, site.bucket, "run/a.zarr/")
    shutil.rmtree(site.root)
    site.store("a.zarr", weather(10, 8))
    result = site.publish()
    trash = s3_bytes(site.s3, site.bucket, f"run/.zsync/a.zarr/trash/{result.publication}/")
    assert trash == {key: before[key] for key in ("t2m/2.0", "t2m/2.1")}
    assert not trash.keys() & s3_bytes(site.s3, site.bucket, "run/a.zarr/").keys()


def test_p8_on_a_versioned_bucket_it_remains_as_a_version(s3, proxy, versioned_bucket, tmp_path):
    site = Site(s3, proxy, versioned_bucket, tmp_path / "run")
    site.store("a.zarr", weather(15, 8))
    site.publish()
    assert all(row["version"] for row in manifest(site, "a.zarr").to_pylist())
    shutil.rmtree(site.root)
    site.store("a.zarr", weather(10, 8))
    result = site.publish()
    assert result.products[0].retired == 2
    assert not s3_tree(s3, versioned_bucket, "run/.zsync/a.zarr/trash/")
    with contextlib.closing(s3_client(s3)) as client:
        versions = client.list_object_versions(Bucket=versioned_bucket, Prefix="run/a.zarr/t2m/2.")
    assert len(versions["Versions"]) == 2
    assert len(versions["DeleteMarkers"]) == 2


def consolidated_array(site, name, zarr_format):
    """Return an array as a reader of one format sees it, through consolidated metadata."""
    store = ObjectStore(opened(site.s3, site.bucket, f"{site.prefix}/a.zarr"), read_only=True)
    group = zarr.open_consolidated(store, mode="r", zarr_format=zarr_format)
    return group[name][:]


def sent_keys(result):
    return result.plan.rows("send")["key"].to_pylist()


def resized(store, shape):
    """Resize an array of two formats as its writer would, one after the other, and fill it."""
    for name in (".zarray", "zarr.json"):
        path = store / "t2m" / name
        path.write_text(json.dumps({**json.loads(path.read_text()), "shape": shape}))
    for key in store.glob("t2m/[0-9]*"):
        if int(key.name[0]) * 5 >= shape[0]:
            key.unlink()
    zarr.open_array(store / "t2m", mode="r+", zarr_format=3)[:] = weather(*shape).t2m.values


def test_p1_p3_a_store_with_metadata_of_both_formats_is_right_for_readers_of_either(site):
    """As `zarr migrate v3` leaves it, which changes no chunk."""
    from zarr.metadata.migrate_v3 import migrate_v2_to_v3

    store = site.root / "a.zarr"
    zarr.create_group(store, zarr_format=2).create_array("t2m", shape=(12, 8), chunks=(5, 4), dtype="f4", fill_value=-1)
    zarr.open_array(store / "t2m", mode="r+")[:] = weather(12, 8).t2m.values
    site.products = {"a.zarr": {"path": "a.zarr"}}
    site.publish()
    migrate_v2_to_v3(input_store=str(store))
    result = site.publish()
    assert [finding.level for finding in result.findings if finding.code == "two-formats"] == ["info"]
    assert set(sent_keys(result)) == {"zarr.json", "t2m/zarr.json"}
    assert site.publish().status == "unchanged"
    for shape in ([17, 8], [7, 8], [4, 12]):
        seen = []

        def look(_, seen=seen):
            seen.extend(consolidated_array(site, "t2m", form) for form in (2, 3))

        resized(store, shape)
        with looking(site, look):
            site.publish(max_delete="100%")
        assert seen
        for found in seen:
            np.testing.assert_array_equal(found, weather(*found.shape).t2m.values)
        for form in (2, 3):
            np.testing.assert_array_equal(consolidated_array(site, "t2m", form), weather(*shape).t2m.values)


def test_p8_more_than_max_delete_is_refused(site):
    site.store("a.zarr", weather(40, 8))
    site.publish()
    before = s3_tree(site.s3, site.bucket, "run/a.zarr/")
    shutil.rmtree(site.root)
    site.store("a.zarr", weather(5, 8))
    with pytest.raises(GuardError, match="max_delete"):
        site.publish()
    assert s3_tree(site.s3, site.bucket, "run/a.zarr/") == before
    assert site.publish(max_delete="90%").products[0].retired == 14


def test_p8_an_empty_source_retires_nothing(site):
    site.store("a.zarr", weather(5, 8))
    site.publish()
    before = s3_tree(site.s3, site.bucket, "run/a.zarr/")
    shutil.rmtree(site.root / "a.zarr")
    with pytest.raises(SourceError, match="not there"):
        site.publish()
    (site.root / "a.zarr").mkdir()
    with pytest.raises(SourceError, match="is empty"):
        site.publish()
    assert s3_tree(site.s3, site.bucket, "run/a.zarr/") == before
    assert site.publish(allow_empty=True, max_delete="100%").products[0].retired == len(before)
    assert s3_tree(site.s3, site.bucket, "run/a.zarr/") == {}


def test_p8_a_published_chunk_that_vanishes_is_shown_apart(site):
    site.store("a.zarr", weather(12, 8))
    site.publish()
    (site.root / "a.zarr" / "t2m" / "1.0").unlink()
    plan = zsync.plan(site.config())
    assert plan.vanished() == 1
    assert [finding.code for finding in plan.findings] == ["vanished-chunks"]


def test_p8_a_chunk_that_became_empty_does_not_show_old_values_under_retire_keep(site):
    site.store("a.zarr", weather(12, 8), groups={"Auxiliary": weather(12, 8, k=2)})
    site.publish()
    shutil.rmtree(site.root / "a.zarr" / "Auxiliary")
    zarr.consolidate_metadata(site.root / "a.zarr")
    zarr.open_array(site.root / "a.zarr" / "t2m", mode="r+", config={"write_empty_chunks": False})[5:10, :4] = np.nan
    assert not (site.root / "a.zarr" / "t2m" / "1.0").exists()
    result = site.publish(retire="keep")
    assert "vanished-chunks" in [finding.code for finding in result.findings]
    assert np.isnan(site.read("a.zarr").t2m.values[5:10, :4]).all()
    assert same(site.read("a.zarr", group="Auxiliary"), weather(12, 8, k=2))
    assert result.products[0].retired == 1
    assert [key.rpartition("/")[2] for key in s3_tree(site.s3, site.bucket, "run/.zsync/a.zarr/trash/")] == ["1.0"]
    assert site.publish(retire="keep").status == "unchanged"


# --- P9 --------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("at", [3, 8, 13, 16])
def test_p9_after_a_crash_the_same_call_sends_only_what_had_not_arrived(site, at):
    site.store("a.zarr", weather(12, 8))
    total = sum(path.is_file() for path in (site.root / "a.zarr").rglob("*"))
    site.proxy.faults.append(on(Fault.refuse(), method="PUT", key="run/a.zarr/*", nth=at))
    with pytest.raises(zsync.ZsyncError) as raised:
        site.publish(workers=1)
    assert raised.value.exit_status == 1
    arrived = s3_tree(site.s3, site.bucket, "run/a.zarr/")
    assert 0 < len(arrived) < total
    site.proxy.faults.clear()
    site.proxy.accept()
    before = len(site.puts())
    result = site.publish()
    assert result.products[0].sent == total - len(arrived)
    assert set(site.puts()[before:]).isdisjoint({f"a.zarr/{key}" for key in arrived})
    assert same(site.read("a.zarr"), weather(12, 8))


@pytest.mark.parametrize("fault", [Fault.slow_down(), Fault.error(500), Fault.reset(), Fault.lost()])
def test_p9_passing_faults_are_got_over(site, fault):
    site.store("a.zarr", weather(12, 8))
    site.proxy.faults.append(on(fault, nth=2, times=3))
    site.proxy.faults.append(on(fault, method="PUT", key="*.zmetadata"))
    site.proxy.faults.append(on(fault, method="PUT", key="*head.json"))
    site.proxy.faults.append(on(fault, method="PUT", key="*lease.json", times=2))
    assert site.publish().status == "published"
    assert same(site.read("a.zarr"), weather(12, 8))
    assert site.publish().status == "unchanged"


# --- P10 -------------------------------------------------------------------------------------------------------------


def test_p10_every_publication_is_on_record(site):
    three_products(site, 4)
    first = site.publish()
    three_products(site, 6)
    second = site.publish()
    for product in ("pre_qf.zarr", "post_qf.zarr", "cog"):
        state = s3_bytes(site.s3, site.bucket, f"run/.zsync/{product}/")
        records = [json.loads(body) for key, body in sorted(state.items()) if key.startswith("publications/")]
        assert [record["id"] for record in records] == [first.publication, second.publication]
        assert [record["parent"] for record in records] == [None, first.publication]
        assert json.loads(state["head.json"])["publication"] == second.publication
        for record in records:
            assert record["time"].endswith("Z")
            assert record["by"]["user"]
            assert {item["name"] for item in record["products"]} == {"pre_qf.zarr", "post_qf.zarr", "cog"}
        listed = s3_tree(site.s3, site.bucket, f"run/{product}/")
        rows = manifest(site, product).to_pylist()
        assert {row["key"]: (row["size"], row["etag"]) for row in rows} == listed


def test_p10_unchanged_arrays_share_their_part_of_the_manifest(site):
    data = weather(600, 8)
    write_store(site.root / "a.zarr", data.assign(other=data.t2m + 1), chunks={"time": 1, "x": 4})
    site.products["a.zarr"] = {"path": "a.zarr", "kind": "zarr"}
    site.publish()
    first = {key for key in s3_tree(site.s3, site.bucket, "run/.zsync/a.zarr/") if key.startswith("manifests/")}
    array = zarr.open_array(str(site.root / "a.zarr" / "t2m"), mode="r+")
    array[0, 0] = -1
    assert site.publish().products[0].sent == 1
    second = {key for key in s3_tree(site.s3, site.bucket, "run/.zsync/a.zarr/") if key.startswith("manifests/")}
    assert len(first) == 3
    assert len(second - first) == 1


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_secrets_stay_out_of_everything(site, tmp_path, clean_environment, caplog):
    import logging

    caplog.set_level(logging.DEBUG)
    site.store("a.zarr", weather(12, 8))
    plan = zsync.plan(site.config())
    plan.write_parquet(str(tmp_path / "plan.parquet"))
    result = site.publish()
    site.store("a.zarr", weather(12, 8, k=2))
    site.proxy.faults.append(on(Fault.error(403, "AccessDenied"), method="PUT", key="run/a.zarr/*", times=None))
    with pytest.raises(zsync.ZsyncError) as raised:
        site.publish()
    texts = [
        json.dumps(plan.to_dict()), repr(plan), plan._repr_html_(), repr(result), json.dumps(result.to_dict()),
        result._repr_html_(), repr(raised.value), str(raised.value), caplog.text,
    ]  # fmt: skip
    bodies = [text.encode() for text in texts] + [(tmp_path / "plan.parquet").read_bytes()]
    bodies += list(s3_bytes(site.s3, site.bucket, "").values())
    caches = [path.read_bytes() for path in clean_environment.rglob("*") if path.is_file()]
    assert caches
    bodies += caches
    secret = site.s3.secret_key.encode()
    assert not any(secret in body for body in bodies)


# --- stopping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_p9_a_signal_stops_at_a_safe_point_and_gives_the_lease_back(site, tmp_path, sent, status):
    site.store("a.zarr", weather(12, 8))
    config = tmp_path / "config.json"
    config.write_text(json.dumps(site.config()))
    is_sent = threading.Event()
    site.proxy.faults.append(on(Fault.hold(is_sent, 60), method="PUT", key="run/a.zarr/t2m/.zarray"))
    process = subprocess.Popen(
        [sys.executable, "-m", "zsync", "publish", str(config)], stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    while not any(exchange.key == "run/a.zarr/t2m/.zarray" for exchange in site.proxy.requests):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(sent)
    is_sent.set()
    _, said = process.communicate(timeout=60)
    assert process.returncode == status
    assert "readers see what they saw before" in said
    assert "Traceback" not in said
    assert site.read("a.zarr") in ("FileNotFoundError", "GroupNotFoundError")
    lease = json.loads(s3_bytes(site.s3, site.bucket, "run/.zsync/a.zarr/")["lease.json"])
    assert lease["by"] == {}
    assert site.publish().status == "published"
    assert same(site.read("a.zarr"), weather(12, 8))
