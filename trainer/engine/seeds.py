"""Random numbers as a function of seed, step and process: a resumed run draws what a whole one would."""

from __future__ import annotations

import random

import numpy as np
import torch

DERIVED = ("seed", "step", "rank")
"""What the random numbers of a step are a function of."""


def mixed(seed: int, step: int, rank: int) -> int:
    """Return the seed of one step of one process, 0 to 2**63 - 1."""
    return ((seed * 1_000_003 + step) * 65_537 + rank) % 2**63


def seed_step(seed: int, step: int, rank: int, device: torch.device) -> None:
    """Seed torch (on the CPU and on the device), numpy's global generator and Python's `random`."""
    number = mixed(seed, step, rank)
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
    random.seed(number)
    np.random.seed(number % 2**32)
