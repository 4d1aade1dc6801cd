"""What C7 interrupts: training of a model with 300 MB of state that saves only when it is told to stop."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from benchmarks.trainer import loops
from benchmarks.trainer.hand_gpt import MEDIUM, HandGPT
from benchmarks.trainer.told import Teller
from trainer.run import Run


def main() -> None:
    """Train until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    options = parser.parse_args()
    torch.manual_seed(1)
    run = Run(steps=options.steps, device="cpu", checkpoint_every=0, memory_snapshot="off")
    model: Any = HandGPT(MEDIUM)
    optimizer: Any = torch.optim.AdamW(model.parameters(), fused=True)
    model, optimizer, data = run.setup(model, optimizer, loops.Batches(MEDIUM, 1, run.world.rank))
    told = Teller(options.folder)
    for inputs, targets in run.steps(data):
        run.backward(model(inputs, targets))
        run.step(optimizer)
        told.step(run.step_number)


if __name__ == "__main__":
    main()
