"""A small convolutional network for small pictures, as 8 x 8 digits."""

from __future__ import annotations

from torch import Tensor, nn

from trainer.configs.picture_models import DigitsCNNConfig

_GROUPS = 4


class DigitsCNN(nn.Module):
    """Four 3 x 3 convolutions, a pooling after the third, one linear layer over all that they find.

    Group norm, not batch norm: it looks at one picture at a time, so that the result does not depend on
    how many processes a batch is split over.
    """

    def __init__(self, config: DigitsCNNConfig, shape: tuple[int, int, int], num_classes: int) -> None:
        """Build it for pictures of (channels, height, width)."""
        super().__init__()
        channels, (channels_in, height, width) = config.channels, shape
        self.stem = _convolution(channels_in, channels // 2)
        self.widen = _convolution(channels // 2, channels)
        self.middle = _convolution(channels, channels)
        self.pool = nn.MaxPool2d(2)
        self.top = _convolution(channels, channels)
        self.head = nn.Linear(channels * (height // 2) * (width // 2), num_classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the class scores [n, classes] of pictures [n, channels, height, width] from 0 to 1."""
        x = self.widen(self.stem(pictures))
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
