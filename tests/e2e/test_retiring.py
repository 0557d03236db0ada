"""What is published is on record before anything is retired; what a service refuses to delete is named (K16)."""

from __future__ import annotations

import json
import shutil

import pytest
from proxy import Fault
from target import same
from trees import s3_bytes, s3_tree, weather

import zsync

PUBLISH = {"rewrites": "inplace"}  # flips have tests of their own: test_flip

GONE = {"t2m/2.0", "t2m/2.1"}


@pytest.fixture
def shrunk(site):
    """A store that was published, and lost its last chunks since."""
    site.store("a.zarr", weather(15, 8))
    site.publish()
    shutil.rmtree(site.root / "a.zarr")
    site.store("a.zarr", weather(10, 8, k=2))
    return site


def is_bulk_delete(exchange):
    return exchange.method == "POST" and "delete" in exchange.query


def denied(exchange):
    """Every way to delete, and the copies that the trash is made of, are refused."""
    is_copy = any(name.lower() == "x-amz-copy-source" for name in exchange.headers)
    is_delete = is_bulk_delete(exchange) or (exchange.method == "DELETE" and "/.zsync/" not in f"/{exchange.key}")
    return Fault.error(403, "AccessDenied") if is_delete or is_copy else None


def archived(exchange):
    """Archived objects can be deleted, but not copied."""
    is_copy = any(name.lower() == "x-amz-copy-source" for name in exchange.headers)
    return Fault.error(403, "InvalidObjectState") if is_copy else None


def one_by_one(exchange):
    """The answer is 200, and names a key that was not deleted."""
    body = "<DeleteResult>" + "".join(
        f"<Error><Key>run/a.zarr/{key}</Key><Code>AccessDenied</Code></Error>" for key in sorted(GONE)
    )
    return Fault.answer(200, f"{body}</DeleteResult>") if is_bulk_delete(exchange) else None


def record(site):
    state = s3_bytes(site.s3, site.bucket, "run/.zsync/a.zarr/")
    head = json.loads(state["head.json"])
    return head["publication"], json.loads(state[f"publications/{head['publication']}.json"])


@pytest.mark.parametrize("rule", [denied, archived, one_by_one])
def test_p8_what_cannot_be_retired_is_named_and_what_was_published_is_on_record(shrunk, tmp_path, rule):
    site = shrunk
    site.proxy.faults.append(rule)
    result = site.publish(max_delete="100%")
    assert result.status == "unretired"
    assert result.exit_status == 6
    [finding] = [finding for finding in result.findings if finding.code == "not-retired"]
    assert "2 objects" in finding.message
    assert finding.key in GONE
    assert ("archived" in finding.message) == (rule is archived)
    assert result.products[0].retired == 0
    assert same(site.read("a.zarr"), weather(10, 8, k=2))
    assert record(site)[0] == result.publication
    assert s3_tree(site.s3, site.bucket, "run/a.zarr/").keys() >= GONE

    url = f"s3://{site.bucket}/run/a.zarr"
    zsync.pull(url, tmp_path / "pulled", progress=False, **{
        name: value for name, value in site.config()["storage"].items() if name in ("endpoint_url", "region")
    }, access_key_id=site.s3.access_key, secret_access_key=site.s3.secret_key)  # fmt: skip
    assert not (tmp_path / "pulled" / "a.zarr" / "t2m" / "2.0").exists()

    again = site.publish(max_delete="100%")  # it stays in the plan
    assert again.status == "unretired"
    site.proxy.faults.clear()
    last = site.publish(max_delete="100%")
    assert (last.status, last.products[0].retired, last.products[0].sent) == ("published", 2, 0)
    assert not GONE & s3_tree(site.s3, site.bucket, "run/a.zarr/").keys()
    assert site.publish().status == "unchanged"


def test_p8_a_service_without_deletions_of_many_is_asked_for_one_after_the_other(shrunk):
    site = shrunk
    site.proxy.faults.append(lambda exchange: Fault.error(501, "NotImplemented") if is_bulk_delete(exchange) else None)
    result = site.publish(max_delete="100%")
    assert (result.status, result.products[0].retired) == ("published", 2)
    assert not GONE & s3_tree(site.s3, site.bucket, "run/a.zarr/").keys()


def test_p2_where_what_names_others_cannot_be_retired_its_data_stays(site):
    """A store that is gone from the source, and whose root cannot be deleted, must not be found without its chunks."""
    for name in ("tree.zarr/a.zarr", "tree.zarr/b.zarr"):
        site.store(name, weather(6, 8))
    site.publish()
    shutil.rmtree(site.root / "tree.zarr" / "b.zarr")

    def refuse_root(exchange):
        if exchange.method == "PUT" and exchange.key.endswith("/b.zarr/.zmetadata") and "/trash/" in exchange.key:
            return Fault.error(403, "AccessDenied")
        return None

    site.proxy.faults.append(refuse_root)
    result = site.publish(max_delete="100%")
    assert result.status == "unretired"
    assert same(site.read("tree.zarr/b.zarr"), weather(6, 8))
    assert any("what names it" in finding.message for finding in result.findings)
    site.proxy.faults.clear()
    assert site.publish(max_delete="100%").status == "published"
    assert s3_tree(site.s3, site.bucket, "run/tree.zarr/b.zarr/") == {}


def test_k16_the_command_ends_with_a_status_of_its_own(shrunk, tmp_path, run_zsync):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(shrunk.config(publish={"max_delete": "100%", **PUBLISH})))
    shrunk.proxy.faults.append(denied)
    done = run_zsync("publish", config, "--json", check=6)
    assert json.loads(done.stdout)["status"] == "unretired"
    assert "stopped" not in done.stderr
    shrunk.proxy.faults.clear()
    assert "2 retired" in run_zsync("publish", config).stdout


def test_p8_nothing_is_retired_before_the_publication_is_on_record(shrunk):
    site = shrunk
    site.publish(max_delete="100%")
    order = [(exchange.method, exchange.key) for exchange in site.proxy.completed]
    head = max(place for place, (method, key) in enumerate(order) if method == "PUT" and key.endswith("head.json"))
    deletions = [place for place, (method, key) in enumerate(order) if method == "POST" and not key]
    assert deletions
    assert min(deletions) > head


def test_p8_a_publisher_that_dies_between_record_and_retirement_leaves_the_rest_to_the_next(shrunk):
    site = shrunk
    site.proxy.faults.append(lambda exchange: Fault.refuse() if is_bulk_delete(exchange) else None)
    result = site.publish(max_delete="100%", retries=0)
    assert result.status == "unretired"
    assert result.publication == record_later(site)
    assert site.publish(max_delete="100%").products[0].retired == 2
    assert site.publish().status == "unchanged"


def record_later(site):
    site.proxy.faults.clear()
    site.proxy.accept()
    return record(site)[0]
