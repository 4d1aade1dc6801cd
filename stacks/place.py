"""Where a stack stands, partition, region and account, and the ARNs that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

from stacks.aws.generated import account
from stacks.cdk import Stack


@dataclass(frozen=True, kw_only=True)
class Place:
    """The partition, region and account of a stack; Terraform asks AWS for the first and the last."""

    partition: str
    region: str
    account_id: str

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of something in this region and account: `arn("ec2", "instance/*")`."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account_id}:{resource}"

    def bucket_arn(self, bucket: str) -> str:
        """Return the ARN of a bucket, which names neither region nor account."""
        return f"arn:{self.partition}:s3:::{bucket}"

    @property
    def root_arn(self) -> str:
        """The account itself as a principal."""
        return f"arn:{self.partition}:iam::{self.account_id}:root"


def find_place(stack: Stack, region: str) -> Place:
    """Add the data sources that tell partition and account, once a stack, and return the place."""
    return Place(
        partition=account.DataPartition(stack, "current").partition,
        region=region,
        account_id=account.DataCallerIdentity(stack, "current").account_id,
    )
