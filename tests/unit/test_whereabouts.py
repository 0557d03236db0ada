"""Where the bytes of each publication are, in all histories: cut off, with clocks that differ, with others at work."""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from zsync.publication.whereabouts import Held, Kept, Published, Version, Where, candidates, whereabouts

KEYS = "abc"


def digest_of(body):
    return hashlib.sha256(body).hexdigest()


class Bucket:
    """A bucket, as publications and others leave it behind.

    `tells`: ETags are of the bytes; else every write, and every copy, has one of its own. `keeps`: it keeps versions.
    """

    def __init__(self, *, tells, keeps):
        self.tells, self.keeps = tells, keeps
        self.live, self.trash, self.versions = {}, {}, defaultdict(dict)
        self.published = {}
        self.numbers = itertools.count()

    def _etag(self, body):
        return hashlib.md5(body).hexdigest() if self.tells else f"etag-{next(self.numbers)}"

    def put(self, key, body):
        version = f"v{next(self.numbers)}" if self.keeps else None
        self.live[key] = body, self._etag(body), version
        if version:
            self.versions[key][version] = body, self.live[key][1]

    def publish(self, number, changes, cut_off, *, keeps_history):
        """Write what differs; what is cut off is on no record. Versions of what was there already are not known."""
        recorded = {key: row for _, rows in list(self.published.items())[-1:] for key, row in rows.items()}
        sent = {}
        for key, body in changes[:cut_off]:
            there = self.live.get(key)
            if body == (there and there[0]):
                continue
            if there and not self.keeps and (keeps_history or body is None):
                self.trash[number, key] = there[0], self._etag(there[0])
            if body is None:
                del self.live[key]
            else:
                self.put(key, body)
                sent[key] = self.live[key][2]
        if cut_off is None:
            self.published[number] = {
                key: Published(key, len(body), etag, sent.get(key, self._recorded(recorded, key)), digest_of(body))
                for key, (body, etag, _) in self.live.items()
            }

    def _recorded(self, recorded, key):
        row = recorded.get(key)
        return row.version if row is not None and row.etag == self.live[key][1] else None

    def body(self, key, held):
        """Return what a reader gets from a place: nothing, if it has not the ETag that was asked for."""
        if held.where == Where.VERSION:
            body, etag = self.versions[key][held.version]
        elif held.where == Where.LIVE:
            body, etag = self.live[key][:2]
        else:
            body, etag = self.trash[held.publication, key]
        return body if etag == held.etag else None

    def found(self, number):
        kept = defaultdict(list)
        for (publication, key), (body, etag) in self.trash.items():
            kept[key].append(Kept(publication, len(body), etag))
        versions = {key: [Version(v, len(b), e) for v, (b, e) in rows.items()] for key, rows in self.versions.items()}
        live = {key: (len(body), etag) for key, (body, etag, _) in self.live.items()}
        return whereabouts(
            self.published[number].values(), number, live=live, versions=versions if self.keeps else None, kept=kept
        )


bodies = st.one_of(st.none(), st.sampled_from([b"1", b"2", b"3", b"four"]))
changes = st.lists(st.tuples(st.sampled_from(KEYS), bodies), max_size=5, unique_by=lambda row: row[0])
publishes = st.tuples(st.just("publish"), changes, st.one_of(st.none(), st.none(), st.integers(0, 3)))
others = st.tuples(st.just("others"), st.sampled_from(KEYS), st.sampled_from([b"1", b"x"]))
empties = st.tuples(st.just("empty"), st.integers(0, 9))


def history(bucket, steps, *, clocks=(), keeps_history=True):
    for count, (step, clock) in enumerate(itertools.zip_longest(steps, clocks[: len(steps)], fillvalue=0)):
        number = f"{count + clock:03d}-{count:03d}"
        match step:
            case "publish", rows, cut_off:
                bucket.publish(number, rows, cut_off, keeps_history=keeps_history)
            case "others", key, body:
                bucket.put(key, body)
            case "empty", which:
                for place in [place for place in bucket.trash if int(place[0][-3:]) == which]:
                    del bucket.trash[place]


def told(bucket):
    """Yield what is published of each key, where it is said to be, and what is there."""
    for number, rows in bucket.published.items():
        for key, held in bucket.found(number).items():
            yield rows[key], held, None if held is None else bucket.body(key, held)


@given(st.lists(publishes, max_size=12), st.booleans(), st.booleans())
def test_with_history_kept_every_publication_is_there_to_the_object(steps, tells, keeps):
    bucket = Bucket(tells=tells, keeps=keeps)
    history(bucket, steps)
    for row, held, body in told(bucket):
        assert held is not None
        assert digest_of(body) == row.digest
        event(f"{held.where}, proved: {held.is_proved}")


@given(
    st.lists(st.one_of(publishes, publishes, others, empties), max_size=12),
    st.lists(st.integers(-3, 3), min_size=12, max_size=12), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
def test_whatever_happened_what_is_proved_has_the_bytes(steps, clocks, tells, keeps, keeps_history):
    bucket = Bucket(tells=tells, keeps=keeps)
    history(bucket, steps, clocks=clocks, keeps_history=keeps_history)
    for row, held, body in told(bucket):
        if held is not None and held.is_proved:
            assert digest_of(body) == row.digest
        if held is None and tells:  # then it is nowhere
            places = [*bucket.live.items(), *((key, there) for (_, key), there in bucket.trash.items())]
            assert not [1 for key, there in places if key == row.key and digest_of(there[0]) == row.digest]
        event("gone" if held is None else f"{held.where}, proved: {held.is_proved}")


@given(st.lists(publishes, max_size=10), st.lists(st.integers(-3, 3), min_size=12, max_size=12))
def test_where_etags_tell_of_bytes_clocks_need_not_agree(steps, clocks):
    bucket = Bucket(tells=True, keeps=False)
    history(bucket, steps, clocks=clocks)
    assert all(digest_of(body) == row.digest for row, _, body in told(bucket))


@pytest.mark.parametrize("version", [None, "null", "v1"])
def test_what_was_not_asked_yet_is_tried_in_the_order_of_what_it_costs(version):
    item = Published("a", 4, "e", version, "d")
    kept = [Kept("3", 4, "other"), Kept("2", 4, "copied"), Kept("1", 4, "e"), Kept("4", 5, "e")]
    found = list(candidates(item, "1", live=None, kept=kept, is_listed=False))
    expected = [
        Held(Where.TRASH, "e", publication="1"),
        Held(Where.LIVE, "e"),
        Held(Where.TRASH, "copied", publication="2", is_proved=False),
    ]
    assert found == [*([Held(Where.VERSION, "e", "v1")] if version == "v1" else []), *expected]


def test_nothing_is_taken_for_what_has_no_etag():
    item = Published("a", 4, None, None, "d")
    assert (
        list(candidates(item, "1", live=(4, None), versions=[Version("v", 4, None)], kept=[Kept("0", 4, None)])) == []
    )
