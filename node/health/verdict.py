"""What a test of the nodes' network means for each of them and for the job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from node.health import ring
from node.health.all_reduce import Measured


@dataclass(frozen=True)
class Verdict:
    """What one node is to do."""

    bad: str = ""
    """Why this node is to be drained; Slurm then gives the job other nodes."""
    refused: str = ""
    """Why the job is not to run on any of these nodes, where none of them is worse than the others."""
    note: str = ""
    """Something to keep in the report."""
    gbs: float | None = None
    """Bus bandwidth that was measured, in GB/s."""
    absent: tuple[str, ...] = ()
    """Nodes that were not met, and cannot be told so."""

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Verdict:
        """Read it from what travels between nodes."""
        gbs = message.get("gbs")
        return cls(
            bad=str(message.get("bad") or ""),
            refused=str(message.get("refused") or ""),
            note=str(message.get("note") or ""),
            gbs=float(gbs) if isinstance(gbs, int | float) else None,
        )

    def to_message(self) -> dict[str, Any]:
        """Return what travels between nodes."""
        return {"do": "end", **asdict(self)}


def judge(
    names: Sequence[str], told: Mapping[int, Measured | None], least_gbs: float
) -> tuple[dict[int, Verdict], bool, float | None]:
    """Return what the nodes are to do, whether they have passed, and the bandwidth in GB/s.

    A node is bad where it alone, or a minority, is: what all have in common is no node's fault, and drained
    nodes would only be replaced by others with the same fault.
    """
    turns = {
        rank: None if each is None else ring.Turn(each.sent, each.received, each.seconds)
        for rank, each in told.items()
    }
    bad = ring.broken(turns)
    if bad:
        return _blame(bad, len(names), "the nodes do not reach each other"), False, None
    errors = [each.error for each in told.values() if each is not None and each.error]
    first = told[0]
    assert first is not None, "rank 0 tells itself"
    if errors:
        why = f"an all-reduce between these nodes failed: {first.error or errors[0]}"
        return _all(len(names), Verdict(refused=why)), False, None
    if first.gbs is None or not least_gbs or first.gbs >= least_gbs:
        return _all(len(names), Verdict(gbs=first.gbs)), True, first.gbs
    why = f"an all-reduce between these nodes reaches {first.gbs:.1f} GB/s, expected are {least_gbs:.1f}"
    slow = slow_nodes(first.pairs, least_gbs)
    return _blame(dict.fromkeys(slow, f"{why}, with every other node"), len(names), why), False, first.gbs


def slow_nodes(pairs: Sequence[tuple[int, int, float]], least_gbs: float) -> set[int]:
    """Return the nodes that are slow with every partner, where some pair without them is fast enough."""
    fast = {node for a, b, gbs in pairs if gbs >= least_gbs for node in (a, b)}
    return {node for a, b, _ in pairs for node in (a, b)} - fast if fast else set()


def _blame(bad: Mapping[int, str], count: int, common: str) -> dict[int, Verdict]:
    """Drain a minority; refuse the job where it is no minority, or nobody in particular."""
    if not bad or 2 * len(bad) > count:
        hint = "is the Elastic Fabric Adapter used, and may the nodes talk to each other?"
        return _all(count, Verdict(refused=f"{common}; {hint}"))
    return {rank: Verdict(bad=why) for rank, why in bad.items()}


def _all(count: int, verdict: Verdict) -> dict[int, Verdict]:
    return dict.fromkeys(range(count), verdict)
