"""Everything that `fleetform plan` tells: what changes, what it costs, what an edit does to running nodes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from fleet.bootstrap import read_state_object
from fleet.estate import open_stack, stack_names
from fleet.estimate import Estimate, estimate, resources_of
from fleet.machine_prices import elastic_nodes
from fleet.node_effects import FleetEffect, fleet_effects, running_nodes, targets
from fleet.plan import StackPlan, plan
from fleet.priced import Resource
from fleet.session import Session
from fleet.setting_changes import SettingChange, setting_changes
from fleet.terraform_events import Report, quiet
from stacks import naming
from stacks.environment import DECLARATION_OUTPUT

FORMAT = "fleetform-plan/1"


@dataclass(frozen=True, kw_only=True)
class PlanReport:
    """A plan of an environment, with its price and its effect on the machines that run."""

    environment: str
    cloud: str
    region: str
    stacks: tuple[StackPlan, ...]
    settings: tuple[SettingChange, ...]
    """What the file says differently from what stands; empty where no fleet stands."""
    fleets: tuple[FleetEffect, ...]
    """What becomes of the nodes of each fleet."""
    price: Estimate
    """Of the environment as the file declares it."""
    price_now: Estimate
    """Of what stands; its sums are zero where nothing does."""
    price_account: Estimate
    """Of the account's stack, which all environments share."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return all(each.empty for each in self.stacks)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it; docs/plan.md describes the keys."""
        stacks = []
        for each in self.stacks:
            stack = asdict(each)
            stack.pop("file")
            stacks.append(stack)
        return {
            "format": FORMAT,
            "environment": self.environment,
            "cloud": self.cloud,
            "region": self.region,
            "empty": self.empty,
            "stacks": stacks,
            "settings": [asdict(each) for each in self.settings],
            "fleets": [each.to_dict() for each in self.fleets],
            "price": self.price.to_dict(),
            "price_now": self.price_now.to_dict(),
            "price_account": self.price_account.to_dict(),
        }


def plan_report(session: Session, report: Report, *, keep: bool = False) -> PlanReport:
    """Plan the environment's stacks and tell all that follows; `keep` the plans to be applied.

    Nothing is changed. Raises UserError and TerraformError as `fleet.plan.plan` does.
    """
    stacks = plan(session, report, keep=keep)
    spec = session.spec
    account, base, fleet = (declared_resources(session, name) for name in stack_names(session))
    settings, nodes = changed_settings(session), running_nodes(session)
    coming = Counter((each.fleet, each.instance_type) for each in nodes if each.elastic)
    return PlanReport(
        environment=spec.name,
        cloud=session.cloud.name,
        region=spec.region,
        stacks=tuple(stacks),
        settings=tuple(settings),
        fleets=tuple(fleet_effects(nodes, targets(fleet), settings, _made_anew(stacks, spec.name))),
        price=estimate([*base, *fleet], spec.region),
        price_now=estimate([*what_stands(session), *elastic_nodes(coming)], spec.region),
        price_account=estimate(account, session.account.region),
    )


def changed_settings(session: Session) -> list[SettingChange]:
    """Return what the file says differently from what stands; nothing where no fleet stands."""
    text = read_state_object(session.cloud, session.account, naming.fleet_stack(session.spec.name))
    output = json.loads(text or "{}").get("outputs", {}).get(DECLARATION_OUTPUT)
    return setting_changes(json.loads(output["value"]), session.spec) if output else []


def declared_resources(session: Session, stack: str) -> list[Resource]:
    """Return the resources of one of the environment's stacks as they were last synthesized."""
    return list(resources_of(open_stack(session, stack, quiet).configuration()))


def what_stands(session: Session, stacks: Collection[str] = ()) -> list[Resource]:
    """Return what the states of the environment's own stacks say exists, or those of some of them."""
    return [
        Resource(each["type"], each["name"], instance["attributes"])
        for stack in stacks or naming.environment_stacks(session.spec.name)
        for each in json.loads(read_state_object(session.cloud, session.account, stack) or "{}").get(
            "resources", ()
        )
        if each["mode"] == "managed"
        for instance in each["instances"]
    ]


def _made_anew(stacks: list[StackPlan], environment: str) -> set[str]:
    """Return the fleets whose group is replaced or destroyed; their names are those of the resources."""
    return {
        change.address.partition(".")[2]
        for each in stacks
        if each.stack == naming.fleet_stack(environment)
        for change in each.resources
        if change.kind == "aws_autoscaling_group" and change.action in ("replace", "delete")
    }
