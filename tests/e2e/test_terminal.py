"""The command as it is used every day: no words, a report, logs for cron, values to complete, a narrow terminal."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
import yaml
from rich.console import Console
from trees import s3_bytes, weather, write_cog, write_store

import zsync.cli
from zsync.config import RunConfig, proposed
from zsync.report import progress

TIMED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (DEBUG|INFO|WARNING|ERROR) ")


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "out"
    write_store(root / "pre.zarr", weather(6, 4), zarr_format=2, chunks={"time": 3, "x": 4})
    write_store(root / "post.zarr" / "m1" / "s1.zarr", weather(6, 4, k=2), zarr_format=3, chunks={"time": 3, "x": 4})
    write_cog(root / "cog" / "2020" / "a.tif", np.ones((64, 64), "f4"))
    (root / "logs").mkdir()
    (root / "logs" / "run.log").write_text("hello")
    return root


# --- What lies here ---


def test_init_proposes_what_lies_here_and_publish_takes_it(run_zsync, s3, bucket, tree):
    done = run_zsync("config", "init", "--target", f"s3://{bucket}/run", cwd=tree)
    assert "cog (cog), post (zarr), pre (zarr)" in done.stdout
    config = RunConfig.from_any(tree / "zsync.yaml")
    assert {item.name: (item.kind, item.location.name) for item in config.resolve()} == {
        "cog": ("cog", "cog"), "post": ("zarr", "post.zarr"), "pre": ("zarr", "pre.zarr"),
    }  # fmt: skip
    assert "published" in run_zsync("publish", cwd=tree, env=s3.env()).stdout
    assert "nothing to do" in run_zsync("publish", cwd=tree, env=s3.env()).stdout
    assert json.loads(run_zsync("verify", "--json", cwd=tree, env=s3.env()).stdout)["status"] == "sound"
    assert run_zsync("plan", "--exit-code", cwd=tree, env=s3.env()).returncode == 0


def test_the_environment_goes_before_a_file_that_lies_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zsync.yaml").write_text("source: /here\ntarget: s3://my-bucket/file\n")
    assert RunConfig.from_any(None, environ={}).target == "s3://my-bucket/file"
    environ = {"LOCAL_ROOT": "/d", "PRE_QF_NAME": "a", "POST_QF_NAME": "b", "S3_BUCKET": "bbb", "S3_ROOT_PREFIX": "x"}
    assert RunConfig.from_any(None, environ=environ).target == "s3://bbb/x"
    assert RunConfig.from_any(None, environ={}, source="/other", target="s3://my-bucket/x").source == "/other"


def test_what_is_proposed(tree, tmp_path):
    assert proposed(str(tree / "pre.zarr")) == {"pre": {"path": ".", "kind": "zarr", "to": "pre.zarr"}}
    assert proposed(str(tree / "cog" / "2020")) == {"2020": {"path": ".", "kind": "cog", "to": "2020"}}
    assert proposed(str(tree / "logs")) == {}
    (tree / "away").symlink_to(tree / "cog")
    (tree / ".hidden").mkdir()
    (tree / ".hidden" / "a.tif").write_bytes(b"II*\0")
    (tree / "pre").mkdir()
    (tree / "pre" / "a.tif").write_bytes(b"II*\0")
    assert list(proposed(str(tree))) == ["cog", "post.zarr", "pre", "pre.zarr"]


def test_a_directory_with_nothing_gets_the_example(run_zsync, tmp_path):
    (tmp_path / "empty").mkdir()
    done = run_zsync("config", "init", cwd=tmp_path / "empty")
    assert "no Zarr stores and no rasters" in done.stdout
    assert set(yaml.safe_load((tmp_path / "empty" / "zsync.yaml").read_text())["products"]) == {
        "pre_qf", "post_qf", "cog",
    }  # fmt: skip


def test_a_directory_and_a_url(run_zsync, s3, bucket, tree):
    run_zsync("publish", tree / "pre.zarr", f"s3://{bucket}/a", "--tags", "run=1", "--cache-control", "data=max-age=60",
              env=s3.env())  # fmt: skip
    assert "a/pre.zarr/t2m/0.0" in s3_bytes(s3, bucket, "")
    config = tree / "c.yaml"
    config.write_text(f"source: {tree}\ntarget: s3://{bucket}/elsewhere\nproducts: {{pre: pre.zarr}}\n")
    assert f"s3://{bucket}/b" in run_zsync("plan", config, f"s3://{bucket}/b", env=s3.env()).stdout


def test_a_directory_that_was_published_to_is_a_target(run_zsync, tree):
    run_zsync("publish", tree / "pre.zarr", "./copy", cwd=tree)
    assert "pre" in run_zsync("log", "copy", cwd=tree).stdout
    assert "free" in run_zsync("lease", "show", "copy/pre.zarr", cwd=tree).stdout
    done = run_zsync("log", "logs", cwd=tree, check=2)
    assert f"nothing was ever published there: file://{tree}/logs" in done.stderr


def test_exit_code_of_a_plan(run_zsync, s3, bucket, tree):
    words = ("plan", tree / "pre.zarr", f"s3://{bucket}/x")
    assert run_zsync(*words, env=s3.env()).returncode == 0
    done = run_zsync(*words, "--exit-code", "-q", env=s3.env(), check=5)
    assert (done.stdout, done.stderr) == ("", "")
    run_zsync("publish", *words[1:], env=s3.env())
    assert run_zsync(*words, "--exit-code", "-q", env=s3.env()).stdout == ""


# --- What is said ---


def test_quiet_says_nothing_on_success(run_zsync, s3, bucket, tree, tmp_path):
    url = f"s3://{bucket}/x"
    for words in (
        ("publish", tree / "pre.zarr", url), ("publish", tree / "pre.zarr", url), ("pull", url, tmp_path / "here"),
        ("verify", f"{url}/pre.zarr"),
    ):  # fmt: skip
        done = run_zsync(*words, "-q", env=s3.env())
        assert (done.stdout, done.stderr) == ("", ""), words
    done = run_zsync("publish", tree / "absent", url, "-q", env=s3.env(), check=2)
    assert done.stderr.startswith("zsync: ")


def test_logs_have_time_and_level_where_nobody_watches(run_zsync, s3, bucket, tree):
    done = run_zsync("publish", tree / "pre.zarr", f"s3://{bucket}/x", env=s3.env())
    lines = done.stderr.splitlines()
    assert lines
    assert all(TIMED.match(line) for line in lines), lines
    assert not re.search(r"0\.0 of 0\.0 MiB|0 of 0 objects", done.stderr)


@pytest.mark.parametrize("words", [("publish",), ("plan",), ("config", "show")])
def test_logs_as_json(run_zsync, s3, bucket, tree, words):
    done = run_zsync(*words, tree / "pre.zarr", f"s3://{bucket}/x", "--log-format", "json", env=s3.env())
    assert all({"time", "level", "message"} <= json.loads(line).keys() for line in done.stderr.splitlines())
    done = run_zsync(*words, tree / "absent", f"s3://{bucket}/x", "--log-format", "json", env=s3.env(), check=2)
    [record] = [json.loads(line) for line in done.stderr.splitlines()]
    assert (record["level"], record["exit_status"]) == ("error", 2)
    assert "absent" in record["message"]


def test_logs_in_a_file(run_zsync, s3, bucket, tree, tmp_path):
    log = tmp_path / "zsync.log"
    words = ("publish", tree / "pre.zarr", f"s3://{bucket}/x", "--log-file", log)
    assert run_zsync(*words, "--log-level", "debug", env=s3.env()).stderr == ""
    assert re.search(r"Z DEBUG root: send pre/.zmetadata, new", log.read_text())
    (tree / "pre.zarr" / "t2m" / ".zarray").write_text("{")
    done = run_zsync(*words, "--log-level", "error", env=s3.env(), check=3)
    assert done.stderr.startswith("zsync: ")
    assert re.search(r"Z ERROR .*is not JSON", log.read_text())
    done = run_zsync(*words[:-1], tmp_path / "no" / "such" / "dir.log", env=s3.env(), check=2)
    assert "cannot log there" in done.stderr


def test_progress_has_units_that_fit(caplog):
    lines = progress.LogLines()
    with caplog.at_level("INFO", "zsync.progress"):
        lines.begin("data", 3, 1500)
        lines.advance(3, 1500)
        lines.end()
        lines.begin("retire", 0, 0)
        lines.end()
    assert [re.sub(r"[\d.]+ \w+/s", "RATE", message) for message in caplog.messages] == [
        "data: 3 of 3 objects, 1.5 KiB of 1.5 KiB, RATE"
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_bar_fits_in_the_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    bars = progress.Bars()
    bars.begin("root", 123_456, 5 * 2**30)
    bars.advance(123_400, 4 * 2**30)
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(bars._display.get_renderable())
    bars.end()
    [line] = [line for line in console.file.getvalue().splitlines() if line.strip()]
    assert "━━━━━━━" in line
    assert "123,400/123,456" in line
    assert len(line) <= width


# --- Reports ---


class Page(HTMLParser):
    """What a page holds, and whether it asks for anything elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.links, self.rows, self.folded = [], [], [], 0, 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        self.rows += tag == "tr"
        self.folded += tag == "details"
        if tag not in ("meta", "br"):
            self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.tags.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_a_report_is_one_page_with_all_that_happened(run_zsync, s3, bucket, tree, tmp_path):
    for number in range(150):
        write_store(tree / "many.zarr" / f"s{number}.zarr", weather(2, 2), zarr_format=2, chunks={"time": 2, "x": 2})
    report = tmp_path / "report.html"
    run_zsync("publish", tree / "many.zarr", f"s3://{bucket}/x", "--report", report, env=s3.env())
    text = report.read_text()
    page = Page(text)
    assert (page.tags, page.links, page.folded) == ([], [], 2)
    assert page.rows > 450  # an array each; none is left out
    told = " ".join(page.text)
    for part in ("Published", str(tree / "many.zarr"), f"s3://{bucket}/x/many.zarr", "zsync publish", "@", "zsync 0.",
                 "UTC", "chunks, rasters and files", "root metadata", "s149.zarr/t2m"):  # fmt: skip
        assert part in told, part
    assert "prefers-color-scheme:dark" in text


def test_a_report_of_a_failure(run_zsync, s3, bucket, tree, tmp_path):
    report = tmp_path / "report.html"
    (tree / "pre.zarr" / "t2m" / ".zarray").write_text("{")
    done = run_zsync("publish", tree / "pre.zarr", f"s3://{bucket}/x", "--report", report, env=s3.env(), check=3)
    told = " ".join(Page(report.read_text()).text)
    assert "Failed" in told
    assert "exit status 3" in told
    assert done.stderr.splitlines()[-1].removeprefix("zsync: ")[:40] in told
    assert f"s3://{bucket}/x/pre.zarr" in told
    run_zsync("publish", tree / "pre.zarr", "s3://AKIA:SeCrEt@my-bucket/x", "--report", report, env=s3.env(), check=2)
    assert "Failed" in report.read_text()
    assert "SeCrEt" not in report.read_text()


def test_a_file_that_cannot_be_written_is_told_before_anything_is_published(run_zsync, tree, tmp_path):
    for option in ("--report", "--plan-out"):
        words = ("publish", tree / "pre.zarr", tmp_path / "there", option)
        done = run_zsync(*words, tmp_path / "nowhere" / "x", check=2)
        said = f"zsync: cannot be written (No such file or directory): {tmp_path}/nowhere/x; check its path\n"
        assert done.stderr == said
        assert not (tmp_path / "there").exists()
        run_zsync("publish", tree / "none", tmp_path / "there", option, tmp_path / "x", check=2)
    assert (tmp_path / "x").read_text().startswith("<!doctype html>")  # of the report: no plan is left that is empty


def test_a_report_that_cannot_be_written_at_last_hides_nothing_of_what_was_done(run_zsync, tree, tmp_path):
    words = ("publish", tree / "pre.zarr", tmp_path / "there", "--report", "/dev/full")
    done = run_zsync(*words, "--json", check=2)
    assert json.loads(done.stdout)["status"] == "published"
    assert "cannot be written (No space left on device): /dev/full; make room" in done.stderr
    assert run_zsync(*words, check=2).stdout.startswith("nothing to do: ")


def test_a_plan_is_written_where_there_is_nothing_to_do_as_well(run_zsync, tree, tmp_path):
    words = ("publish", tree / "pre.zarr", tmp_path / "there", "--plan-out", tmp_path / "plan.parquet")
    counts = []
    for _ in range(2):
        run_zsync(*words)
        counts.append(pq.read_table(tmp_path / "plan.parquet").num_rows)
        (tmp_path / "plan.parquet").unlink()
    assert counts[0] == counts[1] > 0


# --- Help and completion ---


@pytest.fixture
def complete():
    """As a shell asks: by the name of the program, which is that of its file."""
    code = "import sys; sys.argv[0] = 'zsync'; from zsync.cli import app; app(prog_name='zsync')"

    def ask(*words, cwd=None, **env):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "_ZSYNC_COMPLETE": "complete_bash",
                 "COMP_WORDS": " ".join(("zsync", *words)), "COMP_CWORD": str(len(words)), **env},
            cwd=cwd, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.split()

    return ask


def test_values_are_completed(complete, s3, bucket, tree, tmp_path, run_zsync):
    assert complete("publish", "--retire", "") == ["auto", "keep", "trash", "delete"]
    assert complete("sync", "--prefer", "l") == ["local"]
    (tmp_path / "aws").write_text("[default]\nregion = x\n[profile lab]\n[profile lab-admin]\n[sso-session s]\n")
    assert complete("publish", "--profile", "lab", AWS_CONFIG_FILE=str(tmp_path / "aws")) == ["lab", "lab-admin"]
    config = tree / "zsync.yaml"
    config.write_text(f"source: {tree}\ntarget: s3://{bucket}/x\nproducts: {{pre: pre.zarr, post: post.zarr}}\n")
    assert complete("publish", str(config), "--only", "p") == ["pre", "post"]
    assert complete("publish", "--only", "po", cwd=tree) == ["post"]
    run_zsync("publish", config, env=s3.env())
    found = complete("verify", f"s3://{bucket}/x", "--at", "20", **s3.env())
    assert len(found) == 1
    assert found[0] in run_zsync("log", f"s3://{bucket}/x", env=s3.env()).stdout


def test_completion_prints_a_script(run_zsync):
    assert "_ZSYNC_COMPLETE" in run_zsync("completion", "bash").stdout
    assert "compdef" in run_zsync("completion", "zsh").stdout
    assert "take one of bash" in run_zsync("completion", "tcsh", check=2).stderr


@pytest.fixture
def shell(tmp_path):
    """Run a shell's own completion, with the command on its PATH."""

    def run(name, script):
        if (program := shutil.which(name)) is None:
            pytest.skip(f"there is no {name}: apt-get install {name}")
        command = tmp_path / "bin" / "zsync"
        command.parent.mkdir()
        code = "import sys; sys.argv[0] = 'zsync'; from zsync.cli import main; main()"
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n')
        command.chmod(0o755)
        env = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(
            [program, *(["-f"] if name == "zsh" else ["--no-config"] if name == "fish" else ["--norc"]), "-c", script],
            env={**env, "PATH": f"{command.parent}:{env['PATH']}"}, cwd=tmp_path,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.stderr, done.returncode) == ("", 0)
        return done.stdout.split()

    return run


def test_bash_completes(shell):
    asked = "COMP_WORDS=(zsync publish --retire k); COMP_CWORD=3; _zsync_completion zsync; echo ${COMPREPLY[@]}"
    assert shell("bash", f'eval "$(zsync completion bash)"; {asked}') == ["keep"]


def test_zsh_completes(shell):
    """What the shell is given: in one that has no `compinit` yet, and as a file of `fpath`, the first time as well."""
    asked = "_arguments() { print -- $@ }; words=(zsync publish --retire k); CURRENT=4;"
    evaluated = f'eval "$(zsync completion zsh)"; print $_comps[zsync]; {asked} $_comps[zsync]'
    loaded = f"zsync completion zsh > _zsync; fpath=($PWD $fpath); autoload -Uz _zsync; {asked} _zsync"
    assert shell("zsh", f"{evaluated}; {loaded}") == ["_zsync_completion", *["*:", ':(("keep"))'] * 2]


def test_fish_completes(shell):
    asked = "complete -C'zsync publish --retire k'; complete -C'zsync tra'"
    assert shell("fish", f"zsync completion fish | source; {asked}")[:3] == ["keep", "trash", "See,"]


def test_help_uses_the_width_of_the_terminal(run_zsync):
    for columns in (80, 120):
        text = run_zsync("publish", "--help", env={"COLUMNS": str(columns)}, afresh=True).stdout
        options = text[text.index("Options:") : text.index("Examples:")]
        widest = max(map(len, options.splitlines()))
        assert columns - 25 < widest <= columns, widest
        assert "auto|keep|trash|delete" in text
        assert "zsync publish out.zarr s3://bucket/products" in text


@pytest.mark.parametrize(
    "words",
    [
        ("publish", "a", "b", "s3://AKIA:SeCrEt@my-bucket/x"),
        ("publish", "s3://AKIA:SeCrEt@my-bucket/x"),
        ("publish", "a", "s3://my-bucket/x", "--target", "s3://AKIA:SeCrEt@my-bucket/x"),
        ("publish", "a", "s3://my-bucket/x", "--retries", "https://h/?X-Amz-Signature=SeCrEt"),
        ("log", "s3://AKIA:SeCrEt@my-bucket/x"),
    ],
)
def test_a_secret_in_a_command_line_is_not_repeated(run_zsync, words):
    done = run_zsync(*words, "--json", check=2)
    assert "SeCrEt" not in done.stdout + done.stderr


def test_a_no_is_no_error_of_ours(monkeypatch, capsys):
    def refuse(**_):
        raise typer.Abort

    monkeypatch.setitem(vars(zsync.cli), "app", refuse)
    assert zsync.cli._run() == 1
    assert capsys.readouterr().err == "zsync: nothing was done\n"


@pytest.mark.parametrize("command", ["publish", "trash", "log", "completion"])
def test_a_command_is_imported_alone(command):
    """To make all of them takes longer than a request."""
    code = (
        "import sys; from zsync.cli import _app_with; _app_with(sys.argv[1])\n"
        "print(sorted(name for name in sys.modules if name.startswith('zsync.cli.')))"
    )
    done = subprocess.run([sys.executable, "-c", code, command], capture_output=True, text=True, check=True)
    assert f"zsync.cli.{command}" in done.stdout
    assert not {"zsync.cli.server", "zsync.cli.team", "zsync.cli.watch"} & set(
        re.findall(r"zsync\.cli\.\w+", done.stdout)
    )
