"""Many directories in one configuration: each is a run of its own."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

from zsync.config.resolve import resolved
from zsync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zsync.config.model import Sections
    from zsync.config.sections import Site

_SECTIONS = ("storage", "publish", "watch")


def site_documents(config: Sections) -> dict[str, dict[str, Any]]:
    """Return a configuration for each site, as native documents."""
    return {name: _alone(config, name, site) for name, site in config.sites.items()}


def refuse_overlaps(sites: Mapping[str, Sections]) -> None:
    """Raise if one site would retire what another publishes.

    Raises
    ------
    ConfigError
        It would.
    """
    for first, second in permutations(sites, 2):
        _check_targets(first, sites[first], second, sites[second])


def _alone(config: Sections, name: str, site: Site) -> dict[str, Any]:
    """Return a site as a configuration: what it says, over what is said for all."""
    own_affairs = {"sites", "source", "target", "products", "only"}
    doc: dict[str, Any] = config.model_dump(exclude_unset=True, exclude=own_affairs)
    own = site.model_dump(exclude_unset=True)
    for section in _SECTIONS:
        doc[section] = {**doc.get(section, {}), **own.get(section, {})}
    if site.notify is not None:
        doc["notify"] = own["notify"]
    product = {"path": site.source, "kind": site.kind, "to": site.target}
    return doc | {"source": site.source, "target": site.target, "products": {name: product}}


def _check_targets(first: str, one: Sections, second: str, other: Sections) -> None:
    """Refuse that a site retires what another one publishes."""
    for mine in resolved(one):
        for theirs in resolved(other):
            overlap = mine.location == theirs.location or mine.location.contains(theirs.location)
            if overlap and one.publish.retire != "keep" and _same_service(one, other):
                raise ConfigError(
                    f"site {first} would retire what site {second} publishes, which lies in its target",
                    theirs.location.url,
                    f"give {first} a prefix of its own, or set retire: keep (retire_deleted: false) for it",
                )


def _same_service(one: Sections, other: Sections) -> bool:
    return one.storage.endpoint_url == other.storage.endpoint_url
