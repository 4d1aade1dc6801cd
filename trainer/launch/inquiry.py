"""What all machines are asked when ranks hang: where each rank stands, and whom that makes the reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from trainer.launch.hang import Standing, guilty

_ANSWER_SECONDS = 30.0
"""How long the machines get to answer."""


class HangInquiry:
    """Collects the answers and judges."""

    def __init__(self, silent_seconds: float, nodes: Collection[int], now: float) -> None:
        """`silent_seconds` is how long there was no step; `nodes` are those that are asked."""
        self._seconds, self._unheard, self._until = silent_seconds, set(nodes), now + _ANSWER_SECONDS
        self._standings: list[Standing] = []

    def hear(self, node: int, standings: Sequence[Standing]) -> None:
        """Take in a machine's answer."""
        self._standings += standings
        self._unheard.discard(node)

    def complete(self, now: float) -> bool:
        """Whether everybody has answered, or had the time to."""
        return not self._unheard or now > self._until

    def judge(self) -> str:
        """Return the cause: the ranks that the others wait for, where that can be told."""
        since = f"no step for {self._seconds:.0f} s"
        found = sorted(guilty(self._standings), key=lambda each: each.rank)
        if not found:
            step = min((each.step for each in self._standings), default=0) + 1
            return f"all ranks hung in step {step} ({since})"
        ranks = "rank" if len(found) == 1 else "ranks"
        where = f", in {found[0].frame}" if found[0].frame and len(found) == 1 else ""
        names = ", ".join(str(each.rank) for each in found)
        return f"{ranks} {names} hung in step {found[0].step + 1} ({since}{where})"
