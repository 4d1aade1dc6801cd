"""Where training items come from: the contract of a source; sources of arrays and of windows of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


class Source(Protocol):
    """Numbered training items, of which any can be fetched at any time."""

    num_items: int
    noise_width: int
    """Random numbers that `batch` wants for each item."""

    def batch(self, items: NDArray[np.int64], noise: NDArray[np.float32]) -> dict[str, Tensor]:
        """Return the items [n] with their noise [n, noise_width] as CPU tensors of n rows each.

        A pure function of its arguments, called from a thread of its own.
        """
        ...


class ArraySource:
    """Items that are rows of arrays in memory, or in mapped files: pictures with labels, rows of a table."""

    def __init__(
        self, arrays: Mapping[str, NDArray[Any]] | Sequence[Mapping[str, NDArray[Any]]], noise_width: int = 0
    ) -> None:
        """Take arrays [items, ...] by name, or shards of them; with a noise_width, batches have `noise`."""
        self._shards = [arrays] if isinstance(arrays, Mapping) else list(arrays)
        lengths = [{len(array) for array in shard.values()} for shard in self._shards]
        assert all(len(each) == 1 for each in lengths), f"every array has a row an item: {lengths}"
        assert all("noise" not in shard for shard in self._shards), "noise is the name of the random numbers"
        self._last_items = np.cumsum([each.pop() for each in lengths])
        self.num_items = int(self._last_items[-1]) if self._shards else 0
        self.noise_width = noise_width

    def batch(self, items: NDArray[np.int64], noise: NDArray[np.float32]) -> dict[str, Tensor]:
        """Return a tensor an array, of its kind of numbers, and the noise."""
        if len(self._shards) == 1:
            batch = {name: torch.from_numpy(array[items]) for name, array in self._shards[0].items()}
        else:
            batch = self._gather(items)
        if self.noise_width:
            batch["noise"] = torch.from_numpy(np.ascontiguousarray(noise))
        return batch

    def _gather(self, items: NDArray[np.int64]) -> dict[str, Tensor]:
        first = self._shards[0] if self._shards else {}
        rows = {name: np.empty((len(items), *array.shape[1:]), array.dtype) for name, array in first.items()}
        which, inside = locate(items, self._last_items)
        for number in np.unique(which).tolist():
            here = which == number
            for name, array in self._shards[number].items():
                rows[name][here] = array[inside[here]]
        return {name: torch.from_numpy(array) for name, array in rows.items()}


class TokenSource:
    """Windows of `context` tokens, each with the token that follows it.

    The windows of a shard lie side by side; what is left at its end is shorter than one and is not used. With
    `shifted`, a sample's noise moves its window by up to a context, so that each epoch cuts the text at other
    places; a shard then has one window less.
    """

    def __init__(self, shards: Sequence[NDArray[Any]], context: int, *, shifted: bool = False) -> None:
        """Take shards of tokens [any length], mapped or in memory; one too short for a window has none."""
        self.context = context
        self.noise_width = int(shifted)
        # numpy's memmap is a subclass whose slices cost a microsecond each.
        self._shards = [np.asarray(shard) for shard in shards]
        counts = [max((len(shard) - 1) // context - int(shifted), 0) for shard in self._shards]
        self._last_items = np.cumsum(counts)
        self.num_items = int(self._last_items[-1]) if counts else 0

    def batch(self, items: NDArray[np.int64], noise: NDArray[np.float32]) -> dict[str, Tensor]:
        """Return {"tokens": int64 [n, context + 1]}."""
        length = self.context + 1
        tokens = np.empty((len(items), length), np.int64)
        which, inside = locate(items, self._last_items)
        starts = inside * self.context
        if self.noise_width:
            starts = starts + ((noise[:, 0] + 1) / 2 * self.context).astype(np.int64)
        # One pass a window copies and widens its tokens: quicker than one gather of all, which does so twice.
        shards = self._shards
        for row, shard, start in zip(tokens, which.tolist(), starts.tolist(), strict=True):
            row[:] = shards[shard][start : start + length]
        return {"tokens": torch.from_numpy(tokens)}


def locate(
    items: NDArray[np.int64], last_items: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each item's shard and its number in it; `last_items` are the shards' lengths, added up."""
    if len(last_items) == 1:
        return np.zeros(len(items), np.int64), items
    which = np.searchsorted(last_items, items, side="right")
    return which, items - np.where(which, last_items[which - 1], 0)
