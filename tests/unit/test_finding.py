"""Which publication is meant by what a user writes, which were ever the head's, and what is read to know that."""

from __future__ import annotations

import json

import pytest

from zsync.config import Location, Storage
from zsync.errors import ConfigError
from zsync.publication import Part, Publication, PublishedProduct, Records, StateKeys, find, read_parts
from zsync.publication.finding import before
from zsync.publication.record import FORMAT, read_record
from zsync.storage import Headers, connect, spec_for

HOURS = ["20261118T08", "20261119T08", "20261120T08", "20261120T20", "20261121T08"]
IDS = [f"{hour}0000000Z-{number:08x}" for number, hour in enumerate(HOURS)]
CUT_OFF = "20261120T120000000Z-dddddddd"  # on record, and never the head's
NO_HEADERS = Headers()


def product(parent, **more):
    return PublishedProduct("p", "memory://b/p", "files", parent, 1, 2, 0, 3, (Part("0" * 64, 3, 9),), **more)


def record(name, parent):
    day, clock = name[:8], name[9:15]
    time = f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:05:{clock[4:]}Z"
    return Publication(name, time, {"user": "ada", "host": "h", "zsync": "1"}, (product(parent),), 3, 9)


class Counting:
    """A store that counts what is read."""

    def __init__(self, store):
        self.store, self.read = store, []

    def get(self, key, **named):
        self.read.append(key)
        return self.store.get(key, **named)

    def __getattr__(self, name):
        return getattr(self.store, name)


@pytest.fixture
def shelf(tmp_path):
    """Five publications and one that was cut off, in a directory; returns the store and its keys."""
    location = Location.parse(f"file://{tmp_path}/p")
    store, keys = connect(spec_for(location, Storage(), "auto")), StateKeys.of(location)
    for number, name in enumerate(IDS):
        parent = IDS[number - 1] if number else None
        made = record(name, parent)
        store.put(keys.publication(name), json.dumps(made.to_dict(made.product)).encode(), NO_HEADERS)
    lost = record(CUT_OFF, IDS[2])
    store.put(keys.publication(CUT_OFF), json.dumps(lost.to_dict(lost.product)).encode(), NO_HEADERS)
    head = {"format": FORMAT, "publication": IDS[-1], "manifest": [Part("0" * 64, 3, 9).to_dict()]}
    store.put(keys.head, json.dumps(head).encode(), NO_HEADERS)
    return Counting(store), keys


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("head", 4), ("head~0", 4), ("head~", 3), ("head~4", 0), (IDS[1], 1), ("20261119", 1), ("20261120T20", 3),
        ("2026-11-18", 0), ("2026-11-20", 3), ("2026-11-20T12", 2), ("2026-11-20 08:04", 1), ("2026-11-20T08:05", 2),
        ("2026-11-20T08:05:00Z", 2), ("2026-11-20T09:05+01:00", 2), ("2027-01-01", 4),
    ],
)  # fmt: skip
def test_a_publication_is_found_by_id_place_and_time(shelf, text, number):
    assert find(Records(*shelf), text).id == IDS[number]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("head~5", "only 5 publications"), ("20261120", "3 publications begin so"),
        ("20261130", "no such publication"), ("", "no such publication"), ("../head", "no such publication"),
        ("2026-11-17", "nothing was published by then"),
        ("2026-13-01", "no such publication"), ("head~x", "no such publication"),
    ],
)  # fmt: skip
def test_what_names_none_or_several_is_an_error_that_says_so(shelf, text, says):
    with pytest.raises(ConfigError, match=says):
        find(Records(*shelf), text)


def test_what_was_cut_off_before_its_head_moved_is_nobodys_publication(shelf):
    records = Records(*shelf)
    assert [item.id for item in records.newest()] == IDS[::-1]
    assert not records.was_head(CUT_OFF)
    assert all(records.was_head(name) for name in IDS)


def test_no_more_records_are_read_than_needed(shelf):
    store, keys = shelf
    assert [item.id for item in Records(store, keys).newest(2)] == [IDS[4], IDS[3]]
    assert len(store.read) == 3  # the head, and two records
    store.read.clear()
    find(Records(store, keys), IDS[1])
    assert store.read == [keys.publication(IDS[1])]
    store.read.clear()
    assert Records(store, keys).oldest().id == IDS[0]
    assert len(store.read) == 6  # it, the head, and the next four, of which the first names it
    assert read_parts(store, keys, "head~1") == ((Part("0" * 64, 3, 9),), IDS[3])


def test_what_came_before_is_named_or_is_not_on_record_any_more(shelf):
    store, keys = shelf
    store.delete([keys.publication(IDS[1])])
    records = Records(store, keys)
    assert before(records, find(records, IDS[4])).id == IDS[3]
    assert before(records, find(records, IDS[0])) is None
    with pytest.raises(ConfigError, match="not on record any more"):
        before(records, find(records, IDS[2]))
    assert [item.id for item in records.newest()] == [*IDS[4:1:-1], IDS[0]]


def test_a_record_that_cannot_be_read_is_left_out_and_said(shelf, caplog):
    store, keys = shelf
    store.put(keys.publication(IDS[3]), b'{"format": 1}', NO_HEADERS)
    store.put(keys.publication(IDS[1]), json.dumps({"format": FORMAT + 1}).encode(), NO_HEADERS)
    assert [item.id for item in Records(store, keys).newest()] == [IDS[4], CUT_OFF, IDS[2], IDS[0]]
    assert "cannot be read" in caplog.text
    assert "newer zsync" in caplog.text


def test_a_record_reads_as_it_was_written(shelf):
    store, keys = shelf
    found = read_record(store, keys, IDS[2])
    assert found.product == product(IDS[1])
    assert (found.parent, found.time, found.by["user"]) == (IDS[1], "2026-11-20T08:05:00Z", "ada")
