"""Shares the work over held-out items: fixed blocks, so that every world size computes the same numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed

from trainer.data.source import Source
from trainer.distributed import World


def evaluate_blocks(
    num_items: int, block: int, world: World, run_block: Callable[[NDArray[np.int64]], Tensor], columns: int
) -> Tensor:
    """Return on every process what `run_block` says of all items, float64 [num_items, columns] on the CPU.

    `run_block` takes the item numbers of a block [n] and returns [n, columns]. Which items share a block does
    not depend on the number of processes, and so neither does a single bit of the result. Every process runs
    the same number of blocks, since each forward pass of a sharded model is one of all processes.
    """
    num_blocks = -(-num_items // block)
    share = world.share(num_blocks)
    result = torch.zeros(num_items, columns, dtype=torch.float64)
    for turn in range(-(-num_blocks // world.world_size)):
        mine = share.start + turn
        # A process whose blocks are done goes along with one that is somebody's already.
        number = min(mine, num_blocks - 1)
        items = np.arange(number * block, min((number + 1) * block, num_items))
        found = run_block(items)
        if mine < share.stop:
            result[items[0] : items[-1] + 1] = found.to("cpu", torch.float64)
    if world.world_size > 1:
        # All but one process hold zeros there: the sum is that one's value, bit for bit.
        travelling = result.to(world.device)
        distributed.all_reduce(travelling)
        result = travelling.cpu()
    return result


def held_out_batch(source: Source, items: NDArray[np.int64], device: torch.device) -> dict[str, Tensor]:
    """Return the items' batch on the device, with noise of zero: nothing is augmented in an evaluation."""
    noise = np.zeros((len(items), source.noise_width), dtype=np.float32)
    return {name: tensor.to(device) for name, tensor in source.batch(items, noise).items()}
