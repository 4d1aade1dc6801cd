"""An environment's network: no way in from outside, and out only where nodes have to go."""

from __future__ import annotations

from dataclasses import dataclass

from stacks.account import AccountSpec
from stacks.aws.generated import kms
from stacks.cdk import Stack
from stacks.endpoints import Endpoints
from stacks.environment import EnvironmentSpec
from stacks.existing_vpc import find_vpc
from stacks.flow_logs import add_flow_logs
from stacks.own_vpc import add_own_vpc
from stacks.place import Place
from stacks.security_groups import add_security_groups


@dataclass(frozen=True)
class Network:
    """What the rest of an environment needs to know of its network."""

    vpc_id: str
    subnet_ids: tuple[str, ...]
    """One private subnet per availability zone."""
    nodes_security_group_id: str


def add_network(
    stack: Stack, account: AccountSpec, spec: EnvironmentSpec, place: Place, key: kms.KmsKey
) -> Network:
    """Add the network, its own or what there is to add to an existing one; `key` encrypts its flow logs."""
    own = spec.network.is_own
    parts = add_own_vpc(stack, spec) if own else find_vpc(stack, spec)
    endpoints = Endpoints(stack=stack, account=account, spec=spec, place=place, parts=parts)
    groups = add_security_groups(stack, spec, parts.vpc_id, endpoints.add_s3())
    endpoints.add_interfaces(groups.endpoints)
    if own and spec.network.flow_logs != "none":
        add_flow_logs(stack, account, spec, place, key, parts.vpc_id)
    return Network(parts.vpc_id, parts.subnet_ids, groups.nodes)
