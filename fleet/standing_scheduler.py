"""The queue that stands, held against the file: what its machines were built for does not change."""

from __future__ import annotations

import json
from typing import Any

from fleet.bootstrap import read_state_object
from fleet.session import Session
from stacks import naming
from stacks.environment import DECLARATION_OUTPUT
from stacks.problems import Problem, UserError

_BEFORE: dict[str, Any] = {"kind": "plain"}
"""What a fleet stands with that was built before there was a queue."""


def require_same_scheduler(session: Session) -> None:
    """Raise UserError where the fleet stands with another kind of queue, or another disk or other accounts.

    Half of its machines would follow the one and half the other; and a smaller disk would be a new one,
    without the queue. Nothing is compared where no fleet stands, and without Slurm only the kind.
    """
    standing = _standing(session)
    if standing is None:
        return
    wanted = session.spec.scheduler
    compared = ["kind"]
    if wanted.is_slurm and standing["kind"] == wanted.kind:
        compared += ["accounting", "state_volume_gib"]
    problems = [
        _problem(session, name, standing[name])
        for name in compared
        if name in standing and standing[name] != getattr(wanted, name)
    ]
    if problems:
        raise UserError(problems)


def grows_as_it_stands(session: Session) -> bool:
    """Return whether the fleet was built to start nodes with its queue, whatever the file says by now."""
    declared = _declaration(session) or {}
    fleets = declared.get("fleets", {}).values()
    is_slurm = declared.get("scheduler", _BEFORE)["kind"] != _BEFORE["kind"]
    return is_slurm and any(each["max_nodes"] > each["nodes"] for each in fleets)


def _standing(session: Session) -> dict[str, Any] | None:
    """Return the table `scheduler` that the fleet was built with, None where no fleet stands."""
    declared = _declaration(session)
    return declared.get("scheduler", _BEFORE) if declared is not None else None


def _declaration(session: Session) -> dict[str, Any] | None:
    """Return the file that the fleet was built with, all defaults in it, None where no fleet stands."""
    text = read_state_object(session.cloud, session.account, naming.fleet_stack(session.spec.name))
    output = json.loads(text or "{}").get("outputs", {}).get(DECLARATION_OUTPUT)
    if not output:
        return None
    declared: dict[str, Any] = json.loads(output["value"])
    return declared


def _problem(session: Session, name: str, stands: object) -> Problem:
    environment, value = session.spec.name, json.dumps(stands)
    return Problem(
        file=f"environments/{environment}.toml",
        path=f"scheduler.{name}",
        what=f"{environment} stands with {name} = {value}, and this can't change while its machines stand",
        do=f"write {name} = {value}, or tear the fleet down first (`fleetform down {environment}`)",
    )
