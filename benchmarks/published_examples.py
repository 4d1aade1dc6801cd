"""PyTorch's own DDP examples, unedited, under the launcher and under torchrun.

`python -m benchmarks.published_examples CHECKOUT [--procs N]`, where CHECKOUT is a clone of
https://github.com/pytorch/examples; nothing of it is kept here. All of its DDP examples ask for CUDA and NCCL
by name, so this needs a GPU for each process; benchmarks/published_run.py has examples that need none. Each
is run in a copy of its own folder, as a user would, for they write their snapshots there. Exit code 1 where
one fails under the launcher.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES: dict[str, tuple[str, ...]] = {
    "distributed/ddp-tutorial-series/multigpu_torchrun.py": ("3", "1"),
    "distributed/ddp-tutorial-series/multinode.py": ("3", "1"),
    "distributed/ddp/example.py": ("--local_world_size={procs}",),
}
"""Scripts that torchrun starts, with the arguments of their README."""
STARTERS = {
    "trainer.launch": ["-P", "-m", "trainer.launch"],
    "torchrun": ["-m", "torch.distributed.run", "--standalone"],
}


def run(starter: str, script: Path, arguments: list[str], procs: int) -> tuple[int, float, str]:
    """Run the script in a copy of its folder; return exit code, seconds and the last line that it wrote."""
    with tempfile.TemporaryDirectory(prefix="fleetform-example-") as folder:
        copy = Path(folder) / script.parent.name
        shutil.copytree(script.parent, copy)
        command = [sys.executable, *STARTERS[starter], f"--nproc-per-node={procs}", str(copy / script.name)]
        variables = {**os.environ, "PYTHONPATH": str(ROOT)}
        begin = time.perf_counter()
        done = subprocess.run(
            [*command, *arguments], cwd=copy, env=variables, capture_output=True, text=True, check=False
        )
        lines = (done.stdout + done.stderr if done.returncode else done.stdout).strip().splitlines()
        return done.returncode, time.perf_counter() - begin, lines[-1] if lines else ""


def main() -> int:
    """Run all and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--procs", type=int, default=1)
    options = parser.parse_args()
    failed = 0
    for name, arguments in EXAMPLES.items():
        script = options.checkout / name
        if not script.is_file():
            print(f"{name}: not in {options.checkout}")
            failed += 1
            continue
        filled = [each.format(procs=options.procs) for each in arguments]
        for starter in STARTERS:
            code, seconds, said = run(starter, script, filled, options.procs)
            print(
                f"{name}  {starter}: exit code {code}, {seconds:.1f} s, last line: {said[:120]}", flush=True
            )
            failed += code != 0 and starter == "trainer.launch"
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
