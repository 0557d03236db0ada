"""Forget what a team's folder and its target know of each other: `zsync reset`. The data stays."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zsync.config import RunConfig
from zsync.errors import ConfigError, TargetError
from zsync.keys import Key, sort, under
from zsync.publication import Leases, new_publication_id, read_lease, refuse_if_held
from zsync.report.format import many
from zsync.storage import connect
from zsync.storage.handles import directory
from zsync.system import advice_on
from zsync.team.folder import folder_of, team_config
from zsync.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Unpack

    from zsync.config.options import Options
    from zsync.storage import ObjectStore
    from zsync.team.folder import Folder

_DELETE_LIMIT = 1000  # keys a request
_TRASH = "trash"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What is forgotten of one folder, or is to be.

    Attributes
    ----------
    path, url
        The folder, and its target.
    files, objects
        Numbers of files of its state here, and of objects of its state there.
    trash_files, trash_objects
        Of those that hold what was deleted or replaced: they stay unless that was asked for.
    removes_trash
        It was.
    """

    path: str
    url: str
    files: int
    objects: int
    trash_files: int
    trash_objects: int
    removes_trash: bool

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __str__(self) -> str:
        state = (
            f"the state of {self.path} ({many(self.files, 'file')}) and of {self.url} ({many(self.objects, 'object')})"
        )
        if not self.trash_files and not self.trash_objects:
            return state
        held = f"the trash ({many(self.trash_files, 'file')} here, {many(self.trash_objects, 'object')} there)"
        return f"{state}, and {held}" if self.removes_trash else f"{state}; {held} stays"


def reset(
    config: Any = None,
    *,
    yes: bool = False,
    confirm: Callable[[Forgotten], bool] | None = None,
    trash: bool = False,
    **overrides: Unpack[Options],
) -> list[Forgotten]:
    """Forget the state of a team's folder, here and in the target; the data stays on both sides.

    The next synchronization then compares everything anew: what is the same agrees, what differs is a conflict. What
    the trash holds stays, unless that is asked for.

    Parameters
    ----------
    config
        As for `zsync.sync`.
    yes
        Do it without asking.
    confirm
        Asked about each folder before anything is removed.
    trash
        Remove the trash as well, for good.
    **overrides
        Options of the configuration.

    Returns
    -------
    list of Forgotten
        What was forgotten; folders that were not confirmed are left out.

    Raises
    ------
    ConfigError
        There is neither `yes` nor `confirm`.
    ConflictError
        Somebody is at work.

    Examples
    --------
    >>> import zsync
    >>> zsync.reset("s3synchrony.json", yes=True)  # doctest: +SKIP
    """
    if not yes and confirm is None:
        raise ConfigError(
            "to forget a folder's state needs a confirmation",
            None,
            "give --yes (in Python yes=True), or use a terminal",
        )
    understood = RunConfig.from_any(team_config(config), **overrides)
    done = []
    for product in understood.resolve():
        folder = folder_of(understood, product)
        found = _found(folder, removes_trash=trash)
        if yes or (confirm is not None and confirm(found)):
            _forget(folder, removes_trash=trash)
            done.append(found)
    return done


def _found(folder: Folder, *, removes_trash: bool) -> Forgotten:
    state, everything = _local(folder, removes_trash=False), _local(folder, removes_trash=True)
    place = folder.there
    keys = _remote(place.store, place.state.prefix)
    held = [key for key in keys if key.startswith(f"{place.state.trashes}/")]
    return Forgotten(
        folder.root, place.url, len(state), len(keys) - len(held), len(everything) - len(state), len(held),
        removes_trash,
    )  # fmt: skip


def _local(folder: Folder, *, removes_trash: bool) -> list[Path]:
    state = folder.state_directory
    files = [path for path in state.rglob("*") if path.is_file()]
    return [path for path in files if removes_trash or path.relative_to(state).parts[0] != _TRASH]


def _remote(store: ObjectStore, prefix: str) -> list[Key]:
    base = f"{prefix}/"
    inside = [key.removeprefix(base) for page in store.list(base) for key in page.keys]
    return [under(base, key) for key in sort(inside).fit]


def _forget(folder: Folder, *, removes_trash: bool) -> None:
    from zsync.team.base import locked

    place = folder.there
    local = connect(folder.local)
    lease = read_lease(place.store, place.state)
    refuse_if_held(place.store, place.state, lease)
    refuse_if_held(local, folder.local_state, read_lease(local, folder.local_state))
    with locked(folder.state_directory, folder.root):
        # With the lease in hand nobody publishes; it goes last, as whoever looks for it then finds nothing at all.
        with Leases([(place.store, place.state, lease)], new_publication_id(), __version__):
            kept = () if removes_trash else (f"{place.state.trashes}/",)
            keys = [key for key in _remote(place.store, place.state.prefix) if not key.startswith(kept or "\0")]
            keys = [place.state.head, *(key for key in keys if key not in (place.state.head, place.state.lease))]
            for start in range(0, len(keys), _DELETE_LIMIT):
                place.store.delete(keys[start : start + _DELETE_LIMIT])
        place.store.delete([place.state.lease])
        _forget_here(folder, removes_trash=removes_trash)


def _forget_here(folder: Folder, *, removes_trash: bool) -> None:
    state = folder.state_directory
    above, name = f"{state.parent.name}", state.name
    try:
        with directory(str(state.parent.parent), above) as handle:
            if removes_trash:
                shutil.rmtree(name, dir_fd=handle)
                return
            for inside, below, files, here in os.fwalk(name, topdown=False, dir_fd=handle):
                if f"{inside}/".startswith(f"{name}/{_TRASH}/"):
                    continue
                for file in files:
                    os.unlink(file, dir_fd=here)
                for empty in below:
                    with suppress(OSError):  # what is in the trash keeps its directories
                        os.rmdir(empty, dir_fd=here)
            with suppress(OSError):
                os.rmdir(name, dir_fd=handle)
    except OSError as error:
        raise TargetError(
            f"the folder's state cannot be removed ({error.strerror})", str(state), advice_on(error)
        ) from error
