"""Where things were published: from a URL, or a configuration, to the products that are there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zsync.config import Location, RunConfig
from zsync.config.location import absolute
from zsync.errors import ConfigError
from zsync.keys import checked
from zsync.publication import StateKeys
from zsync.storage import StoreSpec, connect, spec_for

if TYPE_CHECKING:
    from typing import Unpack

    from zsync.config.options import Options
    from zsync.storage import ObjectStore

_ROOT = "@root"  # the state of a product that is a whole bucket


@dataclass(frozen=True, slots=True)
class Place:
    """One product's place in a store."""

    location: Location
    spec: StoreSpec
    state: StateKeys

    @property
    def store(self) -> ObjectStore:
        """The open store."""
        return connect(self.spec)

    @property
    def url(self) -> str:
        """The product's URL."""
        return self.location.url

    @property
    def base(self) -> str:
        """The prefix of the product's keys in the bucket: empty, or ending in ``/``."""
        return f"{self.location.path}/" if self.location.path else ""


def places_of(where: Any, **overrides: Unpack[Options]) -> list[Place]:
    """Return the products that a URL or a configuration names.

    Parameters
    ----------
    where
        The URL of a product, or of a prefix that holds several; or a configuration, as for `zsync.publish`.
    **overrides
        Options of the configuration, for instance ``endpoint_url``.

    Raises
    ------
    ConfigError
        The URL or the configuration is wrong, or nothing was ever published there.
    TargetError
        The store cannot be reached, or refuses.
    """
    return reached(where, **overrides)[1]


def reached(where: Any, **overrides: Unpack[Options]) -> tuple[RunConfig, list[Place]]:
    """Return the products that a URL or a configuration names, and how they are reached; see `places_of`."""
    if isinstance(where, str | os.PathLike) and os.path.isdir(where) and overrides.get("target") is None:
        where = Location("file", "", absolute(os.fspath(where)).strip("/")).url  # no configuration: a target here
    if not (isinstance(where, str | os.PathLike) and "://" in os.fspath(where)):
        config = RunConfig.from_any(where, **overrides)
        return config, [place_at(config, product.location) for product in config.resolve()]
    config = RunConfig.from_any({"target": os.fspath(where)}, **overrides)
    location = Location.parse(os.fspath(where))
    found = _published_at(config, location)
    if not found:
        raise ConfigError("nothing was ever published there", location.url, "check the URL")
    return config, found


def places_or_prefix(config: RunConfig, location: Location) -> list[Place]:
    """Return the products at a location, or, where zsync published nothing, the location as if it were one."""
    return _published_at(config, location) or [place_at(config, location)]


def _published_at(config: RunConfig, location: Location) -> list[Place]:
    alone = place_at(config, location)
    objects, prefixes = alone.store.list_level(f"{alone.state.prefix}/")
    if objects.keys or prefixes:
        return [alone]
    below = f"{StateKeys.of(location.child('any')).prefix.rpartition('/')[0]}/"
    _, products = alone.store.list_level(below)
    states = sorted(prefix.removeprefix(below).rstrip("/") for prefix in products)
    # The name that a state has is that of its product, but for one `@` that keeps `@root` free.
    names = [checked(state.removeprefix("@")) for state in states if state != _ROOT]
    return [place_at(config, location.child(name)) for name in names]


def place_at(config: RunConfig, location: Location) -> Place:
    """Return a location as the place of a product, reached as a configuration says."""
    spec = spec_for(location, config.storage, config.publish.transport)
    return Place(location, spec, StateKeys.of(location))
