"""A gang of nodes that a run holds, each with its rank."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from node.instances import Instance

_PORTS = range(20000, 30000)
"""Below Linux's ephemeral ports (32768 and up), so that no outgoing connection has taken it."""


@dataclass(frozen=True)
class Gang:
    """The nodes of a run in the order of their ranks, and the meeting point of their processes."""

    nodes: tuple[Instance, ...]
    port: int
    """TCP port of the rendezvous on rank 0; another for every run, as runs may follow each other closely."""

    @property
    def address(self) -> str:
        """Private address of rank 0."""
        return self.nodes[0].address

    def describe(self) -> list[dict[str, Any]]:
        """Return the nodes as the events and the receipt name them."""
        return [
            {
                "rank": rank,
                "instance_id": node.instance_id,
                "instance_type": node.instance_type,
                "address": node.address,
                **({"node": node.name} if node.name else {}),
            }
            for rank, node in enumerate(self.nodes)
        ]


def place(instances: Sequence[Instance]) -> Gang:
    """Give the claimed instances their ranks, in the order of their ids."""
    ordered = tuple(sorted(instances, key=lambda instance: instance.instance_id))
    return Gang(ordered, random.SystemRandom().choice(_PORTS))
