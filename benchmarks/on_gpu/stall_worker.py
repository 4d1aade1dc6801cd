"""The process of G3: steps of a 1.3B model, saved by our engine or by torch.distributed.checkpoint."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_state_dict
from torch.distributed.checkpoint.state_dict_saver import AsyncCheckpointerType

from benchmarks.on_gpu.cases import CASES, SMOKE
from benchmarks.on_gpu.throughput import adamw, batches, synchronize
from trainer.models.gpt import GPT

USUAL_STEPS, STEPS_AFTER, MOST_STEPS, SAVES = 12, 10, 400, 3


class Loop:
    """Training steps and a way to save."""

    def __init__(self, way: str, folder: Path, smoke: bool) -> None:
        self.device = torch.device("cpu" if smoke else "cuda")
        case = SMOKE if smoke else CASES[2]
        self.way, self.folder, self.future = way, folder, None
        model: Any = GPT(case.model, case.vocabulary).to(self.device)
        optimizer: Any = adamw(model)
        if way == "ours":
            from trainer.run import Run

            self.run = Run(steps=10**6, device=self.device.type, checkpoint_every=0, memory_snapshot="off")
            self.model, self.optimizer, data = self.run.setup(model, optimizer, batches(case, self.device))
            self.data = self.run.steps(data)
        else:
            distributed.init_process_group("cpu:gloo,cuda:nccl" if not smoke else "gloo")
            self.plain, self.optimizer = model, optimizer
            self.model = torch.compile(model) if not smoke else model
            self.data = batches(case, self.device)

    def step(self) -> None:
        """Do one step."""
        inputs, targets = next(self.data)
        if self.way == "ours":
            self.run.backward(self.model(inputs, targets), terms=targets.numel())
            self.run.step(self.optimizer)
            return
        with torch.autocast(self.device.type, torch.bfloat16):
            loss = self.model(inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.plain.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def save(self, number: int) -> None:
        """Save, and return as soon as training may go on."""
        if self.way == "ours":
            self.run.save()
            return
        model, optimizer = get_state_dict(self.plain, self.optimizer)
        kind = AsyncCheckpointerType[self.way.upper()]
        state = {"model": model, "optimizer": optimizer}
        # Each save takes the place of the one before: the disk holds one.
        self.future = dcp.async_save(state, checkpoint_id=self.folder / "saved", async_checkpointer_type=kind)

    def pending(self) -> bool:
        """Return whether the last save is still being written."""
        return self.run.saving if self.way == "ours" else not self.future.done()


def timed(loop: Loop) -> float:
    """Return the seconds of one step."""
    synchronize(loop.device)
    begin = time.perf_counter()
    loop.step()
    synchronize(loop.device)
    return time.perf_counter() - begin


def main() -> None:
    """Measure one way; print its usual step, and of each save the seconds blocked and the steps meanwhile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=("ours", "thread", "process"), required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    loop = Loop(options.way, options.folder, options.smoke)
    for _ in range(4):
        loop.step()
    usual = statistics.median(timed(loop) for _ in range(USUAL_STEPS))
    saves = []
    for number in range(1, SAVES + 1):
        synchronize(loop.device)
        begin = time.perf_counter()
        loop.save(number)
        blocked = time.perf_counter() - begin
        during, after = [], 0
        for _ in range(MOST_STEPS):
            waiting = loop.pending()
            seconds = timed(loop)
            during += [seconds] if waiting else []
            after += not waiting
            if after > STEPS_AFTER:
                break
        saves.append({"blocked": blocked, "during": during})
    print(json.dumps({"usual": usual, "saves": saves}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
