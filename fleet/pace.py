"""How long a run would take and what it would cost, by what was measured: trials, else runs that have ended.

Nothing is guessed: where nobody has measured anything like it, the answer is that it is not known, and why.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from fleet import aws, code_archive
from fleet.clock import seconds_between
from fleet.datasets import known_dataset
from fleet.job import LaunchRequest
from fleet.job_digest import job_digest
from fleet.run_costs import ask_of
from fleet.run_store import RunStore, open_runs
from fleet.session import Session
from fleet.speedup import known_trials
from node.speedup import fit
from trainer.config import ConfigError, load_config

NEWEST = 60
"""How many of the newest runs are looked at."""
ENOUGH = 5
"""Of so many alike, the newest, the median is taken."""


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What a run is expected to take."""

    seconds: float | None
    """For which it holds its nodes, waiting in the queue left out; None where it is not known."""
    usd: float | None
    """List price of that; None where it is not known."""
    basis: str
    """What it is reckoned from, or why it is not known; one clause."""
    runs: tuple[str, ...] = ()
    """The runs that it is reckoned from."""
    too_long: bool = False
    """Whether it would be stopped before its end, by its own time limit."""


@dataclass(frozen=True)
class _Ended:
    """A run that has succeeded in one go, as far as it tells of others."""

    run_id: str
    request: Mapping[str, Any]
    held: float
    """Seconds for which it held its nodes."""
    trained: float
    """Seconds of them in which it trained; all where it tells no steps."""
    points: Mapping[int, float]
    """Seconds of a step by processes: its own, and what it tells of one process."""


def expected(
    session: Session,
    request: LaunchRequest,
    store: RunStore | None = None,
    run_ids: Sequence[str] | None = None,
) -> Expectation:
    """Return what the run would take: by trials of the same job, else by runs that are like it.

    Those are runs of the same job, then of the same recipe on the same type of machine, which may have had
    other data. A job whose dataset was never prepared on this machine can't be told to be the same.
    Whoever has the run directories open already, and knows their ids, gives them: newest first.
    """
    store = store or open_runs(session)
    ended = _ended_runs(store, request, store.run_ids() if run_ids is None else run_ids)
    digest = _digest(session, request)
    same = [each for each in ended if digest and each.request.get("job_digest") == digest]
    alike = [each for each in ended if _is_alike(each.request, request)]
    trials = _trials(session, store, digest)
    if trials and request.recipe:
        source = str(trials["source"])
        points = {int(each["processes"]): float(each["seconds"]) for each in trials["points"]}
        if trials["measure"] == "step" and (seconds := _of_steps(request, points, same or alike)):
            alone = "" if same or alike else ", without what comes before and after the training"
            return _expectation(request, seconds, f"{source} of the same job{alone}", same or alike)
    if found := _by_runs(request, same):
        return _expectation(request, found, f"{_counted(same)} of the same job", same)
    if found := _by_runs(request, alike):
        basis = f"{_counted(alike)} of the recipe {request.recipe} on {request.instance_type}, on other data"
        return _expectation(request, found, basis, alike)
    what = f"the recipe {request.recipe}" if request.recipe else f"the script {request.script}"
    why = f"nothing like it has run here yet: {what} on {request.instance_type}"
    return Expectation(seconds=None, usd=None, basis=why)


def _expectation(request: LaunchRequest, seconds: float, basis: str, runs: Sequence[_Ended]) -> Expectation:
    hourly = ask_of(request.to_dict()).usd_per_hour
    limit = request.max_minutes * 60
    held = min(seconds, limit)
    return Expectation(
        seconds=seconds,
        usd=None if hourly is None else hourly * held / 3600,
        basis=basis,
        runs=tuple(each.run_id for each in runs[:ENOUGH]),
        too_long=seconds > limit,
    )


def _counted(runs: Sequence[_Ended]) -> str:
    count = min(len(runs), ENOUGH)
    return "one run" if count == 1 else f"the median of {count} runs"


def _by_runs(request: LaunchRequest, runs: Sequence[_Ended]) -> float | None:
    """Return the seconds by runs: a recipe's by their steps, a script's by those on as many processes."""
    if not request.recipe:
        equal = [each.held for each in runs if _processes(each.request) == _processes(request.to_dict())]
        return statistics.median(equal[:ENOUGH]) if equal else None
    found = [_of_steps(request, each.points, [each]) for each in runs[:ENOUGH]]
    known = [each for each in found if each is not None]
    return statistics.median(known) if known else None


def _of_steps(request: LaunchRequest, points: Mapping[int, float], runs: Sequence[_Ended]) -> float | None:
    """Return the seconds that a recipe's steps take, with what comes before and after them in `runs`.

    A step's on as many processes if it was measured, else on the curve through those that were; None where
    they tell nothing of so many processes.
    """
    step = _step(points, _processes(request.to_dict()))
    if step is None:
        return None
    around = [each.held - each.trained for each in runs[:ENOUGH]]
    steps = load_config(request.recipe, request.overrides).num_steps
    return steps * step + (statistics.median(around) if around else 0.0)


def _step(points: Mapping[int, float], processes: int) -> float | None:
    if processes in points:
        return points[processes]
    return fit(points).seconds(processes) if len(points) > 1 else None


def _processes(run: Mapping[str, Any]) -> int:
    return int(run["nodes"]) * int(run["procs_per_node"])


def _is_alike(run: Mapping[str, Any], request: LaunchRequest) -> bool:
    """Return whether a run has the same recipe, model and batch on the same type of machine."""
    same = bool(request.recipe) and run.get("recipe") == request.recipe
    if not same or run.get("instance_type") != request.instance_type:
        return False
    try:
        one, other = (load_config(request.recipe, each) for each in (run["overrides"], request.overrides))
    except ConfigError:  # of a recipe whose settings were others then
        return False
    return (one.model, one.global_batch) == (other.model, other.global_batch)


def _digest(session: Session, request: LaunchRequest) -> str:
    """Return the job's digest, "" where its dataset was not prepared on this machine yet."""
    code = code_archive.pack(request.code_root, request.script).sha256 if request.code_root else ""
    if not request.dataset:
        return job_digest(request, code, "")
    dataset = known_dataset(session.project, request.dataset, request.recipe, request.overrides)
    return job_digest(request, code, dataset.sha256) if dataset else ""


def _trials(session: Session, store: RunStore, digest: str) -> dict[str, Any] | None:
    try:
        return known_trials(session.client("s3"), store.bucket, digest) if digest else None
    except Exception as error:
        if aws.error_code(error) != "AccessDenied":
            raise
        return None


def _ended_runs(store: RunStore, request: LaunchRequest, run_ids: Sequence[str]) -> list[_Ended]:
    """Return the newest runs of the same program that have succeeded in one go, newest first."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        found = pool.map(partial(_read, store, request), run_ids[:NEWEST])
        return [each for each in found if each is not None]


def _read(store: RunStore, request: LaunchRequest, run_id: str) -> _Ended | None:
    """Return what a run tells of others, None where it tells nothing or the caller may not see it."""
    try:
        run = store.get_json(run_id, "run.json") or {}
        if (run.get("recipe"), run.get("script")) != (request.recipe, request.script):
            return None
        receipt = store.get_json(run_id, "receipt.json")
        if receipt is None or not _tells(receipt):
            return None
        summary = store.get_json(run_id, "summary.json") if request.recipe else None
        return _ended(run_id, run, receipt, summary)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # half a file, or a script's own of that name
    except Exception as error:
        if aws.error_code(error) != "AccessDenied":
            raise
        return None


def _ended(
    run_id: str, run: Mapping[str, Any], receipt: Mapping[str, Any], summary: Mapping[str, Any] | None
) -> _Ended:
    told, phases = receipt["speedup"], receipt["phases"]
    held = seconds_between(phases["claimed"], phases["ended"])
    points = {int(told["processes"]): float(told["seconds"])} if told["measure"] == "step" else {}
    if points and (one := told.get("one_process")):
        points.setdefault(1, float(one["seconds"]))
    trained = float(summary["train_seconds"]) if summary else held
    return _Ended(run_id, run, held, trained, points)


def _tells(receipt: Mapping[str, Any]) -> bool:
    """Return whether the run succeeded at its first attempt, without a new start, and was measured."""
    told = receipt.get("speedup") or {}
    once = bool(told.get("in_one_go")) and not receipt.get("attempts")
    return receipt["outcome"] == "SUCCEEDED" and once and bool(told.get("seconds"))
