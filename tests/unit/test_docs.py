"""What the documents say is so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import typer.main
import yaml

from zsync.cli import app
from zsync.config import RunConfig
from zsync.errors import ExitStatus
from zsync.verifying.difference import Wrong

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("*/README.md"))


def commands():
    """Return the options of every command, by its name."""
    found = {}

    def visit(command, name):
        found[name] = {option for parameter in command.params for option in parameter.opts}
        for child, inner in getattr(command, "commands", {}).items():
            visit(inner, f"{name} {child}".strip())

    visit(typer.main.get_command(app), "")
    return found


def test_the_first_config_is_one():
    blocks = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        config = RunConfig.from_any(yaml.safe_load(block))
        assert {product.name for product in config.resolve()} == {"pre_qf", "post_qf", "cog"}


def test_every_command_that_is_named_exists():
    named = set(re.findall(r"\bzsync ((?:config )?[a-z][a-z-]+)\b", " ".join(re.findall(r"`+[^`]+`+", README))))
    named |= {match.strip() for match in re.findall(r"^\$ zsync ((?:config )?[a-z-]+)", README, re.MULTILINE)}
    assert {"publish", "plan", "config init", "config check"} <= named
    assert named <= set(commands()), named - set(commands())


def test_every_option_that_is_named_exists():
    known = set().union(*commands().values())
    table = README[README.index("## Commands") : README.index("## When to use something else")]
    named = set(re.findall(r"`(--[a-z-]+)", table))
    assert "--dry-run" in named
    assert named <= known, named - known


def test_every_kind_of_difference_is_told():
    told = (ROOT / "docs" / "verifying.md").read_text()
    assert {str(kind) for kind in Wrong} <= set(re.findall(r"`([a-z-]+)`", told))


def test_every_exit_status_is_told():
    said = README[README.index("Exit status:") :].split("\n\n")[0]
    assert {int(number) for number in re.findall(r"\b(\d) ", said)} == {int(status) for status in ExitStatus}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert target.startswith("https://") or (path.parent / target).exists(), target


def test_nothing_names_a_registry_or_this_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert "README.md" in listed
    unwanted = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|deb\.debian\.org|/work/|/root/\.|/tmp/v3")
    found = [
        f"{name}: {match[0]}"
        for name in listed
        if name != "tests/unit/test_docs.py" and (match := unwanted.search((ROOT / name).read_text(errors="replace")))
    ]
    assert not found
