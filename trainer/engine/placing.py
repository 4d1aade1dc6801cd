"""The user's model and optimizer, made to train: placed, fused, compiled, and their state for checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from trainer.engine.compiling import Compiling
from trainer.engine.memory import Fit
from trainer.engine.parallel import device_of, place, uses_bf16
from trainer.engine.surroundings import Surroundings
from trainer.engine.update import fuse
from trainer.state import State


class Placing:
    """What run.setup makes of a model and an optimizer."""

    def __init__(self, around: Surroundings, fit: Fit, optimizer: torch.optim.Optimizer) -> None:
        self._around, self._fit = around, fit
        self.optimizer = optimizer
        self.precision = "bf16" if uses_bf16(around.settings, device_of(around.world)) else "fp32"

    def place(
        self, model: nn.Module, blocks: Sequence[nn.Module] | None, save_frozen: bool, unused: bool
    ) -> nn.Module:
        """Place the model and return what is to be called."""
        around = self._around
        self.placed = place(
            model,
            around.settings,
            around.world,
            self.optimizer,
            blocks=blocks,
            unused_parameters=unused,
            recomputed=self._fit.recompute,
        )
        fuse(self.optimizer)
        self.compiling = Compiling(self.placed, around.settings, around.world, around.run_dir)
        self.state = State(model, self.optimizer, save_frozen=save_frozen)
        return self.placed.replica
