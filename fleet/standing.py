"""What of an environment can't change while it stands, held against the base's state: region and network.

Terraform itself would not refuse: in another region it finds nothing, drops what it knew and builds anew,
while the old machines go on costing money; and a network's new block replaces it under running machines.
"""

from __future__ import annotations

import json
from typing import Any

from fleet.bootstrap import read_state_object
from fleet.session import Session
from stacks import naming
from stacks.problems import Problem, UserError


def require_same_region(session: Session) -> None:
    """Raise UserError where the environment stands in another region than its file says."""
    network = _standing(session).get("aws_vpc")
    if not network:
        return
    region = str(network[0]["arn"]).split(":")[3]
    if region != session.spec.region:
        raise UserError([_problem(session, "region", region)])


def require_same_network(session: Session) -> None:
    """Raise UserError where the network that stands has another block or other zones than the file says."""
    standing = _standing(session)
    network, subnets = standing.get("aws_vpc"), standing.get("aws_subnet")
    if not network:
        return
    wanted = session.spec.network
    problems = []
    if network[0]["cidr_block"] != str(wanted.cidr):
        problems.append(_problem(session, "network.cidr", network[0]["cidr_block"]))
    if subnets and len(subnets) != wanted.zone_count:
        problems.append(_problem(session, "network.zones", len(subnets)))
    if problems:
        raise UserError(problems)


def _problem(session: Session, path: str, stands: object) -> Problem:
    name = session.spec.name
    return Problem(
        file=f"environments/{name}.toml",
        path=path,
        what=f"{name} stands with {stands}, and this can't change while it stands",
        do=f"set it back to {stands}, or tear the environment down first (`fleetform down {name} --base`)",
    )


def _standing(session: Session) -> dict[str, list[dict[str, Any]]]:
    """Return the attributes of the base's resources by their type, none where there is no base."""
    text = read_state_object(session.cloud, session.account, naming.base_stack(session.spec.name))
    found: dict[str, list[dict[str, Any]]] = {}
    for resource in json.loads(text or "{}").get("resources", []):
        if resource["mode"] == "managed":
            each = [instance["attributes"] for instance in resource["instances"]]
            found.setdefault(resource["type"], []).extend(each)
    return found
