"""What the networks for pictures can be asked to be: a small one, ResNet and ViT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class PictureModelConfig:
    """What every kind of network for pictures can be told of its training."""

    augmentation: Literal["auto", "none", "shift", "natural"] = "auto"
    """Changes to training pictures: `shift` turns, scales and moves them a little; `natural` mirrors them and
    takes a part. auto is shift for pictures of one channel and natural for others."""
    label_smoothing: float = 0.0
    """Share of each label that is spread over all classes in training, 0 to below 1."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        if not 0 <= self.label_smoothing < 1:
            yield f"model.label_smoothing: {self.label_smoothing} is not in [0, 1)"


@dataclass(frozen=True, kw_only=True)
class DigitsCNNConfig(PictureModelConfig):
    """A small convolutional network for small pictures, as 8 x 8 digits."""

    kind: Literal["digits_cnn"] = "digits_cnn"
    channels: int = 64
    """Channels of the middle layers; a multiple of 8. Time grows with its square."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        yield from super().faults()
        if self.channels < 8 or self.channels % 8:
            yield f"model.channels: {self.channels} is not a positive multiple of 8"


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(PictureModelConfig):
    """A residual convolutional network (K. He et al., arXiv 1512.03385) with group norm."""

    kind: Literal["resnet"] = "resnet"
    depth: int = 18
    """Weighted layers: 10, 18 or 34 of two convolutions a block, 50 of three."""
    width: int = 64
    """Channels of the first stage, a multiple of 8; each of the other three has twice those before it."""
    stem: Literal["auto", "small", "large"] = "auto"
    """What comes first: `small` keeps the picture's size, `large` shrinks it by 4; auto is large from 96
    pixels."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        yield from super().faults()
        if self.depth not in RESNET_BLOCKS:
            yield f"model.depth: {self.depth} is not one of {', '.join(map(str, RESNET_BLOCKS))}"
        if self.width < 8 or self.width % 8:
            yield f"model.width: {self.width} is not a positive multiple of 8"


@dataclass(frozen=True, kw_only=True)
class ViTConfig(PictureModelConfig):
    """A vision transformer (A. Dosovitskiy et al., arXiv 2010.11929) that pools the mean of its patches."""

    kind: Literal["vit"] = "vit"
    size: Literal["nano", "tiny", "small", "base"] = "tiny"
    """Layers, width, heads: nano 4, 64, 2 (for small pictures); tiny 12, 192, 3; small 12, 384, 6; base 12,
    768, 12."""
    patch: int | Literal["auto"] = "auto"
    """Pixels of a patch's side, of which whole ones make a picture; auto is 16 from 96 pixels, else an eighth
    of the shorter side."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        yield from super().faults()
        if self.patch != "auto" and self.patch < 1:
            yield f"model.patch: {self.patch} is not positive"


LARGE_FROM = 96
"""Pixels of a picture's shorter side from which `auto` takes it for a large one."""
RESNET_BLOCKS: Mapping[int, tuple[int, int, int, int]] = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
}
"""Blocks of each stage by depth: table 1 of arXiv 1512.03385; 10 is 18 with half of its blocks."""
VIT_SIZES: Mapping[str, tuple[int, int, int]] = {
    "nano": (4, 64, 2),
    "tiny": (12, 192, 3),
    "small": (12, 384, 6),
    "base": (12, 768, 12),
}
"""Layers, width, heads: base from arXiv 2010.11929, tiny and small from DeiT, arXiv 2012.12877."""
