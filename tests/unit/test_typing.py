"""What type checkers say of calls as documents and users write them, and whether they know every option."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from zsync.config import options
from zsync.config.model import Sections
from zsync.config.publishing import Publish, Storage
from zsync.config.sections import Notification, Product, Pull, Site, Team, Watch

ROOT = Path(__file__).parents[2]
CALLS = ROOT / "tests" / "typing" / "calls.py"
CACHE = ROOT / ".mypy_cache" / "calls"  # kept: what did not change since takes no time


def names(model):
    return {name for name, field in model.model_fields.items() if not field.exclude}


@pytest.mark.parametrize(
    ("model", "typed"),
    [
        (Storage, options.StorageOptions), (Publish, options.PublishOptions), (Product, options.ProductOptions),
        (Pull, options.PullOptions), (Team, options.TeamOptions), (Watch, options.WatchOptions),
        (Notification, options.NotificationOptions), (Site, options.SiteOptions), (Sections, options.Document),
    ],
    ids=lambda item: item.__name__,
)  # fmt: skip
def test_every_option_has_a_type(model, typed):
    assert set(typed.__optional_keys__) == names(model)
    assert not typed.__required_keys__


def test_calls_take_every_option():
    wanted = names(Storage) | names(Publish) | names(Sections) - {"target", "dry_run"}
    assert set(options.Options.__optional_keys__) == wanted
    assert set(options.WatchCallOptions.__optional_keys__) == wanted | names(Watch) - {"initial_sync_source"}
    assert set(options.SyncCallOptions.__optional_keys__) == wanted | names(Team) - {"prefer"}
    parameters = {"dest", "exclude_downloads", "force_overwrite"}
    assert set(options.PullCallOptions.__optional_keys__) >= names(Pull) - parameters


def test_choices_are_those_of_the_model():
    """Literals as they are written, option by option."""
    text = (ROOT / "zsync" / "config" / "options.py").read_text()
    said = dict(re.findall(r"^    (\w+): (?:int \| )?(Literal\[.*?\])", text, re.MULTILINE))
    assert len(said) > 15
    models = (Storage, Publish, Product, Pull, Team, Watch, Notification)
    known = {name: field.annotation for model in models for name, field in model.model_fields.items()}
    for name, literal in said.items():
        choices = set(re.findall(r'"([^"]+)"', literal))
        assert choices <= set(re.findall(r"'([^']+)'", str(known[name]))), name


# What blocks of documents take for granted.
BEFORE = """# mypy: disable-error-code="no-untyped-call,untyped-decorator"
import xarray as xr
import zarr
import zsync
import zsync.xarray

dataset = xr.Dataset()
"""


def blocks():
    """Return what the documents write in Python, as functions, with the document of each."""
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = {path: re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL) for path in documents}
    ours = [(path.stem, text) for path, texts in found.items() for text in texts if "zsync." in text]
    return "\n\n".join(
        f"def {re.sub('[^a-z]', '_', name.lower())}_{number}() -> None:\n{textwrap.indent(text, '    ')}"
        for number, (name, text) in enumerate(ours)
    )


@pytest.mark.slow
def test_mypy_takes_every_call_and_tells_every_mistake(tmp_path):
    """As a user has it: strict, and without the plugin of pydantic; the calls above, and those of the documents."""
    wrong = [n for n, line in enumerate(CALLS.read_text().splitlines(), start=1) if "# wrong: " in line]
    assert len(wrong) == 6
    documents = tmp_path / "documents.py"
    documents.write_text(f"{BEFORE}\n\n{blocks()}")
    assert documents.read_text().count("zsync.publish(") >= 4
    config = tmp_path / "mypy.ini"
    missing = "[mypy-dask.*,distributed.*,dask_jobqueue.*,airflow.*,prefect.*]\nignore_missing_imports = true\n"
    others = "[mypy-xarray.*,zarr.*,numpy.*,pandas.*,pyarrow.*,rasterio.*,rich.*]\nfollow_imports = skip\n"
    config.write_text(f"[mypy]\nstrict = true\ndisallow_subclassing_any = false\n{missing}{others}")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", CACHE, "--no-color-output",
         "--follow-imports", "silent", CALLS, documents],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = [(name, int(line)) for name, line in re.findall(r"(\w+\.py):(\d+): error", done.stdout)]
    assert sorted(set(told)) == [("calls.py", line) for line in wrong], done.stdout + done.stderr
