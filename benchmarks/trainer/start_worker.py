"""What C9 starts: one step of a tiny model, by hand or by our engine, or an import alone."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def since_start() -> float:
    """Return the seconds since this process was started (proc(5), field 22, and the clock that it is of)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def bare() -> None:
    """Do a step by hand."""
    import torch

    model = torch.nn.Linear(8, 8)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model(torch.randn(4, 8)).square().mean().backward()
    optimizer.step()


def ours() -> None:
    """Do a step by our engine."""
    import torch

    from trainer.run import Run

    run = Run(steps=1, device="cpu", checkpoint_every=0)
    model: Any = torch.nn.Linear(8, 8)
    optimizer: Any = torch.optim.AdamW(model.parameters(), fused=True)
    model, optimizer, data = run.setup(model, optimizer, [torch.randn(4, 8)])
    for batch in run.steps(data):
        run.backward(model(batch).square().mean())
        run.step(optimizer)
        print(json.dumps({"seconds": since_start()}), flush=True)


def main() -> None:
    """Do what the command line names."""
    what = sys.argv[1]
    if what == "ours":
        ours()
        return
    if what == "bare":
        bare()
    elif what == "import-run":
        import trainer.run  # noqa: F401
    else:
        import torch  # noqa: F401
    print(json.dumps({"seconds": since_start()}), flush=True)


if __name__ == "__main__":
    main()
