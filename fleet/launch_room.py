"""Whether the account's quotas hold the machines that a run's fleet would grow to, and how many they do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fleet.preflights.case import LiveCase, NotAskedError
from fleet.preflights.quotas import quota_holds_the_nodes
from fleet.session import Session
from stacks.environment import EnvironmentSpec
from stacks.problems import Problem


@dataclass(frozen=True)
class Shortage:
    """What the account may not run."""

    problem: Problem
    """Which quota, what is left of it, and how to have it raised."""
    nodes: int
    """How many nodes of the fleet it holds; 0 for none."""


def shortage(session: Session, fleet: str, nodes: int) -> Shortage | None:
    """Return what keeps a standing environment's fleet from growing to so many nodes, None for nothing.

    Nodes that always run have their quota already, so nothing is asked for those. What the cloud does not
    tell keeps nobody from anything: the fleet says so itself when it can't grow.
    """
    declared = session.spec.fleets.get(fleet)
    if declared is None or nodes <= declared.nodes:
        return None
    case = LiveCase(session.cloud, session.account, _grown(session.spec, fleet, nodes))
    try:
        found = next(_problems(case), None)
        if found is None:
            return None
        fewer = range(nodes - 1, 0, -1)
        fits = (each for each in fewer if not any(_problems(_of_size(case, session.spec, fleet, each))))
        return Shortage(found, next(fits, 0))
    except NotAskedError:
        return None


def _problems(case: LiveCase) -> Iterator[Problem]:
    return iter(quota_holds_the_nodes(case))


def _of_size(case: LiveCase, spec: EnvironmentSpec, fleet: str, nodes: int) -> LiveCase:
    """Return the case with another number of nodes; what the cloud has answered is not asked again."""
    return replace(case, spec=_grown(spec, fleet, nodes))


def _grown(spec: EnvironmentSpec, fleet: str, nodes: int) -> EnvironmentSpec:
    """Return the environment as it would be declared with so many nodes in that fleet."""
    declared = spec.fleets[fleet]
    wanted = declared.model_copy(update={"nodes": nodes, "max_nodes": max(nodes, declared.max_nodes)})
    return spec.model_copy(update={"fleets": {**spec.fleets, fleet: wanted}})
