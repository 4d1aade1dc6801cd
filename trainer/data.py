"""Training data as memory-mapped arrays, and the order in which samples are drawn from them."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.datasets import DatasetError, dataset_file_name, prepare
from trainer.safetensors_file import read_header

NOISE_WIDTH = 4
"""Random numbers that each sample brings along for its augmentation."""


@dataclass(frozen=True)
class DataFile:
    """A data set's file: its arrays, mapped and not read, and what its header says."""

    arrays: dict[str, NDArray[np.uint8]]
    about: dict[str, str]


@dataclass(frozen=True)
class StepSamples:
    """What one process trains on in one step."""

    items: NDArray[np.int64]
    """Numbers of the training items [n]."""
    noise: NDArray[np.float32]
    """Random numbers from -1 to 1 [n, 4], each sample's own."""
    num_global: int
    """Samples of the step over all processes."""


@dataclass(frozen=True)
class SampleOrder:
    """The order of samples of a whole run: a function of the seed alone, whatever the world size.

    Sample k is the item at place k % num_items of the permutation of epoch k // num_items. Any step can be
    asked for at any time, so the place in the data needs no other state than the step number.
    """

    num_items: int
    num_samples: int
    global_batch: int
    seed: int

    def step(self, step: int, share: slice | None = None) -> StepSamples:
        """Return the samples of a step, counted from 1; of them only `share`, where one is given."""
        first = (step - 1) * self.global_batch
        last = min(first + self.global_batch, self.num_samples)
        places = np.arange(first, last)
        items = np.concatenate(
            [self._items_of_epoch(epoch, places) for epoch in np.unique(places // self.num_items)]
        )
        noise = _generator(self.seed, 1, step).random((len(items), NOISE_WIDTH), dtype=np.float32) * 2 - 1
        part = share or slice(None)
        return StepSamples(items=items[part], noise=noise[part], num_global=len(items))

    def size(self, step: int) -> int:
        """Return the number of samples of a step over all processes."""
        return min(self.global_batch, self.num_samples - (step - 1) * self.global_batch)

    def done(self, step: int) -> int:
        """Return the samples consumed when a step is done: where the next one begins."""
        return min(step * self.global_batch, self.num_samples)

    def _items_of_epoch(self, epoch: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
        if self._permutations.get(epoch) is None:
            self._permutations.clear()
            self._permutations[epoch] = _generator(self.seed, 0, epoch).permutation(self.num_items)
        inside = places[places // self.num_items == epoch] % self.num_items
        items: NDArray[np.int64] = self._permutations[epoch][inside]
        return items

    @cached_property
    def _permutations(self) -> dict[int, NDArray[np.int64]]:
        return {}


def _generator(seed: int, purpose: int, number: int) -> np.random.Generator:
    """Return the random numbers of one epoch (purpose 0) or one step (purpose 1)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, purpose, number))))


def find_data(name: str, *, may_prepare: bool) -> Path | None:
    """Return the data set's file: below $FLEETFORM_DATA_DIR, else from this machine's cache.

    Where neither holds it, it is prepared into the cache if `may_prepare`, else the answer is None.
    """
    file_name = dataset_file_name(name)
    if given := os.environ.get("FLEETFORM_DATA_DIR"):
        for path in (Path(given) / file_name, Path(given) / name / file_name):
            if path.is_file():
                return path
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fleetform" / "datasets"
    # The text is that of this Python's own library, so the cache keeps one file a version.
    folder = cache / f"python-{platform.python_version()}"
    if (folder / file_name).is_file():
        return folder / file_name
    return prepare(name, folder) if may_prepare else None


def open_data(path: Path) -> DataFile:
    """Map the safetensors file's arrays; raises DatasetError where it is not a whole one of bytes."""
    try:
        entries, about = read_header(path)
        if any(entry.dtype != "U8" for entry in entries.values()):
            raise ValueError("not all of it is bytes")
    except ValueError:
        raise DatasetError(f"{path} is damaged: remove it, or prepare it again") from None
    arrays: dict[str, NDArray[np.uint8]] = {
        name: np.memmap(path, dtype=np.uint8, mode="r", offset=entry.offset, shape=entry.shape)
        for name, entry in entries.items()
    }
    return DataFile(arrays=arrays, about=about)
