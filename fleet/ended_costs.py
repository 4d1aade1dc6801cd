"""What runs have cost that have ended, as their receipts say.

A run that succeeded is never resumed, so what it has cost is remembered on this machine: of thousands of runs
only the others are read again each time.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from fleet.clock import seconds_between

_FORMAT = "fleetform-run-costs/1"


@dataclass(frozen=True, kw_only=True)
class EndedCost:
    """What a run has cost that has ended."""

    submitted: str
    claimed: str
    """When its latest attempt got its nodes; `ended` for one that got none."""
    ended: str
    usd: float | None
    """All of it, of all attempts; None where nobody knows."""
    on_nodes: float
    """What of it is the time on nodes, and no file system of its own."""
    nodes: tuple[str, ...]
    """Instance ids of the latest attempt's."""

    @classmethod
    def of_receipt(cls, receipt: Mapping[str, Any], submitted: str) -> Self:
        """Return what a receipt says; raises KeyError and the like for a file that is none."""
        cost, phases = receipt["cost"], receipt["phases"]
        nothing = cost["usd"] is None and not cost["node_seconds"]
        usd = 0.0 if nothing else None if cost["usd"] is None else float(cost["usd"])
        return cls(
            submitted=submitted,
            claimed=phases.get("claimed") or phases["ended"],
            ended=phases["ended"],
            usd=usd,
            on_nodes=float(cost["node_seconds"]) * float(cost["usd_per_node_hour"] or 0.0) / 3600,
            nodes=tuple(str(each["instance_id"]) for each in receipt.get("nodes") or ()),
        )

    def usd_since(self, begin: datetime.datetime, machines: Collection[str]) -> float | None:
        """Return what of it was spent from `begin` on, without the time on those machines."""
        if self.usd is None:
            return None
        counted = sum(each in machines for each in self.nodes) / len(self.nodes) if self.nodes else 0.0
        return (self.usd - counted * min(self.on_nodes, self.usd)) * self._share(begin)

    def _share(self, begin: datetime.datetime) -> float:
        """Return which part of its time on its nodes, 0 to 1, lies after `begin`.

        Of one that was submitted since, all, whatever its attempts; else its latest attempt decides.
        """
        month = begin.isoformat()
        if seconds_between(month, self.submitted) >= 0:
            return 1.0
        since, held = seconds_between(month, self.ended), seconds_between(self.claimed, self.ended)
        return min(1.0, since / held) if since > 0 and held > 0 else 0.0


class RememberedCosts:
    """The costs of runs that have succeeded, in a file that may be lost."""

    def __init__(self, file: Path) -> None:
        """Read the file; one that is missing or broken remembers nothing."""
        self._file, self._changed = file, False
        self._known: dict[str, EndedCost] = {}
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            if kept["format"] == _FORMAT:
                rows = {run_id: {**row, "nodes": tuple(row["nodes"])} for run_id, row in kept["runs"].items()}
                self._known = {run_id: EndedCost(**row) for run_id, row in rows.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._known = {}

    def get(self, run_id: str) -> EndedCost | None:
        """Return what the run has cost, None where it is not known to have succeeded."""
        return self._known.get(run_id)

    def note(self, run_id: str, cost: EndedCost) -> None:
        """Remember a run that has succeeded."""
        self._known[run_id], self._changed = cost, True

    def save(self, run_ids: Collection[str]) -> None:
        """Write down what is known of these runs, and forget the others."""
        if not self._changed:
            return
        wanted = set(run_ids)
        rows = {run_id: asdict(cost) for run_id, cost in self._known.items() if run_id in wanted}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        part.write_text(json.dumps({"format": _FORMAT, "runs": rows}), encoding="utf-8")
        part.replace(self._file)
