"""The gate: what is a key, what is none, and that there is no way round it."""

from __future__ import annotations

import ast
import inspect
import re
import time
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsync.errors import UnfitKeyError
from zsync.keys import SUSPECT, checked, of_state, shown, sort, under, unfit, unfit_here
from zsync.storage import ObjectStore, Over
from zsync.storage.file_transport import FileTransport
from zsync.storage.fsspec_transport import FsspecTransport
from zsync.storage.handles import place
from zsync.storage.obstore_transport import ObstoreTransport
from zsync.storage.retrying import Retrying
from zsync.transfer.batch import Retire, Send

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "zsync").rglob("*.py"))

FIT = [
    "a",
    "a/b",
    ".zattrs",
    "..a",
    "a..",
    "...",
    "a.zarr/c/0/1",
    "é/日本",
    "a b",
    "%2e%2e",
    "a:b",
    "~",
    "-rf",
    ".zsyncx",
]
UNFIT = {
    "it has an empty part": ["", "/", "/a", "a/", "a//b", "//a"],
    "it has a part that leads elsewhere": [".", "..", "../a", "a/..", "a/./b", "./a", "a/../../b", "/../a"],
    "it holds a control character or a backslash": ["a\0", "a\nb", "\x1b[2J", "a\x7f", "a\\b", "C:\\x", "\\\\host\\x"],
    "it is not UTF-8": ["\udc80", "a/\ud800/b"],
    "it lies where zsync keeps its records": [".zsync", ".zsync/a", "a/.zsync", "a/.ZSYNC/b", ".Z\u017fync/b"],
    "it has more than 1024 bytes": ["x" * 1025, "é" * 513],
}
CASES = [(reason, key) for reason, keys in UNFIT.items() for key in keys]


@pytest.mark.parametrize("key", FIT)
def test_what_is_a_key(key):
    assert unfit(key) is None
    assert checked(key) == key
    assert under("data", key) == under("data/", key) == f"data/{key}"
    assert not pc.match_substring_regex(pa.array([key]), SUSPECT)[0].as_py()


@pytest.mark.parametrize(("reason", "key"), CASES, ids=[ascii(key)[:20] for _, key in CASES])
def test_what_is_none(reason, key):
    assert unfit(key) == reason
    for way in (checked, lambda text: under("data", text), of_state):
        if way is of_state and not key:  # the directory itself
            continue
        with pytest.raises(UnfitKeyError, match=reason) as raised:
            way(key)
        assert str(raised.value).isprintable()
    if reason != "it is not UTF-8":  # Arrow has no such text
        assert pc.match_substring_regex(pa.array([key]), SUSPECT)[0].as_py()


@pytest.mark.parametrize("key", ["C:/x", "c:", "z:/"[:-1] + "/y", "x" * 256, "a/" + "é" * 128])
def test_what_is_a_key_and_no_file_here(key):
    assert unfit(key) is None
    assert unfit_here(key) is not None
    assert sort([key, "a"], here=True).fit == ["a"]
    assert sort([key, "a"]).fit == [key, "a"]


def test_a_prefix_does_not_climb():
    with pytest.raises(UnfitKeyError, match="leads elsewhere"):
        under("a/../b", "c")


TEXTS = st.text(st.sampled_from("ab./\\:\0\n~é\ud800") | st.characters(), max_size=12) | st.lists(
    st.sampled_from(["a", "..", ".", "", ".zsync", ".ZSYNC", "b\0", "é"]), max_size=5
).map("/".join)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_what_passes_stays_inside_and_comes_back_as_it_is(text):
    reason = unfit(text)
    assert sort([text]).fit == ([text] if reason is None else [])
    if reason is None:
        path = PurePosixPath("/here", text)
        assert path.as_posix() == f"/here/{text}"
        assert not {"..", ".", ".zsync"} & {part.casefold() for part in path.parts}
        assert text.encode().decode() == text
    assert shown(text).isprintable()


def test_a_look_costs_about_a_microsecond():
    keys = [f"oco3_pre_qf.zarr/Auxiliary/co2/c/{n}/12/3" for n in range(20_000)]
    best = min(_seconds(keys) for _ in range(5))
    assert best / len(keys) < 20e-6  # much more than that, for machines that are busy


def _seconds(keys):
    start = time.thread_time()
    for key in keys:
        under("data/products/", key)
    return time.thread_time() - start


def test_a_hostile_key_costs_no_more():
    start = time.perf_counter()
    for key in ("../" * 300_000, "a/" * 500_000, "." * 10**6, ".zsync" * 10**5, "é" * 10**6):
        unfit(key)
    assert time.perf_counter() - start < 5


# --- there is no way round --------------------------------------------------------------------------------------------


def makes_keys(tree):
    """Yield the lines at which a text is called a key."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        said = ast.unparse(node.args[0]) if node.args else ""
        if name == "Key" or (name == "cast" and re.search(r"\bKey\b", said)) or (name == "NewType" and "Key" in said):
            yield node.lineno


IGNORES = re.compile(r"#\s*type:\s*ignore(?:\[([\w, -]+)\])?")
ARE_ABOUT_KEYS = re.compile(r"arg-type|assignment|return-value|list-item|misc|operator|call-overload|union-attr")
# What is ignored for other reasons, and has nothing to do with keys.
KNOWN = {
    ("inventory/snapshot.py", "assignment"), ("storage/obstore_transport.py", "arg-type"),
    ("storage/opening.py", "arg-type"), ("cli/team.py", "arg-type"),
    ("demo/check.py", "misc"), ("packed.py", "assignment"),
}  # fmt: skip


def test_only_the_gate_makes_keys():
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        if path.name != "keys.py"
        for line in makes_keys(ast.parse(path.read_text()))
    ]
    assert found == []
    assert list(makes_keys(ast.parse((ROOT / "zsync" / "keys.py").read_text())))


@pytest.mark.parametrize("code", ["Key('x')", "keys.Key(text)", "cast(Key, x)", "typing.cast('Key', x)"])
def test_a_way_round_would_be_found(code):
    assert list(makes_keys(ast.parse(code))) == [1]


def test_no_key_is_made_by_looking_away():
    ignored = {
        (path.relative_to(ROOT / "zsync").as_posix(), code)
        for path in SOURCES
        for codes in IGNORES.findall(path.read_text())
        for code in (codes or "assignment").split(", ")
        if ARE_ABOUT_KEYS.fullmatch(code)
    }
    assert ignored <= KNOWN


TAKES = {
    "get": ["key"], "fetch": ["key"], "pieces": ["key"], "head": ["key"], "put": ["key"], "put_parts": ["key"],
    "put_if": ["key"], "copy": ["source", "target"], "delete": ["keys"], "remove": ["items"],
}  # fmt: skip


@pytest.mark.parametrize("store", [ObjectStore, Retrying, FileTransport, FsspecTransport, ObstoreTransport])
def test_every_store_takes_keys_and_no_texts(store):
    """That nothing else is given is what mypy sees to."""
    for method, names in TAKES.items():
        told = inspect.signature(getattr(store, method)).parameters
        assert {told[name].annotation for name in names} <= {"Key", "Sequence[Key]", "Sequence[tuple[Key, Over]]"}, (
            method
        )
    assert Over.__annotations__["keep"] == "Key | None"
    for kind in (Send, Retire):
        assert kind.__annotations__["target"] == "Key"
    assert inspect.signature(place).parameters["key"].annotation == "Key"
