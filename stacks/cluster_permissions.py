"""What a cluster under Slurm needs of IAM: the head node starts and ends nodes, all of them share a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stacks import naming
from stacks.environment import EnvironmentSpec
from stacks.place import Place
from stacks.policies import statement

CLUSTER = "cluster"
"""Folder of the artifact bucket that tells machines what they are a cluster of; `node/cluster/` reads it."""
PACKAGES = "packages"
"""Folder of the artifact bucket with what machines and runs install: Debian's packages of Slurm, Python's."""
QUEUE_FILES = ("queue.json", "nodes.json")
"""What the head node tells of the queue, in that folder."""
_OWN_TAGS = (naming.TAG_NODE, naming.TAG_LAUNCH)
"""The only tags that the head node changes on a machine that runs."""
_Conditions = Mapping[str, Mapping[str, str | Sequence[str]]]


def secret_arn(spec: EnvironmentSpec, place: Place) -> str:
    """Return the ARN of the cluster's key, with what Secrets Manager puts behind a name: six characters."""
    return place.arn("secretsmanager", f"secret:{naming.munge_secret(spec.name)}-??????")


def head_statements(
    spec: EnvironmentSpec, place: Place, artifacts: str, key: str, node_role: str
) -> list[dict[str, Any]]:
    """Return the head node's rights beyond those of any; none without Slurm.

    `artifacts`, `key` and `node_role` are the ARNs of the artifact bucket, the environment's key, and its
    nodes' role.
    """
    if not spec.scheduler.is_slurm:
        return []
    return [
        statement(
            "TellOfQueue",
            actions=["s3:PutObject"],
            resources=[f"{artifacts}/{CLUSTER}/{name}" for name in QUEUE_FILES],
        ),
        statement(
            "ShareKey",
            actions=[
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
            ],
            resources=[secret_arn(spec, place)],
        ),
        *_launch_statements(spec, place, node_role),
        *_end_statements(spec, place),
        *_volume_statements(spec, place, key),
        # These cannot be narrowed to single resources.
        statement(
            "SeeMachines",
            actions=[
                "ec2:DescribeInstanceStatus",
                "ec2:DescribeLaunchTemplates",
                "ec2:DescribeTags",
                "ec2:DescribeVolumes",
            ],
            resources=["*"],
        ),
    ]


def node_statements(spec: EnvironmentSpec, place: Place, artifacts: str) -> list[dict[str, Any]]:
    """Return the nodes' rights beyond those of any; none without Slurm."""
    if not spec.scheduler.is_slurm:
        return []
    return [
        statement("TellHowItIs", actions=["s3:PutObject"], resources=[f"{artifacts}/{CLUSTER}/stats/*"]),
        statement("ReadKey", actions=["secretsmanager:GetSecretValue"], resources=[secret_arn(spec, place)]),
        # node/metadata/ takes them on for the teams' runs, which get nothing else.
        statement("LendToRuns", actions=["sts:AssumeRole"], resources=run_role_arns(spec, place)),
        # Its own name, and where the head is. These cannot be narrowed to single resources.
        statement("FindHead", actions=["ec2:DescribeInstances", "ec2:DescribeTags"], resources=["*"]),
    ]


def run_role_arns(spec: EnvironmentSpec, place: Place) -> list[str]:
    """Return patterns of the ARNs of the roles of all teams' runs, and of no others of the environment's."""
    names = [naming.run_role(spec.name, team, spec.region) for team in ("", "*")]
    return [f"arn:{place.partition}:iam::{place.account_id}:role/{name}" for name in names]


def _launch_statements(spec: EnvironmentSpec, place: Place, node_role: str) -> list[dict[str, Any]]:
    """Return the rights to start nodes: from the environment's templates, as its nodes, tagged as such.

    A fleet request (EC2 Fleet) takes templates only, and one of the type `instant` runs instances in the
    caller's name. What is named carries the environment's tag; what is made gets it with the same call.
    """
    new = {"StringEquals": {f"aws:RequestTag/{naming.TAG_ENVIRONMENT}": spec.name}}
    new_node = {
        "StringEquals": {**new["StringEquals"], f"aws:RequestTag/{naming.TAG_ROLE}": naming.ROLE_NODE}
    }
    order, image = ["ec2:CreateFleet"], f"arn:{place.partition}:ec2:{place.region}::image/*"
    # Disks and interfaces come with an instance alone; images, subnets and reservations may be others', and
    # the template says which.
    within = _ec2(place, "capacity-reservation", "subnet", "network-interface", "volume")
    return [
        statement("OrderNodes", actions=order, resources=_ec2(place, "instance"), conditions=new_node),
        statement("OrderFleets", actions=order, resources=_ec2(place, "fleet"), conditions=new),
        statement("OrderIn", actions=order, resources=[*within, image]),
        statement(
            "LaunchFrom",
            actions=[*order, "ec2:RunInstances"],
            resources=_ec2(place, "launch-template", "placement-group", "security-group"),
            conditions=_own(spec),
        ),
        *_run_statements(place, new_node, within, image),
        *_launched_statements(place, node_role, new),
    ]


def _run_statements(
    place: Place, new_node: Mapping[str, Mapping[str, str]], within: list[str], image: str
) -> list[dict[str, Any]]:
    """Return the rights to run instances: from a template only, and from the image that it names.

    Which template is a matter of that resource's own statement. A subnet is chosen with the order, so it need
    not be the template's.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/use-launch-templates-to-control-launching-instances.html
    """
    run = ["ec2:RunInstances"]
    templates: _Conditions = {"ArnLike": {"ec2:LaunchTemplate": _ec2(place, "launch-template")}}
    as_template_says: _Conditions = {**templates, "Bool": {"ec2:IsLaunchTemplateResource": "true"}}
    node: _Conditions = {**new_node, **templates}
    return [
        statement("RunNodes", actions=run, resources=_ec2(place, "instance"), conditions=node),
        statement("RunIn", actions=run, resources=within, conditions=templates),
        statement("RunImage", actions=run, resources=[image], conditions=as_template_says),
    ]


def _launched_statements(
    place: Place, node_role: str, new: Mapping[str, Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Return the rights to tag what a launch makes, and to give it the nodes' role and no other."""
    return [
        statement(
            "TagLaunched",
            actions=["ec2:CreateTags"],
            resources=_ec2(place, "fleet", "instance", "network-interface", "volume"),
            conditions={**new, "StringLike": {"ec2:CreateAction": ["CreateFleet", "RunInstances"]}},
        ),
        statement(
            "HandOverNodeRole",
            actions=["iam:PassRole"],
            resources=[node_role],
            conditions={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        ),
    ]


def _end_statements(spec: EnvironmentSpec, place: Place) -> list[dict[str, Any]]:
    """Return the rights to name nodes and to end them; a group starts another for one of its own."""
    nodes = _own(spec, naming.ROLE_NODE)
    return [
        statement(
            "NameNodes",
            actions=["ec2:CreateTags", "ec2:DeleteTags"],
            resources=_ec2(place, "instance"),
            conditions={**nodes, "ForAllValues:StringEquals": {"aws:TagKeys": _OWN_TAGS}},
        ),
        statement(
            "EndNodes",
            actions=["ec2:TerminateInstances"],
            resources=_ec2(place, "instance"),
            conditions=nodes,
        ),
    ]


def _volume_statements(spec: EnvironmentSpec, place: Place, key: str) -> list[dict[str, Any]]:
    """Return the rights to take the queue's disk from the head before this one."""
    return [
        statement(
            "TakeQueueDisk",
            actions=["ec2:AttachVolume", "ec2:DetachVolume"],
            resources=_ec2(place, "volume"),
            conditions=_own(spec),
        ),
        statement(
            "TakeQueueDiskHere",
            actions=["ec2:AttachVolume", "ec2:DetachVolume"],
            resources=_ec2(place, "instance"),
            conditions=_own(spec, naming.ROLE_HEAD),
        ),
        # EC2 reads an encrypted disk with a grant that whoever attaches it makes (EBS's guide).
        statement(
            "LetQueueDiskBeRead",
            actions=["kms:CreateGrant"],
            resources=[key],
            conditions={
                "Bool": {"kms:GrantIsForAWSResource": "true"},
                "StringEquals": {"kms:ViaService": f"ec2.{spec.region}.amazonaws.com"},
            },
        ),
    ]


def _own(spec: EnvironmentSpec, role: str = "") -> dict[str, dict[str, str]]:
    """Return the condition that a thing carries the environment's tag, and that of a role."""
    tags = {f"aws:ResourceTag/{naming.TAG_ENVIRONMENT}": spec.name}
    return {"StringEquals": tags | ({f"aws:ResourceTag/{naming.TAG_ROLE}": role} if role else {})}


def _ec2(place: Place, *kinds: str) -> list[str]:
    return [place.arn("ec2", f"{kind}/*") for kind in kinds]
