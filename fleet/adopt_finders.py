"""How a thing that exists is found by the name that it has by the stacks: its id for an import, its tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fleet import aws
from fleet.listings.things import tags_of
from stacks import naming

Tags = Mapping[str, str]
Found = tuple[str, Tags]
"""The id to import by, and the tags."""


def _bucket(client: Callable[[str], Any], name: str) -> Found:
    s3 = client("s3")
    s3.head_bucket(Bucket=name)
    try:
        return name, tags_of(s3.get_bucket_tagging(Bucket=name), "TagSet")
    except Exception as error:
        if aws.error_code(error) != "NoSuchTagSet":
            raise
        return name, {}


def _role(client: Callable[[str], Any], name: str) -> Found:
    return name, tags_of(client("iam").list_role_tags(RoleName=name))


def _profile(client: Callable[[str], Any], name: str) -> Found:
    profile = client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    return name, tags_of(profile)


def _document(client: Callable[[str], Any], name: str) -> Found:
    answer = client("ssm").list_tags_for_resource(ResourceType="Document", ResourceId=name)
    return name, tags_of(answer, "TagList")


def _placement_group(client: Callable[[str], Any], name: str) -> Found:
    group = client("ec2").describe_placement_groups(GroupNames=[name])["PlacementGroups"][0]
    return name, tags_of(group)


def _scaling_group(client: Callable[[str], Any], name: str) -> Found:
    scaling = client("autoscaling")
    group = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
    return name, tags_of(group)


def _launch_template(client: Callable[[str], Any], name: str) -> Found:
    template = client("ec2").describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"][0]
    return template["LaunchTemplateId"], tags_of(template)


def _key_alias(client: Callable[[str], Any], name: str) -> Found:
    kms = client("kms")
    key = kms.describe_key(KeyId=name)["KeyMetadata"]["KeyId"]
    return name, tags_of(kms.list_resource_tags(KeyId=key), "Tags", "TagKey", "TagValue")


def _managed_policy(client: Callable[[str], Any], name: str) -> Found:
    arn = _arn(client, "iam", "", f"policy/{name}")
    return arn, tags_of(client("iam").list_policy_tags(PolicyArn=arn))


def _trail(client: Callable[[str], Any], name: str) -> Found:
    trails = client("cloudtrail")
    arn = trails.describe_trails(trailNameList=[name])["trailList"][0]["TrailARN"]
    (found,) = trails.list_tags(ResourceIdList=[arn])["ResourceTagList"]
    return arn, tags_of(found, "TagsList")


def _topic(client: Callable[[str], Any], name: str) -> Found:
    sns = client("sns")
    arn = _arn(client, "sns", sns.meta.region_name, name)
    return arn, tags_of(sns.list_tags_for_resource(ResourceArn=arn))


def _arn(client: Callable[[str], Any], service: str, region: str, resource: str) -> str:
    """Return the ARN of something in the caller's own account."""
    partition, number = aws.caller_account(client("sts"))
    return f"arn:{partition}:{service}:{region}:{number}:{resource}"


def _log_group(client: Callable[[str], Any], name: str) -> Found:
    return name, client("logs").list_tags_log_group(logGroupName=name)["tags"]


def _function(client: Callable[[str], Any], name: str) -> Found:
    return name, client("lambda").get_function(FunctionName=name).get("Tags", {})


def _schedule_group(client: Callable[[str], Any], name: str) -> Found:
    scheduler = client("scheduler")
    arn = scheduler.get_schedule_group(Name=name)["Arn"]
    return name, tags_of(scheduler.list_tags_for_resource(ResourceArn=arn))


def _schedule(client: Callable[[str], Any], name: str) -> Found | None:
    """Find a schedule, which has the tags of its group."""
    for each in client("scheduler").list_schedules(NamePrefix=name)["Schedules"]:
        if each["Name"] == name:
            group = each["GroupName"]
            return f"{group}/{name}", _schedule_group(client, group)[1]
    return None


def _secret(client: Callable[[str], Any], name: str) -> Found:
    secret = client("secretsmanager").describe_secret(SecretId=name)
    return secret["ARN"], tags_of(secret)


def _flow_log(client: Callable[[str], Any], vpc: str) -> Found | None:
    """Find the flow log of a VPC, which the provider names in place of a name."""
    found = client("ec2").describe_flow_logs(Filters=[{"Name": "resource-id", "Values": [vpc]}])["FlowLogs"]
    return (found[0]["FlowLogId"], tags_of(found[0])) if found else None


def _budget(client: Callable[[str], Any], name: str) -> Found:
    arn = _arn(client, "budgets", "", f"budget/{name}")
    answer = client("budgets").list_tags_for_resource(ResourceARN=arn)
    return f"{arn.split(':')[4]}:{name}", tags_of(answer, "ResourceTags")


def _shared_files(client: Callable[[str], Any], token: str) -> Found | None:
    found = client("efs").describe_file_systems(CreationToken=token)["FileSystems"]
    return (found[0]["FileSystemId"], tags_of(found[0])) if found else None


_FINDERS: dict[str, Callable[[Callable[[str], Any], str], Found | None]] = {
    "aws_s3_bucket": _bucket,
    "aws_iam_role": _role,
    "aws_iam_instance_profile": _profile,
    "aws_ssm_document": _document,
    "aws_placement_group": _placement_group,
    "aws_autoscaling_group": _scaling_group,
    "aws_launch_template": _launch_template,
    "aws_kms_alias": _key_alias,
    "aws_cloudwatch_log_group": _log_group,
    "aws_iam_policy": _managed_policy,
    "aws_cloudtrail": _trail,
    "aws_sns_topic": _topic,
    "aws_lambda_function": _function,
    "aws_scheduler_schedule_group": _schedule_group,
    "aws_scheduler_schedule": _schedule,
    "aws_secretsmanager_secret": _secret,
    "aws_flow_log": _flow_log,
    "aws_budgets_budget": _budget,
    "aws_efs_file_system": _shared_files,
}
"""Terraform's type -> how the existing thing is found by its name."""

_IN_A_VPC = {
    "aws_security_group": ("describe_security_groups", "SecurityGroups", "group-name", "GroupId"),
    "aws_vpc_endpoint": ("describe_vpc_endpoints", "VpcEndpoints", "service-name", "VpcEndpointId"),
}
"""What has its name within a VPC alone, so that it stands in the way only in one that was there before: how
it is listed, by which filter, and its id."""


def find(client: Callable[[str], Any], kind: str, name: str, stack: str) -> Found | None:
    """Return the existing thing of that name, None where nothing of that kind is found by its name."""
    if kind in _FINDERS:
        return _FINDERS[kind](client, name)
    if kind not in _IN_A_VPC:
        return None
    operation, key, by, identity = _IN_A_VPC[kind]
    filters = [{"Name": by, "Values": [name]}, {"Name": f"tag:{naming.TAG_STACK}", "Values": [stack]}]
    for each in getattr(client("ec2"), operation)(Filters=filters)[key]:
        if str(each.get("State", "")).lower() not in ("deleting", "deleted"):
            return each[identity], tags_of(each)
    return None
