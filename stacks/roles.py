"""What the machines of an environment may do: the roles of the head node and of the nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.generated import iam
from stacks.aws.layer import Ref
from stacks.boundary import boundary_arn
from stacks.cdk import Stack
from stacks.cluster_permissions import CLUSTER, PACKAGES, head_statements, node_statements
from stacks.environment import EnvironmentSpec
from stacks.idle_policy import idle_statements
from stacks.place import Place
from stacks.policies import policy, statement
from stacks.storage_permissions import run_file_system_statements


@dataclass(frozen=True)
class Storage:
    """The buckets and the key of their objects, by their ARNs."""

    bucket_arn: Ref
    """Of the artifact bucket."""
    datasets_arn: Ref
    key_arn: Ref


@dataclass(frozen=True)
class Profiles:
    """Names of the instance profiles."""

    head: Ref
    node: Ref
    head_role: Ref
    node_role: Ref
    """ARNs of the roles themselves."""
    head_role_name: Ref

    @property
    def roles(self) -> tuple[Ref, ...]:
        """Both roles' ARNs."""
        return (self.head_role, self.node_role)


def environment_boundary(account: AccountSpec, place: Place) -> str:
    """Return the ARN of the boundary that every role of an environment has."""
    return boundary_arn(account.organization, place.partition, place.account_id)


def add_roles(
    stack: Stack, account: AccountSpec, spec: EnvironmentSpec, place: Place, storage: Storage
) -> Profiles:
    """Add both roles with the least that they need, and their instance profiles."""
    node_document = place.arn("ssm", f"document/{naming.node_document(spec.name)}")
    instances = place.arn("ec2", "instance/*")
    named = naming.environment_role(spec.name, naming.ROLE_NODE, spec.region)
    node_arn = f"arn:{place.partition}:iam::{place.account_id}:role/{named}"
    told = (CLUSTER, PACKAGES) if spec.scheduler.is_slurm else ()
    head = policy(
        *_storage_statements(spec, storage, read=("runs", "nodes", "node", *told), write=("runs", "nodes")),
        *_dispatch_statements(spec, node_document, instances),
        *run_file_system_statements(spec, place, storage.bucket_arn, storage.datasets_arn),
        *head_statements(spec, place, storage.bucket_arn, storage.key_arn, node_arn),
        *idle_statements(spec, place),
    )
    node = policy(
        *_storage_statements(spec, storage, read=("runs", "node", *told), write=("runs",)),
        statement("ReadDatasets", actions=["s3:GetObject"], resources=[f"{storage.datasets_arn}/*"]),
        # The lifecycle rule knows checkpoints by their tag.
        statement(
            "TagCheckpoints", actions=["s3:PutObjectTagging"], resources=[f"{storage.bucket_arn}/runs/*"]
        ),
        *node_statements(spec, place, storage.bucket_arn),
    )
    boundary = environment_boundary(account, place)
    head_profile, head_role = _role(stack, spec, naming.ROLE_HEAD, place.partition, head, boundary)
    node_profile, node_role = _role(stack, spec, naming.ROLE_NODE, place.partition, node, boundary)
    return Profiles(head_profile, node_profile, head_role.arn, node_role.arn, head_role.name)


def _role(
    stack: Stack, spec: EnvironmentSpec, role: str, partition: str, permissions: str, boundary: str
) -> tuple[Ref, iam.IamRole]:
    """Add one role; return the name of its instance profile, and the role."""
    name = naming.environment_role(spec.name, role, spec.region)
    trust = statement("Ec2", principal={"Service": "ec2.amazonaws.com"}, actions=["sts:AssumeRole"])
    made = iam.IamRole(
        stack,
        role,
        name=name,
        description=f"The {role} of {spec.name}",
        assume_role_policy=policy(trust),
        permissions_boundary=boundary,
    )
    iam.IamRolePolicy(stack, role, name="fleetform", role=made.id, policy=permissions)
    # Registers the machine with Systems Manager, through which commands and sessions reach it.
    iam.IamRolePolicyAttachment(
        stack,
        role,
        role=made.name,
        policy_arn=f"arn:{partition}:iam::aws:policy/AmazonSSMManagedInstanceCore",
    )
    return iam.IamInstanceProfile(stack, role, name=name, role=made.name).name, made


def _storage_statements(
    spec: EnvironmentSpec, storage: Storage, *, read: tuple[str, ...], write: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return the statements for the folders of the artifact bucket that a machine reads and writes."""
    through = [f"s3.{spec.region}.amazonaws.com"]
    if spec.scheduler.is_slurm:
        through.append(f"secretsmanager.{spec.region}.amazonaws.com")
    return [
        statement("List", actions=["s3:ListBucket"], resources=[storage.bucket_arn]),
        statement(
            "Read",
            actions=["s3:GetObject"],
            resources=[f"{storage.bucket_arn}/{folder}/*" for folder in read],
        ),
        statement(
            "Write",
            actions=["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject"],
            resources=[f"{storage.bucket_arn}/{folder}/*" for folder in write],
        ),
        statement(
            "Encrypt",
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=[storage.key_arn],
            conditions={"StringEquals": {"kms:ViaService": through}},
        ),
    ]


def _dispatch_statements(spec: EnvironmentSpec, node_document: str, instances: str) -> list[dict[str, Any]]:
    """Return the statements for sending one document to the environment's own nodes, and to nothing else."""
    own_nodes = {
        f"ssm:resourceTag/{naming.TAG_ENVIRONMENT}": spec.name,
        f"ssm:resourceTag/{naming.TAG_ROLE}": naming.ROLE_NODE,
    }
    return [
        statement("SendDocument", actions=["ssm:SendCommand"], resources=[node_document]),
        statement(
            "SendToNodes",
            actions=["ssm:SendCommand"],
            resources=[instances],
            conditions={"StringEquals": own_nodes},
        ),
        # These cannot be narrowed to single resources.
        statement(
            "Watch",
            actions=[
                "ec2:DescribeInstances",
                "ssm:CancelCommand",
                "ssm:DescribeInstanceInformation",
                "ssm:GetCommandInvocation",
                "ssm:ListCommandInvocations",
            ],
            resources=["*"],
        ),
    ]
