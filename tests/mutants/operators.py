"""Changes that our code asks for, beside those that Cosmic Ray knows: conditions of Arrow, words of a plan, calls."""

from __future__ import annotations

import re

import parso
from cosmic_ray.operators.operator import Operator

from zsync import words

PAIRS = {
    "and_": "or_", "equal": "not_equal", "less": "less_equal", "greater": "greater_equal", "is_valid": "is_null",
    "any": "all", "min": "max", "removeprefix": "removesuffix", "startswith": "endswith", "partition": "rpartition",
}  # fmt: skip
OTHERS = PAIRS | {new: old for old, new in PAIRS.items()} | {"invert": "coalesce"}
WORDS = {name: list(getattr(words, name).__members__) for name in ("Action", "Kind", "Reason", "Role", "Stage")}


class Mutation(Operator):
    """Something that can be changed in one way."""

    def mutation_positions(self, node):
        if self.changed(node) is not None:
            yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        made = parso.parse(self.changed(node)).children[0]
        made.get_first_leaf().prefix = node.get_first_leaf().prefix
        return made

    @classmethod
    def examples(cls):
        return ()


class OtherFunction(Mutation):
    """`pc.and_` becomes `pc.or_`; `pc.invert` gives back what it is given."""

    def changed(self, node):
        is_called = node.type == "name" and (after := node.get_next_leaf()) is not None and after.value == "("
        return OTHERS.get(node.value) if is_called and node.get_previous_leaf().value != "def" else None


class OtherWord(Mutation):
    """`Reason.NEW` becomes `Reason.CHANGED`."""

    def changed(self, node):
        said = re.fullmatch(r"(\w+)\.(\w+)", node.get_code(include_prefix=False)) if node.type == "atom_expr" else None
        members = WORDS.get(said[1], []) if said else []
        if not members or said[2] not in members:
            return None
        return f"{said[1]}.{members[(members.index(said[2]) + 1) % len(members)]}"


class NoCall(Mutation):
    """`found.append(1)` becomes `pass`."""

    def changed(self, node):
        is_statement = node.type == "atom_expr" and node.parent.type == "simple_stmt"
        return "pass" if is_statement and node.children[-1].get_code().startswith("(") else None


OPERATORS = {kind.__name__: kind for kind in (OtherFunction, OtherWord, NoCall)}
