"""A team's folder: where it is, what of it takes part, and its files as they are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsync.config import Location, RunConfig
from zsync.config.given import FILES, here
from zsync.errors import ConfigError, SourceError
from zsync.inventory import Directory, Scan, Selection, scan
from zsync.inventory.spare import LEFTOVERS, PRIVATE
from zsync.publication import StateKeys
from zsync.publication.places import Place
from zsync.publication.process import this_process
from zsync.storage import spec_for
from zsync.system import read_regular
from zsync.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from zsync.config import ResolvedProduct
    from zsync.inventory import Reader
    from zsync.inventory.digest import Signature
    from zsync.storage import StoreSpec

_LINKS = ("broken-link", "link-loop")  # what is, or was, behind them takes no part
IGNORE_FILE = ".S3/ignore_remote.txt"  # paths that a team of s3synchrony ignores, one a line
_MOST_OF_LIST = 2**24  # bytes


FILE = "s3synchrony.json"  # found by itself in the working directory


def team_config(config: Any) -> Any:
    """Return the configuration that is meant: the one that was given, or the file in the working directory.

    Raises
    ------
    ConfigError
        None was given, and there is no such file.
    """
    if config is not None:
        return config
    if Path(FILE).is_file():
        return FILE
    if (found := here()) is not None:
        return found
    raise ConfigError(f"{FILE} was not found, nor {FILES[0]}", str(Path.cwd()), "name a configuration")


@dataclass(frozen=True, slots=True)
class Folder:
    """A team's folder: its two places, and what of it takes part.

    Attributes
    ----------
    product
        The folder as a product; its patterns leave out what is ignored.
    here
        The folder.
    local
        How the folder is reached as a store.
    there
        The target.
    member
        Who we are to the others.
    away
        Places that take no part on either side: other products in the target, and what was not looked at here.
    """

    product: ResolvedProduct
    here: Location
    local: StoreSpec
    there: Place
    member: str
    follow_symlinks: bool = False
    away: frozenset[str] = frozenset()

    @property
    def root(self) -> str:
        """The folder's absolute path."""
        return self.product.root

    @property
    def local_state(self) -> StateKeys:
        """Where the folder's state lies in `local`."""
        return StateKeys.of(self.here)

    @property
    def state_directory(self) -> Path:
        """The same as a path."""
        return Path("/", self.local_state.prefix)

    @property
    def ignored(self) -> frozenset[str]:
        """Paths that the team ignores by a list in the folder."""
        try:
            text = read_regular(f"{self.root}/{IGNORE_FILE}", _MOST_OF_LIST).decode(errors="surrogateescape")
        except OSError:
            return frozenset()
        lines = text.splitlines()
        names = (line.strip().replace("\\", "/").removeprefix("./").strip("/") for line in lines)
        return frozenset(name for name in names if name)

    @property
    def without(self) -> frozenset[str]:
        """Places that take no part."""
        return self.ignored | self.away

    @property
    def exclude(self) -> tuple[str, ...]:
        """Patterns of what takes no part on either side."""
        return (*self.product.exclude, *LEFTOVERS, *PRIVATE)

    def selection(self, within: frozenset[str] | None = None) -> Selection:
        """Return what takes part, or of that what lies in some places."""
        return Selection(self.product.include, self.exclude, within, self.without)


def folder_of(config: RunConfig, product: ResolvedProduct) -> Folder:
    """Return a product of a configuration as a team's folder."""
    here = Location.parse(product.root)
    spec = spec_for(product.location, config.storage, config.publish.transport)
    by = this_process(__version__)
    return Folder(
        product=replace(product, exclude=(*product.exclude, *config.team.ignore)),
        here=here,
        local=spec_for(here, RunConfig().storage),
        there=Place(product.location, spec, StateKeys.of(product.location)),
        member=config.team.member or f"{by['user']}@{by['host']}",
        follow_symlinks=config.publish.follow_symlinks,
    )


@dataclass(frozen=True, slots=True)
class Chosen:
    """A part of a folder as a source to publish; its digests are known from the look at it."""

    folder: Folder
    within: frozenset[str]
    known: Mapping[str, str] = field(repr=False)

    @property
    def name(self) -> str:
        """The folder's path."""
        return self.folder.root

    @property
    def is_local(self) -> bool:
        """It is."""
        return True

    @property
    def specs(self) -> tuple[StoreSpec, ...]:
        """None: it is files."""
        return ()

    def digests(self, keys: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the digests of some keys, null for those of which none is known."""
        import pyarrow as pa

        from zsync.tables import looked_up

        return looked_up(keys, self.known, pa.string())

    def look(self) -> Scan:
        """Scan it."""
        return replace(scan_folder(self.folder, self.within), findings=())

    def is_as(self, seen: Scan) -> bool:
        """Return whether all files are as they were seen."""
        now = self.look()
        return (now.keys, now.signatures) == (seen.keys, seen.signatures)

    def reader(self, key: str, signature: Signature) -> Reader:
        """Return what reads one of its files."""
        return self._directory.reader(key, signature)

    def document(self, key: str, signature: Signature) -> bytes:
        """Return all of a file."""
        return self._directory.document(key, signature)

    @property
    def _directory(self) -> Directory:
        return Directory(self.folder.root, self.folder.product.name)


def scan_folder(folder: Folder, within: frozenset[str] | None = None) -> Scan:
    """Return the files of a folder that take part; of links that lead nowhere, or back, it is told.

    Raises
    ------
    SourceError
        One of them cannot be a key, or cannot be read.
    """
    selection = folder.selection(within)
    found = scan(folder.root, folder.product.name, follow_symlinks=folder.follow_symlinks, selection=selection)
    errors = [finding for finding in found.findings if finding.level == "error"]
    for finding in errors:
        if finding.code not in _LINKS:
            raise SourceError(finding.message, f"{folder.root}/{finding.key}", "or ignore it: team.ignore")
    told = tuple(replace(finding, level="warning") for finding in errors)
    return replace(found.only(selection), findings=told, unfinished=())
