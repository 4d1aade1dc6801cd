"""What each process of a test does: several small runs one after the other, their losses as JSON."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.engine_jobs import Net, Steps, fit, losses, weights
from trainer.engine.failures import DivergedError
from trainer.run import Run

RUNS: dict[str, dict[str, Any]] = {
    "ddp": {},
    "ddp of another optimizer": {"optimizer": "NAdam"},
    "ddp in bf16": {"precision": "bf16"},
    "ddp with parameters that may be unused": {"unused_parameters": True},
    "fsdp": {"sharding": "fsdp"},
    "fsdp of another optimizer": {"sharding": "fsdp", "optimizer": "NAdam"},
    "fsdp of plain SGD": {"sharding": "fsdp", "optimizer": "SGD"},
    "fsdp in bf16": {"sharding": "fsdp", "precision": "bf16"},
    "ddp of plain SGD": {"optimizer": "SGD"},
    "fsdp recomputing": {"sharding": "fsdp", "activation_checkpointing": "on"},
}
"""Runs by name: settings, and arguments of `fit`."""


def train(folder: Path, given: dict[str, Any], num_steps: int = 8) -> tuple[Run, nn.Module]:
    """Train one of the runs in the folder."""
    settings = dict(given)
    ways = {name: settings.pop(name) for name in ("optimizer", "unused_parameters") if name in settings}
    run = Run(run_dir=folder, device="cpu", log_every=1, **settings)
    return run, fit(run, Steps(run, num_steps), **ways)


class OwnPlace:
    """Batches that each process counts by itself, and of which it knows its place."""

    def __init__(self, rank: int) -> None:
        self.at = 1000 * rank

    def __iter__(self) -> Iterator[torch.Tensor]:
        while True:
            self.at += 1
            yield torch.tensor([[float(self.at)]])

    def state_dict(self) -> dict[str, int]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.at = state["at"]


def own_places(folder: Path) -> list[int]:
    """Train three steps, then three more by another run; return the numbers that this process saw."""
    seen = []
    for steps in (3, 6):
        run = Run(run_dir=folder, device="cpu", steps=steps)
        model: nn.Module = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        counter = OwnPlace(run.world.rank)
        run.track(counter=counter)
        model, optimizer, _ = run.setup(model, optimizer, OwnPlace(run.world.rank))
        for x in run.steps():
            seen.append(int(x))
            counter.at += 1
            run.backward(model(x).mean())
            run.step(optimizer)
    return [*seen, counter.at]


def spoiled_on_one_process(folder: Path) -> str:
    """Train with a loss that is no number on the last process alone; return what was raised, here."""
    run = Run(run_dir=folder, device="cpu")
    last = run.world.world_size - 1
    try:
        fit(run, Steps(run, spoiled=lambda step: step == 3 and run.world.rank == last))
    except DivergedError as error:
        return str(error)
    finally:
        run.close()
    return ""


def main() -> None:
    """Do all runs; rank 0 prints what came of them, in one line that begins with RESULT."""
    root = Path(sys.argv[1])
    found: dict[str, Any] = {}
    for name, given in RUNS.items():
        train(root / name, given)
        found[name] = losses(root / name) if os.environ.get("RANK", "0") == "0" else {}
    # What a sharded run saved goes on unsharded.
    torch.distributed.barrier() if torch.distributed.is_initialized() else None
    for source, target in (("fsdp", {}), ("ddp", {"sharding": "fsdp"})):
        folder = root / f"from {source}"
        if os.environ.get("RANK", "0") == "0":
            shutil.copytree(root / source, folder)
        torch.distributed.barrier() if torch.distributed.is_initialized() else None
        run, _ = train(folder, target, num_steps=12)
        assert run.resumed_from == 8
        found[folder.name] = losses(folder) if run.world.is_main else {}
    seen = own_places(root / "places")
    Path(root / f"seen-{os.environ.get('RANK', '0')}").write_text(json.dumps(seen))
    found["spoiled"] = spoiled_on_one_process(root / "spoiled")
    Path(root / f"told-{os.environ.get('RANK', '0')}").write_text(found["spoiled"])
    if os.environ.get("RANK", "0") == "0":
        print("RESULT", json.dumps(found), flush=True)
    assert weights(Net()).numel()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
