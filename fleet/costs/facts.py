"""What a cost report is made of: machines and how long they stood, runs and how long they held them, more.

Every one is told by something that can be looked at again: EC2, the account's trail, the runs' receipts, the
ledger. Times are milliseconds since the epoch, prices exact US dollars an hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One machine, from its start to its end."""

    instance: str
    environment: str
    team: str
    """Whose environment it is."""
    fleet: str
    """"" for the head."""
    gpus: int
    usd_per_hour: Fraction | None
    """With its disk; None where there is no price."""
    begun: int
    ended: int
    """Or now, for one that runs."""
    told_by: str
    """`EC2`, `trail` or `runs`."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """One attempt of a run, for as long as it had nodes."""

    run_id: str
    attempt: int
    environment: str
    team: str
    person: str
    fleet: str
    instance_type: str
    """Of its nodes."""
    instances: tuple[str, ...]
    """Its nodes; empty where nobody told which."""
    begun: int
    ended: int
    node_ms: Fraction
    """Time on nodes, all of them together, between the two; evenly spread over it."""
    gpus: int
    """Of one node."""
    usd_per_node_hour: Fraction | None
    """As it was submitted; a node whose machine is known counts at that one's price."""
    own_usd: Fraction
    """What it cost beside its nodes: a file system of its own."""
    shares: tuple[tuple[str, Fraction], ...]
    """What the time went into, by use; together 1."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What costs as long as it stands, and computes nothing: NAT, endpoints, keys, a fast file system."""

    environment: str
    team: str
    usd_per_hour: Fraction
    begun: int
    ended: int


@dataclass(frozen=True, kw_only=True)
class Gone:
    """A time in which an environment had no fleet by its own record: what stood then was left over."""

    environment: str
    begun: int
    ended: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All of it."""

    machines: tuple[Machine, ...] = ()
    held: tuple[Held, ...] = ()
    standing: tuple[Standing, ...] = ()
    gone: tuple[Gone, ...] = ()
    notes: tuple[str, ...] = ()
    """What could not be known; a sentence each."""
