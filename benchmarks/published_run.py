"""PyTorch's own DDP examples that need no GPU, unedited, through `fleetform run` in an embedded cloud.

`python -m benchmarks.published_run --packages LOCK CHECKOUT ...`: each CHECKOUT is a clone of one of the
repositories below; nothing of them is kept here. LOCK is written from benchmarks/published_run.in by
`uv pip compile --no-deps --generate-hashes`. It builds an environment of one node with two cores and types
what a user would. Exit code 1 where an example does not end with SUCCEEDED, has no receipt, or has not said
in its log what each of its ranks says. docs/launcher.md has what came out.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from fleet.cloud import choose_cloud
from fleet.declare import declare
from fleet.project import Project
from fleet.runs import list_runs, read_run
from sandbox import daemon
from tests.run_environment import INSTANCE_TYPE, REGION, RunEnvironment, build

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = "examples"


@dataclass(frozen=True)
class Example:
    """A published script.

    `procs` is what it is started with; 1 where it starts its ranks itself, by torch.distributed.launcher.
    `said` has parts of its log with how often they stand in it.
    """

    repository: str
    path: str
    procs: int
    said: tuple[tuple[str, int], ...]
    arguments: tuple[str, ...] = ()


EXAMPLES = (
    Example(
        "https://github.com/pytorch/torchx",
        "torchx/examples/apps/lightning/train.py",
        2,
        (
            ("distributed_backend=gloo", 1),
            ("GLOBAL_RANK: 0, MEMBER: 1/2", 1),
            ("GLOBAL_RANK: 1, MEMBER: 2/2", 1),
            ("train acc: ", 2),
        ),
        ("--epochs=1", "--output_path=train", "--log_path=logs", "--skip_export"),
    ),
    Example(
        "https://github.com/pytorch/tnt",
        "examples/auto_unit_example.py",
        1,
        # It prints nothing itself; torch warns in each rank about the line that wraps its model.
        (("module = DDP(module, device_ids=device_ids", 2),),
    ),
    Example(
        "https://github.com/pytorch/torcheval",
        "examples/distributed_example.py",
        1,
        (
            ("Running basic DDP example on device cpu.", 4),
            ("Epoch 4/4, Batch 16/16", 1),
            ("synced throughput", 1),
        ),
    ),
)
"""Scripts with the arguments of their own usage."""


def run(root: Path, home: Path, script: Path, example: Example) -> tuple[int, float]:
    """Type the command in the project's folder; return its exit code and the seconds that it took."""
    command = [sys.executable, "-m", "scripts.cli", "run", ENVIRONMENT, "--cloud", "sandbox"]
    command += ["--procs-per-node", str(example.procs), "--packages", "examples.lock", "--follow"]
    command += ["--", str(script.relative_to(root)), *example.arguments]
    variables = {**os.environ, "FLEETFORM_HOME": str(home), "PYTHONPATH": str(ROOT)}
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=root, env=variables, check=False, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:], sep="\n", file=sys.stderr)
    return done.returncode, time.perf_counter() - begin


def problems(environment: RunEnvironment, code: int, example: Example) -> list[str]:
    """Return what the last run lacks, from its state, receipt and log as the bucket has them."""
    last = list_runs(environment.store, limit=1)[0]
    found = [] if code == 0 else [f"exit code {code}"]
    state = read_run(environment.store, last.run_id).state
    if state != "SUCCEEDED":
        found.append(f"its state is {state}")
    if not environment.store.get_json(last.run_id, "receipt.json"):
        found.append("it has no receipt")
    log = (environment.store.get(last.run_id, "logs/node-0.log") or b"").decode()
    for part, times in example.said:
        if log.count(part) != times:
            found.append(f"{part!r} stands {log.count(part)} times in its log, not {times}")
    return found


def copy_examples(checkouts: list[Path], root: Path) -> dict[Example, Path]:
    """Copy the folders of all examples into the project, as a user's clones would lie there."""
    found: dict[Example, Path] = {}
    for example in EXAMPLES:
        for checkout in checkouts:
            if (checkout / example.path).is_file():
                folder = root / example.repository.rpartition("/")[2]
                shutil.copytree((checkout / example.path).parent, folder)
                found[example] = folder / Path(example.path).name
    return found


def measure(checkouts: list[Path], packages: Path) -> int:
    """Run each example once and print a line for it; return how many were missing or failed."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        declare(
            root, ENVIRONMENT, team="bench", owner="bench@example.com", region=REGION,
            instance_type=INSTANCE_TYPE, nodes=1, organization="run-tests",
        )  # fmt: skip
        shutil.copy(packages, root / "examples.lock")
        scripts = copy_examples(checkouts, root)
        project = Project(root=root, home=root / ".fleetform")
        project.home.mkdir()
        daemon.start(project.home, cores_per_node=2)
        failed = 0
        try:
            environment = build(choose_cloud(project, "sandbox"), project, ENVIRONMENT, 1)
            for example in EXAMPLES:
                name = f"{example.repository.removeprefix('https://github.com/')}  {example.path}"
                if example not in scripts:
                    print(f"{name}: in none of the checkouts")
                    failed += 1
                    continue
                digest = hashlib.sha256(scripts[example].read_bytes()).hexdigest()
                code, seconds = run(root, project.home, scripts[example], example)
                wrong = problems(environment, code, example)
                failed += bool(wrong)
                verdict = "; ".join(wrong) or "SUCCEEDED, with receipt and log"
                print(f"{name}  sha256 {digest}\n  {verdict}, {seconds:.1f} s", flush=True)
        finally:
            daemon.stop(project.home)
    return failed


def main() -> int:
    """Run all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkouts", type=Path, nargs="+", metavar="CHECKOUT")
    parser.add_argument("--packages", type=Path, required=True, metavar="LOCK")
    options = parser.parse_args()
    return 1 if measure(options.checkouts, options.packages) else 0


if __name__ == "__main__":
    sys.exit(main())
