"""Configurations that no one wrote in good faith, or in their right mind: one line, the place, never the value."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from zsync.config import RunConfig
from zsync.errors import ConfigError

DIGITS = "7" * 5000
NESTED = 900
BOMB = "a0: &a0 [SeCrEt]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
MERGES = "a0: &a0 {k: SeCrEt}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))


def said(value, **overrides):
    began = time.monotonic()
    with pytest.raises(ConfigError) as raised:
        RunConfig.from_any(value, environ={}, **overrides)
    assert time.monotonic() - began < 20
    text = str(raised.value)
    assert "\n" not in text
    assert "SeCrEt" not in text
    assert "7777" not in text
    return text


def write(directory, name, text):
    path = directory / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("c.yaml", "source: /x\nworkers: !!int SeCrEt\n", "line 2: this is no value of the type int"),
        ("c.yaml", "source: !!timestamp SeCrEt\n", "line 1: this is no value of the type timestamp"),
        ("c.yaml", "source: !!timestamp 2024-13-45\n", "line 1: this is no value of the type timestamp"),
        ("c.yaml", "a: [!!bool SeCrEt]\n", "line 1: this is no value of the type bool"),
        ("c.yaml", "a: !!float SeCrEt\n", "line 1: this is no value of the type float"),
        ("c.yaml", 'a: !!int ""\n', "line 1: this is no value of the type int"),
        ("c.yaml", "a: 0b_\n", "line 1: this is no value of the type int"),
        ("c.yaml", "a: !!binary é\n", "line 1"),
        ("c.yaml", "a: !!python/object/apply:os.system [SeCrEt]\n", "line 1"),
        ("c.yaml", f"a: 1\nb: {DIGITS}\n", "line 2: this is no value of the type int"),
        ("c.yaml", f"a: 0x{'7' * 5000}\n", "a number has too many digits"),
        ("c.yaml", f"a: {'[' * 60}{']' * 60}\nb: {'{a: ' * 70}1{'}' * 70}\n", "nested too deeply"),
        ("c.yaml", "a: &a [*a]\n", "nested too deeply"),
        ("c.yaml", 'source: "\\ud800"\n', "lone surrogate"),
        ("c.yaml", BOMB, "it holds more than"),
        ("c.yaml", MERGES, "unknown key|too much is merged"),  # as PyYAML merges what is merged twice
        ("c.json", f'{{"a": 1,\n"b": {DIGITS}}}', "line 2: a number has too many digits"),
        ("c.json", f'{{"a": {"[" * NESTED}{"]" * NESTED}}}', "nested too deeply"),
        ("c.json", '{"source": "\\ud800"}', "lone surrogate"),
        ("c.toml", f"a = 1\nb = {DIGITS}\n", "line 2: a number has too many digits"),
        ("c.toml", f"a = {'[' * NESTED}{']' * NESTED}\n", "nested too deeply"),
        ("c.ini", f"[PATHS]\nlocal_base_dir = /x\n[S3]\nbuket = {DIGITS}\n", "S3.buket"),
    ],
)
def test_hostile_documents(tmp_path, name, text, says):
    path = write(tmp_path, name, text)
    problem = said(path)
    assert any(text in problem for text in says.split("|"))
    assert str(path) in problem


@pytest.mark.parametrize(("name", "text"), [
    ("c.yaml", "source: /x\npublish: {workers: .nan}\n"),
    ("c.yaml", "source: /x\npublish: {settle: .inf}\n"),
    ("c.yaml", "source: /x\npublish: {max_delete: -.inf}\n"),
    ("c.yaml", "source: /x\nstorage: {retries: .nan}\n"),
    ("c.json", '{"source": "/x", "storage": {"retries": Infinity}}'),
    ("c.json", '{"source": "/x", "publish": {"workers": 1e999}}'),
    ("c.toml", 'source = "/x"\nstorage.retries = nan\n'),
    ("c.toml", f'source = "/x"\nstorage.retries = "{DIGITS}"\n'),
    ("c.yaml", f"source: /x\npublish: {{max_delete: '{DIGITS}%'}}\n"),
    ("c.yaml", f"source: /x\npublish: {{max_delete: '1.{DIGITS}%'}}\n"),
    ("c.yaml", f"source: /x\nwatch: {{listen: '127.0.0.1:{DIGITS}'}}\n"),
    ("c.yaml", "source: /x\nwatch: {listen: '127.0.0.1:\xb2'}\n"),
])  # fmt: skip
def test_numbers_that_are_none(tmp_path, name, text):
    assert "must be" in said(write(tmp_path, name, text))


def test_what_pipelines_write_beside_it_stays_theirs(tmp_path):
    """No number, no depth and no size is refused that somebody may mean in a part which is not ours."""
    more = "fill: .nan\nlimit: .inf\nid: 340282366920938463463374607431768211456\ntree: " + "[" * 30 + "1" + "]" * 30
    text = (Path(__file__).parents[1] / "dialects" / "s0_run_config.yaml").read_text(encoding="utf-8")
    assert RunConfig.from_any(write(tmp_path, "c.yaml", f"{text}\n{more}\n"), environ={}).products


def test_a_dict_that_holds_itself():
    document = {"source": "/x"}
    document["publish"] = document
    assert "holds itself" in said(document)


@pytest.mark.parametrize("kind", ["pipe", "device", "directory"])
def test_no_regular_file_is_waited_for(tmp_path, kind, monkeypatch):
    path = tmp_path / "c.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = "/dev/zero"
    else:
        path = tmp_path
    says = "is a directory" if kind == "directory" else "not a regular file"
    environ = {"RC_FILE_OVERRIDE": str(path)}
    with pytest.raises(ConfigError, match=says):
        RunConfig.from_any(None, environ=environ, target="s3://bucket/x")
    if kind != "directory":  # which is a source
        assert says in said(path)


def test_a_configuration_has_a_size(tmp_path):
    path = tmp_path / "c.yaml"
    with path.open("wb") as file:
        file.truncate(2**30)
    assert "larger than" in said(path)
