"""What a team's state machine has found, each as it came: the team comes to rest, and nobody's edit is lost."""

from __future__ import annotations

from collections import Counter

import pytest
from team import Team
from team_machine import TeamMachine


@pytest.fixture
def state(s3, bucket, tmp_path, fate, impatient):
    """A machine to be led by hand; at the end the team has to come to rest."""
    machine = TeamMachine(Team(s3, bucket, tmp_path / "team"), fate, Counter())
    machine.somebody_begins()
    yield machine
    machine.nothing_is_lost()
    machine.teardown()


def test_a_file_and_a_directory_change_places_with_kills_in_between(state):
    """Was: a conflict copy that was made in a directory of which others made a file stayed there for ever."""
    state.edit(
        changes=[
            ("rename", "d/t.zarr", "s.zarr"),
            ("write", "d/e"),
            ("rename", "d/t.zarr", "d/t.zarr"),
            ("edit_store", "d/t.zarr", "first"),
            ("edit_store", "s.zarr", "shrink"),
            ("rename", "d/t.zarr", "d/t.zarr"),
            ("write", "b.txt"),
            ("delete", "d/t.zarr"),
            ("write", "d/e/f"),
            ("delete", "d/t.zarr"),
            ("rename", "s.zarr", "s.zarr"),
            ("rename", "d/e/f", "d/e/f"),
        ],
        name="bob",
    )
    state.sync_and_die(
        acts=False,
        at=6,
        changes=[
            ("rename", "d/c.txt", "a.txt"),
            ("delete", "d/t.zarr"),
            ("rename", "s.zarr", "d/t.zarr"),
            ("edit_store", "s.zarr", "append"),
            ("write", "a.txt"),
            ("rename", "d/e/f", "b.txt"),
            ("edit_store", "d/t.zarr", "first"),
            ("rename", "d/e/f", "a.txt"),
            ("delete", "d/t.zarr"),
        ],
        name="bob",
        prefer="both",
    )
    state.sync(
        changes=[
            ("rename", "s.zarr", "d/t.zarr"),
            ("delete", "s.zarr"),
            ("rename", "s.zarr", "d/t.zarr"),
            ("write", "b.txt"),
            ("edit_store", "d/t.zarr", "first"),
        ],
        name="ann",
        prefer="both",
    )
    state.edit(
        changes=[
            ("rename", "d/c.txt", "b.txt"),
            ("rename", "s.zarr", "d/t.zarr"),
            ("rename", "d/e", "b.txt"),
            ("rename", "d/t.zarr", "d/t.zarr"),
            ("edit_store", "s.zarr", "first"),
            ("write", "d/c.txt"),
            ("rename", "a.txt", "b.txt"),
        ],
        name="ann",
    )
    state.sync_and_die(
        acts=True,
        at=65,
        changes=[
            ("rename", "d/e", "d/e"),
            ("delete", "s.zarr"),
            ("rename", "d/t.zarr", "s.zarr"),
            ("rename", "a.txt", "a.txt"),
            ("delete", "s.zarr"),
            ("delete", "d/e"),
            ("write", "a.txt"),
            ("rename", "s.zarr", "s.zarr"),
        ],
        name="ann",
        prefer="both",
    )
    state.edit(
        changes=[
            ("rename", "d/t.zarr", "s.zarr"),
            ("edit_store", "s.zarr", "last"),
            ("rename", "s.zarr", "s.zarr"),
            ("rename", "s.zarr", "s.zarr"),
            ("edit_store", "s.zarr", "first"),
            ("rename", "d/t.zarr", "d/t.zarr"),
            ("write", "b.txt"),
        ],
        name="cy",
    )
    state.edit(
        changes=[
            ("write", "d/e/f"),
            ("write", "d/e/f"),
            ("rename", "s.zarr", "s.zarr"),
            ("rename", "d/t.zarr", "d/t.zarr"),
            ("delete", "a.txt"),
            ("delete", "s.zarr"),
            ("delete", "d/t.zarr"),
            ("rename", "d/t.zarr", "d/t.zarr"),
            ("edit_store", "s.zarr", "append"),
            ("edit_store", "d/t.zarr", "append"),
        ],
        name="ann",
    )
    state.edit(
        changes=[
            ("delete", "d/e/f"),
            ("write", "d/c.txt"),
            ("write", "b.txt"),
            ("write", "d/c.txt"),
            ("write", "d/e"),
            ("rename", "d/c.txt", "d/c.txt"),
            ("edit_store", "s.zarr", "shrink"),
            ("rename", "d/c.txt", "d/e/f"),
            ("edit_store", "s.zarr", "append"),
            ("write", "d/c.txt"),
            ("write", "d/c.txt"),
            ("rename", "b.txt", "d/c.txt"),
        ],
        name="ann",
    )
    state.sync_and_die(
        acts=False,
        at=4,
        changes=[
            ("rename", "s.zarr", "s.zarr"),
            ("rename", "s.zarr", "s.zarr"),
            ("rename", "d/e", "b.txt"),
            ("write", "b.txt"),
            ("rename", "d/e", "a.txt"),
            ("delete", "d/t.zarr"),
            ("write", "b.txt"),
            ("rename", "d/e", "a.txt"),
            ("rename", "b.txt", "b.txt"),
            ("edit_store", "s.zarr", "shrink"),
        ],
        name="ann",
        prefer="remote",
    )
    state.edit(
        changes=[
            ("delete", "d/c.txt"),
            ("write", "d/e/f"),
            ("delete", "a.txt"),
            ("rename", "d/t.zarr", "s.zarr"),
            ("rename", "a.txt", "b.txt"),
            ("delete", "d/t.zarr"),
            ("delete", "s.zarr"),
            ("rename", "s.zarr", "s.zarr"),
            ("rename", "d/t.zarr", "s.zarr"),
            ("edit_store", "d/t.zarr", "last"),
            ("edit_store", "s.zarr", "attributes"),
            ("delete", "a.txt"),
        ],
        name="bob",
    )
    state.sync_and_die(
        acts=False,
        at=42,
        changes=[
            ("rename", "d/e", "b.txt"),
            ("write", "d/c.txt"),
            ("rename", "b.txt", "a.txt"),
            ("rename", "d/c.txt", "a.txt"),
            ("rename", "d/e", "a.txt"),
            ("write", "b.txt"),
        ],
        name="ann",
        prefer="both",
    )
    state.edit(
        changes=[
            ("rename", "s.zarr", "d/t.zarr"),
            ("rename", "d/e/f", "d/c.txt"),
            ("rename", "d/t.zarr", "d/t.zarr"),
            ("rename", "d/t.zarr", "d/t.zarr"),
            ("rename", "d/e", "d/c.txt"),
            ("rename", "d/e/f", "d/e"),
            ("delete", "d/t.zarr"),
            ("rename", "d/e/f", "a.txt"),
            ("rename", "d/c.txt", "b.txt"),
            ("edit_store", "s.zarr", "attributes"),
            ("edit_store", "s.zarr", "append"),
        ],
        name="ann",
    )
    state.sync_and_die(
        acts=False,
        at=55,
        changes=[
            ("rename", "a.txt", "b.txt"),
            ("delete", "d/e/f"),
            ("delete", "d/c.txt"),
            ("delete", "d/e"),
            ("write", "d/e/f"),
            ("rename", "s.zarr", "d/t.zarr"),
            ("rename", "d/e/f", "d/e/f"),
            ("rename", "d/e", "d/e"),
            ("rename", "d/t.zarr", "d/t.zarr"),
        ],
        name="cy",
        prefer="both",
    )
    state.sync(
        changes=[
            ("rename", "b.txt", "b.txt"),
            ("rename", "b.txt", "b.txt"),
            ("write", "b.txt"),
            ("rename", "s.zarr", "d/t.zarr"),
            ("rename", "d/c.txt", "a.txt"),
            ("edit_store", "s.zarr", "attributes"),
            ("delete", "s.zarr"),
            ("write", "a.txt"),
            ("rename", "d/e/f", "d/c.txt"),
            ("edit_store", "s.zarr", "last"),
        ],
        name="ann",
        prefer="remote",
    )
