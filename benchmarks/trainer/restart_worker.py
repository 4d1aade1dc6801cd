"""What C4 kills: a tiny model that checkpoints every ten steps and goes on from the last one.

By hand (`--loop bare`): torch.save by rank 0, as the fault-tolerance tutorial of PyTorch's torchrun does
it. By our engine (`--loop ours`): `Run` alone. Each process tells every step it has done in a file of its
own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.trainer.told import Teller

EVERY = 10


def rows() -> Iterator[torch.Tensor]:
    """Yield batches for ever."""
    while True:
        yield torch.randn(16, 32)


def train_bare(folder: Path, steps: int, pause: float) -> None:
    """Train by hand, from the snapshot if there is one."""
    distributed.init_process_group("gloo")
    told, path = Teller(folder), folder / "snapshot.pt"
    model = nn.Linear(32, 32)
    optimizer = torch.optim.AdamW(model.parameters())
    done = 0
    if path.exists():
        snapshot: Any = torch.load(path)
        model.load_state_dict(snapshot["model"])
        optimizer.load_state_dict(snapshot["optimizer"])
        done = snapshot["step"]
    replica = DistributedDataParallel(model)
    data = rows()
    for step in range(done + 1, steps + 1):
        replica(next(data)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        time.sleep(pause)
        told.step(step)
        if step % EVERY == 0 and told.rank == 0:
            part = path.with_suffix(".part")
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            torch.save(state, part)
            part.replace(path)


def train_ours(folder: Path, steps: int, pause: float) -> None:
    """Train by our engine, which resumes by itself."""
    from trainer.run import Run

    run = Run(steps=steps, checkpoint_every=EVERY, device="cpu")
    told = Teller(folder)
    model = nn.Linear(32, 32)
    optimizer: Any = torch.optim.AdamW(model.parameters())
    model, optimizer, data = run.setup(model, optimizer, rows())
    for batch in run.steps(data):
        run.backward(model(batch).square().mean())
        run.step(optimizer)
        time.sleep(pause)
        told.step(run.step_number)


def main() -> None:
    """Train to the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", choices=("bare", "ours"), required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--pause", type=float, default=0.01, help="seconds that each step lasts at least")
    options = parser.parse_args()
    train = train_bare if options.loop == "bare" else train_ours
    train(options.folder, options.steps, options.pause)


if __name__ == "__main__":
    main()
