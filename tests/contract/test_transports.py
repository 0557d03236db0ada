"""What every transport must do, in the same words for all: S3 through obstore and s3fs, a file system, memory.

What the store says is checked behind its back, with boto3 or the file system itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from servers import s3_client

from zsync.config import Location, Storage
from zsync.errors import (
    CredentialsError,
    NetworkError,
    NoBucketError,
    NotSupportedError,
    ObjectNotFoundError,
    PermissionDeniedError,
    PreconditionError,
    TargetError,
)
from zsync.publication import heeds_conditions_of_copies
from zsync.storage import (
    PIECE,
    Headers,
    ObjectStore,
    Over,
    Seen,
    StoreSpec,
    connect,
    described,
    list_versions,
    spec_for,
    tags_of,
    unfinished_uploads,
)
from zsync.storage.opening import open_s3fs

S3 = ["obstore", "s3fs"]
ALL = [*S3, "file", "memory"]
ODD = [
    "a b",
    "a+b",
    "a%b",
    "a%20b",
    "ä/ö",
    "日本",
    "a#b",
    "a?b",
    "a&b=c",
    "~a",
    "a[0]",
    ".hidden/.zarray",
    "a'b",
    "a,b;c",
]


PLAIN = Headers()


@dataclass
class Place:
    """A store, and the prefix that a test has for itself."""

    spec: StoreSpec
    base: str

    @property
    def store(self) -> ObjectStore:
        return connect(self.spec)

    def put(self, key, body=b"x", headers=PLAIN):
        return self.store.put(self.base + key, body, headers)

    def keys(self, prefix=""):
        return [key.removeprefix(self.base) for page in self.store.list(self.base + prefix) for key in page.keys]


def settings(server, **more):
    given = {"endpoint_url": server.endpoint_url, "region": "us-east-1"}
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key}
    return Storage(**{**given, **keys, **more})


def place(name, server, bucket, tmp_path, **more):
    prefix = f"{uuid.uuid4().hex}/"
    if name == "file":
        location = Location.parse(f"file://{tmp_path}")
        return Place(spec_for(location, Storage()), f"{location.path}/{prefix}")
    if name == "memory":
        return Place(spec_for(Location.parse("memory://contract"), Storage()), prefix)
    transport = "fsspec" if name == "s3fs" else "obstore"
    spec = spec_for(Location.parse(f"s3://{bucket}/x"), settings(server, **more), transport)
    return Place(spec, prefix)


@pytest.fixture(params=ALL)
def any_place(request, s3, bucket, tmp_path):
    return place(request.param, s3, bucket, tmp_path)


@pytest.fixture(params=S3)
def s3_place(request, s3, bucket, tmp_path):
    return place(request.param, s3, bucket, tmp_path)


def test_what_is_put_is_there(any_place):
    stored = any_place.put("a/b", b"hello")
    found = any_place.store.get(any_place.base + "a/b")
    assert (found.data, found.etag) == (b"hello", stored.etag)
    assert any_place.store.head(any_place.base + "a/b") == stored
    again = any_place.put("a/b", b"other")
    assert again.etag != stored.etag
    assert any_place.store.get(any_place.base + "a/b").data == b"other"


def test_a_part_of_an_object_is_read_only_as_it_was_seen(any_place):
    stored = any_place.put("a", b"hello world")
    key = any_place.base + "a"
    assert any_place.store.fetch(key, 6, 5, etag=stored.etag) == b"world"
    assert any_place.store.fetch(key, 0, 11, etag=None) == b"hello world"
    assert [*any_place.store.pieces(key, 6, 5, etag=stored.etag)] == [b"world"]
    any_place.put("a", b"HELLO WORLD!")
    absent = any_place.base + "absent"
    for read in (any_place.store.fetch, lambda *what, **seen: [*any_place.store.pieces(*what, **seen)]):
        with pytest.raises(PreconditionError):
            read(key, 0, 5, etag=stored.etag)
        with pytest.raises(ObjectNotFoundError):
            read(absent, 0, 5, etag=None)


def test_a_large_object_comes_in_pieces_of_any_part_of_it(any_place):
    body = bytes(range(256)) * 4096 * 9 + b"end"  # of more pieces than are fetched at once
    stored = any_place.put("large", body)
    for start, length in ((0, len(body)), (1, len(body) - 1), (PIECE - 1, 2), (len(body) - 3, 3)):
        pieces = [*any_place.store.pieces(any_place.base + "large", start, length, etag=stored.etag)]
        assert b"".join(pieces) == body[start : start + length]
        assert max(map(len, pieces)) <= 8 * PIECE


def test_a_listing_tells_keys_sizes_and_etags(any_place):
    stored = {key: any_place.put(key, key.encode()) for key in ("a/b", "a/c/d", "ab/e", "f")}
    [*pages] = any_place.store.list(any_place.base)
    rows = [row for page in pages for row in zip(page.keys, page.sizes, page.etags, strict=True)]
    assert sorted(rows) == sorted((any_place.base + key, len(key), stored[key].etag) for key in stored)
    assert sorted(any_place.keys("a/")) == ["a/b", "a/c/d"]
    assert any_place.keys("absent/") == []


def test_one_level(any_place):
    for key in ("a/b", "a/c/d", "ab/e", "f"):
        any_place.put(key)
    page, prefixes = any_place.store.list_level(any_place.base)
    assert [*page.keys] == [any_place.base + "f"]
    assert sorted(prefixes) == [any_place.base + "a/", any_place.base + "ab/"]
    assert any_place.store.list_level(any_place.base + "absent/")[1] == []


def test_few_come_with_one_answer_or_it_is_not_known_that_they_are_few(any_place):
    for key in ("a/b", "a/c/d", "ab/e", "f"):
        any_place.put(key)
    for prefix, expected in {"": ["a/b", "a/c/d", "ab/e", "f"], "a/": ["a/b", "a/c/d"], "absent/": []}.items():
        few = any_place.store.list_few(any_place.base + prefix)
        if any_place.store.capabilities.transport == "fsspec":
            assert few is None
        else:
            assert sorted(few.keys) == [any_place.base + key for key in expected]


@pytest.mark.parametrize("key", ODD)
def test_odd_keys(any_place, key):
    any_place.put(key, b"odd")
    assert any_place.keys() == [key]
    assert any_place.store.get(any_place.base + key).data == b"odd"
    any_place.store.delete([any_place.base + key])
    assert any_place.keys() == []


def test_what_is_copied_and_deleted(any_place):
    any_place.put("a", b"one")
    any_place.store.copy(any_place.base + "a", any_place.base + "deep/er/b")
    assert any_place.store.get(any_place.base + "deep/er/b").data == b"one"
    any_place.store.delete([any_place.base + key for key in ("a", "absent")])
    assert any_place.keys() == ["deep/er/b"]


def test_what_is_absent_is_not_found(any_place):
    for ask in (any_place.store.get, any_place.store.head):
        with pytest.raises(ObjectNotFoundError):
            ask(any_place.base + "absent")


def test_parts(any_place):
    blocks = [bytes([number]) * (6 * 2**20) for number in range(3)]
    stored = any_place.store.put_parts(any_place.base + "large", iter(blocks), Headers(), 6 * 2**20)
    found = any_place.store.get(any_place.base + "large")
    assert (found.data, found.etag) == (b"".join(blocks), stored.etag)


def test_parts_that_break_off_leave_nothing(any_place, s3, bucket, tmp_path):
    class BrokenError(Exception):
        pass

    def blocks():
        yield b"a" * (6 * 2**20)
        yield b"b" * (6 * 2**20)
        raise BrokenError

    with pytest.raises(BrokenError):
        any_place.store.put_parts(any_place.base + "large", blocks(), Headers(), 6 * 2**20)
    assert any_place.keys() == []
    assert not [path for path in Path(tmp_path).rglob("*") if path.is_file()]
    with contextlib.closing(s3_client(s3)) as client:
        uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    assert not [upload for upload in uploads if upload["Key"].startswith(any_place.base)]


def test_conditional_writes(any_place):
    key = any_place.base + "head"
    if not any_place.store.capabilities.conditional_put:
        with pytest.raises(TargetError):
            any_place.store.put_if(key, b"1", Headers(), None)
        return
    first = any_place.store.put_if(key, b"1", Headers(), None)
    with pytest.raises(PreconditionError):
        any_place.store.put_if(key, b"2", Headers(), None)
    second = any_place.store.put_if(key, b"2", Headers(), first.etag)
    with pytest.raises(PreconditionError):
        any_place.store.put_if(key, b"3", Headers(), first.etag)
    assert any_place.store.get(key).data == b"2"
    assert any_place.store.head(key).etag == second.etag


def test_etags_are_md5s_where_the_store_says_so(any_place):
    stored = any_place.put("a", b"hello")
    is_md5 = stored.etag == hashlib.md5(b"hello").hexdigest()
    assert is_md5 == any_place.store.capabilities.etag_is_md5


def test_headers_are_stored(s3_place, s3, bucket):
    headers = Headers("application/x-test", "no-cache", None, (("run", "7"), ("site", "north")), (("author", "me"),))
    s3_place.put("a", b"x", headers)
    with contextlib.closing(s3_client(s3)) as client:
        answer = client.head_object(Bucket=bucket, Key=s3_place.base + "a")
        tags = client.get_object_tagging(Bucket=bucket, Key=s3_place.base + "a")["TagSet"]
    assert (answer["ContentType"], answer["CacheControl"]) == ("application/x-test", "no-cache")
    assert answer["Metadata"] == {"author": "me"}
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"run": "7", "site": "north"}
    assert not answer.get("ContentEncoding")


def test_versions_are_told(s3, versioned_bucket, tmp_path):
    for name in S3:
        versioned = place(name, s3, versioned_bucket, tmp_path)
        first, second = versioned.put("a", b"1"), versioned.put("a", b"2")
        assert first.version
        assert second.version not in (None, first.version)
        key = versioned.base + "a"
        assert versioned.store.get(key).version == second.version
        for body, stored in ((b"1", first), (b"2", second)):
            assert versioned.store.fetch(key, 0, 1, etag=stored.etag, version=stored.version) == body
        spec = spec_for(Location.parse(f"s3://{versioned_bucket}/x"), settings(s3))
        told = {(found.version, found.size, found.etag) for found in list_versions(spec, key)}
        assert told == {(stored.version, 1, stored.etag) for stored in (first, second)}
    memory = place("memory", s3, versioned_bucket, tmp_path)
    stored = memory.put("a", b"1")
    with pytest.raises(NotSupportedError, match="versions of objects are not read here"):
        memory.store.fetch(memory.base + "a", 0, 1, etag=stored.etag, version="1")
    assert list(list_versions(spec_for(Location.parse("memory://contract"), Storage()), memory.base)) == []


def test_versions_are_listed_page_by_page(s3, versioned_bucket, tmp_path):
    versioned = place("obstore", s3, versioned_bucket, tmp_path)
    with ThreadPoolExecutor(16) as pool:
        stored = list(pool.map(lambda number: versioned.put(f"{number:03d}", b"x"), [*range(510)] * 2))
    spec = spec_for(Location.parse(f"s3://{versioned_bucket}/x"), settings(s3))
    assert {found.version for found in list_versions(spec, versioned.base)} == {answer.version for answer in stored}


def test_a_listing_of_many_is_complete(s3, bucket, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    wanted = [f"a/{number:04d}" for number in range(1100)]
    written = place("obstore", s3, bucket, tmp_path)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(written.put, wanted))
    for name in S3:
        listed = Place(place(name, s3, bucket, tmp_path).spec, written.base)
        assert sorted(listed.keys()) == wanted
        assert listed.store.list_few(listed.base) is None


@pytest.mark.parametrize("server", ["s3", "moto_s3", "rclone_s3"])
def test_a_listing_goes_on_after_a_key(server, request, tmp_path):
    """Whatever the order of a service is: what was shown and what follows the last of it are all."""
    other = request.getfixturevalue(server)
    bucket = f"after-{server.replace('_', '-')}"
    other.create_bucket(bucket)
    there = place("obstore", other, bucket, tmp_path)
    for name in ("a-b", "a.b", "a/1", "a/b/c", "a0", "b", "c d/e", "c/e", "ä", "z"):
        there.put(name)
    everything = there.store.list_after(there.base, None)
    assert everything.is_last
    shown = list(everything.page.keys)
    assert sorted(key.removeprefix(there.base) for key in shown) == sorted(there.keys())
    for number, key in enumerate(shown):
        rest = there.store.list_after(there.base, key)
        assert (list(rest.page.keys), rest.is_last) == (shown[number + 1 :], True)
    assert place("s3fs", other, bucket, tmp_path).store.list_after(there.base, None) is None


@pytest.mark.parametrize(
    ("name", "ask"), [("obstore", "list_few"), *((name, ask) for name in S3 for ask in ("list", "list_level", "get"))]
)
def test_a_bucket_that_is_absent(name, ask, s3, tmp_path):
    absent = place(name, s3, "no-such-bucket-here", tmp_path)
    expected = NoBucketError if (name, ask) != ("s3fs", "get") else TargetError  # a HEAD does not say what is absent
    with pytest.raises(expected):
        tuple(getattr(absent.store, ask)("x/"))


@pytest.mark.parametrize("name", S3)
@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ({"secret_access_key": "wrong"}, CredentialsError),
        ({"access_key_id": "unknown"}, CredentialsError),
        ({"access_key_id": None, "secret_access_key": None, "anonymous": True}, PermissionDeniedError),
        ({"endpoint_url": "http://127.0.0.1:9"}, NetworkError),
    ],
)
def test_errors_say_what_is_wrong_and_travel(name, keys, error, s3, bucket, tmp_path):
    wrong = place(name, s3, bucket, tmp_path, **keys)
    for action in (lambda: wrong.put("a"), lambda: wrong.store.get("a"), lambda: wrong.store.list_level("")):
        with pytest.raises(error) as raised:
            action()
        again = pickle.loads(pickle.dumps(raised.value))
        assert (type(again), str(again)) == (error, str(raised.value))
        assert "\n" not in str(again)
        assert s3.secret_key not in str(again)


@pytest.mark.parametrize("name", S3)
def test_a_spec_holds_no_secret(name, s3, bucket):
    spec = spec_for(Location.parse(f"s3://{bucket}/x"), settings(s3), "fsspec" if name == "s3fs" else "obstore")
    assert s3.secret_key.encode() not in pickle.dumps(spec)
    assert s3.secret_key not in repr(spec)
    assert connect(pickle.loads(pickle.dumps(spec))) is connect(spec)


@pytest.mark.parametrize("name", S3)
@pytest.mark.parametrize("server", ["moto_s3", "rclone_s3"])
def test_other_servers(name, server, request, tmp_path):
    """A second and a third opinion: we do not depend on the habits of one server."""
    other = request.getfixturevalue(server)
    other.create_bucket(f"opinion-{name}")
    there = place(name, other, f"opinion-{name}", tmp_path)
    for key in ("a/b", "a/c/d", "ab/e"):
        there.put(key, key.encode(), Headers("text/plain"))
    assert sorted(there.keys()) == ["a/b", "a/c/d", "ab/e"]
    assert there.store.get(there.base + "a/c/d").data == b"a/c/d"
    assert there.store.head(there.base + "a/b").etag == hashlib.md5(b"a/b").hexdigest()
    there.store.delete([there.base + "a/b"])
    with pytest.raises(ObjectNotFoundError):
        there.store.get(there.base + "a/b")


def test_what_is_kept_when_something_takes_its_place(any_place):
    place = any_place
    place.put("a", b"one")
    seen = place.store.head(place.base + "a").etag
    kept = place.base + "kept/1"
    place.store.put(place.base + "a", b"two", PLAIN, over=Over(seen, kept))
    assert place.store.get(place.base + "a").data == b"two"
    assert place.store.get(kept).data == b"one"
    for stale in (seen, None):
        with pytest.raises(PreconditionError):
            place.store.put(place.base + "a", b"three", PLAIN, over=Over(stale, place.base + "kept/2"))
    stay = place.store.remove([(place.base + "a", Over(seen, place.base + "kept/2"))])
    assert [type(error) for error in stay.values()] == [PreconditionError]
    assert place.store.get(place.base + "a").data == b"two"
    place.store.put(place.base + "new", b"four", PLAIN, over=Over(None, None))
    place.store.put_parts(
        place.base + "new", iter([b"five"]), PLAIN, 5 * 2**20,
        over=Over(place.store.head(place.base + "new").etag, place.base + "kept/3"),
    )  # fmt: skip
    assert place.store.get(place.base + "kept/3").data == b"four"
    now = Over(place.store.head(place.base + "new").etag, place.base + "kept/4")
    assert place.store.remove([(place.base + "new", now), (place.base + "absent", Over("0" * 32))]) == {}
    assert place.store.get(place.base + "kept/4").data == b"five"
    with pytest.raises(ObjectNotFoundError):
        place.store.head(place.base + "new")


def test_a_write_takes_the_place_of_what_was_seen_or_of_nothing(any_place):
    place, large = any_place, 5 * 2**20
    if not place.store.capabilities.conditional_put and place.store.capabilities.transport != "file":
        pytest.skip("nothing is compared here: what is left is the clock")
    first = place.store.put(place.base + "a", b"one", PLAIN, over=Over(None))
    with pytest.raises(PreconditionError):
        place.store.put(place.base + "a", b"two", PLAIN, over=Over(None))
    place.store.put(place.base + "a", b"two", PLAIN, over=Over(first.etag))
    for stale in (None, first.etag):
        with pytest.raises(PreconditionError):
            place.store.put(place.base + "a", b"three", PLAIN, over=Over(stale))
        with pytest.raises(PreconditionError):
            place.store.put_parts(place.base + "a", iter([b"3" * large, b"4"]), PLAIN, large, over=Over(stale))
    with pytest.raises(PreconditionError):  # what is to be replaced is gone
        place.store.put(place.base + "b", b"x", PLAIN, over=Over(first.etag))
    assert place.store.get(place.base + "a").data == b"two"
    assert place.store.put(place.base + "a", b"two", PLAIN).etag
    parts = place.store.put_parts(place.base + "c", iter([b"3" * large, b"4"]), PLAIN, large, over=Over(None))
    assert place.store.head(place.base + "c").etag == parts.etag


def test_what_is_there_already_as_it_was_to_be_written_is_no_conflict(s3_place):
    """The answer to a write was lost: the next attempt meets its own bytes."""
    first = s3_place.store.put(s3_place.base + "a", b"one", PLAIN, over=Over(None))
    assert s3_place.store.put(s3_place.base + "a", b"one", PLAIN, over=Over(None)) == first
    large = [b"3" * 5 * 2**20, b"4"]
    first = s3_place.store.put_parts(s3_place.base + "b", iter(large), PLAIN, 5 * 2**20, over=Over(None))
    assert s3_place.store.put_parts(s3_place.base + "b", iter(large), PLAIN, 5 * 2**20, over=Over(None)) == first


@pytest.mark.parametrize("name", S3)
@pytest.mark.parametrize("server", ["moto_s3", "rclone_s3"])
def test_conditions_where_services_differ(name, server, request, tmp_path):
    """moto says 404 where there is nothing to replace; rclone takes conditions and ignores them."""
    from zsync.publication import ignored_conditions

    other = request.getfixturevalue(server)
    other.create_bucket(f"conditions-{name}")
    there = place(name, other, f"conditions-{name}", tmp_path)
    there.put("a", b"{}")
    ignored = ignored_conditions(there.store, there.base + "a", b"{}")
    assert bool(ignored) == (server == "rclone_s3")
    stale, seen = Over("0" * 32), Over(there.store.head(there.base + "a").etag)
    if server == "moto_s3":
        for key in ("a", "absent"):
            with pytest.raises(PreconditionError):
                there.store.put(there.base + key, b"new", PLAIN, over=stale)
    else:
        there.store.put(there.base + "b", b"new", PLAIN, over=stale)  # that nobody compares is known, and told
        assert there.store.get(there.base + "b").data == b"new"
        # What is deleted is looked at by ourselves then.
        assert [*there.store.remove([(there.base + "a", stale)])] == [there.base + "a"]
    assert there.store.remove([(there.base + "a", seen), (there.base + "gone", seen)]) == {}
    assert there.keys() in ([], ["b"])


@pytest.mark.parametrize("name", S3)
def test_a_service_that_takes_no_conditions_is_looked_at_first(name, s3, bucket, tmp_path):
    """501 to a conditional write (L8): from then on what is there is looked at, as late as may be."""
    from proxy import Fault, Proxy

    def refuse(exchange):
        conditional = {"if-match", "if-none-match"} & {header.lower() for header in exchange.headers}
        return Fault.error(501, "NotImplemented") if conditional and exchange.method == "PUT" else None

    with Proxy(s3.endpoint_url) as proxy:
        proxy.faults.append(refuse)
        there = place(name, s3, bucket, tmp_path, endpoint_url=proxy.endpoint_url)
        first = there.store.put(there.base + "a", b"one", PLAIN, over=Over(None))
        assert there.store.capabilities.habits.conditions == "refused"
        there.store.put(there.base + "a", b"two", PLAIN, over=Over(first.etag))
        with pytest.raises(PreconditionError):
            there.store.put(there.base + "a", b"three", PLAIN, over=Over(first.etag))
        assert there.store.get(there.base + "a").data == b"two"


@pytest.mark.parametrize("name", S3)
def test_a_conflict_of_requests_is_tried_again(name, s3, bucket, tmp_path):
    """409 ConditionalRequestConflict (L8) tells of another request under way, not of another object."""
    from proxy import Fault, Proxy, on

    with Proxy(s3.endpoint_url) as proxy:
        proxy.faults.append(on(Fault.error(409, "ConditionalRequestConflict"), method="PUT", times=2))
        there = place(name, s3, bucket, tmp_path, endpoint_url=proxy.endpoint_url)
        assert there.store.put(there.base + "a", b"one", PLAIN, over=Over(None)).etag
        assert len([exchange for exchange in proxy.requests if exchange.method == "PUT"]) == 3


@pytest.mark.parametrize("name", S3)
def test_an_etag_that_is_not_of_what_was_sent_is_no_receipt(name, s3, bucket, tmp_path):
    """J2: where the ETags of a bucket are MD5s, another one is not believed; the object is sent again."""
    from proxy import Fault, Proxy, on

    with Proxy(s3.endpoint_url) as proxy:
        there = place(name, s3, bucket, tmp_path, endpoint_url=proxy.endpoint_url)
        there.put("a", b"one")
        proxy.faults.append(on(Fault.answer(200, "", ETag=f'"{"1" * 32}"'), method="PUT", times=2))
        assert there.put("a", b"two").etag == hashlib.md5(b"two").hexdigest()
        assert there.store.get(there.base + "a").data == b"two"


def test_workers_that_begin_together_share_one_client_of_s3fs(s3, bucket):
    """Was: each made its own, which took minutes where five sites retired objects at the same time."""
    keys = {"access_key_id": s3.access_key, "secret_access_key": s3.secret_key}
    spec = spec_for(Location.parse(f"s3://{bucket}/x"), Storage(endpoint_url=s3.endpoint_url, region=s3.region, **keys))
    together = threading.Barrier(8)

    def opened(_):
        together.wait(10)
        return open_s3fs(spec)

    with ThreadPoolExecutor(8) as pool:
        first, *others = pool.map(opened, range(8))
    assert all(other is first for other in others)


@pytest.fixture(params=["at once", "in parts"])
def copied(request, monkeypatch):
    """What is copied, at once or in three parts."""
    if request.param == "at once":
        return b"12345" * 20
    monkeypatch.setattr("zsync.storage.copying.PART", 5 * 2**20)
    return b"1234567890" * (2**20 + 7)


def test_a_copy_is_made_if_both_ends_are_as_they_were_seen(s3_place, copied):
    place, base = s3_place, s3_place.base
    source = place.put("from here/ä+b", copied, Headers("text/plain", metadata=(("a", "b"),)))
    seen = Seen(base + "from here/ä+b", len(copied), source.etag)
    headers = Headers("image/tiff", "no-cache", metadata=(("c", "d"),), tags=(("e", "f g"),))
    first = place.store.copy_seen(seen, base + "to/ö", headers, Over(None))
    assert place.store.get(base + "to/ö").data == copied
    assert place.store.head(base + "to/ö").etag == first.etag
    spec = place.spec
    found = described(spec, base + "to/ö")
    assert (found.headers.content_type, found.headers.cache_control) == ("image/tiff", "no-cache")
    assert dict(found.headers.metadata) == {"c": "d"}
    assert tags_of(spec, base + "to/ö") == (("e", "f g"),)
    there = place.put("to/ö", b"old")
    stale = replace(seen, etag="0" * 32)
    for wrong, over in ((seen, Over(None)), (seen, Over(first.etag)), (stale, Over(there.etag))):
        with pytest.raises(PreconditionError):
            place.store.copy_seen(wrong, base + "to/ö", headers, over)
        assert place.store.get(base + "to/ö").data == b"old"
    place.store.copy_seen(seen, base + "to/ö", PLAIN, Over(there.etag, base + "kept"))
    assert place.store.get(base + "to/ö").data == copied
    assert place.store.get(base + "kept").data == b"old"
    with pytest.raises(ObjectNotFoundError):
        place.store.copy_seen(replace(seen, key=base + "absent"), base + "new", PLAIN, Over(None))
    assert sorted(place.keys()) == ["from here/ä+b", "kept", "to/ö"]
    assert unfinished_uploads(spec, base) == []


@pytest.mark.parametrize("name", S3)
def test_a_version_is_copied(name, s3, versioned_bucket, tmp_path, copied):
    there = place(name, s3, versioned_bucket, tmp_path)
    first, second = there.put("a", copied), there.put("a", b"two")
    seen = Seen(there.base + "a", len(copied), first.etag, first.version)
    stored = there.store.copy_seen(seen, there.base + "a", PLAIN, Over(second.etag))
    assert there.store.get(there.base + "a").data == copied
    assert stored.version not in (None, first.version, second.version)


@pytest.mark.parametrize("name", ["file", "memory"])
def test_who_makes_no_copies_on_condition_says_so(name, s3, bucket, tmp_path):
    there = place(name, s3, bucket, tmp_path)
    stored = there.put("a", b"one")
    with pytest.raises(NotSupportedError):
        there.store.copy_seen(Seen(there.base + "a", 3, stored.etag), there.base + "b", PLAIN, Over(None))
    assert there.keys() == ["a"]


@pytest.mark.parametrize("name", S3)
@pytest.mark.parametrize("server", ["s3", "moto_s3", "rclone_s3"])
def test_services_that_ignore_conditions_of_copies_are_told(name, server, request, tmp_path):
    """moto and rclone heed none of the target's."""
    other = request.getfixturevalue(server)
    bucket = f"copies-{name}-{server.replace('_', '-')}"
    other.create_bucket(bucket)
    there = place(name, other, bucket, tmp_path)
    there.put("a", b"{}")
    assert heeds_conditions_of_copies(there.store, there.base + "a") == (server == "s3")
    assert there.store.get(there.base + "a").data == b"{}"
    assert not heeds_conditions_of_copies(there.store, there.base + "absent")
