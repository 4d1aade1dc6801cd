"""The trials of `fleetform speedup`: on an environment's fleet, or on this machine with no cloud at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fleet.errors import ActError
from fleet.job import JobSpec
from fleet.run_control import wait_for_end
from fleet.run_store import RunStore, open_runs
from fleet.session import Session
from fleet.speedup import Trial, keep, trial_job, trial_of, trial_order, trial_overrides
from fleet.submit import submit
from node.speedup import speedup_of
from stacks.outputs import EnvironmentOutputs

_SOURCE = Path(__file__).parents[1]
OnTrial = Callable[[int, int, int], None]
"""Told before each trial: its number from 1, how many there are, and its processes."""


def fleet_trials(
    session: Session,
    outputs: EnvironmentOutputs,
    job: JobSpec,
    counts: Sequence[int],
    *,
    procs_per_node: int,
    steps: int,
    repeats: int,
    on_trial: OnTrial,
) -> tuple[list[Trial], Mapping[str, Any]]:
    """Run the trials one after the other; return them and the last one's `run.json`.

    Raises UserError for a job that can't be run, before the first, and ActError where a trial fails.
    """
    jobs = {count: trial_job(job, count, procs_per_node, steps) for count in counts}
    order, store = trial_order(counts, repeats), open_runs(session)
    trials: list[Trial] = []
    request: Mapping[str, Any] = {}
    for number, count in enumerate(order, 1):
        on_trial(number, len(order), count)
        run_id = submit(session, outputs, jobs[count]).run_id
        trials.append(_ended(session, store, run_id, count))
        request = store.get_json(run_id, "run.json") or {}
    return trials, request


def _ended(session: Session, store: RunStore, run_id: str, count: int) -> Trial:
    """Wait for the run's end and return what it says."""
    run = wait_for_end(store, session.ledger, run_id)
    if run.state != "SUCCEEDED":
        raise ActError(f"the trial {run_id} on {count} processes ended as {run.state}: {run.cause}")
    receipt = store.get_json(run_id, "receipt.json") or {}
    _in_one_go(receipt["speedup"], count)
    summary = store.get_json(run_id, "summary.json") if store.sizes(run_id, "summary.json") else None
    return trial_of(count, run.nodes, receipt, summary or {})


def _in_one_go(found: dict[str, Any], count: int) -> dict[str, Any]:
    """Return what a trial's receipt says; raises ActError where it was restarted and measures nothing."""
    if not found["in_one_go"]:
        raise ActError(f"a trial on {count} processes was restarted, and measures nothing: try again")
    return found


def keep_trials(store: RunStore, request: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Keep the trials where receipts of later runs of the job find them; return the key."""
    about = {"job": request["job_digest"], "instance_type": request["instance_type"]}
    return keep(store.s3, store.bucket, str(request["job_digest"]), {**about, **found})


def local_trials(
    job: JobSpec, counts: Sequence[int], *, steps: int, repeats: int, on_trial: OnTrial
) -> list[Trial]:
    """Run the trials on this machine; each process has the threads that it could have at the largest count.

    Raises ActError where a trial fails, with the end of what it said.
    """
    threads = max(1, len(os.sched_getaffinity(0)) // max(counts))
    order = trial_order(counts, repeats)
    trials = []
    for number, count in enumerate(order, 1):
        on_trial(number, len(order), count)
        with tempfile.TemporaryDirectory(prefix="fleetform-trial-") as folder:
            wall = _launch(job, count, threads, steps, Path(folder))
            path = Path(folder) / "summary.json"
            summary = json.loads(path.read_text()) if path.is_file() else None
        run = {"nodes": 1, "procs_per_node": count, "price_usd_per_hour": None}
        receipt = {"run_id": "", "speedup": _in_one_go(speedup_of(run, summary, wall), count)}
        trials.append(trial_of(count, 1, receipt, summary or {}))
    return trials


def local_command(job: JobSpec, count: int, steps: int) -> list[str]:
    """Return the command line of one trial on this machine."""
    launcher = [sys.executable, "-P", "-m", "trainer.launch", "--nproc-per-node", str(count)]
    if job.recipe:
        overrides = trial_overrides(job.recipe, job.overrides, steps)
        return [*launcher, "-m", "trainer", job.recipe, *overrides]
    assert job.script is not None
    return [*launcher, str(job.script), *job.arguments]


def _launch(job: JobSpec, count: int, threads: int, steps: int, folder: Path) -> float:
    """Run one trial to its end and return its seconds."""
    paths = [str(_SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {name: value for name, value in os.environ.items() if not name.startswith("FLEETFORM_")}
    variables = {
        **own,  # no run's directory, checkpoints or price of the surroundings
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(threads),
        "FLEETFORM_RUN_DIR": str(folder),
    }
    begin = time.monotonic()
    done = subprocess.run(
        local_command(job, count, steps), env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = [line for line in (done.stderr.strip() or done.stdout.strip()).splitlines() if line.strip()]
        end = "\n".join(said[-5:])
        raise ActError(f"the trial on {count} processes ended with exit code {done.returncode}:\n{end}")
    return time.monotonic() - begin
