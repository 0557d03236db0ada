"""Links: two keys may be one file. Nothing is written or deleted through one, and the rest goes on."""

from __future__ import annotations

import contextlib
import shutil

import pytest
from servers import s3_client
from target import CHUNKS, same
from team import Team
from trees import read_tree, s3_bytes, weather, write_store, write_tree

import zsync
from zsync.errors import ConfigError
from zsync.verbs.trash import restore_trash


@pytest.fixture
def team(s3, bucket, tmp_path):
    return Team(s3, bucket, tmp_path / "team")


@pytest.fixture
def ann(team):
    return team("ann")


@pytest.fixture
def bob(team):
    return team("bob")


@pytest.fixture
def client(s3):
    with contextlib.closing(s3_client(s3)) as client:
        yield client


def codes(result):
    return [(finding.code, finding.key) for finding in result.findings]


# --- a team's folder --------------------------------------------------------------------------------------------------


def link(folder, tmp_path, where):
    """`latest` leads to a directory of the folder, or outside; both hold `x` and `y`."""
    place = folder / "real" if where == "inside" else tmp_path / "outside"
    write_tree(place, {"x": b"mine", "y": b"mine too"})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest").symlink_to(place)
    return place


def synced(member, where, **options):
    with member.own_cache():
        config = member.config(publish={"follow_symlinks": where == "outside"})
        return zsync.sync(config, yes=True, progress=False, **options)


def delete(folder):
    (folder / "latest" / "x").unlink()


def edit(folder):
    (folder / "latest" / "x").write_bytes(b"hers")


def add(folder):
    (folder / "latest" / "new").write_bytes(b"hers")


def delete_all(folder):
    shutil.rmtree(folder / "latest")


def put_a_file_there(folder):
    shutil.rmtree(folder / "latest")
    (folder / "latest").write_bytes(b"hers")


@pytest.mark.parametrize(
    ("act", "where"),
    [*((act, "inside") for act in (delete, edit, add, delete_all, put_a_file_there)), (delete, "outside"),
     (edit, "outside")],
)  # fmt: skip
def test_what_a_colleague_does_behind_a_link_is_not_done_to_what_it_leads_to(team, ann, bob, tmp_path, where, act):
    place = link(ann.folder, tmp_path, where)
    ann.write("f", "1")
    synced(ann, where)
    bob.sync()
    assert bob.read()["latest/x"] == b"mine"
    act(bob.folder)
    bob.write("f", "2")
    bob.sync()
    before = team.remote()
    assert ("link", "latest") in codes(synced(ann, where, dry_run=True))
    for _ in range(2):
        result = synced(ann, where)
        assert ("link", "latest") in codes(result)
        assert read_tree(place) == {"x": b"mine", "y": b"mine too"}
        assert (ann.folder / "latest").is_symlink()
        assert (ann.folder / "f").read_bytes() == b"2"
        assert team.remote() == before, "what ann did not decide on does not change for the team"


def test_the_same_by_hand_in_the_bucket(team, ann, client, tmp_path):
    place = link(ann.folder, tmp_path, "inside")
    ann.sync()
    client.delete_object(Bucket=team.bucket, Key="team/Data/latest/x")
    client.put_object(Bucket=team.bucket, Key="team/Data/latest/y", Body=b"hers")
    client.put_object(Bucket=team.bucket, Key="team/Data/f", Body=b"new")
    assert ("link", "latest") in codes(ann.sync())
    assert read_tree(place) == {"x": b"mine", "y": b"mine too"}
    assert (ann.folder / "f").read_bytes() == b"new"
    assert team.remote()["real/x"] == b"mine"


@pytest.mark.parametrize("act", ["edit", "delete"])
def test_a_link_to_a_file_stays_one(team, ann, bob, act):
    ann.write("data.txt", "mine")
    (ann.folder / "current.txt").symlink_to("data.txt")
    ann.sync()
    bob.sync()
    (bob.folder / "current.txt").unlink() if act == "delete" else bob.write("current.txt", "hers")
    bob.sync()
    assert ("link", "current.txt") in codes(ann.sync())
    assert (ann.folder / "current.txt").is_symlink()
    assert (ann.folder / "data.txt").read_bytes() == b"mine"


def test_the_real_file_is_everybody_s_and_its_other_name_follows(team, ann, bob, tmp_path):
    link(ann.folder, tmp_path, "inside")
    ann.sync()
    bob.sync()
    bob.write("real/x", "hers")
    bob.sync()
    ann.sync()
    assert (ann.folder / "real" / "x").read_bytes() == b"hers"
    ann.sync()
    assert team.remote()["latest/x"] == b"hers"
    bob.sync()
    (bob.folder / "real" / "x").unlink()
    (bob.folder / "latest" / "x").unlink(missing_ok=True)
    bob.sync()
    ann.sync(prefer="remote")
    ann.sync(prefer="remote")
    assert ann.sync(prefer="remote").status == "unchanged"
    assert team.remote().keys() == {"real/y", "latest/y"}


def test_an_edit_of_mine_goes_by_both_names_and_a_link_that_i_remove_is_removed(team, ann, tmp_path):
    link(ann.folder, tmp_path, "inside")
    ann.sync()
    ann.write("real/x", "new")
    ann.sync()
    assert (team.remote()["real/x"], team.remote()["latest/x"]) == (b"new", b"new")
    (ann.folder / "latest").unlink()
    ann.sync()
    assert team.remote().keys() == {"real/x", "real/y"}
    assert ann.read().keys() == {"real/x", "real/y"}


@pytest.mark.parametrize("prefer", ["local", "remote", "both"])
def test_a_conflict_behind_a_link(team, ann, bob, tmp_path, prefer):
    place = link(ann.folder, tmp_path, "inside")
    ann.sync()
    bob.sync()
    edit(bob.folder)
    bob.sync()
    ann.write("real/x", "newer")
    result = ann.sync(prefer=prefer)
    assert (place / "x").read_bytes() == b"newer"
    assert (ann.folder / "latest").is_symlink()
    assert team.remote()["latest/x"] == (b"newer" if prefer == "local" else b"hers")
    assert (("link", "latest") in codes(result)) is (prefer != "local")


@pytest.mark.parametrize(("part", "zarr_format"), [("the store", 2), ("an array", 3), ("a chunk", 2)])
def test_a_store_of_which_a_part_is_behind_a_link_is_not_brought(team, ann, bob, part, zarr_format):
    write_store(ann.folder / "s.zarr", weather(6, 8), chunks=CHUNKS, zarr_format=zarr_format)
    chunk = "t2m/0.0" if zarr_format == 2 else "t2m/c/0/0"
    name = {"the store": "", "an array": "t2m", "a chunk": chunk}[part]
    place = ann.folder / "s.zarr" / name if name else ann.folder / "s.zarr"
    place.rename(ann.home / "elsewhere")
    place.symlink_to(ann.home / "elsewhere")
    synced(ann, "outside")
    bob.sync()
    write_store(bob.folder / "s.zarr", weather(6, 8, k=2), chunks=CHUNKS, zarr_format=zarr_format)
    bob.sync()
    before = read_tree(ann.folder)
    result = synced(ann, "outside")
    assert [code for code, _ in codes(result)] == ["link"]
    assert read_tree(ann.folder) == before
    assert place.is_symlink()


@pytest.mark.parametrize("target", ["absent", "latest"])
def test_a_link_that_leads_nowhere_or_to_itself_takes_no_part_and_the_rest_does(team, ann, bob, tmp_path, target):
    place = link(ann.folder, tmp_path, "inside")
    ann.sync()
    bob.sync()
    (ann.folder / "latest").unlink()
    (ann.folder / "latest").symlink_to(target)
    bob.write("latest/x", "hers")
    bob.write("f", "2")
    bob.sync()
    before = team.remote()
    result = ann.sync()
    assert codes(result)[0][1] == "latest"
    assert (ann.folder / "f").read_bytes() == b"2"
    assert (read_tree(place), team.remote()) == ({"x": b"mine", "y": b"mine too"}, before)


# --- a pull -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path):
    return tmp_path / "here"


def pull(site, here, name, **options):
    return zsync.pull(f"s3://{site.bucket}/run/{name}", here, progress=False, **site.config()["storage"], **options)


def publish(site, tree):
    shutil.rmtree(site.root, ignore_errors=True)
    write_tree(site.root / "maps", tree)
    site.products = {"maps": {"path": "maps", "kind": "files"}}
    site.publish(max_delete="100%")


@pytest.mark.parametrize("force", [False, True])
def test_a_pull_writes_nothing_through_a_link_and_the_rest_comes(site, here, force):
    publish(site, {"real/x": b"1", "latest/x": b"1", "f": b"1"})
    pull(site, here, "maps")
    shutil.rmtree(here / "maps" / "latest")
    (here / "maps" / "latest").symlink_to("real")
    publish(site, {"real/x": b"1", "latest/x": b"long", "latest/new": b"1", "f": b"new", "g": b"1"})
    result = pull(site, here, "maps", force_overwrite=force)
    assert ("link", "latest") in codes(result)
    assert read_tree(here / "maps" / "real") == {"x": b"1"}
    assert (here / "maps" / "g").read_bytes() == b"1"
    assert (here / "maps" / "latest").is_symlink()
    left_out = pull(site, here, "maps", force_overwrite=force, exclude=["latest"])
    assert "link" not in {code for code, _ in codes(left_out)}


@pytest.mark.parametrize("force", [False, True])
def test_a_pull_deletes_nothing_through_a_link(site, here, force):
    """What was pulled by one name is moved, and linked: it is the same file still, and is not the pull's any more."""
    data = weather(6, 8)
    site.store("s.zarr", data, groups={"a": data, "b": data})
    site.publish()
    pull(site, here, "s.zarr")
    (here / "s.zarr" / "a").rename(here / "s.zarr" / "kept")
    (here / "s.zarr" / "a").symlink_to("kept")
    kept = read_tree(here / "s.zarr" / "kept")
    shutil.rmtree(site.root)
    site.store("s.zarr", data, groups={"b": data})
    site.publish(max_delete="100%")
    result = pull(site, here, "s.zarr", force_overwrite=force)
    assert ("link", "a") in codes(result)
    assert read_tree(here / "s.zarr" / "kept") == kept


def test_a_link_to_a_file_is_not_replaced_by_a_pull(site, here):
    publish(site, {"data": b"1", "current": b"1", "f": b"1"})
    pull(site, here, "maps")
    (here / "maps" / "current").unlink()
    (here / "maps" / "current").symlink_to("data")
    publish(site, {"data": b"1", "current": b"other", "f": b"1", "g": b"1"})
    assert ("link", "current") in codes(pull(site, here, "maps", force_overwrite=True))
    assert read_tree(here / "maps") == {"data": b"1", "current": b"1", "f": b"1", "g": b"1"}
    assert (here / "maps" / "current").is_symlink()


def test_a_link_out_of_the_directory_is_refused_by_a_pull_also_where_it_would_delete(site, here, tmp_path):
    publish(site, {"latest/x": b"1", "f": b"1"})
    outside = write_tree(tmp_path / "outside", {"x": b"mine"})
    (here / "maps").mkdir(parents=True)
    (here / "maps" / "latest").symlink_to(outside)
    with pytest.raises(ConfigError, match="leads out"):
        pull(site, here, "maps", force_overwrite=True)
    assert read_tree(outside) == {"x": b"mine"}


def test_watch_s_first_sync_writes_nothing_through_a_link(site, tmp_path):
    publish(site, {"real/x": b"1", "latest/x": b"other", "f": b"1"})
    root = write_tree(tmp_path / "maps", {"real/x": b"mine"})
    (root / "latest").symlink_to("real")
    document = {
        "sites": {"maps": {"source": str(root), "target": f"s3://{site.bucket}/run/maps", "kind": "files"}},
        "storage": site.config()["storage"],
        "watch": {"listen": "off", "settle": "50ms", "events": "poll"},
        "publish": {"max_delete": "100%"},
    }
    zsync.watch(document, once=True, initial_sync_source="s3")
    assert (root / "latest").is_symlink()
    assert read_tree(root) == {"real/x": b"1", "f": b"1"}, "the real file is the bucket's"
    assert s3_bytes(site.s3, site.bucket, "run/maps/")["latest/x"] == b"1"


# --- the trash --------------------------------------------------------------------------------------------------------


def test_the_trash_is_not_restored_through_a_link(site, tmp_path):
    publish(site, {"latest/x": b"1", "latest/y": b"1", "g": b"1", "keep": b"1"})
    publish(site, {"keep": b"1"})
    directory = write_tree(tmp_path / "restored", {"real": {"y": b"mine"}})
    (directory / "latest").symlink_to("real")
    [item] = restore_trash(site.config(), to=directory)
    assert (item.restored, item.skipped) == (1, 2)
    assert read_tree(directory) == {"g": b"1", "real/y": b"mine"}


# --- a publish still reads through links ------------------------------------------------------------------------------


def test_a_publish_goes_on_reading_through_links_that_stay_inside(site):
    site.store("s.zarr", weather(6, 8))
    (site.root / "s.zarr" / "t2m").rename(site.root / "s.zarr" / "real")
    (site.root / "s.zarr" / "t2m").symlink_to("real")
    site.publish()
    found = site.read("s.zarr")
    assert same(found[["t2m"]].drop_attrs(), weather(6, 8)[["t2m"]].drop_attrs())
