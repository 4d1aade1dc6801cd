"""The micro-batches of each step for one process: drawn by the order, ready in time, on the device."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import torch

from trainer.data.read_ahead import ReadAhead
from trainer.data.sample_order import SampleOrder
from trainer.data.source import Source

if TYPE_CHECKING:
    from torch import Tensor

Batch = dict[str, "Tensor"]
Gathered = tuple[int, int, Batch, float]
"""Step, part of the step, what it holds, and the seconds that gathering it took."""

SLOW_GATHER = 0.3e-3
"""Seconds of a gather above which a thread reads ahead; to hand a batch over costs some 0.03 ms."""
QUICK_GATHER = SLOW_GATHER / 3
"""Seconds below which it does so no more."""
GATHERS_TO_JUDGE = 9
"""Gathers of which most must be so: one that a busy machine interrupted says nothing."""
AHEAD = 3
"""Micro-batches that are kept ready."""


class Share(Protocol):
    """What of the processes' world matters to data."""

    @property
    def world_size(self) -> int:
        """Processes that share each step."""
        ...

    def share(self, total: int) -> slice:
        """Return this process's part of `total` things in order; the parts differ by at most one."""
        ...


class StepBatches:
    """The micro-batches of one step, fetched as they are come to; how many there are is known before."""

    __slots__ = ("_data", "_parts", "step")

    def __init__(self, data: StepData, step: int, parts: list[tuple[int, int]]) -> None:
        self._data = data
        self._parts = parts
        self.step = step

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Batch]:
        for index, (first, last) in enumerate(self._parts):
            yield self._data.fetch(self.step, index, first, last)


class StepData:
    """A run's data, without state of its own: any step can be asked for next, those between cost nothing."""

    def __init__(
        self,
        source: Source,
        order: SampleOrder,
        world: Share,
        micro_batch: int | None = None,
        device: torch.device | None = None,
    ) -> None:
        """Cut each process's share of a step into parts of at most `micro_batch` samples; None: one part.

        Every process has as many parts as any other, and none is empty; so with a `micro_batch` of 1 and a
        step that does not divide evenly, a part can have 2 samples.
        """
        assert order.num_items == source.num_items, "the order is that of the source's items"
        assert micro_batch is None or micro_batch > 0, "a micro-batch has a sample"
        self.source, self.order, self.micro_batch = source, order, micro_batch
        self.device = device or torch.device("cpu")
        self.wait_seconds = 0.0
        """Seconds that training has waited for data so far."""
        self._world = world
        self._parts: dict[int, list[tuple[int, int]]] = {}
        self._gathers = self._slow = self._quick = 0
        self._ahead: ReadAhead[Gathered] | None = None

    @property
    def num_steps(self) -> int:
        """Steps of the whole run."""
        return self.order.num_steps

    def units(self, step: int) -> int:
        """Return the samples of a step over all processes."""
        return self.order.size(step)

    def step_batches(self, step: int) -> StepBatches:
        """Return this process's micro-batches of a step, counted from 1."""
        return StepBatches(self, step, self._parts_of(self.order.size(step)))

    def fetch(self, step: int, index: int, first: int, last: int) -> Batch:
        """Return one micro-batch: part `index` of the step, its samples first to last - 1, on the device."""
        begin = time.perf_counter()
        if self._ahead is None:
            batch = self._gather(step, first, last)
            self.wait_seconds += (seconds := time.perf_counter() - begin)
        else:
            batch, seconds = self._await(step, index)
            self.wait_seconds += time.perf_counter() - begin
        self._judge(step, index, seconds)
        if self.device.type == "cuda":
            return {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
        return batch

    def close(self) -> None:
        """Stop reading ahead; a later fetch may begin again."""
        if self._ahead is not None:
            self._ahead.stop()
            self._ahead = None
        self._gathers = self._slow = self._quick = 0

    def _parts_of(self, size: int) -> list[tuple[int, int]]:
        """Return this process's parts of a step of `size` samples, counted from the step's first."""
        if (known := self._parts.get(size)) is not None:
            return known
        smallest, largest = size // self._world.world_size, -(-size // self._world.world_size)
        assert smallest > 0, "a step has a sample for every process"
        count = min(-(-largest // (self.micro_batch or largest)), smallest)
        share = self._world.share(size)
        cuts = [share.start + (share.stop - share.start) * part // count for part in range(count + 1)]
        self._parts[size] = parts = list(itertools.pairwise(cuts))
        return parts

    def _gather(self, step: int, first: int, last: int) -> Batch:
        begin = (step - 1) * self.order.global_batch
        first, last = begin + first, begin + last
        noise = self.order.noise(first, last, self.source.noise_width)
        batch = self.source.batch(self.order.items(first, last), noise)
        if self.device.type == "cuda":
            return {name: tensor.pin_memory() for name, tensor in batch.items()}
        return batch

    def _judge(self, step: int, index: int, seconds: float) -> None:
        """Read ahead after this part where gathering has turned out to be slow, no more where it is quick."""
        self._gathers += 1
        if seconds > SLOW_GATHER:
            self._slow += 1
        elif seconds < QUICK_GATHER:
            self._quick += 1
        if self._gathers < GATHERS_TO_JUDGE:
            return
        mostly_slow, mostly_quick = (2 * count > self._gathers for count in (self._slow, self._quick))
        self._gathers = self._slow = self._quick = 0
        if self._ahead is None and mostly_slow:
            self._ahead = ReadAhead(self._gathered(step, index + 1), AHEAD)
        elif self._ahead is not None and mostly_quick:
            self._ahead.stop()
            self._ahead = None

    def _gathered(self, step: int, index: int) -> Iterator[Gathered]:
        """Yield every micro-batch from part `index` of the step to the run's end."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # else this thread's pinned memory is bound to the first GPU
        for at in range(step, self.num_steps + 1):
            for part, (first, last) in enumerate(self._parts_of(self.order.size(at))):
                if at > step or part >= index:
                    begin = time.perf_counter()
                    batch = self._gather(at, first, last)
                    yield at, part, batch, time.perf_counter() - begin

    def _await(self, step: int, index: int) -> tuple[Batch, float]:
        """Return what was read ahead and the seconds that it took; begin anew where it is something else."""
        assert self._ahead is not None
        try:
            at, part, batch, seconds = self._ahead.next()
        except StopIteration:
            at = part = 0
        if (at, part) != (step, index):
            self._ahead.stop()
            self._ahead = ReadAhead(self._gathered(step, index), AHEAD)
            _, _, batch, seconds = self._ahead.next()
        return batch, seconds
