"""What the keeper does to nodes and machines, as values: decided first, done afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from node.elastic.machines import FleetMachine


@dataclass(frozen=True)
class Join:
    """Make a machine that stands for good the machine of a node: address, power, name."""

    node: str
    machine: FleetMachine


@dataclass(frozen=True)
class Address:
    """Tell Slurm where the machine of a node is."""

    node: str
    address: str


@dataclass(frozen=True)
class PowerUp:
    """Tell Slurm that the machine of a node is about to answer."""

    node: str


@dataclass(frozen=True)
class Lose:
    """Take a node whose machine is gone out of service: its jobs are requeued, then it can be had again."""

    node: str
    reason: str


@dataclass(frozen=True)
class Free:
    """Let a powered-down node be asked for again."""

    node: str


@dataclass(frozen=True)
class End:
    """End a machine."""

    machine: FleetMachine
    reason: str


@dataclass(frozen=True)
class Drain:
    """Give a node no further jobs."""

    node: str
    reason: str


@dataclass(frozen=True)
class Rest:
    """Let a fleet rest whose machines do not work."""

    fleet: str
    reason: str
    forgiven: int
    """Failures in a row that cost no pause."""


@dataclass(frozen=True)
class Proved:
    """Forget that machines of a fleet did not work."""

    fleet: str


@dataclass(frozen=True)
class Mark:
    """Say on a machine whether it has a run."""

    instance_id: str
    value: str


Act = Join | Address | PowerUp | Lose | Free | End | Drain | Rest | Proved | Mark
