"""A name that is a file in one member's folder and a directory in another's: a conflict, which is decided like any."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from team import Team

from zsync.team.synced import BOTH, LOCAL, REMOTE, SKIP


@pytest.fixture
def ann_and_bob(s3, bucket, tmp_path):
    """Ann has a file, Bob a directory of its name; Ann synchronized."""
    team = Team(s3, bucket, tmp_path)
    ann, bob = team("ann"), team("bob")
    ann.write("x", "a file")
    bob.write("x/y", "in a directory")
    bob.write("x/deep/z", "deep in it")
    ann.sync()
    return team, ann, bob


def test_both_are_kept_and_the_team_comes_to_rest(ann_and_bob):
    team, ann, bob = ann_and_bob
    [change] = bob.sync(prefer="both").products[0].changes
    assert (change.unit, str(change.verdict), change.action) == ("x", "conflict", "kept both")
    held = {"x": b"a file", f"{change.copy}/y": b"in a directory", f"{change.copy}/deep/z": b"deep in it"}
    assert bob.read() == team.remote() == held
    ann.sync()
    assert ann.read() == held
    assert ann.sync().status == bob.sync().status == "unchanged"


def test_who_has_the_file_may_keep_both_as_well(ann_and_bob):
    team, ann, bob = ann_and_bob
    bob.sync(prefer="local")
    ann.write("x", "a newer file")
    [change] = ann.sync(prefer="both").products[0].changes
    assert change.copy.startswith("x.conflict-ann-")
    assert ann.read() == team.remote()
    assert ann.read() == {"x/y": b"in a directory", "x/deep/z": b"deep in it", change.copy: b"a newer file"}


@pytest.mark.parametrize("prefer", ["local", "remote"])
def test_who_is_overruled_finds_theirs_in_the_trash(ann_and_bob, prefer):
    team, ann, bob = ann_and_bob
    bob.sync(prefer=prefer)
    directory = {"x/y": b"in a directory", "x/deep/z": b"deep in it"}
    assert bob.read() == team.remote() == (directory if prefer == "local" else {"x": b"a file"})
    if prefer == "local":
        assert team.trash() == {"x": [b"a file"]}
    else:
        assert bob.trash() == {key: [content] for key, content in directory.items()}
    ann.sync()
    assert ann.read() == bob.read()


def test_one_is_asked(ann_and_bob):
    _, _, bob = ann_and_bob
    asked = []

    def ask(group):
        asked.extend(item.options for item in group.changes)
        return [REMOTE]

    bob.sync(yes=False, ask=ask)
    assert asked == [(LOCAL, REMOTE, BOTH, SKIP)]
    assert bob.read() == {"x": b"a file"}


def test_a_name_that_is_taken_by_a_directory_is_not_given_to_a_copy(ann_and_bob, monkeypatch):
    monkeypatch.setattr("zsync.team.apply.time", SimpleNamespace(strftime=lambda *_: "NOW", gmtime=time.gmtime))
    _, _, bob = ann_and_bob
    bob.write("x.conflict-bob-NOW/by hand", "taken")
    (bob.folder / "x.conflict-bob-NOW-2" / "empty").mkdir(parents=True)
    [change] = [change for change in bob.sync(prefer="both").products[0].changes if change.unit == "x"]
    assert change.copy == "x.conflict-bob-NOW-3"


def test_a_directory_that_holds_what_is_ignored_keeps_the_file_of_its_name_out_and_nothing_else(ann_and_bob):
    team, ann, bob = ann_and_bob
    bob.sync(prefer="local")
    ann.sync(prefer="remote")
    (ann.folder / "x" / "y").unlink()
    (ann.folder / "x" / "deep" / "z").unlink()
    (ann.folder / "x" / "deep").rmdir()
    (ann.folder / "x").rmdir()
    ann.write("x", "a file again")
    ann.write("new.txt", "by ann")
    ann.sync()
    bob.write("x/.DS_Store", "of a desktop")
    result = bob.sync()
    assert [(finding.code, finding.key) for finding in result.findings] == [("occupied", "x")]
    assert bob.read()["new.txt"] == b"by ann"
    (bob.folder / "x" / ".DS_Store").unlink()
    bob.sync()
    assert bob.read() == team.remote() == {"x": b"a file again", "new.txt": b"by ann"}
