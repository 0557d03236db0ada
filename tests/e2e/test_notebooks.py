"""The notebooks run from top to bottom; they assert for themselves what they show."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

# Of the notebook's parameters (cells with that tag) what is given here, to have what they show in less time.
PICTURES = {"history": 2, "hpc": 0, "publish": 1, "pull": 2, "watch-and-sync": 1}
FEWER = {"history": "DAYS = 24", "hpc": "MEMBERS = 6"}
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "notebooks are kept without outputs"
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            cell.source = FEWER[path.stem]
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    # To answer widgets the client sends on the channel that it waits at, and now and then sleeps through a reply.
    client.widget_registry = {}
    client.execute()
    shown = [output.data for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert any("<table" in data.get("text/html", "") for data in shown)
    assert sum("image/png" in data for data in shown) == PICTURES[path.stem]
    lines = [data["text/html"] for data in shown if "<progress" in data.get("text/html", "")]
    assert lines
    assert all('value="1.000"' in line for line in lines), lines  # each ends complete, or where an error ended it
    said = [output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not any("Warning" in text for text in said), said
