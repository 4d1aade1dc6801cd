"""S3: slurmctld, or the clerk, killed while runs are submitted: is one lost that was reported as submitted?

Each round submits short runs one after the other and kills one of the two with SIGKILL at a moment drawn by
lot, in between or in the middle of one; it is started again as systemd would, a second later. A run counts
as reported where the command on the head ended with 0. At the end each of them must have succeeded, having
been carried out once.
"""

from __future__ import annotations

import collections
import contextlib
import random
import sys
import threading
import time

from benchmarks.slurm.lab import embedded_cloud, traces, tracing_script
from benchmarks.trainer.results import Row, median
from tests.clerk_lab import ClerkLab, clerk_lab

ROUNDS = 20
RUNS = 4
"""Submitted in a round."""
DOWN_SECONDS = 1.0
VICTIMS = ("slurmctld", "clerk")


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Return what became of the runs, for each of the victims."""
    with embedded_cloud() as (_, cloud), clerk_lab(cloud, "controller", nodes=3, gpus=2) as lab:
        lab.slurm.stop_controller()  # from now on it has noted its nodes, however early it is killed
        lab.slurm.start_controller()
        return [_campaign(lab, victim, rounds) for victim in VICTIMS]


def _campaign(lab: ClerkLab, victim: str, rounds: int) -> Row:
    lot, file = random.Random(victim), lab.slurm.base / f"traces-{victim}"
    script = tracing_script(file, 0.3)
    reported: list[str] = []
    seconds: list[float] = []
    for _ in range(rounds):
        killer = threading.Thread(target=_kill, args=(lab, victim, lot.uniform(0.0, 1.5)))
        killer.start()
        for _ in range(RUNS):
            run_id = lab.write_run(script)
            begin = time.monotonic()
            code, _ = lab.ask("submit", run_id)
            if code == 0:
                reported.append(run_id)
                seconds.append(time.monotonic() - begin)
        killer.join()
    lost = [run_id for run_id in reported if _end(lab, run_id) != "SUCCEEDED"]
    ran = collections.Counter(run_id for run_id, _ in traces(file))
    lost += [run_id for run_id in reported if not ran[run_id]]
    twice = [run_id for run_id, times in ran.items() if times > 1]
    for run_id in sorted({*lost, *twice}):
        print(f"{victim}: {run_id}: {lab.events(run_id)}\n{lab.cause(run_id)}", file=sys.stderr, flush=True)
    return Row(
        id="S3",
        what=f"{victim} killed in each of {rounds} rounds of {RUNS} runs",
        value=f"{len(set(lost))} lost, {len(twice)} run twice",
        baseline=f"{len(reported)} reported, after {median(seconds):.2f} s, at most {max(seconds):.1f}",
        goal="0 and 0",
        met=not lost and not twice and bool(reported),
    )


def _kill(lab: ClerkLab, victim: str, after_seconds: float) -> None:
    time.sleep(after_seconds)
    if victim == "clerk":
        lab.kill_clerk()
        time.sleep(DOWN_SECONDS)
        lab.start_clerk()
    else:
        lab.slurm.kill_controller()
        time.sleep(DOWN_SECONDS)
        lab.slurm.start_controller()


def _end(lab: ClerkLab, run_id: str) -> str:
    """Return the run's final event, or where it has none after a long time its last one."""
    with contextlib.suppress(TimeoutError):
        return lab.wait_for_end(run_id, 180)
    return (lab.names(run_id) or ["no event"])[-1]
