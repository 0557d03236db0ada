"""Deciding, without doing: inventories and policy in, a plan out. Pure."""

from zsync.planning.classify import (
    ArrayChange,
    BoundaryChunk,
    ChangeClass,
    boundary,
    classify,
    removed_groups,
)
from zsync.planning.cost import Cost, cost_of
from zsync.planning.diff import Grace, Survey, kept_keys, plan_product, undecided
from zsync.planning.exchange import exchange
from zsync.planning.fence import FenceWrite, fence_of, fence_table, unless_withdrawn
from zsync.planning.guard import guard_findings, split_arrays
from zsync.planning.incompatible import INCOMPATIBLE, incompatible_findings, summed_up
from zsync.planning.losses import Loss, losses_of
from zsync.planning.model import Plan, PlannedProduct, Wave
from zsync.planning.moving import without_moving
from zsync.planning.record import manifest_of
from zsync.planning.safe import leave_existing
from zsync.planning.seen import files_seen
from zsync.planning.withdraw import Withdrawal, edited, withdraw, withdrawal_table, without_waiting

__all__ = [
    "INCOMPATIBLE",
    "ArrayChange",
    "BoundaryChunk",
    "ChangeClass",
    "Cost",
    "FenceWrite",
    "Grace",
    "Loss",
    "Plan",
    "PlannedProduct",
    "Survey",
    "Wave",
    "Withdrawal",
    "boundary",
    "classify",
    "cost_of",
    "edited",
    "exchange",
    "fence_of",
    "fence_table",
    "files_seen",
    "guard_findings",
    "incompatible_findings",
    "kept_keys",
    "leave_existing",
    "losses_of",
    "manifest_of",
    "plan_product",
    "removed_groups",
    "split_arrays",
    "summed_up",
    "undecided",
    "unless_withdrawn",
    "withdraw",
    "withdrawal_table",
    "without_moving",
    "without_waiting",
]
