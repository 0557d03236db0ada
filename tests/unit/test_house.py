"""The house stands as ARCHITECTURE says; errors travel; names are where users look for them."""

from __future__ import annotations

import importlib
import json
import pickle
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

import zsync
from zsync import errors

ROOT = Path(__file__).parents[2]


def subclasses(kind):
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in subclasses(child))]


@pytest.mark.parametrize("kind", subclasses(errors.ZsyncError))
def test_errors_travel_and_fit_on_one_line(kind):
    error = kind("it is\nwrong", "/some/where", "do this")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error) == "it is wrong: /some/where; do this"
    assert again.exit_status == error.exit_status
    assert str(kind("plain")) == "plain"
    assert str(kind("plain").at("here")) == "plain: here"


def test_arrows_point_down_and_the_core_is_pure():
    command = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 kept, 0 broken" in done.stdout


def test_nothing_is_imported_in_a_circle():
    """Not even inside functions, or for types only."""
    graph = grimp.build_graph("zsync", exclude_type_checking_imports=False, cache_dir=None)
    found = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert "zsync.steps.carry" in found["zsync.steps.run"]  # which is imported where it is needed
    TopologicalSorter(found).prepare()


def test_the_steps_know_no_configuration():
    texts = {path.name: path.read_text() for path in (ROOT / "zsync" / "steps").glob("[a-z]*.py")}
    assert "run.py" in texts
    assert not [name for name, text in texts.items() if "RunConfig" in text]


def test_no_room_is_crowded():
    """A room that holds a seventh of the lines wants to be two."""
    lines = {path: len(path.read_text().splitlines()) for path in (ROOT / "zsync").rglob("*.py")}
    rooms = Counter()
    for path, count in lines.items():
        rooms[path.relative_to(ROOT / "zsync").parts[0]] += count
    assert max(rooms.values()) <= 0.15 * sum(lines.values()), rooms.most_common(3)
    assert rooms["verbs"] < 2000


def test_public_names():
    assert {"publish", "plan", "RunConfig", "PublishResult", "Plan", "ZsyncError"} <= set(zsync.__all__)
    for name in zsync.__all__:
        assert getattr(zsync, name) is not None
    with pytest.raises(AttributeError):
        _ = zsync.absent


def test_functions_are_not_hidden_by_rooms():
    for module in ("zsync.verbs.publish", "zsync.planning", "zsync.config"):
        importlib.import_module(module)
    assert callable(zsync.publish)
    assert callable(zsync.plan)


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import zsync", ["pydantic", "numpy", "pyarrow", "zarr", "xarray", "dask", "rasterio", "obstore", "typer"]),
        (
            "import zsync; zsync.publish",
            ["numpy", "pyarrow", "pandas", "zarr", "xarray", "dask", "rasterio", "botocore"],
        ),
        ("import zsync.cli", ["pydantic", "numpy", "pyarrow", "zarr", "xarray", "dask", "rasterio", "rich"]),
    ],
)
def test_imports_are_light(code, heavy):
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(set({heavy!r}) & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
