"""Which publications go, and that no kept one loses anything: its parts, and what is in the trash of what it held."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from zsync.publication.prune import Keeping, excess, staying

BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def named(day, number=0):
    """Return the id of a publication that a clock had begin on a day."""
    return f"{BEGIN + dt.timedelta(days=day):%Y%m%dT%H%M%S}000Z-{number:08x}"


def days(*numbers):
    return [named(number) for number in numbers]


def test_old_publications_go_and_what_they_alone_refer_to():
    ids = days(1, 2, 3, 4)
    stays = staying(ids, ids[::-1], Keeping(2))
    assert stays == set(ids[2:])
    found = excess(ids, stays, ["a", "b", "c"], {ids[2]: ["b"], ids[3]: ["b", "c"]}, ids, ids[:2])
    assert (found.publications, found.parts, found.trashes) == (tuple(ids[:2]), ("a",), tuple(ids[:2]))


def test_by_age_or_number_stays_what_either_says():
    ids = days(1, 2, 3, 4)
    since = BEGIN + dt.timedelta(days=3)
    assert staying(ids, ids[::-1], Keeping(since=since)) == set(ids[2:])
    assert staying(ids, ids[::-1], Keeping(3, since)) == set(ids[1:])
    assert staying(ids, ids[::-1], Keeping(1, since)) == set(ids[2:])
    assert staying(ids, ids[::-1], Keeping(since=BEGIN + dt.timedelta(days=9))) == {ids[3]}  # the head's


def test_while_a_record_cannot_be_read_no_part_goes():
    ids = days(1, 2, 3)
    found = excess(ids, ids[1:], ["a", "b"], {ids[2]: ["b"]})
    assert (found.publications, found.parts) == ((ids[0],), ())


def test_what_no_head_ever_named_stays_as_long_as_its_neighbours():
    line = days(1, 3, 5)
    cut_off = days(2, 4)
    assert staying([*line, *cut_off], line[::-1], Keeping(2)) == {*line[1:], cut_off[1]}


AN_HOUR = dt.timedelta(hours=1)
MADE = st.tuples(st.integers(0, 30), st.integers(-11, 11), st.sets(st.integers(0, 8), min_size=1), st.booleans())
AGES = st.none() | st.integers(0, 200).map(lambda hours: BEGIN + hours * AN_HOUR)


@given(st.lists(MADE, min_size=1, max_size=9), st.none() | st.integers(1, 5), AGES, st.booleans())
def test_no_kept_publication_loses_anything(made, number, since, is_line_known):
    """Publications one after the other, by clocks of which none is right, some cut off before their head moved."""
    parts, held, trash, line, ids = {}, {}, {}, [], []
    current, now = set(), BEGIN
    for count, (pause, skew, contents, is_cut_off) in enumerate(made):
        now += pause * AN_HOUR
        name = f"{now + skew * AN_HOUR:%Y%m%dT%H%M%S}000Z-{count:08x}"
        ids.append(name)
        # What is replaced or retired goes to the trash of the publication that does so, on record or not.
        trash[name] = current - contents
        parts[name] = {f"part{item}" for item in contents}
        current = contents
        if not is_cut_off:
            held[name] = contents
            line.insert(0, name)
    keeping = Keeping(number, since)
    stays = staying(ids, line, keeping)
    older = set(line) - stays if is_line_known else ()
    everything = {f"part{item}" for item in range(9)}
    found = excess(ids, stays, everything, {name: parts[name] for name in stays}, trash, older)
    assert set(found.publications) == set(ids) - stays
    assert stays.issuperset(line[: number or 1])
    assert {part for name in stays for part in parts[name]} == everything - set(found.parts)
    left = set().union(current, *(items for name, items in trash.items() if name not in found.trashes))
    for name in stays & held.keys():
        assert held[name] <= left, "an object of a kept publication is gone from the trash"
    if is_line_known:
        assert set(found.trashes).issuperset(set(line) - stays)
