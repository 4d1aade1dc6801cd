"""Runs that the ledger has and no run directory any more: a teardown has deleted the bucket with them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.costs.amounts import milliseconds
from fleet.ledger_reading import Entry

_SUBMIT, _ENDED = "run.submit", "run.ended"
RUNS = "run."
"""Events of runs."""


@dataclass(frozen=True)
class RunsGone:
    """What is still known of them."""

    runs: int
    node_seconds: float
    """For how long they held machines, all of these together, as far as the ledger has their ends."""
    unknown: int
    """Of how many it has not."""

    def __str__(self) -> str:
        hours, unknown = f"{self.node_seconds / 3600:.1f}", ""
        if self.unknown:
            unknown = f", and of {self.unknown} nobody knows how long"
        return (
            f"the directories of runs that the ledger has ({self.runs}) were deleted with the artifact "
            f"bucket: their {hours} machine-hours{unknown} count as idle or not at all; an evidence pack "
            "made before has who used them (costs.json)"
        )


def runs_gone(entries: Iterable[Entry], known: Collection[str], since: int, until: int) -> RunsGone | None:
    """Return what the ledger tells of runs of the period that are not `known`, None where there is none.

    `entries` are those of one environment's runs; `since` and `until` are milliseconds since the epoch.
    """
    submitted, ended = set[str](), dict[str, float]()
    there = set(known)
    for entry in entries:
        run, details = _run_of(entry), entry["details"]
        if run in there or not run:
            continue
        time = milliseconds(entry["time"])
        if entry["event"] == _ENDED and since <= milliseconds(str(details.get("ended") or entry["time"])):
            ended[run] = ended.get(run, 0.0) + _node_seconds(details)
        elif entry["event"] == _SUBMIT and entry["outcome"] == "succeeded" and since <= time < until:
            submitted.add(run)
    runs = submitted | set(ended)
    return RunsGone(len(runs), sum(ended.values()), len(runs - set(ended))) if runs else None


def _run_of(entry: Entry) -> str:
    """Return the run that an entry is about; a submit names it in its details."""
    if entry["event"] == _SUBMIT:
        return str(entry["details"].get("run_id") or "")
    return str(entry["target"])


def _node_seconds(details: Mapping[str, Any]) -> float:
    """Return what an attempt held by its entry, 0 where it says nothing that can be read."""
    try:
        return float((details.get("cost") or {})["node_seconds"])
    except (KeyError, TypeError, ValueError):
        return 0.0
