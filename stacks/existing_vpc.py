"""A VPC that is there already: found by its id, looked at, and never changed."""

from __future__ import annotations

from stacks.aws.generated import vpc
from stacks.aws.layer import Condition
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from stacks.vpc_parts import VpcParts


def find_vpc(stack: Stack, spec: EnvironmentSpec) -> VpcParts:
    """Add the data sources of the VPC, its subnets and their route tables.

    What the environment counts on is a postcondition, so that a plan already says what is not so: the block,
    DNS, subnets that are private, of this VPC and of different zones.
    """
    network = spec.network
    found = vpc.DataVpc(
        stack,
        "existing",
        filter=[{"name": "vpc-id", "values": [network.vpc_id]}],
        lifecycle={"postcondition": _vpc_conditions(spec)},
    )
    subnets, tables = [], []
    for index, subnet in enumerate(network.subnet_ids):
        made = vpc.DataSubnet(
            stack,
            f"existing_{index}",
            filter=[{"name": "subnet-id", "values": [subnet]}],
            lifecycle={"postcondition": _subnet_conditions(spec, index)},
        )
        subnets.append(made.id)
        tables.append(_route_table(stack, found, subnet, index))
    return VpcParts(vpc_id=found.id, subnet_ids=tuple(subnets), route_table_ids=tuple(tables))


def _vpc_conditions(spec: EnvironmentSpec) -> list[Condition]:
    network = spec.network
    blocks = "self.cidr_block_associations[*].cidr_block"
    conditions: list[Condition] = [
        {
            "condition": f'${{contains({blocks}, "{network.cidr}")}}',
            "error_message": f"{network.vpc_id} does not have the block {network.cidr}. Set network.cidr of "
            f"{spec.name} to the block that its subnets lie in.",
        }
    ]
    if network.endpoints == "made":
        conditions.append(
            {
                "condition": "${self.enable_dns_support && self.enable_dns_hostnames}",
                "error_message": f"{network.vpc_id} lacks DNS support or DNS hostnames, and endpoints cannot "
                "answer under the services' names without. Have its owner turn both on, or set "
                'network.endpoints to "existing".',
            }
        )
    return conditions


def _subnet_conditions(spec: EnvironmentSpec, index: int) -> list[Condition]:
    network = spec.network
    subnet = network.subnet_ids[index]
    conditions: list[Condition] = [
        {
            "condition": f'${{self.vpc_id == "{network.vpc_id}"}}',
            "error_message": f"{subnet} is not a subnet of {network.vpc_id}. Set network.subnet_ids of "
            f"{spec.name} to subnets of it.",
        },
        {
            "condition": "${!self.map_public_ip_on_launch}",
            "error_message": f"{subnet} gives public addresses to what starts in it. Name a private subnet.",
        },
    ]
    if index < len(network.zone_names):
        zone = network.zone_names[index]
        conditions.append(
            {
                "condition": f'${{self.availability_zone == "{zone}"}}',
                "error_message": f"{subnet} is not in {zone}. Set network.zone_names of {spec.name} to the "
                "zones of network.subnet_ids, in the same order.",
            }
        )
    if index:
        before = ", ".join(f"data.aws_subnet.existing_{each}.availability_zone" for each in range(index))
        conditions.append(
            {
                "condition": f"${{!contains([{before}], self.availability_zone)}}",
                "error_message": f"{subnet} is in the zone of another of network.subnet_ids of {spec.name}. "
                "Name one subnet a zone.",
            }
        )
    return conditions


def _is_private(subnet: str) -> Condition:
    """Return the condition on a subnet's route table: no route to an internet gateway."""
    return {
        "condition": '${alltrue([for route in self.routes : !startswith(route.gateway_id, "igw-")])}',
        "error_message": f"{subnet} has a route to an internet gateway, so it is a public subnet. Name a "
        "private one.",
    }


def _route_table(stack: Stack, found: vpc.DataVpc, subnet: str, index: int) -> str:
    """Add the look at the subnet's route table and return its id: the VPC's main one where it has none."""
    name = f"existing_{index}"
    own = vpc.DataRouteTables(
        stack,
        name,
        vpc_id=found.id,
        filter=[{"name": "association.subnet-id", "values": [subnet]}],
    )
    table = vpc.DataRouteTable(
        stack,
        name,
        route_table_id=f"${{coalescelist({own.address}.ids, [{found.address}.main_route_table_id])[0]}}",
        lifecycle={"postcondition": [_is_private(subnet)]},
    )
    return table.route_table_id
