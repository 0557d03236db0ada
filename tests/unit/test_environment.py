"""environment.yml and pyproject.toml ask for the same packages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from zsync.version import DISTRIBUTION

ROOT = Path(__file__).parents[2]


def requirements(lines: list[str]) -> dict[str, str]:
    """Name to bound: ``["zarr >=3.0.8"]`` is ``{"zarr": ">=3.0.8"}``."""
    found = {}
    for line in lines:
        match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)", line)
        assert match, line
        name = match[1].lower().replace("_", "-").replace(".", "-")
        assert name not in found, f"{name} is named twice"
        found[name] = match[2].replace(" ", "")
    return found


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def environment() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def test_the_environment_has_the_project_s_requirements_and_no_others() -> None:
    names = environment()["dependencies"]
    from_conda = requirements([line for line in names if isinstance(line, str)])
    from_pip = requirements([line for group in names if isinstance(group, dict) for line in group["pip"]])
    assert not from_conda.keys() & from_pip.keys()
    assert from_conda.pop("python") == project()["requires-python"]
    assert from_conda.pop("pip") == ""
    extras = project()["optional-dependencies"]
    wanted = requirements([*project()["dependencies"], *extras["demo"], *extras["watch"]])
    assert {**from_conda, **from_pip} == wanted


def test_every_requirement_has_a_lower_bound() -> None:
    extras = project()["optional-dependencies"].values()
    lines = [*project()["dependencies"], *(line for extra in extras for line in extra)]
    unbound = [line for line in lines if ">=" not in line and not line.startswith(f"{DISTRIBUTION}[")]
    assert unbound == []
