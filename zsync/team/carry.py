"""Carry out what was decided: a pull of some units to the folder, then a publish of others to the target.

Both go the way of every pull and publish: stock, survey, plan, stages, receipts, manifest, head, lease. What is special
is that they are about some units only, that what is replaced is kept in the trash, and that nothing is replaced that
changed since it was looked at.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from blake3 import blake3

from zsync.errors import SourceChangedError
from zsync.inventory import Objects, Scan, cache_directory, list_target
from zsync.inventory.links import links_among
from zsync.layout import Layout, place, store_prefixes
from zsync.planning.merge import Content, clashes
from zsync.publication import manifest, read_head, read_lease, read_parts, refuse_if_held
from zsync.steps.directories import clear_way
from zsync.steps.room import check_space
from zsync.steps.run import Way, run
from zsync.steps.stock import Stock
from zsync.steps.terms import Terms, remarks_of
from zsync.storage import HeaderRules, connect
from zsync.tables import MANIFEST, OBJECTS, table_of
from zsync.team.folder import Chosen, scan_folder
from zsync.team.look import look_there_again
from zsync.team.renamed import recorded_in
from zsync.words import Action, Kind, Stage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from zsync.config import ResolvedProduct, RunConfig
    from zsync.inventory import Listing
    from zsync.planning import Plan
    from zsync.planning.merge import Change
    from zsync.publication import StateKeys
    from zsync.report.progress import Progress
    from zsync.steps.carry import Carried
    from zsync.steps.run import Ran
    from zsync.steps.surveyed import Surveyed
    from zsync.storage import StoreSpec
    from zsync.team.folder import Folder
    from zsync.team.look import Look
    from zsync.words import Finding

log = logging.getLogger(__name__)

Announce = Callable[[Mapping[str, Content | None]], None]


@dataclass(frozen=True, slots=True)
class Task:
    """What it takes to move units.

    Attributes
    ----------
    seen
        Both sides as they were looked at.
    announce
        Told, before anything is written, what will be on the other side for a while and is neither what was there nor
        what is to be.
    """

    folder: Folder
    config: RunConfig
    seen: Look
    announce: Announce
    progress: Progress


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of one direction.

    Attributes
    ----------
    contents
        What both sides hold now of the keys that it was about.
    publication
        The publication that was made; None if there was nothing to do.
    objects
        Number of objects that were sent.
    findings
        What was noticed.
    """

    contents: Mapping[str, Content]
    publication: str | None = None
    objects: int = 0
    findings: tuple[Finding, ...] = ()


def bring(task: Task, changes: Sequence[Change]) -> Moved:
    """Bring units from the target to the folder.

    Raises
    ------
    SourceChangedError, PreconditionError
        Something changed since it was looked at: look again.
    ConflictError
        Somebody else is at work in the folder.
    TargetError
        There is no room, or the target cannot be reached.
    """
    seen, root = task.seen, task.folder.root
    there = {key: content for change in changes for key in change.keys if (content := seen.states.there.get(key))}
    gone = {key for change in changes for key in change.keys if key in seen.states.here and key not in there}
    # A file cannot come while a directory of its name is there, nor the other way.
    in_the_way = {key for key in gone if clashes([key], there)}
    if in_the_way:
        _bring_keys(task, frozenset(in_the_way), {})
        task = replace(task, seen=without(seen, in_the_way))
    _refuse_links(root, there)
    clear_way(root, there)
    return _bring_keys(task, frozenset(change.unit for change in changes), there)


def _bring_keys(task: Task, places: frozenset[str], there: Mapping[str, Content]) -> Moved:
    folder, seen = task.folder, task.seen
    store, state = connect(folder.local), folder.local_state
    lease = read_lease(store, state)
    refuse_if_held(store, state, lease)
    head, listing = read_head(store, state), list_target(store, folder.here.path, takes_all=True)
    # After the listing: what changes from here on is not as it is listed.
    _refuse_if_changed(folder, seen, places)
    origin = objects_of(seen, there)
    product = replace(_product(folder, origin.name, there), location=folder.here)
    stock = Stock(
        product, folder.local, state, lease, head, listing, origin, origin.seen, within=places, without=folder.without,
    )  # fmt: skip
    terms = replace(_terms(task.config), keeps=places)
    ran = run([stock], terms, task.progress, way=_Bringing(task, listing))
    if ran.carried is None:
        return Moved(dict(there), findings=ran.plan.findings)
    arrived = _on_record(folder.local, state, ran.carried.publication)
    contents = {
        key: replace(content, digest=arrived[key].digest if key in arrived else content.digest)
        for key, content in there.items()
    }
    return _moved(contents, ran.plan, ran.carried)


def _moved(contents: Mapping[str, Content], plan: Plan, carried: Carried) -> Moved:
    findings = (*plan.findings, *carried.findings)
    return Moved(contents, carried.publication, plan.count(Action.SEND), findings)


@dataclass(frozen=True, slots=True)
class _Moving(Way):
    """What is special to moving units: who is cut off is to know, the next time, what was on its way."""

    task: Task

    def begin(self, ran: Ran) -> None:
        """Tell of fences, and of what is withdrawn: who is cut off then finds them, and they are nobody's change."""
        for row in ran.plan.shown_while(Stage.FENCE):
            body = row["content"]
            etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
            self.task.announce({row["key"]: Content(len(body), blake3(body).hexdigest(), etag)})
        if withdrawn := ran.plan.shown_while(Stage.WITHDRAW, Stage.DATA):
            self.task.announce({row["key"]: None for row in withdrawn})


@dataclass(frozen=True, slots=True)
class _Bringing(_Moving):
    """What is special to bringing units here."""

    listing: Listing

    def understood(self, item: Surveyed) -> Surveyed:
        """Add what is known of the files here, so that none that is right is fetched."""
        return _knowing(item, self.task.seen, self.listing)

    def is_done(self, ran: Ran) -> bool:
        """Whether the folder holds it all: what is on record here is known to the base, and to nobody else."""
        return ran.plan.is_empty

    def check(self, ran: Ran) -> None:
        """Raise if there is no room, or a link in the way."""
        root = self.task.folder.root
        check_space(root, ran.plan.bytes(Action.SEND))
        _refuse_links(root, [*_keys_of(ran.plan, Action.SEND), *_keys_of(ran.plan, Action.RETIRE)])


def _keys_of(plan: Plan, action: Action) -> list[str]:
    keys: list[str] = plan.rows(action)["key"].to_pylist()
    return keys


def _refuse_links(root: str, keys: Collection[str]) -> None:
    """Refuse to write or delete through a link that was not there when it was looked.

    Raises
    ------
    SourceChangedError
        There is one.
    """
    for link in sorted(links_among(root, keys)):
        raise SourceChangedError("a symbolic link came to be here meanwhile", f"{root}/{link}", "synchronize again")


def without(seen: Look, keys: Collection[str]) -> Look:
    """Return a look at a folder from which some files are gone since."""
    rows = [row for row in zip(seen.scan.keys, seen.scan.signatures, strict=True) if row[0] not in keys]
    scan = Scan([key for key, _ in rows], [signature for _, signature in rows], ())
    here = {key: content for key, content in seen.states.here.items() if key not in keys}
    return replace(seen, scan=scan, states=replace(seen.states, here=here))


def _refuse_if_changed(folder: Folder, seen: Look, places: frozenset[str]) -> Scan:
    """Look at some units here again.

    Raises
    ------
    SourceChangedError
        They are not as they were looked at.
    """
    now = scan_folder(folder, places)
    chosen = folder.selection(places).mask(seen.scan.keys)
    rows = zip(seen.scan.keys, seen.scan.signatures, chosen, strict=True)
    before = {key: signature for key, signature, is_chosen in rows if is_chosen}
    after = dict(zip(now.keys, now.signatures, strict=True))
    if before != after:
        first = min(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
        raise SourceChangedError("a file changed since it was looked at", f"{folder.root}/{first}", "synchronize again")
    return now


def objects_of(seen: Look, there: Mapping[str, Content]) -> Objects:
    """Return contents of the target as a source: each is read only as it was seen."""
    folder, renamed = seen.folder, seen.renamed
    rows = ((key, content.size, content.etag, None, content.digest) for key, content in sorted(there.items()))
    found = Objects.of(folder.there.spec, folder.there.base, folder.product.name, rows)
    known = {key: body for key, body in renamed.originals.items() if _is(there.get(key), body)}
    return replace(found, names=renamed.names, documents=known)


def _is(content: Content | None, body: bytes) -> bool:
    """Return whether this is what is known of the source's metadata, and nothing that somebody wrote in its place."""
    return content is not None and content.digest == blake3(body).hexdigest()


def _product(folder: Folder, root: str, keys: Iterable[str]) -> ResolvedProduct:
    """Return a part of the folder as a product: of what kind it is depends on whether there are stores in it."""
    kind = Kind.ZARR if store_prefixes(keys) else Kind.FILES
    return replace(folder.product, root=root, kind=str(kind), exclude=folder.exclude)


def _knowing(item: Surveyed, seen: Look, listing: Listing) -> Surveyed:
    """Return the survey of a pull with what is known of the files here, so that none that is right is fetched."""
    tokens: dict[str, str | None] = {}
    tokens.update(zip(listing.keys, listing.etags, strict=True))
    known = {key: content for key, content in sorted(seen.states.here.items()) if key in tokens}
    # What is removed goes in this order, also where nothing comes that tells its stores.
    stages = place(Layout(Kind.ZARR, table_of([], OBJECTS), {}, ()), list(known))["stage"].to_pylist()
    rows = [
        {"key": key, "source_key": key, "size": content.size, "digest": content.digest, "etag": tokens[key],
         "stage": stage}
        for (key, content), stage in zip(known.items(), stages, strict=True)
    ]  # fmt: skip
    return replace(item, survey=replace(item.survey, manifest=table_of(rows, MANIFEST)))


def send(task: Task, changes: Sequence[Change], copies: Iterable[str], keeps: frozenset[str]) -> Moved:
    """Send units from the folder to the target.

    Parameters
    ----------
    changes
        The units, as they were looked at.
    copies
        Units that came to be since: copies of what lost a conflict.
    keeps
        Units of which what is replaced goes to the trash.

    Raises
    ------
    ConflictError
        Somebody else published since: look again.
    SourceChangedError, PreconditionError
        Something changed since it was looked at: look again.
    """
    here = {key for key in _keys(changes) if key in task.seen.states.here}
    gone = {key for key in _keys(changes) if key in task.seen.states.there and key not in here}
    # What is cut off must not leave a file in the target where others have a directory: nobody could look at that.
    in_the_way = frozenset(key for key in gone if clashes([key], here))
    publication, units = None, frozenset(change.unit for change in changes)
    _refuse_if_changed(task.folder, task.seen, units)
    if in_the_way:
        publication = _send_places(task, in_the_way, frozenset(), keeps).publication
        task = replace(task, seen=look_there_again(task.folder, task.seen, in_the_way))
        _refuse_if_changed(task.folder, task.seen, units)
    places = units | frozenset(copies)
    moved = _send_places(task, places, places, keeps)
    if moved.publication is not None:
        return moved
    there = task.seen.states.there
    return replace(moved, contents={key: there[key] for key in _keys(changes) if key in there}, publication=publication)


def _send_places(task: Task, places: frozenset[str], sources: frozenset[str], keeps: frozenset[str]) -> Moved:
    """Have some places in the target hold what is in some places here."""
    folder, seen = task.folder, task.seen
    digests = {key: content.digest for key, content in seen.states.here.items() if content.digest is not None}
    origin = Chosen(folder, sources, digests)
    found = origin.look()
    target = folder.there
    stock = Stock(
        _product(folder, folder.root, found.keys), target.spec, target.state, seen.lease, seen.head, seen.listing,
        origin, found, within=places, without=folder.without,
    )  # fmt: skip
    # What is overruled there is kept, and nothing of it is taken away unasked.
    history = task.config.publish.keep_history
    terms = replace(_terms(task.config, sends=True), keeps=keeps, exchanges=not keeps, keeps_history=history)
    ran = run([stock], terms, task.progress, way=_Moving(task))
    if ran.carried is None:
        return Moved({}, findings=ran.plan.findings)
    recorded = _on_record(target.spec, target.state, ran.carried.publication)
    mask = folder.selection(places).mask(list(recorded))
    contents = {key: content for (key, content), is_mine in zip(recorded.items(), mask, strict=True) if is_mine}
    return _moved(contents, ran.plan, ran.carried)


def _keys(changes: Iterable[Change]) -> list[str]:
    return [key for change in changes for key in change.keys]


def _on_record(spec: StoreSpec, state: StateKeys, publication: str) -> dict[str, Content]:
    parts, _ = read_parts(connect(spec), state, publication)
    return recorded_in(manifest.read(connect(spec), state, parts, cache_directory() / "manifests"))[0]


def _terms(config: RunConfig, *, sends: bool = False) -> Terms:
    """Return how units are moved: what goes was asked about, and what is replaced or deleted goes to the trash."""
    return Terms(
        follow_symlinks=config.publish.follow_symlinks,
        retire="trash",
        allow_empty=True,
        allows_damage=True,  # what is damaged was left out before, unit by unit
        keeps_keys=sends,
        replaces=True,
        retires_first=True,
        consolidate="as-is",
        headers=HeaderRules.of(config.storage),
        workers=config.publish.workers,
        scheduler=config.publish.scheduler,
        member=config.team.member,
        remarks=remarks_of(config.publish, config.origin),
        config_file=config.origin.file,
    )
