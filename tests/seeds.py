"""Where tests take their choices from: the same each time, unless `make torture` looks for others."""

from __future__ import annotations

import os
import random

from hypothesis import HealthCheck, Phase, settings

SEED = os.environ.get("TORTURE_SEED", "")  # empty: not torture
EXAMPLES, STEPS = "TORTURE_EXAMPLES", "TORTURE_STEPS"


def rng(usual: int) -> random.Random:
    """Return a source of choices; `usual` tells those of one test from each other."""
    return random.Random(f"{SEED} {usual}" if SEED else usual)


def sequences(examples: int, steps: int) -> settings:
    """Return how many sequences a state machine makes, and of how many steps each, at most."""
    return settings(
        max_examples=int(os.environ.get(EXAMPLES) or examples),
        stateful_step_count=int(os.environ.get(STEPS) or steps),
        deadline=None,
        phases=[Phase.explicit, Phase.generate],  # to shrink a failure takes longer than to understand it
        suppress_health_check=list(HealthCheck),
    )


def more(usual: int, torture: int) -> int:
    """Return how often something is done: more often where new choices are tried."""
    return torture if SEED else usual


def again() -> str:
    """Return the command that makes the same choices again."""
    sizes = "".join(
        f" {name.removeprefix('TORTURE_')}={os.environ[name]}" for name in (EXAMPLES, STEPS) if os.environ.get(name)
    )
    return f"make torture SEED={SEED}{sizes}"
