"""Flow logs: which connections of the environment's own VPC were made or refused, kept in CloudWatch Logs."""

from __future__ import annotations

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.generated import iam, kms, logs, vpc
from stacks.boundary import boundary_arn
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from stacks.place import Place
from stacks.policies import policy, statement

TRAFFIC = {"rejected": "REJECT", "all": "ALL"}
AGGREGATION_SECONDS = 600
"""How long connections are summed up to one record; the longest, for the fewest records to pay."""


def add_flow_logs(
    stack: Stack, account: AccountSpec, spec: EnvironmentSpec, place: Place, key: kms.KmsKey, vpc_id: str
) -> None:
    """Add the log group, encrypted with the key, the role that writes to it, and the VPC's flow log."""
    group = logs.CloudwatchLogGroup(
        stack,
        "flow_logs",
        name=naming.log_group(spec.name, naming.FLOW_LOGS),
        retention_in_days=spec.network.flow_log_days,
        kms_key_id=key.arn,
    )
    role = _role(stack, account, spec, place)
    written = iam.IamRolePolicy(
        stack,
        "flow_logs",
        name="fleetform",
        role=role.id,
        policy=policy(
            # Without the right to make the group: records that come late would bring it back after its end.
            statement(
                "Write",
                actions=["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                resources=[place.arn("logs", f"log-group:{group.name}:*")],
            ),
            # Listing cannot be narrowed to a group.
            statement("Find", actions=["logs:DescribeLogGroups"], resources=["*"]),
        ),
    )
    vpc.FlowLog(
        stack,
        "main",
        vpc_id=vpc_id,
        traffic_type=TRAFFIC[spec.network.flow_logs],
        log_destination_type="cloud-watch-logs",
        log_destination=group.arn,
        iam_role_arn=role.arn,
        max_aggregation_interval=AGGREGATION_SECONDS,
        tags={"Name": spec.name},
        depends_on=[written],
    )


def _role(stack: Stack, account: AccountSpec, spec: EnvironmentSpec, place: Place) -> iam.IamRole:
    """Add the role that the flow logs' service takes on, for flow logs of this account and region alone."""
    trust = statement(
        "FlowLogs",
        principal={"Service": "vpc-flow-logs.amazonaws.com"},
        actions=["sts:AssumeRole"],
        conditions={
            "StringEquals": {"aws:SourceAccount": place.account_id},
            "ArnLike": {"aws:SourceArn": place.arn("ec2", "vpc-flow-log/*")},
        },
    )
    return iam.IamRole(
        stack,
        "flow_logs",
        name=naming.flow_log_role(spec.name, spec.region),
        description=f"Writes the flow logs of {spec.name}",
        assume_role_policy=policy(trust),
        permissions_boundary=boundary_arn(account.organization, place.partition, place.account_id),
    )
