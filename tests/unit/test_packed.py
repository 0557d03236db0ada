"""Columns without a Python object a row are what lists of the same values are."""

from __future__ import annotations

import sys

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsync import tables
from zsync.packed import Signatures, Texts, numbers_of
from zsync.tables import chosen, column, each, each_row, hexadecimal, looked_up, taken, texts_of
from zsync.transfer import Receipt, Receipts

TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
TEXTS = st.lists(st.none() | TEXT, max_size=30)
I64 = st.integers(-(2**63), 2**63 - 1)
ROWS = st.lists(st.tuples(I64, I64, I64, st.integers(0, 2**64 - 1)), max_size=8)


@given(TEXTS, TEXTS, st.integers(-35, 35), st.integers(-35, 35))
def test_texts_are_as_a_list_of_them(first, second, start, stop):
    texts, both = Texts(first), first + second
    texts.extend(second)
    assert list(texts) == both
    assert texts == both
    assert both == texts
    assert texts == Texts(both)
    assert texts != [*both, "x"]
    assert texts != Texts([*both[:-1], "another"])
    assert texts[start:stop] == both[start:stop]
    assert [texts[place] for place in range(-len(both), len(both))] == both + both
    with pytest.raises(IndexError):
        texts[len(both)]
    arrow = column(texts, pa.string())
    arrow.validate(full=True)
    assert arrow.to_pylist() == both
    some = pa.chunked_array([arrow, arrow]).slice(1)
    assert list(texts_of(some)) == (both + both)[1:]
    assert list(each(some)) == (both + both)[1:]


@given(st.sets(TEXT, max_size=20), TEXT)
def test_the_place_of_a_text_is_found_among_those_in_order(texts, other):
    ordered = sorted(texts)
    assert [Texts(ordered).place_of(text) for text in ordered] == list(range(len(ordered)))
    assert (Texts(ordered).place_of(other) is None) == (other not in texts)


def test_names_that_are_no_text_come_back_as_they_were():
    names = [b"\xff\xfe".decode(errors="surrogateescape"), "plain", "\ud800"]
    assert list(Texts(names)) == names


@given(ROWS, st.randoms(use_true_random=False))
def test_signatures_are_as_a_list_of_them(rows, random):
    order = random.sample(range(len(rows)), len(rows))
    assert [*Signatures(rows)] == rows == Signatures(rows)
    assert Signatures(rows).in_order(order) == [rows[place] for place in order]
    assert [Signatures(rows)[place] for place in range(len(rows))] == rows
    assert Signatures(rows) != [*rows, (0, 0, 0, 0)]


@pytest.fixture
def runs_matter(monkeypatch):
    monkeypatch.setattr(tables, "_MANY", 4)
    monkeypatch.setattr(tables, "_RUN", 2)


PLACES = st.lists(
    st.tuples(st.integers(0, 19) | st.none(), st.integers(1, 9)), max_size=6
)  # runs: where they begin, None for what is nowhere, and how long they are


@pytest.mark.usefixtures("runs_matter")
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=6), PLACES, st.sampled_from(["int32", "uint64"]))
def test_runs_are_what_a_copy_would_be(mask, places, kind):
    numbers = numbers_of(range(60))
    table = pa.table([column(numbers, pa.int64()), column(Texts(map(str, numbers)), pa.string())], names=["n", "t"])
    is_in = [value for value, count in mask for _ in range(count)]
    rows = table.slice(0, len(is_in))
    assert chosen(rows, column(is_in, pa.bool_())).to_pylist() == rows.filter(column(is_in, pa.bool_())).to_pylist()
    where = [None if start is None else start + n for start, count in places for n in range(count)]
    index = column(where, pa.type_for_alias(kind))
    assert taken(table, index).to_pylist() == table.take(index).to_pylist()
    assert list(each_row(rows, ("t", "n"))) == [(str(n), n) for n in range(len(is_in))]


@pytest.mark.usefixtures("runs_matter")
def test_long_runs_are_where_they_were():
    table = pa.table([column(numbers_of(range(100)), pa.int64())], names=["n"])
    most = chosen(table, pc.greater(table["n"], 10))
    run = taken(table, column(numbers_of(range(5, 60)), pa.int64()))
    place = table["n"].chunk(0).buffers()[1].address
    assert {part["n"].chunk(0).buffers()[1].address for part in (most, run)} == {place}
    few = chosen(table, pc.less(table["n"], 5))
    assert few["n"].chunk(0).buffers()[1].address != place, "what is little keeps what is much in memory"


def test_what_is_known_of_some_keys():
    keys = column(["a", "b", "c"], pa.string())
    assert looked_up(keys, {"b": "x", "z": "y"}, pa.string()).to_pylist() == [None, "x", None]
    assert looked_up(keys, {}, pa.string()).to_pylist() == [None] * 3


def test_receipts_grow_as_a_list_does():
    rows = [
        Receipt("p", "a", 1, "0d" * 32, "e", None),
        Receipt("q", "b", 2, "0d" * 32, None, "v"),
        Receipt("p", "c", 3, "f0" * 32, "g", "w"),
    ]
    receipts = Receipts(rows[:1])
    receipts.append(rows[1])
    receipts += rows[2:]
    assert len(receipts) == 3
    assert sorted(receipts, key=lambda row: row.key) == rows
    assert receipts.products == ("p", "q")
    assert receipts.table("p").to_pylist() == [
        {"key": "a", "digest": b"\x0d" * 32, "etag": "e", "version": None},
        {"key": "c", "digest": b"\xf0" * 32, "etag": "g", "version": "w"},
    ]
    assert hexadecimal(receipts.table("p")["digest"].slice(1)).to_pylist() == ["f0" * 32]
    assert hexadecimal(column([None, b"\x01" * 32], pa.binary(32))).to_pylist() == [None, "01" * 32]
    assert len(receipts.table("nothing")) == len(hexadecimal(receipts.table("nothing")["digest"])) == 0


def test_a_text_takes_little_more_than_its_bytes():
    texts = Texts(f"t2m/{n:06}" for n in range(10_000))
    assert sum(piece.nbytes for piece in texts.pieces()) < 10_000 * (10 + 8) + 100
    assert sys.getsizeof(texts.data) < 10_000 * 10 * 1.3
