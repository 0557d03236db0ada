"""Products inside the place of another one: each is known by its state, which lies beside it, so inside that place too.

What is below such a product is its own: nobody else sends, retires or restores anything there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.words import STATE

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROOT = "@root"  # the state of a product that is a whole bucket, which lies inside itself
_STATE = f"{STATE}/"


def is_state(key: str) -> bool:
    """Return whether a key is part of a product's state."""
    return key.startswith(_STATE) or f"/{_STATE}" in key


def products_inside(states: Iterable[str]) -> frozenset[str]:
    """Return the places of the products that some keys are the state of.

    Examples
    --------
    >>> sorted(products_inside([".zsync/a.zarr/head.json", "x/.zsync/@@b/lease.json", ".zsync/@root/head.json"]))
    ['a.zarr', 'x/@b']
    """
    found = set()
    for key in states:
        above, _, rest = f"/{key}".partition(f"/{_STATE}")
        name, slash, _ = rest.partition("/")
        if slash and name != _ROOT:
            # The name that a state has is that of its product, but for one `@` that keeps `@root` free.
            found.add(f"{above}/{name.removeprefix('@')}".lstrip("/"))
    return frozenset(found)
