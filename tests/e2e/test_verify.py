"""Promise P10: verify names what is not as it was published, whatever was done to it in the bucket; repair mends it."""

from __future__ import annotations

import json
import math
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from proxy import Fault
from servers import lasting_client, tool_env
from target import Site
from trees import read_tree, s3_bytes, s3_tree, weather, write_cog, write_tree

import zsync
from zsync.publication import Leases, read_lease
from zsync.publication.places import places_of

PUBLISH = {"rewrites": "inplace"}  # flips have tests of their own: test_flip

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


def by_key(result):
    return {(item.key, item.kind) for item in result.differences}


def test_what_zsync_never_published_is_looked_at_by_itself(site, tmp_path, run_zsync):
    """In a bucket and on this machine alike; a copy that somebody else made."""
    site.store("a.zarr", weather(20, 16), zarr_format=3)
    write_cog(site.root / "a.zarr" / "map.tif", np.full((300, 300), 7, "u1"))
    tree = read_tree(site.root / "a.zarr")
    tree["t2m/c/9/9"] = b"x"
    tree["zarr.json"] = tree["zarr.json"].replace(b'"units": "K"', b'"units": NaN', 1)
    tree["t2m/c/0/0"] = tree["t2m/c/0/0"][:30] + b"????" + tree["t2m/c/0/0"][34:]
    tree["map.tif"] = tree["map.tif"][:-400]
    write_tree(tmp_path / "a.zarr", tree)
    client = lasting_client(site.s3)
    for key, body in tree.items():
        client.put_object(Bucket=site.bucket, Key=f"copied/a.zarr/{key}", Body=body)
    options = {"as_reader": True, "deep": True, "zarr_checksum": True, "progress": False}
    here = zsync.verify(tmp_path / "a.zarr", **options)
    there = zsync.verify(f"s3://{site.bucket}/copied/a.zarr", **options, **site.config()["storage"])
    wrong = {
        ("t2m/c/9/9", "outside-grid"), ("zarr.json", "not-strict-json"), ("zarr.json", "stale-consolidated"),
        ("t2m", "views-differ"), ("t2m", "does-not-decode"), ("map.tif", "does-not-open"),
    }  # fmt: skip
    assert by_key(there) == wrong
    assert by_key(here) == wrong | {("map.tif", "cut-off")}
    assert here.products[0].checksums == there.products[0].checksums
    assert there.products[0].publication is None
    assert [len(item.to_pandas()) for item in (here, there)] == [7, 6]
    assert ">does-not-decode</td>" in there._repr_html_()

    shown = run_zsync("verify", tmp_path / "a.zarr", "--ignore", "outside-grid", check=5)
    assert "stale-consolidated  zarr.json" in shown.stdout
    assert "outside-grid" not in shown.stdout
    assert zsync.verify(site.root / "a.zarr", progress=False).exit_status == 0


def test_a_directory_that_was_pulled_is_told_by_its_bytes(site, tmp_path):
    site.store("a.zarr", weather(6, 8))
    site.publish()
    zsync.pull(f"s3://{site.bucket}/run/a.zarr", tmp_path / "here", progress=False, **site.config()["storage"])
    here = tmp_path / "here" / "a.zarr"
    (here / "t2m" / "0.0").touch()
    assert zsync.verify(here, progress=False).status == "sound"
    body = bytearray((here / "t2m" / "0.0").read_bytes())
    body[-1] ^= 1
    (here / "t2m" / "0.0").write_bytes(body)
    found = zsync.verify(here, progress=False)
    assert by_key(found) == {("t2m/0.0", "content")}
    assert "zsync pull --force-overwrite" in found.differences[0].advice


def test_an_earlier_publication_is_there_as_long_as_its_versions_are(s3, proxy, versioned_bucket, tmp_path):
    site = Site(s3, proxy, versioned_bucket, tmp_path / "run", PUBLISH)
    site.store("a.zarr", weather(6, 8))
    first = site.publish().publication
    site.store("a.zarr", weather(9, 8, k=2))
    site.publish()
    options = {**site.config()["storage"], "progress": False}
    url = f"s3://{site.bucket}/run/a.zarr"
    assert zsync.verify(url, at=first, deep=True, **options).status == "sound"
    assert zsync.verify(url, **options).status == "sound"
    client = lasting_client(s3)
    versions = client.list_object_versions(Bucket=site.bucket, Prefix="run/a.zarr/t2m/0.0")["Versions"]
    old = next(item["VersionId"] for item in versions if not item["IsLatest"])
    client.delete_object(Bucket=site.bucket, Key="run/a.zarr/t2m/0.0", VersionId=old)
    assert by_key(zsync.verify(url, at=first, **options)) == {("t2m/0.0", "missing")}
    assert zsync.verify(url, **options).status == "sound"


@pytest.mark.parametrize("first", ["head", "listing"])
def test_a_publication_meanwhile_is_no_difference_and_a_publisher_at_work_is_told_of(site, first):
    """Somebody publishes between two answers of which the one is about what was before, the other about what is now."""
    site.store("a.zarr", weather(6, 8))
    site.publish()
    url, options = f"s3://{site.bucket}/run/a.zarr", {**site.config()["storage"], "progress": False}
    straight = site.config()
    straight["storage"]["endpoint_url"] = site.s3.endpoint_url
    published = threading.Event()

    def is_of(what, exchange):
        if what == "head":
            return exchange.key.endswith("/head.json")
        return "list-type" in exchange.query and "delimiter" not in exchange.query

    def publish_once(exchange):
        if is_of(first, exchange) and not published.is_set():
            site.store("a.zarr", weather(9, 8, k=2))
            zsync.publish(straight, progress=False)
            published.set()

    def wait(exchange):
        later = "listing" if first == "head" else "head"
        return Fault.hold(published) if is_of(later, exchange) and not published.is_set() else None

    site.proxy.watchers.append(publish_once)
    site.proxy.faults.append(wait)
    site.proxy.requests.clear()
    assert zsync.verify(url, **options).status == "sound"
    assert sum(is_of("head", exchange) for exchange in site.proxy.requests) == 2
    assert published.is_set()

    [place] = places_of(url, **site.config()["storage"])
    lease = read_lease(place.store, place.state)
    with Leases([(place.store, place.state, lease)], "20200101T000000000Z-0", "0"):
        found = zsync.verify(url, **options)
    assert [item.code for item in found.findings] == ["being-published"]
    assert found.status == "sound"


def test_what_a_configuration_lets_be_is_no_difference(site):
    site.store("a.zarr", weather(6, 8))
    site.publish()
    bucket = Bucket(site)
    bucket.put("a.zarr/notes.log", b"of somebody", like="a.zarr/.zgroup")
    assert by_key(zsync.verify(site.config(), progress=False)) == {("notes.log", "extra")}
    for more in ({"exclude": ["*.log"]}, {"retire": "keep"}):
        let = zsync.verify(site.config(), progress=False, **more)
        assert (let.status, [item.code for item in let.findings]) == ("sound", ["let-be"])


def test_a_lost_manifest_is_told_and_made_again(site, monkeypatch, tmp_path):
    site.store("a.zarr", weather(6, 8))
    site.publish()
    monkeypatch.setenv("ZSYNC_CACHE_DIR", str(tmp_path / "cache"))
    bucket = Bucket(site)
    [part] = [key for key in s3_tree(site.s3, site.bucket, "run") if "/manifests/" in key]
    bucket.delete(part)
    assert by_key(zsync.verify(site.config(), progress=False)) == {(".zsync/a.zarr/manifests", "lost-record")}
    mended = zsync.verify(f"s3://{site.bucket}/run/a.zarr", repair=True, source=site.root / "a.zarr", progress=False,
                          **site.config()["storage"])  # fmt: skip
    assert mended.status == "repaired"
    assert any("/manifests/" in key for key in s3_tree(site.s3, site.bucket, "run"))
    assert zsync.verify(site.config(), deep=True, progress=False).status == "sound"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["URL", "--dry-run"], "nothing is written without --repair"),
        (["URL", "somewhere"], "a source is there to repair from"),
        (["URL", "--repair", "--at", "x"], "what is past is not repaired"),
        (["URL", "--sample", "half"], "this is no sample"),
        (["URL", "--repair"], "there is nothing to repair from"),
        (["URL/none"], "there is nothing there"),
    ],
)
def test_what_cannot_be_asked_is_refused(s3, shared, run_zsync, words, said):
    url = f"s3://{shared}/x"
    done = run_zsync("verify", *(word.replace("URL", url) for word in words), env=tool_env(s3), check=2)
    assert said in done.stderr


@pytest.fixture(scope="module")
def shared(s3):
    s3.create_bucket("verify-refused")
    lasting_client(s3).put_object(Bucket="verify-refused", Key="x/zarr.json", Body=b"{")
    return "verify-refused"


def test_what_was_left_behind_is_cleared_away_without_a_source_or_a_publication(site):
    site.store("a.zarr", weather(6, 8))
    site.publish()
    url, options = f"s3://{site.bucket}/run/a.zarr", {**site.config()["storage"], "progress": False}
    bucket = Bucket(site)
    bucket.begin_upload("a.zarr/t2m/0.0")
    bucket.begin_upload("b.zarr/of-others")
    bucket.put(".zsync/a.zarr/lease.json", json.dumps(LEFT).encode())
    mended = zsync.verify(url, repair=True, **options)
    assert (mended.status, mended.repair) == ("repaired", None)
    assert {item.kind for item in mended.found} == {"unfinished-upload", "left-lease"}
    assert bucket.uploads() == ["run/b.zarr/of-others"]
    bucket.put(".zsync/a.zarr/lease.json", json.dumps({**LEFT, "by": {}, "is_unfinished": True}).encode())
    assert by_key(zsync.verify(url, **options)) == {(".zsync/a.zarr/lease.json", "unfinished-run")}
    assert zsync.verify(url, repair=True, **options).status == "repaired"
    assert sum("/publications/" in key for key in s3_tree(site.s3, site.bucket, "run")) == 1
