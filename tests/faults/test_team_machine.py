"""A team whose members edit, delete and rename at random, synchronize, and die while they do: nobody's edit is lost.

Every content that anybody ever writes is one of a kind, and goes into a ledger. It leaves the ledger only when somebody
who has it in their folder writes over it or deletes it there. Whatever is in the ledger has to be in a folder, be it as
a conflict copy, in the target, or in a trash. A Zarr store that a synchronization leaves in a folder is one that
somebody made, never a mixture of two.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from mortal import Fate, Mortal
from servers import s3_client
from team import Team

from zsync.errors import ZsyncError

FILES = ("a.txt", "b.txt", "d/c.txt", "d/e/f", "d/e")
STORES = ("s.zarr", "d/t.zarr")
EXAMPLES = 25  # teams
HOW = ("first", "last", "append", "shrink", "attributes")


class Folder:
    """What a member does in their folder, and what that means for the ledger."""

    def __init__(self, member, ledger, versions, numbers):
        self.member, self.ledger, self.versions, self.numbers = member, ledger, versions, numbers

    def path(self, place):
        return self.member.folder / place

    def is_free(self, place):
        """Whether no file is where a directory would have to be."""
        return not any(above.is_file() for above in self.path(place).parents)

    def stores(self):
        found = [path.parent for path in self.member.folder.rglob(".zgroup")]
        return sorted(path.relative_to(self.member.folder).as_posix() for path in found)

    def files(self):
        stores = [self.path(place) for place in self.stores()]
        found = [path for path in self.member.folder.rglob("*") if path.is_file() and ".partial" not in path.name]
        found = [path for path in found if not any(store in path.parents for store in stores)]
        return sorted(path.relative_to(self.member.folder).as_posix() for path in found)

    def put(self, path, content):
        """Write over what is there, knowing it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self.ledger.discard(path.read_bytes())
        path.write_bytes(content)
        self.ledger.add(content)

    def remove(self, path):
        self.ledger.discard(path.read_bytes())
        path.unlink()

    def words(self, place):
        return f"{self.member.name} wrote {place}, number {next(self.numbers)}"

    # --- what a member does; each returns whether it could be done ---------------------------------------------------

    def write(self, place):
        if self.path(place).is_dir() or not self.is_free(place):
            return False
        self.put(self.path(place), self.words(place).encode())
        return True

    def edit_store(self, place, how):
        """Write a store of one array of words, by hand."""
        root = self.path(place)
        if root.is_file() or not self.is_free(place) or not self.is_whole(place):
            return False
        document = root / "x" / ".zarray"
        length = json.loads(document.read_bytes())["shape"][0] if document.exists() else 0
        chunks = {"first": [0], "last": [length - 1], "append": [length]}.get(how, [])
        if not length:
            chunks, length = [0, 1], 2
            document.parent.mkdir(parents=True, exist_ok=True)
            (root / ".zgroup").write_text('{"zarr_format": 2}')
        elif how == "append":
            length += 1
        elif how == "shrink" and length > 1:
            length -= 1
            self.remove(root / "x" / str(length))
        shape = {"shape": [length], "chunks": [1], "dtype": "|S64"}
        fixed = {"zarr_format": 2, "compressor": None, "fill_value": None, "order": "C", "filters": None}
        document.write_text(json.dumps(shape | fixed))
        for chunk in chunks:
            self.put(root / "x" / str(chunk), self.words(place).encode().ljust(64))
        if how == "attributes":
            self.put(root / ".zattrs", json.dumps({"title": self.words(place)}).encode())
        self.versions.add(self.version(place))
        return True

    def is_whole(self, place):
        """Whether a store is none that a synchronization left half brought here: nobody would work with that."""
        return not self.path(place).is_dir() or self.version(place) in self.versions

    def version(self, place):
        """Return what makes a store this version and no other."""
        root = self.path(place)
        files = [path for path in root.rglob("*") if path.is_file()]
        return frozenset((path.relative_to(root).as_posix(), path.read_bytes()) for path in files)

    def delete(self, place):
        path = self.path(place)
        if path.is_dir():
            self.ledger.difference_update(file.read_bytes() for file in path.rglob("*") if file.is_file())
            shutil.rmtree(path)
            return True
        if path.is_file():
            self.remove(path)
        return path.is_file()

    def rename(self, place, new):
        """Rename a file or a store; what has the new name is written over."""
        path, target = self.path(place), self.path(new)
        if not path.exists() or place == new or not self.is_free(new) or path.is_dir() != new.endswith(".zarr"):
            return False
        if not self.is_whole(place) or (target.is_dir() != path.is_dir() and target.exists()):
            return False
        if target.exists():
            self.delete(new)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        return True


files, stores = st.sampled_from(FILES), st.sampled_from(STORES)
edits = st.one_of(
    st.tuples(st.just("write"), files),
    st.tuples(st.just("edit_store"), stores, st.sampled_from(HOW)),
    st.tuples(st.just("delete"), st.one_of(files, stores)),
    st.tuples(st.just("rename"), files, files),
    st.tuples(st.just("rename"), stores, stores),
)
some_edits = st.lists(edits, min_size=5, max_size=10)
members = st.sampled_from(["ann", "bob", "ann", "bob", "cy"])
preferences = st.sampled_from(["local", "remote", "both"])


class TeamMachine(RuleBasedStateMachine):
    """Up to three members, one target."""

    def __init__(self, team, look, fate, counts):
        super().__init__()
        self.team, self.look, self.fate, self.counts = team, look, fate, counts
        self.ledger, self.versions, self.numbers = set(), set(), itertools.count(1)
        self.folders = {}
        self.trash = {}  # contents by key, of the target's trash: they never change

    @initialize()
    def somebody_begins(self):
        self.folder("ann").write("a.txt")

    def folder(self, name):
        if name not in self.folders:
            self.folders[name] = Folder(self.team(name), self.ledger, self.versions, self.numbers)
            self.team(name).folder.mkdir()
        return self.folders[name]

    # --- what may happen ---------------------------------------------------------------------------------------------

    @rule(name=members, changes=st.lists(edits, min_size=6, max_size=12))
    def edit(self, name, changes):
        for what, *how in changes:
            self.counts[what] += getattr(self.folder(name), what)(*how)

    @rule(name=members, changes=some_edits, prefer=preferences)
    def sync(self, name, changes, prefer):
        self.edit(name, changes)
        self.succeed(name, prefer)

    @rule(name=members, changes=some_edits, prefer=preferences, at=st.integers(1, 70), acts=st.booleans())
    def sync_and_die(self, name, changes, prefer, at, acts):
        self.edit(name, changes)
        folder = self.folder(name)
        self.fate.set(at, acts=acts)
        try:
            folder.member.sync(prefer=prefer, allow_empty=True)
            self.counts["synchronizations that ended before they were to be cut off"] += 1
        except ZsyncError:
            assert self.fate.has_come
            self.counts["synchronizations cut off"] += 1
        finally:
            self.fate.set()

    # --- what must hold ----------------------------------------------------------------------------------------------

    def succeed(self, name, prefer):
        folder = self.folder(name)
        result = folder.member.sync(prefer=prefer, allow_empty=True)
        self.counts["synchronizations"] += 1
        [product] = result.products
        self.counts["conflicts"] += sum(change.verdict == "conflict" for change in product.changes)
        left = {change.unit for change in product.changes if change.action == "skipped"}
        for place in set(folder.stores()) - left:
            assert folder.version(place) in self.versions, f"{name} has a mixture: {place}"
        self.settle_clashes(name, result)
        return result

    def settle_clashes(self, name, result):
        """Somebody has a file where others have a directory: nobody but they can say which is to have the name."""
        if any(finding.code == "clash" for finding in result.findings):
            self.counts["clashes of names"] += 1
            is_file = self.folder(name).path("d/e").is_file()
            self.folder(name).rename("d/e" if is_file else "d/e/f", f"renamed by {name}.txt")

    @invariant()
    def nothing_is_lost(self):
        held = {content for folder in self.folders.values() for content in self.held(folder.member)}
        if missing := self.ledger - held:
            missing -= self.look(self.team, self.trash)
        assert not missing

    def held(self, member):
        """Return everything on a member's machine: the folder with its conflict copies, and the trash."""
        return [path.read_bytes() for path in member.home.rglob("*") if path.is_file()]

    def teardown(self):
        if not self.folders:
            return
        for prefer in ("both", "local", "both", "both", "both", "both"):
            results = [self.succeed(name, prefer) for name in self.folders]
            self.nothing_is_lost()
            if {result.status for result in results} == {"unchanged"}:
                break
        else:
            raise AssertionError("the team does not come to rest")
        first, *others = [folder.member.read() for folder in self.folders.values()]
        assert all(other == first for other in others)
        assert self.team.remote() == first
        shutil.rmtree(self.team.root)


@pytest.fixture
def impatient(monkeypatch):
    """What is cut off stays cut off: trying again would only take time."""
    monkeypatch.setattr("zsync.storage.retrying.RetryPolicy.__init__.__defaults__", (1, 1, 0.0, 0.0))
    monkeypatch.setattr("zsync.verbs.team.sync._PATIENCE_S", 0.0)


@pytest.fixture
def fate(monkeypatch):
    """The fate of all stores that are opened from now on, the folders' among them, and of the base."""
    from zsync.storage import opening
    from zsync.verbs.team import apply as team_apply

    fate = Fate()
    for name in ("_open_obstore", "_open_files"):
        opened = getattr(opening, name)
        monkeypatch.setattr(opening, name, lambda place, opened=opened: Mortal(opened(place), fate))
    write = team_apply.write_base
    monkeypatch.setattr(team_apply, "write_base", lambda *what: fate("base", "", lambda: write(*what)))
    opening._connect.cache_clear()
    yield fate
    opening._connect.cache_clear()


def in_the_bucket(client):
    """Return what looks up everything in the target and in its trash; objects of the trash are read once."""

    def look(team, trash):
        found = set()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=team.bucket, Prefix=f"{team.prefix}/"):
            for entry in page.get("Contents", []):
                key = entry["Key"]
                is_trash = "/.zsync/Data/trash/" in key
                if key in trash:
                    found.add(trash[key])
                elif is_trash or "/.zsync/" not in key:
                    body = client.get_object(Bucket=team.bucket, Key=key)["Body"].read()
                    found.add(body)
                    if is_trash:
                        trash[key] = body
        return found

    return look


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("impatient")
def test_s2_whatever_a_team_does_nobodys_edit_is_lost(s3, bucket, tmp_path, fate, tally):
    counts: Counter[str] = Counter()
    numbers = itertools.count()
    with contextlib.closing(s3_client(s3)) as client:
        look = in_the_bucket(client)

        def machine():
            number = next(numbers)
            return TeamMachine(Team(s3, bucket, tmp_path / str(number), prefix=f"team-{number}"), look, fate, counts)

        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=15,
                deadline=None,
                phases=[Phase.explicit, Phase.generate],  # to shrink a failure takes longer than to understand it
                suppress_health_check=list(HealthCheck),
            ),
        )
    changes = sum(counts[what] for what in ("write", "edit_store", "delete", "rename"))
    tally("teams", next(numbers))
    tally("teams: edits, deletions and renames", changes)
    for name, number in counts.items():
        tally(f"teams: {name}", number)
    assert changes >= 1000
    assert all(counts[kind] for kind in ("synchronizations", "synchronizations cut off", "conflicts"))


class Halfway:
    """A team of two: Bob changed much since they agreed, Ann changed as much and synchronized."""

    def __init__(self, s3, bucket, root, prefix):
        self.team = Team(s3, bucket, root / prefix, prefix=prefix)
        ledger, versions, numbers = set(), set(), itertools.count(1)
        self.ledger, self.versions = ledger, versions
        ann, bob = (Folder(self.team(name), ledger, versions, numbers) for name in ("ann", "bob"))
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
        self.ann, self.bob = ann, bob


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("impatient")
def test_s2_killed_at_every_other_request_and_the_next_synchronization_finishes(s3, bucket, tmp_path, fate, tally):
    """Of the requests that write, those that the service hears of and those that it does not; of the folder's too."""
    kills = 0
    with contextlib.closing(s3_client(s3)) as client:
        look = in_the_bucket(client)
        for n in itertools.count(1, 2):
            halfway = Halfway(s3, bucket, tmp_path, f"kill-{n}")
            team, bob = halfway.team, halfway.bob
            fate.set(n, acts=n % 4 == 1)
            with contextlib.suppress(ZsyncError):
                bob.member.sync(prefer="both")
            died = fate.has_come
            fate.set()
            held = {path.read_bytes() for path in team.root.rglob("*") if path.is_file()} | look(team, {})
            assert halfway.ledger <= held, n
            # What was cut off is nobody's change: whatever is preferred now, only what is still in conflict is asked.
            bob.member.sync(prefer="both")
            assert all(bob.version(place) in halfway.versions for place in bob.stores()), n
            assert bob.member.sync().status == "unchanged"
            halfway.ann.member.sync()
            assert halfway.ann.member.read() == bob.member.read() == team.remote(), n
            assert sum("conflict" in place for place in bob.files()) == 1, n
            assert sum("conflict" in place for place in bob.stores()) == 1, n
            shutil.rmtree(team.root)
            if not died:
                break
            kills += 1
    assert kills > 30
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


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("begin", "prefer"),
    [(overruled, "remote"), (overruled, "local"), (exchanged, "local")],
    ids=["who is here is overruled", "who is there is overruled", "a file and a directory change places"],
)
def test_s2_killed_and_decided_otherwise_since(s3, bucket, tmp_path, fate, tally, begin, prefer):
    """What is left of a store that was being replaced is nobody's version; and nobody is kept from looking."""
    kills = 0
    with contextlib.closing(s3_client(s3)) as client:
        look = in_the_bucket(client)
        for n in itertools.count(2, 3):
            team = Team(s3, bucket, tmp_path / f"kill-{n}", prefix=f"{begin.__name__}-{prefer}-{n}")
            ledger, versions, numbers = set(), set(), itertools.count(1)
            ann, bob = (Folder(team(name), ledger, versions, numbers) for name in ("ann", "bob"))
            begin(ann, bob)
            fate.set(n, acts=n % 2 == 1)
            with contextlib.suppress(ZsyncError):
                bob.member.sync(prefer=prefer)
            died = fate.has_come
            fate.set()
            ann.member.sync(prefer="both")
            for _ in range(3):
                for member in (bob, ann):
                    member.member.sync(prefer="both")
                    assert all(member.version(place) in versions for place in member.stores()), n
            assert ann.member.sync().status == bob.member.sync().status == "unchanged"
            assert ann.member.read() == bob.member.read() == team.remote(), n
            assert ledger <= {path.read_bytes() for path in team.root.rglob("*") if path.is_file()} | look(team, {}), n
            shutil.rmtree(team.root)
            if not died:
                break
            kills += 1
    assert kills > 10
    tally("teams: kills at a request of a synchronization", kills)
