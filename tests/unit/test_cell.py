"""Progress in a notebook: one line, in place, which ends as it was."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from zsync.report import cell
from zsync.report.cell import Cell
from zsync.report.progress import Bars, LogLines, Silent, progress_for


class Handle:
    def __init__(self):
        self.shown = []

    def update(self, bundle, *, raw):
        assert raw
        self.shown.append(bundle)


@pytest.fixture
def shown(monkeypatch):
    """What is displayed, in a kernel without widgets."""
    import IPython.display

    handle, places = Handle(), []

    def display(bundle, *, raw, display_id):
        assert raw
        assert display_id
        places.append(handle)
        handle.update(bundle, raw=True)
        return handle

    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(cell, "_EVERY_S", 0.0)
    yield handle.shown
    assert len(places) <= 1, "one line a run"


def run(progress, step, objects, size=0, done=None):
    progress.begin(step, objects, size)
    for _ in range(objects if done is None else done):
        progress.advance(1, size // objects)
    progress.end()


def test_a_kernel_gets_the_line_and_nothing_else_does(shown, monkeypatch):
    assert isinstance(progress_for(None), Cell)
    assert isinstance(progress_for(True), Cell)
    assert isinstance(progress_for(False), Silent)
    import IPython

    monkeypatch.setattr(IPython, "get_ipython", lambda: None)
    assert isinstance(progress_for(True), Bars)
    assert isinstance(progress_for(None), LogLines)


def test_it_ends_complete_and_sums_up(shown):
    progress = Cell()
    run(progress, "survey", 1)
    run(progress, "data", 4, 4096)
    run(progress, "root", 2, 10)
    progress.begin("retire", 0, 0)
    progress.end()
    assert [bundle["text/plain"].split(" in ")[0] for bundle in shown[:3]] == [
        "taking stock: 0 of 1", "taking stock: 1 of 1", "took stock",
    ]  # fmt: skip
    assert shown[5]["text/plain"].startswith("data: 2 of 4 objects, 2.0 KiB of 4.0 KiB, ")
    last = shown[-1]
    assert last["text/plain"].startswith("6 objects (4.0 KiB) in ")
    assert last["text/plain"].endswith(" s: data 4, root metadata 2")
    assert 'value="1.000" max="1"' in last["text/html"]


def test_where_it_fails_it_says_so_and_what_was_left_out_is_no_failure(shown):
    progress = Cell()
    run(progress, "data", 4, 4096, done=3)
    assert shown[-1]["text/plain"].endswith(": data 3 of 4")

    def publish():
        progress.begin("root", 2, 10)
        try:
            progress.advance(1, 5)
            raise OSError
        finally:
            progress.end()

    with pytest.raises(OSError):
        publish()
    assert shown[-1]["text/plain"].startswith("stopped: root metadata: 1 of 2 objects")
    assert 'value="0.500"' in shown[-1]["text/html"]


def test_a_run_within_the_handling_of_an_error_is_none_that_failed(shown):
    try:
        raise OSError
    except OSError:
        run(Cell(), "data", 2)
    assert shown[-1]["text/plain"].startswith("2 objects in ")


def test_the_service_asks_to_slow_down(shown):
    progress = Cell()
    progress.begin("data", 2, 20)
    progress.pace(7)
    progress.advance(1, 10)
    assert shown[-1]["text/plain"].endswith("slowed down by the service: 7 requests at a time")
