"""Pulls, without any store: which keys may become files, and what is left alone."""

from __future__ import annotations

import os
import posixpath

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from zsync.layout import local_findings
from zsync.planning import Survey, leave_existing, plan_product
from zsync.tables import MANIFEST, OBJECTS, SOURCE, TARGET, column, table_of

PARTS = st.text(st.sampled_from("ab./\\\0~ \x1f"), max_size=6)
KEYS = st.lists(st.builds("/".join, st.lists(PARTS, min_size=1, max_size=4)), min_size=1, max_size=6, unique=True)


@given(KEYS)
def test_what_is_not_refused_lies_below_the_directory_and_can_be_written(keys):
    """Every key that passes is its own normal path, and no two of them need one name as a file and as a directory."""
    refused = {finding.key for finding in local_findings("p", keys)}
    fine = [key for key in keys if repr(key)[1:-1] not in refused]
    for key in fine:
        assert posixpath.normpath(key) == key
        assert not key.startswith(("/", "../"))
        assert "\0" not in key
        assert os.path.realpath(f"/dest/{key}").startswith("/dest/")
    directories = {"/".join(key.split("/")[:end]) for key in fine for end in range(1, key.count("/") + 1)}
    assert not directories & set(fine)


def test_a_file_where_a_directory_is_needed_is_refused_and_the_advice_is_to_leave_it_alone_out():
    [found] = local_findings("p", ["a.b", "a.b/c/d", "a.bc", "e/f"])
    assert (found.level, found.code, found.key) == ("error", "unfit-key", "a.b")
    assert found.message.endswith("exclude it alone: 're:^a\\.b$'")
    refused = local_findings("p", ["../x", "a//b", "c\0", "d", "d/e", "f/", "/g"])
    assert [found.key for found in refused] == ["../x", "/g", "a//b", "c\\x00", "f/", "d"]
    assert all(found.message.endswith("; exclude it") for found in refused[:-1])
    assert local_findings("p", ["a/b", "a/c", "ab"]) == []


def survey(source, here, pulled, stores):
    """Content is a letter and a size; `pulled` holds what was pulled, with the content that it had then."""
    keys = sorted(source)
    objects = [
        {"key": key, "store": stores.get(key.split("/")[0]), "role": "file",
         "stage": "root" if key.endswith("root") else "data", "rank": 0}
        for key in keys
    ]  # fmt: skip
    return Survey(
        source=table_of(
            [{"key": key, "size": size, "digest": what} for key in keys for what, size in [source[key]]], SOURCE
        ),
        objects=table_of(objects, OBJECTS),
        headers=column([None] * len(keys), pa.string()),
        generated={},
        target=table_of([{"key": k, "size": size, "etag": what} for k, (what, size) in sorted(here.items())], TARGET),
        gone=OBJECTS.empty_table(),
        gone_selected=column([], pa.bool_()),
        manifest=table_of(
            [{"key": k, "size": size, "etag": what, "digest": what} for k, (what, size) in sorted(pulled.items())],
            MANIFEST,
        ),
        etag_is_md5=False,
    )


def test_what_is_left_alone_is_on_no_record_and_told_once_a_store():
    """It is a version of its own: what is there is not what the source has."""
    source = {"s/root": ("x", 1), "s/a": ("x", 1), "s/b": ("x", 1), "f/a": ("x", 1), "f/b": ("x", 1), "f/c": ("x", 2)}
    here = {"s/root": ("y", 1), "s/a": ("x", 1), "f/a": ("y", 1), "f/b": ("y", 1), "f/c": ("y", 1)}
    made = survey(source, here, {}, {"s": "s"})
    table, findings = leave_existing("p", plan_product("p", made, keeps=True), made)
    rows = {row["key"]: (row["action"], row["reason"], row["digest"]) for row in table.to_pylist()}
    left = ("keep", "exists already", None)
    follows = ("send", "changed", "x")  # of another size
    assert rows == {"s/root": left, "s/a": left, "f/a": left, "f/b": left, "f/c": follows}
    assert [(found.level, found.code, found.key) for found in findings] == [
        ("warning", "left-alone", "s"), ("info", "left-alone", "f/a"),
    ]  # fmt: skip
    assert findings[1].message.startswith("2 files are there")
    empty = survey(source, {}, {}, {"s": "s"})
    assert leave_existing("p", plan_product("p", empty, keeps=True), empty)[1] == []


CONTENT = st.tuples(st.sampled_from("xyz"), st.sampled_from([1, 2]))
NAMES = st.sampled_from(["s/root", "s/a", "s/b", "f/a", "f/b"])
TREES = st.dictionaries(NAMES, CONTENT)


@given(source=TREES.filter(bool), here=TREES, pulled=TREES)
def test_safe_mode_touches_nothing_that_is_not_known_to_be_ours(source, here, pulled):
    here = {key: what for key, what in here.items() if key in source}
    made = survey(source, here, pulled, {"s": "s"})
    plan, findings = leave_existing("p", plan_product("p", made, keeps=True), made)
    sent = set(plan.filter(pa.compute.equal(plan["action"], "send"))["key"].to_pylist())
    ours = {key for key, what in here.items() if pulled.get(key) == what}
    for key in sent & here.keys():
        if key.startswith("f/"):
            assert here[key][1] != source[key][1]  # of the same size nothing is touched
        else:
            shown = "s/root" in here
            assert key in ours or not shown
    # A store is brought up to date whole, or left alone whole.
    store_sent = {key for key in sent if key.startswith("s/")}
    left = {finding.key for finding in findings if finding.level == "warning"}
    assert not (store_sent and "s" in left)
    if not left:
        differing = {key for key in source if key.startswith("s/") and here.get(key) != source[key]}
        assert differing <= sent
