"""What is remembered of services: that they honour conditions, for a week, each bucket of each endpoint for itself."""

from __future__ import annotations

import json
import os

import pytest

from zsync.config import Location
from zsync.publication import trials as trials_module
from zsync.publication.trials import BELIEVED_S, Trials
from zsync.storage import Habits, StoreSpec

SPEC = StoreSpec(Location.parse("s3://bucket"), "obstore", endpoint_url="http://127.0.0.1:1")
OTHERS = [
    StoreSpec(Location.parse("s3://other"), "obstore", endpoint_url="http://127.0.0.1:1"),
    StoreSpec(Location.parse("s3://bucket"), "obstore", endpoint_url="http://127.0.0.1:2"),
    StoreSpec(Location.parse("s3://bucket"), "obstore"),
]


@pytest.fixture
def trials(tmp_path):
    return Trials(tmp_path / "services")


def recalled(trials, spec=SPEC):
    habits = Habits()
    is_known = trials.recall(spec, habits)
    assert is_known == (habits.conditions != "unknown")
    return habits.conditions


def test_what_was_found_out_is_known_of_this_bucket_of_this_service_only(trials):
    assert recalled(trials) == "unknown"
    trials.keep(SPEC, Habits(conditions="honoured"))
    assert recalled(trials) == "honoured"
    assert [recalled(trials, other) for other in OTHERS] == ["unknown"] * 3


@pytest.mark.parametrize("conditions", ["ignored", "refused", "unknown"])
def test_nothing_else_is_remembered_and_it_is_forgotten_then(trials, conditions):
    trials.keep(SPEC, Habits(conditions="honoured"))
    trials.keep(SPEC, Habits(conditions=conditions))
    assert recalled(trials) == "unknown"
    trials.keep(SPEC, Habits(conditions=conditions))  # there is nothing to forget


@pytest.mark.parametrize(("age_s", "expected"), [(0, "honoured"), (BELIEVED_S - 1, "honoured"), (BELIEVED_S, "unknown"),
                                                 (-1, "unknown")])  # fmt: skip
def test_it_is_believed_for_a_week(trials, monkeypatch, age_s, expected):
    monkeypatch.setattr(trials_module.time, "time", lambda: 1000.0)
    trials.keep(SPEC, Habits(conditions="honoured"))
    monkeypatch.setattr(trials_module.time, "time", lambda: 1000.0 + age_s)
    assert recalled(trials) == expected


def test_what_a_process_has_found_out_itself_stays(trials):
    trials.keep(SPEC, Habits(conditions="honoured"))
    habits = Habits(conditions="ignored")
    assert trials.recall(SPEC, habits)
    assert habits.conditions == "ignored"


DAMAGED = [
    *("", "{", "[]", "null", "{}", "[" * 9999),
    '{"conditions": "honoured", "at_s": "soon"}',
    '{"conditions": "honoured", "at_s": NaN}',
    '{"conditions": "ignored", "at_s": 0}',
]


@pytest.mark.parametrize("said", DAMAGED, ids=lambda said: said[:40] or "empty")
def test_a_file_that_is_damaged_tells_nothing(trials, tmp_path, said):
    trials.keep(SPEC, Habits(conditions="honoured"))
    [path] = (tmp_path / "services").iterdir()
    path.write_text(said)
    assert recalled(trials) == "unknown"
    trials.keep(SPEC, Habits(conditions="honoured"))
    assert recalled(trials) == "honoured"


def test_where_nothing_can_be_kept_nothing_is(tmp_path):
    (tmp_path / "services").write_text("a file is in the way")
    trials = Trials(tmp_path / "services")
    trials.keep(SPEC, Habits(conditions="honoured"))
    assert recalled(trials) == "unknown"


def test_no_secret_is_kept(trials, tmp_path):
    trials.keep(SPEC, Habits(conditions="honoured"))
    [path] = (tmp_path / "services").iterdir()
    assert json.loads(path.read_text()).keys() == {"conditions", "at_s"}
    assert os.sep not in path.name
