"""Decide what is done with each change: by rule, by asking, or not at all."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zsync.errors import ConfigError, GuardError
from zsync.planning.merge import DOWNLOADS, UPLOADS, Verdict
from zsync.team.changes import BOTH, LOCAL, REMOTE, SKIP, TAKE, Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.planning.merge import Change
    from zsync.team.changes import Ask, Shown


@dataclass(slots=True)
class Chooser:
    """Decides, and remembers: a change that comes up again as it was is decided as it was.

    Attributes
    ----------
    yes
        Take every change that is no conflict.
    prefer
        What wins a conflict: ``local``, ``remote``, ``both``, or ``ask``.
    is_given
        `prefer` was said for this run, and stands for a yes where nobody can be asked.
    allow_empty
        A side on which everything is gone is believed.
    ask
        Asks somebody; None where there is nobody.
    """

    yes: bool
    prefer: str
    is_given: bool
    allow_empty: bool
    ask: Ask | None
    remembered: dict[str, str] = field(default_factory=dict)

    def decide(self, folder: str, shown: Sequence[Shown], *, emptied: str | None) -> dict[str, str]:
        """Return what is to be done with each unit.

        Parameters
        ----------
        folder
            The folder's path.
        shown
            The changes.
        emptied
            The side on which everything is gone; None if there is none.

        Raises
        ------
        ConfigError
            Something is to be decided, and there is nobody to ask.
        GuardError
            Everything is gone from one side, and nobody looked at that.
        """
        decided = {item.change.unit: self._by_rule(item) for item in shown}
        if emptied is not None and (self.yes or self.ask is None) and not self.allow_empty:
            raise GuardError(
                "everything is gone from one side, and nobody was asked whether it may go from the other",
                emptied,
                "is it mounted? If it was meant, give --allow-empty",
            )
        groups: defaultdict[Verdict, list[Shown]] = defaultdict(list)
        for item in shown:
            if decided[item.change.unit] is None:
                groups[Verdict.CONFLICT if item.change.is_unfinished else item.change.verdict].append(item)
        if groups and self.ask is None:
            raise _nobody_to_ask(folder, groups)
        for verdict in Verdict:
            if verdict in groups and self.ask is not None:
                group = Group(folder, verdict, tuple(groups[verdict]))
                decided |= self._checked(group, self.ask(group))
        found = {unit: decision or SKIP for unit, decision in decided.items()}
        self.remembered |= {item.change.fingerprint: found[item.change.unit] for item in shown}
        return found

    def _by_rule(self, item: Shown) -> str | None:
        """Return what goes without asking."""
        known = self.remembered.get(item.change.fingerprint)
        if known is not None:
            return known
        if TAKE in item.options:
            return TAKE if self.yes or (self.is_given and self.ask is None) else None
        if self.prefer in item.options:
            return self.prefer
        if item.change.is_unfinished and (self.ask is None or self.prefer in (REMOTE, BOTH)):
            return SKIP  # to wait is no guess
        if item.change.parts and self.ask is None:
            return SKIP
        return None

    def _checked(self, group: Group, answers: Sequence[str]) -> dict[str, str]:
        if len(answers) != len(group.changes):
            raise ConfigError(f"{len(group.changes)} changes were asked about, {len(answers)} answers came", "ask")
        for item, answer in zip(group.changes, answers, strict=True):
            if answer not in item.options:
                raise ConfigError(f"{answer!r} is no answer about {item.name}", "ask", f"take one of {item.options}")
        return {item.change.unit: answer for item, answer in zip(group.changes, answers, strict=True)}


def _nobody_to_ask(folder: str, groups: dict[Verdict, list[Shown]]) -> ConfigError:
    conflicts = len(groups.get(Verdict.CONFLICT, ()))
    others = sum(len(items) for items in groups.values()) - conflicts
    parts = [f"{others} change{'' if others == 1 else 's'}"] if others else []
    parts += [f"{conflicts} conflict{'' if conflicts == 1 else 's'}"] if conflicts else []
    options = ["--yes"] if others else []
    options += ["--prefer local, remote or both"] if conflicts else []
    return ConfigError(f"{' and '.join(parts)} to decide, and nobody to ask", folder, f"give {' and '.join(options)}")


def uploads(change: Change, decision: str) -> bool:
    """Return whether a decision brings what is here to the target."""
    if change.verdict in UPLOADS:
        return decision == TAKE
    # Where the other side deleted, keeping both is keeping what is here.
    return decision == LOCAL or (decision == BOTH and change.there == "deleted")


def downloads(change: Change, decision: str) -> bool:
    """Return whether a decision brings what is in the target here."""
    if change.verdict in DOWNLOADS:
        return decision == TAKE
    return decision == REMOTE or (decision == BOTH and change.there != "deleted")


def is_copied(change: Change, decision: str) -> bool:
    """Return whether a decision keeps what is here as a copy."""
    return decision == BOTH and change.there != "deleted" and change.here != "deleted"
