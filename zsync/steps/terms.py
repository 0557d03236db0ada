"""The terms of a run: what it may do, and how. Each verb makes its own, in one place; the steps ask nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from zsync.config.publishing import most_deleted
from zsync.publication.record import NO_REMARKS, Remarks
from zsync.storage import HeaderRules
from zsync.words import Rewriting

if TYPE_CHECKING:
    from collections.abc import Callable

    from zsync.config import ConfigOrigin, Publish, Storage
    from zsync.layout import Consolidating

FLIPPED_S = 3600.0  # who opened a store before it was rewritten, and reads on, is done by then

Retiring = Literal["all", "ours", "ours-and-strays", "recorded"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run may do, and how.

    By default what may be done where both sides are ours. Values are plain: nothing here is secret, and nothing is
    looked up.

    Attributes
    ----------
    follow_symlinks
        Read what links of the source lead to.
    settle_s
        How long the source must have been unchanged, in seconds.
    allow_empty
        An empty source retires everything.
    foreign, outside_grid, allows_damage, check_cogs
        What is done about files of no format, chunks that no reader sees, a source that has lost something, and
        GeoTIFFs that are not cloud-optimized (`zsync.config.Publish`).
    by_unit
        Every store, and every file outside stores, is for itself: what is unfit is left out, what moves is left for the
        next run, and the others go on (`zsync.steps.fitness`).
    forces
        It may undo a rollback.
    trusts_manifest
        What the target holds is told by its manifest, not by a listing.
    retire
        What becomes of what the source lacks: ``keep``, ``trash``, ``delete`` or ``auto``.
    retires
        Of what the target holds: ``all``; ``ours``, only what we put there as it is, and is part of a store, for the
        target is somebody's directory; ``ours-and-strays``, besides that what lies in an array's grid; ``recorded``,
        what is on record, and all that lies in a store.
    grace_s
        How long an object must have been gone from the source before it is retired, in seconds.
    flipped_s
        How long what others, under other keys, have taken the place of stays; longer than `grace_s` it only stays where
        that place is not needed.
    max_delete
        How many objects of a product may be retired, or which share of them.
    retires_first
        What retires goes before the record, and has to succeed: among equals what no record names is taken for
        somebody's edit.
    leaves_existing
        What is in the target, and was not put there as it is by us, is left alone (`zsync.planning.leave_existing`).
    keeps
        Keys, each with what is below it, of which what is replaced goes to the trash as well, and only if it is as it
        is listed.
    keeps_history
        So is all that is replaced, unless the target keeps versions: then every publication can be read later.
    copies
        What the source holds in the bucket that it goes to is copied there: the service heeds conditions of copies.
    replaces
        Arrays that change incompatibly are replaced, offline first.
    keeps_keys
        Chunks that are published under other keys than the source's stay under these.
    rewriting
        Which arrays get other chunk keys, so that readers see either all that was or all that is to be.
    exchanges
        Rasters that are replaced together with what belongs to them are taken away meanwhile; where others' edits may
        be in the way nothing is taken away unasked.
    consolidate
        What is done about consolidated metadata.
    tells_consolidated
        It is said what was done about it.
    headers
        What the user set of the headers of objects.
    workers, scheduler, client
        How many transfers at a time, what runs them, and the `distributed.Client` that does, if one was given.
    member
        Who we are to a team.
    remarks
        What the record says of the publication; no part of what decides what is to be done, and so not of the memo.
    config_file
        The file that the configuration was read from; the same is true of it.
    in_words
        How what is said of a run is said of this one.
    """

    follow_symlinks: bool = False
    settle_s: float = 0
    allow_empty: bool = False
    foreign: Literal["publish", "skip", "refuse"] = "publish"
    outside_grid: Literal["refuse", "skip"] = "refuse"
    allows_damage: bool = False
    check_cogs: Literal["warn", "refuse", "off"] = "off"
    by_unit: bool = False
    forces: bool = False
    trusts_manifest: bool = False
    retire: Literal["auto", "keep", "trash", "delete"] = "auto"
    retires: Retiring = "all"
    grace_s: float = 0
    flipped_s: float = 0
    max_delete: int | str = "100%"
    retires_first: bool = False
    leaves_existing: bool = False
    keeps: frozenset[str] = frozenset()
    keeps_history: bool = False
    copies: bool = False
    replaces: bool = False
    keeps_keys: bool = False
    rewriting: Rewriting = field(default_factory=Rewriting)
    exchanges: bool = False
    consolidate: Consolidating = "auto"
    tells_consolidated: bool = False
    headers: HeaderRules = field(default_factory=HeaderRules)
    workers: Literal["auto"] | int = "auto"
    scheduler: str = "auto"
    client: Any = field(default=None, repr=False)
    member: str | None = None
    remarks: Remarks = field(default=NO_REMARKS, repr=False)
    config_file: str | None = field(default=None, repr=False)
    in_words: Callable[[str], str] = field(default=str, repr=False)

    @classmethod
    def of(
        cls, publish: Publish, storage: Storage, member: str | None = None, origin: ConfigOrigin | None = None
    ) -> Terms:
        """Return the terms of a publish, as the user set them."""
        return cls(
            follow_symlinks=publish.follow_symlinks,
            settle_s=publish.settle_s,
            allow_empty=publish.allow_empty,
            foreign=publish.foreign,
            outside_grid=publish.outside_grid,
            allows_damage=publish.damaged == "allow",
            check_cogs=publish.check_cogs,
            forces=publish.force,
            trusts_manifest=publish.trust == "manifest",
            retire=publish.retire,
            grace_s=publish.grace_s or 0,
            flipped_s=FLIPPED_S if publish.grace_s is None else publish.grace_s,
            max_delete=publish.max_delete,
            keeps_history=publish.keep_history,
            replaces=publish.replaces,
            keeps_keys=True,
            rewriting=Rewriting(
                publish.rewrites,
                incompatible=publish.on_incompatible in ("auto", "flip"),
                most=publish.flip_limit,
                is_asked_for=publish.on_incompatible == "flip",
                is_strict=publish.grace_s is not None,
            ),
            exchanges=True,
            consolidate=publish.consolidate,
            tells_consolidated=True,
            headers=HeaderRules.of(storage),
            workers=publish.workers,
            scheduler=publish.scheduler,
            member=member,
            remarks=remarks_of(publish, origin),
            config_file=origin.file if origin is not None else None,
        )

    def most_retired(self, total: int) -> int:
        """Return how many of so many objects of a product may be retired."""
        return most_deleted(self.max_delete, total)


def remarks_of(publish: Publish, origin: ConfigOrigin | None) -> Remarks:
    """Return what the user says of a publication, and what their run configuration calls it."""
    titles = dict(origin.titles) if origin is not None else {}
    return Remarks(publish.message, publish.meta, {"titles": titles} if titles else {})
