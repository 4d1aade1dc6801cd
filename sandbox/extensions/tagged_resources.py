"""The tagging API lists what moto's leaves out: launch templates, VPC endpoints, addresses, our additions.

Seam: `EC2Backend.iter_tagged_resources`, which GetResources reads; drop an entry when moto's own list has it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from moto.core.resource_tagging import TaggedResource
from moto.ec2.models import EC2Backend

from sandbox.extensions.capacity_reservations import reservations_of
from sandbox.extensions.placement_groups import groups_of
from sandbox.parts import Parts


def install(parts: Parts) -> None:
    """Append to moto's list."""
    listed = EC2Backend.iter_tagged_resources

    @functools.wraps(listed)
    def iter_tagged_resources(self: Any) -> Iterator[Any]:
        yield from listed(self)
        for kind, name, resource_id in _more(self):
            yield TaggedResource(
                arn=f"arn:{self.partition}:ec2:{self.region_name}:{self.account_id}:{kind}/{name}",
                tags=dict(self.tags.get(resource_id, {})),
                resource_type=f"ec2:{kind}",
            )

    EC2Backend.iter_tagged_resources = iter_tagged_resources


def _more(backend: Any) -> Iterator[tuple[str, str, str]]:
    """Yield kind, name in the ARN and id of every further resource."""
    for template_id in list(backend.launch_templates):
        yield "launch-template", template_id, template_id
    for endpoint_id, endpoint in list(backend.vpc_end_points.items()):
        if endpoint.state != "deleted":
            yield "vpc-endpoint", endpoint_id, endpoint_id
    for address in list(backend.addresses):
        if address.allocation_id:
            yield "elastic-ip", address.allocation_id, address.allocation_id
    for name, group in list(groups_of(backend).items()):
        yield "placement-group", name, group["GroupId"]
    for reservation_id, reservation in list(reservations_of(backend).items()):
        if reservation["State"] != "cancelled":
            yield "capacity-reservation", reservation_id, reservation_id
