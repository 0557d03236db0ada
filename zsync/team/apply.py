"""From decisions to a folder and a target that agree: what comes first, then what goes, and the base after each."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from zsync.planning.merge import Verdict, merge
from zsync.planning.names import copy_name, names_of
from zsync.team.base import write_base
from zsync.team.carry import Moved, Task, bring, send, without
from zsync.team.changes import SKIP
from zsync.team.choose import downloads, is_copied, uploads
from zsync.team.files import beside, move_aside
from zsync.team.fit import behind_links, clashing, contested_names, occupied, unfit_here, unfit_there
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zsync.config import RunConfig
    from zsync.planning.merge import Change, Content, Side, Yielding
    from zsync.report.progress import Progress
    from zsync.team.base import Base
    from zsync.team.folder import Folder
    from zsync.team.look import Look


@dataclass(slots=True)
class Application:
    """Carries out what was decided on one look at both sides.

    Attributes
    ----------
    actions
        What was done with each unit.
    copies
        Where the version here of a unit is that lost a conflict and was to be kept.
    publication
        The publication that the folder agrees with now.
    sent, received
        Numbers of objects.
    """

    config: RunConfig
    folder: Folder
    base: Base
    seen: Look
    progress: Progress
    actions: dict[str, str] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    publication: str | None = None
    sent: int = 0
    received: int = 0
    names: set[str] = field(default_factory=set)  # that are a file or a directory on either side
    written: Base = field(init=False)

    def __post_init__(self) -> None:
        self.written = self.base

    def apply(self, changes: Sequence[Change], decided: Mapping[str, str]) -> None:
        """Carry it out.

        Raises
        ------
        ConflictError, PreconditionError, SourceChangedError
            Something is not as it was looked at any more: what was done is in the base, look again.
        """
        self.publication = self.seen.head.publication
        self.findings += contested_names(
            self.folder, self.seen, [change for change in changes if decided[change.unit] == SKIP]
        )
        unfit = self._unfit(changes, decided)
        decided = {unit: SKIP if unit in unfit else decision for unit, decision in decided.items()}
        coming = [change for change in changes if downloads(change, decided[change.unit])]
        going = [change for change in changes if uploads(change, decided[change.unit])]
        copied = [change for change in changes if is_copied(change, decided[change.unit])]
        agreed = [change for change in merge(self.seen.states) if change.verdict == Verdict.SAME]
        self._agree(agreed)
        stays = self._unfit_here(copied)
        if coming:
            self._bring(coming, copied)
        unrecorded = [change for change in agreed if not change.is_recorded or self._is_unpublished(change)]
        copies = [copy for unit, copy in self.copies.items() if unit not in stays]
        if going or copies or unrecorded:
            self._send(going, copies, unrecorded)
        self.findings += [*unfit.values(), *stays.values()]
        self._tell(changes, decided)
        self._keep_base(is_complete=all(decision != SKIP for decision in decided.values()))

    def _unfit(self, changes: Sequence[Change], decided: Mapping[str, str]) -> dict[str, Finding]:
        """Return what cannot be moved though it was decided on."""
        coming = [change for change in changes if downloads(change, decided[change.unit])]
        going = [change for change in changes if uploads(change, decided[change.unit])]
        linked = behind_links(self.folder, self.seen, coming)
        coming = [change for change in coming if change.unit not in linked]
        unfit = linked | self._unfit_here(going) | unfit_there(self.seen, coming)
        unfit |= occupied(self.folder, self.seen, coming)
        coming, going = ([change for change in side if change.unit not in unfit] for side in (coming, going))
        return unfit | clashing(self.folder, self.seen, coming, going)

    def _unfit_here(self, changes: Sequence[Change]) -> dict[str, Finding]:
        allows_damage = self.config.publish.damaged == "allow"
        return unfit_here(self.folder, self.seen, changes, allows_damage=allows_damage)

    def _is_unpublished(self, change: Change) -> bool:
        """Return whether the target has it, and no publication at all."""
        return self.seen.head.publication is None and any(key in self.seen.states.there for key in change.keys)

    def _agree(self, changes: Sequence[Change]) -> None:
        there = self.seen.states.there
        for change in changes:
            contents = {
                key: replace(there[key], digest=self.seen.states.here[key].digest)
                for key in change.keys
                if key in there
            }
            self.base = self.base.agreed(change.keys, contents)

    def _bring(self, coming: Sequence[Change], copied: Sequence[Change]) -> None:
        there = self.seen.states.there
        expected = {key: there.get(key) for change in coming for key in change.keys}
        # Before anything is renamed or written: what is cut off here is then known not to be anybody's change.
        self.base = self.base.expecting(expected)
        self.base = self.base.expecting({key: None for change in copied for key in change.keys})
        replaced = [change for change in coming if change.verdict == Verdict.CONFLICT and change not in copied]
        self.base = self.base.replacing(_as_they_are(replaced, self.seen.states.here), {})
        self._write()
        for change in copied:
            self._copy(change)
        moved = bring(Task(self.folder, self.config, self.seen, self._expect, self.progress), coming)
        self.received = moved.objects
        self.seen = without(self.seen, {key for change in coming for key in change.keys if key not in there})
        self._settle(coming, moved)

    def _expect(self, contents: Mapping[str, Content | None]) -> None:
        self.base = self.base.expecting(contents)
        self._write()

    def _announce(self, contents: Mapping[str, Content | None]) -> None:
        self.base = self.base.sending(contents)
        self._write()

    def _copy(self, change: Change) -> None:
        """Keep what is here of a unit under another name."""
        if not self.names:
            self.names |= names_of([*self.seen.states.here, *self.seen.states.there])
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        taken = self.names | beside(self.folder.root, change.unit)
        name = copy_name(change.unit, self.folder.member, stamp, taken)
        self.copies[change.unit] = name
        self.names.add(name)
        here = self.seen.states.here
        for part in change.parts or (change.unit,):
            below = () if change.parts and part == change.unit else (f"{part}/",)
            if any(key == part or key.startswith(below) for key in change.keys if key in here):
                move_aside(self.folder.root, part, name + part.removeprefix(change.unit))
        self.seen = without(self.seen, set(change.keys))

    def _send(self, going: Sequence[Change], copies: Sequence[str], unrecorded: Sequence[Change]) -> None:
        here = self.seen.states.here
        self.base = self.base.sending({key: here.get(key) for change in going for key in change.keys})
        replaced = [change for change in going if change.verdict == Verdict.CONFLICT]
        self.base = self.base.replacing({}, _as_they_are(replaced, self.seen.states.there))
        self._write()
        # What somebody else changed there, and is overruled, is kept.
        keeps = frozenset(change.unit for change in going if change.there)
        task = Task(self.folder, self.config, self.seen, self._announce, self.progress)
        moved = send(task, [*going, *unrecorded], copies, keeps)
        self.sent = moved.objects
        self.publication = moved.publication or self.publication
        self._settle([*going, *unrecorded], moved)

    def _settle(self, changes: Sequence[Change], moved: Moved) -> None:
        keys = {key for change in changes for key in change.keys} | moved.contents.keys()
        self.base = self.base.agreed(keys, moved.contents)
        self._write()
        # That a folder of a team holds all sorts of files is no news.
        self.findings += [item for item in moved.findings if (item.level, item.code) != ("warning", "foreign")]

    def _keep_base(self, *, is_complete: bool) -> None:
        """Write the base; who changed what was skipped is still to be told the next time."""
        publication = self.publication if is_complete else self.base.publication
        if is_complete:
            self.base = self.base.settled()
        self.base = replace(self.base, publication=publication, member=self.folder.member, exists=True)
        if self.base != self.written:
            self._write()

    def _write(self) -> None:
        write_base(self.folder.state_directory, self.base)
        self.written = self.base

    def _tell(self, changes: Sequence[Change], decided: Mapping[str, str]) -> None:
        for change in changes:
            decision = decided[change.unit]
            went, came = uploads(change, decision), downloads(change, decision)
            self.actions[change.unit] = "uploaded" if went else "downloaded" if came else "skipped"
            if change.unit in self.copies:
                self.actions[change.unit] = "kept both"
            if change.is_unfinished and decision == SKIP:
                message = (
                    "this store is otherwise in the target than any publication left it: somebody's upload was cut off,"
                    " and their next `zsync sync` finishes it; --prefer local puts back what is here"
                )
                self.findings.append(Finding("warning", "unfinished", self.folder.product.name, change.unit, message))


def _as_they_are(changes: Sequence[Change], side: Side) -> Yielding:
    """Return the stores among some units, key by key; a file is replaced in one step, and needs no memory of it."""
    return {key: side.get(key) for change in changes if change.is_store or change.parts for key in change.keys}
