"""Calls side by side: all have ended when the group has, the first error is raised, and no more run than may."""

from __future__ import annotations

import threading
import time

import pytest

from zsync.tasks import TaskGroup, side_by_side


def test_all_have_ended_when_the_group_has():
    done = []

    def late(number):
        time.sleep(0.01)
        done.append(number)
        return number

    with TaskGroup(4, "test") as tasks:
        answers = [tasks.start(late, number) for number in range(10)]
    assert sorted(done) == list(range(10))
    assert [answer.result() for answer in answers] == list(range(10))


def test_no_more_run_at_once_than_may_and_who_starts_one_more_waits():
    running, most, lock = 0, 0, threading.Lock()

    def work(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1
        return number

    with TaskGroup(3, "test") as tasks:
        for number in range(12):
            tasks.start(work, number)
            assert len(tasks._pool._threads) <= 3
    assert most == 3


def test_the_first_error_is_raised_and_nothing_begins_after_it():
    failed, begun = threading.Event(), []

    def fail():
        failed.set()
        raise ValueError("first")

    def all_of_them():
        with TaskGroup(1, "test") as tasks:
            tasks.start(fail)
            failed.wait(5)
            for number in range(5):
                tasks.start(begun.append, number)

    with pytest.raises(ValueError, match="first"):
        all_of_them()
    assert begun == []


def test_an_error_of_the_caller_is_raised_once_all_have_ended():
    go_on, done = threading.Event(), []

    def late():
        go_on.wait(5)
        done.append(True)
        raise ValueError("of a call")

    def both():
        with TaskGroup(1, "test") as tasks:
            tasks.start(late)
            go_on.set()
            raise KeyError("of the caller")

    with pytest.raises(KeyError):
        both()
    assert done == [True]


def test_what_could_not_be_a_number_of_calls_is_refused():
    with pytest.raises(ValueError, match="greater than 0"):
        TaskGroup(0, "test")


def test_answers_come_in_the_order_of_the_questions():
    def late(number):
        time.sleep(0.01 / (number + 1))
        return number * 2

    assert side_by_side(late, list(range(20)), 7) == [number * 2 for number in range(20)]
    assert side_by_side(late, []) == []


def test_one_question_needs_no_thread():
    assert side_by_side(lambda _: threading.current_thread(), ["one"]) == [threading.current_thread()]


def test_the_first_error_ends_the_questions():
    asked = []

    def ask(number):
        asked.append(number)
        time.sleep(0.005)
        if number == 1:
            raise ValueError("no answer")

    with pytest.raises(ValueError, match="no answer"):
        side_by_side(ask, list(range(200)), 2)
    assert len(asked) < 100
