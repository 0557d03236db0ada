"""The fence: what makes shrinking safe (promise P3).

While an array shrinks, no order of its final writes is right: new chunks under old metadata show fill values at the end
of the old extent, and new metadata over old chunks does the same where it grows on another axis. So readers are first
shown the element-wise minimum of old and new shapes, in which every cell keeps its value throughout.

Arrays and groups that the source has no more leave consolidated metadata with the fence: at their old length they would
not fit beside the others, and no reader could open the store. Groups that go keep their own consolidated metadata.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from zsync.layout import with_shape, with_shapes
from zsync.planning.classify import ChangeClass
from zsync.tables import PLAN, table_of
from zsync.words import Action, Reason, Role, Stage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import pyarrow as pa

    from zsync.planning.classify import ArrayChange
    from zsync.planning.withdraw import Withdrawal

Shape = tuple[int, ...]

_ROOT_RANK = 1000  # beyond the depth of any group
_ARRAY_NAMES = (".zarray", "zarr.json")


@dataclass(frozen=True, slots=True)
class FenceWrite:
    """One object of a fence: an array's own metadata (rank 0), or consolidated metadata (deepest group first)."""

    product: str
    store: str
    key: str
    rank: int
    content: bytes


def fence_of(
    changes: Iterable[ArrayChange],
    published: Mapping[str, Mapping[str, Any]],
    gone: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> list[FenceWrite]:
    """Return the writes that show readers the common extent of all arrays that shrink.

    Parameters
    ----------
    changes
        The changes of one product's arrays.
    published
        Parsed metadata objects as they stand in the target, by store and key in it: the own document of each array that
        shrinks, and every group's consolidated metadata.
    gone
        Groups that readers see and that the source has no more, by store.
    """
    shapes: dict[tuple[str, str], dict[str, Shape | None]] = {}
    shrinking: set[tuple[str, str]] = set()
    for change in changes:
        place = (change.product, change.store)
        if change.needs_fence:
            shrinking.add(place)
        if change.needs_fence or (change.flips and change.is_shorter):
            # What flips needs no fence of its own, but has to fit beside what is fenced.
            shapes.setdefault(place, {})[change.array] = change.common_shape
        elif change.kind == ChangeClass.REMOVED:
            shapes.setdefault(place, {})[change.array] = None
    return [
        write
        for (product, store), wanted in shapes.items()
        if (product, store) in shrinking  # else what goes away goes with the new roots, and nothing has to fit before
        for write in _fence_store(product, store, wanted, published.get(store, {}), gone.get(store, ()))
    ]


def unless_withdrawn(writes: Iterable[FenceWrite], withdrawals: Iterable[Withdrawal]) -> list[FenceWrite]:
    """Return a fence without the documents that are withdrawn right after it.

    Where an array of a store is replaced while another one shrinks, readers go from what they saw to no store: fenced
    in between, arrays would not fit beside the one that still has its old length.
    """
    gone = {(withdrawal.product, withdrawal.key) for withdrawal in withdrawals}
    return [write for write in writes if (write.product, write.key) not in gone]


def _fence_store(
    product: str,
    store: str,
    shapes: Mapping[str, Shape | None],
    documents: Mapping[str, Any],
    gone: Collection[str],
) -> list[FenceWrite]:
    writes = []
    shapes = {**shapes, **dict.fromkeys(gone)}
    for key, document in documents.items():
        directory, _, name = key.rpartition("/")
        if directory in gone:  # who opens it by itself sees it whole until it is retired
            continue
        whole = f"{store}/{key}" if store else key
        if directory in shapes and name in _ARRAY_NAMES:
            shape = shapes[directory]
            if shape is not None and tuple(document["shape"]) != shape:  # else a run that was cut off had got so far
                writes.append(FenceWrite(product, store, whole, 0, with_shape(document, shape)))
            continue
        below = {_relative(path, directory): shape for path, shape in shapes.items() if _is_below(path, directory)}
        body = with_shapes(document, below)
        if body is not None:
            # Like every group stage: deepest first, the root last.
            depth = directory.count("/") + 1 if directory else 0
            writes.append(FenceWrite(product, store, whole, _ROOT_RANK - depth, body))
    return writes


def _is_below(path: str, directory: str) -> bool:
    return not directory or path.startswith(f"{directory}/")


def _relative(path: str, directory: str) -> str:
    return path[len(directory) + 1 :] if directory else path


def fence_table(writes: Iterable[FenceWrite]) -> pa.Table:
    """Return a fence as `zsync.tables.PLAN`."""
    rows = [
        {
            "product": write.product,
            "key": write.key,
            "store": write.store,
            "role": str(Role.METADATA),
            "stage": str(Stage.FENCE),
            "rank": write.rank,
            "action": str(Action.SEND),
            "reason": str(Reason.FENCE),
            "size": len(write.content),
            "content": write.content,
        }
        for write in writes
    ]
    return table_of(rows, PLAN)
