"""What is asked for of a product, and what was found of it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zsync.errors import ConfigError
from zsync.layout import examples
from zsync.printable import listed
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(slots=True)
class Asked:
    """What was asked for, and what was found of it."""

    where: str
    product: str
    select: Mapping[str, str]
    variables: Sequence[str]
    found: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)  # names of variables and dimensions
    in_range: set[str] = field(default_factory=set)  # names of dimensions of which something lies in the range
    extents: dict[str, str] = field(default_factory=dict)
    coordinates: dict[str, str] = field(default_factory=dict)  # what was taken for a dimension, and what it lies along
    left_out: dict[str, list[str]] = field(default_factory=dict)  # groups and arrays, by the reason

    def leave_out(self, place: str, why: str) -> None:
        """Take note that a group or an array does not come."""
        self.left_out.setdefault(why, []).append(place)

    @property
    def findings(self) -> list[Finding]:
        """What does not come, and why; few for many."""
        return [
            Finding(
                "warning", "not-selectable", self.product, place,
                f"{place or 'the root group'} does not come{more}: {why}",
            )
            for why, places in self.left_out.items()
            for place, more in examples(places)
        ]  # fmt: skip

    def refuse_if_nothing(self, anything: bool) -> None:  # noqa: FBT001
        """Raise if something that was asked for is nowhere, or nothing is left.

        Raises
        ------
        ConfigError
            That is so.
        """
        for name in self.select:
            if name not in self.found and name in self.coordinates:
                raise ConfigError(
                    f"{name} is no dimension: it lies along {self.coordinates[name]}",
                    self.where,
                    "select along these, counted from 0 where they have no labels",
                )
        if missing := [name for name in (*self.variables, *self.select) if name not in self.found]:
            if self.left_out and not any(name in self.variables for name in missing):
                raise self._nothing()
            near = difflib.get_close_matches(missing[0], self.known, n=1)
            advice = f"did you mean {near[0]}?" if near else f"there are {listed(sorted(self.known), 8)}"
            raise ConfigError("there is no such variable or dimension", f"{', '.join(missing)} in {self.where}", advice)
        for name, text in self.select.items():
            if name in self.extents and name not in self.in_range:
                raise ConfigError("nothing lies in this range", f"{name}={text}", f"it is {self.extents[name]}")
        if not anything:
            raise self._nothing()

    def _nothing(self) -> ConfigError:
        said = [item.message for item in self.findings]
        more = f"; and {len(said) - 3} more" if len(said) > 3 else ""
        why = "; ".join(said[:3]) + more if said else "there are no arrays"
        return ConfigError(f"nothing can be selected: {why}", self.where, "pull it whole")
