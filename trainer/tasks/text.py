"""The task of predicting the next character of a text."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from trainer.config import ConfigError
from trainer.data.data_file import DataFile
from trainer.data.sample_order import StepSamples
from trainer.distributed import World
from trainer.model_configs import GPTConfig
from trainer.models.gpt import GPT

EVALUATION_WINDOWS = 512
"""Windows of held-out text that are looked at, spread evenly over it."""
EVALUATION_BATCH = 64


class TextTask:
    """Windows of `context` characters, each to predict its text moved on by one.

    Raises ConfigError where the context is longer than the text, or its held-out part, has room for.
    """

    unit = "tokens"

    def __init__(self, config: GPTConfig, data: DataFile, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.characters = data.about["characters"]
        self.text, self.held_out = data.arrays["train"], data.arrays["held_out"]
        self.units_per_sample = config.context
        # A window may begin up to a context later than its place: hence one less.
        self.num_items = (len(self.text) - 1) // config.context - 1
        longest = longest_context(len(self.text), len(self.held_out))
        if config.context > longest:
            raise ConfigError(
                [f"model.context: {config.context} is too long for this text, which allows at most {longest}"]
            )

    def build_model(self) -> nn.Module:
        """Return the transformer with fresh weights."""
        return GPT(self.config, vocabulary_size=len(self.characters))

    def loss_sum(self, model: nn.Module, samples: StepSamples) -> Tensor:
        """Return the cross-entropy in nats summed over the samples' characters.

        Each epoch cuts the text at other places: a sample's noise moves its window by up to a context.
        """
        shifts = ((samples.noise[:, 0] + 1) / 2 * self.config.context).astype(np.int64)
        return self._loss_sum(model, self.text, samples.items * self.config.context + shifts)

    def evaluate(self, model: nn.Module, world: World) -> dict[str, float]:
        """Return the mean cross-entropy of held-out text in nats and bits a character."""
        last = len(self.held_out) - self.config.context - 1
        starts = np.linspace(0, last, EVALUATION_WINDOWS).astype(np.int64)[world.share(EVALUATION_WINDOWS)]
        losses = [
            float(self._loss_sum(model, self.held_out, starts[at : at + EVALUATION_BATCH]))
            for at in range(0, len(starts), EVALUATION_BATCH)
        ]
        characters = EVALUATION_WINDOWS * self.config.context
        loss = world.sum([sum(losses)])[0] / characters
        return {
            "val_loss": loss,
            "bits_per_character": loss / float(np.log(2)),
            "held_out_tokens": float(characters),
        }

    def describe(self) -> dict[str, Any]:
        """Return the characters by token."""
        return {"characters": self.characters}

    def _loss_sum(self, model: nn.Module, text: NDArray[np.uint8], starts: NDArray[np.int64]) -> Tensor:
        windows = text[starts[:, None] + np.arange(self.config.context + 1)].astype(np.int64)
        tokens = torch.from_numpy(windows).to(self.device)
        scores = model(tokens[:, :-1])
        return functional.cross_entropy(
            scores.float().flatten(0, 1), tokens[:, 1:].flatten(), reduction="sum"
        )


def longest_context(train: int, held_out: int) -> int:
    """Return the longest context that texts of so many characters allow.

    Two windows and the character to predict after them fit the training text, one the held-out text.
    """
    return min((train - 1) // 2, held_out - 1)
