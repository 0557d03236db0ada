"""What zsync keeps beside a product: what happens when it is lost, damaged, newer, or moved by somebody else."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import threading
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from hypothesis import assume, example, given
from hypothesis import strategies as st
from proxy import Fault, Proxy, on
from servers import s3_client
from trees import s3_bytes, write_tree

import zsync
from zsync import __version__
from zsync.config import Location, Storage
from zsync.errors import ConfigError, ConflictError, GuardError, TargetError
from zsync.inventory import list_target
from zsync.publication import (
    Head,
    Part,
    Publication,
    PublishedProduct,
    StateKeys,
    move_head,
    new_publication_id,
    read_head,
    write_record,
)
from zsync.storage import Headers, connect, spec_for

TRANSPORTS = ["obstore", "fsspec"]
FILES = {"a.txt": b"one", "b": {"c.txt": b"two"}}
STATE = "run/.zsync/files/"
NEWER = {"format": 2, "publication": "29990101T000000000Z-00000000", "shards": []}


class Place:
    """Products of files, reached through a proxy by zsync and directly by the test."""

    def __init__(self, s3, proxy, bucket, root, home):
        self.s3, self.proxy, self.bucket, self.root, self.home = s3, proxy, bucket, root, home
        write_tree(root / "files", FILES)

    @property
    def storage(self):
        return {
            "endpoint_url": self.proxy.endpoint_url,
            "region": self.s3.region,
            "access_key_id": self.s3.access_key,
            "secret_access_key": self.s3.secret_key,
        }

    def config(self, *names, target="run"):
        return {
            "source": str(self.root),
            "target": f"s3://{self.bucket}/{target}".rstrip("/"),
            "products": {name: {"path": name, "kind": "files"} for name in names or ("files",)},
            "storage": self.storage,
        }

    def publish(self, *names, target="run", **overrides):
        return zsync.publish(self.config(*names, target=target), progress=False, **overrides)

    def store(self, transport="obstore"):
        return connect(spec_for(Location.parse(f"s3://{self.bucket}"), Storage(**self.storage), transport))

    def objects(self, prefix=""):
        return s3_bytes(self.s3, self.bucket, prefix)

    def put(self, key, body):
        with contextlib.closing(s3_client(self.s3)) as client:
            client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def delete(self, key):
        with contextlib.closing(s3_client(self.s3)) as client:
            client.delete_object(Bucket=self.bucket, Key=key)

    def written(self, prefix=""):
        """Return the keys that zsync wrote or removed below a prefix since this was last asked."""
        keys = [e.key for e in self.proxy.requests if e.is_write and e.key.startswith(prefix)]
        self.proxy.requests.clear()
        return keys

    def forget(self):
        """Go to another machine: caches are empty there."""
        shutil.rmtree(self.home / "cache", ignore_errors=True)

    def head(self):
        return json.loads(self.objects(STATE)["head.json"])

    def parts(self):
        return [f"{STATE}manifests/{part['digest']}.parquet" for part in self.head()["manifest"]]

    def record(self):
        """Return what the manifest says of the product, read by another reader: key to digest and ETag."""
        found = self.objects(STATE)
        tables = []
        for part in self.head()["manifest"]:
            body = found[f"manifests/{part['digest']}.parquet"]
            assert blake3(body).hexdigest() == part["digest"]
            tables.append(pq.read_table(io.BytesIO(body)))
        return {row["key"]: (row["digest"], row["size"]) for row in pa.concat_tables(tables).to_pylist()}

    def true_record(self):
        return {key: (blake3(body).hexdigest(), len(body)) for key, body in self.objects("run/files/").items()}


@pytest.fixture
def proxy(s3):
    with Proxy(s3.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def place(s3, proxy, bucket, tmp_path, clean_environment):
    return Place(s3, proxy, bucket, tmp_path / "run", clean_environment)


# --- a manifest that is lost -----------------------------------------------------------------------------------------


def lose(place):
    for key in place.parts():
        place.delete(key)


def damage(place):
    for key in place.parts():
        place.put(key, place.objects()[key][:-1] + b"x")


def empty(place):
    for key in place.parts():
        place.put(key, b"")


LOSSES = pytest.mark.parametrize("harm", [lose, damage, empty])


@LOSSES
@pytest.mark.parametrize("trust", ["listing", "manifest"])
def test_without_its_manifest_a_product_is_compared_by_etag_and_nothing_is_sent_again(place, harm, trust):
    place.publish()
    harm(place)
    place.forget()
    place.written()
    result = place.publish(trust=trust)
    assert [(finding.level, finding.code) for finding in result.findings] == [("warning", "manifest-lost")]
    assert "manifests/" in result.findings[0].message
    assert (result.products[0].sent, result.products[0].unchanged) == (0, 2)
    assert place.written("run/files/") == []


@LOSSES
def test_without_its_manifest_only_what_changed_is_sent_and_all_is_on_record_again(place, harm):
    place.publish()
    harm(place)
    place.forget()
    (place.root / "files" / "a.txt").write_bytes(b"other")
    place.written()
    result = place.publish()
    assert [finding.code for finding in result.findings] == ["manifest-lost"]
    assert place.written("run/files/") == ["run/files/a.txt"]
    assert place.record() == place.true_record()
    assert place.true_record().keys() == {"a.txt", "b/c.txt"}


@LOSSES
def test_a_publish_puts_back_on_record_what_was_lost_of_it(place, harm):
    """Nothing has changed but the manifest: one publish makes it anew, and the next has nothing to do or to say."""
    place.publish()
    harm(place)
    place.forget()
    place.publish()
    assert place.record() == place.true_record()
    place.forget()
    again = place.publish()
    assert (again.status, again.findings) == ("unchanged", ())


@pytest.mark.parametrize("how", ["lost a second time", "filled by another tool"])
@LOSSES
def test_a_manifest_that_is_made_anew_just_as_it_was_is_written_all_the_same(place, harm, how):
    """A manifest that was made by comparing ETags comes out as it was, digest and all, when that is done again."""
    if how == "filled by another tool":
        for key, body in {"a.txt": b"one", "b/c.txt": b"two"}.items():
            place.put(f"run/files/{key}", body)
    place.publish()
    for _ in range(1 if how == "filled by another tool" else 2):
        harm(place)
        place.forget()
        place.publish()
    place.forget()
    again = place.publish()
    assert (again.status, again.findings) == ("unchanged", ())
    assert place.record() == place.true_record()


def test_a_manifest_that_is_lost_is_noticed_by_a_plan_which_writes_nothing(place):
    place.publish()
    lose(place)
    place.forget()
    before = place.objects()
    place.written()
    plan = zsync.plan(place.config())
    assert [finding.code for finding in plan.findings] == ["manifest-lost"]
    assert plan.is_empty
    assert place.written() == []
    assert place.objects() == before


def test_a_damaged_part_in_the_cache_is_fetched_anew(place):
    place.publish()
    cached = list((place.home / "cache").rglob("manifests/*.parquet"))
    assert cached
    for path in cached:
        path.write_bytes(b"damaged")
    result = place.publish()
    assert (result.status, result.findings) == ("unchanged", ())
    assert all(path.read_bytes() != b"damaged" for path in cached)


def test_the_cache_is_where_the_environment_says(place, monkeypatch, tmp_path):
    monkeypatch.setenv("ZSYNC_CACHE_DIR", str(tmp_path / "elsewhere"))
    place.publish()
    assert {path.stem for path in (tmp_path / "elsewhere").rglob("manifests/*.parquet")} == {
        part["digest"] for part in place.head()["manifest"]
    }
    assert not (place.home / "cache").exists()


# --- a head or a lease that cannot be read ---------------------------------------------------------------------------

UNREADABLE = [b"", b"not JSON", b"\xff\xfe", b"null", b"[]", b'"text"', b"{}", b'{"format": "one"}']
BAD_HEADS = [
    *UNREADABLE,
    b'{"format": 1, "publication": "x"}',
    b'{"format": 1, "publication": "x", "manifest": [{"digest": "d"}]}',
    b'{"format": 1, "publication": "x", "manifest": 3}',
]
SOMEBODY = {"user": "u", "host": "h", "pid": "1", "machine": "m", "started": "1"}
BAD_LEASES = [
    *UNREADABLE,
    b'{"by": "somebody"}',
    json.dumps({"by": SOMEBODY, "since": "", "expires": "tomorrow", "publication": "x"}).encode(),
    json.dumps({"by": SOMEBODY, "since": "", "expires": 5, "publication": "x"}).encode(),
    json.dumps({"by": SOMEBODY, "since": "", "expires": "2026-01-01T00:00:00", "publication": "x"}).encode(),
]


def assert_untouched(place, raised, says, run_zsync):
    """A publish is refused with this error, by the function and by the command, and writes nothing at all."""
    before = place.objects()
    place.written()
    (place.root / "files" / "a.txt").write_bytes(b"other")
    with pytest.raises(raised, match=says) as error:
        place.publish()
    assert error.value.exit_status == 1
    assert "\n" not in str(error.value)
    config = place.root / "config.json"
    config.write_text(json.dumps(place.config()))
    done = run_zsync("publish", config, check=1)
    assert [line for line in done.stderr.splitlines() if line.startswith("zsync: ")] == [f"zsync: {error.value}"]
    assert "Traceback" not in done.stderr
    assert place.written() == []
    assert place.objects() == before


def test_a_head_of_a_newer_zsync_is_left_alone(place, run_zsync):
    place.publish()
    place.put(f"{STATE}head.json", json.dumps(NEWER).encode())
    assert_untouched(place, TargetError, r"by a newer zsync.*head\.json; upgrade zsync", run_zsync)


def test_a_head_that_is_no_json_is_left_alone(place, run_zsync):
    place.publish()
    place.put(f"{STATE}head.json", b"not JSON")
    assert_untouched(place, TargetError, r"the head cannot be read.*head\.json; move it away", run_zsync)


def test_a_lease_that_is_no_json_is_left_alone(place, run_zsync):
    place.publish()
    place.put(f"{STATE}lease.json", b"not JSON")
    assert_untouched(place, TargetError, r"the lease cannot be read.*lease\.json; delete it if nobody", run_zsync)


@pytest.mark.parametrize("body", BAD_HEADS)
def test_a_head_that_makes_no_sense_is_named_and_nothing_is_written(place, body):
    place.put(f"{STATE}head.json", body)
    with pytest.raises(TargetError, match=r"head\.json"):
        place.publish()
    assert place.written() == []


@pytest.mark.parametrize("body", BAD_LEASES)
def test_a_lease_that_makes_no_sense_is_named_and_nothing_is_written(place, body):
    place.put(f"{STATE}lease.json", body)
    with pytest.raises(TargetError, match=r"the lease cannot be read.*lease\.json"):
        place.publish()
    assert place.written() == []


def test_the_advice_for_a_head_that_cannot_be_read_works(place):
    place.publish()
    place.put(f"{STATE}head.json", b"not JSON")
    place.delete(f"{STATE}head.json")
    place.written()
    result = place.publish()
    assert (result.status, result.products[0].sent) == ("published", 0)
    assert place.written("run/files/") == []
    assert place.record() == place.true_record()


def test_the_advice_for_a_lease_that_cannot_be_read_works(place):
    place.publish()
    place.put(f"{STATE}lease.json", b"not JSON")
    place.delete(f"{STATE}lease.json")
    (place.root / "files" / "a.txt").write_bytes(b"other")
    assert place.publish().status == "published"
    assert place.record() == place.true_record()


def test_a_lease_of_a_newer_zsync_is_left_alone(place):
    """What a newer zsync means by its lease is not known: perhaps that it is held."""
    place.publish()
    lease = json.loads(place.objects(STATE)["lease.json"])
    place.put(f"{STATE}lease.json", json.dumps({**lease, "format": 2}).encode())
    (place.root / "files" / "a.txt").write_bytes(b"other")
    with pytest.raises(TargetError, match="upgrade"):
        place.publish()


# --- each product has a state of its own -----------------------------------------------------------------------------


def test_products_of_one_parent_have_states_apart(place):
    write_tree(place.root / "others", {"d.txt": b"three"})
    place.publish("files")
    mine = place.objects(STATE)
    place.publish("others")
    assert place.objects(STATE) == mine
    state = place.objects("run/.zsync/")
    heads = {key: json.loads(body) for key, body in state.items() if key.endswith("head.json")}
    assert {key: head["product"] for key, head in heads.items()} == {
        "files/head.json": "files",
        "others/head.json": "others",
    }
    assert len({head["publication"] for head in heads.values()}) == 2
    (place.root / "others" / "d.txt").write_bytes(b"four")
    place.publish("others")
    assert place.objects(STATE) == mine


def test_a_damaged_state_is_the_matter_of_its_own_product_only(place):
    write_tree(place.root / "others", {"d.txt": b"three"})
    place.publish("files", "others")
    place.put(f"{STATE}head.json", b"not JSON")
    (place.root / "others" / "d.txt").write_bytes(b"four")
    assert place.publish("others").status == "published"
    with pytest.raises(TargetError, match="the head cannot be read"):
        place.publish("files")


def test_a_product_in_the_middle_of_a_name_of_another_has_a_state_of_its_own(place):
    """``files`` and ``files.bak`` begin alike, and neither sees the other's objects or state."""
    write_tree(place.root / "files.bak", {"old.txt": b"old"})
    result = place.publish("files", "files.bak")
    assert {product.name: product.sent for product in result.products} == {"files": 2, "files.bak": 1}
    again = place.publish("files")
    assert (again.status, again.products[0].unchanged) == ("unchanged", 2)


def test_a_product_above_others_leaves_their_state_alone(place):
    """A product, and then, in a run of its own, the directory that holds it: what is the product's stays its own."""
    write_tree(place.root / "all" / "files", {**FILES, **{f"{i}.txt": b"x" for i in range(30)}})
    place.root = place.root / "all"
    place.publish("files")
    before = place.objects(STATE)
    place.root = place.root.parent
    (place.root / "all").rename(place.root / "run")
    (place.root / "run" / "own.txt").write_bytes(b"of the directory itself")
    with pytest.raises(GuardError, match="would be in another product"):
        place.publish("run", target="")
    result = place.publish("run", target="", exclude=["files"])
    assert place.objects(STATE) == before
    assert result.products[0].retired == 0


def test_a_product_of_files_may_be_a_whole_bucket(place):
    """Its state lies inside the bucket, and is no part of it."""
    config = place.config()
    config["products"]["files"]["to"] = f"s3://{place.bucket}"
    assert zsync.publish(config, progress=False).products[0].sent == 2
    assert zsync.publish(config, progress=False).status == "unchanged"
    shutil.rmtree(place.root / "files" / "b")
    result = zsync.publish(config, progress=False, max_delete="100%")
    assert result.products[0].retired == 1
    objects = place.objects()
    assert {key for key in objects if not key.startswith(".zsync/@root/")} == {"a.txt"}
    assert [key.rpartition("/")[2] for key in objects if "/trash/" in key] == ["c.txt"]


def test_a_zarr_store_is_no_whole_bucket(place):
    """Readers of the store would meet zsync's state in it."""
    write_tree(place.root / "store.zarr", {".zgroup": b'{"zarr_format": 2}'})
    config = {**place.config(), "products": {"s": {"path": "store.zarr", "to": f"s3://{place.bucket}"}}}
    with pytest.raises(ConfigError, match="cannot be a whole bucket"):
        zsync.publish(config, progress=False)
    assert place.objects() == {}


def test_stores_below_the_root_of_a_bucket_are_fine(place):
    write_tree(place.root / "all", {"store.zarr": {".zgroup": b'{"zarr_format": 2}'}, "readme": b"x"})
    config = {**place.config(), "products": {"s": {"path": "all", "to": f"s3://{place.bucket}"}}}
    assert zsync.publish(config, progress=False).status == "published"
    assert "store.zarr/.zmetadata" in place.objects()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_state_of_a_whole_bucket_is_not_listed_as_part_of_it(place, transport):
    store = place.store(transport)
    keys = StateKeys.of(Location("s3", place.bucket, ""))
    assert keys.head == ".zsync/@root/head.json"
    for key in (keys.head, keys.lease, keys.manifest("0" * 64), keys.trash("p", "a.txt"), "a.txt", "b/.zsync.txt"):
        store.put(key, b"x", Headers())
    assert list_target(store, "").keys == ["a.txt", "b/.zsync.txt"]


# --- names -----------------------------------------------------------------------------------------------------------

ODD = st.one_of(
    st.sampled_from(
        ["a", "b", "a b", "@root", "head.json", "lease.json", "manifests", "trash", "zsync", ".zsync.", "ä", "%2F"]
    ),
    st.text(st.characters(exclude_characters="/\x7f", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=6),
).filter(lambda name: name not in {".", "..", ".zsync"})
PATHS = st.lists(ODD, min_size=1, max_size=4).map("/".join)


def keys_of(path):
    return StateKeys.of(Location("s3", "bucket", path))


def every_key(path):
    keys = keys_of(path)
    return [keys.head, keys.lease, keys.publication("p"), keys.manifest("d"), keys.trash("p", "head.json")]


@given(PATHS, PATHS)
@example("a/b", "b")
@example("a", "a/head.json")
def test_distinct_products_never_share_a_key_of_their_states(first, second):
    assume(first != second)
    assert not set(every_key(first)) & set(every_key(second))
    assert not keys_of(first).head.startswith(f"{keys_of(second).prefix}/")


@given(PATHS)
def test_the_state_of_a_product_lies_beside_it_and_never_in_it(path):
    parent = f"{path.rpartition('/')[0]}/".lstrip("/")
    for key in every_key(path):
        assert not key.startswith(f"{path}/")
        assert key.startswith(f"{parent}.zsync/")
        assert "//" not in key
        assert not key.startswith("/")


@given(PATHS, PATHS)
def test_the_state_of_a_product_lies_in_no_product_that_does_not_hold_it(path, other):
    assume(not Location("s3", "bucket", other).contains(Location("s3", "bucket", path)))
    assert not any(key.startswith(f"{other}/") for key in every_key(path))


def test_a_product_named_like_the_state_of_the_whole_bucket_has_another():
    assert keys_of("@root").head != keys_of("").head


# --- the head moves by compare-and-swap ------------------------------------------------------------------------------


def commit_one(place, head, *, transport="obstore", store=None):
    """Commit a publication of the product `files`; return its id and the new head."""
    share = PublishedProduct(
        "files", "s3://bucket/run/files", "files", head.publication, 1, 0, 0, 3, (Part("0" * 64, 1, 3),)
    )
    publication = Publication.now(new_publication_id(), (share,), __version__)
    keys = StateKeys.of(Location("s3", place.bucket, "run/files"))
    store = store or place.store(transport)
    write_record(store, keys, publication, share)
    return publication.id, move_head(store, keys, head, publication, share)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_commit_moves_the_head_and_says_where_it_is_now(place, transport):
    store, keys = place.store(transport), StateKeys.of(Location("s3", place.bucket, "run/files"))
    first, head = commit_one(place, Head(), transport=transport)
    assert read_head(store, keys) == replace(head, version=read_head(store, keys).version)
    second, head = commit_one(place, head, transport=transport)
    assert place.head()["publication"] == head.publication == second
    assert {f"publications/{name}.json" for name in (first, second)} == place.objects(STATE).keys() - {"head.json"}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("stale", ["never published", "the one before"])
def test_a_commit_on_a_head_that_moved_is_a_conflict_and_moves_nothing(place, transport, stale):
    _, old = commit_one(place, Head(), transport=transport)
    current, _ = commit_one(place, old, transport=transport)
    before = place.objects(f"{STATE}head.json")
    with pytest.raises(ConflictError, match=r"the head moved.*head\.json; publish again") as raised:
        commit_one(place, Head() if stale == "never published" else old, transport=transport)
    assert raised.value.exit_status == 4
    assert place.objects(f"{STATE}head.json") == before
    assert place.head()["publication"] == current


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_commit_on_a_head_that_was_removed_is_a_conflict(place, transport):
    _, head = commit_one(place, Head(), transport=transport)
    place.delete(f"{STATE}head.json")
    with pytest.raises(ConflictError):
        commit_one(place, head, transport=transport)
    assert "head.json" not in place.objects(STATE)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_of_many_commits_on_one_head_just_one_succeeds(place, transport):
    _, head = commit_one(place, Head(), transport=transport)
    start, won, lost = threading.Barrier(6), [], []

    def run():
        start.wait(10)
        try:
            won.append(commit_one(place, head, transport=transport)[0])
        except ConflictError as error:
            lost.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 5)
    assert place.head()["publication"] == won[0]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("fault", [Fault.lost(), Fault.reset(), Fault.slow_down()], ids=lambda fault: fault.kind)
def test_a_commit_whose_answer_is_lost_commits_once(place, transport, is_first, fault):
    head = Head() if is_first else commit_one(place, Head(), transport=transport)[1]
    landed = []

    def count(exchange):
        if exchange.method == "PUT" and exchange.key == f"{STATE}head.json" and exchange.upstream_status == 200:
            landed.append(exchange.arrival)

    place.proxy.watchers.append(count)
    place.proxy.faults.append(on(fault, method="PUT", key="*/head.json"))
    publication, head = commit_one(place, head, transport=transport)
    assert any(exchange.fault is not None for exchange in place.proxy.requests)
    assert len(landed) == 1
    assert place.head()["publication"] == publication
    assert commit_one(place, head, transport=transport)[0] == place.head()["publication"]  # its ETag was the right one


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_commit_whose_answer_is_lost_and_that_was_overtaken_is_a_conflict(place, transport):
    """Before it can look whether its own write landed, somebody else has published on top: that one stays."""
    _, head = commit_one(place, Head(), transport=transport)
    theirs = []

    def overtake(exchange):
        if exchange.method == "PUT" and exchange.key == f"{STATE}head.json" and not theirs:
            theirs.append(json.dumps({"format": 1, "publication": "theirs", "manifest": [], "write_id": "t"}).encode())
            place.put(exchange.key, theirs[0])

    place.proxy.watchers.append(overtake)
    place.proxy.faults.append(on(Fault.lost(), method="PUT", key="*/head.json"))
    with pytest.raises(ConflictError):
        commit_one(place, head, transport=transport)
    assert place.objects(STATE)["head.json"] == theirs[0]


def test_a_publish_whose_head_moved_meanwhile_is_a_conflict(place):
    """The lease is not all that keeps publishers apart: a head that moves under it is noticed."""
    place.publish()
    (place.root / "files" / "a.txt").write_bytes(b"other")
    theirs = json.dumps({"format": 1, "publication": "theirs", "manifest": [], "write_id": "t"}).encode()

    def usurp(exchange):
        if exchange.method == "PUT" and exchange.key.startswith(f"{STATE}publications/"):
            place.put(f"{STATE}head.json", theirs)

    place.proxy.watchers.append(usurp)
    with pytest.raises(ConflictError, match="the head moved") as raised:
        place.publish()
    assert raised.value.exit_status == 4
    assert place.objects(STATE)["head.json"] == theirs
    assert json.loads(place.objects(STATE)["lease.json"])["by"] == {}
