"""The base stack: what an environment keeps between runs, and what costs little."""

from __future__ import annotations

from stacks.account import AccountSpec
from stacks.base_outputs import BaseOutputs
from stacks.budget_net import add_budget
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from stacks.environment_people import add_environment_people
from stacks.keys import add_key
from stacks.lease import add_lease
from stacks.network import add_network
from stacks.place import find_place
from stacks.roles import Storage, add_roles
from stacks.run_roles import add_run_roles
from stacks.session_document import add_session_rights
from stacks.storage import add_file_systems
from stacks.storage_buckets import add_buckets
from stacks.team_people import add_team_people


def fill_base_stack(stack: Stack, account: AccountSpec, spec: EnvironmentSpec) -> None:
    """Add the environment's lasting resources to the stack, and its outputs."""
    place = find_place(stack, spec.region)
    key = add_key(stack, spec, place)
    network = add_network(stack, account, spec, place, key)
    buckets = add_buckets(stack, account, spec, key)
    storage = Storage(buckets.artifacts.arn, buckets.datasets.arn, key.arn)
    profiles = add_roles(stack, account, spec, place, storage)
    add_run_roles(stack, account, spec, place, storage, profiles.node_role)
    files = add_file_systems(stack, account, spec, key, network, buckets, profiles.roles)
    operator = add_environment_people(stack, account, spec, place, storage)
    add_team_people(stack, account, spec, place, storage)
    add_session_rights(stack, account, place)
    add_lease(stack, account, spec, place)
    starters = (profiles.head_role_name, *((operator,) if operator else ()))
    add_budget(stack, account, spec, place, starters)
    BaseOutputs(
        vpc_id=network.vpc_id,
        subnet_ids=network.subnet_ids,
        nodes_security_group_id=network.nodes_security_group_id,
        kms_key_arn=key.arn,
        artifact_bucket=buckets.artifacts.bucket,
        dataset_bucket=buckets.datasets.bucket,
        storage_security_group_id=files.security_group_id,
        shared_id=files.shared_id,
        shared_access_point=files.shared_access_point,
        fast_dns_name=files.fast_dns_name,
        fast_mount_name=files.fast_mount_name,
        head_profile=profiles.head,
        node_profile=profiles.node,
    ).publish(stack)
