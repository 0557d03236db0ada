"""How many requests a publish makes, and which of them wait for no other: far away that is what takes the time.

Requests that are said to come together are held until all of them have come: if one waited for another, none would end.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase

import pytest
from proxy import Fault
from servers import lasting_client
from target import same
from trees import read_tree, s3_bytes, weather

import zsync
from zsync.inventory import cache_directory
from zsync.storage import opening

PUBLISH = {"rewrites": "inplace"}  # flips have tests of their own: test_flip

PATIENCE_S = 15


class Together:
    """Holds requests until as many have come as belong together.

    Parameters
    ----------
    wanted
        Method and pattern of the key, or of the query where there is no key.
    """

    def __init__(self, *wanted):
        self.wanted, self.come, self.all = list(wanted), Counter(), threading.Event()
        self.began = 0.0

    def __call__(self, exchange):
        place = exchange.key or "&".join(exchange.query)
        for number, (method, pattern) in enumerate(self.wanted):
            if exchange.method == method and fnmatchcase(place, pattern) and not self.come[number]:
                self.come[number] = 1
                self.began = self.began or time.monotonic()
                if self.come.total() == len(self.wanted) and time.monotonic() < self.began + PATIENCE_S:
                    self.all.set()
                return Fault.hold(self.all, PATIENCE_S)
        return None


@pytest.fixture
def published(site):
    """A store that was published twice: what the service does with conditions is known by then."""
    site.store("a.zarr", weather(6, 8))
    site.publish()
    site.store("a.zarr", weather(6, 8, k=2))
    site.publish()
    site.proxy.requests.clear()
    return site


def change_one_chunk(root, which=0):
    chunk = sorted(root.glob("t2m/[0-9]*"))[which]
    body = bytearray(chunk.read_bytes())
    body[-1] ^= 1
    chunk.write_bytes(body)


STOCK = (("GET", "*/lease.json"), ("GET", "*/head.json"), ("GET", "*list-type*"))


def test_nothing_changed_takes_three_requests_at_once(published):
    """The lease is as this machine gave it back, so that what is read beside it counts."""
    together = Together(*STOCK)
    published.proxy.faults.append(together)
    assert published.publish().status == "unchanged"
    assert together.all.is_set()
    assert len(published.proxy.requests) == 3


def test_where_nothing_was_seen_lately_the_lease_comes_first(published):
    shutil.rmtree(cache_directory() / "places")
    together = Together(*STOCK[1:])
    published.proxy.faults.append(together)
    assert published.publish().status == "unchanged"
    assert together.all.is_set()
    assert len(published.proxy.requests) == 3
    assert published.proxy.requests[0].key.endswith("/lease.json")


def test_p7_what_was_read_beside_a_lease_that_somebody_else_had_meanwhile_does_not_count(published, tmp_path):
    """Another publisher takes the lease, publishes and gives it back, after the listing was made: all is read again."""
    other = tmp_path / "other"
    shutil.copytree(published.root, other)
    change_one_chunk(other / "a.zarr", -1)
    change_one_chunk(published.root / "a.zarr", 0)
    listed, done = threading.Event(), threading.Event()

    def hold(exchange):
        if exchange.method == "GET" and exchange.key.endswith("/lease.json") and not done.is_set():
            return None if listed.is_set() else Fault.hold(done, PATIENCE_S)
        return None

    def wait_for_listing():
        while not any("list-type" in exchange.query for exchange in published.proxy.completed[since:]):
            time.sleep(0.01)
        listed.set()

    since = len(published.proxy.completed)
    published.proxy.faults.append(hold)
    with ThreadPoolExecutor(1) as pool:
        mine = pool.submit(published.publish)
        wait_for_listing()
        assert published.publish(source=str(other)).status == "published"
        done.set()
        assert mine.result().status == "published"
    stored = s3_bytes(published.s3, published.bucket, f"{published.prefix}/a.zarr/")
    assert stored == read_tree(published.root / "a.zarr")


def test_one_object_takes_ten_requests_and_six_turns(published):
    turns = [
        Together(*STOCK),
        Together(("HEAD", "*/lease.json"), ("PUT", "*/manifests/*"), ("PUT", "*/publications/*")),
    ]
    published.proxy.faults += turns
    change_one_chunk(published.root / "a.zarr")
    assert published.publish().status == "published"
    assert all(together.all.is_set() for together in turns)
    assert len(published.proxy.requests) == 10
    order = [f"{exchange.method} {exchange.key.rpartition('/')[2]}" for exchange in published.proxy.requests]
    assert [*order[3:5], *order[8:]] == [
        "PUT lease.json",
        "PUT 0.0",
        "PUT head.json",
        "PUT lease.json",
    ]


def test_a_verification_takes_four_turns(published):
    """Is it a product; state, listing and uploads; manifest and record, while a long listing goes on; headers."""
    storage = published.config()["storage"]
    turns = [
        Together(("GET", "*/head.json"), ("GET", "*/lease.json"), ("GET", "list-type&prefix"), ("GET", "uploads*")),
        Together(("GET", "*/manifests/*"), ("GET", "*/publications/*")),
        Together(*(("HEAD", f"*/a.zarr/{key}") for key in (".zgroup", ".zmetadata", "t2m/.zarray", "t2m/0.0"))),
    ]
    shutil.rmtree(cache_directory() / "manifests")
    published.proxy.faults += turns
    assert zsync.verify(f"s3://{published.bucket}/run/a.zarr", progress=False, **storage).status == "sound"
    assert all(together.all.is_set() for together in turns)
    assert len(published.proxy.requests) == 1 + 4 + 2 + len(read_tree(published.root / "a.zarr"))


def test_three_products_take_no_more_turns_than_two(site):
    for name in ("a.zarr", "b.zarr", "c.zarr"):
        site.store(name, weather(6, 8))
    site.publish()
    for name in ("a.zarr", "b.zarr", "c.zarr"):
        change_one_chunk(site.root / name)
    each = ("a.zarr", "b.zarr", "c.zarr")
    turns = [
        Together(*(("GET", f"*/{name}/lease.json") for name in each)),
        Together(*(("PUT", f"*/{name}/lease.json") for name in each[1:])),
        Together(*(("PUT", f"*/{name}/publications/*") for name in each)),
        Together(*(("PUT", f"*/{name}/head.json") for name in each)),
    ]
    site.proxy.faults += turns
    assert site.publish().status == "published"
    assert all(together.all.is_set() for together in turns)


def test_a_pull_asks_for_each_object_once(published, tmp_path):
    """Metadata, which has to be understood first, as well."""
    storage = published.config()["storage"]
    zsync.pull(f"s3://{published.bucket}/run/a.zarr", tmp_path / "pulled", progress=False, **storage)
    asked = Counter(exchange.key for exchange in published.proxy.requests if exchange.key.startswith("run/a.zarr/"))
    files = read_tree(published.root / "a.zarr")
    assert asked == Counter(f"run/a.zarr/{key}" for key in files)
    assert read_tree(tmp_path / "pulled" / "a.zarr") == files


def test_what_a_service_does_with_conditions_is_tried_once_on_a_machine(published):
    def leases_written():
        opening._connect.cache_clear()  # as in another process
        change_one_chunk(published.root / "a.zarr")
        published.proxy.requests.clear()
        assert published.publish().status == "published"
        return sum(e.method == "PUT" and e.key.endswith("/lease.json") for e in published.proxy.requests)

    assert leases_written() == 2

    [known] = (cache_directory() / "services").iterdir()
    known.unlink()
    assert leases_written() == 4
    assert leases_written() == 2
    assert same(published.read("a.zarr")[["x"]], weather(6, 8)[["x"]])


def test_a_listing_of_many_objects_is_asked_in_many_places_at_once_and_one_of_few_in_one(published):
    """The places are after keys that the source has; beside what is listed lies what is named almost so."""
    (published.root / "files").mkdir()
    for name in ("d1-", "d1.x", "d10", "d2 (old)"):
        (published.root / "files" / name).write_bytes(b"y")
    for number in range(2000):
        path = published.root / "files" / f"d{number % 9}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    published.products["files"] = {"path": "files", "kind": "files"}
    published.publish()
    published.proxy.requests.clear()
    assert published.publish().status == "unchanged"
    listed = Counter(
        exchange.query["prefix"].split("/")[1] for exchange in published.proxy.requests if "list-type" in exchange.query
    )
    assert listed["a.zarr"] == 1
    assert listed["files"] == 3
    published.proxy.requests.clear()
    published.proxy.faults.append(
        Together(("GET", "list-type&prefix*"), ("GET", "list-type&*start-after*"), ("GET", "list-type&*start-after*"))
    )
    assert published.publish().status == "unchanged"
    assert published.proxy.faults[0].all.is_set()
    # What changes there shows: more than was expected, and less.
    for number in range(200):
        lasting_client(published.s3).put_object(
            Bucket=published.bucket, Key=f"{published.prefix}/files/d5/more{number}", Body=b"z"
        )
    lasting_client(published.s3).delete_object(Bucket=published.bucket, Key=f"{published.prefix}/files/d1.x")
    done = {product.name: product for product in published.publish(max_delete="100%").products}
    assert (done["files"].sent, done["files"].retired) == (1, 200)
