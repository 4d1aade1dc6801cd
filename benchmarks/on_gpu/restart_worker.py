"""What G4 kills: training of a 350M model that checkpoints, and tells every step."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.on_gpu.cases import CASES, SMOKE
from benchmarks.on_gpu.throughput import adamw, batches, synchronize
from benchmarks.trainer.told import Teller
from trainer.models.gpt import GPT
from trainer.run import Run


def main() -> None:
    """Train until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    case = SMOKE if options.smoke else CASES[1]
    run = Run(steps=10**6, device="cpu" if options.smoke else "cuda", checkpoint_every=10)
    model: Any = GPT(case.model, case.vocabulary).to(run.device)
    optimizer: Any = adamw(model)
    model, optimizer, data = run.setup(model, optimizer, batches(case, run.device))
    told = Teller(options.folder)
    for inputs, targets in run.steps(data):
        run.backward(model(inputs, targets), terms=targets.numel())
        run.step(optimizer)
        synchronize(run.device)
        told.step(run.step_number)


if __name__ == "__main__":
    main()
