"""Deciding, without doing: inventories and policy in, a plan out. Pure."""

from zsync.planning.cost import Cost, cost_of
from zsync.planning.diff import Survey, kept_keys, plan_product, undecided
from zsync.planning.guard import guard_findings, split_arrays
from zsync.planning.model import Plan, PlannedProduct, Wave
from zsync.planning.record import manifest_of

__all__ = [
    "Cost",
    "Plan",
    "PlannedProduct",
    "Survey",
    "Wave",
    "cost_of",
    "guard_findings",
    "kept_keys",
    "manifest_of",
    "plan_product",
    "split_arrays",
    "undecided",
]
