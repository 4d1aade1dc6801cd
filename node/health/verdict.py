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
    warning: str = ""
    """What went wrong, where that is nobody's in particular: the job is not kept from these nodes."""
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
            warning=str(message.get("warning") or ""),
            note=str(message.get("note") or ""),
            gbs=float(gbs) if isinstance(gbs, int | float) else None,
        )

    def to_message(self) -> dict[str, Any]:
        """Return what travels between nodes."""
        return {"do": "end", **asdict(self)}


def judge(
    names: Sequence[str], told: Mapping[int, Measured | None], least_gbs: float
) -> tuple[dict[int, Verdict], bool, float | None]:
    """Return what the nodes are to do, by rank, whether they have passed, and the bandwidth in GB/s.

    A node is bad where it alone, or no more than half, is: what all have in common is no node's fault, and
    drained nodes would only be replaced by others with the same fault. An all-reduce that did not end says
    too little to end the job: it runs, and finds out itself.
    """
    lost = tuple(names[rank] for rank, each in sorted(told.items()) if each is None)
    found = {rank: each for rank, each in told.items() if each is not None}
    if lost:
        return {0: Verdict(absent=lost, warning=f"no word any more of {', '.join(lost)}")}, False, None
    bad = ring.broken(
        {rank: ring.Turn(each.sent, each.received, each.seconds) for rank, each in found.items()}
    )
    if bad:
        return _blame(bad, len(names), "the nodes do not reach each other"), False, None
    own = {rank: each.own for rank, each in found.items() if each.own}
    if own and 2 * len(own) <= len(names):
        blamed = {rank: f"an all-reduce among its own GPUs failed: {each}" for rank, each in own.items()}
        return {rank: Verdict(bad=each) for rank, each in blamed.items()}, False, None
    if errors := [each.own or each.error for each in found.values() if not each.is_well]:
        first_error = found[0].own or found[0].error or errors[0]
        return _all(len(names), Verdict(warning=f"an all-reduce failed: {first_error}")), False, None
    first = found[0]
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
    """Drain up to half of the nodes; refuse the job where there are more, or nobody in particular."""
    if not bad or 2 * len(bad) > count:
        hint = "is the Elastic Fabric Adapter used, and may the nodes talk to each other?"
        return _all(count, Verdict(refused=f"{common}; {hint}"))
    return {rank: Verdict(bad=why) for rank, why in bad.items()}


def _all(count: int, verdict: Verdict) -> dict[int, Verdict]:
    return dict.fromkeys(range(count), verdict)
