"""Many directories in one configuration: each is a run of its own."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

from zsync.errors import ConfigError
from zsync.forking import undivided

if TYPE_CHECKING:
    from zsync.config.model import RunConfig
    from zsync.config.sections import Site

_SECTIONS = ("storage", "publish", "watch")


def by_site(config: RunConfig) -> dict[str, RunConfig]:
    """Return a configuration for each site; see `RunConfig.by_site`."""
    if not config.sites:
        products = config.resolve()
        return {products[0].name if len(products) == 1 else "all": config} if products else {}
    sites = {name: _alone(config, name, site) for name, site in config.sites.items()}
    for first, second in permutations(sites, 2):
        _check_targets(first, sites[first], second, sites[second])
    return sites


def _alone(config: RunConfig, name: str, site: Site) -> RunConfig:
    """Return a site as a configuration: what it says, over what is said for all."""
    from zsync.config.model import RunConfig

    own_affairs = {"sites", "source", "target", "products", "only"}
    doc: dict[str, Any] = config.model_dump(exclude_unset=True, exclude=own_affairs)
    own = site.model_dump(exclude_unset=True)
    for section in _SECTIONS:
        doc[section] = {**doc.get(section, {}), **own.get(section, {})}
    if site.notify is not None:
        doc["notify"] = own["notify"]
    product = {"path": site.source, "kind": site.kind, "to": site.target}
    doc |= {"source": site.source, "target": site.target, "products": {name: product}}
    with undivided:
        return RunConfig.model_validate(doc)


def _check_targets(first: str, one: RunConfig, second: str, other: RunConfig) -> None:
    """Refuse that a site retires what another one publishes."""
    for mine in one.resolve():
        for theirs in other.resolve():
            overlap = mine.location == theirs.location or mine.location.contains(theirs.location)
            if overlap and one.publish.retire != "keep" and _same_service(one, other):
                raise ConfigError(
                    f"site {first} would retire what site {second} publishes, which lies in its target",
                    theirs.location.url,
                    f"give {first} a prefix of its own, or set retire: keep (retire_deleted: false) for it",
                )


def _same_service(one: RunConfig, other: RunConfig) -> bool:
    return one.storage.endpoint_url == other.storage.endpoint_url
