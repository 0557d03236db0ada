"""Changes of a team's folder: what is shown before anybody decides, and what was done with each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zsync.planning.merge import UPLOADS, Verdict

if TYPE_CHECKING:
    from zsync.planning.merge import Change
    from zsync.team.history import Author

TAKE, SKIP, LOCAL, REMOTE, BOTH = "take", "skip", "local", "remote", "both"


@dataclass(frozen=True, slots=True)
class Shown:
    """One change as it is shown: what, and who changed it here and there, and when."""

    change: Change
    here: Author
    there: Author

    @property
    def name(self) -> str:
        """The unit's place; a store's ends in a slash."""
        return f"{self.change.unit}/" if self.change.is_store else self.change.unit

    @property
    def size(self) -> int:
        """Size of what would be moved, in bytes."""
        return self.change.size_here if self.change.verdict in UPLOADS else self.change.size_there

    @property
    def options(self) -> tuple[str, ...]:
        """What may be decided about it."""
        if self.change.is_unfinished:
            return (LOCAL, SKIP)
        if self.change.verdict != Verdict.CONFLICT:
            return (TAKE, SKIP)
        # Nothing can lie beside a store that is the whole folder.
        return (LOCAL, REMOTE, BOTH, SKIP) if self.change.unit else (LOCAL, REMOTE, SKIP)


@dataclass(frozen=True, slots=True)
class Group:
    """Changes of one sort, to be decided on.

    Attributes
    ----------
    folder
        The folder's path.
    verdict
        Of what sort they are.
    changes
        The changes; what may be decided is the same for most, see `Shown.options`.
    """

    folder: str
    verdict: Verdict
    changes: tuple[Shown, ...]


Ask = Callable[[Group], Sequence[str]]  # returns one of its options for every change of a group


@dataclass(frozen=True, slots=True)
class SyncedChange:
    """One unit, and what was done with it.

    Attributes
    ----------
    unit
        Its place: a store's prefix, or a file's key.
    verdict
        What its states came to.
    here, there
        What happened on each side: ``new``, ``modified``, ``deleted``, or empty.
    action
        ``uploaded``, ``downloaded``, ``kept both`` or ``skipped``; empty after a dry run.
    by, time
        Who changed it last, and when; empty where that is not known.
    bytes
        Size of what was moved, or would be.
    copy
        Where the local version is that lost a conflict and was to be kept.
    """

    unit: str
    is_store: bool
    verdict: Verdict
    here: str
    there: str
    action: str
    by: str
    time: str
    bytes: int
    copy: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"verdict": str(self.verdict)}


@dataclass(frozen=True, slots=True)
class SyncedProduct:
    """What a synchronization did, or would do, with one folder.

    Attributes
    ----------
    url, path
        Its target, and the folder.
    publication
        The target's publication that it agrees with; None if there is none.
    changes
        What differed.
    sent, received
        Numbers of objects that were uploaded and downloaded.
    """

    name: str
    url: str
    path: str
    publication: str | None
    changes: tuple[SyncedChange, ...]
    sent: int
    received: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "name": self.name,
            "url": self.url,
            "path": self.path,
            "publication": self.publication,
            "sent": self.sent,
            "received": self.received,
            "changes": [change.to_dict() for change in self.changes],
        }
