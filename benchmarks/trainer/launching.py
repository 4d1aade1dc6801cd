"""Starts the programs of a benchmark as their users would: under our launcher, or under torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FIXED_TORCHRUN = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""What makes torchrun of torch 2.13 restart at all: a fresh store for each attempt."""


def environment(run_dir: Path | None = None, **extra: str) -> dict[str, str]:
    """Return the environment of a measured program: one thread a process, the trainer importable."""
    variables = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        **extra,
    }
    variables.pop("FLEETFORM_RUN_DIR", None)
    if run_dir is not None:
        variables["FLEETFORM_RUN_DIR"] = str(run_dir)
    return variables


def ours(processes: int, *options: str) -> list[str]:
    """Return the command that starts a program by our launcher."""
    return [sys.executable, "-m", "trainer.launch", f"--nproc-per-node={processes}", *options]


def torchrun(processes: int, *options: str) -> list[str]:
    """Return the command that starts a program by PyTorch's own launcher."""
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
        *options,
    ]


def run_json(command: Sequence[str], variables: dict[str, str], timeout: float = 560) -> Any:
    """Run the program; return the JSON object that is the last line of its output.

    Raises RuntimeError with the end of what it said where it fails.
    """
    result = subprocess.run(
        list(command), env=variables, capture_output=True, text=True, timeout=timeout, check=False
    )
    if result.returncode != 0:
        said = (result.stdout + result.stderr)[-3000:]
        raise RuntimeError(f"{' '.join(command)} ended with {result.returncode}:\n{said}")
    return json.loads(next(line for line in reversed(result.stdout.splitlines()) if line.startswith("{")))
