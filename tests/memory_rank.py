"""A run whose device has room for four samples at once: what it takes above that fails as a GPU does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from torch import nn

from tests.engine_jobs import Net
from trainer.data.sample_order import SampleOrder
from trainer.data.source import ArraySource
from trainer.data.step_data import StepData
from trainer.run import Run


def main() -> None:
    """Train ten steps of 32 samples."""
    run = Run(run_dir=Path(sys.argv[1]), device="cpu", log_every=1, checkpoint_every=4)
    torch.manual_seed(3)
    model: nn.Module = Net()
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(7))
    source = ArraySource({"x": x.numpy(), "y": x.sum(1, keepdim=True).numpy()})
    data = StepData(source, SampleOrder(64, 320, 32, seed=1), run.world, run.fit.micro_batch, run.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model, optimizer, _ = run.setup(model, optimizer, data)
    for batch in run.steps():
        if len(batch["x"]) > 4 and run.step_number == 6:  # as where a longer text comes along
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        run.backward(nn.functional.mse_loss(model(batch["x"]), batch["y"]), terms=len(batch["x"]))
        run.step(optimizer)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
