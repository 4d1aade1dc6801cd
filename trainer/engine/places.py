"""States that differ from process to process, kept for all of them in what rank 0 writes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from trainer.checkpoints.agree import gather
from trainer.distributed import World
from trainer.state import State

RANKS = "ranks"
"""Key under which the states of all processes stand."""


def of_all(state: dict[str, Any], world: World) -> dict[str, Any]:
    """Return the states of all processes as one; by every process at once."""
    if world.world_size == 1:
        return state
    states = gather(state, world)
    return state if all(each == states[0] for each in states) else {RANKS: states}


def of_this(state: Mapping[str, Any], world: World, what: str) -> dict[str, Any] | None:
    """Return this process's state of what `of_all` made; None where it was made by another number of them."""
    if RANKS not in state:
        return dict(state)
    if len(state[RANKS]) == world.world_size:
        return dict(state[RANKS][world.rank])
    if world.is_main:
        warnings.warn(
            f"{what}: it was kept for each of {len(state[RANKS])} processes, and there are "
            f"{world.world_size} now: it begins anew where it has no other way",
            stacklevel=4,
        )
    return None


def extras_of_all(state: State, world: World) -> dict[str, Any]:
    """Return what is no tensor of a run's state; by every process at once where something is tracked."""
    extras = state.extras()
    if "tracked" in extras:
        extras["tracked"] = of_all(extras["tracked"], world)
    return extras


def give_back(state: State, extras: Mapping[str, Any], world: World) -> None:
    """Put back what `extras_of_all` returned."""
    tracked = of_this(extras.get("tracked", {}), world, "run.track")
    state.load_extras(dict(extras) | {"tracked": tracked or {}})
