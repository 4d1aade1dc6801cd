"""The task of telling the class of a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from trainer.configs.picture_models import (
    VIT_SIZES,
    DigitsCNNConfig,
    PictureModelConfig,
    ResNetConfig,
    ViTConfig,
)
from trainer.data.source import Source
from trainer.distributed import World
from trainer.evaluation.blocks import evaluate_blocks, held_out_batch
from trainer.evaluation.classes import COLUMNS, report_classes, score_columns
from trainer.export.program import Exportable
from trainer.numbers.flops import Flops
from trainer.tasks.augment import CHANGES, NOISE_WIDTH
from trainer.tasks.noise import WithNoise
from trainer.tasks.operations import count_operations
from trainer.tasks.task import OpenedData, class_counts, describe_data, references

BLOCK_PIXELS = 16_000_000
"""Numbers of the pictures that an evaluation looks at together, at most."""
LARGEST_BLOCK = 256


class PictureTask:
    """Pictures [n, height, width, channels] of bytes to one of the data set's classes."""

    unit = "samples"
    units_per_sample = 1

    def __init__(self, config: PictureModelConfig, data: OpenedData) -> None:
        self.config = config
        self.data = data
        self.held_out = data.held_out
        self.classes: list[str] = list(data.about["classes"])
        self.shape: tuple[int, int, int] = tuple(data.about[side] for side in ("channels", "height", "width"))
        self.brightest = float(data.about.get("brightest", 255))
        change = config.augmentation
        if change == "auto":
            change = "shift" if self.shape[0] == 1 else "natural"
        self.augmentation = change
        self.source: Source = WithNoise(data.train, 0 if change == "none" else NOISE_WIDTH)

    def build_model(self) -> nn.Module:
        """Return the network with fresh weights."""
        return build_picture_model(self.config, self.shape, len(self.classes))

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        """Return the pictures' mean cross-entropy, each changed a little by its noise, and their number."""
        pictures = unit_pictures(batch["pictures"], self.brightest)
        if self.augmentation != "none":
            pictures = CHANGES[self.augmentation](pictures, batch["noise"])
        labels = batch["labels"].long()
        scores = model(pictures).float()
        loss = functional.cross_entropy(scores, labels, label_smoothing=self.config.label_smoothing)
        return loss, len(labels)

    def evaluate(self, model: nn.Module, world: World) -> dict[str, Any]:
        """Return accuracy and log loss on held-out pictures, and the report beside them."""
        channels, height, width = self.shape
        block = max(1, min(LARGEST_BLOCK, BLOCK_PIXELS // (channels * height * width)))

        def run_block(items: NDArray[np.int64]) -> Tensor:
            batch = held_out_batch(self.held_out, items, world.device)
            scores = model(unit_pictures(batch["pictures"], self.brightest))
            return score_columns(scores, batch["labels"].long())

        columns = evaluate_blocks(self.held_out.num_items, block, world, run_block, COLUMNS)
        return report_classes(
            columns.numpy(), self.classes, class_counts(self.data, self.classes), references(self.data)
        )

    def describe(self) -> dict[str, Any]:
        """Return the classes, the pictures' shape and the scale of a pixel."""
        channels, height, width = self.shape
        return {
            "classes": self.classes,
            "channels": channels,
            "height": height,
            "width": width,
            "brightest": self.brightest,
            "resize": self.data.about.get("resize", "crop"),
            "data": describe_data(self.data),
        }

    def flops_per_sample(self) -> Flops | None:
        """Return the operations of one picture."""
        extra = (
            attention_operations(self.config, *self.shape[1:]) if isinstance(self.config, ViTConfig) else 0.0
        )
        return count_operations(self.build_model, (torch.zeros(1, *self.shape),), extra)

    def exportable(self, model: nn.Module) -> Exportable | None:
        """Return the model from bytes to probabilities."""
        channels, height, width = self.shape
        shape = f"{height}, {width}, {channels}"
        return Exportable(
            module=PictureClassifier(model, self.brightest),
            example=(torch.zeros(1, height, width, channels, dtype=torch.uint8),),
            usage=f"print(model(torch.zeros(1, {shape}, dtype=torch.uint8)))",
            takes=f"pictures, uint8 [n, {shape}] (rows, columns, channels), 0 to {self.brightest:g}",
            gives=f"the probability of each class, float32 [n, {len(self.classes)}]",
        )


class PictureClassifier(nn.Module):
    """Bytes to probabilities: what lies around the network in use."""

    def __init__(self, model: nn.Module, brightest: float) -> None:
        super().__init__()
        self.model = model
        self.brightest = brightest

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the probability of each class [n, classes] of pictures [n, height, width, channels]."""
        scores: Tensor = self.model(unit_pictures(pictures, self.brightest))
        return scores.float().softmax(dim=1)


def attention_operations(config: ViTConfig, height: int, width: int) -> float:
    """Return the forward operations of a picture's attention: 4 T^2 d a layer for T patches of d numbers."""
    from trainer.models.vit import patch_size

    patch = patch_size(config, height, width)
    num_layers, numbers, _ = VIT_SIZES[config.size]
    return 4.0 * num_layers * numbers * ((height // patch) * (width // patch)) ** 2


def unit_pictures(pictures: Tensor, brightest: float) -> Tensor:
    """Return bytes [n, height, width, channels] as numbers from 0 to 1 [n, channels, height, width]."""
    return pictures.permute(0, 3, 1, 2).float() / brightest


def build_picture_model(
    config: PictureModelConfig, shape: tuple[int, int, int], num_classes: int
) -> nn.Module:
    """Return the network for pictures of (channels, height, width), with fresh weights."""
    if isinstance(config, ResNetConfig):
        from trainer.models.resnet import ResNet

        return ResNet(config, shape, num_classes)
    if isinstance(config, ViTConfig):
        from trainer.models.vit import ViT

        return ViT(config, shape, num_classes)
    assert isinstance(config, DigitsCNNConfig)
    from trainer.models.digits_cnn import DigitsCNN

    return DigitsCNN(config, shape, num_classes)
