"""What is built is what users install: all of the package, and the command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling.build import build_sdist, build_wheel
from test_environment import project, requirements

import zsync
from zsync.version import DISTRIBUTION, install

ROOT = Path(__file__).parents[2]
FILES = {
    str(path.relative_to(ROOT)) for path in (ROOT / "zsync").rglob("*") if path.suffix != ".pyc" and path.is_file()
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist."""
    directory, before = tmp_path_factory.mktemp("dist"), Path.cwd()
    os.chdir(ROOT)
    try:
        return directory / build_wheel(str(directory)), directory / build_sdist(str(directory))
    finally:
        os.chdir(before)


def test_the_wheel_holds_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
        said = Parser().parsestr(wheel.read(next(name for name in names if name.endswith("/METADATA"))).decode())
    assert {"zsync/py.typed", "zsync/verbs/publish.py"} <= FILES
    assert {name for name in names if ".dist-info/" not in name} == FILES
    assert (said["Name"], said["Version"]) == (DISTRIBUTION, zsync.__version__)
    assert {"demo", "hpc", "notebook", "watch"} <= set(said.get_all("Provides-Extra"))


def test_the_sdist_holds_the_package_and_what_a_build_needs(built):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert FILES | {"pyproject.toml", "README.md", "LICENSE", "tests/conftest.py", "Containerfile"} <= names
    assert not [name for name in names if name.startswith((".venv", "dist/"))]


def test_the_installed_command_runs(built, tmp_path):
    """From the wheel alone, in an environment of its own, with the requirements of this one."""
    venv.create(tmp_path / "env", with_pip=False)
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", tmp_path / "env" / "bin" / "python", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--no-compile", built[0]], check=True)
    own = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "requirements-of-this-one.pth").write_text("".join(f"{path}\n" for path in own))
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = tmp_path / "env" / "bin" / "zsync"
    done = subprocess.run([command, "--version"], env=environ, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == zsync.__version__
    where = subprocess.run(
        [tmp_path / "env" / "bin" / "python", "-c", "import zsync; print(zsync.__file__)"],
        env=environ, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(packages))


def test_the_recipe_has_the_requirements_of_the_project():
    text = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text()
    run = re.search(r"^  run:\n((?:    - .*\n)+)", text, re.MULTILINE)
    assert run
    found = requirements([line.removeprefix("    - ") for line in run[1].splitlines()])
    assert found.pop("python") == ">=${{python_min}}"
    wanted = project()
    assert f'python_min: "{wanted["requires-python"].removeprefix(">=")}"' in text
    assert f'version: "{zsync.__version__}"' in text
    assert f"name: {DISTRIBUTION}" in text
    assert wanted["description"] in text
    assert found == requirements([*wanted["dependencies"], *wanted["optional-dependencies"]["watch"]])


def test_every_extra_that_is_named_to_users_exists():
    extras = set(project()["optional-dependencies"])
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("notebooks/*.ipynb"), ROOT / "Containerfile"]
    said = {path.name: path.read_text() for path in [*texts, *ROOT.glob("zsync/**/*.py")]}
    assert install("hpc") in said["clusters.md"]
    lists = [found for text in said.values() for found in re.findall(rf"(?:{DISTRIBUTION}|/src)\[([\w,]+)\]", text)]
    lists += [found for text in said.values() for found in re.findall(r'\binstall\("(\w+)"\)', text)]
    named = {extra for found in lists for extra in found.split(",")}
    assert {"demo", "hpc", "notebook", "watch"} <= named <= extras
    assert not [name for name, text in said.items() if re.search(r"pip install '?zsync\b", text)]
