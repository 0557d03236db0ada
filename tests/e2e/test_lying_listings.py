"""Listings that are none, and listings that lack what is there: nothing is deleted because of one, here or there.

Gateways, captive portals and caches answer 200 with a page of their own, an error document, or what they kept. What a
manifest names and a listing lacks is asked for before it counts as gone.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
from xml.sax.saxutils import escape

import pytest
from proxy import Fault, on
from servers import lasting_client, s3_client
from target import same
from team import Team
from trees import append, read_tree, s3_tree, weather

import zsync
from zsync.config import Location, Storage
from zsync.errors import TargetError, TransientError
from zsync.inventory import asking, list_target
from zsync.inventory.chain import bounds_among
from zsync.publication import Keeping, StateKeys, prune
from zsync.storage import connect, listing, spec_for
from zsync.storage.details import list_details

PUBLISH = {"rewrites": "inplace"}  # flips have tests of their own: test_flip

XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
NO_LISTINGS = {
    "an error": f"{XML}<Error><Code>InternalError</Code><Message>We erred.</Message></Error>",
    "refused": f"{XML}<Error><Code>AccessDenied</Code></Error>",
    "a page": "<!DOCTYPE html><html><head><meta charset=utf-8></head><body>Sign in<br></body></html>",
    "a page that is XML": f'{XML}<html xmlns="http://www.w3.org/1999/xhtml"><head/><body><p>Sign in</p></body></html>',
    "another answer": f"{XML}<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>",
    "nearly": f"{XML}<ListBucketResults><Name>b</Name><IsTruncated>false</IsTruncated></ListBucketResults>",
    "nothing": "",
    "blanks": "\n \n",
    "JSON": '{"Contents": []}',
    "text": "moved",
    "cut short": f"{XML}<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated><Contents><Key>a/x</Key>",
    "no end tag": f"{XML}<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>",
}
SOME = ("an error", "a page that is XML", "nothing", "cut short")
SAID = r"no ListBucketResult|the listing lacks"
TRANSPORTS = ["obstore", "fsspec"]


def document(keys, *, token=None, prefixes=(), extra=""):
    """Return a listing of keys, as S3 writes it."""
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00Z</LastModified>"
        f'<ETag>"{etag}"</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>'
        for key, size, etag in keys
    )
    below = "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in prefixes)
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return (
        f'{XML}<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
        f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>{more}{contents}{below}{extra}</ListBucketResult>"
    )


def pages(pages):
    """Return a rule that answers listings with pages: bodies, or numbers of objects that each has."""

    def rule(exchange):
        if "list-type" not in exchange.query:
            return None
        number = int(exchange.query.get("continuation-token", "0"))
        page = pages[number]
        if isinstance(page, int):
            keys = [(f"a/{number}-{i:04}", 1, "e") for i in range(page)]
            page = document(keys, token=number + 1 if number + 1 < len(pages) else None)
        return Fault.answer(200, page)

    return rule


def hiding(server, hidden, *, times=None):
    """Return a rule: listings are the server's, but lack the keys of which `hidden` says so."""
    count = itertools.count()

    def rule(exchange):
        if "list-type" not in exchange.query or (times is not None and next(count) >= times):
            return None
        wanted = {"Prefix": exchange.query.get("prefix", ""), "Delimiter": exchange.query.get("delimiter", "")}
        answer = lasting_client(server).list_objects_v2(Bucket=exchange.bucket, **wanted)
        keys = [
            (found["Key"], found["Size"], found["ETag"].strip('"'))
            for found in answer.get("Contents", [])
            if not hidden(found["Key"])
        ]
        below = [found["Prefix"] for found in answer.get("CommonPrefixes", [])]
        return Fault.answer(200, document(keys, prefixes=[name for name in below if not hidden(name)]))

    return rule


def at(site, transport, retries=0):
    storage = Storage(**site.config()["storage"], retries=retries)
    return spec_for(Location.parse(f"s3://{site.bucket}/a"), storage, transport)


def ways(spec):
    store = connect(spec)
    return {
        "all": lambda: [key for page in store.list("a/") for key in page.keys],
        "a level": lambda: list(store.list_level("a/")[0].keys),
        "details": lambda: [found.key for found in list_details(spec, "a/")],
    }


@pytest.fixture
def at_once(monkeypatch):
    """Nothing is tried again."""
    from zsync.storage import calls
    from zsync.storage.retrying import RetryPolicy, retry

    monkeypatch.setattr(calls, "retry", lambda action, _policy: retry(action, RetryPolicy(attempts=1)))


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("place", ["the first page", "in the middle", "the last page"])
def test_what_is_no_listing_is_an_error_on_every_page(site, transport, place):
    spec = at(site, transport)
    some = NO_LISTINGS if place == "the first page" else {name: NO_LISTINGS[name] for name in SOME}
    for what, body in some.items():
        before = {"the first page": [], "in the middle": [1000], "the last page": [1000, 1000]}[place]
        site.proxy.faults[:] = [pages([*before, body, *([3] if place == "in the middle" else [])])]
        for way, ask in ways(spec).items():
            with pytest.raises(TargetError) as caught:
                ask()
            line = str(caught.value)
            told = {"an error": "InternalError", "refused": "AccessDenied"}.get(what, "no ListBucketResult")
            assert told in line, (what, way, line)
            assert "\n" not in line
        if transport == "obstore":
            few = functools.partial(connect(spec).list_few, "a/")
            if place == "the first page":
                with pytest.raises(TargetError):
                    few()
            else:
                assert few() is None  # there are more than come with one answer; those are listed in another way


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_is_no_listing_is_asked_for_again(site, transport):
    lasting_client(site.s3).put_object(Bucket=site.bucket, Key="a/x", Body=b"x")
    for way, ask in ways(at(site, transport, retries=2)).items():
        for body in (NO_LISTINGS["a page that is XML"], NO_LISTINGS["a page"], NO_LISTINGS["nothing"]):
            # Twice: obstore's listing and ours, which is asked whenever that shows nothing.
            site.proxy.faults[:] = [on(Fault.answer(200, body), query="list-type", times=2)]
            assert ask() == ["a/x"], (way, body)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_listings_of_full_pages_and_of_nothing_are_what_they_say(site, transport):
    for sizes in ([1000, 1000], [1000, 0], [1000, 1000, 1], [999], [0], [500, 500, 2]):
        site.proxy.faults[:] = [pages(sizes)]
        wanted = sorted(f"a/{number}-{i:04}" for number, size in enumerate(sizes) for i in range(size))
        for way, ask in ways(at(site, transport)).items():
            assert sorted(ask()) == wanted, (way, sizes)


MANY = [f"{number:05}" for number in range(2500)]


def many(lies, size=1000):
    """Return a rule that lists many keys, page by page, after a key or a token; `lies` are asked first."""

    def rule(exchange):
        if "list-type" not in exchange.query:
            return None
        after = exchange.query.get("continuation-token") or exchange.query.get("start-after", "")
        if (body := lies(after)) is not None:
            return Fault.answer(200, body)
        rest = [key for key in MANY if f"a/{key}" > after]
        rows = [(f"a/{key}", 1, "e") for key in rest[:size]]
        return Fault.answer(200, document(rows, token=rows[-1][0] if len(rest) > size else None))

    return rule


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("where", [0, 1, 2])
def test_of_answers_that_are_asked_for_at_once_each_is_a_listing(site, where):
    """Where keys are expected, requests begin after every so many of them."""
    store = connect(at(site, "obstore"))
    bound = ["", *(f"a/{key}" for key in bounds_among(MANY))][where]
    for what in SOME:
        site.proxy.faults[:] = [many(lambda after, body=NO_LISTINGS[what]: body if after == bound else None)]
        try:  # what obstore cannot read at all is asked for in another way
            found = list_target(store, "a", bounds=bounds_among(MANY))
        except TargetError:
            continue
        assert list(found.keys) == MANY
    for size in (1000, 300):
        asked = []
        site.proxy.faults[:] = [many(asked.append, size)]
        found = list_target(store, "a", bounds=bounds_among(MANY))
        assert (list(found.keys), len(found.etags)) == (MANY, len(MANY))
        assert bound in asked
    # One that goes on from the beginning is not believed either, and asked in another way.
    site.proxy.faults[:] = [pages([1000, 1000, 500])]
    again = [f"{number}-{i:04}" for number in range(3) for i in range(1000 if number < 2 else 500)]
    assert list(list_target(store, "a", bounds=bounds_among(again)).keys) == again


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_key_that_is_listed_twice_counts_once(site, transport):
    store = connect(at(site, transport))
    twice = [("a/x", 1, "e"), ("a/y", 2, "f"), ("a/x", 1, "e")]
    site.proxy.faults[:] = [on(Fault.answer(200, document(twice)), query="list-type", times=None)]
    found = list_target(store, "a")
    assert (found.keys, [*found.sizes], found.etags) == (["x", "y"], [1, 2], ["e", "f"])


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("keys", [[("a/x", 1, "e")], [("a/x", 1, "e"), ("a/y", 1, "e")], []], ids=["1", "2", "none"])
def test_a_listing_without_an_end_ends(site, transport, keys, monkeypatch):
    monkeypatch.setattr(listing, "PATIENCE_S", 0.5)
    for way, ask in ways(at(site, transport)).items():
        site.proxy.faults[:] = [on(Fault.answer(200, document(keys, token="t")), query="list-type", times=None)]
        with pytest.raises(TargetError, match="no end") as caught:
            ask()
        assert not isinstance(caught.value, TransientError), way
        site.proxy.faults[:] = []


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_was_not_asked_for_is_left_out(site, transport):
    strange = document([("other/x", 1, "e")])
    site.proxy.faults[:] = [on(Fault.answer(200, strange), query="list-type", times=None)]
    found = list_target(connect(at(site, transport)), "a")
    assert found.keys == []
    # s3fs leaves it out already.
    assert found.unfit == ({"other/x": "it lies elsewhere"} if transport == "obstore" else {})


# What verbs do.

LIED_TO = [*(("obstore", kind) for kind in ("no listing", "nothing", "some", "a chunk")), ("fsspec", "some")]


def lie(site, kind, *, within="", times=None):
    """Return a rule that makes listings of the data lie."""
    if kind == "no listing":
        return on(Fault.answer(200, NO_LISTINGS["a page that is XML"]), query="list-type", times=times)

    def hidden(key):
        inside = key.startswith(within) and "/.zsync/" not in f"/{key}"
        return inside and {"nothing": True, "some": "t2m" in key, "a chunk": "/0.1" in key or "b.txt" in key}[kind]

    return hiding(site.s3, hidden, times=times)


def remote(site):
    return s3_tree(site.s3, site.bucket)


@pytest.mark.parametrize(("transport", "kind"), LIED_TO)
def test_publish_changes_nothing_where_listings_lie(site, transport, kind):
    site.store("a.zarr", weather(12, 8))
    site.publish(transport=transport)
    append(site.root / "a.zarr", weather(14, 8).isel(time=slice(12, 14)))
    shutil.rmtree(site.root / "a.zarr" / "x")  # there is something to retire too
    before = remote(site)
    site.proxy.faults[:] = [lie(site, kind)]
    with pytest.raises(TargetError, match=SAID):
        site.publish(transport=transport, max_delete="100%", retries=0)
    assert remote(site) == before


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_listing_that_was_stale_once_is_looked_at_again(site, transport):
    site.store("a.zarr", weather(12, 8))
    site.publish(transport=transport)
    count = len(site.puts())
    site.proxy.faults[:] = [lie(site, "some", times=1)]
    assert site.publish(transport=transport).status == "unchanged"
    # It was not remembered that such a listing means that there is nothing to do.
    append(site.root / "a.zarr", weather(14, 8).isel(time=slice(12, 14)))
    site.proxy.faults[:] = [lie(site, "some", times=1)]
    assert site.publish(transport=transport).status == "published"
    assert same(site.read("a.zarr"), weather(14, 8))
    assert len(site.puts()) > count


def test_what_is_gone_indeed_comes_back_however_much_it_is(site, monkeypatch):
    site.store("a.zarr", weather(12, 8))
    site.publish()
    for most in (1000, 2):
        monkeypatch.setattr(asking, "MOST_ASKED", most)
        gone = [key for key in remote(site) if "/t2m/" in key]
        for key in gone:
            lasting_client(site.s3).delete_object(Bucket=site.bucket, Key=key)
        heads = len(site.proxy.requests)
        assert site.publish().products[0].sent == len(gone)
        asked = [e for e in site.proxy.requests[heads:] if e.method == "HEAD" and "/t2m/" in e.key]
        assert len(asked) in range(1, most + 1)
        assert same(site.read("a.zarr"), weather(12, 8))


def put_foreign(site, tree, prefix="foreign/a.zarr"):
    for key, body in tree.items():
        lasting_client(site.s3).put_object(Bucket=site.bucket, Key=f"{prefix}/{key}", Body=body)


def pull_foreign(site, dest, transport):
    storage = {**site.config()["storage"], "retries": 0}
    url = f"s3://{site.bucket}/foreign/a.zarr"
    return zsync.pull(url, dest, progress=False, transport=transport, **storage)


@pytest.mark.parametrize(("transport", "kind"), LIED_TO)
def test_pull_by_listing_deletes_nothing_where_listings_lie(site, tmp_path, transport, kind):
    site.store("a.zarr", weather(12, 8))
    put_foreign(site, read_tree(site.root / "a.zarr"))
    here = tmp_path / "here"
    pull_foreign(site, here, transport)
    before = read_tree(here / "a.zarr")
    assert before == read_tree(site.root / "a.zarr")
    site.proxy.faults[:] = [lie(site, kind)]
    with pytest.raises(TargetError, match=SAID):
        pull_foreign(site, here, transport)
    assert read_tree(here / "a.zarr") == before
    # What is gone indeed goes here, too.
    site.proxy.faults.clear()
    lasting_client(site.s3).delete_object(Bucket=site.bucket, Key="foreign/a.zarr/t2m/0.1")
    pull_foreign(site, here, transport)
    assert before.keys() - read_tree(here / "a.zarr").keys() == {"t2m/0.1"}


@pytest.mark.parametrize(("transport", "kind"), LIED_TO)
def test_sync_deletes_nothing_where_listings_lie(s3, bucket, site, tmp_path, transport, kind):
    team = Team(s3, bucket, tmp_path / "team", endpoint_url=site.proxy.endpoint_url)
    mary, paul = team("mary"), team("paul")
    for number in range(6):
        mary.write(f"{number}.txt", f"{number}")
    mary.write("t2m/a.txt", "a")
    mary.write("t2m/b.txt", "b")
    options = {"transport": transport, "retries": 0}
    mary.sync(**options)
    paul.sync(**options)
    before = mary.read()
    there = team.remote()
    site.proxy.faults[:] = [lie(site, kind)]
    for member in (mary, paul):
        with pytest.raises(TargetError, match=SAID):
            member.sync(**options)
        assert member.read() == before
    site.proxy.faults.clear()
    assert team.remote() == there
    # What a colleague deletes goes.
    (mary.folder / "t2m" / "b.txt").unlink()
    mary.sync(**options)
    paul.sync(**options)
    assert before.keys() - paul.read().keys() == {"t2m/b.txt"}


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("transport", "kind"), LIED_TO)
@pytest.mark.parametrize("source", ["local", "s3"])
def test_watch_deletes_nothing_where_listings_lie(site, tmp_path, transport, kind, source):
    site.store("a.zarr", weather(12, 8))
    for path in site.root.rglob("*"):
        os.utime(path, (1e9, 1e9))

    def watch():
        document = {
            "sites": {"run": {"source": str(site.root), "target": f"s3://{site.bucket}/run"}},
            "watch": {"listen": "off", "settle": "0s", "events": "poll"},
            "storage": {**site.config()["storage"], "retries": 0},
            "publish": {"transport": transport},
        }
        return zsync.watch(document, once=True, initial_sync_source=source)

    assert watch().exit_status == 0
    before, here = remote(site), read_tree(site.root)
    shutil.rmtree(site.root / "a.zarr" / "t2m") if source == "local" else None
    kept = read_tree(site.root)
    site.proxy.faults[:] = [lie(site, kind)]
    result = watch()
    assert result.exit_status == 1, result
    assert remote(site).items() >= before.items()
    assert read_tree(site.root) == kept
    assert here.keys() >= kept.keys()


def test_pruning_refuses_a_listing_that_lacks_a_publication(site):
    site.store("a.zarr", weather(4, 4))
    for count in range(5, 10):
        append(site.root / "a.zarr", weather(count, 4).isel(time=slice(count - 1, count)))
        site.publish()
    place = Location.parse(f"s3://{site.bucket}/run/a.zarr")
    store, keys = connect(at(site, "obstore")), StateKeys.of(place)
    before = remote(site)
    names = sorted(key for key in before if "/publications/" in key)
    hidden = names[-2]
    site.proxy.faults[:] = [hiding(site.s3, lambda key: key == hidden)]
    with pytest.raises(TargetError, match="lacks a publication"):
        prune(store, keys, Keeping(3), "test", site.root.parent / "cache")
    site.proxy.faults.clear()
    after = remote(site)
    assert {key for key in before if "lease" not in key} == {key for key in after if "lease" not in key}
    assert len(prune(store, keys, Keeping(3), "test", site.root.parent / "cache").publications) == len(names) - 3


def test_a_first_publish_does_not_believe_an_empty_page(site):
    client = s3_client(site.s3)
    client.put_object(Bucket=site.bucket, Key="run/a.zarr/t2m/9.9", Body=b"foreign")
    client.close()
    site.store("a.zarr", weather(4, 4))
    site.proxy.faults[:] = [on(Fault.answer(200, NO_LISTINGS["another answer"]), query="list-type", times=None)]
    with pytest.raises(TargetError, match="no ListBucketResult"):
        site.publish(retries=0)
    assert list(remote(site)) == ["run/a.zarr/t2m/9.9"]
