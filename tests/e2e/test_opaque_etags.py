"""Where ETags are no MD5s, as where a key of KMS encrypts: what arrived is not sent again, nothing else is believed."""

from __future__ import annotations

import os
import threading
from collections import Counter

import prepared
import pytest
from anyservice import BUCKET, AnyService
from trees import write_tree

import zsync
from zsync.config import Location, Storage
from zsync.errors import PermissionDeniedError, TransientError
from zsync.inventory import cache_directory
from zsync.inventory.digest import BLOCK
from zsync.storage import connect, spec_for
from zsync.storage.base import Headers
from zsync.storage.details import etag_is_opaque

TRANSPORTS = ["obstore", "fsspec"]
COUNT = 24


@pytest.fixture
def service():
    with AnyService() as service:
        service.is_opaque = True
        yield service


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "src", {f"f{n:02}": bytes([n]) * 100 for n in range(COUNT)})


def data_of(service):
    return {key.removeprefix("p/src/"): body for key, body in service.objects.items() if key.startswith("p/src/")}


def puts(service):
    """How often each file was written, since it was last asked."""
    paths = [
        line.removeprefix(f"PUT /{BUCKET}/p/src/") for line in service.asked if "PUT" in line and "/p/src/" in line
    ]
    service.asked.clear()
    return Counter(path.partition("?")[0] for path in paths)


def publish(service, tree, transport="obstore", **more):
    storage = {"retries": 0, **service.storage}
    options = {"workers": 2, "transport": transport, **more}
    return zsync.publish(
        {"source": str(tree), "target": f"s3://{BUCKET}/p", "storage": storage, "publish": options}, progress=False
    )


def kept():
    return list((cache_directory() / "receipts").glob("*"))


@pytest.fixture
def cut_off(service, tree):
    """A publish that was refused half way, and what of it arrived."""

    def run(transport="obstore", **more):
        service.refuses = lambda key: key.startswith("p/src/") and len(data_of(service)) >= COUNT // 2
        with pytest.raises(PermissionDeniedError):
            publish(service, tree, transport, **more)
        service.refuses = lambda _key: False
        service.asked.clear()
        return set(data_of(service))

    return run


@pytest.mark.parametrize("trust", ["listing", "manifest"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_p9_what_arrived_is_not_sent_again(service, tree, cut_off, transport, trust):
    there = cut_off(transport, trust=trust)
    assert len(there) >= COUNT // 2
    assert len(kept()) == 1
    done = publish(service, tree, transport, trust=trust)
    assert (done.products[0].sent, done.products[0].unchanged) == (COUNT - len(there), len(there))
    assert set(puts(service)) == {path.name for path in tree.iterdir()} - there
    assert data_of(service) == {path.name: path.read_bytes() for path in tree.iterdir()}
    assert kept() == [], "it is on record now"
    assert publish(service, tree, transport, trust=trust).status == "unchanged"
    (tree / "f00").write_bytes(b"other")
    assert publish(service, tree, transport, trust=trust).products[0].sent == 1


def test_p9_a_killed_command_is_finished_by_the_next(service, tmp_path, run_zsync):
    """And by one that is killed again: each goes on where the last one ended, but for what was on its way."""
    count, workers = 96, 2
    batch = count // (workers * 4)
    batches = workers * batch + batch  # those on their way, and one that has ended and is not written down yet
    tree = write_tree(tmp_path / "src", {f"f{n:02}": bytes([n]) * 100 for n in range(count)})
    env = {
        **os.environ, "AWS_ENDPOINT_URL": service.endpoint_url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
    }  # fmt: skip
    words = ("publish", tree, "--target", f"s3://{BUCKET}/p", "--workers", str(workers))
    before = 0
    for share in (count // 2, count - 10):
        reached, ended = threading.Event(), threading.Event()

        def is_late(key, reached=reached, ended=ended, share=share):
            if not key.startswith("p/src/") or len(data_of(service)) < share:
                return False
            reached.set()
            return ended.wait(60)

        service.refuses = is_late
        with prepared.command(*words, env=env, stdin=None) as process:
            assert reached.wait(60)
            process.kill()
        ended.set()
        assert sum(puts(service).values()) <= share - before + batches + workers
        before = share
    service.refuses = lambda _key: False
    run_zsync(*words, env=env)
    assert sum(puts(service).values()) <= count - before + batches
    assert data_of(service) == {path.name: path.read_bytes() for path in tree.iterdir()}
    assert "nothing to do" in run_zsync(*words, env=env).stdout


def test_p10_what_arrived_whole_is_put_on_record(service, tree):
    service.refuses = lambda key: key.endswith(".parquet")
    with pytest.raises(PermissionDeniedError):
        publish(service, tree)
    service.refuses = lambda _key: False
    service.asked.clear()
    done = publish(service, tree)
    assert (done.status, done.products[0].sent, sum(puts(service).values())) == ("published", 0, 0)
    assert publish(service, tree).status == "unchanged"


def _overwritten(service, tree, there):
    service.objects["p/src/" + min(there)] = b"somebody else's!" * 7
    service.etags["p/src/" + min(there)] = "0" * 32


def _of_the_same_size(service, tree, there):
    service.objects["p/src/" + min(there)] = b"x" * 100
    service.etags["p/src/" + min(there)] = "0" * 32


def _deleted(service, tree, there):
    del service.objects["p/src/" + min(there)]


def _source_changed(service, tree, there):
    (tree / min(there)).write_bytes(b"n" * 100)


def _exchanged(service, tree, there):
    """Two objects changed places: each has the ETag that the other one's bytes had."""
    one, other = (f"p/src/{name}" for name in sorted(there)[:2])
    for column in (service.objects, service.etags):
        column[one], column[other] = column[other], column[one]


@pytest.mark.parametrize("change", [_overwritten, _of_the_same_size, _deleted, _source_changed, _exchanged])
def test_p5_what_is_not_as_it_was_sent_is_sent_again(service, tree, cut_off, change):
    there = cut_off()
    change(service, tree, there)
    changed = 2 if change is _exchanged else 1
    assert publish(service, tree).products[0].sent == COUNT - len(there) + changed
    assert data_of(service) == {path.name: path.read_bytes() for path in tree.iterdir()}
    assert publish(service, tree).status == "unchanged"


@pytest.mark.parametrize("damage", ["empty", "torn", "a bit", "random", "unreadable"])
def test_receipts_that_are_damaged_are_none(service, tree, cut_off, damage):
    there = cut_off()
    (path,) = kept()
    data = bytearray(path.read_bytes())
    if damage == "unreadable":
        path.unlink()
        path.mkdir()
    elif damage == "a bit":
        data[len(data) // 2] ^= 1
    damaged = {"empty": b"", "torn": data[:-5], "a bit": data, "random": os.urandom(1000)}
    if damage in damaged:
        path.write_bytes(damaged[damage])
    done = publish(service, tree)
    assert COUNT - len(there) < done.products[0].sent <= COUNT
    assert data_of(service) == {path.name: path.read_bytes() for path in tree.iterdir()}
    assert publish(service, tree).status == "unchanged"


def test_where_etags_are_md5s_no_receipts_are_kept(service, tree, cut_off):
    service.is_opaque = False
    there = cut_off()
    assert kept() == []
    assert publish(service, tree).products[0].sent == COUNT - len(there)


def test_p9_a_team_does_not_send_again_what_arrived(service, tree):
    config = {
        "source": str(tree), "target": f"s3://{BUCKET}/p", "storage": {"retries": 0, **service.storage},
        "publish": {"workers": 2}, "team": {"member": "ann"},
    }  # fmt: skip
    service.refuses = lambda key: key.startswith("p/src/") and len(data_of(service)) >= COUNT // 2
    with pytest.raises(PermissionDeniedError):
        zsync.sync(config, yes=True, progress=False)
    service.refuses = lambda _key: False
    service.asked.clear()
    there = set(data_of(service))
    done = zsync.sync(config, yes=True, progress=False)
    assert set(puts(service)) == {path.name for path in tree.iterdir()} - there
    assert all(change.action != "copied" for change in done.products[0].changes)
    assert zsync.sync(config, yes=True, progress=False).status == "unchanged"


# --- whether ETags tell ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_j2_the_first_answer_that_does_not_fit_is_looked_into(service, transport):
    """No other object was written before, from which it would be known that ETags are MD5s."""
    service.is_opaque = False
    spec = spec_for(Location.parse(f"s3://{BUCKET}/x"), Storage(retries=0, **service.storage), transport)
    store = connect(spec)
    service.etags["x"] = "1" * 32
    assert store.put("x", b"as it was sent", Headers()).etag == "1" * 32
    assert store.capabilities.etags_tell is False

    spec = spec_for(Location.parse(f"s3://{BUCKET}/x"), Storage(retries=1, **service.storage), transport)
    store = connect(spec)
    service.etags.clear()
    service.damages = lambda data: data[:-1] + b"?"
    with pytest.raises(TransientError, match="did not arrive"):
        store.put("x", b"as it was sent", Headers())
    assert store.capabilities.etags_tell


def test_one_object_of_kms_does_not_make_all_etags_opaque(service):
    spec = spec_for(Location.parse(f"s3://{BUCKET}/x"), Storage(**service.storage))
    store = connect(spec)
    service.is_opaque = False
    store.put("x", b"plain", Headers())
    service.is_opaque = True
    assert etag_is_opaque(spec, "x")
    assert store.capabilities.etags_tell


@pytest.mark.parametrize("size", [100, BLOCK + 1])
def test_pulls_believe_bytes_whose_etag_tells_nothing(service, tmp_path, size):
    service.objects["maps/a"], service.etags["maps/a"] = b"a" * size, "2" * 32
    done = zsync.pull(f"s3://{BUCKET}/maps", tmp_path, progress=False, **service.storage)
    assert done.status == "pulled"
    assert (tmp_path / "maps" / "a").stat().st_size == size
    spec = spec_for(Location.parse(f"s3://{BUCKET}/maps"), Storage(**service.storage))
    assert connect(spec).capabilities.etags_tell is False, "nothing has to be asked again"
