"""A dry run answers as the real one would: the same error, the same exit status, and nothing is written."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from servers import tool_env
from trees import write_tree

import zsync
from zsync.errors import TargetError
from zsync.storage.writable import check_writable


@pytest.fixture
def environment(s3, monkeypatch):
    for name, value in tool_env(s3).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def published(environment, bucket, tmp_path):
    source = write_tree(tmp_path / "src", {"a": b"a", "d/b": b"b"})
    zsync.publish({"source": str(source), "target": f"s3://{bucket}/p"}, progress=False)
    return f"s3://{bucket}/p/src"


@pytest.fixture
def forbidden(monkeypatch):
    """A directory that may not be written to; root may write everywhere, so it is told that it may not."""
    places = set()
    real = os.access

    def access(path, mode, **options):
        return real(path, mode, **options) and not (mode & os.W_OK and os.fspath(path) in places)

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr(os, "supports_effective_ids", {access})
    return places


def locked(place, inside, forbidden):
    (place / inside).mkdir(parents=True, exist_ok=True)
    forbidden.add(str((place / inside).resolve()))
    return place


def a_file(place, inside, _forbidden):
    (place / inside).parent.mkdir(parents=True, exist_ok=True)
    (place / inside).write_text("x")
    return place


def a_directory(place, inside, _forbidden):
    (place / inside).mkdir(parents=True)
    return place


def a_link(place, inside, _forbidden):
    (place / inside).parent.mkdir(parents=True, exist_ok=True)
    (place / inside).symlink_to("/nonexistent/x")
    return place


UNFIT = {
    "the directory": (locked, "", "permission denied"),
    "the product": (locked, "src", "permission denied"),
    "below it": (locked, "src/d", "permission denied"),
    "its state": (locked, ".zsync", "permission denied"),
    "a file for the product": (a_file, "src", "is a file"),
    "a directory for a file": (a_directory, "src/a", "no regular file"),
    "a link that leads nowhere": (a_link, "src", "leads nowhere"),
}


def test_k8_a_pull_into_a_place_that_takes_nothing(published, tmp_path, forbidden):
    for what, (make, inside, says) in UNFIT.items():
        dest = make(tmp_path / what / "here", inside, forbidden)
        before = sorted((tmp_path / what).rglob("*"))
        told = []
        for dry_run in (True, False):
            with pytest.raises(TargetError) as raised:
                zsync.pull(published, dest, dry_run=dry_run, progress=False)
            told.append(str(raised.value))
        assert told[0] == told[1]
        assert says in told[0], what
        assert sorted((tmp_path / what).rglob("*")) == before
        forbidden.clear()
        if make is locked:
            assert zsync.pull(published, dest, dry_run=True, progress=False).status == "planned"


def test_k8_a_pull_with_nothing_to_do_needs_no_permission(published, tmp_path, forbidden):
    assert zsync.pull(published, tmp_path / "here", progress=False).status == "pulled"
    forbidden.update({str(tmp_path / "here"), str(tmp_path / "here" / "src")})
    assert zsync.pull(published, tmp_path / "here", progress=False, dry_run=True).status == "planned"
    assert zsync.pull(published, tmp_path / "here", progress=False).status == "unchanged"


def test_k8_a_file_system_that_is_mounted_read_only(tmp_path):
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    target = next((m[1] for m in mounts if "ro" in m[3].split(",") and os.path.isdir(m[1])), None)
    if target is None:
        pytest.skip("nothing is mounted read-only here")
    with pytest.raises(TargetError, match=r"read-only|permission"):
        check_writable([f"{target}/zsync/x"])


def test_k8_a_team_s_folder(environment, bucket, tmp_path, forbidden):
    def config(member):
        return {"source": str(tmp_path / member / "folder"), "target": f"s3://{bucket}/t", "team": {"member": member}}

    def answers(member):
        told = []
        for options in ({"dry_run": True}, {"yes": True}):
            with pytest.raises(zsync.errors.ZsyncError) as raised:
                zsync.sync(config(member), progress=False, **options)
            told.append((type(raised.value), raised.value.where))
        return told

    write_tree(tmp_path / "ann" / "folder", {"a": b"a"})
    zsync.sync(config("ann"), yes=True, progress=False)
    shutil.rmtree(tmp_path / "ann" / "folder")
    assert len(set(answers("ann"))) == 1, "the folder is gone"
    (tmp_path / "bob").mkdir()
    (tmp_path / "bob" / "folder").write_text("x")
    assert len(set(answers("bob"))) == 1, "the folder is a file"
    (tmp_path / "bob" / "folder").unlink()
    forbidden.add(str(tmp_path / "bob"))
    assert len(set(answers("bob"))) == 1, "the folder cannot be made"


def test_k8_a_source_that_cannot_be_read(environment, bucket, tmp_path):
    """The real thing: the command without the right to read everything."""
    setpriv = shutil.which("setpriv")
    if setpriv is None or os.geteuid() != 0:
        pytest.skip("only root can give up a right that only root has")
    source = write_tree(tmp_path / "src", {"a": b"a", "d/b": b"b"})
    words = [setpriv, "--bounding-set=-dac_override,-dac_read_search", sys.executable, "-m", "zsync", "publish", source]
    for name in ("a", "d"):
        mode = (source / name).stat().st_mode
        (source / name).chmod(0)
        told = []
        for more in (["--dry-run"], []):
            with contextlib.closing(open(os.devnull)) as nothing:
                done = subprocess.run(
                    [*words, "--target", f"s3://{bucket}/p", *more], stdin=nothing,
                    capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False,
                )  # fmt: skip
            told.append(done.returncode)
            assert "cannot be read" in done.stdout + done.stderr
        assert told == [3, 3]
        (source / name).chmod(mode)
