"""S1: from the command on the head to the program's first line on every node, ours against `srun` by hand.

Both ways ask the same cluster for the same two nodes, in turn. Ours is what the run document starts on the
head, `fleetform-node submit`: the clerk reads and checks the run, notes it where it outlives a crash, writes
its first event, and submits a batch job whose runners fetch what the run needs. By hand is
`srun --nodes=2 --exclusive --gres=gpu:2`, which waits for no scheduler's turn.
"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.slurm.lab import embedded_cloud, traces, tracing_script
from benchmarks.trainer.results import Row, interleaved, median
from tests.clerk_lab import ClerkLab, clerk_lab
from tests.slurm_cluster import wait_until

NODES, GPUS = 2, 2
ROUNDS = 10
GOAL_SECONDS = 1.0


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Return both times and their difference."""
    found: dict[str, list[float]] = {"ours": [], "answer": [], "srun": []}
    with embedded_cloud() as (_, cloud), clerk_lab(cloud, "submit", nodes=NODES, gpus=GPUS) as lab:
        _by_us(lab, lab.slurm.base / "warm-up")
        for number, name in enumerate(interleaved(("ours", "srun"), rounds, seed=5)):
            file = lab.slurm.base / f"traces-{number}"
            if name == "ours":
                started, answered = _by_us(lab, file)
                found["ours"].append(started)
                found["answer"].append(answered)
            else:
                found["srun"].append(_by_hand(lab, file))
    ours, srun = median(found["ours"]), median(found["srun"])
    return [
        Row(
            id="S1",
            what=f"command on the head to the first line on {NODES} nodes",
            value=f"{ours:.2f} s (slowest {max(found['ours']):.2f})",
            baseline=f"srun {srun:.2f} s (slowest {max(found['srun']):.2f})",
            ratio=ours / srun,
            goal=f"<= {GOAL_SECONDS:.0f} s more",
            met=ours - srun <= GOAL_SECONDS,
        ),
        Row(
            id="S1",
            what="command to the answer: the run is safe from here on",
            value=f"{median(found['answer']):.2f} s (slowest {max(found['answer']):.2f})",
        ),
    ]


def _by_us(lab: ClerkLab, file: Path) -> tuple[float, float]:
    """Submit a run; return the seconds until it ran on all nodes, and until the head had answered."""
    run_id = lab.write_run(tracing_script(file), nodes=NODES)
    begin = time.time()
    code, said = lab.ask("submit", run_id)
    answered = time.time() - begin
    assert code == 0, said
    started = _all_started(file) - begin
    assert lab.wait_for_end(run_id) == "SUCCEEDED"
    lab.slurm.wait_idle(seconds=30)
    return started, answered


def _by_hand(lab: ClerkLab, file: Path) -> float:
    program = tracing_script(file).replace("$FLEETFORM_RUN_ID", "hand")
    wanted = [f"--nodes={NODES}", "--ntasks-per-node=1", "--exclusive", f"--gres=gpu:{GPUS}"]
    begin = time.time()
    lab.slurm.run("srun", *wanted, "sh", "-c", program)
    lab.slurm.wait_idle(seconds=30)
    return _all_started(file) - begin


def _all_started(file: Path) -> float:
    """Wait until the program has begun on every node; return when it did on the last one."""
    wait_until(lambda: len(traces(file)) >= NODES, "the program's first line on every node", 60)
    return max(moment for _, moment in traces(file))
