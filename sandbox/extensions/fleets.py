"""EC2 fleets of the type `instant`: all that was asked for, part of it, or none, and why, as EC2 answers.

Seam: CreateFleet of moto's `EC2Response`; fleets of other types stay moto's. moto launches whatever is asked
for, in a subnet of its choice, without the template's profile and interfaces; it knows no smallest number, no
single zone, no errors and no client token. Drop this when it does. `/_sandbox/capacity` limits what there is
(`sandbox/capacity.py`), `/_sandbox/fleets` lists every instance that a fleet ever started.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance
from moto.ec2.responses import EC2Response
from moto.ec2.utils import convert_tag_spec

from sandbox.capacity import CAPACITY, Limit
from sandbox.faults import Faults
from sandbox.launches import CAPACITY_BLOCK, ON_DEMAND, SPOT, Launch, refuse, start
from sandbox.parts import Parts, store

FLEETS, _TOKENS = "fleet_instances", "fleet_tokens"


@dataclass(frozen=True)
class Place:
    """A launch template in a subnet: one pool of those that a fleet may take from."""

    version: Any
    subnet: str | None
    zone: str
    shown: dict[str, Any]
    """The template and the overrides as EC2 names them in its answer."""


@dataclass(frozen=True)
class Order:
    """So many instances bought in one way."""

    market: str
    count: int
    at_least: int
    """With fewer none is started."""
    single_zone: bool
    tags: dict[str, str]
    fleet_id: str


def install(parts: Parts) -> None:
    """Replace the creation of instant fleets, and add the pages."""
    others, terminate = EC2Response.create_fleet, Instance.terminate

    def create_fleet(request: Any) -> ActionResult:
        if request._get_param("Type", "maintain") != "instant":
            answer: ActionResult = others(request)
            return answer
        return _create(request, parts.faults)

    def terminated(self: Any) -> Any:
        previous = terminate(self)
        if started := store(self.ec2_backend, FLEETS).get(self.id):
            started.setdefault("ended", time.time())
        return previous

    EC2Response.create_fleet = create_fleet
    Instance.terminate = terminated

    def limit(body: bytes) -> object:
        CAPACITY.add(Limit(**json.loads(body)))
        return CAPACITY.describe()

    def withdraw(body: bytes) -> object:
        CAPACITY.clear()
        return []

    parts.pages["POST", "capacity"] = limit
    parts.pages["DELETE", "capacity"] = withdraw
    parts.pages["GET", "capacity"] = lambda body: CAPACITY.describe()
    parts.pages["GET", "fleets"] = lambda body: _all_started(parts)


def _all_started(parts: Parts) -> list[dict[str, Any]]:
    """Return every instance that a fleet ever started: when, until when, its tags now."""
    with parts.turn:
        return [
            {**started, "instance_id": name, "tags": dict(backend.tags.get(name, {}))}
            for account in list(ec2_backends.values())
            for backend in list(account.values())
            for name, started in store(backend, FLEETS).items()
        ]


def _create(request: Any, faults: Faults) -> ActionResult:
    """Answer CreateFleet for an instant fleet; asked again with the same token, as the first time."""
    request.error_on_dryrun()
    token, asked = request._get_param("ClientToken"), json.dumps(request.params, default=str, sort_keys=True)
    known = store(request.ec2_backend, _TOKENS)
    if token in known:
        before, answer = known[token]
        if before != asked:
            raise EC2ClientError(
                "IdempotentParameterMismatch", f"The client token '{token}' was used for another request."
            )
        return ActionResult(answer)
    answer = _answer(request, faults)
    if token:
        known[token] = asked, answer
    return ActionResult(answer)


def _answer(request: Any, faults: Faults) -> dict[str, Any]:
    fleet_id = f"fleet-{uuid.uuid4()}"
    tags = convert_tag_spec(request._get_param("TagSpecifications", [])).get("instance", {})
    places = _places(request)
    instances: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for order in _orders(request, tags, fleet_id):
        launches = _possible(order, places, request.ec2_backend, faults, errors)
        if len(launches) < max(order.at_least, 1):
            continue
        for place, launch in launches:
            instance = start(launch)
            store(request.ec2_backend, FLEETS)[instance.id] = {"fleet_id": fleet_id, "began": time.time()}
            instances.append(
                {
                    "LaunchTemplateAndOverrides": place.shown,
                    "Lifecycle": launch.market,
                    "InstanceIds": [instance.id],
                    "InstanceType": instance.instance_type,
                }
            )
    return {"FleetId": fleet_id, "Errors": errors, "Instances": instances}


def _places(request: Any) -> list[Place]:
    """Return the pools in the order of the request. An override of anything but the place is not emulated."""
    backend, found = request.ec2_backend, []
    for config in request._get_param("LaunchTemplateConfigs", []):
        given = config["LaunchTemplateSpecification"]
        if template_id := given.get("LaunchTemplateId"):
            template = backend.get_launch_template(template_id)
        else:
            template = backend.get_launch_template_by_name(given["LaunchTemplateName"])
        version = template.get_version(given.get("Version") or "$Default")
        named = {"LaunchTemplateId": template.id, "Version": str(version.number)}
        for override in config.get("Overrides") or [{}]:
            if set(override) - {"SubnetId", "AvailabilityZone", "InstanceType", "Priority"}:
                raise NotImplementedError(f"overrides {sorted(override)}")
            if override.get("InstanceType", version.instance_type) != version.instance_type:
                raise NotImplementedError("an override of the instance type")
            subnet = override.get("SubnetId")
            zone = override.get("AvailabilityZone") or f"{backend.region_name}a"
            shown = {"LaunchTemplateSpecification": named, "Overrides": override}
            found.append(Place(version, subnet, zone, shown))
    return found


def _orders(request: Any, tags: dict[str, str], fleet_id: str) -> list[Order]:
    """Return what is asked for by the way of buying: what was not said goes to the default one."""
    target = request._get_param("TargetCapacitySpecification", {})
    counts = {
        ON_DEMAND: int(target.get("OnDemandTargetCapacity") or 0),
        SPOT: int(target.get("SpotTargetCapacity") or 0),
    }
    default = target.get("DefaultTargetCapacityType") or ON_DEMAND
    counts[default] = counts.get(default, 0) + int(target["TotalTargetCapacity"]) - sum(counts.values())
    options = {
        SPOT: request._get_param("SpotOptions", {}),
        ON_DEMAND: request._get_param("OnDemandOptions", {}),
        CAPACITY_BLOCK: {},
    }
    found = []
    for market, count in counts.items():
        chosen = options[market]
        at_least, single = (
            int(chosen.get("MinTargetCapacity") or 0),
            bool(chosen.get("SingleAvailabilityZone")),
        )
        if at_least and not (single or chosen.get("SingleInstanceType")):
            raise EC2ClientError(
                "InvalidParameterCombination",
                "MinTargetCapacity requires SingleInstanceType or SingleAvailabilityZone.",
            )
        if count > 0:
            found.append(Order(market, count, at_least, single, tags, fleet_id))
    return found


def _possible(
    order: Order, places: Sequence[Place], backend: Any, faults: Faults, errors: list[dict[str, Any]]
) -> list[tuple[Place, Launch]]:
    """Return the launches that there is capacity for, as many as the order has; in one zone if it says so."""
    found: list[tuple[Place, Launch]] = []
    for place in places:
        here = _possible_in(order, place, backend, faults, errors, [launch for _, launch in found])
        if order.single_zone and len(here) < max(order.at_least, 1):
            continue
        found += here
        if order.single_zone or len(found) == order.count:
            break
    return found


def _possible_in(
    order: Order,
    place: Place,
    backend: Any,
    faults: Faults,
    errors: list[dict[str, Any]],
    before: Sequence[Launch],
) -> list[tuple[Place, Launch]]:
    """Return the launches that the place has capacity for, beside those of other places."""
    launch = Launch(
        backend=backend,
        version=place.version,
        subnet=place.subnet,
        zone=place.zone,
        spot=order.market == SPOT,
        tags={**order.tags, "aws:ec2:fleet-id": order.fleet_id},
        sharers=order.count,
        about=f"FleetId={order.fleet_id}",
    )
    count = order.count - len(before)
    for here in range(count):
        try:
            refuse(launch, faults, [*before, *[launch] * here])
        except ServiceException as error:
            errors.append(
                {
                    "LaunchTemplateAndOverrides": place.shown,
                    "Lifecycle": order.market,
                    "ErrorCode": error.code,
                    "ErrorMessage": error.message,
                }
            )
            return [(place, launch)] * here
    return [(place, launch)] * count
