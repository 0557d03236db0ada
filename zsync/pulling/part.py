"""A part of what is published: some variables, a range along some dimensions, as a store of its own.

Only the chunks that hold it are read, as they are on record, array by array: no reader has to be able to open a group
as a whole. The part is written aside first, and from there goes through the same plan and stages as everything else.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from zsync.errors import ConfigError
from zsync.inventory import Directory
from zsync.inventory.snapshot import Snapshot
from zsync.layout import describe
from zsync.pulling.asked import Asked
from zsync.pulling.cutting import Cutting
from zsync.pulling.scratch import scratch
from zsync.pulling.writing import write_store
from zsync.steps.inspect import read_documents
from zsync.words import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zsync.inventory import Objects
    from zsync.keys import Key
    from zsync.words import Finding


@contextmanager
def written_part(
    origin: Objects, product: str, root: str, aside: Key, select: Mapping[str, str], variables: Sequence[str]
) -> Iterator[tuple[Directory, tuple[Finding, ...]]]:
    """Write the part of a product aside, and take it away at the end.

    Parameters
    ----------
    origin
        The whole product.
    product
        Its name.
    root, aside
        A directory of the user's, and the one below it in which the part is written.
    select
        Ranges by dimension: ``2020-01..2020-03``, both ends included, or one label; either end may be left out.
    variables
        Names or paths of arrays, or paths of groups; empty for all. The coordinates that they need come with them.

    Yields
    ------
    tuple
        The part, and what of the product nothing could be selected from.

    Raises
    ------
    ConfigError
        There is no such variable or dimension, nothing lies in a range, or there is nothing to select from.
    """
    documents = read_documents(origin, Kind.ZARR, origin.seen.keys, origin.seen.signatures)
    stores = describe(Kind.ZARR, product, origin.seen.keys, documents).stores
    if not stores:
        raise ConfigError("select and variables are for Zarr stores", origin.name, "leave them out")
    asked = Asked(origin.name, product, select, variables)
    cuts = {
        prefix: Cutting(asked, store, Snapshot(origin, prefix, documents)).cuts() for prefix, store in stores.items()
    }
    asked.refuse_if_nothing(any(cuts.values()))
    with scratch(root, aside) as directory:
        directory.mkdir()
        for prefix, arrays in cuts.items():
            if arrays:
                write_store(stores[prefix], documents, arrays, directory)
        yield Directory(str(directory), product), tuple(asked.findings)
