"""Changes to training pictures: functions of each sample's own noise, for a whole batch at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

NOISE_WIDTH = 4
"""Random numbers that a picture's change takes."""
_LARGEST_TURN = 0.26
"""Radians: 15 degrees."""
_LARGEST_SCALING = 0.1
_LARGEST_SHIFT = 0.2
"""In half pictures, as affine_grid measures: a tenth of the side."""
_SMALLEST_SIDE = 0.7
"""Share of the picture's side that a crop leaves, at least."""


def shift_pictures(pictures: Tensor, noise: Tensor) -> Tensor:
    """Return the pictures [n, c, h, w] turned, scaled and shifted a little.

    `noise` [n, 4] holds numbers from -1 to 1: the turn (15 degrees at 1), the scale (10 %), the shift along
    both sides (a tenth of the side). Between pixels the value is interpolated, beyond the edge it is 0.
    """
    angle, scale = noise[:, 0] * _LARGEST_TURN, 1 + noise[:, 1] * _LARGEST_SCALING
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    across, down = noise[:, 2] * _LARGEST_SHIFT, noise[:, 3] * _LARGEST_SHIFT
    return _sample(pictures, torch.stack((cosine, -sine, across, sine, cosine, down), 1), beyond="zeros")


def crop_pictures(pictures: Tensor, noise: Tensor) -> Tensor:
    """Return a part of each picture [n, c, h, w], enlarged to the whole, mirrored in half of the cases.

    `noise` [n, 4]: mirrored above 0; the part's side (70 % to 100 %); its place across and down. All of the
    part lies within the picture.
    """
    side = (1 + _SMALLEST_SIDE) / 2 + noise[:, 1] * (1 - _SMALLEST_SIDE) / 2
    mirror = torch.where(noise[:, 0] > 0, -1.0, 1.0)
    across, down = noise[:, 2] * (1 - side), noise[:, 3] * (1 - side)
    nothing = torch.zeros_like(side)
    matrices = torch.stack((side * mirror, nothing, across, nothing, side, down), 1)
    # The outermost half pixels lie between the picture and what is beyond it.
    return _sample(pictures, matrices, beyond="border")


def _sample(pictures: Tensor, matrices: Tensor, beyond: str) -> Tensor:
    """Return the pictures seen through the matrices [n, 6] from places of the answer to places in them."""
    grid = functional.affine_grid(matrices.view(-1, 2, 3), list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, padding_mode=beyond, align_corners=False)


CHANGES = {"shift": shift_pictures, "natural": crop_pictures}
"""Change by the name that `model.augmentation` gives it."""
