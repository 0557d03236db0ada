"""What is published becomes what an earlier publication was, as a new publication (issue 14, point 5)."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from proxy import Fault
from seeds import rng
from target import Site, same
from trees import read_tree, s3_bytes, weather, write_cog

import zsync
from zsync.errors import ConfigError, GoneError, GuardError

PUBLISH = {"rewrites": "inplace", "on_incompatible": "refuse"}  # flips have tests of their own: test_flip

STORES = {
    "v2.zarr": {"zarr_format": 2},
    "v3.zarr": {"zarr_format": 3},
    "sharded.zarr": {"zarr_format": 3, "shards": {"time": 10, "x": 8}},
}


@pytest.fixture(params=["plain", "versioned"])
def kept(request, s3, proxy, tmp_path):
    """A run and its target that keeps what is replaced: by versions, or in the trash."""
    bucket = request.getfixturevalue("bucket" if request.param == "plain" else "versioned_bucket")
    return Site(s3, proxy, bucket, tmp_path / "run", PUBLISH)


def reach(site):
    return site.config()["storage"]


def url(site, name=""):
    return f"s3://{site.bucket}/{site.prefix}/{name}".rstrip("/")


def back(site, to, name="", **options):
    return zsync.rollback(url(site, name), to, progress=False, **{**reach(site), **PUBLISH, **options})


def publish(site, **options):
    return site.publish(**{"keep_history": True, "max_delete": "100%", **options})


def rewrite(site, name, data, **options):
    shutil.rmtree(site.root / name, ignore_errors=True)
    site.store(name, data, **options)


def seen(site):
    """Return what readers may ask for: all but the records."""
    known = vars(site).setdefault("known", {})
    found = s3_bytes(site.s3, site.bucket, f"{site.prefix}/", known)
    return {key: body for key, body in found.items() if ".zsync/" not in key}


def is_metadata(key):
    return key.endswith((".zarray", "zarr.json", ".zmetadata"))


def write_run(site, chance, *names):
    """Write stores, longer or shorter, with other values, another variable or not; or rasters with an index."""
    for name in names:
        if name != "cog":
            data = weather(chance.randint(3, 11), chance.choice([6, 8]), k=chance.choice([1, 2]))
            rewrite(site, name, data.assign(more=data["x"] * 2) if chance.random() < 0.5 else data, **STORES[name])
            continue
        shutil.rmtree(site.root / name, ignore_errors=True)
        days = chance.sample(range(4), 2)
        for day in days:
            write_cog(site.root / name / f"{day}.tif", np.full((32, 32), chance.randint(0, 3), "float32"))
        # An index, by what is in it.
        (site.root / name / "catalog").write_text(json.dumps([f"{day}.tif" for day in days]))
        site.products[name] = {"path": name, "kind": "cog"}


@pytest.mark.slow
def test_back_to_random_ones_of_six(kept):
    """Byte for byte what plain readers had then; what is the same is not sent; all products together."""
    chance, copies = rng(14), {}
    names = ["cog", "v2.zarr", "sharded.zarr"] if "plain" in kept.bucket else ["cog", "v3.zarr"]
    for number in range(6):
        write_run(kept, chance, *(names if not number else chance.sample(names, len(names) - 1)))
        publication = publish(kept).publication
        copies[publication] = seen(kept)
    head, planned, stayed = list(copies)[-1], None, 0
    for to in chance.sample(list(copies)[:-1], 2):
        now, puts = seen(kept), len(kept.puts())
        if planned is None:
            planned = back(kept, to, dry_run=True)
            assert (planned.status, seen(kept)) == ("planned", now)
        result = back(kept, to)
        assert (result.status, result.restores) == ("published", to)
        assert len(result.plan.table) == len(planned.plan.table) or to != planned.restores
        assert seen(kept) == copies[to]
        # While arrays shrink their metadata is another for a while.
        same_before = {key for key, body in copies[to].items() if now.get(key) == body and not is_metadata(key)}
        sent = kept.puts()[puts:]
        assert not same_before.intersection(sent)
        stayed += len(same_before)
        # What names others goes after them.
        assert "cog/catalog" not in sent or not any(key.endswith(".tif") for key in sent[sent.index("cog/catalog") :])
    assert stayed
    assert back(kept, to).status == "unchanged"
    entries = zsync.log(url(kept), **reach(kept))
    assert [entry.restores in copies for entry in entries[-3:]] == [False, True, True]
    assert f"rollback to {entries[-1].restores}" in str(entries)
    assert entries[-1].to_dict()["restores"] == entries[-1].restores
    # The trash, or versions, hold what a rollback replaced, too.
    assert back(kept, head).status == "published"
    assert seen(kept) == copies[head]


def test_what_was_not_kept_is_refused_and_nothing_is_written(site):
    for length in (10, 12):
        rewrite(site, "a.zarr", weather(length, 8, k=length), **STORES["v3.zarr"])
        rewrite(site, "b.zarr", weather(4, 4), **STORES["v2.zarr"])
        publication = site.publish(max_delete="100%").publication
    entries, now, writes = zsync.log(url(site), **reach(site)), seen(site), len(site.writes())
    for dry_run in (True, False):
        with pytest.raises(GoneError, match=r"\d+ objects of publication .* not kept.*a\.zarr.*nothing was changed"):
            back(site, entries[0].id, dry_run=dry_run)
    assert (seen(site), len(site.writes())) == (now, writes)
    # What the head holds of it is enough where nothing else is asked for.
    assert back(site, publication).status == "unchanged"
    assert back(site, entries[0].id, only=["b.zarr"]).status == "unchanged"
    with pytest.raises(ConfigError, match="holds no such product"):
        back(site, entries[0].id, only=["c"])


def test_the_next_publish_asks_before_it_undoes_a_rollback(site, run_zsync, tmp_path):
    rewrite(site, "a.zarr", weather(8, 8), zarr_format=3)
    first = publish(site).publication
    before = seen(site)
    rewrite(site, "a.zarr", weather(12, 8, k=2), zarr_format=3)
    second = publish(site).publication
    after = seen(site)
    other = back(site, first, "a.zarr", message="bad run")
    assert seen(site) == before
    with pytest.raises(GuardError, match=f"undo a rollback: {second} was rolled back to {first}.*--force"):
        publish(site)
    assert "undoes-rollback" in [finding.code for finding in publish(site, dry_run=True).findings]
    assert seen(site) == before
    # Who watches says so, and goes on.
    watched = zsync.watch(site.config(), once=True)
    assert watched.exit_status == 3
    assert "undo a rollback" in str(watched.errors)
    assert zsync.log(url(site), **reach(site))[-1].id == other.publication
    # Another rollback does not make the source a new one, and one back to what it is undoes nothing.
    assert back(site, second).status == "published"
    assert publish(site).status == "unchanged"
    assert back(site, other.publication).status == "published"
    config = tmp_path / "run.json"
    config.write_text(json.dumps(site.config()))
    assert "--force" in run_zsync("publish", config, check=3).stderr
    run_zsync("publish", config, "--force", "--max-delete", "100%")
    assert seen(site) == after
    # Of a source that changed since nobody asks.
    back(site, first, "a.zarr")
    rewrite(site, "a.zarr", weather(13, 8, k=2), zarr_format=3)
    assert publish(site).status == "published"
    assert same(site.read("a.zarr"), weather(13, 8, k=2))


def test_an_incompatible_array_is_refused_or_replaced(site):
    rewrite(site, "a.zarr", weather(8, 8), zarr_format=2)
    first = publish(site).publication
    rewrite(site, "a.zarr", weather(8, 8, dtype="f8"), zarr_format=2)
    publish(site, on_incompatible="replace")
    now = seen(site)
    with pytest.raises(GuardError, match="data type"):
        back(site, first)
    assert seen(site) == now
    assert back(site, first, on_incompatible="replace").status == "published"
    assert same(site.read("a.zarr"), weather(8, 8))


def test_products_that_a_publication_did_not_hold_stay(site, run_zsync):
    """What others put there stays as well, and so do headers; the command shows what it does."""
    rewrite(site, "a.zarr", weather(8, 8), zarr_format=3)
    rewrite(site, "b.zarr", weather(4, 4), zarr_format=3)
    (site.root / "c").mkdir()
    (site.root / "c" / "mine.txt").write_text("1")
    site.products["c"] = {"path": "c", "kind": "files"}
    held = {"cache_control": {"data": "max-age=5"}}
    first = publish(site, only=["a.zarr", "c"], **held).publication
    publish(site, only=["b.zarr"])
    rewrite(site, "a.zarr", weather(9, 8), zarr_format=3)
    (site.root / "c" / "mine.txt").write_text("2")
    publish(site, **held)
    client = {"endpoint_url": site.s3.endpoint_url, "region": site.s3.region}
    env = {"AWS_ACCESS_KEY_ID": site.s3.access_key, "AWS_SECRET_ACCESS_KEY": site.s3.secret_key}
    from servers import lasting_client

    lasting_client(site.s3).put_object(Bucket=site.bucket, Key=f"{site.prefix}/c/theirs.txt", Body=b"3")
    told = ["--endpoint-url", client["endpoint_url"], "--region", client["region"]]
    planned = run_zsync("rollback", url(site), first, "--dry-run", *told, env=env)
    assert "b.zarr was not part of that publication" in planned.stderr
    done = json.loads(run_zsync("rollback", url(site), first, "--json", *told, env=env).stdout)
    assert (done["status"], done["restores"], done["stay"]) == ("published", first, [url(site, "b.zarr")])
    assert [product["sent"] for product in done["products"]] == [6, 1]
    objects = seen(site)
    assert (objects["c/mine.txt"], objects["c/theirs.txt"]) == (b"1", b"3")
    assert f"rollback to {first}" in run_zsync("log", url(site), *told, env=env).stdout
    refused = run_zsync("rollback", url(site), "head~9", "-q", *told, env=env, check=2)
    assert (refused.stdout, refused.stderr.count("\n")) == ("", 1)


def test_a_directory_goes_back_as_far_as_its_trash_has_the_bytes(site, tmp_path):
    """File systems tell by no ETag what is in a file: what would be sent is read before anything is written."""
    target, copies = tmp_path / "public", []
    for length in (10, 6):
        rewrite(site, "a.zarr", weather(length, 8, k=length), **STORES["v3.zarr"])
        config = {**site.config(), "target": str(target)}
        published = zsync.publish(config, keep_history=True, max_delete="100%", progress=False).publication
        copies.append((published, read_tree(target / "a.zarr")))
    for publication, copy in copies:
        assert zsync.rollback(config, publication, progress=False).restores == publication
        assert read_tree(target / "a.zarr") == copy
    trash = target / ".zsync" / "a.zarr" / "trash"
    for file in trash.rglob("t2m/c/1/0"):
        file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(GoneError, match="t2m/c/1/0"):
        zsync.rollback(config, copies[0][0], progress=False)
    assert read_tree(target / "a.zarr") == copies[1][1]


def write_large(site, text, size=2**23 + 1):
    (site.root / "d").mkdir(exist_ok=True, parents=True)
    (site.root / "d/large").write_bytes(text * size)
    (site.root / "d/small").write_bytes(text)
    site.products["d"] = {"path": "d", "kind": "files"}
    rewrite(site, "a.zarr", weather(8, 8, k=len(text) + ord(text[:1])), **STORES["v3.zarr"])


def data_read(site, since):
    """Return the data that was read of the bucket, or sent to it, through this machine."""
    exchanges = site.proxy.completed[since:]
    moved = [e for e in exchanges if e.method == "GET" or (e.method == "PUT" and e.size)]
    return sorted({e.key for e in moved if re.search(r"/(large|small|c/\d.*)$", e.key)})


@pytest.mark.parametrize(
    ("kept", "sent", "copied"),
    [("plain", 2**26, 2**28), ("plain", 5 * 2**20, 2**28), ("versioned", 5 * 2**20, 2**23)],
    ids=["whole", "in parts, copied whole", "versions in parts"], indirect=["kept"],
)  # fmt: skip
def test_the_bucket_copies_what_it_has(kept, monkeypatch, sent, copied):
    monkeypatch.setattr("zsync.transfer.work.WHOLE_SIZE", sent)
    monkeypatch.setattr("zsync.transfer.work.PART_SIZE", sent)
    monkeypatch.setattr("zsync.storage.copying.PART", copied)
    copies = {}
    for text in (b"a", b"b"):
        write_large(kept, text)
        publication = publish(kept).publication
        copies[publication] = seen(kept)
    first, second = copies
    for to in (first, second, first):
        since = len(kept.proxy.completed)
        assert back(kept, to).status == "published"
        assert seen(kept) == copies[to]
        assert data_read(kept, since) == []
        report = zsync.verify(url(kept), deep=True, **reach(kept))
        assert report.status == "sound", "and the record tells what is there"


@pytest.mark.parametrize("answer", ["ignored", "501", "403", "lost"])
def test_what_is_not_copied_is_read_and_written(site, monkeypatch, answer):
    copies = {}
    for text in (b"a", b"b"):
        write_large(site, text, 100)
        publication = publish(site).publication
        copies[publication] = seen(site)
    first = min(copies)
    losses = iter(range(3))
    faults = {
        "501": lambda: Fault.error(501, "NotImplemented"),
        "403": lambda: Fault.error(403, "AccessDenied"),
        "lost": lambda: Fault.lost() if next(losses, None) is not None else None,
    }

    def refuse(exchange):
        is_copy = "x-amz-copy-source" in {name.lower() for name in exchange.headers}
        return faults[answer]() if is_copy and ".zsync/" not in exchange.key else None

    if answer == "ignored":
        monkeypatch.setattr("zsync.returning.going.heeds_conditions_of_copies", lambda *_where: False)
    else:
        site.proxy.faults.append(refuse)
    since = len(site.proxy.completed)
    assert back(site, first).status == "published"
    assert seen(site) == copies[first]
    assert bool(data_read(site, since))
    assert zsync.verify(url(site), deep=True, **reach(site)).status == "sound"
