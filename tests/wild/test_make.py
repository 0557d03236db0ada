"""`make wild`: what it says of stores that became different, and what a script's header asks for."""

from __future__ import annotations

import dataclasses
import json

import pytest
from kept import cases, scripts
from make import differences, header, wanted


@pytest.fixture(scope="module")
def kept():
    return {case.name: case for case in cases("zarr_3_1")}


def changed(case, **files):
    return dataclasses.replace(case, after={**case.after, **files})


def test_what_is_made_the_same_is_not_told(kept):
    assert differences([*kept.values()], [*kept.values()]) == []


def test_what_became_different_is_told_by_meaning(kept):
    case = kept["append"]
    document = json.loads(case.after["t2m/zarr.json"])
    reordered = json.dumps(dict(reversed(document.items()))).encode()
    other = json.dumps({**document, "fill_value": 0, "storage_transformers": [1]}).encode()

    def told(**files):
        return differences([case], [changed(case, **files)])

    assert told(**{"t2m/zarr.json": reordered}) == ["append, after: 1 documents the same in other words"]
    (line,) = told(**{"t2m/zarr.json": other})
    assert line.startswith("append, after: t2m/zarr.json: ")
    assert 'fill_value was "NaN", is 0' in line
    assert told(**{"t2m/c/0/0": b"x"}) == [
        f"append, after: t2m/c/0/0: other bytes ({len(case.after['t2m/c/0/0'])}, now 1)"
    ]
    assert told(**{"t2m/c/9/9": b"x"}) == ["append, after: with t2m/c/9/9"]


def test_cases_and_values_that_come_and_go_are_told(kept):
    case, other = kept["append"], kept["rewrite"]
    assert differences([case], [other]) == ["append: is not made any more", "rewrite: is new"]
    holds = {**case.about["holds"], "before": {**case.about["holds"]["before"], "t2m": [[6, 6], "f4", "0"]}}
    now = dataclasses.replace(case, about={**case.about, "holds": holds})
    assert differences([case], [now]) == ["append, before: holds something else in t2m"]


def test_the_newest_packages_are_asked_for_but_not_of_writers_that_are_old_on_purpose():
    by_name = {script.stem: script for script in scripts()}
    assert wanted(by_name["tensorstore_newest"], newest=True) == ["tensorstore", "numpy"]
    assert wanted(by_name["zarrita"], newest=True) == ["zarrita"]
    for name in ("zarr_2_13", "xarray_2024", "zarrita", "tensorstore_newest"):
        pinned = wanted(by_name[name], newest=False)
        assert all("==" in package or "@" in package for package in pinned), pinned
    assert wanted(by_name["zarr_2_13"], newest=True) == header(by_name["zarr_2_13"])["dependencies"]
