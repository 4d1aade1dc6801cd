"""The endpoints through which machines reach AWS's services, and what they let through when closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.generated import vpc
from stacks.cdk import Stack
from stacks.endpoint_services import interface_services
from stacks.environment import EnvironmentSpec
from stacks.place import Place
from stacks.policies import policy, statement
from stacks.vpc_parts import VpcParts

OPEN = policy(statement("Open", principal="*", actions=["*"], resources=["*"]))
"""What AWS gives an endpoint by itself; said, for one that is no longer told keeps the policy that it had."""


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """The endpoints of one environment in the making."""

    stack: Stack
    account: AccountSpec
    spec: EnvironmentSpec
    place: Place
    parts: VpcParts

    def add_s3(self) -> str:
        """Add the gateway endpoint of S3, or find S3's addresses; return the id of their prefix list."""
        service = self._service_name("s3")
        if self.spec.network.endpoints == "existing":
            return vpc.DataEc2ManagedPrefixList(self.stack, "s3", name=service).id
        return vpc.VpcEndpoint(
            self.stack,
            "s3",
            vpc_id=self.parts.vpc_id,
            service_name=service,
            vpc_endpoint_type="Gateway",
            route_table_ids=self.parts.route_table_ids,
            tags={"Name": f"{self.spec.name}-s3"},
            policy=self._s3_policy() if self.spec.network.closed else OPEN,
        ).prefix_list_id

    def add_interfaces(self, security_group_ids: Sequence[str]) -> None:
        """Add the interface endpoints, under the services' own names, behind these security groups."""
        for service in interface_services(self.spec, self.account.region):
            vpc.VpcEndpoint(
                self.stack,
                service,
                vpc_id=self.parts.vpc_id,
                service_name=self._service_name(service),
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=self.parts.subnet_ids,
                security_group_ids=security_group_ids,
                tags={"Name": f"{self.spec.name}-{service}"},
                policy=self._interface_policy() if self.spec.network.closed else OPEN,
            )

    def _service_name(self, service: str) -> str:
        return f"com.amazonaws.{self.spec.region}.{service}"

    def _s3_policy(self) -> str:
        """Return what a closed network lets through to S3: the environment's buckets, and transcripts.

        None of AWS's own buckets: Systems Manager's agent needs them to update itself and for documents that
        AWS owns (its user guide, "SSM Agent communications with AWS managed S3 buckets"), and machines here
        carry out only our own. So the agent stays as the image brought it.
        """
        name, region, organization = self.spec.name, self.spec.region, self.account.organization
        own = [
            self.place.bucket_arn(bucket(organization, name, region))
            for bucket in (naming.artifact_bucket, naming.dataset_bucket)
        ]
        return policy(
            statement(
                "OwnBuckets",
                principal="*",
                actions=["s3:*"],
                resources=[*own, *(f"{bucket}/*" for bucket in own)],
                conditions=self._within_the_account(),
            ),
            *self._transcripts(),
        )

    def _transcripts(self) -> list[dict[str, Any]]:
        """Return what lets transcripts of sessions through, where there are any: written, never read."""
        if self.spec.region != self.account.region:
            return []
        audit = self.place.bucket_arn(naming.ledger_bucket(self.account.organization, self.account.region))
        return [
            statement(
                "Transcripts",
                principal="*",
                actions=["s3:GetEncryptionConfiguration", "s3:PutObject"],
                resources=[audit, f"{audit}/{naming.SESSIONS_PREFIX}*"],
                conditions=self._within_the_account(),
            )
        ]

    def _interface_policy(self) -> str:
        """Return what a closed network lets through to any other service: this account's own things."""
        return policy(
            statement(
                "OwnAccount",
                principal="*",
                actions=["*"],
                resources=["*"],
                conditions=self._within_the_account(),
            )
        )

    def _within_the_account(self) -> dict[str, dict[str, str]]:
        """Return the conditions: whoever asks, and what is asked for, is of this account.

        The second holds only where the service says whose it is; not every call is about a resource.
        """
        owner = self.place.account_id
        return {
            "StringEquals": {"aws:PrincipalAccount": owner},
            "StringEqualsIfExists": {"aws:ResourceAccount": owner},
        }
