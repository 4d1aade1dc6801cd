"""Names of nodes: `<fleet>-<n>`; the first of a fleet stand for good, the others are started for jobs."""

from __future__ import annotations

from collections.abc import Iterable

from node.cluster.facts import ClusterFacts


def fleet_of(name: str) -> str:
    """Return the fleet of a node: `gpu` of `gpu-3`; fleets' names have no hyphen."""
    return name.rpartition("-")[0]


def number_of(name: str) -> int:
    """Return a node's number in its fleet, 0 for what is no node's name."""
    number = name.rpartition("-")[2]
    return int(number) if number.isdigit() else 0


def standing_names(facts: ClusterFacts, fleet: str) -> list[str]:
    """Return the names of the fleet's nodes that stand for good."""
    return [f"{fleet}-{number}" for number in range(1, facts.fleets[fleet].nodes + 1)]


def is_elastic(facts: ClusterFacts, name: str) -> bool:
    """Return whether the node is one that is started for jobs."""
    fleet = facts.fleets.get(fleet_of(name))
    return fleet is not None and fleet.nodes < number_of(name) <= fleet.max_nodes


def elastic_only(facts: ClusterFacts, names: Iterable[str]) -> list[str]:
    """Return those of the names that are started for jobs, in their order."""
    return [name for name in names if is_elastic(facts, name)]
