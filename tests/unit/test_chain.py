"""A listing that is asked in many places at once is whole, whatever order the service has."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsync.inventory.chain import PAGE, STEP, UnfitListingError, bounds_among, chained
from zsync.storage import Answer, Page

NAMES = st.text("abc./-", min_size=1, max_size=3)


class Service:
    """Lists keys in an order of its own, a few an answer."""

    def __init__(self, keys, most, ignores=False):
        self.keys, self.most, self.ignores, self.asked = keys, most, ignores, []

    def __call__(self, after):
        self.asked.append(after)
        begin = 0
        if after is not None and not self.ignores:
            # What is not there has its place by the order of texts, among keys that have another.
            begin = self.keys.index(after) + 1 if after in self.keys else sum(key < after for key in self.keys)
        shown = self.keys[begin : begin + self.most]
        return Answer(page(shown), is_last=begin + self.most >= len(self.keys))


def page(keys):
    return Page(keys, [len(key) for key in keys], [f"etag of {key}" for key in keys])


def rows(pages):
    return [row for page in pages for row in zip(page.keys, page.sizes, page.etags, strict=True)]


@given(st.lists(NAMES, unique=True, max_size=30), st.lists(NAMES, unique=True), st.integers(2, 8), st.data())
def test_every_key_is_shown_once_in_the_order_of_the_service(keys, strangers, most, data):
    bounds = data.draw(st.permutations(sorted({*keys[:: data.draw(st.integers(1, 5))], *strangers})))
    shown = rows(chained(Service(keys, most), bounds))
    assert shown == rows([page(keys)])


@pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1, 10 * STEP + 7, 10 * STEP + PAGE])
def test_what_is_there_as_it_was_expected_takes_one_turn(count):
    keys = [f"{number:06}" for number in range(count)]
    service = Service(keys, 1000)
    bounds = bounds_among(keys)
    assert rows(chained(service, bounds)) == rows([page(keys)])
    assert sorted(map(str, service.asked)) == sorted(map(str, [None, *bounds]))


def test_requests_are_under_way_at_once_after_the_first_few():
    keys = [f"{number:04}" for number in range(200)]
    service, all_there = Service(keys, 12), threading.Barrier(15, timeout=30)

    def ask(after):
        if after is not None and after >= keys[49]:
            all_there.wait()
        return service(after)

    assert rows(chained(ask, keys[9:199:10])) == rows([page(keys)])


def test_nothing_there_asks_for_few():
    service = Service([], 10)
    assert rows(chained(service, [f"{number}" for number in range(1000)])) == []
    assert len(service.asked) <= 4


@given(st.lists(NAMES, unique=True, min_size=9, max_size=30), st.integers(3, 8), st.data())
def test_a_service_that_skips_something_after_a_key_is_not_believed(keys, most, data):
    """As SeaweedFS does with what is below a key that is an object as well."""
    bounds = keys[1 : -most : max(1, most - 2)]
    bad = data.draw(st.sampled_from(bounds or [None]))
    service = Service(keys, most)

    def ask(after):
        answer = service(after)
        skips = after == bad and bad is not None and len(answer.page.keys) > 1
        return Answer(page(answer.page.keys[1:]), answer.is_last) if skips else answer

    try:
        shown = rows(chained(ask, bounds))
    except UnfitListingError:
        return
    assert shown == rows([page(keys)])


@pytest.mark.parametrize("count", [5, 25, 200])
def test_a_service_that_does_not_go_on_after_a_key_is_not_believed(count):
    keys = [f"{number:03}" for number in range(count)]
    service = Service(keys, 20, ignores=True)
    if count <= service.most:
        assert rows(chained(service, keys[9::10])) == rows([page(keys)])
        return
    with pytest.raises(UnfitListingError):
        rows(chained(service, keys[9::10]))


def test_an_answer_that_shows_nothing_and_is_not_the_last_is_not_believed():
    with pytest.raises(UnfitListingError):
        rows(chained(lambda _after: Answer(Page(), is_last=False), ["a"]))
    keys = [f"{number:03}" for number in range(20)]
    with pytest.raises(UnfitListingError):
        rows(chained(lambda after: Answer(page(keys if after is None else []), is_last=False), ["a"]))


def test_an_error_is_the_listings():
    def ask(after):
        if after is not None:
            raise OSError(after)
        return Answer(page(["a", "b", "c", "e"]), is_last=False)

    with pytest.raises(OSError, match="c"):
        rows(chained(ask, ["c", "d"]))
