"""A residual convolutional network for pictures, small or large (K. He et al., arXiv 1512.03385)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from trainer.configs.picture_models import LARGE_FROM, RESNET_BLOCKS, ResNetConfig

_GROUPS = 32
"""Groups of a norm, where the channels allow: Y. Wu and K. He, Group normalization, arXiv 1803.08494."""


class ResNet(nn.Module):
    """Stem, four stages of residual blocks, the mean over the picture, class scores.

    Group norm, not batch norm: it looks at one picture at a time, so that the result does not depend on how
    many processes a batch is split over.
    """

    def __init__(self, config: ResNetConfig, picture: tuple[int, int, int], num_classes: int) -> None:
        """Build it for pictures of (channels, height, width)."""
        super().__init__()
        channels_in, *sides = picture
        large = config.stem == "large" or (config.stem == "auto" and min(sides) >= LARGE_FROM)
        block = Bottleneck if config.depth >= 50 else BasicBlock
        self.stem = (
            _large_stem(channels_in, config.width) if large else _small_stem(channels_in, config.width)
        )
        blocks: list[nn.Module] = []
        channels = config.width
        for stage, count in enumerate(RESNET_BLOCKS[config.depth]):
            inner = config.width * 2**stage
            for number in range(count):
                blocks.append(block(channels, inner, stride=2 if stage and not number else 1))
                channels = inner * block.EXPANSION
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, num_classes)
        self.apply(_initialize)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the class scores [n, classes] of pictures [n, channels, height, width]."""
        scores: Tensor = self.head(self.blocks(self.stem(pictures)).mean(dim=(2, 3)))
        return scores


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions, added to what came in."""

    EXPANSION = 1

    def __init__(self, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, inner, 3, stride=stride, padding=1, bias=False)
        self.first_norm = _norm(inner)
        self.last = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.last_norm = _norm(inner)
        self.shortcut = _shortcut(channels, inner, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output [n, inner, height / stride, width / stride]."""
        out = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.last_norm(self.last(out)) + self.shortcut(x))


class Bottleneck(nn.Module):
    """A 1 x 1, a 3 x 3 and a 1 x 1 convolution, added to what came in."""

    EXPANSION = 4

    def __init__(self, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, inner, 1, bias=False)
        self.first_norm = _norm(inner)
        self.middle = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.middle_norm = _norm(inner)
        self.last = nn.Conv2d(inner, inner * self.EXPANSION, 1, bias=False)
        self.last_norm = _norm(inner * self.EXPANSION)
        self.shortcut = _shortcut(channels, inner * self.EXPANSION, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output [n, 4 x inner, height / stride, width / stride]."""
        out = functional.relu(self.first_norm(self.first(x)))
        out = functional.relu(self.middle_norm(self.middle(out)))
        return functional.relu(self.last_norm(self.last(out)) + self.shortcut(x))


def _norm(channels: int) -> nn.GroupNorm:
    # A group of one channel would be instance norm, which forgets how bright a picture is.
    groups = next(
        count for count in (_GROUPS, 16, 8, 4, 2, 1) if channels % count == 0 and channels // count > 1
    )
    return nn.GroupNorm(groups, channels)


def _shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    if stride == 1 and channels_in == channels_out:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False), _norm(channels_out)
    )


def _small_stem(channels_in: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels_in, width, 3, padding=1, bias=False), _norm(width), nn.ReLU())


def _large_stem(channels_in: int, width: int) -> nn.Module:
    convolution = nn.Conv2d(channels_in, width, 7, stride=2, padding=3, bias=False)
    return nn.Sequential(convolution, _norm(width), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1))


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if isinstance(module, BasicBlock | Bottleneck):
        # Each block begins as nothing but its shortcut: P. Goyal et al., arXiv 1706.02677, section 5.1.
        nn.init.zeros_(module.last_norm.weight)
