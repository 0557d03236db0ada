"""Where what is published comes from: the configuration, and the repositories that it and the sources lie in."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsync.inventory.repository import repository_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.publication import Remarks
    from zsync.steps.surveyed import Surveyed
    from zsync.steps.terms import Terms

log = logging.getLogger(__name__)

_MOST = 8  # places that are looked at


class Provenance:
    """Finds it out while objects go up; `remarks` waits for it.

    Parameters
    ----------
    items
        What is published.
    terms
        What is said of it, and the file that the configuration was read from.
    """

    def __init__(self, items: Sequence[Surveyed], terms: Terms) -> None:
        sources = dict.fromkeys(item.stock.product.root for item in items if item.stock.origin.is_local)
        self._sources = list(sources)[:_MOST]
        self._file = terms.config_file
        self._remarks = terms.remarks
        self._found: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._look, name="zsync-provenance", daemon=True)
        if self._sources:
            self._thread.start()

    def remarks(self) -> Remarks:
        """Return what the record is to say."""
        if self._sources:
            self._thread.join()
        return replace(self._remarks, provenance={**self._remarks.provenance, **self._found})

    def _look(self) -> None:
        try:
            self._found = _provenance(self._file, self._sources)
        except (OSError, ValueError) as error:  # that it cannot be said is no reason not to publish
            log.debug("provenance was not found out: %s", error)


def _provenance(file: str | None, sources: Sequence[str]) -> dict[str, Any]:
    """Return the name of the configuration's file, and the repositories: JSON, without paths of this machine."""
    places = [("config", file)] if file is not None else []
    places += [("source", source) for source in sources]
    found: dict[str, dict[str, Any]] = {}
    name = None if file is None else Path(file).name
    for role, place in places:
        repository = repository_of(place)
        if repository is None:
            continue
        if role == "config":
            name = os.path.relpath(os.path.realpath(place), repository.top)
        if repository.top not in found:
            found[repository.top] = {"of": [], **repository.to_dict()}
        roles = found[repository.top]["of"]
        if role not in roles:
            roles.append(role)
    said = {"config": name, "repositories": list(found.values())}
    return {what: value for what, value in said.items() if value}
