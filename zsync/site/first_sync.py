"""The first sync of a watched directory: which side it takes, and what is brought from there."""

from __future__ import annotations

import datetime as dt
import logging
import os
from typing import TYPE_CHECKING

from zsync.config.sections import Pull
from zsync.errors import ConfigError
from zsync.inventory import Selection, scan
from zsync.inventory.neighbours import is_state, products_inside
from zsync.inventory.remote import FOLDER
from zsync.inventory.selection import is_below
from zsync.storage import spec_for
from zsync.storage.details import list_details

if TYPE_CHECKING:
    from collections.abc import Callable

    from zsync.config import ResolvedProduct, RunConfig

log = logging.getLogger(__name__)

# As the starter's document writes them, too.
_SOURCES = {"local": "local", "s3": "s3", "auto": "auto", "local-to-s3": "local", "s3-to-local": "s3"}


def source_of(text: str) -> str:
    """Return which side the first sync takes: ``local``, ``s3`` or ``auto``.

    Raises
    ------
    ConfigError
        It is none of them.
    """
    if text not in _SOURCES:
        raise ConfigError("not a side to begin with", text, f"give {', '.join(_SOURCES)}")
    return _SOURCES[text]


def first_sync(config: RunConfig, source: str, bring: Callable[[RunConfig], object]) -> None:
    """Bring from the target what is newer there, if that is asked for; what is replaced goes to the local trash.

    Files that are only here stay, and are published afterwards: nothing is lost on either side.

    Parameters
    ----------
    source
        ``local``: nothing is brought. ``s3``: the target wins. ``auto``: the side that was changed last.
    bring
        Brings what the targets of a configuration hold.
    """
    if source == "local":
        return
    for product in config.resolve():
        theirs = _newest_there(config, product)
        if theirs is None:
            log.info("there is nothing in the target yet, so the first sync goes there: %s", product.location)
            continue
        if source == "auto":
            ours = _newest_here(config, product)
            log.info("changed last: here %s, there %s", _said(ours), _said(theirs))
            if ours is not None and ours >= theirs:
                continue
        log.info("the first sync comes from %s", product.location)
        bring(config.model_copy(update={"only": [product.name], "pull": Pull()}))


def _newest_here(config: RunConfig, product: ResolvedProduct) -> dt.datetime | None:
    """Return when a file was written last; None if there is none."""
    if not os.path.isdir(product.root):
        return None
    selection = Selection(product.include, product.exclude)
    found = scan(product.root, product.name, follow_symlinks=config.publish.follow_symlinks, selection=selection)
    times = [mtime for _, mtime, _, _ in found.only(selection).signatures]
    return dt.datetime.fromtimestamp(max(times) / 1e9, dt.UTC) if times else None


def _newest_there(config: RunConfig, product: ResolvedProduct) -> dt.datetime | None:
    """Return when an object was written last; None if there is none."""
    spec = spec_for(product.location, config.storage, config.publish.transport)
    base = f"{product.location.path}/" if product.location.path else ""
    found = {item.key.removeprefix(base): item.modified for item in list_details(spec, base)}
    others = products_inside(filter(is_state, found))
    return max(
        (
            modified
            for key, modified in found.items()
            if not is_state(key) and not is_below(key, others) and not key.endswith(("/", FOLDER))
        ),
        default=None,
    )


def _said(moment: dt.datetime | None) -> str:
    return "never" if moment is None else moment.astimezone(dt.UTC).isoformat(timespec="seconds")
