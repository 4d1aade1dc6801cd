"""What the deployer may do to machines: templates, groups and documents of environments."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.deployer_network import NEW, OURS, anywhere, ec2_arns
from stacks.place import Place
from stacks.policies import statement

_CHANGE_GROUPS = (
    "autoscaling:CreateOrUpdateTags",
    "autoscaling:DeleteAutoScalingGroup",
    "autoscaling:DeleteTags",
    "autoscaling:ResumeProcesses",
    "autoscaling:SetDesiredCapacity",
    "autoscaling:SetInstanceProtection",
    "autoscaling:SuspendProcesses",
    "autoscaling:TerminateInstanceInAutoScalingGroup",
    "autoscaling:UpdateAutoScalingGroup",
)
_CHANGE_TEMPLATES = (
    "ec2:CreateLaunchTemplateVersion",
    "ec2:DeleteLaunchTemplate",
    "ec2:DeleteLaunchTemplateVersions",
    "ec2:DeletePlacementGroup",
    "ec2:ModifyLaunchTemplate",
)


def machine_statements(place: Place) -> list[dict[str, Any]]:
    """Return the rights to launch templates, placement groups and Auto Scaling groups.

    Whoever gives a group its template is asked for the right to run what it describes.
    """
    return [
        statement(
            "MakeTemplates",
            actions=["ec2:CreateLaunchTemplate", "ec2:CreatePlacementGroup"],
            resources=ec2_arns(place, "launch-template", "placement-group"),
            conditions=NEW,
        ),
        statement(
            "ChangeTemplates",
            actions=_CHANGE_TEMPLATES,
            resources=ec2_arns(place, "launch-template", "placement-group"),
            conditions=OURS,
        ),
        statement(
            "RunFromTemplates",
            actions=["ec2:RunInstances"],
            resources=ec2_arns(place, "launch-template", "placement-group", "security-group"),
            conditions=OURS,
        ),
        statement(
            "RunMachines",
            actions=["ec2:RunInstances"],
            resources=[
                *ec2_arns(place, "capacity-reservation", "instance", "network-interface", "subnet", "volume"),
                f"arn:{place.partition}:ec2:*::image/*",
            ],
        ),
        *_group_statements(place),
        *_document_statements(place),
        *_cluster_statements(place),
    ]


def _cluster_statements(place: Place) -> list[dict[str, Any]]:
    """Return the rights to the disks and keys of clusters; a key's value is the machines' alone."""
    return [
        statement(
            "MakeDisks", actions=["ec2:CreateVolume"], resources=ec2_arns(place, "volume"), conditions=NEW
        ),
        statement(
            "ChangeDisks",
            actions=["ec2:DeleteVolume", "ec2:ModifyVolume"],
            resources=ec2_arns(place, "volume"),
            conditions=OURS,
        ),
        statement(
            "ClusterKeys",
            actions=[
                "secretsmanager:CreateSecret",
                "secretsmanager:DeleteSecret",
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetResourcePolicy",
                "secretsmanager:TagResource",
                "secretsmanager:UntagResource",
                "secretsmanager:UpdateSecret",
            ],
            resources=anywhere(place, "secretsmanager", f"secret:{naming.munge_secret('*')}*"),
        ),
        # Nodes beyond a fleet's group are in no state; a teardown ends them.
        statement(
            "EndNodes",
            actions=["ec2:TerminateInstances"],
            resources=ec2_arns(place, "instance"),
            conditions=OURS,
        ),
    ]


def _group_statements(place: Place) -> list[dict[str, Any]]:
    groups = anywhere(place, "autoscaling", "autoScalingGroup:*:autoScalingGroupName/*")
    return [
        statement(
            "MakeGroups",
            actions=["autoscaling:CreateAutoScalingGroup", "autoscaling:CreateOrUpdateTags"],
            resources=groups,
            conditions=NEW,
        ),
        statement(
            "ChangeGroups",
            actions=_CHANGE_GROUPS,
            resources=groups,
            conditions=OURS,
        ),
    ]


def _document_statements(place: Place) -> list[dict[str, Any]]:
    """Return the rights to the run documents and the outputs' parameters, by their names."""
    return [
        statement(
            "RunDocuments",
            actions=[
                "ssm:AddTagsToResource",
                "ssm:CreateDocument",
                "ssm:DeleteDocument",
                "ssm:DescribeDocument",
                "ssm:DescribeDocumentPermission",
                "ssm:GetDocument",
                "ssm:ListTagsForResource",
                "ssm:RemoveTagsFromResource",
                "ssm:UpdateDocument",
                "ssm:UpdateDocumentDefaultVersion",
            ],
            resources=anywhere(place, "ssm", *(f"document/{each}" for each in naming.command_documents())),
        ),
        statement(
            "Outputs",
            actions=[
                "ssm:AddTagsToResource",
                "ssm:DeleteParameter",
                "ssm:GetParameter",
                "ssm:GetParameters",
                "ssm:ListTagsForResource",
                "ssm:PutParameter",
                "ssm:RemoveTagsFromResource",
            ],
            resources=anywhere(place, "ssm", f"parameter{naming.outputs_parameter('*')}"),
        ),
        statement(
            "Images",
            actions=["ssm:GetParameter", "ssm:GetParameters"],
            resources=[f"arn:{place.partition}:ssm:*::parameter/aws/service/*"],
        ),
    ]
