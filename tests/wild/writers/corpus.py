"""What the writers' scripts share: stores are made, looked at, changed as writers change them, and kept in both states.

A script is run with a directory as its argument (`make wild` does that). Below it each case becomes

    NAME/case.json        what it is, what made it, and what its arrays hold, before and after
    NAME/before/...       the files
    NAME/after/...        the files once its writer changed it
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import types
import uuid
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from values import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

Arrays = dict[str, "np.ndarray"]
gzip.time = types.SimpleNamespace(time=lambda: 0)  # it is in the header of what gzip writes


class Corpus:
    """What one script makes.

    Parameters
    ----------
    writer
        Its name, as the table of writers has it.
    packages
        The packages that write, of which the versions are noted.
    only
        Beginnings of the names of the cases that are made; all without.
    """

    def __init__(self, writer: str, *packages: str, only: tuple[str, ...] = ("",)) -> None:
        self.only = only
        self.root = Path(sys.argv[1]).resolve()
        self.writer = writer
        self.packages = {name: metadata.version(name) for name in packages}
        shutil.rmtree(self.root, ignore_errors=True)

    def case(
        self,
        name: str,
        layout: str,
        does: str,
        make: Callable[[Path], Any],
        change: Callable[[Path], Any],
        *,
        read: Callable[[Path], Arrays] | None = None,
        product: str = "zarr",
        at: str = "",
    ) -> None:
        """Make a case.

        Parameters
        ----------
        layout
            What is particular about it, in a few words.
        does
            What its writer does to it, in a word or two: append, rewrite, attributes, shrink, remove, ...
        make, change
            Functions of the path of the store.
        read
            What its own reader finds in it: arrays by path. None: what zarr finds.
        product
            The kind that it is published as: zarr, cog or files.
        at
            Path of the store in the product; the root without.
        """
        if not name.startswith(self.only):
            return
        work = self.root / name / "data"  # GDAL calls an array like this
        work.mkdir(parents=True)
        store = work / at if at else work
        states = {}
        for state, step in {"before": make, "after": change}.items():
            step(store)
            states[state] = {path: told(values) for path, values in sorted((read or arrays)(store).items())}
            shutil.copytree(work, self.root / name / state)
        shutil.rmtree(work)
        about = {
            "writer": self.writer,
            "packages": self.packages,
            "layout": layout,
            "does": does,
            "product": product,
            "holds": states,
        }
        (self.root / name / "case.json").write_text(json.dumps(about, indent=1) + "\n")
        print(f"{self.writer}: {name}")


def arrays(store: Path) -> Arrays:
    """Return every array of a hierarchy, of a directory of them too, as zarr reads it, whatever its version."""
    found: Arrays = {}
    for root in roots(store):
        prefix = root.relative_to(store).as_posix().removeprefix(".")
        found |= {f"{prefix}/{path}".strip("/"): values for path, values in _arrays(root)}
    return found


def roots(store: Path) -> Iterator[Path]:
    """Yield the directories at or below one that hold a root's document."""
    if any((store / name).exists() for name in (".zgroup", ".zarray", "zarr.json")):
        yield store
        return
    for child in sorted(store.iterdir()):
        if child.is_dir():
            yield from roots(child)


def _arrays(root: Path) -> Iterator[tuple[str, np.ndarray]]:
    import zarr

    node = zarr.open(str(root), mode="r")
    if hasattr(node, "shape"):
        yield "", node[...]
        return
    pending = [("", node)]
    while pending:
        path, group = pending.pop()
        for name, array in group.arrays():
            yield f"{path}/{name}".strip("/"), array[...]
        pending += [(f"{path}/{name}", inner) for name, inner in group.groups()]


def lasting_names() -> None:
    """Have random UUIDs be the same each time, for writers that name things by them."""
    numbers = iter(range(1, 1 << 30))
    uuid.uuid4 = lambda: uuid.UUID(int=next(numbers), version=4)
