"""A small convolutional network for 8 x 8 pictures of digits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.model_configs import DigitsCNNConfig

NUM_CLASSES = 10
_GROUPS = 4


class DigitsCNN(nn.Module):
    """Four 3 x 3 convolutions, a pooling after the third, one linear layer over all that they find.

    Group norm, not batch norm: it looks at one picture at a time, so that the result does not depend on
    how many processes a batch is split over.
    """

    def __init__(self, config: DigitsCNNConfig) -> None:
        super().__init__()
        channels = config.channels
        self.stem = _convolution(1, channels // 2)
        self.widen = _convolution(channels // 2, channels)
        self.middle = _convolution(channels, channels)
        self.pool = nn.MaxPool2d(2)
        self.top = _convolution(channels, channels)
        self.head = nn.Linear(channels * 4 * 4, NUM_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores [n, 10] of images [n, 8, 8], pixels from 0 to 1."""
        x = self.widen(self.stem(images[:, None]))
        x = self.pool(x + self.middle(x))
        x = x + self.top(x)
        scores: Tensor = self.head(x.flatten(1))
        return scores


def _convolution(channels_in: int, channels_out: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        nn.GroupNorm(_GROUPS, channels_out),
        nn.ReLU(),
    )


def move_pictures(images: Tensor, noise: Tensor) -> Tensor:
    """Return the images [n, 8, 8] turned, scaled and shifted a little.

    `noise` [n, 4] holds numbers from -1 to 1: the turn (15 degrees at 1), the scale (10 %), the shift along
    both sides (0.8 pixels). Between pixels the value is interpolated, beyond the edge it is 0.
    """
    angle, scale = noise[:, 0] * 0.26, 1 + noise[:, 1] * 0.1
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    # affine_grid measures in half pictures: 0.2 is 0.8 of 8 pixels.
    rows = [
        torch.stack((cosine, -sine, noise[:, 2] * 0.2), 1),
        torch.stack((sine, cosine, noise[:, 3] * 0.2), 1),
    ]
    grid = nn.functional.affine_grid(torch.stack(rows, 1), [len(images), 1, 8, 8], align_corners=False)
    return nn.functional.grid_sample(images[:, None], grid, align_corners=False)[:, 0]
