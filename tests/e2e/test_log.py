"""`zsync log` as a user meets it: what was published and said of it, what changed, what is no longer wanted."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from proxy import Fault, on
from servers import s3_client, tool_env
from target import At, Site
from trees import append, s3_tree, weather

import zsync
from zsync.cli.publish import _pairs
from zsync.errors import ConfigError, ConflictError, TargetError
from zsync.verbs.log import prune_log
from zsync.verbs.trash import empty_trash, list_trash

RECORDS = "run/.zsync/a.zarr/publications/"


def dated(n_time, nx):
    """Return weather of days, in a store that can grow along them."""
    data = weather(n_time, nx)
    days = pd.date_range("2020-01-01", periods=n_time)
    data = data.assign_coords(time=days)
    data["time"].encoding = {"units": "days since 2000-01-01", "dtype": "i4"}
    return data


def grow(site, begin, end, name="a.zarr"):
    append(site.root / name, dated(end, 8).isel(time=slice(begin, end)))


def records_read(site, look):
    """Return the ids of the records that are read for something."""
    before = len(site.proxy.requests)
    look()
    keys = [e.key for e in site.proxy.requests[before:] if e.method == "GET" and e.key.startswith(RECORDS)]
    return sorted(key.removeprefix(RECORDS).removesuffix(".json") for key in keys)


def rows(site, between):
    """Return what is told of each array between two publications."""
    [product] = zsync.log(site.config(), between).products
    return {item.name: item for item in product.arrays}


@pytest.fixture(params=["versions", "trash"])
def past(request, s3, proxy, bucket, versioned_bucket, tmp_path):
    """Four publications of a store: in format 3 on a bucket that keeps versions, in format 2 on one that does not."""
    site = Site(s3, proxy, versioned_bucket if request.param == "versions" else bucket, tmp_path / "run")
    three = request.param == "versions"
    site.store("a.zarr", dated(10, 8), zarr_format=3 if three else 2, groups={"Auxiliary": dated(5, 8)})
    said = {"message": "first", "meta": {"run": "1"}}
    ids = [site.publish(**said).publication]
    grow(site, 10, 12)
    ids.append(site.publish(message="two days more").publication)
    chunk = site.root / "a.zarr/t2m" / ("c/0/1" if three else "0.1")
    chunk.write_bytes((site.root / "a.zarr/t2m" / ("c/1/1" if three else "1.1")).read_bytes())
    ids.append(site.publish().publication)
    shutil.rmtree(site.root / "a.zarr/Auxiliary")
    write = {"zarr_format": 3 if three else 2}
    site.store("a.zarr", dated(12, 8), **write)
    chunk.write_bytes((site.root / "a.zarr/t2m" / ("c/1/1" if three else "1.1")).read_bytes())
    ids.append(site.publish(max_delete="100%").publication)
    return site, ids, three


def test_the_log_tells_what_was_published_and_what_changed(past):
    site, ids, has_versions = past
    log = zsync.log(site.config())
    assert [entry.id for entry in log] == ids
    assert [entry.message for entry in log] == ["first", "two days more", None, None]
    assert log[0].meta == {"run": "1"}
    document = json.loads(json.dumps(log.to_dict()))
    assert [item["parent"] for item in document] == [None, *ids[:-1]]
    assert [item["head"] for item in document] == [False, False, False, True]
    assert all({"id", "time", "parent", "products", "objects", "bytes"} <= item.keys() for item in document)
    [share] = document[2]["products"]
    assert (share["sent"], share["retired"]) == (1, 0)
    assert document[3]["products"][0]["retired"] > 0
    in_trash = document[3]["products"][0]["trash"]["objects"]
    assert in_trash == sum(len(item.keys) for item in list_trash(site.config()))
    assert (in_trash > 0) is not has_versions
    assert "two days more" in log._repr_html_()
    assert list(log.to_pandas()["sent"])[2] == 1
    assert_differences_are_told(site, ids, has_versions=has_versions)


def assert_differences_are_told(site, ids, *, has_versions):
    """Shapes and labels as they were then: where they still are, in versions, in the trash."""
    grown = rows(site, ids[1])
    assert grown["t2m"].chunks == {"new": 2}
    [time, x] = grown["t2m"].along["new"]
    assert (time.dimension, [item.labels for item in time.ranges]) == ("time", [("2020-01-11", "2020-01-12")])
    assert x.is_all
    assert grown["t2m"].shape == (12, 8)
    assert grown["t2m"].shape_before == ((10, 8) if has_versions else None)  # it was overwritten, and nothing kept it
    assert rows(site, "head~1")["t2m"].along["changed"][1].ranges[0].labels == ("7", "10")
    gone = rows(site, f"{ids[2]}..head")
    assert {item for item in gone if "Auxiliary" in item} == {"Auxiliary/t2m", "Auxiliary/time", "Auxiliary/x"}
    assert gone["Auxiliary/t2m"].chunks == {"removed": 2}
    whole = zsync.log(site.config(), "..")
    assert whole.to_dict()["products"][0]["before"] == ids[0]
    table = whole.to_pandas()
    key = "t2m/c/2/0" if has_versions else "t2m/2.0"
    assert np.array_equal(table[table["key"] == key]["chunk"].iloc[0], [2, 0])
    assert "2020-01-11..2020-01-12" in whole._repr_html_()
    assert zsync.log(site.config(), "head..head").is_empty


def test_pruned_history_is_gone_and_nothing_that_is_kept_needs_it(past):
    site, ids, has_versions = past
    with pytest.raises(ConfigError, match="what is to stay"):
        prune_log(site.config())
    before = s3_tree(site.s3, site.bucket)
    [would] = prune_log(site.config(), keep=2, dry_run=True)
    assert s3_tree(site.s3, site.bucket) == before
    assert would.publications == tuple(ids[:2])
    assert prune_log(site.config(), older_than="1d")[0].is_empty

    def meddle():
        with pytest.raises(ConflictError):
            prune_log(site.config(), keep=2)

    grow(site, 12, 13)
    ids.append(zsync.publish(site.config(), progress=At("data", meddle)).publication)
    [gone] = prune_log(site.config(), keep=3, trash=True)
    assert gone.publications == tuple(ids[:2])
    assert [entry.id for entry in zsync.log(site.config())] == ids[2:]
    assert rows(site, f"{ids[2]}..{ids[3]}")["Auxiliary/t2m"].chunks == {"removed": 2}
    assert bool(list_trash(site.config())) is not has_versions  # a kept publication had what is in it
    with pytest.raises(ConfigError, match="not on record any more"):
        zsync.log(site.config(), ids[2])
    assert site.publish().status == "unchanged"
    prune_log(site.config(), older_than=0, trash=True)
    assert [entry.id for entry in zsync.log(site.config())] == ids[-1:]
    assert list_trash(site.config()) == []

    grow(site, 13, 14)
    ids.append(site.publish().publication)
    site.proxy.faults[:] = [on(Fault.error(403, "AccessDenied"), nth=2, times=None, method="POST", query="delete")]
    with pytest.raises(TargetError):
        prune_log(site.config(), keep=1)
    site.proxy.faults.clear()
    assert [entry.id for entry in zsync.log(site.config())] == ids[-1:]
    assert len(prune_log(site.config(), keep=1)[0].parts) == 1  # what the records that are gone had named


def test_a_few_publications_cost_a_few_reads(site, caplog):
    site.store("a.zarr", dated(3, 8))
    ids = [site.publish().publication]
    for end in range(4, 8):
        grow(site, end - 1, end)
        ids.append(site.publish().publication)
    assert records_read(site, lambda: zsync.log(site.config(), number=2)) == ids[-2:]
    assert records_read(site, lambda: zsync.log(site.config(), ids[1])) == ids[:2]
    assert [entry.id for entry in zsync.log(site.config(), number=2)] == ids[-2:]
    caplog.set_level("INFO", "zsync")
    assert site.publish(message="nothing new").status == "unchanged"
    assert "the message is on no record" in caplog.text


def test_the_command_tells_a_publication_of_several_products(site, run_zsync, tmp_path):
    site.store("a.zarr", dated(10, 8))
    site.store("b.zarr", dated(5, 8))
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    commit = ["git", "-c", "user.name=ada", "-c", "user.email=a@example.org", "commit", "--allow-empty", "-qm", "first"]
    subprocess.run(commit, cwd=tmp_path, check=True)
    remote = ["git", "remote", "add", "origin", "https://ada:token@git.example.org/a.git"]
    subprocess.run(remote, cwd=tmp_path, check=True)
    config = tmp_path / "zsync.json"
    config.write_text(json.dumps(site.config(publish={"meta": {"project": "oco3"}})))
    run_zsync("publish", config, "-m", "both", "--meta", "run=1")
    grow(site, 10, 12)
    second = zsync.publish(config, only=["a.zarr"], message="a alone", progress=False)

    first, last = json.loads(run_zsync("log", config, "--json").stdout)
    assert [item["name"] for item in first["products"]] == ["a.zarr", "b.zarr"]
    assert (first["message"], first["meta"]) == ("both", {"project": "oco3", "run": "1"})
    [repository] = first["provenance"]["repositories"]
    assert (first["provenance"]["config"], repository["of"]) == ("zsync.json", ["config", "source"])
    assert len(repository["commit"]) == 40
    assert "token" not in json.dumps(first)
    assert str(tmp_path) not in json.dumps(first)
    assert (last["id"], [item["name"] for item in last["products"]]) == (second.publication, ["a.zarr"])

    env, url = tool_env(site.s3), f"s3://{site.bucket}/run"
    text = run_zsync("log", url, env=env).stdout
    assert "a alone" in text
    assert text.count("head") == 2
    changed = run_zsync("log", url, "..", env=env).stdout
    assert "b.zarr: " in changed
    assert "nothing changed" in changed
    assert "time 2020-01-11..2020-01-12" in changed
    [product] = json.loads(run_zsync("log", url, second.publication, "--json", env=env).stdout)["products"]
    chunks = [row["chunk"] for row in product["objects"] if row["array"] == "t2m" and row["chunk"]]
    assert chunks == [[2, 0], [2, 1]]
    assert "only one of these" in run_zsync("log", url, "head", "-n", "1", env=env, check=2).stderr
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        _pairs(["run"])
    prune = ("log", url, "--prune", "--keep", "1")
    assert "give it, or run this in a terminal" in run_zsync(*prune, env=env, check=2).stderr
    assert first["id"] in run_zsync(*prune, "--yes", env=env).stdout
    assert [entry.id for entry in zsync.log(config)] == [first["id"], last["id"]]  # of b.zarr the first is the only one


def test_the_trash_is_emptied_by_glob_and_publication(site):
    site.store("a.zarr", dated(15, 8))
    site.publish()
    site.store("a.zarr", dated(5, 8))
    publication = site.publish(max_delete="100%").publication
    assert {item.publication for item in list_trash(site.config(), publication=publication[:-3])} == {publication}
    assert list_trash(site.config(), older_than="1h") == []
    [gone] = empty_trash(site.config(), include=["t2m/1.*"], publication=publication)
    assert set(gone.keys) == {"t2m/1.0", "t2m/1.1"}
    [left] = list_trash(site.config())
    assert set(left.keys) == {"t2m/2.0", "t2m/2.1"}


def test_a_record_that_is_damaged_or_of_a_newer_zsync_hides_no_other(site, caplog):
    site.store("a.zarr", dated(3, 8))
    ids = [site.publish().publication]
    for end in (4, 5):
        grow(site, end - 1, end)
        ids.append(site.publish().publication)
    with contextlib.closing(s3_client(site.s3)) as client:
        client.put_object(Bucket=site.bucket, Key=f"{RECORDS}{ids[1]}.json", Body=b'{"format": 2}')
    assert [entry.id for entry in zsync.log(site.config())] == [ids[0], ids[2]]
    assert "newer zsync" in caplog.text
