"""What several processes are worth: a job's time on one of them, the cut, the cost, where more stop paying.

Pure arithmetic, also for `fleetform speedup`; docs/speedup.md says what each number means and how far off the
projection was where both were measured.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

PROMISED_CUT = 0.30
"""What the product promises of several GPUs: the training takes this part of the time less."""
LEAST_STEPS = 20
"""A run on one process with fewer timed steps is no measure for other runs."""
ALIKE = ("torch_version", "threads_per_process")
"""What a run and its measure have in common, as far as both tell it."""
MOST_PROCESSES = 4096
"""So far it is looked where more stop paying, and no further than a step has samples."""
MEASURED, PROJECTED, ITSELF = "measured", "projected", "itself"


@dataclass(frozen=True)
class Curve:
    """Amdahl's law (1967): seconds of a unit of work on n processes are `serial + parallel / n`."""

    serial: float
    parallel: float

    def seconds(self, processes: int) -> float:
        """Return the seconds on that many processes."""
        return self.serial + self.parallel / processes


def fit(points: Mapping[int, float]) -> Curve:
    """Return the curve with the least squared relative error through two or more points (processes: seconds).

    Neither part is negative.
    """
    assert len(points) >= 2
    rows = [(1 / seconds, 1 / (processes * seconds)) for processes, seconds in points.items()]
    a, b, c = (sum(x * x for x, _ in rows), sum(x * y for x, y in rows), sum(y * y for _, y in rows))
    x, y = sum(x for x, _ in rows), sum(y for _, y in rows)
    determinant = a * c - b * b
    serial, parallel = (c * x - b * y) / determinant, (a * y - b * x) / determinant
    if serial < 0:
        return Curve(0.0, y / c)
    return Curve(x / a, 0.0) if parallel < 0 else Curve(serial, parallel)


def stops_paying(
    points: Mapping[int, float], measured: Collection[int], most: int = MOST_PROCESSES
) -> dict[str, Any] | None:
    """Return the first count whose doubling cuts the time by less than the promise, and how it is known.

    Looked for among 1, 2, 4, ... up to `most`; between two points, or else on the curve through all of them
    (`fit`), and measured only where both counts were. `none_up_to` instead where there is no such count; None
    where there are fewer than two points.
    """
    if len(points) < 2:
        return None
    curve, processes = fit(points), 1
    while 2 * processes <= most:
        both = processes in points and 2 * processes in points
        before, after = (points[each] if both else curve.seconds(each) for each in (processes, 2 * processes))
        if after > (1 - PROMISED_CUT) * before:
            known = both and {processes, 2 * processes} <= set(measured)
            return {"processes": processes, "basis": MEASURED if known else PROJECTED}
        processes *= 2
    known = {processes, processes // 2} <= set(measured)
    return {"none_up_to": processes, "basis": MEASURED if known else PROJECTED}


def projected_step(summary: Mapping[str, Any]) -> float | None:
    """Return the seconds that a step would take on one process, or None where the run did not measure it.

    One process computes what all do now, one after the other, and does once what each of them does for
    itself; it waits for nobody: world_size * compute_seconds + other_seconds.
    """
    compute = summary.get("compute_seconds")
    if compute is None:
        return None
    return float(summary["world_size"]) * float(compute) + float(summary.get("other_seconds", 0.0))


def speedup_of(
    run: Mapping[str, Any],
    summary: Mapping[str, Any] | None,
    wall_seconds: float | None,
    *,
    restarted: bool = False,
) -> dict[str, Any]:
    """Return the receipt's `speedup` of a run; `summary` is its summary.json, None where it wrote none.

    `run.json` carries the trials of the same job (`trials`). Where the job tells no steps, what is compared
    is `wall_seconds`, from the start of the processes to their end, with the trials' own; that of a run which
    was `restarted`, or resumed, is not that of a whole run, and is compared with nothing.
    """
    trials, told = run.get("trials") or {}, summary or {}
    about = _about(run, told, restarted=restarted)
    measure, processes = about["measure"], about["processes"]
    seconds = float(told["step_seconds"]) if measure == "step" else wall_seconds
    points = {int(each["processes"]): float(each["seconds"]) for each in trials.get("points", ())}
    if trials.get("measure") != measure or _differs(trials, told):
        points = {}
    one = _one_process(processes, seconds, points, projected_step(told) if measure == "step" else None)
    if measure == "run" and not about["in_one_go"]:
        return {**about, "seconds": seconds, "why": "it did not run in one go, so its time tells nothing"}
    if not seconds or one is None:
        why = "the run did not get far enough" if not seconds else _not_measured(told)
        if summary is None and run.get("recipe"):
            why = "the run ended before its summary was written"
        return {**about, "seconds": seconds, "why": why}
    return {
        **about,
        "device": told.get("device"),
        "seconds": seconds,
        "one_process": one | ({"source": trials["source"]} if one["basis"] == MEASURED else {}),
        **_whole(told, measure, processes, seconds, float(one["seconds"]), wall_seconds),
        "cost": _cost(run, told, measure, seconds, float(one["seconds"])),
        # This run's own time says best how its count fares; the trials tell of the others.
        "stops_paying": stops_paying(
            {**points, 1: float(one["seconds"]), processes: seconds}, {*points, processes}, _most(told)
        ),
    }


def _whole(
    told: Mapping[str, Any], measure: str, processes: int, seconds: float, one: float, wall: float | None
) -> dict[str, Any]:
    """Return what the whole training gains.

    What is no step, as saves and the slow first steps, takes as long on one process.
    """
    steps, spent = told.get("steps"), told.get("train_seconds", wall)
    if measure != "step" or not steps or not spent:
        return {"steps": None, "train_seconds": spent, **gains(processes, seconds, one)}
    beside = max(0.0, float(spent) - steps * seconds)
    here, alone = steps * seconds + beside, steps * one + beside
    found = {"steps": steps, "train_seconds": here, "train_seconds_one_process": alone}
    return {**found, "step_speed_up": round(one / seconds, 3), **gains(processes, here, alone)}


def _most(told: Mapping[str, Any]) -> int:
    """Return the most processes among which a step's samples can be shared out."""
    if not told.get("samples") or not told.get("steps"):
        return MOST_PROCESSES
    return min(MOST_PROCESSES, max(1, round(float(told["samples"]) / float(told["steps"]))))


def _about(run: Mapping[str, Any], told: Mapping[str, Any], *, restarted: bool) -> dict[str, Any]:
    """Return what is measured, on what, and whether it ran in one go."""
    is_step = bool(told.get("step_seconds"))
    about = {
        "measure": "step" if is_step else "run",
        "processes": int(run["nodes"]) * int(run["procs_per_node"]),
        "nodes": run["nodes"],
    }
    if is_step:
        about |= {name: told[name] for name in ("timed_steps", *ALIKE) if name in told}
    resumed = int(run.get("attempt", 1)) > 1 or told.get("restarts") or told.get("resumed_from_step")
    return {**about, "in_one_go": not (restarted or resumed)}


def _not_measured(summary: Mapping[str, Any]) -> str:
    crowd = summary.get("no_projection")
    return f"not measured{f', for {crowd}' if crowd else ''}: run `fleetform speedup`"


def _differs(trials: Mapping[str, Any], summary: Mapping[str, Any]) -> bool:
    """Return whether the trials are of another torch, or on a CPU of other threads, than the run."""
    names = ALIKE if summary.get("device") == "cpu" else ALIKE[:1]
    return any(name in trials and name in summary and trials[name] != summary[name] for name in names)


def point_of(run: Mapping[str, Any], found: Mapping[str, Any], time: str) -> dict[str, Any] | None:
    """Return what a run on one process tells the receipts of later runs of the same job, or None.

    `time` is when it ended. Only enough steps, of a run that went through in one go, are a measure.
    """
    if found["processes"] != 1 or "job_digest" not in run or run.get("trial"):  # trials are weighed together
        return None
    steps = int(found.get("timed_steps", 0)) if found["measure"] == "step" else 0
    if steps < LEAST_STEPS or not found["in_one_go"]:
        return None
    about = {name: found[name] for name in ("measure", "timed_steps", *ALIKE) if name in found}
    points = [{"processes": 1, "seconds": found["seconds"]}]
    return {"source": f"run {run['run_id']}", "time": time, **about, "points": points}


def gains(processes: int, seconds: float, one: float) -> dict[str, Any]:
    """Return speed-up, efficiency and cut of that many processes, and whether the promise was kept."""
    cut = 1 - seconds / one
    kept = "kept" if cut >= PROMISED_CUT else "missed"
    return {
        "speed_up": round(one / seconds, 3),
        "efficiency_percent": round(100 * one / seconds / processes, 1),
        "cut_percent": round(100 * cut, 1),
        "promised_cut_percent": round(100 * PROMISED_CUT),
        "promise": kept if processes > 1 else "not applicable",
    }


def _one_process(
    processes: int, seconds: float | None, points: Mapping[int, float], projected: float | None
) -> dict[str, Any] | None:
    """Return the time on one process and what it rests on; None where nothing is known of it."""
    if processes == 1:
        return None if seconds is None else {"seconds": seconds, "basis": ITSELF}
    if 1 in points:
        off = {} if projected is None else {
            "projected_seconds": projected,
            "projection_error_percent": round(100 * (projected / points[1] - 1), 1),
        }  # fmt: skip
        return {"seconds": points[1], "basis": MEASURED, **off}
    if projected is None:
        return None
    formula = "world_size * compute_seconds + other_seconds"
    return {"seconds": projected, "basis": PROJECTED, "formula": formula}


def _cost(
    run: Mapping[str, Any], summary: Mapping[str, Any], measure: str, seconds: float, one: float
) -> dict[str, Any] | None:
    """Return what an epoch, 1,000 steps or the run costs both ways; None where the price is not known.

    It is the money paid: whole nodes, of which one process takes one.
    """
    price = run.get("price_usd_per_hour")
    if price is None:
        return None
    per, units = "run", 1.0
    if measure == "step":
        per, units = "1000 steps", 1000.0
        if summary.get("epoch_samples") and summary.get("samples") and summary.get("steps"):
            samples_per_step = float(summary["samples"]) / float(summary["steps"])
            per, units = "epoch", float(summary["epoch_samples"]) / samples_per_step
    return {
        "per": per,
        "usd": seconds * units / 3600 * price * int(run["nodes"]),
        "usd_one_process": one * units / 3600 * price,
    }
