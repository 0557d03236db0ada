"""When to look: events of the file system, and what is said where there are none."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time

import pytest

from zsync.watching.events import Events, refusal

PATIENCE_S = 20


class Watching:
    """Events of some directories, and how often they woke somebody."""

    def __init__(self, *roots):
        self.woken = threading.Event()
        self.events = Events([str(root) for root in roots], "native", self.woken.set)

    def __enter__(self):
        self.events.start()
        self.until(lambda: self.events.is_on)
        time.sleep(0.1)
        self.woken.clear()
        return self

    def __exit__(self, *_):
        self.events.stop()

    def until(self, condition):
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.02)

    def wakes(self):
        return self.woken.wait(PATIENCE_S)


def test_what_happens_below_a_directory_wakes(tmp_path):
    (tmp_path / "a").mkdir()
    with Watching(tmp_path) as watching:
        (tmp_path / "a" / "f").write_bytes(b"x")
        assert watching.wakes()


@pytest.mark.parametrize(
    "how", ["renamed away", "removed", "removed for an instant", "a link that leads elsewhere", "its parent renamed"]
)
def test_a_directory_that_is_replaced_is_watched_again_at_once(tmp_path, how):
    root = tmp_path / "up" / "root"
    for name in ("v1", "v2"):
        (tmp_path / name).mkdir()
    root.parent.mkdir()
    if "link" in how:
        root.symlink_to(tmp_path / "v1")
    else:
        root.mkdir()
    with Watching(root) as watching:
        if how == "renamed away":
            root.rename(tmp_path / "old")
            root.mkdir()
        elif "removed" in how:
            root.rmdir()
            if how == "removed":
                (tmp_path / "takes the number").mkdir()
            root.mkdir()
        elif "link" in how:
            (root.parent / "new").symlink_to(tmp_path / "v2")
            (root.parent / "new").replace(root)
        else:
            root.parent.rename(tmp_path / "old")
            root.mkdir(parents=True)
        began = time.monotonic()
        time.sleep(1.2)  # it is noticed at a tick
        watching.until(lambda: watching.events.is_on)
        assert time.monotonic() - began < PATIENCE_S
        time.sleep(0.2)
        watching.woken.clear()
        (root / "f").write_bytes(b"x")
        assert watching.woken.wait(4), "events tell of the new directory"


# As watchfiles 1.3 says it.
FULL = 'OS file watch limit reached. about ["/data/a"] (Error { kind: MaxFilesWatch, paths: ["/data/a"] })'
MANY = "Error creating recommended watcher: Too many open files (os error 24)"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(FULL), "fs.inotify.max_user_watches"),
        (RuntimeError(f"error in underlying watcher: {FULL}"), "sysctl fs.inotify.max_user_watches="),
        (RuntimeError(MANY), "fs.inotify.max_user_instances"),
        (RuntimeError(MANY), "ulimit -n"),
        (PermissionError('Permission denied (os error 13) about ["/data/a"]'), "/data/a"),
    ],
)
def test_a_refusal_is_told_once_with_the_limit_and_files_are_looked_at(tmp_path, monkeypatch, caplog, error, says):
    tries = []

    def refuse(*_roots, **_options):
        tries.append(1)
        raise error

    monkeypatch.setattr("watchfiles.watch", refuse)
    monkeypatch.setattr("zsync.watching.events._PATIENCE_S", 0.01)
    woken = threading.Event()
    with caplog.at_level(logging.WARNING):
        events = Events([str(tmp_path)], "native", woken.set)
        events.start()
        end = time.monotonic() + PATIENCE_S
        while len(tries) < 3 and time.monotonic() < end:
            time.sleep(0.01)
        events.stop()
    assert (len(tries) >= 3, events.is_on, woken.is_set()) == (True, False, True)
    [record] = caplog.records
    assert says in record.getMessage()


def test_what_is_no_limit_is_told_as_it_is():
    assert refusal("something else") == "something else"


SCRIPT = """
import logging, os, sys, threading, time
from zsync.watching.events import Events
logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
root = sys.argv[1]
events = Events([root], "native", lambda: None)
events.start()
until = time.monotonic() + float(sys.argv[2])
made = False
while time.monotonic() < until:
    if events.is_on and not made:
        made = True
        for number in range(8):
            os.mkdir(f"{root}/new{number}")
    if made and not events.is_on:
        break
    time.sleep(0.05)
print("on" if events.is_on else "off", "made" if made else "not made", flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(("limit", "made"), [(3, "not made"), (9, "made")], ids=["at the start", "later"])
def test_a_limit_that_is_really_reached_is_told(tmp_path, limit, made):
    """In a user namespace the limit can be lowered for one process alone."""
    for name in "abcdef":
        (tmp_path / name).mkdir()
    script = f'echo {limit} > /proc/sys/user/max_inotify_watches && exec "$0" -c "$1" "$2" "$3"'
    command = ["unshare", "-Ur", "sh", "-c", script, sys.executable, SCRIPT, str(tmp_path), "2" if limit == 3 else "20"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=os.environ)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if "on " not in done.stdout and "off " not in done.stdout:
        pytest.skip(f"user namespaces are not allowed here: {done.stderr}")
    assert "fs.inotify.max_user_watches" in done.stdout
    assert done.stdout.strip().endswith(f"off {made}")
