"""How much of a training job's time a second process saves: `python -m benchmarks.scaling [--json]`.

Every round runs the same job (samples, global batch, result) four ways, in random order: one process of one
thread, that once more as a control, two processes of one thread, one process of two threads. Each is started
by torchrun from nothing, and its time is that of the whole job, start-up and model on disk included. What the
two baselines differ by is noise; a ratio no further from 1 than that says nothing. Processor seconds stand
beside them: on a machine that does other work too, they tell what start-up and talking cost.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GOAL = 0.65
"""Two processes are to need at most this share of one process's time."""
TRUSTED_NOISE = 0.05
"""Baselines that differ by more than this make the round's ratios worthless."""


@dataclass(frozen=True)
class Arrangement:
    """One way to run the job."""

    name: str
    processes: int
    threads: int


BASELINE = Arrangement("1 process x 1 thread", 1, 1)
CONTROL = Arrangement("1 process x 1 thread, again", 1, 1)
TWO_PROCESSES = Arrangement("2 processes x 1 thread", 2, 1)
ARRANGEMENTS = (BASELINE, CONTROL, TWO_PROCESSES, Arrangement("1 process x 2 threads", 1, 2))


@dataclass(frozen=True)
class Measurement:
    """One job, run once."""

    wall_seconds: float
    """From starting torchrun to its end."""
    train_seconds: float
    """Of the loop of steps alone."""
    processor_seconds: float
    """User and system time of all its processes, torchrun included."""
    metrics: dict[str, float]


def measure(arrangement: Arrangement, job: list[str]) -> Measurement:
    """Run the job once in a new run directory; raises CalledProcessError where it fails."""
    with tempfile.TemporaryDirectory(prefix="scaling-") as folder:
        environment = os.environ | {"FLEETFORM_RUN_DIR": folder, "OMP_NUM_THREADS": str(arrangement.threads)}
        torchrun = [
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={arrangement.processes}",
        ]
        started, used = time.perf_counter(), processor_seconds()
        subprocess.run(
            [sys.executable, *torchrun, "-m", "trainer", *job, "device=cpu"],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        wall, used = time.perf_counter() - started, processor_seconds() - used
        summary = json.loads((Path(folder) / "summary.json").read_text())
    assert (
        summary["world_size"] == arrangement.processes
        and summary["threads_per_process"] == arrangement.threads
    )
    return Measurement(wall, summary["train_seconds"], used, summary["metrics"])


def processor_seconds() -> float:
    """Return the processor time of every process that was started here and has ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_rounds(rounds: int, job: list[str], seed: int) -> dict[Arrangement, list[Measurement]]:
    """Measure every arrangement once a round, in an order drawn anew each time."""
    order = random.Random(seed)
    measured: dict[Arrangement, list[Measurement]] = {arrangement: [] for arrangement in ARRANGEMENTS}
    for number in range(1, rounds + 1):
        for arrangement in order.sample(ARRANGEMENTS, len(ARRANGEMENTS)):
            result = measure(arrangement, job)
            measured[arrangement].append(result)
            print(
                f"round {number}: {arrangement.name}: {result.wall_seconds:.1f} s",
                file=sys.stderr,
                flush=True,
            )
    return measured


def medians(results: list[Measurement]) -> dict[str, float]:
    """Return the median of each of the times."""
    return {
        field: statistics.median(getattr(result, field) for result in results)
        for field in ("wall_seconds", "train_seconds", "processor_seconds")
    }


def report(measured: dict[Arrangement, list[Measurement]], job: list[str]) -> dict[str, Any]:
    """Return the medians, their ratios to the baseline, whether the goal is met and the noise bearable."""
    middle = {arrangement: medians(results) for arrangement, results in measured.items()}
    rows: list[dict[str, Any]] = [
        {
            "arrangement": arrangement.name,
            **middle[arrangement],
            "wall_ratio": middle[arrangement]["wall_seconds"] / middle[BASELINE]["wall_seconds"],
            "train_ratio": middle[arrangement]["train_seconds"] / middle[BASELINE]["train_seconds"],
            "all_wall_seconds": [result.wall_seconds for result in results],
            "metrics": results[-1].metrics,
        }
        for arrangement, results in measured.items()
    ]
    ratio = {row["arrangement"]: row["wall_ratio"] for row in rows}
    return {
        "job": job,
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
        "rounds": len(measured[BASELINE]),
        "rows": rows,
        "ratio": ratio[TWO_PROCESSES.name],
        "goal": GOAL,
        "goal_met": ratio[TWO_PROCESSES.name] <= GOAL,
        "noise": abs(ratio[CONTROL.name] - 1),
        "trusted": abs(ratio[CONTROL.name] - 1) <= TRUSTED_NOISE,
    }


def table(result: dict[str, Any]) -> str:
    """Return the report as text."""
    lines = [
        f"job: {' '.join(result['job'])}; {result['machine']}; medians of {result['rounds']} rounds",
        f"{'':30}{'whole job':>12}{'ratio':>8}{'steps alone':>14}{'ratio':>8}{'processor':>12}  result",
    ]
    for row in result["rows"]:
        metric, value = next(iter(row["metrics"].items()))
        lines.append(
            f"{row['arrangement']:30}{row['wall_seconds']:10.1f} s{row['wall_ratio']:8.2f}"
            f"{row['train_seconds']:12.1f} s{row['train_ratio']:8.2f}"
            f"{row['processor_seconds']:10.1f} s  {metric} {value:.4f}"
        )
    verdict = "met" if result["goal_met"] else "missed"
    lines.append(f"two processes: {result['ratio']:.2f} of one's time; goal {result['goal']}: {verdict}")
    if not result["trusted"]:
        lines.append(f"not to be trusted: the baseline and its control differ by {result['noise']:.0%}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0 where the goal is met and the noise is bearable."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--recipe", default="gpt")
    parser.add_argument("--samples", type=int, default=1920, help="training samples (default 1920)")
    parser.add_argument("--global-batch", type=int, default=32, help="samples a step (default 32)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the order of measurements")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    options = parser.parse_args(arguments)
    job = [
        options.recipe,
        f"samples={options.samples}",
        f"global_batch={options.global_batch}",
        "log_every=100",
    ]
    result = report(run_rounds(options.rounds, job, options.seed), job)
    print(json.dumps(result, indent=1) if options.json else table(result))
    return 0 if result["goal_met"] and result["trusted"] else 1


if __name__ == "__main__":
    sys.exit(main())
