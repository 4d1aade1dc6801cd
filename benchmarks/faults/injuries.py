"""What is done to a command at a phase: a fault of the embedded cloud, a kill, a disk that is full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.faults.phases import COMMAND, MACHINE, TERRAFORM, Phase

HOLD_SECONDS = 2.0
"""How long a call is held while something is done to who made it."""


@dataclass(frozen=True)
class Injury:
    """One kind of injury."""

    name: str
    rule: Mapping[str, object] = field(default_factory=dict)
    """The fault that is put in force, beside its phase."""
    act: str = ""
    """What is done while the call is held: `command` or `everything` is killed, the `disk` filled."""
    machine: str = ""
    """The machine that the fault is of: `node` or `head`."""

    @property
    def kills(self) -> bool:
        """Whether a process ends by it, without a word."""
        return "kill" in self.rule.values() or self.act in ("command", "everything")


_HELD = {"kind": "slow", "delay_s": HOLD_SECONDS, "count": 1}
_CALLS = (
    Injury("throttling", {"kind": "throttling", "count": 3}),
    Injury("server error", {"kind": "server-error", "count": 2}),
    Injury("server error, done", {"kind": "server-error", "after": True, "count": 1}),
    Injury("slow", {"kind": "slow", "delay_s": 3.0, "count": 2}),
    Injury("cut", {"kind": "cut", "count": 1}),
    Injury("cut, done", {"kind": "cut", "after": True, "count": 1}),
)
"""What can happen to every call."""
_EVERYTHING = Injury("everything killed", _HELD, act="everything")
_DISK = Injury("disk full", _HELD, act="disk")
OF_CALLER: dict[str, tuple[Injury, ...]] = {
    COMMAND: (
        *_CALLS,
        Injury("killed", {"kind": "kill", "kill": "group", "count": 1}),
        Injury("killed, done", {"kind": "kill", "kill": "group", "after": True, "count": 1}),
        _EVERYTHING,
        _DISK,
    ),
    TERRAFORM: (
        *_CALLS,
        Injury("killed", _HELD, act="command"),
        Injury("Terraform killed", {"kind": "kill", "kill": "group", "count": 1}),
        Injury("Terraform killed, done", {"kind": "kill", "kill": "group", "after": True, "count": 1}),
        _EVERYTHING,
        _DISK,
    ),
    MACHINE: (
        *_CALLS,
        Injury("killed", {"kind": "kill", "count": 1}),
        Injury("killed, done", {"kind": "kill", "after": True, "count": 1}),
    ),
}
"""What can happen in a phase, by who makes its calls."""
OTHERS = (
    Injury("no capacity", {"kind": "no-capacity", "count": 2}),
    Injury("dependency violation", {"kind": "dependency-violation", "count": 3}),
    Injury("power loss", {"kind": "power-loss"}, machine="node"),
    Injury("head's power loss", {"kind": "power-loss"}, machine="head"),
    Injury("interruption", {"kind": "interruption", "notice_s": 3.0}, machine="node"),
    Injury("machine's disk full", {"kind": "disk-full"}, machine="node"),
)
"""What makes sense in some phases alone, which name it."""


def injuries_of(phase: Phase) -> tuple[Injury, ...]:
    """Return what may be done to the phase."""
    return (*OF_CALLER[phase.caller], *(each for each in OTHERS if each.name in phase.also))


def rule_of(injury: Injury, phase: Phase, place: int, machine: str) -> dict[str, object]:
    """Return the fault to put in force; `machine` is the id of the one that it is of, if it is of one."""
    selector = phase.selector(place)
    if injury.name == "no capacity":  # of the launches, which the cloud makes itself
        return dict(injury.rule)
    if injury.name == "dependency violation":
        selector |= {"action": phase.action}
    return {**selector, **injury.rule, **({"machine": machine} if injury.machine else {})}
