"""The numbers of a run, from its directory here or from its environment's bucket, for plots and ledgers."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from fleet.run_store import RunStore
from fleet.runs import read_run
from stacks.problems import UserError
from trainer.numbers.goodput import FILE as GOODPUT
from trainer.numbers.goodput_events import Event, read_history
from trainer.numbers.goodput_ledger import LEDGER, Ledger, reckon

METRICS, SUMMARY, RUN = "metrics.jsonl", "summary.json", "run.json"


@dataclass(frozen=True)
class RunNumbers:
    """What a run tells of itself; what it does not tell is empty."""

    name: str
    metrics: tuple[dict[str, Any], ...]
    """The logged steps, in the order of steps."""
    summary: dict[str, Any]
    ledger: Ledger | None
    events: tuple[Event, ...]

    def series(self, name: str) -> tuple[list[float], list[float]]:
        """Return the steps at which the metric was logged, and its values."""
        found = [(line["step"], line[name]) for line in self.metrics if is_number(line.get(name))]
        return [float(step) for step, _ in found], [float(value) for _, value in found]

    def names(self) -> set[str]:
        """Return the names of all metrics that hold numbers."""
        return {name for line in self.metrics for name, value in line.items() if is_number(value)}

    @property
    def unit(self) -> str:
        """What its speed counts: `tokens` or `samples`."""
        return "tokens" if "tokens_per_s" in self.names() else "samples"


def read_folder(folder: Path, usd_per_hour: float | None = None, name: str = "") -> RunNumbers:
    """Return the numbers of a run directory on this machine.

    The price is the given one, else that of the run's nodes together, else the one its launcher was told.
    Raises UserError where the folder holds none of the files.
    """
    if not any((folder / each).is_file() for each in (METRICS, GOODPUT)):
        raise UserError.of(
            f"{folder} holds neither {METRICS} nor {GOODPUT}", "name the directory of a run", path="--dir"
        )
    ledger: Ledger | None = None
    events: tuple[Event, ...] = ()
    if (folder / GOODPUT).is_file():
        history = read_history(folder / GOODPUT)
        price = usd_per_hour if usd_per_hour is not None else _price(folder)
        ledger, events = reckon(history, price), history.events
    lines = [line for line in _lines(folder / METRICS) if is_number(line.get("step"))]
    return RunNumbers(
        name=name or folder.resolve().name,
        metrics=tuple(sorted(lines, key=lambda line: line["step"])),
        summary=_object(folder / SUMMARY),
        ledger=ledger,
        events=events,
    )


def read_stored(store: RunStore, run_id: str, usd_per_hour: float | None = None) -> RunNumbers:
    """Return the numbers of a run from its environment's bucket, as far as they have come there.

    Raises UserError where there is no such run, or it has told no numbers yet.
    """
    read_run(store, run_id)
    found = find_stored(store, run_id, usd_per_hour)
    if found is None:
        raise UserError.of(
            f"the run {run_id} has told no numbers yet: it has neither {METRICS} nor {GOODPUT}",
            "wait until it trains; a program of your own tells some when it uses trainer.run",
            path="RUN",
        )
    return found


def find_stored(store: RunStore, run_id: str, usd_per_hour: float | None = None) -> RunNumbers | None:
    """Return the numbers of a run from its environment's bucket, or None where it has told none yet."""
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for name in (METRICS, GOODPUT, SUMMARY, RUN, LEDGER):
            body = store.get(run_id, name)
            if body is not None:
                (Path(folder) / name).write_bytes(body)
                found.append(name)
        if METRICS not in found and GOODPUT not in found:
            return None
        return read_folder(Path(folder), usd_per_hour, run_id)


def _price(folder: Path) -> float | None:
    """Return what the run's machines cost an hour together, where somebody has told."""
    run, ledger = _object(folder / RUN), _object(folder / LEDGER)
    if is_number(run.get("price_usd_per_hour")) and is_number(run.get("nodes")):
        return float(run["price_usd_per_hour"]) * float(run["nodes"])
    return float(ledger["usd_per_hour"]) if is_number(ledger.get("usd_per_hour")) else None


def _lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON Lines file; a line that is none, as a crash leaves one, is left out."""
    found = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            found.append(line)
    return found


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_number(value: object) -> TypeGuard[float]:
    """Return whether it is a finite number."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and value == value
        and abs(value) != float("inf")
    )
