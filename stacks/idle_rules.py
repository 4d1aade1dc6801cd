"""The guardrails on the policy on idle runs and fleets."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.case import Case, Rule
from stacks.problems import Problem


def idle_runs_are_looked_for(case: Case) -> Iterator[Problem]:
    """What says when a run is idle is given only where runs are looked at (`idle.step_minutes`)."""
    idle = case.spec.idle
    if idle.step_minutes:
        return
    for name in sorted(idle.model_fields_set & {"start_minutes", "without_steps"}):
        yield case.problem(
            f"idle.{name}",
            f"{name} has no effect: runs are never idle where `step_minutes` is 0",
            "leave it out, or set `step_minutes`",
        )


def idle_fleets_have_nodes(case: Case) -> Iterator[Problem]:
    """`idle.node_minutes` is given only where nodes stand for good, and giving them up saves their price."""
    if not case.spec.idle.node_minutes:
        return
    standing = {name: fleet for name, fleet in case.spec.fleets.items() if fleet.nodes}
    if not standing:
        yield case.problem(
            "idle.node_minutes",
            "node_minutes has no effect: no fleet has nodes that always stand",
            "leave it out; nodes that come with the queue go by `scheduler.idle_minutes`",
        )
    for name, fleet in standing.items():
        if fleet.reserved:
            yield case.problem(
                f"fleets.{name}.purchase",
                f"giving up idle nodes of {name} saves nothing: its reservation is paid for all the same",
                "end the reservation when it is not needed",
            )


IDLE_WARNINGS: tuple[Rule, ...] = (idle_runs_are_looked_for, idle_fleets_have_nodes)
"""Rules on idleness whose findings are told, and stop nothing."""
