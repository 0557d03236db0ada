"""What a scan does not look at, and what it says of what it cannot read."""

from __future__ import annotations

import os
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import write_tree

from zsync.errors import SourceError
from zsync.inventory import Selection, scan

NOBODY = 65534


def codes(found):
    return [(finding.code, finding.key) for finding in found.findings]


def _become_nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


@pytest.fixture(scope="module")
def as_nobody():
    """Call a function as a user for whom permissions count; the tests may be run by root."""
    if os.getuid() != 0:
        yield lambda function, *args, **options: function(*args, **options)
        return
    with ProcessPoolExecutor(1, mp_context=get_context("fork"), initializer=_become_nobody) as pool:
        yield lambda function, *args, **options: pool.submit(function, *args, **options).result()


@pytest.fixture
def root(tmp_path):
    """A source that others than its owner may read."""
    for above in (tmp_path, *tmp_path.parents):
        if above.owner() == tmp_path.owner() and above.stat().st_mode & 0o777 == 0o700:
            above.chmod(0o755)
    return write_tree(tmp_path / "root", {"a": b"1", "d": {"b": b"2"}})


# --- what is left out is not looked at --------------------------------------------------------------------------------


def a_loop(root):
    (root / "x" / "me").symlink_to("me")


def a_link_to_above(root):
    (root / "x" / "up").symlink_to("..")


def a_broken_link(root):
    (root / "x" / "gone").symlink_to("/absent")


def a_link_out(root):
    (root / "x" / "out").symlink_to("/etc")


def a_name_with_a_newline(root):
    (root / "x" / "a\nb").write_bytes(b"x")


def a_name_with_a_backslash(root):
    (root / "x" / "a\\b").write_bytes(b"x")


def a_directory_with_a_backslash(root):
    write_tree(root / "x" / "a\\b", {"c": b"x"})


def a_name_without_utf8(root):
    (root / "x" / os.fsdecode(b"caf\xe9")).write_bytes(b"x")


def a_pipe(root):
    os.mkfifo(root / "x" / "pipe")


def a_leftover(root):
    (root / "x" / "y.partial").write_bytes(b"x")


def something_of_the_future(root):
    (root / "x" / "y").write_bytes(b"x")
    os.utime(root / "x" / "y", (2**33, 2**33))


TROUBLE = [
    a_loop, a_link_to_above, a_broken_link, a_link_out, a_name_with_a_newline, a_name_with_a_backslash,
    a_directory_with_a_backslash, a_name_without_utf8, a_pipe, a_leftover, something_of_the_future,
]  # fmt: skip
LEFT_OUT = {
    "a name": Selection(exclude=("x",)),
    "a path": Selection(exclude=("/x",)),
    "all below": Selection(exclude=("x/**",)),
    "one by one": Selection(exclude=("x/*",)),
    "at any depth": Selection(exclude=("**/x/**",)),
    "a regex": Selection(exclude=("re:^x/",)),
    "a regex with an end": Selection(exclude=("re:^x(/|$)",)),
    "an include of another": Selection(include=("d",)),
    "an include of another and below": Selection(include=("d/**",)),
    "an include by regex": Selection(include=("re:^(a$|d/)",)),
    "places": Selection(within=frozenset({"a", "d"})),
    "not a place": Selection(without=frozenset({"x"})),
}


@pytest.mark.parametrize("trouble", TROUBLE, ids=[trouble.__name__ for trouble in TROUBLE])
def test_nothing_is_said_of_what_is_left_out(root, trouble):
    (root / "x").mkdir()
    trouble(root)
    assert codes(scan(str(root), "p")), "with nothing left out there is something to say"
    for what, selection in LEFT_OUT.items():
        found = scan(str(root), "p", selection=selection)
        assert codes(found) == [], what
        assert {"a", "d/b"} & set(found.only(selection).keys), what


@pytest.mark.parametrize("trouble", TROUBLE, ids=[trouble.__name__ for trouble in TROUBLE])
def test_trouble_itself_can_be_left_out_by_its_name(root, trouble):
    (root / "x").mkdir()
    trouble(root)
    [name] = [os.fsencode(path.name).decode(errors="surrogateescape") for path in (root / "x").iterdir()]
    for pattern in (name.replace("\\", "[\\\\]"), f"re:{re.escape(name)}", f"{name[:2]}*"):
        found = scan(str(root), "p", selection=Selection(exclude=(pattern,)))
        assert codes(found) == [], pattern


@pytest.mark.parametrize("pattern", ["x", "x/", "x/**", "x/*", "**/x", "re:^x/", "re:(^|/)x/", "re:x/y", "x*", "[xy]"])
def test_a_directory_that_is_left_out_is_not_entered(root, monkeypatch, pattern):
    write_tree(root / "x", {"y": {"z": b"1"}})
    entered = []
    real = os.scandir
    monkeypatch.setattr("os.scandir", lambda path: entered.append(str(path)) or real(path))
    found = scan(str(root), "p", selection=Selection(exclude=(pattern,)))
    assert str(root / "d") in entered
    assert str(root / "x" / "y") not in entered
    assert found.unseen in (("x",), ("x/y",))


@pytest.mark.parametrize("pattern", ["re:^x$", "re:^x/[^q]*$", r"re:^x\b(?!/q)", "re:^x/y$", "x/*y", "x/y?"])
def test_a_directory_of_which_only_a_part_is_left_out_is_entered(root, pattern):
    write_tree(root / "x", {"q": {"z": b"1"}, "y": b"1"})
    selection = Selection(exclude=(pattern,))
    found = scan(str(root), "p", selection=selection)
    assert "x/q/z" in found.only(selection).keys


KEYS = st.lists(st.sampled_from(["a", "b", "ab", "c.d"]), min_size=1, max_size=4).map("/".join)
PARTS = st.lists(st.sampled_from(["a", "b*", "**", "*", "?b", "[ab]", "c.d"]), min_size=1, max_size=3).map("/".join)
REGEXES = st.sampled_from(["re:^a", "re:b$", "re:a/b", "re:^a/b$", r"re:\.", "re:^(a|b)/", "re:ab?/", r"re:b\b"])
PATTERNS = st.lists(PARTS | REGEXES, max_size=3).map(tuple)


@given(PATTERNS, PATTERNS, st.none() | st.frozensets(KEYS, max_size=3), st.frozensets(KEYS, max_size=2), KEYS, KEYS)
def test_below_a_directory_that_is_not_entered_nothing_is_taken(include, exclude, within, without, directory, below):
    selection = Selection(include, exclude, within, without)
    if selection.leaves_out_below(directory) or selection.is_outside(directory):
        assert selection.mask([f"{directory}/{below}"]) == [False]


def test_a_name_with_a_newline_is_matched_like_any_other():
    assert Selection(exclude=("maps", "*.tif")).mask(["maps/a\nb", "x/a\nb.tif", "a\n/maps"]) == [False, False, False]


# --- what cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o000, 0o311])
def test_a_directory_that_cannot_be_read_is_told_and_the_rest_is_seen(root, as_nobody, mode):
    (root / "d").chmod(mode)
    found = as_nobody(scan, str(root), "p")
    assert found.keys == ["a"]
    assert codes(found) == [("unreadable", "d")]
    assert "Permission denied" in found.findings[0].message
    assert found.unseen == ("d",)


def test_files_of_a_directory_that_may_be_listed_but_not_entered_are_told(root, as_nobody):
    (root / "d").chmod(0o444)
    found = as_nobody(scan, str(root), "p")
    assert (found.keys, codes(found)) == (["a"], [("unreadable", "d/b")])


@pytest.mark.parametrize(
    ("selection", "is_told"),
    [
        (Selection(exclude=("d",)), False),
        (Selection(exclude=("re:^d$",)), False),
        (Selection(exclude=("re:^d(/|$)",)), False),
        (Selection(exclude=("d/x",)), True),
        (Selection(include=("a",)), False),
        (Selection(include=("e/**",)), False),
        (Selection(include=("e.zarr",)), False),
        (Selection(include=(r"re:^e\.zarr/",)), False),
        (Selection(include=("d/x",)), True),
        (Selection(include=("d",)), True),
        (Selection(include=("*.tif",)), True),
        (Selection(include=("**/x",)), True),
        (Selection(include=("re:x$",)), True),
        (Selection(within=frozenset({"a"})), False),
        (Selection(within=frozenset({"d/x"})), True),
    ],
)
def test_of_a_directory_that_cannot_be_read_it_is_told_if_something_of_it_was_wanted(
    root, as_nobody, selection, is_told
):
    (root / "d").chmod(0)
    found = as_nobody(scan, str(root), "p", selection=selection)
    assert [code for code, _ in codes(found)] == ["unreadable"] * is_told
    assert found.unseen == (() if selection.is_outside("d") else ("d",))


def test_a_root_that_cannot_be_read_is_an_error(root, as_nobody):
    root.chmod(0)
    with pytest.raises(SourceError, match="Permission denied"):
        as_nobody(scan, str(root), "p")


def test_too_many_open_files_are_not_the_directory_s_fault(root, monkeypatch):
    real = os.scandir

    def refuse(path):
        if str(path).endswith("/d"):
            raise OSError(24, "Too many open files")
        return real(path)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(SourceError, match="Too many open files") as raised:
        scan(str(root), "p")
    assert "permissions" not in str(raised.value)


# --- links ------------------------------------------------------------------------------------------------------------


def test_a_link_to_itself_is_a_finding(root):
    (root / "d" / "me").symlink_to("me")
    found = scan(str(root), "p")
    assert (found.keys, codes(found)) == (["a", "d/b"], [("link-loop", "d/me")])
    assert found.links == ("d/me",)


def test_links_that_lead_to_each_other_are_findings(root):
    for number in range(3):
        (root / "d" / f"l{number}").symlink_to(f"l{(number + 1) % 3}")
    assert codes(scan(str(root), "p")) == [("link-loop", f"d/l{number}") for number in range(3)]


@pytest.mark.parametrize("target", ["..", ".", "../d", "../../root", "../../root/d"])
def test_a_link_to_a_directory_above_is_a_finding(root, target):
    (root / "d" / "up").symlink_to(target)
    found = scan(str(root), "p", follow_symlinks=True)
    assert (found.keys, codes(found)) == (["a", "d/b"], [("link-loop", "d/up")])


def test_directories_that_are_linked_into_each_other_are_walked_once_each_way(root):
    write_tree(root, {"e": {"c": b"3"}})
    (root / "d" / "x").symlink_to("../e")
    (root / "e" / "y").symlink_to("../d")
    found = scan(str(root), "p")
    assert found.keys == ["a", "d/b", "d/x/c", "e/c", "e/y/b"]
    assert codes(found) == [("link-loop", "d/x/y"), ("link-loop", "e/y/x")]


def test_a_marker_that_is_a_link_is_seen_though_it_is_not_published(root):
    (root / "d" / "_SUCCESS").symlink_to("b")
    (root / "d" / "more_SUCCESS").symlink_to("..")
    selection = Selection(exclude=("re:_SUCCESS$",))
    found = scan(str(root), "p", selection=selection)
    assert (found.keys, codes(found)) == (["a", "d/_SUCCESS", "d/b"], [])
    assert found.only(selection).keys == ["a", "d/b"]


def test_a_link_through_a_file_leads_nowhere(root):
    (root / "l").symlink_to("a/b")
    assert codes(scan(str(root), "p")) == [("broken-link", "l")]


def test_a_link_to_what_may_not_be_looked_at_leads_out_all_the_same(root, as_nobody, tmp_path):
    write_tree(tmp_path / "secret", {"x": b"1"}).chmod(0)
    (root / "l").symlink_to(tmp_path / "secret" / "x")
    assert codes(as_nobody(scan, str(root), "p")) == [("outside-link", "l")]
    assert codes(as_nobody(scan, str(root), "p", follow_symlinks=True)) == [("unreadable", "l")]


def test_a_directory_deeper_than_a_path_may_be_is_a_finding(root):
    name = "n" * 200
    handle = os.open(root / "d", os.O_RDONLY)
    for _ in range(30):
        os.mkdir(name, dir_fd=handle)
        inner = os.open(name, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)
    try:
        found = scan(str(root), "p")
        assert found.keys == ["a", "d/b"]
        [finding] = found.findings
        assert (finding.code, "too long" in finding.message) == ("unreadable", True)
    finally:
        os.system(f"rm -rf {root}/d")


def test_a_thousand_directories_in_each_other_are_walked(tmp_path):
    deep = str(tmp_path)
    for _ in range(sys.getrecursionlimit() + 500):
        deep += "/d"
        os.mkdir(deep)  # noqa: PTH102 - not by recursion
    with open(f"{deep}/f", "xb"):
        pass
    assert len(scan(str(tmp_path), "p").keys) == 1
    os.system(f"rm -rf {tmp_path}/d")
