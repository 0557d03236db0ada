"""Run the notebooks, and take pictures of them in a browser, in light and in dark: `make screenshots`.

    python notebooks/screenshots.py DIRECTORY [NOTEBOOK...]

They are there to be looked at; what can be told without eyes is in `tests/unit/test_plan_told.py` and `test_cell.py`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

NOTEBOOKS = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FEWER = {"history": "DAYS = 24", "hpc": "MEMBERS = 6"}
SIZE = "1100,6000"


def browser() -> str:
    """Return the first browser that is installed."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sys.exit(f"there is no browser to look with: install one of {', '.join(BROWSERS)}")
    return found


def executed(path: Path) -> nbformat.NotebookNode:
    """Return a notebook with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            cell.source = FEWER[path.stem]
    with tempfile.TemporaryDirectory() as scratch:
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": scratch}}).execute()
    return notebook


def main(directory: Path, names: list[str]) -> None:
    """Take a picture of each notebook in each theme."""
    command = [browser(), "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={SIZE}"]
    directory.mkdir(parents=True, exist_ok=True)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        notebook = executed(path)
        for theme in ("light", "dark"):
            page = directory / f"{path.stem}-{theme}.html"
            page.write_text(HTMLExporter(theme=theme).from_notebook_node(notebook)[0], encoding="utf-8")
            picture = page.with_suffix(".png")
            subprocess.run(
                [*command, f"--screenshot={picture}", page.absolute().as_uri()], check=True, capture_output=True
            )
            print(picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), sys.argv[2:])
