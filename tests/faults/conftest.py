"""Fixtures of the fault tests: nobody tries again, and whoever is to die dies."""

from __future__ import annotations

import pytest
from mortal import Fate, Mortal


@pytest.fixture
def impatient(monkeypatch):
    """What is cut off stays cut off: trying again would only take time."""
    monkeypatch.setattr("zsync.storage.retrying.RetryPolicy.__init__.__defaults__", (1, 1, 0.0, 0.0))
    monkeypatch.setattr("zsync.verbs.sync._PATIENCE_S", 0.0)


@pytest.fixture
def fate(monkeypatch):
    """The fate of all stores that are opened from now on, the folders' among them, and of the base."""
    from zsync.storage import opening
    from zsync.team import apply as team_apply

    def forget():
        opening._connect.cache_clear()
        opening._pace.cache_clear()

    fate = Fate(forget=forget)
    for name in ("_open_obstore", "_open_files"):
        opened = getattr(opening, name)
        monkeypatch.setattr(opening, name, lambda place, opened=opened: Mortal(opened(place), fate))
    write = team_apply.write_base
    monkeypatch.setattr(team_apply, "write_base", lambda *what: fate("base", "", lambda: write(*what)))
    opening._connect.cache_clear()
    yield fate
    opening._connect.cache_clear()
