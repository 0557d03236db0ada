"""Where a product's state lives: beside the product, never inside it."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zsync.errors import TargetError
from zsync.keys import Key, of_state, under
from zsync.words import STATE

if TYPE_CHECKING:
    from zsync.config import Location


@dataclass(frozen=True, slots=True)
class StateKeys:
    """Keys (in the bucket) of one product's state: ``<target's parent>/.zsync/<product's last path element>/``."""

    prefix: str

    @classmethod
    def of(cls, location: Location) -> StateKeys:
        """Return the keys for a product's location.

        A product that is a whole bucket has its state under the reserved name ``@root``; a product of that name has one
        more ``@``.
        """
        parent, _, name = location.path.rpartition("/")
        if not name:
            return cls(f"{STATE}/@root")
        kept_free = f"@{name}" if name.startswith("@") else name
        return cls(f"{parent}/{STATE}/{kept_free}".lstrip("/"))

    @property
    def head(self) -> Key:
        """The pointer to the current publication."""
        return under(self.prefix, "head.json")

    @property
    def lease(self) -> Key:
        """The claim of one publisher."""
        return under(self.prefix, "lease.json")

    def publication(self, publication_id: str) -> Key:
        """One publication's record."""
        return under(self.publications, f"{publication_id}.json")

    def manifest(self, digest: str) -> Key:
        """One part of a manifest, named by its content."""
        return under(self.manifests, f"{digest}.parquet")

    @property
    def publications(self) -> str:
        """Where the records are."""
        return f"{self.prefix}/publications"

    @property
    def manifests(self) -> str:
        """Where the parts of manifests are."""
        return f"{self.prefix}/manifests"

    @property
    def pending(self) -> str:
        """What a pull into a directory is about to put there."""
        return f"{self.prefix}/pending"

    @property
    def parts(self) -> Key:
        """Where a pull of a part writes that part before it goes to its place, below the directory that holds all."""
        return of_state(f"{self.prefix.rpartition('/')[2]}/parts")

    @property
    def trashes(self) -> str:
        """Where retired objects go, by publication."""
        return f"{self.prefix}/trash"

    def trash(self, publication_id: str, key: str) -> Key:
        """Where an object goes that a publication retires."""
        return under(self.trashes, f"{publication_id}/{key}")


def new_publication_id(now_s: float | None = None) -> str:
    """Return an id that sorts by time: UTC to the millisecond, and a few random digits.

    Examples
    --------
    >>> new_publication_id(0.25)[:20]
    '19700101T000000250Z-'
    """
    now_s = time.time() if now_s is None else now_s
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now_s))
    return f"{stamp}{int(now_s % 1 * 1000):03d}Z-{secrets.token_hex(4)}"


def time_of(publication_id: str) -> dt.datetime:
    """Return when a publication began, as its id tells.

    Examples
    --------
    >>> time_of("20261120T235959250Z-0badcafe").isoformat()
    '2026-11-20T23:59:59.250000+00:00'

    Raises
    ------
    TargetError
        It is no id of a publication.
    """
    fraction = publication_id[15:18]
    fraction = fraction if fraction.isascii() and fraction.isdigit() else "0"
    try:
        return dt.datetime.strptime(f"{publication_id[:15]}.{fraction}", "%Y%m%dT%H%M%S.%f").replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise TargetError("this is not the id of a publication", publication_id, "is it zsync's?") from error
