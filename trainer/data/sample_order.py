"""The order in which a run draws its samples: a function of the seed alone, known at any place at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trainer.data.bijection import Bijection

NOISE_WIDTH = 4
"""Random numbers that each sample brings along for its augmentation."""
LARGEST_TABLE = 2**16
"""Items up to which an epoch's order is a drawn permutation, every one of them equally likely. That takes
0.5 ms, once an epoch; above, a keyed bijection is asked for the places that are wanted alone."""
BLOCK = 4096
"""Places that are computed together: numpy then costs each of them nanoseconds."""


@dataclass(frozen=True)
class StepSamples:
    """What one process trains on in one step."""

    items: NDArray[np.int64]
    """Numbers of the training items [n]."""
    noise: NDArray[np.float32]
    """Random numbers from -1 to below 1 [n, 4], each sample's own."""
    num_global: int
    """Samples of the step over all processes."""


@dataclass(frozen=True)
class SampleOrder:
    """The samples of a whole run, whatever the world size; sample k is the same for any global batch.

    Sample k is the item at place k % num_items of the shuffle of epoch k // num_items. Any sample can be
    asked for at any time, so the place in the data needs no other state than the step number.
    """

    num_items: int
    """Training items, up to 2**40."""
    num_samples: int
    """Samples of the whole run, over all epochs."""
    global_batch: int
    """Samples of a step over all processes."""
    seed: int

    @property
    def num_steps(self) -> int:
        """Steps of the whole run; the last one is smaller where samples do not divide evenly."""
        return -(-self.num_samples // self.global_batch)

    def size(self, step: int) -> int:
        """Return the number of samples of a step, counted from 1, over all processes."""
        return min(self.global_batch, self.num_samples - (step - 1) * self.global_batch)

    def done(self, step: int) -> int:
        """Return the samples consumed when a step is done: where the next one begins."""
        return min(step * self.global_batch, self.num_samples)

    def step(self, step: int, share: slice | None = None) -> StepSamples:
        """Return the samples of a step; of them only `share`, where one is given."""
        size, begin = self.size(step), (step - 1) * self.global_batch
        first, last, _ = (share or slice(None)).indices(size)
        return StepSamples(
            items=self.items(begin + first, begin + last),
            noise=self.noise(begin + first, begin + last),
            num_global=size,
        )

    def items(self, first: int, last: int) -> NDArray[np.int64]:
        """Return the items of the samples first to last - 1, counted from 0 [last - first]."""
        number, begin = divmod(first, BLOCK)
        if last <= (number + 1) * BLOCK:
            return self._block(number)[begin : begin + last - first]
        blocks = [self._block(each) for each in range(number, -(-last // BLOCK))]
        return np.concatenate(blocks)[begin : begin + last - first]

    def noise(self, first: int, last: int, width: int = NOISE_WIDTH) -> NDArray[np.float32]:
        """Return `width` random numbers in [-1, 1) for each of those samples [last - first, width]."""
        if not width or first == last:
            return np.empty((last - first, width), np.float32)
        begin = first // BLOCK
        drawn = [self._noise_block(each, width) for each in range(begin, -(-last // BLOCK))]
        whole = drawn[0] if len(drawn) == 1 else np.concatenate(drawn)
        return whole[first - begin * BLOCK : last - begin * BLOCK]

    def _block(self, number: int) -> NDArray[np.int64]:
        cached = self._cache.get("items")
        if cached is None or cached[0] != number:
            places = np.arange(number * BLOCK, (number + 1) * BLOCK)
            epochs = range(int(places[0]) // self.num_items, int(places[-1]) // self.num_items + 1)
            parts = [self._items_of_epoch(epoch, places) for epoch in epochs]
            # One assignment: the thread that reads ahead may ask at the same time.
            cached = self._cache["items"] = (number, np.concatenate(parts))
        return cached[1]

    def _items_of_epoch(self, epoch: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
        first, last = np.searchsorted(places, [epoch * self.num_items, (epoch + 1) * self.num_items])
        inside = places[first:last] - epoch * self.num_items
        if self.num_items > LARGEST_TABLE:
            return Bijection(self.num_items, self.seed, epoch)(inside)
        cached = self._cache.get("permutation")
        if cached is None or cached[0] != epoch:
            drawn = _generator(self.seed, 0, epoch).permutation(self.num_items)
            cached = self._cache["permutation"] = (epoch, drawn)
        return cached[1][inside]

    def _noise_block(self, number: int, width: int) -> NDArray[np.float32]:
        cached = self._noise_cache.get(width)
        if cached is None or cached[0] != number:
            drawn = _generator(self.seed, 1, number).random((BLOCK, width), dtype=np.float32) * 2 - 1
            cached = self._noise_cache[width] = (number, drawn)
        return cached[1]

    @cached_property
    def _cache(self) -> dict[str, tuple[int, NDArray[np.int64]]]:
        return {}

    @cached_property
    def _noise_cache(self) -> dict[int, tuple[int, NDArray[np.float32]]]:
        return {}


def _generator(seed: int, purpose: int, number: int) -> np.random.Generator:
    """Return the random numbers of one epoch (purpose 0) or of one block of samples (purpose 1)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, purpose, number))))
