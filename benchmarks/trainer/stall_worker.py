"""One process of C3: steps of a model with 300 MB of state, saved now and then in one of several ways.

Prints, on rank 0, the usual seconds of a step and, of each save, the seconds blocked and those lost in all:
what the steps took longer than usual from the save until it was on the disk, and for a few steps after.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import distributed, nn
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_state_dict
from torch.nn.parallel import DistributedDataParallel

from benchmarks.trainer import loops
from benchmarks.trainer.hand_gpt import MEDIUM

BATCH = 1
USUAL_STEPS = 12
STEPS_AFTER = 8
MOST_STEPS = 150
SAVES = 4


class Way(Protocol):
    """A way to train and to save."""

    def step(self) -> None:
        """Do one step."""
        ...

    def save(self, number: int) -> None:
        """Save, and return as soon as training may go on."""
        ...

    def pending(self) -> bool:
        """Return whether the last save is still being written."""
        ...


class Bare:
    """A DDP loop by hand; how it saves is what differs."""

    def __init__(self, folder: Path, way: str) -> None:
        self.rank, self.world = distributed.get_rank(), distributed.get_world_size()
        self.folder, self.way = folder, way
        self.model, self.optimizer = loops.parts(MEDIUM)
        self.replica = DistributedDataParallel(self.model, gradient_as_bucket_view=True)
        self.data = iter(loops.Batches(MEDIUM, BATCH, self.rank))
        self.future: Any = None
        # A thread that saves must not share the steps' group: their collectives would meet each other's.
        self.saving = distributed.new_group() if way == "dcp.async_save thread" else None
        self.buffers: list[torch.Tensor] = []

    def step(self) -> None:
        """Do one step."""
        inputs, targets = next(self.data)
        self.replica(inputs, targets).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), loops.CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def save(self, number: int) -> None:
        """Save in the way that was asked for."""
        folder = self.folder / f"step-{number}"
        if self.way == "memcpy":
            self._copy()
        elif self.way == "torch.save":
            if self.rank == 0:
                state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
                folder.mkdir()
                torch.save(state, folder / "state.pt")
            distributed.barrier()
        else:
            model, optimizer = get_state_dict(self.model, self.optimizer)
            state = {"model": model, "optimizer": optimizer}
            if self.way == "dcp.save":
                dcp.save(state, checkpoint_id=folder)
            else:
                from torch.distributed.checkpoint.state_dict_saver import AsyncCheckpointerType

                kind = self.way.removeprefix("dcp.async_save ").upper()
                self.future = dcp.async_save(
                    state,
                    checkpoint_id=folder,
                    process_group=self.saving,
                    async_checkpointer_type=AsyncCheckpointerType[kind],
                )

    def pending(self) -> bool:
        """Return whether any process's save is still being written."""
        waiting = torch.tensor([float(self.future is not None and not self.future.done())])
        distributed.all_reduce(waiting)
        return bool(waiting.item())

    def _copy(self) -> None:
        """Copy the state into memory that is there already: the least that any save has to do."""
        if self.rank == 0:
            tensors = [each.detach() for each in self.model.parameters()]
            tensors += [each for held in self.optimizer.state.values() for each in held.values()]
            if not self.buffers:
                self.buffers = [torch.zeros_like(each) for each in tensors]
            for buffer, tensor in zip(self.buffers, tensors, strict=True):
                buffer.copy_(tensor)
        distributed.barrier()


class Ours:
    """A loop over our engine."""

    def __init__(self) -> None:
        from trainer.run import Run

        model, optimizer = loops.parts(MEDIUM)
        self.run = Run(steps=100_000, device="cpu", gradient_clip=loops.CLIP, checkpoint_every=0)
        data = loops.Batches(MEDIUM, BATCH, self.run.world.rank)
        self.model, self.optimizer, batches = self.run.setup(model, optimizer, data)
        self.batches = self.run.steps(batches)

    def step(self) -> None:
        """Do one step."""
        inputs, targets = next(self.batches)
        self.run.backward(self.model(inputs, targets), terms=targets.numel())
        self.run.step(self.optimizer)

    def save(self, number: int) -> None:
        """Save as a user of the engine may."""
        self.run.save()

    def pending(self) -> bool:
        """Return whether any process still writes or sends its part, or it waits to be committed."""
        waiting = torch.tensor([float(self.run.saving or self.run.sending)])
        distributed.all_reduce(waiting)
        return bool(waiting.item())


def usual_seconds(way: Way) -> float:
    """Return the median of the seconds of a step without saves."""
    seconds = []
    for _ in range(USUAL_STEPS):
        begin = time.perf_counter()
        way.step()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[2:])


def cost_of_save(way: Way, number: int, usual: float) -> dict[str, float]:
    """Save, go on until it is written and some steps more; return what it cost."""
    begin = time.perf_counter()
    way.save(number)
    blocked = time.perf_counter() - begin
    slowed, during = 0.0, []
    after = 0
    for _ in range(MOST_STEPS):
        begin = time.perf_counter()
        waiting = way.pending()
        way.step()
        took = time.perf_counter() - begin
        slowed += took - usual
        if waiting:
            during.append(took)
        after += not waiting
        if after > STEPS_AFTER:
            break
    return {
        "blocked": blocked,
        "lost": blocked + max(0.0, slowed),
        "steps_during": len(during),
        "step_during": statistics.median(during) if during else usual,
    }


def main() -> None:
    """Measure one way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    distributed.init_process_group("cpu:gloo")
    way: Way = Ours() if options.way == "ours" else Bare(options.folder, options.way)
    usual = usual_seconds(way)
    saves = [cost_of_save(way, number, usual) for number in range(1, SAVES + 1)]
    if distributed.get_rank() == 0:
        print(json.dumps({"usual": usual, "saves": saves}), flush=True)
    distributed.barrier()
    os._exit(0)


if __name__ == "__main__":
    main()
