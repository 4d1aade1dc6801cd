"""Several runs beside each other: what was set differently, what came of it, and which did better.

Where the held-out metrics have intervals that overlap, no run is called the better one: on other items it
could be the other way round.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fleet.at_once import each_at_once
from fleet.run_numbers import RunNumbers, find_stored, is_number
from fleet.run_store import RunStore
from fleet.runs import RunStatus, read_run
from stacks.problems import Problem, UserError

FEWEST, MOST = 2, 8
LESS, MORE = "less", "more"
_BETTER = {
    "accuracy": MORE, "balanced_accuracy": MORE, "auc": MORE, "r2": MORE,
    "loss": LESS, "log_loss": LESS, "val_loss": LESS, "perplexity": LESS, "mae": LESS, "rmse": LESS,
    "samples_per_s": MORE, "tokens_per_s": MORE, "mfu_percent": MORE, "goodput_percent": MORE,
    "step_seconds": LESS, "train_seconds": LESS, "seconds": LESS, "usd": LESS,
}  # fmt: skip
"""Which way each figure is the better one; of others, as a program may log any, nobody knows."""
_OF_ALL_WORK = frozenset({"train_seconds", "seconds", "usd"})
"""Figures that say which run is better only where all took as many samples."""
_OF_A_STEP = frozenset({"step_seconds"})
"""And those where that takes the same job."""


@dataclass(frozen=True)
class Setting:
    """One choice of the runs."""

    name: str
    values: tuple[str, ...]
    """Each run's, "" where it made none."""

    @property
    def differs(self) -> bool:
        """Whether they chose differently."""
        return len(set(self.values)) > 1


@dataclass(frozen=True)
class Figure:
    """What a run has reached of something, and between which values it truly lies, where that is known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Result:
    """One figure of the runs."""

    name: str
    figures: tuple[Figure | None, ...]
    """Each run's, None where it tells none."""
    better: str
    """`less` or `more`, "" where nobody knows, or the runs can't be compared in it."""

    @property
    def best(self) -> tuple[int, ...]:
        """The places of the runs that are the best in it; none where they can't be told apart."""
        known = [(at, each) for at, each in enumerate(self.figures) if each is not None]
        if not self.better or len(known) < FEWEST:
            return ()
        sign = 1 if self.better == MORE else -1
        top = max((each for _, each in known), key=lambda each: sign * each.value)
        best = tuple(at for at, each in known if each.value == top.value or _overlap(each, top))
        return best if len(best) < len(known) else ()


@dataclass(frozen=True)
class Comparison:
    """Several runs beside each other, in the order in which they were named."""

    runs: tuple[RunStatus, ...]
    same_job: bool
    """Whether they are one job (program, settings, data, machine) but for its length and its processes."""
    settings: tuple[Setting, ...]
    results: tuple[Result, ...]
    numbers: tuple[RunNumbers | None, ...]
    """For curves: each run's logged steps, None where it has told none."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it, without the curves."""
        return {
            "runs": [run.to_dict() for run in self.runs],
            "same_job": self.same_job,
            "settings": [{**asdict(each), "differs": each.differs} for each in self.settings],
            "results": [{**asdict(each), "best": each.best} for each in self.results],
        }


def compare(store: RunStore, run_ids: Sequence[str]) -> Comparison:
    """Return the runs beside each other; raises UserError with every problem of what was asked."""
    _check(run_ids)
    runs = _read_runs(store, run_ids)
    requests = each_at_once(lambda run_id: store.get_json(run_id, "run.json") or {}, run_ids)
    numbers = each_at_once(lambda run_id: find_stored(store, run_id), run_ids)
    receipts = each_at_once(lambda run_id: store.get_json(run_id, "receipt.json") or {}, run_ids)
    evaluations = each_at_once(lambda run_id: _evaluation(store, run_id), run_ids)
    figures = [_figures(*about) for about in zip(numbers, receipts, evaluations, strict=True)]
    same_job = _same([request.get("job_digest") for request in requests])
    hidden = {
        *(() if same_job else _OF_A_STEP),
        *(() if _same([_summary(each).get("samples") for each in numbers]) else _OF_ALL_WORK),
        *(() if _same_data(requests) else {name for each in numbers for name in _held_out(each)}),
    }
    names = dict.fromkeys(name for each in figures for name in each)
    results = [
        Result(
            name, tuple(each.get(name) for each in figures), "" if name in hidden else _BETTER.get(name, "")
        )
        for name in names
    ]
    return Comparison(tuple(runs), same_job, _settings(requests), tuple(results), tuple(numbers))


def _same(values: Sequence[object]) -> bool:
    """Return whether all are known, and the same."""
    return values[0] is not None and all(each == values[0] for each in values)


def _same_data(requests: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether all were measured on the same data, as far as we know: a script may take any."""
    return len({str((request.get("dataset") or {}).get("sha256")) for request in requests}) == 1


def _check(run_ids: Sequence[str]) -> None:
    problems = []
    if not FEWEST <= len(run_ids) <= MOST:
        what = f"{len(run_ids)} runs can't be compared" if len(run_ids) != 1 else "one run alone was named"
        problems.append(Problem(what=what, do=f"name {FEWEST} to {MOST} runs", path="RUN"))
    for run_id in sorted({each for each in run_ids if run_ids.count(each) > 1}):
        problems.append(Problem(what=f"the run {run_id} is named twice", do="name each once", path="RUN"))
    if problems:
        raise UserError(problems)


def _read_runs(store: RunStore, run_ids: Sequence[str]) -> list[RunStatus]:
    """Return the runs; raises UserError with every one that is not there."""

    def read(run_id: str) -> RunStatus | UserError:
        try:
            return read_run(store, run_id)
        except UserError as error:
            return error

    found = each_at_once(read, run_ids)
    if problems := [problem for each in found if isinstance(each, UserError) for problem in each.problems]:
        raise UserError(problems)
    return [each for each in found if isinstance(each, RunStatus)]


def _settings(requests: Sequence[Mapping[str, Any]]) -> tuple[Setting, ...]:
    each = [_chosen(request) for request in requests]
    names = dict.fromkeys(name for chosen in each for name in chosen)
    return tuple(Setting(name, tuple(chosen.get(name, "") for chosen in each)) for name in names)


def _chosen(request: Mapping[str, Any]) -> dict[str, str]:
    """Return what was chosen for a run, by the names that people know; a recipe's settings by its own."""
    code, dataset = request.get("code") or {}, request.get("dataset") or {}
    chosen = {
        "program": request.get("recipe") or request.get("script"),
        "arguments": " ".join(request.get("arguments") or ()),
        "code": str(code.get("sha256", ""))[:12],
        "data": " ".join(filter(None, [str(dataset.get("name", "")), str(dataset.get("sha256", ""))[:12]])),
        "fleet": request.get("fleet"),
        "machines": request.get("instance_type"),
        "spot": "yes" if request.get("spot") else "no",
        "nodes": request.get("nodes"),
        "processes on each": request.get("procs_per_node"),
        **dict(each.partition("=")[::2] for each in request.get("overrides") or ()),
    }
    return {name: str(value) for name, value in chosen.items() if value not in (None, "")}


def _evaluation(store: RunStore, run_id: str) -> Mapping[str, Any]:
    """Return the run's evaluation.json; a script may keep anything under that name."""
    try:
        found = json.loads(store.get(run_id, "evaluation.json") or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _figures(
    numbers: RunNumbers | None, receipt: Mapping[str, Any], evaluation: Mapping[str, Any]
) -> dict[str, Figure]:
    """Return what a run has reached, by name."""
    summary, goodput = (
        _summary(numbers),
        numbers.ledger.goodput_percent if numbers and numbers.ledger else None,
    )
    about_mfu = summary.get("mfu")
    mfu = about_mfu.get("mfu") if isinstance(about_mfu, dict) else None
    losses = numbers.series("loss")[1] if numbers else []
    told: dict[str, Any] = {
        "loss": losses[-1] if losses else None,
        **_held_out(numbers),
        **{name: summary.get(name) for name in ("samples_per_s", "tokens_per_s", "step_seconds")},
        "mfu_percent": 100 * mfu if is_number(mfu) else None,
        "goodput_percent": goodput,
        "train_seconds": summary.get("train_seconds"),
        "seconds": (receipt.get("seconds") or {}).get("total"),
        "usd": (receipt.get("cost") or {}).get("usd"),
    }
    intervals = evaluation.get("metrics")
    reaches = intervals if isinstance(intervals, dict) else {}
    return {name: _figure(value, reaches.get(name)) for name, value in told.items() if is_number(value)}


def _summary(numbers: RunNumbers | None) -> Mapping[str, Any]:
    return numbers.summary if numbers else {}


def _held_out(numbers: RunNumbers | None) -> Mapping[str, Any]:
    """Return the metrics on held-out data that a run tells at its end."""
    found = _summary(numbers).get("metrics")
    return found if isinstance(found, dict) else {}


def _figure(value: float, reach: object) -> Figure:
    low, high = (reach.get("low"), reach.get("high")) if isinstance(reach, dict) else (None, None)
    return Figure(value, low, high) if is_number(low) and is_number(high) else Figure(value)


def _overlap(one: Figure, other: Figure) -> bool:
    """Return whether the intervals of both are known, and have values in common."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.low <= other.high and other.low <= one.high
