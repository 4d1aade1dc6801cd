"""A user's own DataLoader, cut for this process and able to begin anywhere in an epoch at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, SequentialSampler

from trainer.distributed import World
from trainer.engine.seeds import mixed


class EpochBatches:
    """The item numbers of this process's batches, epoch by epoch.

    An epoch's order is a function of seed and epoch, whatever the world size. Each global batch is
    `batch_size` items a process; the last one is what is left, or is left out (`drop_last`), and holds at
    least one item a process, some of them a second time if need be.
    """

    def __init__(
        self, num_items: int, batch_size: int, world: World, seed: int, *, shuffle: bool, drop_last: bool
    ) -> None:
        self._num_items, self._world, self._seed, self._shuffle = num_items, world, seed, shuffle
        self.batch_size = batch_size
        self.global_batch = batch_size * world.world_size
        whole, rest = divmod(num_items, self.global_batch)
        self._num_batches = whole if drop_last else whole + (rest > 0)
        self._epoch = self._first = 0

    def begin(self, epoch: int, batches_done: int) -> None:
        """Let the next iteration be that of an epoch, from after so many of its batches."""
        self._epoch, self._first = epoch, batches_done

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[list[int]]:
        order = list(range(self._num_items))
        if self._shuffle:
            generator = torch.Generator().manual_seed(mixed(self._seed, self._epoch, 0))
            order = torch.randperm(self._num_items, generator=generator).tolist()
        for number in range(self._first, self._num_batches):
            batch = order[number * self.global_batch : (number + 1) * self.global_batch]
            while len(batch) < self._world.world_size:
                batch += order[: self._world.world_size - len(batch)]
            yield batch[self._world.share(len(batch))]


def resumable(loader: Any, world: World, seed: int) -> tuple[Any, EpochBatches | None]:
    """Return the loader with a sampler of ours, and that sampler, where the loader's own is torch's default.

    Any other iterable is returned as it is, with None.
    """
    if type(loader) is not DataLoader or isinstance(loader.dataset, IterableDataset):
        return _unchanged(loader, world)
    if loader.batch_size is None or type(loader.sampler) not in (RandomSampler, SequentialSampler):
        return _unchanged(loader, world)
    if len(loader.sampler) != len(loader.dataset) or getattr(loader.sampler, "replacement", False):  # type: ignore[arg-type]
        return _unchanged(loader, world)
    batches = EpochBatches(
        len(loader.sampler),  # type: ignore[arg-type]
        loader.batch_size,
        world,
        seed,
        shuffle=isinstance(loader.sampler, RandomSampler),
        drop_last=loader.drop_last,
    )
    options: dict[str, Any] = {
        name: getattr(loader, name)
        for name in (
            "num_workers", "collate_fn", "pin_memory", "timeout", "worker_init_fn", "multiprocessing_context",
            "generator", "prefetch_factor", "persistent_workers", "pin_memory_device", "in_order",
        )
        if hasattr(loader, name)  # in_order came with torch 2.7
    }  # fmt: skip
    return DataLoader(loader.dataset, batch_sampler=batches, **options), batches


def _unchanged(loader: Any, world: World) -> tuple[Any, None]:
    sampler = getattr(loader, "sampler", None)
    if world.world_size > 1 and world.is_main and not hasattr(sampler, "num_replicas"):
        warnings.warn(
            "data: it is read as it is by every process: let each of them take a part of its own "
            "(run.world.rank of run.world.world_size)",
            stacklevel=5,
        )
    return loader, None


def set_epoch(data: Any, epoch: int) -> None:
    """Tell the data, its sampler and its dataset which epoch begins, as far as they want to know."""
    for each in (data, getattr(data, "sampler", None), getattr(data, "batch_sampler", None),
                 getattr(data, "dataset", None)):  # fmt: skip
        if callable(tell := getattr(each, "set_epoch", None)):
            tell(epoch)
