"""What a team's state machine is made of: members' folders, what they may do there, and what must hold.

Every content that anybody ever writes is one of a kind, and goes into a ledger. It leaves the ledger only when somebody
who has it in their folder writes over it or deletes it there. Whatever is in the ledger has to be in a folder, be it as
a conflict copy, in the target, or in a trash. A Zarr store that a synchronization leaves in a folder is one that
somebody made, never a mixture of two.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time
from pathlib import Path

from clock import clock_off
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from trees import listing, md5

from zsync.errors import ConflictError, PreconditionError, SourceChangedError, ZsyncError

FILES = ("a.txt", "A.txt", "b.txt", "d/c.txt", "d/e/f", "d/e", "g/h")
STORES = ("s.zarr", "d/t.zarr", "d/e/u.zarr")
DIRECTORIES = ("d", "d/e", "g")
LOOK_AGAIN = (ConflictError, PreconditionError, SourceChangedError)
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

    def clear_empty(self, path):
        """Take away a directory in which there is nothing: who looks for files does not see it."""
        if path.is_dir() and not any(below.is_file() for below in path.rglob("*")):
            shutil.rmtree(path)

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
        self.clear_empty(self.path(place))
        if self.path(place).is_dir() or not self.is_free(place):
            return False
        self.put(self.path(place), self.words(place).encode())
        return True

    def empty(self, place):
        """Leave nothing in a file: that cannot be told from other such files, so nobody misses it."""
        done = self.write(place)
        if done:
            self.put(self.path(place), b"")
            self.ledger.discard(b"")
        return done

    def touch(self, place, off_s):
        """Give a file another time, as unpacking an archive does."""
        if not self.path(place).is_file():
            return False
        os.utime(self.path(place), (time.time() + off_s, time.time() + off_s))
        return True

    def edit_store(self, place, how):
        """Write a store of one array of words, by hand."""
        root = self.path(place)
        self.clear_empty(root)
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

    def supplant(self, place):
        """Put a file where a directory or a store is; or a store where a file of its name is."""
        if place.endswith(".zarr") and self.path(place).is_file():
            self.remove(self.path(place))
            return self.edit_store(place, "append")
        if self.path(place).is_dir():
            self.delete(place)
        return self.write(place)

    def move(self, place, new):
        """Rename a directory, and with it all that is below."""
        path, target = self.path(place), self.path(new)
        self.clear_empty(target)
        if not path.is_dir() or target.exists() or not self.is_free(new) or path in target.parents:
            return False
        if not all(self.is_whole(store) for store in self.stores() if store.startswith(f"{place}/")):
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        return True

    def rename(self, place, new):
        """Rename a file or a store; what has the new name is written over."""
        path, target = self.path(place), self.path(new)
        self.clear_empty(target)
        if not path.exists() or place == new or not self.is_free(new) or path.is_dir() != new.endswith(".zarr"):
            return False
        if target in path.parents or path in target.parents:
            return False
        if not self.is_whole(place) or (target.is_dir() != path.is_dir() and target.exists()):
            return False
        if target.exists():
            self.delete(new)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        return True


files, stores, directories = st.sampled_from(FILES), st.sampled_from(STORES), st.sampled_from(DIRECTORIES)
write = st.tuples(st.just("write"), files)
edit_store = st.tuples(st.just("edit_store"), stores, st.sampled_from(HOW))
edits = st.one_of(
    write,
    edit_store,
    st.tuples(st.just("delete"), st.one_of(files, stores)),
    st.tuples(st.just("rename"), files, files),
    st.tuples(st.just("rename"), stores, stores),
    st.tuples(st.just("empty"), files),
    st.tuples(st.just("touch"), files, st.sampled_from([-3600, 0, 3600])),
    st.tuples(st.just("move"), directories, directories),
    st.tuples(st.just("supplant"), st.one_of(directories, stores)),
)
some_edits = st.lists(edits, min_size=5, max_size=10)
edits_of_files = st.lists(
    st.one_of(write, st.tuples(st.just("delete"), files), st.tuples(st.just("rename"), files, files)), max_size=3
)
members = st.sampled_from(["ann", "bob", "ann", "bob", "cy"])
preferences = st.sampled_from(["local", "remote", "both"])
clocks = st.sampled_from([0, 0, 0, -40, 40])  # seconds that a member's clock is off
requests = st.integers(1, 70)


class TeamMachine(RuleBasedStateMachine):
    """Up to three members, one target."""

    def __init__(self, team, fate, counts):
        super().__init__()
        self.team, self.fate, self.counts = team, fate, counts
        self.ledger, self.versions, self.numbers = set(), set(), itertools.count(1)
        self.folders = {}

    @initialize()
    def somebody_begins(self):
        self.counts["teams"] += 1
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

    @rule(name=members, changes=some_edits, prefer=preferences, off_s=clocks)
    def sync(self, name, changes, prefer, off_s=0):
        self.edit(name, changes)
        with clock_off(off_s):
            self.succeed(name, prefer)

    @rule(name=members, changes=some_edits, prefer=preferences, at=requests, acts=st.booleans())
    def sync_and_die(self, name, changes, prefer, at, acts):
        self.edit(name, changes)
        self.fate.set(at, acts=acts)
        self.perhaps(name, prefer, "synchronizations cut off")

    @rule(
        name=members, changes=some_edits, prefer=preferences, at=requests, acts=st.booleans(), lasts=st.integers(1, 4)
    )
    def sync_over_a_bad_line(self, name, changes, prefer, at, acts, lasts):
        """Some requests, or only their answers, are lost; what follows them is not."""
        self.edit(name, changes)
        self.fate.set(at, acts=acts, lasts=lasts)
        self.perhaps(name, prefer, "synchronizations over a bad line")

    @rule(
        name=members,
        changes=some_edits,
        prefer=preferences,
        at=requests,
        other=members,
        others=some_edits,
        own=edits_of_files,
    )
    def sync_and_pause(self, name, changes, prefer, at, other, others, own):
        """While a process stands still, its user edits files, and somebody else synchronizes, or finds it at work."""
        self.edit(name, changes)
        if name != other:
            self.edit(other, others)
        failed = []

        def meanwhile():
            try:
                self.edit(name, own)
                if other != name:
                    self.folder(other).member.sync(prefer=prefer, allow_empty=True)
                    self.counts["synchronizations while another stood still"] += 1
            except LOOK_AGAIN:
                self.counts["synchronizations that another kept out"] += 1
            except Exception as error:
                failed.append(error)

        self.fate.set(at, meanwhile=meanwhile)
        self.perhaps(name, prefer, "synchronizations that were overtaken")
        assert not failed, failed

    def perhaps(self, name, prefer, what):
        """Synchronize; whether that succeeds depends on when something goes wrong."""
        try:
            self.folder(name).member.sync(prefer=prefer, allow_empty=True)
            self.counts["synchronizations that got through"] += 1
        except ZsyncError:
            assert self.fate.has_come
            self.counts[what] += 1
        finally:
            self.fate.set()

    # --- what must hold ----------------------------------------------------------------------------------------------

    def succeed(self, name, prefer):
        folder = self.folder(name)
        result = folder.member.sync(prefer=prefer, allow_empty=True)
        self.counts["synchronizations"] += 1
        [product] = result.products
        self.counts["conflicts"] += sum(change.verdict == "conflict" for change in product.changes)
        left = [change.unit for change in product.changes if change.action == "skipped"]
        for place in folder.stores():
            if not any(f"{place}/".startswith(f"{unit}/") for unit in left):
                assert folder.version(place) in self.versions, f"{name} has a mixture: {place}"
        return result

    @invariant()
    def nothing_is_lost(self):
        self.counts["steps"] += 1
        assert not lost(self.ledger, self.team)

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
        assert self.team.holds(first)
        shutil.rmtree(self.team.root)


def lost(ledger, team):
    """Return the contents that are neither on a member's machine nor in the target, be it in a trash."""
    missing = ledger - {Path(above, name).read_bytes() for above, _, names in os.walk(team.root) for name in names}
    there = in_the_bucket(team) if missing else set()
    return {content for content in missing if md5(content) not in there}


def in_the_bucket(team):
    """Look up everything in the target and in its trash, by its MD5: that is the server's ETag."""
    return {
        etag.strip('"')
        for key, _, etag in listing(team.s3, team.bucket, f"{team.prefix}/")
        if "/.zsync/Data/trash/" in key or "/.zsync/" not in key
    }
