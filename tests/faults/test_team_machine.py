"""A team whose members edit, delete and rename at random, synchronize, and die while they do: nobody's edit is lost."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis.stateful import run_state_machine_as_test
from seeds import sequences
from servers import object_store, s3_client
from team import Team
from team_machine import Folder, TeamMachine, lost
from trees import s3_bytes

from zsync.errors import ZsyncError
from zsync.team.base import read_base, write_base

EXAMPLES = 16  # teams


@pytest.mark.slow
@pytest.mark.torture
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("impatient")
def test_s2_whatever_a_team_does_nobodys_edit_is_lost(s3, bucket, tmp_path, fate, tally):
    counts: Counter[str] = Counter()
    numbers = itertools.count()

    def machine():
        number = next(numbers)
        return TeamMachine(Team(s3, bucket, tmp_path / str(number), prefix=f"team-{number}"), fate, counts)

    run_state_machine_as_test(machine, settings=sequences(EXAMPLES, 15))
    changes = sum(counts[what] for what in ("write", "edit_store", "delete", "rename", "move", "supplant"))
    tally("teams: edits, deletions and renames", changes)
    for name, number in counts.items():
        tally(name if name == "teams" else f"teams: {name}", number)
    assert changes > counts["steps"]
    assert all(counts[kind] for kind in ("synchronizations", "synchronizations cut off", "conflicts"))


class Two:
    """A team of Ann and Bob."""

    def __init__(self, s3, bucket, root, prefix):
        self.team = Team(s3, bucket, root / prefix, prefix=prefix)
        self.ledger, self.versions, numbers = set(), set(), itertools.count(1)
        self.ann, self.bob = (Folder(self.team(name), self.ledger, self.versions, numbers) for name in ("ann", "bob"))

    def are_of_one_mind(self):
        """Whether both folders and the target hold the same."""
        hers = self.ann.member.read()
        return hers == self.bob.member.read() and self.team.holds(hers)


class Copies:
    """Teams that have done the same, each with its own target: to do it takes longer than all that is tried then."""

    def __init__(self, s3, bucket, root, begin):
        self.first = Two(s3, bucket, root, "first")
        begin(self.first.ann, self.first.bob)
        self.objects, self.store = s3_bytes(s3, bucket, "first/"), object_store(s3, bucket)
        # What was deleted leaves empty directories on this server, and whoever lists by levels looks into them.
        trash = [key.split("/", 4)[-1] for key in self.objects if key.startswith(".zsync/Data/trash/")]
        self.deleted = sorted({f"Data/{key}" for key in trash} - self.objects.keys())

    def copy(self, number):
        first, team = self.first, self.first.team
        two = Two(team.s3, team.bucket, team.root.parent, f"{number:05}")
        two.ledger, two.versions = first.ledger, first.versions
        old, new = (f"s3://{team.bucket}/{one.team.prefix}/Data" for one in (first, two))
        shutil.copytree(team.root, two.team.root, dirs_exist_ok=True)
        for name in two.team.members:
            state = two.team.root / name / ".zsync" / "Data"
            write_base(state, replace(read_base(state, old), url=new))
        for key, body in self.objects.items():
            self.store.put(f"{two.team.prefix}/{key}", body.replace(old.encode(), new.encode()))
        for key in self.deleted:
            self.store.put(f"{two.team.prefix}/{key}", b"")
        self.store.delete([f"{two.team.prefix}/{key}" for key in self.deleted])
        return two


def halfway(ann, bob):
    """Bob changed much since they agreed, Ann changed as much and synchronized."""
    for key in ("hers", "his", "both", "she deletes", "he deletes"):
        ann.write(key)
    for key in ("hers.zarr", "his.zarr", "both.zarr", "she deletes.zarr"):
        ann.edit_store(key, "append")
    ann.member.sync()
    bob.member.sync()
    for folder, own in ((ann, "hers"), (bob, "his")):
        folder.write(own)
        folder.write("both")
        folder.write(f"new {own}")
        folder.edit_store(f"{own}.zarr", "append" if own == "hers" else "shrink")
        folder.edit_store("both.zarr", "first" if own == "hers" else "last")
        folder.delete("she deletes" if own == "hers" else "he deletes")
    ann.delete("she deletes.zarr")
    ann.member.sync()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("impatient")
def test_s2_killed_at_every_third_request_and_the_next_synchronization_finishes(s3, bucket, tmp_path, fate, tally):
    """Of the requests that write, those that the service hears of and those that it does not; of the folder's too."""
    kills = 0
    copies = Copies(s3, bucket, tmp_path, halfway)
    for n in itertools.count(1, 3):
        two = copies.copy(n)
        ann, bob = two.ann, two.bob
        fate.set(n, acts=n % 2 == 1)
        with contextlib.suppress(ZsyncError):
            bob.member.sync(prefer="both")
        died = fate.has_come
        fate.set()
        assert not lost(two.ledger, two.team), n
        # What was cut off is nobody's change: whatever is preferred now, only what is still in conflict is asked.
        bob.member.sync(prefer="both")
        assert all(bob.version(place) in two.versions for place in bob.stores()), n
        assert bob.member.sync().status == "unchanged"
        ann.member.sync()
        assert two.are_of_one_mind(), n
        assert sum("conflict" in place for place in bob.files()) == 1, n
        assert sum("conflict" in place for place in bob.stores()) == 1, n
        shutil.rmtree(two.team.root)
        if not died:
            break
        kills += 1
    assert kills > 20
    tally("teams: kills at a request of a synchronization", kills)


def overruled(ann, bob):
    """Both changed a store since they agreed: whoever is overruled, their version goes, and it goes whole."""
    for how in ("append", "append", "last"):
        ann.edit_store("s.zarr", how)
    ann.member.sync()
    bob.member.sync()
    for how in ("first", "last"):
        ann.edit_store("s.zarr", how)
    ann.member.sync()
    for how in ("first", "attributes", "shrink"):
        bob.edit_store("s.zarr", how)


def exchanged(ann, bob):
    """Bob has a file where there was a directory, and a directory where there was a file."""
    for place in ("a.txt", "b.txt", "d/e/f"):
        ann.write(place)
    ann.edit_store("d/t.zarr", "append")
    ann.member.sync()
    bob.member.sync()
    bob.delete("a.txt")
    bob.write("a.txt/inside")
    bob.delete("d/t.zarr")
    bob.write("d/t.zarr")
    bob.delete("d/e/f")
    (bob.member.folder / "d" / "e").rmdir()
    bob.write("d/e")


def unrecorded(ann, bob):
    """Another tool put a store into the target, and no publication tells of it; Bob has one of that name."""
    ann.write("a.txt")
    ann.member.sync()
    ann.edit_store("s.zarr", "append")
    root, team = ann.path("s.zarr"), ann.member.team
    with contextlib.closing(s3_client(team.s3)) as client:
        for key in ("x/0", "x/1", "x/.zarray", ".zgroup"):
            client.put_object(
                Bucket=team.bucket, Key=f"{team.prefix}/Data/s.zarr/{key}", Body=(root / key).read_bytes()
            )
    shutil.rmtree(root)
    bob.edit_store("s.zarr", "append")
    bob.edit_store("s.zarr", "attributes")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("begin", "prefer"),
    [(unrecorded, "remote"), (unrecorded, "local"), (overruled, "remote"), (overruled, "local"), (exchanged, "local")],
    ids=[
        "no publication tells of who overrules",
        "no publication tells of who is overruled",
        "who is here is overruled",
        "who is there is overruled",
        "a file and a directory change places",
    ],
)
def test_s2_killed_and_decided_otherwise_since(s3, bucket, tmp_path, fate, tally, begin, prefer):
    """What is left of a store that was being replaced is nobody's version; and nobody is kept from looking."""
    kills = 0
    copies = Copies(s3, bucket, tmp_path, begin)
    for n in itertools.count(2, 5 if begin is unrecorded else 3):
        two = copies.copy(n)
        fate.set(n, acts=n % 2 == 1)
        with contextlib.suppress(ZsyncError):
            two.bob.member.sync(prefer=prefer)
        died = fate.has_come
        fate.set()
        two.ann.member.sync(prefer="both")
        for _ in range(4):
            results = []
            for folder in (two.bob, two.ann):
                results.append(folder.member.sync(prefer="both").status)
                assert all(folder.version(place) in two.versions for place in folder.stores()), n
            if results == ["unchanged", "unchanged"]:
                break
        else:
            raise AssertionError(f"the team does not come to rest: {n}")
        assert two.are_of_one_mind(), n
        assert not lost(two.ledger, two.team), n
        shutil.rmtree(two.team.root)
        if not died:
            break
        kills += 1
    assert kills > 5
    tally("teams: kills at a request of a synchronization", kills)
