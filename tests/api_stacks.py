"""Synthesized stacks made over the API instead of by Terraform: what permissions are about, within seconds.

Roles, policies, keys, buckets, documents, parameters, log groups, topics, schedules and the trail, exactly as
the JSON has them, with their references resolved and the provider's default tags on them. Machines, networks
and file systems are left to the test that needs some.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fleet.bootstrap import ensure_account
from fleet.cloud import Cloud
from stacks import naming
from stacks.account import AccountSpec
from tests.iam_helpers import ACCOUNT, service

_REFERENCE = re.compile(r"(?<!\$)\$\{([^}]+)\}")


class ApiStacks:
    """Several stacks in one account of the embedded cloud; what an earlier one made, a later one may name."""

    def __init__(self, cloud: Cloud, account: AccountSpec) -> None:
        self.account = account
        self._client: Callable[[str], Any] = lambda name: service(cloud, name)
        self.values = {
            "data.aws_partition.current.partition": "aws",
            "data.aws_caller_identity.current.account_id": ACCOUNT,
        }
        """References of the stack that is being made, with what they stand for."""
        self.tags: dict[str, str] = {}
        ensure_account(cloud, account)

    def make(self, folder: Path) -> dict[str, str]:
        """Make what the stack in the folder has of these kinds; return its references with their values."""
        content = json.loads((folder / "cdk.tf.json").read_text(encoding="utf-8"))
        own = {key: value for key, value in self.values.items() if key.startswith("data.aws_")}
        self.values = own
        self.tags = content["provider"]["aws"][0]["default_tags"][0]["tags"]
        for kind, make in _MAKERS.items():
            for name, body in content["resource"].get(kind, {}).items():
                made = make(self, {key: value for key, value in body.items() if key != "//"})
                for attribute, value in made.items():
                    self.values[f"{kind}.{name}.{attribute}"] = value
        return self.values

    def client(self, name: str) -> Any:
        """Return a client of the account's owner."""
        return self._client(name)

    def text(self, value: str) -> str:
        """Return a value of the stack as Terraform hands it to AWS."""
        return _REFERENCE.sub(lambda found: self.values[found[1]], value).replace("$${", "${")

    def pairs(self, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
        """Return the default tags as most services take them."""
        return [{key: each, value: self.tags[each]} for each in sorted(self.tags)]


Body = Mapping[str, Any]


def _key(stacks: ApiStacks, body: Body) -> dict[str, str]:
    made = stacks.client("kms").create_key(
        Policy=stacks.text(body["policy"]), Tags=stacks.pairs("TagKey", "TagValue")
    )["KeyMetadata"]
    return {"arn": made["Arn"], "key_id": made["KeyId"], "id": made["KeyId"]}


def _alias(stacks: ApiStacks, body: Body) -> dict[str, str]:
    key, kms = stacks.text(body["target_key_id"]), stacks.client("kms")
    try:
        kms.create_alias(AliasName=body["name"], TargetKeyId=key)
    except kms.exceptions.AlreadyExistsException:  # boto3 repeats a call whose answer got lost
        assert body["name"] in {each["AliasName"] for each in kms.list_aliases(KeyId=key)["Aliases"]}
    return {}


def _bucket(stacks: ApiStacks, body: Body) -> dict[str, str]:
    s3, name = stacks.client("s3"), body["bucket"]
    if not body.get("lifecycle", {}).get("prevent_destroy"):  # those are there already
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": stacks.pairs()})
    return {"arn": f"arn:aws:s3:::{name}", "id": name, "bucket": name}


def _encryption(stacks: ApiStacks, body: Body) -> dict[str, str]:
    rule = body["rule"][0]
    default = rule["apply_server_side_encryption_by_default"]
    key = default.get("kms_master_key_id")
    given = {
        "SSEAlgorithm": default["sse_algorithm"],
        **({"KMSMasterKeyID": stacks.text(key)} if key else {}),
    }
    rules = [{"ApplyServerSideEncryptionByDefault": given, "BucketKeyEnabled": rule["bucket_key_enabled"]}]
    stacks.client("s3").put_bucket_encryption(
        Bucket=stacks.text(body["bucket"]), ServerSideEncryptionConfiguration={"Rules": rules}
    )
    return {}


def _bucket_policy(stacks: ApiStacks, body: Body) -> dict[str, str]:
    bucket = stacks.text(body["bucket"])
    stacks.client("s3").put_bucket_policy(Bucket=bucket, Policy=stacks.text(body["policy"]))
    return {"bucket": bucket}


def _policy(stacks: ApiStacks, body: Body) -> dict[str, str]:
    iam, name, text = stacks.client("iam"), body["name"], stacks.text(body["policy"])
    arn = f"arn:aws:iam::{ACCOUNT}:policy/{name}"
    # Those that are taken over are there already.
    taken = ("boundary", "deny-entry", "over-budget")
    if name in {f"{stacks.account.organization}-fleetform-{each}" for each in taken}:
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=text, SetAsDefault=True)
    else:
        iam.create_policy(PolicyName=name, PolicyDocument=text, Tags=stacks.pairs())
    return {"arn": arn}


def _role(stacks: ApiStacks, body: Body) -> dict[str, str]:
    boundary = body.get("permissions_boundary")
    made = stacks.client("iam").create_role(
        RoleName=body["name"],
        AssumeRolePolicyDocument=stacks.text(body["assume_role_policy"]),
        Tags=stacks.pairs(),
        MaxSessionDuration=body.get("max_session_duration", 3600),
        **({"PermissionsBoundary": stacks.text(boundary)} if boundary else {}),
    )["Role"]
    return {"arn": made["Arn"], "id": body["name"], "name": body["name"]}


def _role_policy(stacks: ApiStacks, body: Body) -> dict[str, str]:
    stacks.client("iam").put_role_policy(
        RoleName=stacks.text(body["role"]),
        PolicyName=body["name"],
        PolicyDocument=stacks.text(body["policy"]),
    )
    return {}


def _attachment(stacks: ApiStacks, body: Body) -> dict[str, str]:
    role, arn = stacks.text(body["role"]), stacks.text(body["policy_arn"])
    stacks.client("iam").attach_role_policy(RoleName=role, PolicyArn=arn)
    return {}


def _profile(stacks: ApiStacks, body: Body) -> dict[str, str]:
    iam = stacks.client("iam")
    iam.create_instance_profile(InstanceProfileName=body["name"], Tags=stacks.pairs())
    iam.add_role_to_instance_profile(InstanceProfileName=body["name"], RoleName=stacks.text(body["role"]))
    return {"name": body["name"]}


def _log_group(stacks: ApiStacks, body: Body) -> dict[str, str]:
    name = body["name"]
    stacks.client("logs").create_log_group(logGroupName=name, tags=stacks.tags)
    return {"name": name, "arn": f"arn:aws:logs:{stacks.account.region}:{ACCOUNT}:log-group:{name}"}


def _topic(stacks: ApiStacks, body: Body) -> dict[str, str]:
    made = stacks.client("sns").create_topic(Name=body["name"], Tags=stacks.pairs())
    return {"arn": made["TopicArn"]}


def _document(stacks: ApiStacks, body: Body) -> dict[str, str]:
    stacks.client("ssm").create_document(
        Name=body["name"],
        Content=stacks.text(body["content"]),
        DocumentType=body["document_type"],
        DocumentFormat=body["document_format"],
        Tags=stacks.pairs(),
    )
    return {"name": body["name"]}


def _schedule_group(stacks: ApiStacks, body: Body) -> dict[str, str]:
    stacks.client("scheduler").create_schedule_group(Name=body["name"], Tags=stacks.pairs())
    return {"name": body["name"]}


def _schedule(stacks: ApiStacks, body: Body) -> dict[str, str]:
    target = body["target"]
    stacks.client("scheduler").create_schedule(
        Name=body["name"],
        GroupName=stacks.text(body["group_name"]),
        ScheduleExpression=body["schedule_expression"],
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": stacks.text(target["arn"]),
            "RoleArn": stacks.text(target["role_arn"]),
            "Input": stacks.text(target["input"]),
        },
    )
    return {}


def _function(stacks: ApiStacks, body: Body) -> dict[str, str]:
    """Name the function without making it: nothing here calls it."""
    name = body["function_name"]
    return {"arn": f"arn:aws:lambda:{stacks.account.region}:{ACCOUNT}:function:{name}", "function_name": name}


def _trail(stacks: ApiStacks, body: Body) -> dict[str, str]:
    trails = stacks.client("cloudtrail")
    trails.create_trail(
        Name=body["name"],
        S3BucketName=stacks.text(body["s3_bucket_name"]),
        IsMultiRegionTrail=True,
        TagsList=stacks.pairs(),
    )
    trails.start_logging(Name=body["name"])
    return {}


_MAKERS: dict[str, Callable[[ApiStacks, Body], dict[str, str]]] = {
    "aws_kms_key": _key,
    "aws_kms_alias": _alias,
    "aws_s3_bucket": _bucket,
    "aws_s3_bucket_server_side_encryption_configuration": _encryption,
    "aws_sns_topic": _topic,
    "aws_cloudwatch_log_group": _log_group,
    "aws_iam_policy": _policy,
    "aws_lambda_function": _function,
    "aws_iam_role": _role,
    "aws_iam_role_policy": _role_policy,
    "aws_iam_role_policy_attachment": _attachment,
    "aws_iam_instance_profile": _profile,
    "aws_ssm_document": _document,
    "aws_scheduler_schedule_group": _schedule_group,
    "aws_scheduler_schedule": _schedule,
    "aws_s3_bucket_policy": _bucket_policy,
    "aws_cloudtrail": _trail,
}
"""Kinds in an order in which each names only what is there; a policy that shuts a bucket comes late."""


def synthesized_stacks(out: Path, *environments: str) -> Iterator[Path]:
    """Yield the folders of the account's stack and of each environment's two, in the order of creation."""
    yield out / "stacks" / naming.ACCOUNT_STACK
    for environment in environments:
        for stack in naming.environment_stacks(environment):
            yield out / "stacks" / stack
