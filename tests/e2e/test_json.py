"""What every command prints with --json: one document that its schema in docs/json describes, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import typer.main
from trees import weather, write_cog, write_store

from zsync.cli import app
from zsync.cli.output import FORMAT

SCHEMAS = Path(__file__).parents[2] / "docs" / "json"


def schema(name):
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text())


def valid(name, text):
    """Return the document, which the schema describes."""
    document = json.loads(text)
    validator = jsonschema.Draft202012Validator(schema(name))
    problems = [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(document)]
    assert not problems, problems[:5]
    return document


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "run"
    write_store(root / "a.zarr", weather(12, 8), zarr_format=2, chunks={"time": 5, "x": 4})
    write_store(root / "t.zarr" / "m" / "s.zarr", weather(6, 4), zarr_format=3, chunks={"time": 3, "x": 4})
    write_cog(root / "cog" / "a.tif", np.ones((64, 64), "f4"))
    return root


@pytest.fixture
def config(tree, bucket, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        f"source: {tree}\ntarget: s3://{bucket}/run\n"
        "products: {a: a.zarr, t: t.zarr, cog: {path: cog, kind: cog}}\npublish: {keep_history: true}\n"
    )
    return path


@pytest.fixture
def told(run_zsync, s3):
    """Run a command with --json, and return what it printed if the schema describes it."""

    def run(name, *words, check=0, **more):
        done = run_zsync(*words, "--json", env=s3.env(), check=check, **more)
        return valid(name, done.stdout)

    return run


def test_publish_plan_log_and_rollback(told, config, tree, bucket):
    url = f"s3://{bucket}/run"
    plan = told("plan", "plan", config)
    assert [(item["sent"], item["bytes"]) for item in plan["products"]] == [(0, 0)] * 3
    assert all(item["to_send"] and item["bytes_to_send"] for item in plan["products"])
    done = told("publish", "publish", config, "--message", "first", "--meta", "run=1")
    assert [item["sent"] for item in done["products"]] == [item["to_send"] for item in plan["products"]]
    assert told("publish", "publish", config)["status"] == "unchanged"
    # An array grows, another goes, old values change, and something is not as it should be.
    write_store(tree / "a.zarr", weather(20, 8), zarr_format=2, chunks={"time": 5, "x": 4})
    (tree / "cog" / "b.tif").write_bytes((tree / "cog" / "a.tif").read_bytes())
    (tree / "cog" / "a.tif").unlink()
    told("plan", "plan", config, "--max-delete", "100%")
    told("publish", "publish", config, "--dry-run", "--max-delete", "100%")
    told("publish", "publish", config, "--max-delete", "100%")
    log = told("log", "log", url)
    assert [item.get("message") for item in log] == ["first", None]
    told("log-difference", "log", url, "head~1..head")
    told("log", "log", f"{url}/a.zarr", "--number", "1")
    told("rollback", "rollback", url, "head~1", "--dry-run")
    told("rollback", "rollback", url, "head~1")
    told("log-prune", "log", url, "--prune", "--keep", "1", "--dry-run")
    told("log-prune", "log", url, "--prune", "--keep", "1", "--yes")
    found = told("trash", "trash", "list", url)
    assert found
    told("trash", "trash", "list", url, "--keys")
    told("trash", "trash", "empty", url, "--yes")
    told("lease", "lease", "show", url)
    told("lease", "lease", "break", url)


def test_pull_and_verify(told, config, tree, bucket, tmp_path):
    url = f"s3://{bucket}/run"
    told("publish", "publish", config)
    planned = told("pull", "pull", url, tmp_path / "here", "--dry-run")
    assert [(item["received"], item["bytes"]) for item in planned["products"]] == [(0, 0)] * 3
    done = told("pull", "pull", url, tmp_path / "here")
    assert sum(item["received"] for item in done["products"]) == sum(p["to_fetch"] for p in planned["products"])
    assert told("pull", "pull", url, tmp_path / "here")["status"] == "unchanged"
    told("verify", "verify", url, "--deep", "--headers", "--zarr-checksum")
    told("verify", "verify", config)
    told("verify", "verify", tree / "a.zarr")
    told("verify", "verify", f"{url}/a.zarr", "--at", "head")
    (tree / "a.zarr" / "t2m" / "0.0").write_bytes(b"other")
    told("publish", "publish", config)
    told("trash", "trash", "restore", url)


def test_verify_of_what_differs(told, config, tree, bucket, s3, run_zsync):
    from servers import opened

    told("publish", "publish", config)
    store = opened(s3, bucket, "")
    store.delete("run/a.zarr/t2m/0.0")
    store.put("run/a.zarr/t2m/1.0", b"x")
    store.put("run/a.zarr/stray", b"x")
    document = told("verify", "verify", config, check=5)
    assert {"missing", "size", "extra"} <= {item["kind"] for item in document["differences"]}
    told("verify", "verify", config, "--repair", "--dry-run", check=5)
    told("verify", "verify", config, "--repair")


def test_sync_and_reset(told, tmp_path, bucket):
    folder = tmp_path / "team"
    folder.mkdir()
    (folder / "a.txt").write_text("one")
    write_store(folder / "s.zarr", weather(6, 4), zarr_format=2, chunks={"time": 3, "x": 4})
    path = tmp_path / "team.yaml"
    path.write_text(f"source: {folder}\ntarget: s3://{bucket}/team\n")
    told("sync", "sync", path, "--dry-run")
    told("sync", "sync", path, "--yes")
    (folder / "a.txt").write_text("two!")
    told("sync", "sync", path, "--yes")
    assert told("sync", "sync", path, "--yes")["status"] == "unchanged"
    told("reset", "reset", path, "--yes")


def test_config_check(told, config):
    checks = told("config-check", "config", "check", config)
    assert all(item["ok"] for item in checks)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["publish", "--no-such-option"], 2),
        (["publish", "/nothing/here", "s3://my-bucket/x"], 2),
        (["pull", "s3://my-bucket/x", "--retries", "often"], 2),
        (["no-such-command"], 2),
        (["verify", "s3://no-such-bucket-here/x"], 1),
    ],
)
def test_failures(told, words, status):
    document = told("failure", *words, check=status)
    assert (document["exit_status"], document["format"]) == (status, FORMAT)


def test_every_command_that_prints_json_has_a_schema():
    documented = {path.name.removesuffix(".schema.json") for path in SCHEMAS.glob("*.json")}
    found = set()

    def visit(command, name):
        if any("--json" in parameter.opts for parameter in command.params):
            found.add(name)
        for child, inner in getattr(command, "commands", {}).items():
            visit(inner, f"{name} {child}".strip())

    visit(typer.main.get_command(app), "")
    assert {name.split()[0] if name.split()[0] in ("trash", "lease") else name.replace(" ", "-") for name in found} <= (
        documented
    )
    page = (SCHEMAS.parent / "json.md").read_text()
    assert all(f"json/{name}.schema.json" in page for name in documented)


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.name.partition(".")[0])
def test_schemas_are_strict_and_say_what_each_name_means(path):
    document = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(document)

    def visit(part):
        if isinstance(part, dict):
            if part.get("properties"):
                assert part["additionalProperties"] is False
                assert all(
                    "description" in item or "$ref" in item or "const" in item for item in part["properties"].values()
                )
            for item in part.values():
                visit(item)
        elif isinstance(part, list):
            for item in part:
                visit(item)

    visit(document)
    assert "description" in document
