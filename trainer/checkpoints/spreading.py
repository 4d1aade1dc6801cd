"""Tensors that all processes hold whole, given from those that have their values to the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from trainer.checkpoints.agree import broadcast
from trainer.checkpoints.layout import flatten
from trainer.checkpoints.plan import Plan
from trainer.distributed import World

Saved = dict[str, tuple[Sequence[int], torch.dtype]]
"""Shape and type of each tensor of a checkpoint, by name."""


def tensors_of(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of nested dictionaries by name."""
    return {name: tensor for name, (_, tensor) in flatten(state).items()}


def whole_of(flat: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those of the tensors that every process holds whole."""
    return {name: tensor for name, tensor in flat.items() if not hasattr(tensor, "__create_chunk_list__")}


def spread_whole(state: Mapping[str, Any], world: World, source: int) -> None:
    """Give the tensors that all processes hold whole the values that they have on one."""
    flat = tensors_of(state)
    broadcast(list(whole_of(flat).values()), source, world)


def spread_from_memory(
    state: Mapping[str, Any], plan: Plan, sources: Mapping[int, int], world: World
) -> None:
    """Give the tensors that all hold whole the values that they have where they were taken from memory.

    `sources` holds for each local rank the rank that gives what local ranks of that number copy.
    """
    flat = tensors_of(state)
    for owner, source in sorted(sources.items()):
        broadcast([flat[name] for name, local in plan.owners.items() if local == owner], source, world)
