"""What cannot be read, and what is left out: one bad unit never stops a site, and nothing is retired for it."""

from __future__ import annotations

import builtins
import contextlib
import errno
import json
import os
import shutil
import threading
import time

import numpy as np
import pytest
from target import CHUNKS, same
from team import Team
from trees import append, s3_bytes, weather, write_cog, write_store, write_tree

import zsync
from zsync.errors import ConfigError, SourceError

OLD = time.time() - 1000


def age(root):
    for path in root.rglob("*"):
        os.utime(path, (OLD, OLD), follow_symlinks=False)


@pytest.fixture
def forbidden(monkeypatch):
    """Paths that this process may not read, and what is below them; root may read all, so it is told so."""
    paths, how = set(), {"errno": errno.EACCES}

    def guarded(real):
        def call(path, *args, **options):
            # As the system has it: a name in a directory says nothing of whether it can be read.
            if isinstance(path, str | os.PathLike) and any(
                os.fspath(path) == place or os.fspath(path).startswith(f"{place}/") for place in map(str, paths)
            ):
                raise OSError(how["errno"], os.strerror(how["errno"]), os.fspath(path))
            return real(path, *args, **options)

        return call

    for module, name in ((os, "scandir"), (os, "open"), (builtins, "open")):
        monkeypatch.setattr(module, name, guarded(getattr(module, name)))
    refused = guarded(lambda *_args, **_options: True)

    def access(path, *args, **options):
        if how["errno"] != errno.EACCES:
            return True  # only who reads it finds out
        with contextlib.suppress(OSError):
            return refused(path, *args, **options)
        return False

    access_before = os.access
    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr("zsync.steps.fitness._EFFECTIVE", access_before in os.supports_effective_ids, raising=False)
    paths_and_how = paths
    forbid = type("Forbidden", (), {"add": lambda _, path: paths_and_how.add(path), "clear": lambda _: paths.clear()})()
    forbid.how = how
    return forbid


@pytest.fixture
def watched(site, tmp_path):
    """A site with two stores, and files in directories."""
    root = write_tree(tmp_path / "run", {"f": b"1", "maps": {"a": b"1", "b": b"2", "deep": {"c": b"3"}}})
    for name in ("bad.zarr", "good.zarr"):
        write_store(root / name, weather(6, 8), chunks=CHUNKS)
    age(root)
    return root


def once(site, root, **more):
    document = {
        "sites": {"run": {"source": str(root), "target": f"s3://{site.bucket}/run", **more}},
        "storage": site.config()["storage"],
        "watch": {"listen": "off", "settle": "100ms", "events": "poll"},
    }
    return zsync.watch(document, once=True)


def there(site):
    return s3_bytes(site.s3, site.bucket, "run/")


def data(site):
    return {key: body for key, body in there(site).items() if ".zsync" not in key}


def change_the_others(root):
    append(root / "good.zarr", weather(12, 8).isel(time=slice(6, None)))
    (root / "f").write_bytes(b"2")


UNREADABLE = {
    "a new chunk": lambda store: append(store, weather(12, 8).isel(time=slice(6, None))) or store / "t2m" / "2.0",
    "a chunk that changed": lambda store: (
        write_store(store, weather(6, 8, k=2), chunks=CHUNKS) and store / "t2m" / "1.0"
    ),
    "metadata": lambda store: store / "t2m" / ".zarray",
    "the root's metadata": lambda store: store / ".zgroup",
    "a directory of chunks": lambda store: store / "t2m",
    "the whole store": lambda store: store,
}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *((name, errno.EACCES) for name in UNREADABLE),
        ("a new chunk", errno.EIO), ("a chunk that changed", errno.EIO), ("metadata", errno.EIO),
    ],
)  # fmt: skip
def test_a_store_that_cannot_be_read_is_held_back_alone(site, watched, forbidden, name, number):
    assert once(site, watched).exit_status == 0
    before = {key: body for key, body in data(site).items() if key.startswith("bad.zarr/")}
    forbidden.how["errno"] = number
    path = UNREADABLE[name](watched / "bad.zarr")
    os.utime(path)  # else what is known of it would do
    forbidden.add(path)
    change_the_others(watched)
    result = once(site, watched, publish={"max_delete": "100%"})
    assert result.exit_status == 3
    assert "run/bad.zarr" in str(result.errors["run"])
    assert os.strerror(number) in str(result.errors["run"])
    assert before.items() <= data(site).items(), "what readers may see is as it was"
    assert data(site)["f"] == b"2"
    assert same(site.read("good.zarr"), weather(12, 8))
    assert same(site.read("bad.zarr"), weather(6, 8))
    forbidden.clear()
    assert once(site, watched).exit_status == 0


@pytest.mark.parametrize("place", ["maps", "maps/deep", "maps/b"])
def test_files_that_cannot_be_read_are_neither_sent_nor_retired(site, watched, forbidden, place):
    assert once(site, watched).exit_status == 0
    before = data(site)
    os.utime(watched / place)
    forbidden.add(watched / place)
    change_the_others(watched)
    (watched / "maps" / "a").write_bytes(b"new")
    result = once(site, watched, publish={"max_delete": "100%"})
    assert (result.exit_status, f"run/{place}" in str(result.errors["run"])) == (3, True)
    assert data(site).keys() >= before.keys()
    assert data(site)["f"] == b"2"
    assert data(site)["maps/a"] == (b"1" if place == "maps" else b"new")


def test_many_files_that_cannot_be_read_are_no_reason_to_stop(site, watched, forbidden):
    forbidden.how["errno"] = errno.EIO
    for number in range(12):
        write_tree(watched / "maps", {f"n{number}": b"x"})
        forbidden.add(watched / "maps" / f"n{number}")
    age(watched)
    result = once(site, watched)
    assert result.exit_status == 3
    assert "and 11 more" in str(result.errors["run"])
    assert same(site.read("good.zarr"), weather(6, 8))
    assert data(site)["maps/a"] == b"1"


def test_a_source_of_which_nothing_can_be_read_is_told(site, tmp_path, forbidden):
    root = write_tree(tmp_path / "run", {"maps": {"a": b"1"}})
    age(root)
    forbidden.add(root / "maps")
    result = once(site, root)
    assert (result.exit_status, "run/maps" in str(result.errors["run"])) == (3, True)
    assert there(site) == {}


def test_a_geotiff_that_cannot_be_read_is_held_back_alone(site, tmp_path, forbidden):
    root = tmp_path / "run"
    for name in ("a.tif", "b.tif"):
        write_cog(root / name, np.ones((32, 32), "float32"))
    age(root)
    for number in (errno.EACCES, errno.EIO):
        forbidden.how["errno"] = number
        forbidden.add(root / "a.tif")
        result = once(site, root, kind="cog")
        assert (result.exit_status, "run/a.tif" in str(result.errors["run"])) == (3, True)
        assert data(site).keys() == {"b.tif"}


@pytest.mark.parametrize("place", ["bad.zarr/t2m/0.0", "bad.zarr/t2m", "bad.zarr", "maps", "maps/a"])
def test_a_publish_of_what_cannot_be_read_is_refused_by_name_and_nothing_is_written(site, watched, forbidden, place):
    forbidden.add(watched / place)
    config = {**site.config(), "products": {"run": {"path": str(watched), "to": f"s3://{site.bucket}/run"}}}
    for dry_run in (True, False):
        found = None
        try:
            result = zsync.publish(config, progress=False, dry_run=dry_run)
            found = next(finding for finding in result.plan.findings if finding.level == "error")
            said = f"{found.message}: {found.product}/{found.key}"
        except SourceError as error:
            said = str(error)
        assert ("Permission denied" in said, place in said) == (True, True), said
        assert dry_run or found is None
    assert there(site) == {}


def link_to_itself(root):
    (root / "bad.zarr" / "t2m" / "me").symlink_to("me")


def link_loop(root):
    (root / "bad.zarr" / "a").symlink_to("b")
    (root / "bad.zarr" / "b").symlink_to("a")


def link_to_above(root):
    (root / "bad.zarr" / "up").symlink_to("..")


def link_out(root):
    (root / "bad.zarr" / "t2m" / "out").symlink_to("/etc")


def strange_name(root):
    (root / "bad.zarr" / "a\nb").write_bytes(b"x")


@pytest.mark.parametrize("trouble", [link_to_itself, link_loop, link_to_above, link_out, strange_name])
def test_a_store_with_a_link_or_a_name_that_is_unfit_is_held_back_alone(site, watched, trouble):
    assert once(site, watched).exit_status == 0
    trouble(watched)
    change_the_others(watched)
    result = once(site, watched)
    assert (result.exit_status, "run/bad.zarr" in str(result.errors["run"])) == (3, True)
    assert same(site.read("good.zarr"), weather(12, 8))
    assert same(site.read("bad.zarr"), weather(6, 8))


# --- what is left out is not looked at, in any verb ------------------------------------------------------------------


def make_trouble(root):
    """Everything that a walk does not like, in a directory of its own."""
    lost = root / "lost+found"
    lost.mkdir(parents=True)
    (lost / "me").symlink_to("me")
    (lost / "gone").symlink_to("/absent")
    (lost / "out").symlink_to("/etc")
    (lost / "up").symlink_to("..")
    (lost / "a\nb").write_bytes(b"x")
    (lost / "a\\b").write_bytes(b"x")
    (lost / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
    return lost


PATTERNS = ["lost+found", "lost+found/**", r"re:^lost\+found(/|$)"]


@pytest.mark.parametrize(
    ("pattern", "is_forbidden"),
    [*((pattern, False) for pattern in PATTERNS), (PATTERNS[0], True), (PATTERNS[-1], True)],
)
def test_publish_plan_and_watch_do_not_look_at_what_is_left_out(site, watched, forbidden, pattern, is_forbidden):
    lost = make_trouble(watched)
    if is_forbidden:
        forbidden.add(lost)
    leave_out = {"exclude": [pattern], "settle": "100ms"}
    config = {
        **site.config(),
        "products": {"run": {"path": str(watched), "to": f"s3://{site.bucket}/run"}},
        "publish": leave_out,
    }
    assert {finding.code for finding in zsync.plan(config).findings} == {"foreign"}
    assert zsync.publish(config, progress=False).status == "published"
    assert zsync.publish(config, progress=False).status == "unchanged"
    (watched / "f").write_bytes(b"new")
    assert zsync.publish(config, progress=False).status == "published"
    assert once(site, watched, publish={"exclude": [pattern]}).exit_status == 0
    assert data(site)["f"] == b"new"
    assert not any("lost" in key for key in data(site))


def test_an_include_of_something_else_does_not_look_at_the_rest(site, watched, forbidden):
    forbidden.add(make_trouble(watched))
    for include in (["good.zarr"], ["/good.zarr/**"], ["re:^good\\.zarr/"]):
        config = {
            **site.config(),
            "products": {"run": {"path": str(watched), "to": f"s3://{site.bucket}/run"}},
            "publish": {"include": include},
        }
        assert zsync.publish(config, progress=False).status in ("published", "unchanged")
        assert same(site.read("good.zarr"), weather(6, 8))


def test_what_is_left_out_and_cannot_be_read_is_not_retired(site, watched, forbidden):
    config = {**site.config(), "products": {"run": {"path": str(watched), "to": f"s3://{site.bucket}/run"}}}
    zsync.publish(config, progress=False)
    forbidden.add(watched / "maps")
    zsync.publish(config, progress=False, exclude=["re:^maps$"], max_delete="100%")
    assert data(site).keys() >= {"maps/a", "maps/b", "maps/deep/c"}


def test_settle_does_not_wait_for_what_is_left_out(site, watched):
    """A log that is written all the time would else keep the source from ever coming to rest."""
    (watched / "log").mkdir()
    ends = threading.Event()

    def write():
        while not ends.wait(0.05):
            for path in (watched / "log" / "now", watched / "now.log", watched / "x.partial"):
                path.write_bytes(os.urandom(9))

    writer = threading.Thread(target=write)
    writer.start()
    config = {**site.config(), "products": {"run": {"path": str(watched), "to": f"s3://{site.bucket}/run"}}}
    try:
        zsync.publish(config, progress=False, settle="300ms", exclude=["log", "*.log", "*.partial"])
    finally:
        ends.set()
        writer.join()
    assert data(site)["f"] == b"1"


def test_a_team_does_not_look_at_what_it_ignores(s3, bucket, tmp_path, forbidden):
    ann = Team(s3, bucket, tmp_path / "team")("ann")
    ann.write("f", "1")
    forbidden.add(make_trouble(ann.folder))
    with ann.own_cache(), pytest.raises(SourceError, match="lost"):
        zsync.sync(ann.config(), yes=True, progress=False)
    with ann.own_cache():
        config = ann.config(team={"member": "ann", "ignore": ["lost+found"]})
        assert zsync.sync(config, yes=True, progress=False).status == "synced"
    assert ann.team.remote() == {"f": b"1"}


# --- patterns still do not tear arrays -------------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("is_nested", [False, True])
def test_chunks_alone_cannot_be_left_out_whether_they_are_looked_at_or_not(site, tmp_path, zarr_format, is_nested):
    store = write_store(tmp_path / "a.zarr", weather(6, 8), chunks=CHUNKS, zarr_format=zarr_format)
    if is_nested and zarr_format == 2:
        for chunk in list((store / "t2m").glob("[0-9]*")):
            first, _, second = chunk.name.partition(".")
            (store / "t2m" / first).mkdir(exist_ok=True)
            shutil.move(chunk, store / "t2m" / first / f"{second}.part")
            (store / "t2m" / first / f"{second}.part").rename(store / "t2m" / first / second)
        for document in (".zarray",):
            path = store / "t2m" / document
            path.write_text(json.dumps({**json.loads(path.read_text()), "dimension_separator": "/"}))
    pattern = {(2, False): "t2m/1.*", (2, True): "t2m/1", (3, False): "t2m/c", (3, True): "t2m/c/1"}
    config = {
        **site.config(),
        "products": {"a.zarr": {"path": str(store)}},
        "publish": {"exclude": [pattern[zarr_format, is_nested]]},
    }
    with pytest.raises(ConfigError, match="only a part of an array"):
        zsync.publish(config, progress=False)
    assert s3_bytes(site.s3, site.bucket) == {}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_array_or_a_group_that_is_left_out_is_not_entered_and_readers_are_told_the_truth(
    site, tmp_path, forbidden, zarr_format
):
    site.store("a.zarr", weather(6, 8), zarr_format=zarr_format, groups={"Auxiliary": weather(6, 8, k=2)})
    forbidden.add(site.root / "a.zarr" / "Auxiliary")
    forbidden.add(site.root / "a.zarr" / "x")
    site.publish(exclude=["Auxiliary", "x"])
    found = site.read("a.zarr")
    assert same(found, weather(6, 8).drop_vars("x"))
    assert isinstance(site.read("a.zarr", group="Auxiliary"), str)
