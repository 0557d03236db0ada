"""A team's folder: what each member changed reaches the others, conflicts are theirs to decide, and nothing is lost."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import xarray as xr
from proxy import Fault, Proxy, on
from servers import s3_client
from team import Team
from trees import append, quiet_zarr, read_tree, s3_bytes, weather, write_store

import zsync
from zsync.errors import ConfigError, ConflictError, GuardError, SourceError, TargetError
from zsync.verbs.trash import list_trash, restore_trash


@pytest.fixture
def team(s3, bucket, tmp_path):
    return Team(s3, bucket, tmp_path)


@pytest.fixture
def ann(team):
    ann = team("ann")
    ann.write("a.txt", "one")
    ann.write("d/b.txt", "two")
    ann.sync()
    return ann


@pytest.fixture
def bob(team, ann):
    bob = team("bob")
    bob.sync()
    return bob


def storage(member):
    return member.config()["storage"]


# --- the plain flow ---------------------------------------------------------------------------------------------------


def test_history_is_kept_on_request(team, ann, bob):
    bob.write("a.txt", "three")
    bob.sync()
    assert team.trash() == {}
    bob.write("a.txt", "four")
    bob.sync(keep_history=True)
    assert team.trash() == {"a.txt": [b"three"]}


def test_what_is_new_modified_and_deleted_reaches_the_others(team, ann, bob):
    assert bob.read() == ann.read() == {"a.txt": b"one", "d/b.txt": b"two"}
    bob.write("a.txt", "three")
    (bob.folder / "d/b.txt").unlink()
    bob.write("new", "four")
    assert bob.did() == {
        "a.txt": ("modified here", "uploaded"),
        "d/b.txt": ("deleted here", "uploaded"),
        "new": ("new here", "uploaded"),
    }
    assert ann.did() == {
        "a.txt": ("modified there", "downloaded"),
        "d/b.txt": ("deleted there", "downloaded"),
        "new": ("new there", "downloaded"),
    }
    assert ann.read() == bob.read() == team.remote() == {"a.txt": b"three", "new": b"four"}
    assert not (ann.folder / "d").exists()
    assert ann.trash() == {"a.txt": [b"one"], "d/b.txt": [b"two"]}  # what was overwritten or deleted here
    assert team.trash() == {"d/b.txt": [b"two"]}  # what was deleted there
    assert ann.sync().status == bob.sync().status == "unchanged"


def test_the_trash_of_the_target_is_the_trash_of_every_product(team, ann, bob):
    (bob.folder / "d/b.txt").unlink()
    bob.sync()
    [there] = list_trash(bob.config()["products"]["Data"]["to"], **storage(bob))
    assert there.keys == ("d/b.txt",)
    restore_trash(there.url, to=bob.folder, **storage(bob))
    assert (bob.folder / "d/b.txt").read_bytes() == b"two"
    ann.sync()
    [here] = list_trash(f"file://{ann.folder}")
    assert here.keys == ("d/b.txt",)


def test_nothing_to_do_writes_nothing(s3, bucket, tmp_path):
    with Proxy(s3.endpoint_url) as proxy:
        ann = Team(s3, bucket, tmp_path, proxy.endpoint_url)("ann")
        ann.write("a.txt", "one")
        ann.sync()
        before = {path: path.stat().st_mtime_ns for path in ann.home.rglob("*") if "cache" not in path.parts}
        proxy.requests.clear()
        assert ann.sync().status == "unchanged"
        assert not [exchange for exchange in proxy.requests if exchange.is_write]
        after = {path: path.stat().st_mtime_ns for path in ann.home.rglob("*") if "cache" not in path.parts}
        assert {path.name for path in after if after[path] != before.get(path)} <= {"sync.lock"}


def test_a_dry_run_says_who_changed_what_and_when_and_writes_nothing(team, ann, bob):
    began = dt.datetime.now(dt.UTC).replace(microsecond=0)
    bob.write("a.txt", "by bob")
    bob.sync()
    ann.write("mine", "by ann")

    def state():
        files = (path for path in ann.home.rglob("*") if path.is_file() and "manifests" not in path.parts)
        return {path: path.read_bytes() for path in files}  # manifests that were read are kept in the cache

    before = state()
    result = ann.sync(dry_run=True, yes=False)
    assert result.status == "planned"
    changes = {change.unit: change for change in result.products[0].changes}
    assert (changes["a.txt"].by, changes["mine"].by) == ("bob", "ann")
    for change in changes.values():
        assert began <= dt.datetime.fromisoformat(change.time) <= dt.datetime.now(dt.UTC)
        assert change.action == ""
    assert state() == before
    document = json.loads(json.dumps(result.to_dict()))
    assert document["status"] == "planned"
    assert {change["unit"]: change["by"] for change in document["products"][0]["changes"]} == {
        "a.txt": "bob",
        "mine": "ann",
    }
    assert len(result.to_pandas()) == 2
    assert "bob" in result._repr_html_()


def test_who_changed_a_file_last_is_told_over_many_publications(team, ann, bob):
    cy = team("cy")
    cy.sync()
    bob.write("a.txt", "by bob")
    bob.sync()
    ann.did()
    for number in range(3):
        ann.write("other", f"{number}")
        ann.sync()
    told = {change.unit: change.by for change in cy.sync(dry_run=True).products[0].changes}
    assert told == {"a.txt": "bob", "other": "ann"}


def test_a_folder_that_is_missing_is_made_and_one_that_is_gone_is_not_empty(team, ann, caplog):
    bob = team("bob")
    assert not bob.folder.exists()
    with caplog.at_level("INFO", "zsync"):
        bob.sync()
    assert "made the folder" in caplog.text
    shutil.rmtree(bob.folder)
    with pytest.raises(SourceError, match="the folder is gone"):
        bob.sync(allow_empty=True)
    assert team.remote() == ann.read() != {}


def test_everything_gone_is_not_believed_unasked(team, ann, bob):
    shutil.rmtree(bob.folder)
    bob.folder.mkdir()
    with pytest.raises(GuardError, match="everything is gone from one side"):
        bob.sync()
    assert team.remote() == ann.read()
    with contextlib.closing(
        s3_client(team.s3)
    ) as client:  # and neither where somebody emptied the bucket with another tool
        for key in ann.read():
            client.delete_object(Bucket=team.bucket, Key=f"team/Data/{key}")
    with pytest.raises(GuardError, match="everything is gone from one side"):
        ann.sync()
    assert ann.read() == {"a.txt": b"one", "d/b.txt": b"two"}
    shutil.rmtree(ann.folder / "d")
    (ann.folder / "a.txt").unlink()
    assert ann.sync(allow_empty=True).status == "unchanged"  # both sides agree on that by now


def test_a_team_may_delete_all_it_has(team, ann, bob):
    shutil.rmtree(bob.folder / "d")
    (bob.folder / "a.txt").unlink()
    bob.sync(allow_empty=True)
    assert ann.sync().status == "synced"  # a publication says so: that is no accident
    assert ann.read() == team.remote() == {}
    assert ann.trash() == team.trash() == {"a.txt": [b"one"], "d/b.txt": [b"two"]}


# --- the first time ---------------------------------------------------------------------------------------------------


def test_the_first_time_what_is_the_same_agrees_and_what_differs_is_a_conflict(team, ann):
    bob = team("bob")
    bob.write("a.txt", "one")
    bob.write("d/b.txt", "other")
    bob.write("own", "bob's")
    with pytest.raises(ConfigError, match="1 conflict"):
        bob.sync()
    assert bob.did(prefer="remote") == {
        "d/b.txt": ("conflict", "downloaded"),
        "own": ("new here", "uploaded"),
    }
    assert bob.trash() == {"d/b.txt": [b"other"]}


def test_a_target_that_another_tool_filled_is_compared_by_content_and_put_on_record(team):
    with contextlib.closing(s3_client(team.s3)) as client:
        for key, body in {"a.txt": b"one", "b.txt": b"theirs", ".S3/versions_remote.csv": b"state"}.items():
            client.put_object(Bucket=team.bucket, Key=f"team/Data/{key}", Body=body)
    ann = team("ann")
    ann.write("a.txt", "one")
    assert ann.did() == {"b.txt": ("new there", "downloaded")}
    assert ann.read() == {"a.txt": b"one", "b.txt": b"theirs"}
    assert ann.sync().status == "unchanged"
    bob = team("bob")
    bob.sync()
    assert bob.read() == ann.read()
    assert team.remote()[".S3/versions_remote.csv"] == b"state"


def test_a_folder_that_is_pointed_elsewhere_begins_anew(team, ann, s3, bucket, tmp_path):
    config = ann.config(target=f"s3://{bucket}/elsewhere/Data", products={})
    with ann.own_cache():
        result = zsync.sync(config, yes=True, progress=False)
    assert {change.unit: str(change.verdict) for change in result.products[0].changes} == {
        "a.txt": "new here",
        "d/b.txt": "new here",
    }
    assert s3_bytes(s3, bucket, "elsewhere/Data/") == ann.read() == team.remote()


# --- conflicts --------------------------------------------------------------------------------------------------------


def conflict(team, how):
    """Bring two members into a conflict about ``a.txt``; the first has synchronized, the second is about to."""
    ann, bob = team("ann"), team("bob")
    key = "new.txt" if how == "new/new" else "a.txt"
    for member, what in zip((ann, bob), how.split("/"), strict=True):
        if what == "delete":
            (member.folder / key).unlink()
        else:
            member.write(key, f"by {member.name}")
    ann.sync()
    return key, b"" if how.startswith("delete") else b"by ann", b"" if how.endswith("delete") else b"by bob"


KINDS = ["edit/edit", "edit/delete", "delete/edit", "new/new"]


@pytest.mark.parametrize("how", KINDS)
def test_a_conflict_is_nobodys_to_guess(team, ann, bob, how):
    conflict(team, how)
    before = bob.read(), team.remote()
    with pytest.raises(ConfigError, match=r"1 conflict to decide, and nobody to ask.*--prefer") as told:
        bob.sync()
    assert told.value.exit_status == 2
    assert (bob.read(), team.remote()) == before


@pytest.mark.parametrize("how", KINDS)
def test_local_wins_and_what_is_there_goes_to_the_trash(team, ann, bob, how):
    key, theirs, mine = conflict(team, how)
    [change] = bob.sync(prefer="local").products[0].changes
    assert (change.verdict, change.action, change.by) == ("conflict", "uploaded", "ann")
    assert bob.read().get(key, b"") == team.remote().get(key, b"") == mine
    if theirs:
        assert theirs in team.trash()[key]
    ann.sync()
    assert ann.read() == bob.read()
    assert ann.trash().get(key, [b""])[-1] == theirs


@pytest.mark.parametrize("how", KINDS)
def test_remote_wins_and_what_is_here_goes_to_the_trash(team, ann, bob, how):
    key, theirs, mine = conflict(team, how)
    assert bob.did(prefer="remote") == {key: ("conflict", "downloaded")}
    assert bob.read() == ann.read() == team.remote()
    assert bob.read().get(key, b"") == theirs
    if mine:
        assert bob.trash()[key] == [mine]


@pytest.mark.parametrize("how", KINDS)
def test_both_keeps_what_is_here_as_a_copy(team, ann, bob, how):
    key, theirs, mine = conflict(team, how)
    [change] = bob.sync(prefer="both").products[0].changes
    assert bob.read() == team.remote()
    ann.sync()
    assert ann.read() == bob.read()
    if how == "edit/delete":  # there is nothing of hers to be kept apart from
        assert (change.copy, bob.read()[key]) == (None, theirs)
    elif how == "delete/edit":
        assert (change.action, bob.read()[key]) == ("uploaded", mine)
    else:
        assert change.action == "kept both"
        assert change.copy.startswith(f"{key.removesuffix('.txt')}.conflict-bob-")
        assert (bob.read()[key], bob.read()[change.copy]) == (theirs, mine)
    assert bob.sync().status == "unchanged"


def test_both_sides_came_to_the_same(team, ann, bob):
    for member in (ann, bob):
        member.write("a.txt", "same")
        member.write("c.txt", "same")
        (member.folder / "d/b.txt").unlink()
    ann.sync()
    assert bob.sync().status == "unchanged"
    bob.write("a.txt", "more")
    assert bob.did() == {"a.txt": ("modified here", "uploaded")}


# --- asking -----------------------------------------------------------------------------------------------------------


def test_each_group_is_asked_about_with_who_and_when(team, ann, bob):
    conflict(team, "edit/edit")
    bob.write("mine1", "1")
    bob.write("mine2", "2")
    (bob.folder / "d/b.txt").unlink()
    ann.write("hers", "3")
    ann.sync()
    asked = {}

    def ask(group):
        asked[str(group.verdict)] = [(item.name, item.here.by, item.there.by) for item in group.changes]
        return {"conflict": ["skip"], "new here": ["skip", "take"]}.get(str(group.verdict), ["skip"])

    did = bob.did(yes=False, ask=ask)
    assert asked == {
        "conflict": [("a.txt", "bob", "ann")],
        "new here": [("mine1", "bob", ""), ("mine2", "bob", "")],
        "deleted here": [("d/b.txt", "bob", "")],
        "new there": [("hers", "bob", "ann")],
    }
    assert {unit: action for unit, (_, action) in did.items()} == {
        "a.txt": "skipped", "d/b.txt": "skipped", "hers": "skipped", "mine1": "skipped", "mine2": "uploaded",
    }  # fmt: skip
    assert team.remote()["mine2"] == b"2"
    assert team.remote()["d/b.txt"] == b"two"
    # What was skipped is asked about again, and who changed it is still told.
    again = {change.unit: change.by for change in bob.sync(dry_run=True).products[0].changes}
    assert again == {"a.txt": "ann", "hers": "ann", "mine1": "bob", "d/b.txt": "bob"}


def test_answers_are_checked(team, ann, bob):
    bob.write("x", "1")
    for answers in ([], ["take", "take"], ["both"]):
        with pytest.raises(ConfigError):
            bob.sync(yes=False, ask=lambda group, answers=answers: answers)
    assert "x" not in team.remote()


def test_without_anybody_to_ask_nothing_is_guessed(team, ann, bob):
    bob.write("x", "1")
    with pytest.raises(ConfigError, match=r"1 change to decide, and nobody to ask.*--yes"):
        bob.sync(yes=False)
    assert "x" not in team.remote()
    bob.sync(yes=False, prefer="local")  # what was said for this run stands for a yes
    assert team.remote()["x"] == b"1"


def test_what_was_chosen_and_does_not_fit_any_more_is_asked_again(team, ann, bob):
    ann.write("a.txt", "by ann")
    ann.sync()
    asked = []

    def ask(group):
        asked.append([item.change.size_there for item in group.changes])
        if len(asked) == 1:
            ann.write("a.txt", "by ann, once more")
            ann.sync()
        return ["take"]

    bob.sync(yes=False, ask=ask)
    assert asked == [[len("by ann")], [len("by ann, once more")]]
    assert bob.read() == ann.read()


# --- stores -----------------------------------------------------------------------------------------------------------

FORMATS = [
    pytest.param({"zarr_format": 2}, id="v2"),
    pytest.param({"zarr_format": 3}, id="v3"),
]


def open_here(path):
    with quiet_zarr():
        return xr.open_zarr(path, chunks=None).load()


def store(member, name, data, **options):
    shutil.rmtree(member.folder / name, ignore_errors=True)
    write_store(member.folder / name, data, chunks={"time": 5, "x": 4}, **options)


@pytest.mark.parametrize("options", FORMATS)
@pytest.mark.parametrize("change", ["append", "shrink", "update", "dtype", "delete"])
def test_a_store_is_one_thing_and_follows(team, ann, bob, options, change):
    store(ann, "s.zarr", weather(12, 8), **options)
    assert ann.did() == {"s.zarr": ("new here", "uploaded")}
    assert bob.did() == {"s.zarr": ("new there", "downloaded")}
    assert open_here(bob.folder / "s.zarr").equals(weather(12, 8))
    new = {"append": weather(17, 8), "shrink": weather(7, 8), "update": weather(12, 8, k=2),
           "dtype": weather(12, 8, dtype="f8")}.get(change)  # fmt: skip
    if change == "append":
        append(bob.folder / "s.zarr", new.isel(time=slice(12, None)))
    elif change == "delete":
        shutil.rmtree(bob.folder / "s.zarr")
    else:
        store(bob, "s.zarr", new, **options)
    said = "deleted" if change == "delete" else "modified"
    assert bob.did() == {"s.zarr": (f"{said} here", "uploaded")}
    assert ann.did() == {"s.zarr": (f"{said} there", "downloaded")}
    assert ann.read() == bob.read() == team.remote()
    if new is not None:
        assert open_here(ann.folder / "s.zarr").equals(new)
    assert ann.sync().status == bob.sync().status == "unchanged"


def test_that_there_are_files_beside_a_store_is_no_news(team, ann, bob):
    store(ann, "s.zarr", weather(6, 4))
    ann.write("notes.txt", "mine")
    assert [*ann.sync().findings, *bob.sync().findings] == []


def test_only_what_changed_of_a_store_is_moved(team, ann, bob):
    store(ann, "s.zarr", weather(20, 8))
    ann.sync()
    bob.sync()
    append(bob.folder / "s.zarr", weather(25, 8).isel(time=slice(20, None)))
    [sent] = bob.sync().products
    [received] = ann.sync().products
    assert sent.sent == received.received
    assert sent.sent < len(list((bob.folder / "s.zarr").rglob("*"))) / 2


@pytest.mark.parametrize("options", FORMATS)
@pytest.mark.parametrize("prefer", ["local", "remote", "both"])
def test_two_who_changed_a_store_differently_are_in_conflict_about_all_of_it(team, ann, bob, options, prefer):
    store(ann, "s.zarr", weather(10, 8), **options)
    ann.sync()
    bob.sync()
    append(ann.folder / "s.zarr", weather(15, 8).isel(time=slice(10, None)))
    store(bob, "s.zarr", weather(10, 8, k=2), **options)
    ann.sync()
    [change] = bob.sync(prefer=prefer).products[0].changes
    assert (change.verdict, change.is_store) == ("conflict", True)
    ann.sync()
    assert ann.read() == bob.read() == team.remote()
    hers, his = weather(15, 8), weather(10, 8, k=2)
    assert open_here(ann.folder / "s.zarr").equals(his if prefer == "local" else hers)
    if prefer == "both":
        assert change.copy.startswith("s.conflict-bob-")
        assert change.copy.endswith(".zarr")
        assert open_here(ann.folder / change.copy).equals(his)
    elif prefer == "remote":
        assert any(key.startswith("s.zarr/") for key in bob.trash())
    else:
        assert any(key.startswith("s.zarr/") for key in team.trash())


def test_a_folder_is_the_same_everywhere_so_no_consolidated_metadata_is_made(team, ann, bob):
    store(ann, "s.zarr", weather(10, 8))
    (ann.folder / "s.zarr/.zmetadata").unlink()
    ann.sync()
    bob.sync()
    assert ann.read() == bob.read() == team.remote()
    assert "s.zarr/.zmetadata" not in team.remote()


def test_a_store_that_is_not_fit_stays_here_and_stops_nobody(team, ann, bob):
    store(bob, "s.zarr", weather(10, 8))
    (bob.folder / "s.zarr/t2m/9.9").write_bytes(b"outside")
    bob.write("x", "1")
    result = bob.sync()
    assert [(finding.code, finding.key) for finding in result.findings] == [("not-uploaded", "s.zarr/t2m/9.9")]
    assert {change.unit: change.action for change in result.products[0].changes} == {
        "s.zarr": "skipped",
        "x": "uploaded",
    }
    (bob.folder / "s.zarr/t2m/9.9").unlink()
    assert bob.did() == {"s.zarr": ("new here", "uploaded")}


def test_a_store_of_which_the_upload_was_cut_off_is_left_to_its_owner(s3, bucket, tmp_path, impatient):
    with Proxy(s3.endpoint_url) as proxy:
        team = Team(s3, bucket, tmp_path, proxy.endpoint_url)
        ann, bob = team("ann"), team("bob")
        store(ann, "s.zarr", weather(10, 8))
        ann.sync()
        bob.sync()
        store(ann, "s.zarr", weather(10, 8, k=2))
        proxy.faults.append(on(Fault.error(403, "AccessDenied"), method="PUT", key="team/Data/s.zarr/t2m/*", nth=3))
        with pytest.raises(TargetError):
            ann.sync(workers=1)
        proxy.faults.clear()
        result = bob.sync()
        assert [finding.code for finding in result.findings] == ["unfinished"]
        assert open_here(bob.folder / "s.zarr").equals(weather(10, 8))
        # Bob may put back what he has; what was there of Ann's goes to the trash.
        assert ann.did() == {"s.zarr": ("modified here", "uploaded")}
        assert bob.did() == {"s.zarr": ("modified there", "downloaded")}
        assert open_here(bob.folder / "s.zarr").equals(weather(10, 8, k=2))


def test_a_store_that_is_not_whole_there_can_be_put_back(s3, bucket, tmp_path, impatient):
    with Proxy(s3.endpoint_url) as proxy:
        team = Team(s3, bucket, tmp_path, proxy.endpoint_url)
        ann, bob = team("ann"), team("bob")
        store(ann, "s.zarr", weather(10, 8))
        ann.sync()
        bob.sync()
        store(ann, "s.zarr", weather(10, 8, k=2))
        proxy.faults.append(on(Fault.error(403, "AccessDenied"), method="PUT", key="team/Data/s.zarr/t2m/*", nth=3))
        with pytest.raises(TargetError):
            ann.sync(workers=1)
        proxy.faults.clear()
        assert bob.did(prefer="local") == {"s.zarr": ("modified there", "uploaded")}
        assert team.remote() == bob.read()
        assert any(key.startswith("s.zarr/t2m/") for key in team.trash())
        assert ann.did() == {"s.zarr": ("modified here", "uploaded")}  # to her it is still a change of hers
        bob.sync()
        assert open_here(bob.folder / "s.zarr").equals(weather(10, 8, k=2))


# --- names ------------------------------------------------------------------------------------------------------------


def test_ignored_paths_take_no_part_on_either_side(team, ann, bob):
    ann.write(".S3/ignore_remote.txt", "secret.txt\n./big\nwin\\path.txt\n")
    for key in ("secret.txt", "big/1", "win/path.txt", ".DS_Store", "x.partial", "kept"):
        ann.write(key, key)
    with contextlib.closing(s3_client(team.s3)) as client:
        client.put_object(Bucket=team.bucket, Key="team/Data/.DS_Store", Body=b"theirs")
        client.put_object(Bucket=team.bucket, Key="team/Data/big/2", Body=b"theirs")
    assert ann.did() == {"kept": ("new here", "uploaded")}
    assert ann.sync().status == "unchanged"
    with ann.own_cache():
        more = zsync.sync(ann.config(team={"ignore": [".S3", "k*"], "member": "ann"}), yes=True, progress=False)
    assert more.status == "unchanged"
    assert "big/2" not in ann.read()


def test_a_file_becomes_a_directory_and_the_other_way(team, ann, bob):
    (ann.folder / "a.txt").unlink()
    ann.write("a.txt/inside", "deeper")
    shutil.rmtree(ann.folder / "d")
    ann.write("d", "a file now")
    ann.sync()
    bob.sync()
    assert bob.read() == ann.read() == team.remote() == {"a.txt/inside": b"deeper", "d": b"a file now"}


def test_a_store_that_is_not_whole_there_stays_there_and_the_rest_comes(s3, team, ann, bob):
    """As two uploads leave it that were cut off: the second made the array shorter, a chunk of the first is left."""
    array = {
        "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|S1", "compressor": None, "fill_value": None,
        "order": "C", "filters": None,
    }  # fmt: skip
    left = {".zgroup": b'{"zarr_format": 2}', "x/.zarray": json.dumps(array).encode(), "x/0": b"a", "x/1": b"b"}
    with contextlib.closing(s3_client(s3)) as client:
        for key, body in left.items():
            client.put_object(Bucket=team.bucket, Key=f"team/Data/s.zarr/{key}", Body=body)
        ann.write("new.txt", "by ann")
        result = bob.sync()
        assert [(finding.code, finding.key) for finding in result.findings] == [("not-downloaded", "s.zarr/x/1")]
        ann.sync()
        bob.sync()
        assert bob.read()["new.txt"] == b"by ann"
        assert not (bob.folder / "s.zarr").exists()
        client.delete_object(Bucket=team.bucket, Key="team/Data/s.zarr/x/1")
        assert bob.did()["s.zarr"] == ("new there", "downloaded")


def test_a_file_here_and_a_directory_of_its_name_there_are_left_alone(team, ann, bob):
    ann.write("x", "a file")
    bob.write("x/y", "in a directory")
    ann.sync()
    result = bob.sync()
    assert [finding.code for finding in result.findings] == ["clash", "clash"]
    assert bob.read()["x/y"] == b"in a directory"
    assert "x/y" not in team.remote()
    (bob.folder / "x").rename(bob.folder / "z")
    bob.sync()
    assert bob.read() == team.remote()


HOSTILE = {
    "absolute": "/evil",
    "climbs": "../evil",
    "climbs deep": "a/../../../evil",
    "a dot": "./evil",
    "control": "evil\x01",
    "backslash": "..\\evil",
    "a file and a directory": "ok/more",
    "a long name": "e" * 300,
}


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
@pytest.mark.parametrize("key", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_target_writes_nothing_outside(moto_s3, tmp_path, key, transport):
    bucket = f"hostile-sync-{abs(hash((key, transport))) % 10**9}"
    moto_s3.create_bucket(bucket)
    with contextlib.closing(s3_client(moto_s3)) as client:
        for name in ("ok", key):
            client.put_object(Bucket=bucket, Key=f"team/Data/{name}", Body=b"evil")
    bob = Team(moto_s3, bucket, tmp_path / "here")("bob")
    if key == "ok/more":  # what of the two is meant, nobody can tell
        with pytest.raises(SourceError, match="cannot be a file here"):
            bob.sync(transport=transport)
        assert bob.read() == {}
    else:
        (finding,) = [found for found in bob.sync(transport=transport).findings if found.code == "unfit-key"]
        assert finding.message.startswith("left out: 1 objects")
        assert bob.read() == {"ok": b"evil"}
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_link_that_leads_out_of_the_folder_is_not_followed(team, ann, bob, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (bob.folder / "link").symlink_to(outside)
    with pytest.raises(SourceError, match="leads out"):
        bob.sync()
    ann.write("link/x", "1")
    ann.sync()
    with bob.own_cache():
        result = zsync.sync(bob.config(publish={"follow_symlinks": True}), yes=True, progress=False)
    assert [(finding.code, finding.key) for finding in result.findings] == [("link", "link")]
    assert list(outside.iterdir()) == []


# --- what changes meanwhile -------------------------------------------------------------------------------------------


class When:
    """Progress that does something once when a step begins."""

    def __init__(self, step, action):
        self.step, self.action, self.done = step, action, False

    def begin(self, step, objects, size):
        if step == self.step and not self.done:
            self.done = True
            self.action()

    def advance(self, objects, size):
        pass

    def end(self):
        pass


@pytest.mark.parametrize("how", ["in place", "by renaming"])
def test_a_file_that_is_edited_while_it_is_brought_is_not_overwritten(team, ann, bob, how):
    ann.write("a.txt", "by ann")
    ann.sync()

    def edit():
        if how == "in place":
            bob.write("a.txt", "by bob")
        else:
            bob.write("beside", "by bob")
            (bob.folder / "beside").rename(bob.folder / "a.txt")

    with bob.own_cache(), pytest.raises(ConfigError, match="1 conflict"):
        zsync.sync(bob.config(), yes=True, progress=When("data", edit))
    assert bob.read()["a.txt"] == b"by bob"
    assert bob.did(prefer="both")["a.txt"] == ("conflict", "kept both")
    assert b"by bob" in bob.read().values()


def test_an_edit_in_place_at_the_last_moment_goes_to_the_trash_with_the_file(team, ann, bob, monkeypatch):
    from zsync.storage.file_transport import FileTransport

    ann.write("a.txt", "by ann")
    ann.sync()
    keep = FileTransport._keep
    file = (bob.folder / "a.txt").open("r+b")

    def keep_and_edit(self, key, over):
        keep(self, key, over)
        if key.endswith("Data/a.txt"):
            file.write(b"ONE")
            file.flush()

    monkeypatch.setattr(FileTransport, "_keep", keep_and_edit)
    bob.sync()
    file.close()
    assert bob.read()["a.txt"] == b"by ann"
    assert bob.trash() == {"a.txt": [b"ONE"]}


def test_a_file_that_comes_to_be_while_another_of_its_name_is_brought_stays(team, ann, bob):
    ann.write("new", "by ann")
    ann.sync()
    with bob.own_cache(), pytest.raises(ConfigError, match="1 conflict"):
        zsync.sync(bob.config(), yes=True, progress=When("data", lambda: bob.write("new", "by bob")))
    assert bob.read()["new"] == b"by bob"


def test_a_file_that_changes_while_it_goes_up_goes_up_as_it_is_in_the_end(team, ann, bob):
    bob.write("a.txt", "first")
    with bob.own_cache():
        zsync.sync(bob.config(), yes=True, progress=When("data", lambda: bob.write("a.txt", "second")))
    assert team.remote()["a.txt"] == bob.read()["a.txt"] == b"second"
    assert bob.sync().status == "unchanged"


def test_a_folder_that_changes_all_the_time_is_given_up(team, ann, bob, monkeypatch):
    monkeypatch.setattr("zsync.verbs.sync._PAUSE_S", 0.0)
    numbers = itertools.count()

    class Always(When):
        def begin(self, step, objects, size):
            self.done = False
            super().begin(step, objects, size)

    bob.write("a.txt", "begin")
    with pytest.raises(SourceError, match="changed"):
        zsync.sync(bob.config(), yes=True, progress=Always("data", lambda: bob.write("a.txt", f"{next(numbers)}")))
    assert next(numbers) > 3
    assert ann.sync(prefer="remote").status in ("synced", "unchanged")


# --- two at once ------------------------------------------------------------------------------------------------------


def test_two_members_at_once_both_get_through(s3, bucket, tmp_path, monkeypatch, tally):
    monkeypatch.setattr("zsync.team.ready._PAUSE_S", 0.05)
    monkeypatch.setattr("zsync.verbs.sync._PAUSE_S", 0.05)
    rounds = 8
    with Proxy(s3.endpoint_url) as proxy:
        team = Team(s3, bucket, tmp_path, proxy.endpoint_url)
        members = [team(name) for name in ("ann", "bob", "cy")]
        for member in members:
            member.folder.mkdir()
        proxy.faults.append(on(Fault.delay(0.05), method="PUT", key="team/Data/*", times=None))
        written = set()
        for number in range(rounds):
            for member in members:
                for key in ("shared", f"own/{member.name}"):
                    written.discard(member.read().get(key))  # what somebody writes over, they have seen
                    member.write(key, f"{member.name} {number} {key}")
                    written.add(f"{member.name} {number} {key}".encode())
            barrier = threading.Barrier(len(members))

            def run(member, barrier=barrier):
                barrier.wait(10)
                return zsync.sync(member.config(), yes=True, prefer="both", progress=False)

            with ThreadPoolExecutor(len(members)) as pool:
                list(pool.map(run, members))
        for _ in range(3):
            statuses = [
                zsync.sync(member.config(), yes=True, prefer="both", progress=False).status for member in members
            ]
        assert statuses == ["unchanged"] * 3
    assert members[0].read() == members[1].read() == members[2].read() == team.remote()
    held = {
        *team.remote().values(),
        *(content for member in members for found in member.trash().values() for content in found),
    }
    held |= {content for found in team.trash().values() for content in found}
    assert written <= held
    tally("races of three members, all of whom got through", rounds)


def test_who_comes_second_waits_and_says_for_whom(s3, bucket, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("zsync.team.ready._PAUSE_S", 0.05)
    team = Team(s3, bucket, tmp_path)
    ann, bob = team("ann"), team("bob")
    ann.write("a.txt", "by ann")
    bob.write("b.txt", "by bob")
    bob.folder.mkdir(exist_ok=True)
    started, done = threading.Event(), threading.Event()

    def hold():
        started.set()
        done.wait(20)

    with ThreadPoolExecutor(2) as pool, caplog.at_level("INFO", "zsync"):
        first = pool.submit(zsync.sync, ann.config(), yes=True, progress=When("data", hold))
        assert started.wait(20)
        second = pool.submit(zsync.sync, bob.config(), yes=True, progress=False)
        while "waiting: " not in caplog.text:
            assert not second.done()
        done.set()
        assert first.result(30).status == second.result(30).status == "synced"
    assert "is at work in s3://" in caplog.text
    assert bob.read() == team.remote() == {"a.txt": b"by ann", "b.txt": b"by bob"}


def test_who_waits_for_too_long_is_told_for_whom(s3, bucket, tmp_path, monkeypatch):
    monkeypatch.setattr("zsync.team.ready._PAUSE_S", 0.01)
    team = Team(s3, bucket, tmp_path)
    ann, bob = team("ann"), team("bob")
    ann.write("a.txt", "by ann")

    def other():
        monkeypatch.setattr("zsync.verbs.sync._PATIENCE_S", 0.0)
        with pytest.raises(ConflictError, match="is at work for long"):
            zsync.sync(bob.config(), yes=True, progress=False)
        with pytest.raises(ConflictError, match="this folder is being synchronized already"):
            zsync.sync(ann.config(), yes=True, progress=False)

    assert zsync.sync(ann.config(), yes=True, progress=When("data", other)).status == "synced"


# --- the base ---------------------------------------------------------------------------------------------------------


def test_a_base_that_is_damaged_costs_questions_and_no_edits(team, ann, bob, caplog):
    (bob.home / ".zsync/Data/base.parquet").write_bytes(b"PAR1 broken")
    bob.write("a.txt", "by bob")
    with pytest.raises(ConfigError, match="1 conflict"):
        bob.sync()
    assert "the base cannot be read" in caplog.text
    assert bob.did(prefer="local") == {"a.txt": ("conflict", "uploaded")}
    assert bob.sync().status == "unchanged"


def test_the_base_is_a_table_that_anybody_can_read(team, ann):
    import pandas as pd

    table = pd.read_parquet(ann.home / ".zsync/Data/base.parquet")
    assert dict(zip(table["key"], table["size"], strict=True)) == {"a.txt": 3, "d/b.txt": 3}
    assert set(table["state"]) == {"base"}


@pytest.fixture
def impatient(monkeypatch):
    """What is cut off stays cut off: trying again would only take time."""
    monkeypatch.setattr("zsync.storage.retrying.RetryPolicy.__init__.__defaults__", (1, 1, 0.0, 0.0))


def test_a_state_that_cannot_be_written_is_told(team, ann):
    cy = team("cy")
    cy.folder.mkdir()
    (cy.home / ".zsync").write_text("a file where a directory has to be")
    with pytest.raises(TargetError, match="state cannot be written"):
        cy.sync()


def test_who_asked_is_told(team, ann, tmp_path):
    ann.write("a.txt", "two")
    told = tmp_path / "told.json"
    notify = [{"command": ["tee", str(told)], "on": ["synced"]}]
    with ann.own_cache():
        zsync.sync(ann.config(notify=notify), yes=True, progress=False)
    message = json.loads(told.read_text())
    assert message["type"] == "synced"
    told.unlink()
    with ann.own_cache():
        zsync.sync(ann.config(notify=notify), yes=True, progress=False)
    assert not told.exists()  # there was nothing to do


def test_a_target_on_a_shared_disk(tmp_path):
    def sync(name, **options):
        config = {
            "source": str(tmp_path / name / "Data"),
            "target": f"file://{tmp_path}/shared",
            "team": {"member": name},
        }
        return zsync.sync(config, yes=True, progress=False, **options)

    for name, words in (("ann", "by ann"), ("bob", "by bob")):
        (tmp_path / name / "Data").mkdir(parents=True)
        (tmp_path / name / "Data" / "a.txt").write_text(words)
        (tmp_path / name / "Data" / name).write_text(words)
        sync(name, prefer="local")
    sync("ann")
    assert read_tree(tmp_path / "ann/Data") == read_tree(tmp_path / "shared/Data") == read_tree(tmp_path / "bob/Data")
    kept = read_tree(tmp_path / "shared/.zsync/Data/trash")
    assert [(key.partition("/")[2], content) for key, content in kept.items()] == [("a.txt", b"by ann")]
    assert sync("ann").status == sync("bob").status == "unchanged"
