"""What a recipe trains: the contract between the training loop and a kind of model and data."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from trainer.config import Config
from trainer.data.data_file import DataFile
from trainer.data.sample_order import StepSamples
from trainer.distributed import World
from trainer.model_configs import DigitsCNNConfig, GPTConfig


class Task(Protocol):
    """A model, its data and its loss. Everything else of a run is the same for every task."""

    unit: str
    """What throughput counts: `samples` or `tokens`."""
    units_per_sample: int
    """Terms of the loss, and units of throughput, that one sample has."""
    num_items: int
    """Training items in the data."""

    def build_model(self) -> nn.Module:
        """Return the model with fresh weights, drawn from torch's own generator."""
        ...

    def loss_sum(self, model: nn.Module, samples: StepSamples) -> Tensor:
        """Return the loss summed, not averaged, over the samples' terms; 0 samples give 0."""
        ...

    def evaluate(self, model: nn.Module, world: World) -> dict[str, float]:
        """Return the held-out metrics; the work is shared by all processes, all of which get the result."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the model needs beside its configuration (classes, characters)."""
        ...


def build_task(config: Config, data: DataFile, device: torch.device) -> Task:
    """Return the task of the configuration's model over the opened data."""
    # A task's module is imported when it is the one that is run.
    if isinstance(config.model, DigitsCNNConfig):
        from trainer.tasks.digits import DigitsTask

        return DigitsTask(config.model, data, device)
    assert isinstance(config.model, GPTConfig)
    from trainer.tasks.text import TextTask

    return TextTask(config.model, data, device)
