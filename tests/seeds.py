"""Where tests take their choices from: the same each time, unless `make torture` looks for others."""

from __future__ import annotations

import os
import random

SEED = os.environ.get("TORTURE_SEED", "")  # empty: not torture
EXAMPLES, STEPS = "TORTURE_EXAMPLES", "TORTURE_STEPS"


def rng(usual: int) -> random.Random:
    """Return a source of choices; `usual` tells those of one test from each other."""
    return random.Random(f"{SEED} {usual}" if SEED else usual)


def examples(usual: int) -> int:
    """Return how many examples a state machine makes."""
    return int(os.environ.get(EXAMPLES) or usual)


def steps(usual: int) -> int:
    """Return how many steps each of them takes, at most."""
    return int(os.environ.get(STEPS) or usual)


def more(usual: int, torture: int) -> int:
    """Return how often something is done: more often where new choices are tried."""
    return torture if SEED else usual


def again() -> str:
    """Return the command that makes the same choices again."""
    sizes = "".join(
        f" {name.removeprefix('TORTURE_')}={os.environ[name]}" for name in (EXAMPLES, STEPS) if os.environ.get(name)
    )
    return f"make torture SEED={SEED}{sizes}"
