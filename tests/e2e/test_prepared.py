"""Commands of the tests start from a prepared process; what that could hide is tried here on processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import prepared
import pytest
import typer
from trees import write_tree

from zsync.cli import app

COMMANDS = typer.main.get_command(app).commands


def without_times(said):
    """Return the lines without the seconds that it took, and without progress, which is told of what takes long."""
    lines = (re.sub(r"^\S+Z [A-Z]+ ", "", line) for line in said.splitlines())
    return [line.partition(" (")[0] for line in lines if not line.startswith(("hashing", "data:"))]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_begins(run_zsync, name):
    assert f"zsync {name}" in run_zsync(name, "--help", afresh=True).stdout


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--version"], 0),
        (["publish", "absent.yaml"], 2),
        (["config", "show", "run.yaml"], 0),
        (["publish", "run.yaml"], 0),
        (["publish", "run.yaml", "--no-such-option"], 2),
    ],
    ids=["version", "absent", "show", "nothing to do", "usage"],
)
def test_both_kinds_of_process_say_the_same(tmp_path, run_zsync, words, status):
    write_tree(tmp_path / "data", {"a": b"1"})
    (tmp_path / "run.yaml").write_text("source: .\ntarget: ./out\nproducts: {data: {path: data, kind: files}}\n")
    env = {"ZSYNC_CACHE_DIR": str(tmp_path / "cache"), "COLUMNS": "60"}
    run_zsync("publish", "run.yaml", env=env)  # there is nothing left to do
    own, child = (run_zsync(*words, env=env, check=status, afresh=afresh) for afresh in (True, False))
    assert without_times(child.stdout) == without_times(own.stdout)
    assert without_times(child.stderr) == without_times(own.stderr)


@pytest.mark.parametrize("afresh", [True, False])
def test_a_command_is_a_process_that_can_be_killed(tmp_path, afresh):
    (tmp_path / "data").mkdir()
    words = ("watch", "data", "--target", "./out", "--listen", "off")
    with prepared.command(*words, afresh=afresh, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline()
        assert process.poll() is None
        assert os.getpgid(process.pid) == os.getpgid(0)
        assert os.getpid() != process.pid
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(10) == process.poll() == -signal.SIGKILL


def test_what_python_reads_when_it_begins_is_for_a_process_that_begins(tmp_path):
    env = {**os.environ, "PYTHONVERBOSE": "1"}
    assert "import 'zsync.cli'" in prepared.run("--version", env=env, cwd=tmp_path, text=True, timeout=60).stderr
