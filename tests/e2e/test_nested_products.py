"""A product inside the place of another one is never touched by that, and what it leaves is said."""

from __future__ import annotations

import contextlib
import shutil

import pytest
from servers import s3_client
from target import CHUNKS, same
from team import Team
from trees import read_tree, s3_bytes, weather, write_store, write_tree

import zsync
from zsync.errors import ConfigError, ConflictError, GuardError
from zsync.inventory.neighbours import products_inside
from zsync.verbs.trash import restore_trash

CODE = "another-product"


class Places:
    """Sources on this machine, and places in one bucket to publish them to."""

    def __init__(self, site, tmp_path):
        self.site, self.tmp_path = site, tmp_path

    def source(self, name, tree=None):
        root = self.tmp_path / "sources" / name
        return write_tree(root, tree or {})

    def config(self, root, path, **product):
        url = f"s3://{self.site.bucket}/{path}".rstrip("/")
        return {
            "source": str(root),
            "target": url,
            "products": {"it": {"path": str(root), "to": url, **product}},
            "storage": self.site.config()["storage"],
        }

    def publish(self, root, path, *, kind=None, **options):
        more = {} if kind is None else {"kind": kind}
        return zsync.publish(self.config(root, path, **more), progress=False, **options)

    def there(self, prefix):
        found = s3_bytes(self.site.s3, self.site.bucket, prefix)
        return {key: body for key, body in found.items() if ".zsync" not in key}

    def state(self, prefix):
        found = s3_bytes(self.site.s3, self.site.bucket, prefix)
        return {key: body for key, body in found.items() if ".zsync" in key}


@pytest.fixture
def places(site, tmp_path):
    return Places(site, tmp_path)


@pytest.fixture
def small(places):
    """A store, that goes to a place inside another product's."""
    return write_store(places.source("small"), weather(6, 8), chunks=CHUNKS)


def codes(result):
    return [(finding.level, finding.key) for finding in result.findings if finding.code == CODE]


def read(places, path):
    places.site.prefix, _, name = path.rpartition("/")
    return places.site.read(name)


# --- the record inside is left alone ---------------------------------------------------------------------------------

PLACES = {
    "below": ("p", "p/small.zarr"),
    "far below": ("p", "p/x/y/small.zarr"),
    "a prefix of its name": ("a", "a/b"),
    "below a whole bucket": ("", "small.zarr"),
    "far below a whole bucket": ("", "x/small.zarr"),
    "a name with an at sign": ("p", "p/@root"),
    "side by side": ("p", "p2"),
}


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in PLACES), ("below", {"retire": "delete"}), ("below", {"trust": "manifest"})],
    ids=str,
)
def test_what_is_inside_another_s_place_is_not_retired(places, small, name, options):
    big_path, small_path = PLACES[name]
    big = places.source("big", {"a": b"1", "b": b"2", "c": b"3"})
    places.publish(big, big_path, kind="files")
    places.publish(small, small_path)
    before = places.there(f"{small_path}/")
    (big / "b").unlink()
    (big / "a").write_bytes(b"new")
    result = places.publish(big, big_path, kind="files", max_delete="100%", **options)
    assert places.there(f"{small_path}/") == before
    assert same(read(places, small_path), weather(6, 8))
    mine = {key for key in places.there(f"{big_path}/".lstrip("/")) if "/" not in key}
    assert mine >= {"a", "c"}
    assert "b" not in mine
    assert places.publish(small, small_path).status == "unchanged"
    if small_path != "p2" and "trust" not in options:
        assert codes(result) == [("info", small_path[len(big_path) :].lstrip("/"))]
        assert result.plan is None or not any("small" in key for key in result.plan.table["key"].to_pylist())
    else:
        assert codes(result) == []


def test_it_costs_no_request(places, small):
    big = places.source("big", {"a": b"1", "b": b"2"})
    places.publish(big, "p", kind="files")
    places.publish(big, "p", kind="files")

    def asked(content):
        before = len(places.site.proxy.completed)
        (big / "a").write_bytes(content)
        places.publish(big, "p", kind="files")
        made = places.site.proxy.completed[before:]
        return sorted(exchange.method for exchange in made if "list-type" not in exchange.query)

    alone = asked(b"new")
    places.publish(small, "p/small.zarr")
    assert asked(b"newer") == alone


def test_what_is_inside_counts_for_no_limit_and_no_empty_source(places, small):
    big = places.source("big", {"a": b"1", "b": b"2"})
    places.publish(big, "p", kind="files")
    places.publish(small, "p/small.zarr")
    before = places.there("p/small.zarr/")
    (big / "a").unlink()
    with pytest.raises(GuardError, match="1 of 2 objects"):
        places.publish(big, "p", kind="files")
    (big / "b").unlink()
    places.publish(big, "p", kind="files", allow_empty=True, max_delete="100%")
    assert places.there("p/") == {f"small.zarr/{key}": body for key, body in before.items()}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_product_inside_a_zarr_hierarchy_is_left_alone(places, zarr_format):
    """Withdrawals, stale chunks and consolidated metadata are of the outer store alone."""
    big = write_store(places.source("big"), weather(11, 8), chunks=CHUNKS, zarr_format=zarr_format)
    places.publish(big, "p/big.zarr")
    inner = write_store(places.source("inner"), weather(6, 8, k=2), chunks=CHUNKS, zarr_format=zarr_format)
    places.publish(inner, "p/big.zarr/t2m/inner.zarr")
    places.publish(inner, "p/big.zarr/other")
    before = places.there("p/big.zarr/other/"), places.there("p/big.zarr/t2m/inner.zarr/")
    shutil.rmtree(big)
    write_store(big, weather(4, 8), chunks=CHUNKS, zarr_format=zarr_format)
    places.publish(big, "p/big.zarr", max_delete="100%")
    write_store(big, weather(12, 8, dtype="f8"), chunks=CHUNKS, zarr_format=zarr_format)
    places.publish(big, "p/big.zarr", max_delete="100%", on_incompatible="replace")
    assert same(read(places, "p/big.zarr"), weather(12, 8, dtype="f8"))
    assert (places.there("p/big.zarr/other/"), places.there("p/big.zarr/t2m/inner.zarr/")) == before
    assert same(read(places, "p/big.zarr/other"), weather(6, 8, k=2))


def test_a_product_that_was_begun_and_never_came_to_its_end_is_left_alone_too(places, small):
    """Its lease is all that there is of it, and its data may be under way."""
    big = places.source("big", {"a": b"1", "b": b"2"})
    places.publish(big, "p", kind="files")
    with contextlib.closing(s3_client(places.site.s3)) as client:
        for key in ("p/.zsync/small.zarr/lease.json", "p/small.zarr/t2m/0.0"):
            client.put_object(Bucket=places.site.bucket, Key=key, Body=b"{}")
    (big / "a").write_bytes(b"new")
    result = places.publish(big, "p", kind="files", max_delete="100%")
    assert codes(result) == [("info", "small.zarr")]
    assert "small.zarr/t2m/0.0" in places.there("p/")


# --- both want the same place ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("big_path", "small_path"), [("p", "p/small.zarr"), ("", "small.zarr"), ("p", "p/x/small.zarr")]
)
def test_files_where_another_product_is_are_refused_by_name(places, small, big_path, small_path):
    inside = small_path[len(big_path) :].lstrip("/")
    big = places.source("big", {"a": b"1", "b": b"2"})
    places.publish(big, big_path, kind="files")
    places.publish(small, small_path)
    before = places.there("")
    write_tree(big / inside, {"t2m/0.0": b"other", "more": b"x"})
    (big / "a").write_bytes(b"new")
    assert codes(places.publish(big, big_path, kind="files", dry_run=True)) == [("error", inside)]
    with pytest.raises(GuardError, match="another product") as raised:
        places.publish(big, big_path, kind="files")
    assert f"s3://{places.site.bucket}/{small_path}" in str(raised.value)
    assert ".zsync/small.zarr" in str(raised.value)
    assert places.there("") == before
    places.publish(big, big_path, kind="files", exclude=[f"/{inside}"])
    assert places.there(f"{small_path}/") == {
        key[len(small_path) + 1 :]: v for key, v in before.items() if small_path in key
    }


def test_watch_holds_back_what_would_be_in_another_product_and_the_rest_goes(places, small):
    big = places.source("big", {"a": b"1", "d/b": b"2"})
    document = {
        "sites": {"big": {"source": str(big), "target": f"s3://{places.site.bucket}/p"}},
        "storage": places.site.config()["storage"],
        "watch": {"listen": "off", "settle": "50ms", "events": "poll"},
    }
    assert zsync.watch(document, once=True).exit_status == 0
    places.publish(small, "p/d/small.zarr")
    before = places.there("p/d/small.zarr/")
    shutil.copytree(small, big / "d" / "small.zarr")
    write_store(big / "other.zarr", weather(6, 8), chunks=CHUNKS)
    (big / "d" / "b").write_bytes(b"new")
    result = zsync.watch(document, once=True)
    assert result.exit_status == 3
    assert "another product" in str(result.errors["big"])
    assert places.there("p/d/small.zarr/") == before
    assert places.there("p/")["d/b"] == b"new"
    assert same(read(places, "p/other.zarr"), weather(6, 8))


@pytest.mark.parametrize(("big_path", "inside"), [("p", "small.zarr"), ("p", "x/small.zarr"), ("", "small.zarr")])
def test_a_product_is_not_published_over_what_another_one_holds(places, small, big_path, inside):
    small_path = f"{big_path}/{inside}".lstrip("/")
    big = places.source("big", {"a": b"1"})
    shutil.copytree(small, big / inside)
    kind = "files" if not big_path else None
    places.publish(big, big_path, kind=kind)
    before = places.there("")
    write_store(small, weather(6, 8, k=2), chunks=CHUNKS)
    with pytest.raises(GuardError, match="belong to another product") as raised:
        places.publish(small, small_path)
    assert f"s3://{places.site.bucket}/{big_path}".rstrip("/") in str(raised.value)
    assert places.there("") == before
    shutil.rmtree(big / inside.split("/")[0])
    places.publish(big, big_path, kind=kind or "files", max_delete="100%")
    assert places.publish(small, small_path).status == "published"
    assert same(read(places, small_path), weather(6, 8, k=2))
    assert places.publish(big, big_path, kind=kind or "files", retire="delete", max_delete="100%").status == "unchanged"


def test_objects_of_nobody_are_no_reason_to_refuse(places, small):
    """Another tool filled the place, and a product is around it that never had anything there."""
    places.publish(places.source("big", {"a": b"1"}), "p", kind="files")
    with contextlib.closing(s3_client(places.site.s3)) as client:
        for key, body in read_tree(small).items():
            client.put_object(Bucket=places.site.bucket, Key=f"p/small.zarr/{key}", Body=body)
    assert places.publish(small, "p/small.zarr").status == "published"


def test_what_was_published_over_by_an_older_version_is_left_to_who_has_it_now(places, small, monkeypatch):
    big = places.source("big", {"a": b"1"})
    shutil.copytree(small, big / "small.zarr")
    places.publish(big, "p")
    monkeypatch.setattr("zsync.steps.survey.findings_around", lambda *_: [])  # as it was
    places.publish(small, "p/small.zarr")
    shutil.rmtree(big / "small.zarr")
    before = places.there("p/small.zarr/")
    result = places.publish(big, "p", kind="files", max_delete="100%", retire="delete")
    assert codes(result) == [("warning", "small.zarr")]
    assert places.there("p/small.zarr/") == before
    here = places.tmp_path / "here"
    pulled = zsync.pull(f"s3://{places.site.bucket}/p", here, progress=False, **places.site.config()["storage"])
    assert pulled.status == "pulled"
    assert read_tree(here / "p") == {"a": b"1"}


@pytest.mark.parametrize("order", [("p", "p/small"), ("p/small", "p"), ("", "a"), ("a", "a/b/c")])
def test_products_of_one_configuration_are_not_inside_each_other(places, order):
    config = places.config(places.source("big", {"a": b"1"}), "p")
    config["products"] = {
        name: {"path": str(places.source(name, {"a": b"1"})), "to": f"s3://{places.site.bucket}/{path}".rstrip("/")}
        for name, path in zip(("one", "two"), order, strict=True)
    }
    with pytest.raises(ConfigError, match="lies inside"):
        zsync.publish(config, progress=False)


# --- lease, trash, pull, team, first sync ----------------------------------------------------------------------------


def test_each_has_a_lease_and_a_trash_of_its_own(places, small):
    big = places.source("big", {"a": b"1", "b": b"2"})
    write_store(big / "small.zarr", weather(6, 8, k=3), chunks=CHUNKS)
    places.publish(big, "p")
    shutil.rmtree(big / "small.zarr")
    places.publish(big, "p", kind="files", max_delete="100%")  # to the trash
    places.publish(small, "p/small.zarr")
    before = places.there("p/small.zarr/")
    done = restore_trash(f"s3://{places.site.bucket}/p", **places.site.config()["storage"])
    assert sum(item.restored for item in done) == 0
    assert places.there("p/small.zarr/") == before

    class Meanwhile:
        """While the one is published, the other can be."""

        def begin(self, step, objects, size):
            if step == "data":
                write_store(small, weather(6, 8, k=2), chunks=CHUNKS)
                assert places.publish(small, "p/small.zarr").status == "published"
                with pytest.raises(ConflictError):
                    places.publish(big, "p", kind="files")

        def advance(self, objects, size):
            pass

        def end(self):
            pass

    (big / "a").write_bytes(b"new")
    zsync.publish(places.config(big, "p", kind="files"), progress=Meanwhile())
    assert same(read(places, "p/small.zarr"), weather(6, 8, k=2))


def test_a_pull_of_the_outer_one_is_what_its_manifest_says(places, small):
    big = places.source("big", {"a": b"1"})
    places.publish(big, "p", kind="files")
    places.publish(small, "p/small.zarr")
    here, storage = places.tmp_path / "here", places.site.config()["storage"]
    zsync.pull(f"s3://{places.site.bucket}/p", here, progress=False, **storage)
    assert read_tree(here / "p") == {"a": b"1"}
    zsync.pull(f"s3://{places.site.bucket}/p/small.zarr", here / "p", progress=False, **storage)
    mine = read_tree(here / "p" / "small.zarr")
    assert mine == read_tree(small)
    (big / "a").write_bytes(b"new")
    places.publish(big, "p", kind="files")
    zsync.pull(f"s3://{places.site.bucket}/p", here, progress=False, force_overwrite=True, **storage)
    assert (here / "p" / "a").read_bytes() == b"new"
    assert read_tree(here / "p" / "small.zarr") == mine


def test_a_pull_leaves_alone_what_another_pull_put_into_its_directory(places, small):
    big = places.source("big", {"a": b"1"})
    shutil.copytree(small, big / "small.zarr")
    places.publish(big, "p")
    places.publish(write_store(places.source("else"), weather(6, 8, k=2), chunks=CHUNKS), "q/small.zarr")
    here, storage = places.tmp_path / "here", places.site.config()["storage"]
    zsync.pull(f"s3://{places.site.bucket}/q/small.zarr", here / "p", progress=False, **storage)
    mine = read_tree(here / "p" / "small.zarr")
    result = zsync.pull(f"s3://{places.site.bucket}/p", here, progress=False, force_overwrite=True, **storage)
    assert codes(result) == [("warning", "small.zarr")]
    assert read_tree(here / "p" / "small.zarr") == mine
    assert (here / "p" / "a").read_bytes() == b"1"


def test_a_place_where_nothing_was_published_is_pulled_with_all_that_is_there(places, small):
    places.publish(small, "p/x/small.zarr")
    with contextlib.closing(s3_client(places.site.s3)) as client:
        client.put_object(Bucket=places.site.bucket, Key="p/readme", Body=b"r")
    here, storage = places.tmp_path / "here", places.site.config()["storage"]
    zsync.pull(f"s3://{places.site.bucket}/p", here, progress=False, **storage)
    assert read_tree(here / "p").keys() == {"readme", *(f"x/small.zarr/{key}" for key in read_tree(small))}


@pytest.mark.parametrize("side", ["s3", "auto"])
def test_watch_s_first_sync_does_not_bring_what_another_publishes(places, small, side):
    big = places.source("big", {"a": b"1"})
    places.publish(big, "p", kind="files")
    (big / "a").write_bytes(b"new")
    places.publish(small, "p/small.zarr")
    before = places.there("p/small.zarr/")
    document = {
        "sites": {"big": {"source": str(big), "target": f"s3://{places.site.bucket}/p", "kind": "files"}},
        "storage": places.site.config()["storage"],
        "watch": {"listen": "off", "settle": "50ms", "events": "poll"},
    }
    assert zsync.watch(document, once=True, initial_sync_source=side).exit_status == 0
    assert read_tree(big) == {"a": b"1" if side == "s3" else b"new"}
    assert places.there("p/small.zarr/") == before


def test_a_team_does_not_synchronize_a_product_inside_its_folder_s_place(s3, bucket, site, places, small, tmp_path):
    team = Team(s3, site.bucket, tmp_path / "team")
    ann, bob = team("ann"), team("bob")
    ann.write("f", "1")
    ann.write("d/x", "1")
    ann.sync()
    bob.sync()
    places.publish(small, "team/Data/d/small.zarr")
    before = places.there("team/Data/d/small.zarr/")
    bob.write("f", "2")
    bob.write("d/small.zarr/t2m/0.0", "mine")
    result = bob.sync()
    assert codes(result) == [("warning", "d/small.zarr")]
    ann.sync()
    assert ann.read() == {"f": b"2", "d/x": b"1"}
    shutil.rmtree(ann.folder / "d")
    ann.sync()
    bob.sync()
    assert bob.read() == {"f": b"2", "d/small.zarr/t2m/0.0": b"mine"}
    assert places.there("team/Data/d/small.zarr/") == before


@pytest.mark.parametrize(
    ("states", "products"),
    [
        ([".zsync/a/head.json", ".zsync/a/trash/1/x"], {"a"}),
        (["x/.zsync/a.zarr/lease.json"], {"x/a.zarr"}),
        ([".zsync/@root/head.json"], set()),
        ([".zsync/@@root/head.json", ".zsync/@@@b/head.json"], {"@root", "@@b"}),
        ([".zsync/stray", "x/.zsync/"], set()),
    ],
)
def test_the_state_tells_which_products_there_are(states, products):
    assert products_inside(states) == products
