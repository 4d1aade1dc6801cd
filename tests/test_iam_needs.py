"""What calls need of IAM by the embedded cloud's tables: actions and resources as AWS has them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.iam.requests import ApiRequest, tag_keys_in, tags_in
from sandbox.iam.tables import needs_of

REGION, ACCOUNT = "eu-central-1", "123456789012"
HERE = f"{REGION}:{ACCOUNT}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
EC2 = f"arn:aws:ec2:{HERE}"


def needs(service: str, action: str, **params: Any) -> list[tuple[str, str]]:
    """Return action and resource of every need of a call."""
    request = ApiRequest(service=service, action=action, region=REGION, account=ACCOUNT, params=params)
    return [(need.action, need.resource) for need in needs_of(request)]


@pytest.mark.parametrize(
    ("call", "params", "expected"),
    [
        # S3
        ("s3:ListBuckets", {}, "s3:ListAllMyBuckets *"),
        ("s3:HeadBucket", {"Bucket": "b"}, "s3:ListBucket arn:aws:s3:::b"),
        ("s3:GetBucketEncryption", {"Bucket": "b"}, "s3:GetEncryptionConfiguration arn:aws:s3:::b"),
        ("s3:DeleteBucketLifecycle", {"Bucket": "b"}, "s3:PutLifecycleConfiguration arn:aws:s3:::b"),
        ("s3:PutPublicAccessBlock", {"Bucket": "b"}, "s3:PutBucketPublicAccessBlock arn:aws:s3:::b"),
        (
            "s3:GetObjectLockConfiguration",
            {"Bucket": "b"},
            "s3:GetBucketObjectLockConfiguration arn:aws:s3:::b",
        ),
        ("s3:GetBucketPolicy", {"Bucket": "b"}, "s3:GetBucketPolicy arn:aws:s3:::b"),
        (
            "s3:GetObject",
            {"Bucket": "b", "Key": "k", "VersionId": "v"},
            "s3:GetObjectVersion arn:aws:s3:::b/k",
        ),
        ("s3:GetObjectTagging", {"Bucket": "b", "Key": "k"}, "s3:GetObjectTagging arn:aws:s3:::b/k"),
        ("s3:UploadPart", {"Bucket": "b", "Key": "k"}, "s3:PutObject arn:aws:s3:::b/k"),
        (
            "s3:DeleteObject",
            {"Bucket": "b", "Key": "k", "VersionId": "v"},
            "s3:DeleteObjectVersion arn:aws:s3:::b/k",
        ),
        # EC2
        ("ec2:DescribeInstances", {"InstanceIds": ["i-0123456789abcdef0"]}, "ec2:DescribeInstances *"),
        ("ec2:CreateVpc", {"CidrBlock": "10.0.0.0/16"}, f"ec2:CreateVpc {EC2}:vpc/*"),
        ("ec2:DeletePlacementGroup", {"GroupName": "g"}, f"ec2:DeletePlacementGroup {EC2}:placement-group/g"),
        ("ec2:CreatePlacementGroup", {"GroupName": "g"}, f"ec2:CreatePlacementGroup {EC2}:placement-group/g"),
        (
            "ec2:DeregisterImage",
            {"ImageId": "ami-0123456789abcdef0"},
            f"ec2:DeregisterImage arn:aws:ec2:{REGION}::image/ami-0123456789abcdef0",
        ),
        ("ec2:EnableSerialConsoleAccess", {}, "ec2:EnableSerialConsoleAccess *"),
        # Auto Scaling
        (
            "autoscaling:DeleteAutoScalingGroup",
            {"AutoScalingGroupName": "g"},
            f"autoscaling:DeleteAutoScalingGroup arn:aws:autoscaling:{HERE}:"
            "autoScalingGroup:*:autoScalingGroupName/g",
        ),
        ("autoscaling:DescribeAutoScalingGroups", {}, "autoscaling:DescribeAutoScalingGroups *"),
        # Systems Manager
        ("ssm:GetParameter", {"Name": "/a/b"}, f"ssm:GetParameter arn:aws:ssm:{HERE}:parameter/a/b"),
        ("ssm:GetParameter", {"Name": "a:3"}, f"ssm:GetParameter arn:aws:ssm:{HERE}:parameter/a"),
        (
            "ssm:GetParameter",
            {"Name": "/aws/service/x"},
            f"ssm:GetParameter arn:aws:ssm:{REGION}::parameter/aws/service/x",
        ),
        ("ssm:GetDocument", {"Name": "AWS-Run"}, f"ssm:GetDocument arn:aws:ssm:{REGION}::document/AWS-Run"),
        ("ssm:GetCommandInvocation", {"CommandId": "x"}, "ssm:GetCommandInvocation *"),
        (
            "ssm:TerminateSession",
            {"SessionId": "a-1"},
            f"ssm:TerminateSession arn:aws:ssm:{HERE}:session/a-1",
        ),
        (
            "ssm:AddTagsToResource",
            {"ResourceType": "Document", "ResourceId": "d"},
            f"ssm:AddTagsToResource arn:aws:ssm:{HERE}:document/d",
        ),
        # IAM and STS
        ("iam:GetRole", {"RoleName": "r"}, f"iam:GetRole arn:aws:iam::{ACCOUNT}:role/r"),
        (
            "iam:CreateRole",
            {"RoleName": "r", "Path": "/p/"},
            f"iam:CreateRole arn:aws:iam::{ACCOUNT}:role/p/r",
        ),
        ("iam:CreatePolicy", {"PolicyName": "x"}, f"iam:CreatePolicy arn:aws:iam::{ACCOUNT}:policy/x"),
        ("iam:ListRoles", {}, "iam:ListRoles *"),
        (
            "iam:AttachRolePolicy",
            {"RoleName": "r", "PolicyArn": "p"},
            f"iam:AttachRolePolicy arn:aws:iam::{ACCOUNT}:role/r",
        ),
        # the rest
        ("kms:CreateKey", {}, "kms:CreateKey *"),
        ("kms:DescribeKey", {"KeyId": "k"}, f"kms:DescribeKey arn:aws:kms:{HERE}:key/k"),
        ("kms:DescribeKey", {"KeyId": "alias/x"}, f"kms:DescribeKey arn:aws:kms:{HERE}:alias/x"),
        (
            "logs:DescribeLogGroups",
            {"logGroupNamePrefix": "/a"},
            f"logs:DescribeLogGroups arn:aws:logs:{HERE}:log-group::log-stream:",
        ),
        (
            "logs:CreateLogGroup",
            {"logGroupName": "/a"},
            f"logs:CreateLogGroup arn:aws:logs:{HERE}:log-group:/a",
        ),
        (
            "logs:PutLogEvents",
            {"logGroupName": "/a", "logStreamName": "s"},
            f"logs:PutLogEvents arn:aws:logs:{HERE}:log-group:/a:log-stream:s",
        ),
        ("sqs:SendMessage", {"QueueUrl": "http://x/1/q"}, f"sqs:SendMessage arn:aws:sqs:{HERE}:q"),
        ("sns:CreateTopic", {"Name": "t"}, f"sns:CreateTopic arn:aws:sns:{HERE}:t"),
        ("lambda:Invoke", {"FunctionName": "f"}, f"lambda:InvokeFunction arn:aws:lambda:{HERE}:function:f"),
        (
            "scheduler:GetSchedule",
            {"Name": "s"},
            f"scheduler:GetSchedule arn:aws:scheduler:{HERE}:schedule/default/s",
        ),
        (
            "scheduler:DeleteSchedule",
            {"Name": "s", "GroupName": "g"},
            f"scheduler:DeleteSchedule arn:aws:scheduler:{HERE}:schedule/g/s",
        ),
        (
            "secretsmanager:CreateSecret",
            {"Name": "s"},
            f"secretsmanager:CreateSecret arn:aws:secretsmanager:{HERE}:secret:s",
        ),
        (
            "fsx:DeleteFileSystem",
            {"FileSystemId": "fs-1"},
            f"fsx:DeleteFileSystem arn:aws:fsx:{HERE}:file-system/fs-1",
        ),
        ("fsx:CreateFileSystem", {}, f"fsx:CreateFileSystem arn:aws:fsx:{HERE}:file-system/*"),
        (
            "efs:DeleteAccessPoint",
            {"AccessPointId": "fsap-1"},
            f"elasticfilesystem:DeleteAccessPoint arn:aws:elasticfilesystem:{HERE}:access-point/fsap-1",
        ),
        (
            "cloudtrail:StopLogging",
            {"Name": "t"},
            f"cloudtrail:StopLogging arn:aws:cloudtrail:{HERE}:trail/t",
        ),
        (
            "cloudwatch:PutMetricAlarm",
            {"AlarmName": "a"},
            f"cloudwatch:PutMetricAlarm arn:aws:cloudwatch:{HERE}:alarm:a",
        ),
        ("cloudwatch:PutMetricData", {"Namespace": "n"}, "cloudwatch:PutMetricData *"),
        ("events:PutRule", {"Name": "r"}, f"events:PutRule arn:aws:events:{HERE}:rule/r"),
        (
            "budgets:DescribeBudget",
            {"BudgetName": "b"},
            f"budgets:ViewBudget arn:aws:budgets::{ACCOUNT}:budget/b",
        ),
        ("resourcegroupstaggingapi:GetResources", {}, "tag:GetResources *"),
        ("service-quotas:GetServiceQuota", {"ServiceCode": "ec2"}, "servicequotas:GetServiceQuota *"),
        ("dynamodb:PutItem", {"TableName": "t"}, "dynamodb:PutItem *"),
    ],
)
def test_an_action_on_its_resource(call: str, params: dict[str, Any], expected: str) -> None:
    service, action = call.split(":")
    assert [" ".join(each) for each in needs(service, action, **params)] == [expected]


def test_asking_who_one_is_needs_nothing() -> None:
    assert needs("sts", "GetCallerIdentity") == []


@pytest.mark.parametrize(
    ("service", "action", "params", "to"),
    [
        ("lambda", "CreateFunction", {"FunctionName": "f", "Role": ROLE}, "lambda"),
        ("scheduler", "UpdateSchedule", {"Name": "s", "Target": {"RoleArn": ROLE}}, "scheduler"),
        ("events", "PutTargets", {"Rule": "r", "Targets": [{"Id": "1"}, {"RoleArn": ROLE}]}, "events"),
        ("cloudtrail", "UpdateTrail", {"Name": "t", "CloudWatchLogsRoleArn": ROLE}, "cloudtrail"),
        ("ec2", "CreateFlowLogs", {"DeliverLogsPermissionArn": ROLE}, "vpc-flow-logs"),
    ],
)
def test_a_role_that_is_handed_over_must_be_passed(
    service: str, action: str, params: dict[str, Any], to: str
) -> None:
    request = ApiRequest(service=service, action=action, region=REGION, account=ACCOUNT, params=params)
    passed = [need for need in needs_of(request) if need.action == "iam:PassRole"]
    assert [(need.resource, need.keys) for need in passed] == [
        (ROLE, {"iam:PassedToService": [f"{to}.amazonaws.com"]})
    ]


def test_every_resource_that_is_named_must_be_allowed() -> None:
    ids = ["i-0123456789abcdef0", "i-0123456789abcdef1"]
    assert needs("ec2", "StopInstances", InstanceIds=ids) == [
        ("ec2:StopInstances", f"{EC2}:instance/{each}") for each in ids
    ]
    assert needs("ec2", "CreateSubnet", VpcId="vpc-0123456789abcdef0") == [
        ("ec2:CreateSubnet", f"{EC2}:vpc/vpc-0123456789abcdef0"),
        ("ec2:CreateSubnet", f"{EC2}:subnet/*"),
    ]
    objects = [{"Key": "a"}, {"Key": "b", "VersionId": "v"}]
    assert needs("s3", "DeleteObjects", Bucket="b", Delete={"Objects": objects}) == [
        ("s3:DeleteObject", "arn:aws:s3:::b/a"),
        ("s3:DeleteObjectVersion", "arn:aws:s3:::b/b"),
    ]
    assert needs("s3", "CopyObject", Bucket="to", Key="k", CopySource="from/a%20b?versionId=v") == [
        ("s3:GetObjectVersion", "arn:aws:s3:::from/a b"),
        ("s3:PutObject", "arn:aws:s3:::to/k"),
    ]


def test_a_fleet_needs_the_right_to_run_what_its_templates_describe() -> None:
    configs = [{"LaunchTemplateSpecification": {"LaunchTemplateName": "none"}}]
    found = needs("ec2", "CreateFleet", LaunchTemplateConfigs=configs)
    assert ("ec2:CreateFleet", f"{EC2}:fleet/*") in found
    assert ("ec2:RunInstances", f"{EC2}:instance/*") in found


def test_a_launch_from_a_template_tells_which_and_what_the_call_says_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = SimpleNamespace(
        data={"ImageId": "ami-0123456789abcdef0", "SubnetId": "subnet-0123456789abcdef0"}
    )
    template = SimpleNamespace(id="lt-1", name="gpu", get_version=lambda number: version)
    monkeypatch.setattr(
        "sandbox.iam.services.ec2.template_of", lambda request, given: template if given else None
    )
    given = {"LaunchTemplate": {"LaunchTemplateName": "gpu"}, "ImageId": "ami-0123456789abcdef1"}
    for params, said in ((given, {"image": "false", "subnet": "true", "instance": "true"}), ({}, {})):
        request = ApiRequest(
            service="ec2", action="RunInstances", region=REGION, account=ACCOUNT, params=params
        )
        runs = [need for need in needs_of(request) if need.action == "ec2:RunInstances"]
        kinds = {need.resource.rsplit(":", 1)[1].split("/")[0]: need.keys for need in runs}
        for kind, own in said.items():
            assert kinds[kind]["ec2:LaunchTemplate"] == [f"{EC2}:launch-template/lt-1"]
            assert kinds[kind]["ec2:IsLaunchTemplateResource"] == [own], kind
        assert said or not any("ec2:LaunchTemplate" in keys for keys in kinds.values())


def test_what_a_put_asks_for_beside_the_object_is_a_right_of_its_own() -> None:
    asked = {
        "ACL": "private",
        "Tagging": "a=b",
        "ObjectLockMode": "GOVERNANCE",
        "ObjectLockLegalHoldStatus": "ON",
    }
    actions = [action for action, _ in needs("s3", "PutObject", Bucket="b", Key="k", **asked)]
    assert actions == [
        "s3:PutObject",
        "s3:PutObjectAcl",
        "s3:PutObjectTagging",
        "s3:PutObjectRetention",
        "s3:PutObjectLegalHold",
    ]
    deletion = needs(
        "s3", "DeleteObject", Bucket="b", Key="k", VersionId="v", BypassGovernanceRetention="true"
    )
    assert [action for action, _ in deletion] == ["s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"]


@pytest.mark.parametrize(
    "params",
    [
        {"Tags": [{"Key": "a", "Value": "1"}]},
        {"tags": {"a": "1"}},
        {"Tags": [{"TagKey": "a", "TagValue": "1"}]},
        {"TagSpecifications": [{"ResourceType": "vpc", "Tags": [{"Key": "a", "Value": "1"}]}]},
        {"Tagging": {"TagSet": [{"Key": "a", "Value": "1"}]}},
    ],
)
def test_tags_are_read_in_every_services_shape(params: dict[str, Any]) -> None:
    assert tags_in(params) == {"a": "1"}
    assert tag_keys_in(params) == ["a"]


def test_the_keys_of_tags_that_are_taken_away_count_too() -> None:
    assert tag_keys_in({"TagKeys": ["a", "b"]}) == ["a", "b"]
    assert tags_in({"TagKeys": ["a"]}) == {}
