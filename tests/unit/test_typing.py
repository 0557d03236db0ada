"""What type checkers say of calls as documents and users write them, and whether they know every option."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from zsync.config import options
from zsync.config.model import Sections
from zsync.config.publishing import Publish, Storage
from zsync.config.sections import Notification, Product, Pull, Site, Team, Watch

ROOT = Path(__file__).parents[2]
CALLS = ROOT / "tests" / "typing" / "calls.py"


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


@pytest.mark.slow
def test_mypy_takes_every_call_and_tells_every_mistake(tmp_path):
    """As a user has it: strict, and without the plugin of pydantic."""
    wrong = [n for n, line in enumerate(CALLS.read_text().splitlines(), start=1) if "# wrong: " in line]
    assert len(wrong) == 6
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = true\n[mypy-dask.*,distributed.*]\nignore_missing_imports = true\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", tmp_path / "cache", "--no-color-output",
         "--follow-imports", "silent", CALLS],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = [int(found) for found in re.findall(r"calls\.py:(\d+): error", done.stdout)]
    assert sorted(set(told)) == wrong, done.stdout + done.stderr
