"""Promise P10: verify names what is not as it was published, whatever was done to it in the bucket; repair mends it."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from proxy import Fault
from servers import lasting_client
from trees import read_tree, s3_bytes, s3_tree, weather, write_cog, write_tree

import zsync

ZARR = {
    "v2": {},
    "v3": {"zarr_format": 3},
    "sharded": {"zarr_format": 3, "shards": {"time": 10, "x": 8}},
}
OLD = "2020-01-01T00:00:00+00:00"
LEFT = {
    "format": 1, "publication": "20200101T000000000Z-0", "since": OLD, "expires": OLD,
    "by": {"user": "ann", "host": "elsewhere", "pid": "7"},
}  # fmt: skip


class Bucket:
    """What somebody may do to a product in a bucket, going round zsync."""

    def __init__(self, site):
        self.client, self.site = lasting_client(site.s3), site

    def get(self, key):
        return self.client.get_object(Bucket=self.site.bucket, Key=f"run/{key}")["Body"].read()

    def put(self, key, body, like=None, **headers):
        kept = self.client.head_object(Bucket=self.site.bucket, Key=f"run/{like or key}")
        told = {name: kept[name] for name in ("ContentType", "CacheControl") if name in kept}
        self.client.put_object(Bucket=self.site.bucket, Key=f"run/{key}", Body=body, **{**told, **headers})

    def flip(self, key):
        body = bytearray(self.get(key))
        body[-1] ^= 1
        self.put(key, bytes(body))

    def delete(self, key):
        self.client.delete_object(Bucket=self.site.bucket, Key=f"run/{key}")

    def swap(self, one, other):
        first, second = self.get(one), self.get(other)
        self.put(one, second)
        self.put(other, first)

    def begin_upload(self, key):
        self.client.create_multipart_upload(Bucket=self.site.bucket, Key=f"run/{key}")

    def uploads(self):
        return [item["Key"] for item in self.client.list_multipart_uploads(Bucket=self.site.bucket).get("Uploads", [])]

    def headers(self, key):
        told = self.client.head_object(Bucket=self.site.bucket, Key=f"run/{key}")
        return told["ContentType"], told.get("CacheControl")


class Rotten:
    """A service that gives other bytes for an object, under the ETag that it has, until it is written again."""

    def __init__(self, site, key):
        self.key, self.is_rotten = f"run/{key}", True
        size, etag = s3_tree(site.s3, site.bucket, "run")[key]
        self.answer = Fault.answer(206, "?" * size, **{
            "ETag": f'"{etag}"', "Content-Range": f"bytes 0-{size - 1}/{size}",
            "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
        })  # fmt: skip

    def __call__(self, exchange):
        if exchange.key == self.key and exchange.method == "PUT":
            self.is_rotten = False
        return self.answer if exchange.key == self.key and exchange.method == "GET" and self.is_rotten else None


def write_zarr(site, form):
    for name in ("a.zarr", "b.zarr"):
        site.store(name, weather(20, 16), **ZARR[form])


def write_rasters(site):
    for number in range(6):
        write_cog(site.root / "a" / f"{number}.tif", np.full((40, 40), number, "u1"), west=number)
    write_tree(site.root, {"a": {"index.json": json.dumps({"items": [f"{n}.tif" for n in range(6)]})}})
    write_tree(site.root, {"b": {"index.json": json.dumps({"of": "b"})}})
    site.products = {name: {"path": name, "kind": "cog"} for name in ("a", "b")}


def places(site, form):
    """Return the keys that things happen to: six of data, and a document in each product."""
    if form == "cog":
        return SimpleNamespace(data=[f"a/{n}.tif" for n in range(6)], truncated="a/index.json", nan=None, root="a")
    data = sorted(key for key in read_tree(site.root) if key.startswith("a.zarr/") and key[-1].isdigit())
    data = [key for key in data if "t2m" in key][:4] + [key for key in data if "t2m" not in key][:2]
    document = ".zmetadata" if form == "v2" else "zarr.json"
    return SimpleNamespace(data=data, truncated=f"a.zarr/{document}", nan=f"b.zarr/{document}", root="a.zarr")


def with_nan(body):
    document = json.loads(body)
    listed = document["metadata"] if "metadata" in document else document["consolidated_metadata"]["metadata"]
    if "t2m/.zattrs" in listed:
        listed["t2m/.zattrs"]["limit"] = math.nan
    else:
        listed["t2m"]["attributes"]["limit"] = math.nan
    return json.dumps(document).encode()


def kinds(result, prefix=""):
    """Return the kinds of differences, by key as the bucket has it."""
    found = {}
    for item in result.differences:
        name = next(product.url for product in result.products if product.name == item.product).rpartition("/")[2]
        found.setdefault(f"{name}/{item.key}", set()).add(item.kind)
    return found


@pytest.mark.parametrize("form", [*ZARR, "cog"])
def test_p10_every_fault_is_named_and_mended(site, form, run_zsync, tmp_path):
    write_rasters(site) if form == "cog" else write_zarr(site, form)
    config = site.config()
    config["storage"]["cache_control"] = {"root": "no-cache"}
    zsync.publish(config, progress=False)
    before, at = s3_bytes(site.s3, site.bucket, "run"), places(site, form)
    assert zsync.verify(config, deep=True, headers=True, as_reader=True, progress=False).status == "sound"

    bucket = Bucket(site)
    flipped, deleted, one, other, retyped, rotten = at.data
    bucket.flip(flipped)
    bucket.delete(deleted)
    bucket.swap(one, other)
    bucket.put(retyped, bucket.get(retyped), ContentType="text/plain")
    bucket.put(f"{at.root}/foreign.bin", b"of somebody", like=retyped)
    bucket.put(at.truncated, bucket.get(at.truncated)[:20])
    if at.nan:
        bucket.put(at.nan, with_nan(bucket.get(at.nan)))
    bucket.begin_upload(f"{at.root}/large")
    lease = f".zsync/{at.root}/lease.json"
    bucket.put(lease, json.dumps(LEFT).encode())
    site.proxy.faults.append(Rotten(site, rotten))

    found = zsync.verify(config, seed=1, progress=False)
    assert found.status == "different"
    assert kinds(found).items() >= {
        flipped: {"overwritten"}, deleted: {"missing"}, retyped: {"headers"}, f"{at.root}/foreign.bin": {"extra"},
        f"{at.root}/large": {"unfinished-upload"}, f"{at.root}/{lease}": {"left-lease"},
    }.items()  # fmt: skip
    assert all(kinds(found)[key] <= {"overwritten", "size"} for key in (one, other))
    assert "size" in kinds(found)[at.truncated]
    assert rotten not in kinds(found)
    if at.nan:
        assert kinds(found)[at.nan] >= {"size", "not-strict-json"}
        assert "bad-metadata" in kinds(found)[at.truncated]
    assert "ann@elsewhere" in next(item.message for item in found.differences if item.kind == "left-lease")
    assert all(item.message and item.advice for item in found.differences)

    deep = kinds(zsync.verify(config, deep=True, seed=1, progress=False))
    assert deep[rotten] == {"content"}
    assert deep.keys() == {*kinds(found), rotten}

    planned = zsync.verify(config, repair=True, dry_run=True, deep=True, seed=1, progress=False)
    assert planned.repair.status == "planned"
    reasons = {row["key"]: row["reason"] for row in planned.repair.plan.table.to_pylist() if row["action"] == "send"}
    assert reasons[rotten.partition("/")[2]] == reasons[retyped.partition("/")[2]] == "not as on record"
    assert bucket.uploads()

    file = write_tree(tmp_path, {"run.json": json.dumps(config)}) / "run.json"
    shown = run_zsync("verify", file, "--deep", "--repair", "--seed", "1", "--json", "-q")
    document = json.loads(shown.stdout)
    assert document["status"] == "repaired"
    assert document["differences"] == []
    assert {(item["key"], item["kind"]) for item in document["repaired"]} >= {("foreign.bin", "extra")}
    after = s3_bytes(site.s3, site.bucket, "run")
    assert {key: body for key, body in after.items() if not key.startswith(".zsync/")} == {
        key: body for key, body in before.items() if not key.startswith(".zsync/")
    }
    assert bucket.headers(retyped) == bucket.headers(flipped)
    assert bucket.uploads() == []
    assert zsync.verify(config, deep=True, headers=True, as_reader=True, progress=False).status == "sound"
