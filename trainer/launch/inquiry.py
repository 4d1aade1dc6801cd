"""What all machines are asked when ranks hang: where each rank stands, and whom that makes the reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from trainer.launch.hang import BUSY_PHASES, PATIENT_SECONDS, Standing, Stuck, excused, guilty

_ANSWER_SECONDS = 30.0
"""How long the machines get to answer."""


class HangInquiry:
    """Collects the answers and judges."""

    def __init__(self, stuck: Stuck, nodes: Collection[int], now: float) -> None:
        """`stuck` is what made somebody ask; `nodes` are those that are asked."""
        self.stuck, self._unheard, self._until = stuck, set(nodes), now + _ANSWER_SECONDS
        self._standings: list[Standing] = []

    def hear(self, node: int, standings: Sequence[Standing]) -> None:
        """Take in a machine's answer."""
        self._standings += standings
        self._unheard.discard(node)

    def complete(self, now: float) -> bool:
        """Whether everybody has answered, or had the time to."""
        return not self._unheard or now > self._until

    @property
    def excuse(self) -> str:
        """Where the ranks are that do not hang yet, "" where they do."""
        if self.stuck.final or self._unheard or not excused(self._standings):
            return ""
        busy = [each for each in self._standings if each.phase in BUSY_PHASES] or self._standings
        return f"rank {busy[0].rank} is {_place(busy)}"

    def judge(self) -> str:
        """Return the cause: the ranks that the others wait for, where that can be told."""
        limit = PATIENT_SECONDS if self.stuck.seconds > PATIENT_SECONDS else self.stuck.limit
        since = f"no step for {self.stuck.seconds:.0f} s, allowed were {limit:.0f} s"
        found = sorted(guilty(self._standings), key=lambda each: each.rank)
        if found:
            who = f"rank{'s' if len(found) > 1 else ''} {', '.join(str(each.rank) for each in found)}"
        else:
            found, who = sorted(self._standings, key=lambda each: each.step), "all ranks"
        step = found[0].step + 1 if found else self.stuck.step + 1
        where = f"; {_place(found)}" if found else ""
        return f"{who} hung in step {step} ({since}{where}){_advice(found)}"


def _place(standings: Sequence[Standing]) -> str:
    """Return what these ranks do and where, as far as that is the same for all of them."""
    phases, frames = {each.phase for each in standings}, {each.frame for each in standings}
    phase = phases.pop() if len(phases) == 1 else "in several phases"
    frame = frames.pop() if len(frames) == 1 else ""
    return f"{phase}, in {frame}" if frame else phase


def _advice(standings: Sequence[Standing]) -> str:
    """Return what to do where what looked like a hang may have been work."""
    if standings and all(each.own and each.phase == "training" for each in standings):
        return '; if that was no hang: with run.phase("evaluating"), or a longer hang_minutes'
    return ""
