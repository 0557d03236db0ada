"""Requests in flight: how many there are at once, and who makes them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsync.transfer.crew import Alone, Threads
from zsync.transfer.window import BYTES, Window


class Service:
    """Answers so many calls a second at most, each after a while, to a process that computes a little for each."""

    def __init__(self, window, *, delay_s, most_a_second=1e9, cpu_s=0.0, size=1000):
        self.now = self.computed = 0.0
        self.window = window(lambda: self.now, lambda: self.computed)
        self.delay_s, self.most, self.cpu_s, self.size = delay_s, most_a_second, cpu_s, size

    def answer(self, calls):
        """Let so many calls end, one after the other."""
        for _ in range(calls):
            a_second = min(
                self.window.size / (self.delay_s + self.cpu_s), self.most, 1 / self.cpu_s if self.cpu_s else 1e9
            )
            self.now += 1 / a_second
            self.computed += self.cpu_s
            self.window.ended(self.size)
        return self.window.size


def test_far_away_the_window_widens_until_the_process_has_enough_to_do():
    service = Service(lambda *clocks: Window(1024, 64, *clocks), delay_s=0.15, cpu_s=0.0004)
    assert service.answer(2000) >= 256


def test_near_by_it_stays_as_it_is():
    service = Service(lambda *clocks: Window(1024, 64, *clocks), delay_s=0.0005, cpu_s=0.0004)
    assert service.answer(20_000) == 64


def test_what_does_not_make_it_faster_is_taken_back():
    """A service that answers no more than so many a second, however many ask."""
    service = Service(lambda *clocks: Window(1024, 64, *clocks), delay_s=0.05, most_a_second=700)
    widest = max(service.answer(1) for _ in range(1500))
    assert (widest, service.window.size) == (256, 64)


def test_large_objects_fill_the_link_by_themselves():
    service = Service(lambda *clocks: Window(1024, 64, *clocks), delay_s=1, size=BYTES // 64)
    assert service.answer(5000) == 64


@given(
    most=st.integers(1, 2000),
    start=st.integers(1, 128),
    calls=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**30)), max_size=400),
)
def test_a_window_is_never_wider_than_it_may_be_nor_narrower_than_it_began(most, start, calls):
    now = computed = 0.0
    window = Window(most, start, lambda: now, lambda: computed)
    for wait_s, cpu_s, size in calls:
        now, computed = now + wait_s, computed + cpu_s
        window.ended(size)
        assert min(start, most) <= window.size <= most


def crew(width):
    return Threads(Window(width, width))


@pytest.mark.parametrize("hands", [Alone(), 1, 3, 64], ids=["alone", "1", "3", "64"])
def test_every_call_is_made_once(hands):
    with ThreadPoolExecutor(3) as pool, crew(hands) if isinstance(hands, int) else ThreadPoolExecutor(1) as threads:
        who = threads if isinstance(hands, int) else hands
        asked = [range(start, start + 40) for start in (0, 40, 80)]
        came = list(pool.map(lambda items: who.each(lambda item: -item, items, is_last=lambda _: False), asked))
    assert [sorted(results) for results in came] == [sorted(-item for item in items) for items in asked]


def test_calls_of_all_who_ask_share_one_window():
    under_way, most, lock = [0], [0], threading.Lock()

    def call(_item):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.01)
        with lock:
            under_way[0] -= 1

    with ThreadPoolExecutor(8) as pool, crew(10) as threads:
        list(pool.map(lambda _: threads.each(call, range(5), is_last=lambda _: False), range(8)))
    assert most[0] == 10, "as many as the window is wide, though nobody asked for so many; and never more"


def test_a_window_that_widens_takes_more_hands():
    meet = threading.Barrier(6, timeout=30)
    window = Window(6, 2)

    def call(item):
        if item >= 2:
            meet.wait()
        else:
            window.size = 6

    with Threads(window) as threads:
        threads.each(call, range(8), is_last=lambda _: False)


@pytest.mark.parametrize("hands", ["alone", "threads"])
def test_after_the_last_no_call_begins(hands):
    ended = threading.Event()

    def call(item):
        assert item <= 3 or ended.wait(30)
        return item

    def is_last(item):
        if item == 3:
            ended.set()
        return item == 3

    with crew(4) as threads:
        results = (Alone() if hands == "alone" else threads).each(call, range(100), is_last=is_last)
    assert set(results) >= {0, 1, 2, 3}
    assert len(results) <= 4 + 3, "those that were under way by then"


def test_who_is_stopped_ends_what_is_under_way_and_begins_nothing():
    began, go = threading.Event(), threading.Event()

    def call(item):
        began.set()
        assert go.wait(30)
        return item

    with ThreadPoolExecutor(1) as pool, crew(2) as threads:
        asked = pool.submit(threads.each, call, range(100), is_last=lambda _: False)
        assert began.wait(30)
        threads.stop()
        go.set()
        assert len(asked.result(30)) <= 2
        assert threads.each(call, range(3), is_last=lambda _: False) == []


def test_an_error_is_raised_where_it_is_waited_for():
    def call(item):
        if item == 5:
            raise RuntimeError("five")
        return item

    with ThreadPoolExecutor(1) as pool, crew(3) as threads:
        other = pool.submit(threads.each, lambda item: item, range(50), is_last=lambda _: False)
        with pytest.raises(RuntimeError, match="five"):
            threads.each(call, range(50), is_last=lambda _: False)
        assert sorted(other.result(30)) == list(range(50))


def test_calls_see_what_their_caller_set():
    name = ContextVar("name", default="nobody")

    def ask(who):
        name.set(who)
        return threads.each(lambda _item: name.get(), range(20), is_last=lambda _: False)

    with ThreadPoolExecutor(2) as pool, crew(4) as threads:
        assert list(pool.map(ask, "ab")) == [["a"] * 20, ["b"] * 20]
