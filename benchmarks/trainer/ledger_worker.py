"""What C8 keeps books on: steps of known length, slow data, evaluations and kills, all written down.

The truth goes to truth.jsonl, a line an act: `step`, `data`, `evaluation` with their seconds, `kill` with
its moment, `begun` when a process has imported what it needs and `ready` when it comes to its first step.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

STEP_SECONDS, DATA_SECONDS, EVALUATION_SECONDS = 0.06, 0.3, 0.8
DATA_EVERY, EVALUATION_EVERY, CHECKPOINT_EVERY = 13, 50, 25


class Truth:
    """The file of what was done; rank 0 writes it."""

    def __init__(self, folder: Path) -> None:
        self.silent = os.environ["RANK"] != "0"
        self._file = (folder / "truth.jsonl").open("a", buffering=1)

    def tell(self, act: str, seconds: float = 0.0, step: int = 0) -> None:
        """Write one act."""
        if not self.silent:
            line = {"act": act, "seconds": seconds, "step": step, "time": time.time()}
            self._file.write(json.dumps(line) + "\n")


def batches(truth: Truth) -> Iterator[torch.Tensor]:
    """Yield batches; some take their time."""
    number = 0
    while True:
        number += 1
        if number % DATA_EVERY == 0:
            begin = time.perf_counter()
            time.sleep(DATA_SECONDS)
            truth.tell("data", time.perf_counter() - begin)
        yield torch.ones(4, 8)


def main() -> None:
    """Train; in the first lives, a process drawn at random kills itself at a step drawn at random."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--kills", type=int, required=True)
    options = parser.parse_args()
    from trainer.run import Run

    truth = Truth(options.folder)
    life = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    choice = random.Random(life)
    victim, lives = choice.randrange(2), choice.randrange(40, 70)
    run = Run(
        steps=options.steps,
        device="cpu",
        checkpoint_every=CHECKPOINT_EVERY,
        memory_snapshot="off",
        log_every=50,
    )
    model: Any = torch.nn.Linear(8, 8)
    optimizer: Any = torch.optim.AdamW(model.parameters(), fused=True)
    model, optimizer, data = run.setup(model, optimizer, batches(truth))
    for done, batch in enumerate(run.steps(data), start=1):
        if done == 1:
            truth.tell("ready", step=run.step_number)
        begin = time.perf_counter()
        time.sleep(STEP_SECONDS)
        run.backward(model(batch).square().mean())
        run.step(optimizer)
        truth.tell("step", time.perf_counter() - begin, run.step_number)
        if run.step_number % EVALUATION_EVERY == 0:
            with run.phase("evaluating"):
                begin = time.perf_counter()
                time.sleep(EVALUATION_SECONDS)
                truth.tell("evaluation", time.perf_counter() - begin, run.step_number)
        if life < options.kills and done == lives:
            truth.tell("kill", step=run.step_number)
            if run.world.rank == victim:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)


if __name__ == "__main__":
    main()
