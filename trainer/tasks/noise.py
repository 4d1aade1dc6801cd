"""Gives a source's items the random numbers that a task wants for them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.data.source import Source


class WithNoise:
    """A source whose batches have `noise` as well: numbers from -1 to below 1, each sample's own."""

    def __init__(self, source: Source, noise_width: int) -> None:
        """Take a source and the numbers wanted for each of its items."""
        self.num_items = source.num_items
        self.noise_width = noise_width
        self._source = source

    def batch(self, items: NDArray[np.int64], noise: NDArray[np.float32]) -> dict[str, Tensor]:
        """Return the items' tensors and `noise` [n, noise_width]."""
        batch = self._source.batch(items, noise[:, : self._source.noise_width])
        if self.noise_width:
            batch["noise"] = torch.from_numpy(np.ascontiguousarray(noise))
        return batch
