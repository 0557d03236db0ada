"""The tutorial is true: its blocks run in order, as a user would type them, and print what it says."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
# What a user does and the test has done already: an environment, and a server with a bucket.
DONE = ("pip install ", "zsync dev-server ")
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks():
    return re.findall(r"^```(\w+)\n(.*?)^```", TUTORIAL.read_text(), re.DOTALL | re.MULTILINE)


def typed(block):
    """Yield the commands of a console block, with their exit status, and what they print."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, printed = part.partition("\n")
        command, _, status = line.partition("    # exit status ")
        yield command, int(status or 0), printed


def run(run_zsync, command):
    name, *arguments = shlex.split(command)
    if name == "zsync":
        return run_zsync(*arguments, env=dict(os.environ), check=None)
    return subprocess.run([name, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_tutorial(run_zsync, s3, bucket, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in s3.env().items():
        monkeypatch.setenv(name, value)
    session: dict[str, object] = {"__name__": "tutorial"}
    skipped, ran = [], 0
    for language, block in blocks():
        text = block.replace("s3://products/", f"s3://{bucket}/").replace('"products/', f'"{bucket}/')
        if language == "python":
            exec(compile(text, str(TUTORIAL), "exec"), session)
        elif language == "console":
            for command, status, printed in typed(text):
                if command.startswith(DONE):
                    skipped.append(command)
                    continue
                done = run(run_zsync, command)
                assert done.returncode == status, f"{command}\n{done.stdout}{done.stderr}"
                if printed:
                    got = "\n".join(line for line in done.stdout.splitlines() if line.strip()) + "\n"
                    assert doctest.OutputChecker().check_output(printed, got, OPTIONS), f"{command}\n{got}"
                ran += 1
        else:
            assert {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"} <= set(re.findall(r"\b(\w+)=", text))
    assert len(skipped) == 2
    assert ran >= 12


def test_what_the_tutorial_prints_is_looked_at():
    assert not doctest.OutputChecker().check_output("xco2  14 sent  ...\n", "xco2  15 sent  1 MiB\n", OPTIONS)
    assert list(typed("$ a    # exit status 3\n$ b\nsaid\n")) == [("a", 3, ""), ("b", 0, "said\n")]
