"""Retries and the pace of requests: how often, how long, how many at once."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from zsync.config import Location, Storage
from zsync.errors import (
    NetworkError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    ThrottledError,
    TransientError,
)
from zsync.report.progress import Bars, LogLines, Silent
from zsync.storage import Headers, Pace, RetryPolicy, Stored, pace_of, retry, spec_for
from zsync.storage.answers import error_for
from zsync.storage.retrying import THROTTLE_S, RetryBudget, Retrying


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only in sleep, which it records."""
    clock = SimpleNamespace(now=1000.0, slept=[])

    def sleep(seconds):
        clock.slept.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(
        "zsync.storage.retrying.time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock.now), raising=True
    )
    return clock


class Failing:
    """An action, and a store, that fails with each of some errors and then succeeds."""

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    def put(self, key, data, headers, *, over=None):
        return Stored(self())

    def put_if(self, key, data, headers, etag):
        return Stored(self())

    def put_parts(self, key, parts, headers, part_size, *, over=None, record=None):
        return Stored(self())


def transient():
    return TransientError("no", "s3://b/k", "try again")


def throttled():
    return ThrottledError("slow down", "s3://b/k")


# --- Answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (503, "SlowDown", ThrottledError),
        (503, None, ThrottledError),
        (429, None, ThrottledError),
        (400, "Throttling", ThrottledError),
        (400, "ThrottlingException", ThrottledError),
        (200, "SlowDown", ThrottledError),
        (400, "RequestLimitExceeded", ThrottledError),
        (500, "InternalError", TransientError),
        (200, "InternalError", TransientError),
        (502, None, TransientError),
        (504, None, TransientError),
        (501, "NotImplemented", NotSupportedError),
        (405, "MethodNotAllowed", NotSupportedError),
        (409, "ConditionalRequestConflict", TransientError),
        (409, "BucketNotEmpty", PreconditionError),
        (200, "AccessDenied", PermissionDeniedError),
    ],
)
def test_what_an_answer_comes_to(status, code, error):
    assert type(error_for(status, code, "s3://b/k")) is error


# --- Attempts and delays ---------------------------------------------------------------------------------------------


def test_transient_errors_are_tried_again_so_often(clock):
    policy = RetryPolicy(attempts=5)
    assert retry(Failing(*[transient() for _ in range(4)]), policy) == "done"
    failing = Failing(*[transient() for _ in range(5)])
    with pytest.raises(TransientError):
        retry(failing, policy)
    assert failing.calls == 5


def test_an_endpoint_that_cannot_be_reached_is_tried_less_often(clock):
    failing = Failing(*[NetworkError("no") for _ in range(20)])
    with pytest.raises(NetworkError):
        retry(failing, RetryPolicy(attempts=9, network_attempts=3))
    assert failing.calls == 3


def test_other_errors_come_out_at_once(clock):
    failing = Failing(PermissionDeniedError("no"))
    with pytest.raises(PermissionDeniedError):
        retry(failing)
    assert (failing.calls, clock.slept) == (1, [])


@given(st.integers(1, 5000))
def test_delays_are_within_bounds(attempt):
    policy = RetryPolicy(first_s=0.1, longest_s=10.0)
    assert 0 <= policy.delay_s(attempt) <= min(10.0, 0.1 * 2 ** min(attempt, 30))


def test_jitter_is_full():
    delays = [RetryPolicy(first_s=1.0, longest_s=10.0).delay_s(10) for _ in range(2000)]
    shares = Counter(int(delay) for delay in delays)
    assert set(shares) == set(range(10))
    assert max(shares.values()) < 2 * min(shares.values())


# --- Throttling ------------------------------------------------------------------------------------------------------


def test_throttling_is_waited_out_beyond_all_attempts(clock):
    policy = RetryPolicy(attempts=2, first_s=1.0, longest_s=1.0)
    failing = Failing(*[throttled() for _ in range(60)])
    assert retry(failing, policy) == "done"
    assert failing.calls == 61


def test_throttling_is_waited_out_for_so_long(clock):
    began = clock.now
    with pytest.raises(ThrottledError):
        retry(Failing(*[throttled() for _ in range(10_000)]))
    assert THROTTLE_S <= clock.now - began < THROTTLE_S + RetryPolicy().longest_s


def test_throttling_takes_no_attempts(clock):
    errors = [error() for _ in range(4) for error in (throttled, transient)]
    assert retry(Failing(*errors), RetryPolicy(attempts=5)) == "done"


def test_one_attempt_is_one_attempt(clock):
    failing = Failing(throttled(), throttled())
    with pytest.raises(ThrottledError):
        retry(failing, RetryPolicy(1, 1, 0.0, 0.0))
    assert (failing.calls, clock.slept) == (1, [])


def test_what_callers_retry_is_paced_but_not_retried(clock):
    pace = Pace(8)
    failing = Failing(throttled(), throttled())
    with pytest.raises(ThrottledError):
        Retrying(failing, pace=pace).put_if("k", b"", Headers(), None)
    assert (failing.calls, pace.limit) == (1, 1)


def test_an_upload_in_parts_is_retried_by_its_caller_and_holds_no_place(clock):
    """Each of its parts takes a place of its own: one that it held meanwhile could be the last one."""
    pace = Pace(8)
    failing = Failing(throttled(), throttled())
    with pytest.raises(ThrottledError):
        Retrying(failing, pace=pace).put_parts("k", [], Headers(), 1)
    assert (failing.calls, pace.limit) == (1, None)


# --- Budget ----------------------------------------------------------------------------------------------------------


def put(store):
    return store.put("k", b"", Headers())


def test_a_spent_budget_ends_retries_for_the_whole_store(clock):
    failing = Failing(*[transient() for _ in range(2000)])
    store = Retrying(failing, RetryPolicy(attempts=8))
    for _ in range(200):
        with pytest.raises(TransientError):
            put(store)
    assert failing.calls == 200 + 500  # each once, and the budget
    with pytest.raises(TransientError, match="too many requests failed") as raised:
        put(store)
    assert (raised.value.message, raised.value.where) == ("no", "s3://b/k")


def test_throttling_spends_no_budget(clock):
    failing = Failing(*[throttled() for _ in range(5)], transient())
    store = Retrying(failing)
    store._budget = RetryBudget(capacity=1)
    assert put(store).etag == "done"
    assert clock.slept


def test_successes_fill_the_budget_up():
    budget = RetryBudget(capacity=2)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    budget.give_back()
    assert not budget.take()
    budget.give_back()
    assert budget.take()
    for _ in range(100):
        budget.give_back()
    assert [budget.take() for _ in range(3)] == [True, True, False]


# --- Pace ------------------------------------------------------------------------------------------------------------


class Requests(RuleBasedStateMachine):
    """Requests begin where they may, and end well or throttled, in any order; against a model in plain words."""

    def __init__(self):
        super().__init__()
        self.pace = Pace(16)
        self.running = []
        self.window, self.decreases, self.most = 16.0, 0, 0

    @property
    def room(self):
        return len(self.running) < int(self.window)

    @precondition(lambda self: self.room)
    @rule()
    def begin(self):
        slot = self.pace.slot()
        slot.__enter__()
        self.running.append((slot, self.decreases))
        self.most = max(self.most, len(self.running))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def succeed(self, data):
        slot, _ = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        slot.__exit__(None, None, None)
        if self.window < 16:
            self.window += 1 / self.window
            if self.window >= self.most:
                self.window = 16.0

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def fail(self, data):
        slot, _ = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        error = transient()
        assert not slot.__exit__(type(error), error, None)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def throttle(self, data):
        number = data.draw(st.integers(0, len(self.running) - 1))
        slot, began = self.running[number]
        error = throttled()
        assert not slot.__exit__(type(error), error, None)
        if began == self.decreases:
            self.window = max(1.0, min(self.window, len(self.running)) / 2)
            self.decreases += 1
        self.running.pop(number)

    @invariant()
    def the_limit_is_the_window(self):
        assert self.pace.limit == (None if self.window >= 16 else int(self.window))
        assert self.pace.limit is None or 1 <= self.pace.limit < 16
        assert self.pace._in_flight == len(self.running)


TestRequests = Requests.TestCase


def run(pace, limit, requests, workers):
    """Send requests to a service that bears `limit` at once; return for each whether it was refused."""
    lock, in_flight, refused = threading.Lock(), 0, []
    left = iter(range(requests))

    def work():
        nonlocal in_flight
        while next(left, None) is not None:
            while True:
                try:
                    with pace.slot():
                        with lock:
                            in_flight += 1
                            over = in_flight > limit
                            refused.append(over)
                        time.sleep(0.001)
                        with lock:
                            in_flight -= 1
                        if over:
                            raise throttled()
                    break
                except ThrottledError:
                    time.sleep(0.002)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return refused


def volley(pace, limit):
    """Begin as many requests as the pace lets in, 32 at most; return how many the service refused."""
    slots = [pace.slot() for _ in range(min(pace.limit or 32, 32))]
    for slot in slots:
        slot.__enter__()
    for number, slot in enumerate(slots):
        error = throttled() if number >= limit else None
        with contextlib.suppress(ThrottledError):
            slot.__exit__(type(error) if error else None, error, None)
    return max(0, len(slots) - limit)


def test_the_pace_finds_what_the_service_bears():
    pace = Pace(64)
    refused = [volley(pace, 4) for _ in range(100)]
    assert refused[0] == 28
    assert max(refused[10:]) <= 1
    assert sum(refused[10:]) < 90
    assert pace.limit is not None
    assert pace.limit <= 5


def test_every_request_comes_through_a_pace_in_the_end():
    pace = Pace(64)
    refused = run(pace, 4, 1500, 32)
    assert len(refused) - sum(refused) == 1500


def test_the_pace_recovers():
    pace = Pace(64)
    for _ in range(20):
        volley(pace, 4)
    assert pace.limit is not None
    for _ in range(100):
        volley(pace, 1000)
    assert pace.limit is None


def test_never_more_in_flight_than_the_window():
    pace = Pace(3)
    lock, seen, now = threading.Lock(), [], 0

    def work():
        nonlocal now
        for _ in range(50):
            with pace.slot():
                with lock:
                    now += 1
                    seen.append(now)
                time.sleep(0.0002)
                with lock:
                    now -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(seen) == 600
    assert max(seen) == 3


def test_nobody_is_passed_over():
    """Who waits comes before who has just been in: a lease is renewed also while many objects are sent."""
    pace, order = Pace(1), []
    inside, go = threading.Event(), threading.Event()

    def first():
        with pace.slot():
            inside.set()
            go.wait(10)
        with pace.slot():
            order.append("again")

    def second():
        with pace.slot():
            order.append("waited")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    inside.wait(10)
    threads[1].start()
    while not pace._queue:
        time.sleep(0.001)
    go.set()
    for thread in threads:
        thread.join(10)
    assert order == ["waited", "again"]


@pytest.mark.parametrize("was_let_in", [False, True])
def test_one_who_gives_up_waiting_holds_nobody_up(monkeypatch, was_let_in):
    pace, first = Pace(1), contextlib.ExitStack()
    first.enter_context(pace.slot())

    def interrupted(_turn):
        if was_let_in:  # at the same moment
            first.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Event, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt), pace.slot():
        pass
    monkeypatch.undo()
    first.close()
    with pace.slot():
        assert pace._in_flight == 1
    assert pace._in_flight == 0


def test_who_leaves_wakes_one_and_not_all_who_wait():
    pace, inside = Pace(1), threading.Semaphore(0)
    go, woken = threading.Semaphore(0), []

    def work(number):
        with pace.slot():
            woken.append(number)
            inside.release()
            go.acquire()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    threads[0].start()
    inside.acquire()
    for thread in threads[1:]:
        thread.start()
    while len(pace._queue) < 19:
        time.sleep(0.001)
    for turn in list(pace._queue)[1:]:
        assert not turn.is_set()
    for count in range(1, 20):
        assert len(woken) == count
        go.release()
        inside.acquire()
        assert sum(turn.is_set() for turn in pace._queue) == 0
    go.release()
    for thread in threads:
        thread.join(10)
    assert sorted(woken) == list(range(20))


def test_one_pace_a_bucket():
    def spec(url, transport="auto", endpoint="http://127.0.0.1:1"):
        return spec_for(Location.parse(url), Storage(endpoint_url=endpoint), transport)

    here = pace_of(spec("s3://pace-a/x"))
    assert pace_of(spec("s3://pace-a/y", "fsspec")) is here
    assert pace_of(spec("s3://pace-b/x")) is not here
    assert pace_of(spec("s3://pace-a/x", endpoint="http://127.0.0.1:2")) is not here


# --- Shown -----------------------------------------------------------------------------------------------------------


def test_log_lines_say_when_it_begins_and_ends(caplog):
    lines = LogLines()
    with caplog.at_level("INFO", "zsync.progress"):
        for limit in (None, 16, 8, 9, None, None, 4):
            lines.pace(limit)
    assert caplog.messages == [
        "slowed down by the service: 16 requests at a time",
        "full speed again",
        "slowed down by the service: 4 requests at a time",
    ]


def test_bars_show_the_limit(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    bars = Bars()
    bars.begin("data", 10, 100)
    bars.pace(7)
    bars.advance(1, 10)
    assert "7 requests at a time" in bars._display.tasks[0].fields["rate"]
    bars.pace(None)
    bars.advance(1, 10)
    assert "requests at a time" not in bars._display.tasks[0].fields["rate"]
    bars.end()
    Silent().pace(3)
