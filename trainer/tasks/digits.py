"""The task of classifying scanned handwritten digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from trainer.data.bundled import HELD_OUT_EVERY
from trainer.data.data_file import DataFile
from trainer.data.sample_order import StepSamples
from trainer.distributed import World
from trainer.model_configs import DigitsCNNConfig
from trainer.models.digits_cnn import NUM_CLASSES, DigitsCNN, move_pictures

BRIGHTEST_PIXEL = 16.0
"""Pixels of the data set count the dark points of a 4 x 4 square: 0 to 16."""


class DigitsTask:
    """Pictures [n, 8, 8] to digits, every fifth picture held out.

    The pictures lie in the order of their writers, so every writer is in both parts: the accuracy is that
    on new digits of known hands.
    """

    unit = "samples"
    units_per_sample = 1

    def __init__(self, config: DigitsCNNConfig, data: DataFile, device: torch.device) -> None:
        self.config = config
        held_out = held_out_mask(len(data.arrays["labels"]))
        images = torch.tensor(data.arrays["images"] / BRIGHTEST_PIXEL, dtype=torch.float32, device=device)
        labels = torch.tensor(data.arrays["labels"].astype(np.int64), device=device)
        self.images, self.labels = images[~held_out], labels[~held_out]
        self.held_out_images, self.held_out_labels = images[held_out], labels[held_out]
        self.num_items = len(self.labels)

    def build_model(self) -> nn.Module:
        """Return the network with fresh weights."""
        return DigitsCNN(self.config)

    def loss_sum(self, model: nn.Module, samples: StepSamples) -> Tensor:
        """Return the cross-entropy summed over the samples, each turned, scaled and shifted a little."""
        items = torch.from_numpy(samples.items).to(self.images.device)
        noise = torch.from_numpy(samples.noise).to(self.images.device)
        scores = model(move_pictures(self.images[items], noise))
        return functional.cross_entropy(scores.float(), self.labels[items], reduction="sum")

    def evaluate(self, model: nn.Module, world: World) -> dict[str, float]:
        """Return the share of held-out digits that are classified right, and how many there are."""
        part = world.share(len(self.held_out_labels))
        predicted = model(self.held_out_images[part]).argmax(dim=1)
        correct = float((predicted == self.held_out_labels[part]).sum())
        total = len(self.held_out_labels)
        return {"accuracy": world.sum([correct])[0] / total, "held_out_samples": float(total)}

    def describe(self) -> dict[str, Any]:
        """Return the classes and the scale of a pixel."""
        return {"classes": [str(digit) for digit in range(NUM_CLASSES)], "brightest_pixel": BRIGHTEST_PIXEL}


def held_out_mask(count: int) -> NDArray[np.bool_]:
    """Return for each of the data set's pictures whether it is held out from training [count]."""
    mask: NDArray[np.bool_] = np.arange(count) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    return mask
