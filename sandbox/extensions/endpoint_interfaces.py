"""Interfaces of interface endpoints are the endpoints' own: in use, and gone with them alone.

Seam: `EC2Backend.create_vpc_endpoint`. moto's look as if somebody had made them and attached them to nothing.
Drop this when moto has their type.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkInterface.html
"""

from __future__ import annotations

import functools
from typing import Any

from moto.ec2.models import EC2Backend

from sandbox.parts import Parts


def install(parts: Parts) -> None:
    """Wrap the making of endpoints."""
    create = EC2Backend.create_vpc_endpoint

    @functools.wraps(create)
    def create_vpc_endpoint(self: Any, *arguments: Any, **named: Any) -> Any:
        made = create(self, *arguments, **named)
        for identity in made.network_interface_ids:
            interface = self.enis[identity]
            interface.interface_type = "vpc_endpoint"
            interface.status = "in-use"
            interface.requester_managed = True
            interface.description = f"VPC Endpoint Interface {made.id}"
        return made

    EC2Backend.create_vpc_endpoint = create_vpc_endpoint
