"""Parts of a network that cannot be deleted while something hangs on them, as EC2 refuses it.

Seam: the delete actions on `EC2Response`, and the end of `Instance`. moto deletes subnets and security groups
whatever is in them, a VPC with groups or endpoints in it, an interface that a machine has; leaves the
interfaces of an ended machine attached to it for ever; and keeps an endpoint whose route table has gone. Drop
each when it no longer does so. Interfaces that moto makes by itself for NAT gateways and mount targets hold
nothing: it does not always take them away.
https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import DependencyViolationError, EC2ClientError
from moto.ec2.models.instances import Instance
from moto.ec2.responses import EC2Response

from sandbox.parts import Parts, store

_MADE = "interfaces_made_by_call"


def install(parts: Parts) -> None:
    """Wrap the actions, and the end of a machine."""
    create, terminate = EC2Response.create_network_interface, Instance.terminate

    @functools.wraps(create)
    def create_network_interface(self: Any) -> ActionResult:
        answer = create(self)
        store(self.ec2_backend, _MADE)[answer.result["NetworkInterface"].id] = True
        return answer

    @functools.wraps(terminate)
    def terminate_and_detach(self: Any) -> Any:
        previous = terminate(self)
        for each in list(self.nics.values()):
            if each.id in self.ec2_backend.enis:
                self.detach_eni(each)
        return previous

    EC2Response.create_network_interface = create_network_interface
    Instance.terminate = terminate_and_detach
    EC2Response.delete_network_interface = _unless(_refuse_interface, EC2Response.delete_network_interface)
    EC2Response.delete_security_group = _unless(_refuse_group, EC2Response.delete_security_group)
    EC2Response.delete_subnet = _unless(_refuse_subnet, EC2Response.delete_subnet)
    EC2Response.delete_vpc = _unless(_refuse_vpc, EC2Response.delete_vpc)
    EC2Response.delete_vpc_endpoints = _unless(_forget_tables, EC2Response.delete_vpc_endpoints)


def _unless(refuse: Callable[[Any], None], delete: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return moto's deletion, before which `refuse` may raise."""

    @functools.wraps(delete)
    def checked(self: Any) -> Any:
        refuse(self)
        return delete(self)

    return checked


def _refuse_interface(request: Any) -> None:
    identity = request._get_param("NetworkInterfaceId")
    found = request.ec2_backend.enis.get(identity)
    if found is not None and (_is_live(found) or found.requester_managed):
        text = f"Network interface '{identity}' is currently in use."
        raise EC2ClientError("InvalidNetworkInterface.InUse", text)


def _refuse_subnet(request: Any) -> None:
    identity = request._get_param("SubnetId")
    if any(each.subnet.id == identity for each in _holding(request.ec2_backend)):
        text = f"The subnet '{identity}' has dependencies and cannot be deleted."
        raise DependencyViolationError(text)


def _refuse_group(request: Any) -> None:
    backend, identity = request.ec2_backend, request._get_param("GroupId")
    in_it = any(identity in {group.id for group in each.group_set} for each in _holding(backend))
    named = any(
        rule.source_group.get("GroupId") == identity
        for groups in backend.groups.values()
        for other in groups.values()
        if other.id != identity
        for rule in (*other.ingress_rules, *other.egress_rules)
    )
    if in_it or named:
        raise DependencyViolationError(f"resource {identity} has a dependent object")


def _refuse_vpc(request: Any) -> None:
    identity = request._get_param("VpcId")
    backend = request.ec2_backend
    groups = [each for each in backend.groups.get(identity, {}).values() if not each.is_default]
    endpoints = [each for each in backend.vpc_end_points.values() if each.state != "deleted"]
    if groups or any(each.vpc_id == identity for each in endpoints):
        raise DependencyViolationError(f"The vpc '{identity}' has dependencies and cannot be deleted.")


def _forget_tables(request: Any) -> None:
    """Take the route tables that have gone from the endpoints that are about to go."""
    backend = request.ec2_backend
    for identity in request._get_param("VpcEndpointIds", []):
        if endpoint := backend.vpc_end_points.get(identity):
            endpoint.route_table_ids = [
                each for each in endpoint.route_table_ids or () if each in backend.route_tables
            ]


def _holding(backend: Any) -> Iterator[Any]:
    """Yield the interfaces that somebody made, those of endpoints, and of machines that have not ended."""
    made = store(backend, _MADE)
    for each in backend.enis.values():
        if each.id in made or each.requester_managed or _is_live(each):
            yield each


def _is_live(interface: Any) -> bool:
    return interface.instance is not None and interface.instance.state != "terminated"
