"""One process of C5: many short runs one after the other, each with a seed of its own, in one folder each.

With `--kill`, a process drawn at random kills itself at a step drawn at random of each run that has not
been killed yet; the launcher then starts both again, and this goes on with the run that was cut off.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

STEPS, ITEMS, GLOBAL_BATCH = 30, 96, 8


class Numbers:
    """Items that are random numbers, and a list of those that were taken."""

    num_items = ITEMS
    noise_width = 4

    def __init__(self) -> None:
        self.rows = np.random.default_rng(0).random((ITEMS, 16), dtype=np.float32)

    def batch(self, items: NDArray[np.int64], noise: NDArray[np.float32]) -> dict[str, Tensor]:
        """Return the rows of the items, their numbers and their noise."""
        return {
            "rows": torch.from_numpy(self.rows[items]),
            "items": torch.from_numpy(items),
            "noise": torch.from_numpy(noise),
        }


def run_one(folder: Path, seed: int, kill: bool) -> None:
    """Do one run to its end, or to its kill."""
    from trainer.data.sample_order import SampleOrder
    from trainer.data.step_data import StepData
    from trainer.run import Run

    torch.manual_seed(seed)
    model: nn.Module = nn.Sequential(
        nn.Linear(16, 32), nn.Dropout(0.1 if seed % 2 else 0.0), nn.ReLU(), nn.Linear(32, 1)
    )
    optimizer: Any = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True)
    run = Run(
        run_dir=folder,
        steps=STEPS,
        seed=seed,
        device="cpu",
        log_every=1,
        checkpoint_every=7,
        keep_checkpoints=9,
    )
    order = SampleOrder(ITEMS, STEPS * GLOBAL_BATCH, GLOBAL_BATCH, seed)
    data = StepData(Numbers(), order, run.world, None, run.device)
    choice = random.Random(seed)
    victim, last = choice.randrange(2), choice.randrange(3, STEPS - 1)
    taken = (folder / f"items-{run.world.rank}.jsonl").open("a", buffering=1)
    model, optimizer, batches = run.setup(model, optimizer, data)
    for batch in run.steps(batches):
        noise = batch["noise"].sum(dim=1, keepdim=True)
        run.backward((model(batch["rows"]) - noise).square().mean(), terms=len(noise))
        run.step(optimizer)
        taken.write(json.dumps({"step": run.step_number, "items": batch["items"].tolist()}) + "\n")
        killed = folder / "killed"
        if kill and run.world.rank == victim and run.step_number == last and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    run.finish()
    (folder / f"done-{run.world.rank}").touch()


def main() -> None:
    """Do all the runs that are not done yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, required=True)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    world = int(os.environ["WORLD_SIZE"])
    for seed in range(1, options.seeds + 1):
        folder = options.folder / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        # A rank may have been killed after the other one's last step: both go on with the same run.
        if not all((folder / f"done-{rank}").exists() for rank in range(world)):
            run_one(folder, seed, options.kill)


if __name__ == "__main__":
    main()
