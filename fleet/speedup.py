"""Measured trials of one job on several numbers of processes, and the table that comes of them.

Each trial is a run like any other. The order goes up and down again, so that what drifts hits all counts
alike, and each count is tried at least twice: how far the same trial differs from itself is what a difference
between counts has to exceed. docs/speedup.md says what the columns mean.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fleet import aws
from fleet.clock import utc_now
from fleet.job import JobSpec
from fleet.run_store import MISSING
from node.speedup import ALIKE, MOST_PROCESSES, fit, gains, stops_paying
from stacks.problems import Problem, UserError
from trainer.config import load_config

NOISE_PERCENT = 5.0
"""Where the same trial differs from itself by more, no speed-up is claimed."""
_PROJECTED = (2, 4, 8)
"""Times the largest measured count, to which the table goes on."""


@dataclass(frozen=True)
class Trial:
    """One measured trial."""

    processes: int
    nodes: int
    measure: str
    """`step`: the median time of a step; `run`: the whole run, from its processes' start to their end."""
    seconds: float
    run_id: str = ""
    samples_per_s: float | None = None
    epoch_steps: float | None = None
    """Steps of an epoch, where the job has epochs."""
    alike: Mapping[str, Any] = field(default_factory=dict)
    """What a run must have in common with it to be compared: ALIKE."""


def trial_order(counts: Sequence[int], repeats: int) -> list[int]:
    """Return the order of trials: up, down, up, ..."""
    return [count for turn in range(repeats) for count in (counts if turn % 2 == 0 else counts[::-1])]


def on_nodes(nodes: Sequence[int], procs_per_node: int) -> list[int]:
    """Return the numbers of processes that fill so many nodes, and one, which a speed-up is over."""
    return sorted({1, *(count * procs_per_node for count in nodes)})


def count_problems(counts: Sequence[int], repeats: int, steps: int, path: str = "--procs") -> list[Problem]:
    """Return what is wrong with the counts of processes (or nodes), the repeats and the steps of a trial."""
    problems = []
    if not counts or min(counts) < 1 or len(set(counts)) < len(counts):
        what = f"{','.join(map(str, counts))} are not different numbers of "
        what += "nodes" if path == "--nodes" else "processes"
        problems.append(Problem(what=what, do=f"say as in {path} 1,2,4", path=path))
    elif 1 not in counts and path == "--procs":
        what = "a speed-up is over one process, which is not among the counts"
        problems.append(Problem(what=what, do=f"--procs 1,{','.join(map(str, counts))}", path="--procs"))
    if repeats < 2:
        what = "without a second trial of a count nobody knows how far they differ by themselves"
        problems.append(Problem(what=what, do="ask for 2 or more", path="--repeats"))
    if steps < 20:
        what = f"{steps} steps are too few: the first ones are not counted"
        problems.append(Problem(what=what, do="ask for 20 or more", path="--steps"))
    return problems


def trial_job(job: JobSpec, processes: int, procs_per_node: int, steps: int) -> JobSpec:
    """Return the job on that many processes, as few nodes as hold them; a recipe does so many steps.

    Raises UserError where they don't fill their nodes evenly.
    """
    nodes = -(-processes // procs_per_node)
    if processes % nodes:
        what = f"{processes} processes can't be spread evenly over nodes of {procs_per_node}"
        raise UserError.of(what, "choose counts that fill whole nodes", path="--procs")
    return job.model_copy(
        update={
            "nodes": nodes,
            "procs_per_node": processes // nodes,
            "trial": True,
            "threads_as_for": procs_per_node,
            "overrides": trial_overrides(job.recipe, job.overrides, steps) if job.recipe else (),
        }
    )


def trial_overrides(recipe: str, overrides: Sequence[str], steps: int) -> tuple[str, ...]:
    """Return the recipe's settings for a trial of so many steps."""
    kept = [each for each in overrides if each.partition("=")[0].strip() not in ("samples", "program")]
    batch = load_config(recipe, kept).global_batch
    return (*kept, f"samples={steps * batch}", "program=false")


def trial_of(processes: int, nodes: int, receipt: Mapping[str, Any], summary: Mapping[str, Any]) -> Trial:
    """Return the trial that a run's receipt and its summary.json tell of ({} where it wrote none)."""
    found = receipt["speedup"]
    epoch = None
    if summary.get("epoch_samples") and summary.get("steps") and summary.get("samples"):
        epoch = float(summary["epoch_samples"]) / (float(summary["samples"]) / float(summary["steps"]))
    rate = summary.get("samples_per_s")
    alike = {name: found[name] for name in ALIKE if name in found}
    seconds = float(found["seconds"])
    return Trial(processes, nodes, found["measure"], seconds, receipt["run_id"], rate, epoch, alike)


def most_processes(job: JobSpec) -> int:
    """Return among how many processes the samples of a recipe's step can be shared out."""
    if not job.recipe:
        return MOST_PROCESSES
    return min(MOST_PROCESSES, load_config(job.recipe, job.overrides).global_batch)


def noise_percent(trials: Sequence[Trial]) -> float:
    """Return the largest difference between trials of the same count, in percent of the smaller."""
    by_count = _by_count(trials)
    return max(100 * (max(each) / min(each) - 1) for each in by_count.values())


def evaluate(
    trials: Sequence[Trial],
    price_usd_per_hour: float | None,
    procs_per_node: int,
    most: int = MOST_PROCESSES,
) -> dict[str, Any]:
    """Return what the trials say, as it is kept and printed; without gains where the noise forbids them.

    The price is a node's, of `procs_per_node` processes; nothing is projected for more than `most`.
    """
    measures = {trial.measure for trial in trials}
    assert len(measures) == 1, "all trials are of the same job"
    noise = noise_percent(trials)
    points = {count: statistics.fmean(times) for count, times in sorted(_by_count(trials).items())}
    found: dict[str, Any] = {
        "time": utc_now(),
        "measure": measures.pop(),
        "noise_percent": round(noise, 2),
        "claimed": noise <= NOISE_PERCENT,
        **trials[0].alike,
        "points": [],
        "projected": [],
    }
    price = None if price_usd_per_hour is None else price_usd_per_hour / 3600
    found["cost_per"], units = _cost_unit(trials, found["measure"])
    for count, seconds in points.items():
        same = [trial for trial in trials if trial.processes == count]
        row = _row(count, same[0].nodes, seconds, points[1], price, units, claimed=found["claimed"])
        rates = [trial.samples_per_s for trial in same if trial.samples_per_s]
        row["samples_per_s"] = statistics.fmean(rates) if rates else None
        found["points"].append(row | {"runs": [trial.run_id for trial in same if trial.run_id]})
    if found["claimed"] and len(points) > 1:
        curve = fit(points)
        found["curve"] = {"serial_seconds": curve.serial, "parallel_seconds": curve.parallel}
        for count in (max(points) * times for times in _PROJECTED if max(points) * times <= most):
            nodes, seconds = -(-count // procs_per_node), curve.seconds(count)
            found["projected"].append(_row(count, nodes, seconds, points[1], price, units, claimed=True))
        found["stops_paying"] = stops_paying(points, points, most)
    _add_doublings(found)
    return found


def _cost_unit(trials: Sequence[Trial], measure: str) -> tuple[str, float]:
    """Return what the cost is told for, and how many steps or runs that is."""
    epoch = next((trial.epoch_steps for trial in trials if trial.epoch_steps), None)
    if measure == "run":
        return "run", 1.0
    return ("epoch", epoch) if epoch else ("1000 steps", 1000.0)


def _row(
    count: int, nodes: int, seconds: float, one: float, price: float | None, units: float, *, claimed: bool
) -> dict[str, Any]:
    usd = None if price is None else seconds * units * price * nodes
    row = {"processes": count, "nodes": nodes, "seconds": seconds, "usd": usd}
    return row | (gains(count, seconds, one) if claimed else {})


def _add_doublings(found: dict[str, Any]) -> None:
    """Say of each row what its doubling was worth: how much less time, how much more money."""
    if not found["claimed"]:
        return
    rows = [*found["points"], *found["projected"]]
    by_count = {row["processes"]: row for row in rows}
    for row in rows:
        if (before := by_count.get(row["processes"] / 2)) is not None:
            half, nodes = before["seconds"], before["nodes"]
            row["doubling"] = {
                "less_time_percent": round(100 * (1 - row["seconds"] / half), 1),
                "more_cost_percent": round(100 * (row["nodes"] / nodes * row["seconds"] / half - 1), 1),
            }


def _by_count(trials: Sequence[Trial]) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for trial in trials:
        found.setdefault(trial.processes, []).append(trial.seconds)
    return found


def keep(s3: Any, bucket: str, digest: str, found: Mapping[str, Any]) -> str:
    """Keep the trials for the receipts of later runs of the same job; return their key."""
    key = _key(digest)
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(found, indent=2).encode())
    return key


def known_trials(s3: Any, bucket: str, digest: str) -> dict[str, Any] | None:
    """Return what receipts need of the job's last trials, or None where nothing could be claimed of them.

    Where there are none, or none since, its last run on one process stands in for them.
    """
    found = _read(s3, bucket, _key(digest))
    if found is None or not found["claimed"]:
        one = _read(s3, bucket, _key(digest, ".one"))
        return one if one is not None and (found is None or one["time"] > found["time"]) else None
    points = [{"processes": row["processes"], "seconds": row["seconds"]} for row in found["points"]]
    alike = {name: found[name] for name in ALIKE if name in found}
    source = f"trials of {found['time'][:10]}"
    return {"source": source, "measure": found["measure"], **alike, "points": points}


def _read(s3: Any, bucket: str, key: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except Exception as error:
        if aws.error_code(error) in MISSING:
            return None
        raise
    return found


def _key(digest: str, what: str = "") -> str:
    # node/layout.py's speedup_key: below runs/, where those who may start runs may write.
    return f"runs/.speedup/{digest}{what}.json"
