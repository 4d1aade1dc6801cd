"""What other tools own: by the tags that they put on what they make, and by what services say of theirs.

A mark of another tool outweighs everything: what has one is never taken for ours, whatever else it has.
"""

from __future__ import annotations

from typing import Final

from fleet.listings.listed import Listed
from stacks import naming

_TAGS: Final = {
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html
    "aws:cloudformation:": "CloudFormation",
    "aws:servicecatalog:": "Service Catalog",
    "aws:elasticmapreduce:": "EMR",
    "aws:backup:": "AWS Backup",
    "aws:dlm:": "Data Lifecycle Manager",
    "aws:ecs:": "ECS",
    "aws:eks:": "EKS",
    "eks:": "EKS",
    "alpha.eksctl.io/": "eksctl",
    "eksctl.cluster.k8s.io/": "eksctl",
    "karpenter.sh/": "Karpenter",
    "karpenter.k8s.aws/": "Karpenter",
    "kubernetes.io/": "Kubernetes",
    "k8s.io/": "Kubernetes",
    "kops.k8s.io/": "kOps",
    "sigs.k8s.io/": "Cluster API",
    "elbv2.k8s.aws/": "the AWS Load Balancer Controller",
    "service.k8s.aws/": "the AWS Load Balancer Controller",
    "ingress.k8s.aws/": "the AWS Load Balancer Controller",
    "ebs.csi.aws.com/": "the EBS CSI driver",
    "efs.csi.aws.com/": "the EFS CSI driver",
    "CSIVolumeName": "a CSI driver",
    "parallelcluster:": "ParallelCluster",
    "elasticbeanstalk:": "Elastic Beanstalk",
    "sagemaker:": "SageMaker",
    "AWSBatchServiceTag": "AWS Batch",
    "ray-cluster-name": "Ray",
    "skypilot-": "SkyPilot",
    "dstack_": "dstack",
}
"""Beginnings of the keys of tags -> whose they are."""
_TEXTS: Final = {
    "Amazon EKS ": "EKS",
    "aws-K8S-": "the VPC CNI plugin of Kubernetes",
    "[k8s] ": "Kubernetes",
    "ElasticMapReduce-": "EMR",
    "This snapshot is created by the AWS Backup service": "AWS Backup",
}
"""Beginnings of descriptions and names -> whose they are."""


def owner_of(listed: Listed, account_id: str) -> str:
    """Return who else owns a thing, in words, "" where nothing says that somebody does.

    `account_id` is this account's: what is shared with it by another one is not its own.
    """
    if naming.TAG_NOT_OURS in listed.tags:
        return listed.tags[naming.TAG_NOT_OURS] or "somebody, as a tag says"
    if listed.owner and account_id and listed.owner != account_id:
        return f"the account {listed.owner}"
    for beginning, tool in _TAGS.items():
        if any(key.startswith(beginning) for key in listed.tags):
            return tool
    for beginning, tool in _TEXTS.items():
        if any(text.startswith(beginning) for text in (listed.name, *listed.texts)):
            return tool
    return ""
