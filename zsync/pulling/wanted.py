"""What is to be pulled, and what it becomes: from a URL or a configuration to places and directories."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsync.config import Location, RunConfig, find
from zsync.config.given import here
from zsync.config.hpc import FILE
from zsync.config.resolve import check_only
from zsync.errors import ConfigError, SourceError
from zsync.publication import StateKeys
from zsync.publication.places import Place, places_or_prefix
from zsync.storage import spec_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One product to pull: where it is, and the directory that it becomes."""

    place: Place
    directory: str

    @property
    def name(self) -> str:
        """The product's name."""
        return _name(self.place)


def _name(place: Place) -> str:
    return place.location.name or place.location.bucket


def configuration_of(where: Any, overrides: Mapping[str, Any]) -> tuple[RunConfig, bool]:
    """Return the configuration, and whether it is no more than a URL."""
    if isinstance(where, str | os.PathLike) and "://" in os.fspath(where):
        return RunConfig.from_any({"target": os.fspath(where)}, **overrides), True
    if where is None and not any(name in os.environ for name in ("LOCAL_ROOT", "RC_FILE_OVERRIDE")):
        where = (None if Path(FILE).is_file() else here()) or find()
        log.info("reading the configuration from %s", where)
    return RunConfig.from_any(where, **overrides), False


def wanted_of(config: RunConfig, dest: Any, *, is_url: bool) -> list[Wanted]:
    """Return what is to be pulled where."""
    if is_url:
        return _from_target(config, Path(dest or "."))
    _check_root(config)
    dest = dest if dest is not None else config.pull.dest
    if config.source is None and not config.products:
        return _from_target(config, Path(dest or "."))
    wanted = []
    for product in config.resolve():
        base = Path(product.root) if dest is None else _directory(Path(dest)) / product.location.name
        spec = spec_for(product.location, config.storage, config.publish.transport)
        wanted.append(Wanted(Place(product.location, spec, StateKeys.of(product.location)), str(base)))
    return wanted


def _from_target(config: RunConfig, dest: Path) -> list[Wanted]:
    """Return what is to be pulled from a URL: a product, the products below a prefix, or a prefix as it is."""
    if config.target is None:
        raise ConfigError("there is nothing to pull from", "target", "give a URL, or set [S3] bucket and prefix")
    places = places_or_prefix(config, Location.parse(config.target))
    base = _directory(dest)
    # `pull .../a.zarr here/a.zarr` means that directory, not one of the same name in it.
    alone = len(places) == 1 and base.name == places[0].location.name
    wanted = [Wanted(place, str(base if alone else base / _name(place))) for place in places]
    check_only(config.only, [item.name for item in wanted])
    wanted = [item for item in wanted if not config.only or item.name in config.only]
    _check_product_names(wanted)
    return wanted


def _check_product_names(wanted: Sequence[Wanted]) -> None:
    """Refuse names that must not become those of directories: they come from the bucket."""
    from zsync.layout import unfit_name

    for item in wanted:
        if reason := unfit_name(item.name):
            raise SourceError(
                f"this product cannot be a directory here: {reason}",
                ascii(item.place.url)[1:-1],
                "pull others by `only`",
            )


def _directory(path: Path) -> Path:
    return path.expanduser().absolute()


def _check_root(config: RunConfig) -> None:
    root = config.pull.root
    if root is not None and not os.path.isdir(root):
        raise ConfigError("the data directory is not there", root, f"create it: mkdir -p {root}")
