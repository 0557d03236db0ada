"""What differs between two manifests, array by array: nothing more and nothing less, wherever its parts were cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsync.errors import ConfigError
from zsync.history.difference import borrowed, compare, differences, runs
from zsync.history.model import Known
from zsync.history.show import where
from zsync.history.span import Span
from zsync.layout import Array, Grid, KeyEncoding
from zsync.tables import MANIFEST, table_of

SLASH = KeyEncoding("default", "/")


def manifest(rows):
    """Return a manifest of ``{key: (digest, size, headers)}``; chunks are those of an array t2m at the root."""
    return table_of(
        [
            {
                "key": key, "size": size, "digest": digest, "etag": f"e{digest}", "headers": headers,
                "store": "", "array": "t2m", "stage": "data" if "/c/" in key else "array",
            }
            for key, (digest, size, headers) in rows.items()
        ],
        MANIFEST,
    )  # fmt: skip


def changes(before, after):
    return {row["key"]: row["change"] for row in compare(manifest(before), manifest(after)).to_pylist()}


CONTENT = st.tuples(st.sampled_from(["aa", "bb", None]), st.just(3), st.sampled_from(["h", "i"]))
SIDE = st.dictionaries(st.sampled_from([f"t2m/c/{i}/{j}" for i in range(3) for j in range(2)]), CONTENT)


@settings(max_examples=40)
@given(SIDE, SIDE, st.sets(st.integers(0, 5)))
def test_the_difference_leads_from_one_publication_to_the_other(before, after, cuts):
    found = changes(before, after)
    assert {key for key, kind in found.items() if kind == "new"} == after.keys() - before.keys()
    assert {key for key, kind in found.items() if kind == "removed"} == before.keys() - after.keys()
    for key in before.keys() & after.keys():
        if before[key] == after[key]:
            assert key not in found
        elif before[key][0] == after[key][0]:
            assert found[key] == "headers"
        else:
            assert found[key] == "changed"
    # What both have in one part need not be looked at.
    same = {key for key in before.keys() & after.keys() if before[key] == after[key]}
    shared = {key for key in same if sum(key.encode()) % 6 in cuts}
    assert found == changes(*({key: side[key] for key in side.keys() - shared} for side in (before, after)))


def test_bytes_of_which_nothing_is_known_are_not_the_same():
    row = {"key": "a", "size": 3, "etag": None, "digest": None}
    assert len(compare(table_of([row], MANIFEST), table_of([row], MANIFEST))) == 1
    other = {**row, "digest": "aa", "etag": "e"}
    assert len(compare(table_of([other], MANIFEST), table_of([{**other, "digest": None}], MANIFEST))) == 0


def known(shape, chunks, **labels):
    grid = Grid(shape, chunks, SLASH)
    return Known(Array("t2m", 3, shape, grid), ("time", None), labels)


def difference(before, after, old, new):
    table = compare(manifest(before), manifest(after))
    place = ("", "t2m")
    sides = ({place: old} if old else {}, {place: new} if new else {})
    [found] = differences(table, borrowed(*sides), borrowed(sides[1], sides[0]))
    return found


def chunks(*indices, digest="aa"):
    return {f"t2m/c/{i}/{j}": (digest, 4, "h") for i, j in indices}


DAYS = [f"2020-01-{day:02}" for day in range(1, 13)]


def test_what_was_appended_and_what_was_rewritten_are_told_by_their_labels():
    old = chunks((0, 0), (0, 1), (1, 0), (1, 1))
    new = {**old, **chunks((0, 1), digest="bb"), **chunks((2, 0), (2, 1)), "t2m/zarr.json": ("cc", 9, "h")}
    found = difference(old, new, known((10, 8), (5, 4)), known((12, 8), (5, 4), time=DAYS))
    assert (found.chunks, found.others) == ({"new": 2, "changed": 1}, {"new": 1})
    assert (found.shape_before, found.shape, found.bytes) == ((10, 8), (12, 8), 4 * 3 + 9)
    assert where(found) == "new time 2020-01-11..2020-01-12; changed time 2020-01-01..2020-01-05, axis 1 [4..7]"
    [axis, _] = found.to_dict()["along"]["new"]
    labels = ["2020-01-11", "2020-01-12"]
    ranges = [{"chunks": [2, 2], "cells": [10, 11], "labels": labels}]
    assert axis == {"dimension": "time", "all": False, "ranges": ranges}


def test_of_what_cannot_be_had_any_more_only_chunks_are_told():
    found = difference(chunks((0, 0), (3, 0)), {}, None, known((10, 8), (5, 4), time=DAYS))
    assert where(found) == "time chunks [0], chunks [3], axis 1 chunks [0]"
    scattered = difference({}, chunks((0, 0), (1, 1)), None, known((10, 8), (5, 4), time=DAYS))
    assert where(scattered) == "some of it"
    assert (found.shape_before, found.shape) == (None, (10, 8))
    found = difference(chunks((0, 0)), {}, None, None)
    assert (where(found), found.chunks) == ("", {"removed": 1})


def test_chunks_of_their_own_lengths():
    found = difference({}, chunks((1, 0), (2, 0)), None, known((12, 4), ((3, 4, 5), 4), time=DAYS))
    assert where(found) == "time 2020-01-04..2020-01-12"


@given(st.sets(st.integers(0, 30)))
def test_ranges_hold_what_they_were_made_of(numbers):
    found = runs(sorted(numbers))
    assert [n for first, last in found for n in range(first, last + 1)] == sorted(numbers)
    assert all(second[0] > first[1] + 1 for first, second in pairwise(found))


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("a..b", Span("a", "b")), ("a..", Span("a", "head")), ("..b", Span(None, "b")), ("..", Span(None, "head")),
        ("2026-11-20", Span(None, "2026-11-20", is_one=True)), (" a .. b ", Span("a", "b")),
    ],
)  # fmt: skip
def test_spans(text, span):
    assert Span.of(text) == span


@pytest.mark.parametrize("text", ["", " ", "a..b..c"])
def test_what_names_no_publications(text):
    with pytest.raises(ConfigError, match="names no publications"):
        Span.of(text)


def test_an_array_that_claims_to_be_endless_costs_nothing():
    found = difference({}, chunks((0, 0), (2**60, 0)), None, known((2**62, 8), (1, 8)))
    assert where(found) == f"time [0], [{2**60}]"
