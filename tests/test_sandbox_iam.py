"""The embedded cloud refuses what IAM would refuse: each attempt beside one that succeeds, with boto3."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from fleet.cloud import Cloud
from tests.iam_helpers import (
    ACCOUNT,
    acting,
    allow,
    assume,
    document,
    make_role,
    refusal,
    service,
    trust,
    with_keys,
)
from tests.sandbox_helpers import REGION, admin, api, run_instances, wait_for

pytestmark = pytest.mark.sandbox

DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError")


def refused(call: Any, **arguments: Any) -> str:
    """Return the message of a call that must be refused for want of a permission."""
    code, message = refusal(call, **arguments)
    assert code in DENIED
    return message


@pytest.fixture(scope="module")
def nobody(sandbox: Cloud) -> Cloud:
    """The cloud as somebody without a permission sees it."""
    return acting(sandbox, "iam-nobody")


@pytest.fixture(scope="module")
def everything(sandbox: Cloud) -> Cloud:
    """The cloud as somebody sees it who may do everything, but is not the root user."""
    return acting(sandbox, "iam-everything", allow("*"))


def test_a_refusal_says_who_what_on_which_resource_and_why(nobody: Cloud) -> None:
    arn = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/iam/secret"
    message = refused(service(nobody, "ssm").get_parameter, Name="/iam/secret")
    assert message == (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/iam-nobody/ann is not authorized to perform: "
        f"ssm:GetParameter on resource: {arn} because no identity-based policy "
        "allows the ssm:GetParameter action"
    )


@pytest.mark.parametrize(
    ("name", "code", "call", "arguments"),
    [
        ("ec2", "UnauthorizedOperation", "describe_instances", {}),
        ("s3", "AccessDenied", "list_buckets", {}),
        ("iam", "AccessDenied", "list_roles", {}),
        ("ssm", "AccessDeniedException", "list_documents", {}),
        ("kms", "AccessDeniedException", "list_keys", {}),
        ("lambda", "AccessDeniedException", "list_functions", {}),
        ("sns", "AuthorizationError", "list_topics", {}),
        ("sqs", "AccessDenied", "list_queues", {}),
        ("cloudwatch", "AccessDenied", "list_metrics", {}),
        ("autoscaling", "AccessDenied", "describe_auto_scaling_groups", {}),
        ("logs", "AccessDeniedException", "describe_log_groups", {}),
        ("service-quotas", "AccessDeniedException", "list_services", {}),
        ("elbv2", "AccessDenied", "describe_load_balancers", {}),
        ("ecr", "AccessDeniedException", "describe_repositories", {}),
        ("efs", "AccessDeniedException", "describe_file_systems", {}),
        ("fsx", "AccessDeniedException", "describe_file_systems", {}),
        ("budgets", "AccessDeniedException", "describe_budgets", {"AccountId": ACCOUNT}),
        ("scheduler", "AccessDeniedException", "list_schedules", {}),
        ("events", "AccessDeniedException", "list_rules", {}),
        ("cloudtrail", "AccessDeniedException", "describe_trails", {}),
        ("secretsmanager", "AccessDeniedException", "list_secrets", {}),
        ("resourcegroupstaggingapi", "AccessDeniedException", "get_resources", {}),
    ],
)
def test_each_service_refuses_in_its_own_words(
    nobody: Cloud, name: str, code: str, call: str, arguments: dict[str, Any]
) -> None:
    found, message = refusal(getattr(service(nobody, name), call), **arguments)
    assert found == code
    assert "is not authorized to perform: " in message


@pytest.mark.parametrize(
    ("name", "code", "call"),
    [
        ("s3", "InvalidAccessKeyId", "list_buckets"),
        ("ec2", "AuthFailure", "describe_instances"),
        ("ssm", "UnrecognizedClientException", "list_documents"),
        ("sts", "InvalidClientTokenId", "get_caller_identity"),
    ],
)
def test_an_unknown_key_is_refused(sandbox: Cloud, name: str, code: str, call: str) -> None:
    stranger = with_keys(sandbox, {"AccessKeyId": "AKIAUNKNOWNUNKNOWN00", "SecretAccessKey": "x"})
    assert refusal(getattr(service(stranger, name), call))[0] == code


def test_the_key_of_a_session_is_worth_nothing_without_its_token(sandbox: Cloud) -> None:
    role = make_role(sandbox, "iam-token", allow("*"))
    keys = api(sandbox, "sts").assume_role(RoleArn=role, RoleSessionName="ann")["Credentials"]
    assert service(with_keys(sandbox, keys), "s3").list_buckets()
    without = with_keys(sandbox, {**keys, "SessionToken": ""})
    assert refusal(service(without, "s3").list_buckets)[0] == "InvalidAccessKeyId"


@pytest.mark.parametrize(
    ("name", "code", "call"),
    [
        ("s3", "ExpiredToken", "list_buckets"),
        ("ec2", "RequestExpired", "describe_instances"),
        ("ssm", "ExpiredTokenException", "list_documents"),
        ("sts", "ExpiredToken", "get_caller_identity"),
    ],
)
def test_an_expired_session_is_refused(sandbox: Cloud, name: str, code: str, call: str) -> None:
    ended = acting(sandbox, f"iam-expired-{name}", allow("*"))
    getattr(service(ended, name), call)()
    admin(sandbox, "POST", "expire", {"access_key": ended.variables["AWS_ACCESS_KEY_ID"]})
    assert refusal(getattr(service(ended, name), call))[0] == code


def test_an_unsigned_call_gets_what_a_bucket_gives_to_everybody(sandbox: Cloud) -> None:
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.session import Session

    s3 = api(sandbox, "s3")
    s3.create_bucket(Bucket="iam-public")
    s3.put_object(Bucket="iam-public", Key="open/a", Body=b"x")
    s3.put_object(Bucket="iam-public", Key="shut/a", Body=b"x")
    public = {**allow("s3:GetObject", "arn:aws:s3:::iam-public/open/*"), "Principal": "*"}
    s3.put_bucket_policy(Bucket="iam-public", Policy=document(public))
    config = Config(signature_version=UNSIGNED)
    unsigned: Any = Session().create_client("s3", REGION, endpoint_url=sandbox.endpoint, config=config)
    assert unsigned.get_object(Bucket="iam-public", Key="open/a")["Body"].read() == b"x"
    refused(unsigned.get_object, Bucket="iam-public", Key="shut/a")


@pytest.mark.parametrize("path", ["/moto-api/reset", "/latest/meta-data/iam/security-credentials/", "/"])
def test_what_moto_answers_to_anybody_is_shut(sandbox: Cloud, path: str) -> None:
    request = urllib.request.Request(f"{sandbox.endpoint}{path}", method="POST" if "reset" in path else "GET")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    with caught.value as refused_answer:
        assert refused_answer.code == 403


def test_nobody_acts_in_another_account_by_a_header_of_motos(sandbox: Cloud) -> None:
    ec2 = service(acting(sandbox, "iam-elsewhere", allow("ec2:*")), "ec2")
    ec2.meta.events.register(
        "before-sign.ec2",
        lambda request, **_: request.headers.add_header("x-moto-account-id", "222222222222"),
    )
    made = ec2.create_security_group(GroupName="iam-elsewhere", Description="x")
    assert made["SecurityGroupArn"].split(":")[4] == ACCOUNT


def test_the_root_user_is_who_the_sandbox_hands_out(sandbox: Cloud) -> None:
    assert api(sandbox, "sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_a_users_own_key_is_held_to_the_users_and_the_groups_policies(sandbox: Cloud) -> None:
    iam = api(sandbox, "iam")
    iam.create_user(UserName="iam-ann", Tags=[{"Key": "team", "Value": "vision"}])
    mine = allow("s3:CreateBucket", "arn:aws:s3:::iam-${aws:PrincipalTag/team}-${aws:username}")
    iam.put_user_policy(UserName="iam-ann", PolicyName="own", PolicyDocument=document(mine))
    iam.create_group(GroupName="iam-readers")
    policy = iam.create_policy(PolicyName="iam-read", PolicyDocument=document(allow("s3:ListAllMyBuckets")))
    iam.attach_group_policy(GroupName="iam-readers", PolicyArn=policy["Policy"]["Arn"])
    keys = iam.create_access_key(UserName="iam-ann")["AccessKey"]
    ann = with_keys(sandbox, keys)
    refused(service(ann, "s3").list_buckets)
    iam.add_user_to_group(GroupName="iam-readers", UserName="iam-ann")
    service(ann, "s3").list_buckets()
    service(ann, "s3").create_bucket(Bucket="iam-vision-iam-ann")
    refused(service(ann, "s3").create_bucket, Bucket="iam-speech-iam-ann")
    iam.update_access_key(UserName="iam-ann", AccessKeyId=keys["AccessKeyId"], Status="Inactive")
    assert refusal(service(ann, "s3").list_buckets)[0] == "InvalidAccessKeyId"


def test_the_default_version_of_a_managed_policy_counts(sandbox: Cloud) -> None:
    iam = api(sandbox, "iam")
    arn = iam.create_policy(PolicyName="iam-versions", PolicyDocument=document(allow("s3:ListAllMyBuckets")))[
        "Policy"
    ]["Arn"]
    member = acting(sandbox, "iam-managed")
    iam.attach_role_policy(RoleName="iam-managed", PolicyArn=arn)
    service(member, "s3").list_buckets()
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow("ec2:*")), SetAsDefault=True)
    refused(service(member, "s3").list_buckets)
    service(member, "ec2").describe_instances()
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    service(member, "s3").list_buckets()


def test_a_boundary_limits_what_the_role_was_given(sandbox: Cloud) -> None:
    arn = api(sandbox, "iam").create_policy(
        PolicyName="iam-boundary", PolicyDocument=document(allow("s3:*"))
    )["Policy"]["Arn"]
    member = acting(sandbox, "iam-bounded", allow("*"), PermissionsBoundary=arn)
    service(member, "s3").list_buckets()
    assert refused(service(member, "ec2").describe_instances).endswith(
        "because no permissions boundary allows the ec2:DescribeInstances action"
    )


def test_a_role_can_be_made_only_with_the_boundary_that_is_asked_for(sandbox: Cloud) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:policy/iam-required"
    api(sandbox, "iam").create_policy(PolicyName="iam-required", PolicyDocument=document(allow("s3:*")))
    narrow = allow(
        ["iam:CreateRole", "iam:PutRolePolicy"],
        f"arn:aws:iam::{ACCOUNT}:role/iam-made-*",
        StringEquals={"iam:PermissionsBoundary": arn},
    )
    iam = service(acting(sandbox, "iam-maker", narrow), "iam")
    given = {"AssumeRolePolicyDocument": document(trust())}
    refused(iam.create_role, RoleName="iam-made-1", **given)
    refused(iam.create_role, RoleName="iam-other", PermissionsBoundary=arn, **given)
    iam.create_role(RoleName="iam-made-1", PermissionsBoundary=arn, **given)
    added = {"PolicyName": "p", "PolicyDocument": document(allow("*"))}
    iam.put_role_policy(RoleName="iam-made-1", **added)
    make_role(sandbox, "iam-made-2")
    refused(iam.put_role_policy, RoleName="iam-made-2", **added)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("elbv2", "describe_load_balancers"),
        ("elb", "describe_load_balancers"),
        ("rds", "describe_db_instances"),
        ("eks", "list_clusters"),
        ("dynamodb", "list_tables"),
        ("cloudwatch", "describe_alarms"),
        ("route53", "list_hosted_zones"),
    ],
)
def test_who_may_do_everything_is_refused_nothing(everything: Cloud, name: str, call: str) -> None:
    getattr(service(everything, name), call)()


def test_what_is_in_no_table_is_refused_to_narrowed_rights(sandbox: Cloud) -> None:
    narrow = acting(
        sandbox, "iam-narrow", allow("servicequotas:*", f"arn:aws:servicequotas:*:{ACCOUNT}:ec2/*")
    )
    refused(service(narrow, "service-quotas").list_services)
    wide = acting(sandbox, "iam-wide", allow("servicequotas:*"))
    service(wide, "service-quotas").list_service_quotas(ServiceCode="vpc")


def test_every_decision_can_be_seen(sandbox: Cloud) -> None:
    member = acting(sandbox, "iam-seen", {**allow("s3:ListAllMyBuckets"), "Sid": "List"})
    service(member, "s3").list_buckets()
    refused(service(member, "ec2").describe_vpcs)
    mine = [each for each in admin(sandbox, "GET", "decisions") if "/iam-seen/" in each["principal"]]
    assert [(each["action"], each["allowed"], each["statement"]) for each in mine] == [
        ("s3:ListAllMyBuckets", True, "the policy given of iam-seen: List"),
        ("ec2:DescribeVpcs", False, ""),
    ]


@pytest.fixture(scope="module")
def bucket(sandbox: Cloud) -> str:
    """A bucket whose objects are encrypted with a key that the account's policies give."""
    kms, s3 = api(sandbox, "kms"), api(sandbox, "s3")
    key = kms.create_key(Description="of the bucket")["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/iam-data", TargetKeyId=key)
    s3.create_bucket(Bucket="iam-data")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    s3.put_bucket_encryption(Bucket="iam-data", ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_object(Bucket="iam-data", Key="vision/a", Body=b"x")
    s3.put_object(Bucket="iam-data", Key="speech/a", Body=b"x")
    return str(key)


OBJECTS = "arn:aws:s3:::iam-data/vision/*"


def test_a_folder_of_a_bucket(sandbox: Cloud, bucket: str) -> None:
    use = allow(
        ["kms:Decrypt", "kms:GenerateDataKey"],
        bucket,
        StringEquals={"kms:ViaService": f"s3.{REGION}.amazonaws.com"},
    )
    listing = allow("s3:ListBucket", "arn:aws:s3:::iam-data", StringLike={"s3:prefix": "vision/*"})
    s3 = service(
        acting(sandbox, "iam-folder", allow(["s3:GetObject", "s3:PutObject"], OBJECTS), use, listing), "s3"
    )
    assert s3.get_object(Bucket="iam-data", Key="vision/a")["Body"].read() == b"x"
    s3.put_object(Bucket="iam-data", Key="vision/b", Body=b"y")
    s3.list_objects_v2(Bucket="iam-data", Prefix="vision/")
    refused(s3.get_object, Bucket="iam-data", Key="speech/a")
    refused(s3.put_object, Bucket="iam-data", Key="speech/a", Body=b"z")
    refused(s3.delete_object, Bucket="iam-data", Key="vision/a")
    refused(s3.list_objects_v2, Bucket="iam-data")
    refused(s3.list_objects_v2, Bucket="iam-data", Prefix="speech/")
    refused(s3.copy_object, Bucket="iam-data", Key="vision/c", CopySource="iam-data/speech/a")
    s3.copy_object(Bucket="iam-data", Key="vision/c", CopySource="iam-data/vision/a")
    refused(s3.get_bucket_policy, Bucket="iam-data")


def test_an_encrypted_object_needs_its_key(sandbox: Cloud, bucket: str) -> None:
    s3 = service(acting(sandbox, "iam-keyless", allow("s3:*")), "s3")
    assert "kms:Decrypt" in refused(s3.get_object, Bucket="iam-data", Key="vision/a")
    assert "kms:GenerateDataKey" in refused(s3.put_object, Bucket="iam-data", Key="vision/a", Body=b"y")
    assert "kms:GenerateDataKey" in refused(s3.create_multipart_upload, Bucket="iam-data", Key="vision/a")
    s3.put_object(Bucket="iam-data", Key="vision/plain", Body=b"y", ServerSideEncryption="AES256")


def test_a_key_that_is_given_through_s3_cannot_be_used_past_it(sandbox: Cloud, bucket: str) -> None:
    via = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
    member = acting(sandbox, "iam-via", allow("s3:*"), allow("kms:*", bucket, StringEquals=via))
    service(member, "s3").get_object(Bucket="iam-data", Key="vision/a")
    refused(service(member, "kms").encrypt, KeyId=bucket, Plaintext=b"x")
    refused(service(member, "kms").encrypt, KeyId="alias/iam-data", Plaintext=b"x")


def test_a_key_policy_that_does_not_name_the_account_shuts_its_policies_out(sandbox: Cloud) -> None:
    role = make_role(sandbox, "iam-key-user")
    named = {**allow(["kms:Encrypt", "kms:Decrypt"]), "Principal": {"AWS": role}}
    kms = api(sandbox, "kms")
    key = kms.create_key(Policy=document(named), BypassPolicyLockoutSafetyCheck=True)["KeyMetadata"]["KeyId"]
    service(assume(sandbox, role), "kms").encrypt(KeyId=key, Plaintext=b"x")
    refused(service(assume(sandbox, role), "kms").describe_key, KeyId=key)
    refused(
        service(acting(sandbox, "iam-all-keys", allow("kms:*")), "kms").encrypt, KeyId=key, Plaintext=b"x"
    )


def test_a_ciphertext_is_opened_by_who_may_use_the_key_that_made_it(sandbox: Cloud, bucket: str) -> None:
    secret = api(sandbox, "kms").encrypt(KeyId=bucket, Plaintext=b"x")["CiphertextBlob"]
    owner = service(acting(sandbox, "iam-cipher-1", allow("kms:Decrypt", bucket)), "kms")
    assert owner.decrypt(CiphertextBlob=secret)["Plaintext"] == b"x"
    other = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/other"
    stranger = service(acting(sandbox, "iam-cipher-2", allow("kms:*", other)), "kms")
    refused(stranger.decrypt, CiphertextBlob=secret)
    moving = {"CiphertextBlob": secret, "DestinationKeyId": bucket}
    assert "kms:ReEncryptFrom" in refused(owner.re_encrypt, **moving)
    half = service(acting(sandbox, "iam-cipher-3", allow("kms:ReEncryptFrom", bucket)), "kms")
    assert "kms:ReEncryptTo" in refused(half.re_encrypt, **moving)


def test_an_encrypted_topic_and_an_encrypted_secret_need_their_key(sandbox: Cloud, bucket: str) -> None:
    topic = api(sandbox, "sns").create_topic(Name="iam-sealed", Attributes={"KmsMasterKeyId": bucket})[
        "TopicArn"
    ]
    api(sandbox, "secretsmanager").create_secret(Name="iam-sealed", SecretString="x", KmsKeyId=bucket)
    given = (allow("sns:Publish"), allow("secretsmanager:GetSecretValue"))
    keyless = acting(sandbox, "iam-sealed-1", *given)
    assert "kms:GenerateDataKey" in refused(service(keyless, "sns").publish, TopicArn=topic, Message="x")
    assert "kms:Decrypt" in refused(
        service(keyless, "secretsmanager").get_secret_value, SecretId="iam-sealed"
    )
    with_key = acting(sandbox, "iam-sealed-2", *given, allow(["kms:GenerateDataKey*", "kms:Decrypt"], bucket))
    service(with_key, "sns").publish(TopicArn=topic, Message="x")
    service(with_key, "secretsmanager").get_secret_value(SecretId="iam-sealed")


def test_a_bucket_policy_gives_and_withholds(sandbox: Cloud) -> None:
    s3 = api(sandbox, "s3")
    s3.create_bucket(Bucket="iam-shared")
    reader, writer = make_role(sandbox, "iam-reader"), make_role(sandbox, "iam-writer", allow("s3:*"))
    objects = "arn:aws:s3:::iam-shared/*"
    gives = {**allow("s3:GetObject", objects), "Principal": {"AWS": reader}}
    keeps = {**allow("s3:PutObject", objects), "Effect": "Deny", "Principal": "*"}
    keeps["Condition"] = {"StringNotEquals": {"aws:PrincipalArn": writer}}
    s3.put_bucket_policy(Bucket="iam-shared", Policy=document(gives, keeps))
    service(assume(sandbox, writer), "s3").put_object(Bucket="iam-shared", Key="a", Body=b"x")
    reading = service(assume(sandbox, reader), "s3")
    assert reading.get_object(Bucket="iam-shared", Key="a")["Body"].read() == b"x"
    refused(reading.list_objects_v2, Bucket="iam-shared")
    other = service(acting(sandbox, "iam-other-writer", allow("s3:*")), "s3")
    message = refused(other.put_object, Bucket="iam-shared", Key="a", Body=b"y")
    assert message.endswith("with an explicit deny in a resource-based policy")


def test_the_tags_of_an_object_that_is_written_can_be_asked_for(sandbox: Cloud) -> None:
    api(sandbox, "s3").create_bucket(Bucket="iam-tagged")
    put = allow(
        ["s3:PutObject", "s3:PutObjectTagging"], StringEquals={"s3:RequestObjectTag/kind": "checkpoint"}
    )
    s3 = service(acting(sandbox, "iam-tagger", put), "s3")
    s3.put_object(Bucket="iam-tagged", Key="a", Body=b"x", Tagging="kind=checkpoint")
    refused(s3.put_object, Bucket="iam-tagged", Key="a", Body=b"x", Tagging="kind=other")
    refused(s3.put_object, Bucket="iam-tagged", Key="a", Body=b"x")


def test_only_who_may_list_is_told_that_an_object_is_missing(sandbox: Cloud, bucket: str) -> None:
    blind = service(acting(sandbox, "iam-blind", allow("s3:GetObject", OBJECTS)), "s3")
    seeing = acting(sandbox, "iam-seeing", allow("s3:GetObject", OBJECTS), allow("s3:ListBucket"))
    assert refusal(blind.get_object, Bucket="iam-data", Key="vision/none")[0] == "AccessDenied"
    assert refusal(blind.head_object, Bucket="iam-data", Key="vision/none")[0] == "403"
    assert refusal(service(seeing, "s3").get_object, Bucket="iam-data", Key="vision/none")[0] == "NoSuchKey"


@pytest.fixture(scope="module")
def machines(sandbox: Cloud) -> dict[str, str]:
    """An instance of each of two teams, by team."""
    found = {team: run_instances(sandbox, 1, "", team=team)[0] for team in ("vision", "speech")}
    ssm = api(sandbox, "ssm")
    wait_for(lambda: len(ssm.describe_instance_information()["InstanceInformationList"]) >= len(found))
    return found


def test_instances_by_their_tags(sandbox: Cloud, machines: dict[str, str]) -> None:
    mine = allow(
        ["ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances"],
        f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/*",
        StringEquals={"ec2:ResourceTag/team": "${aws:PrincipalTag/team}"},
    )
    tags = [{"Key": "team", "Value": "vision"}]
    ec2 = service(acting(sandbox, "iam-operator", mine, Tags=tags), "ec2")
    own = run_instances(sandbox, 1, "", team="vision")[0]
    both = [own, machines["speech"]]
    for call in (ec2.stop_instances, ec2.start_instances, ec2.terminate_instances):
        refused(call, InstanceIds=[machines["speech"]])
        refused(call, InstanceIds=both)
        call(InstanceIds=[own])


def test_tags_that_must_be_given_when_something_is_made(sandbox: Cloud) -> None:
    make = allow(
        "ec2:CreateVolume",
        f"arn:aws:ec2:{REGION}:{ACCOUNT}:volume/*",
        **{
            "StringEquals": {"aws:RequestTag/team": "vision"},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]},
        },
    )
    tagging = allow("ec2:CreateTags", "*", StringEquals={"ec2:CreateAction": "CreateVolume"})
    ec2 = service(acting(sandbox, "iam-volumes", make, tagging), "ec2")

    def made(**tags: str) -> dict[str, Any]:
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        specifications = [{"ResourceType": "volume", "Tags": listed}] if tags else []
        return {"AvailabilityZone": f"{REGION}a", "Size": 1, "TagSpecifications": specifications}

    refused(ec2.create_volume, **made())
    refused(ec2.create_volume, **made(team="speech"))
    refused(ec2.create_volume, **made(team="vision", extra="x"))
    volume = ec2.create_volume(**made(team="vision"))["VolumeId"]
    refused(ec2.create_tags, Resources=[volume], Tags=[{"Key": "team", "Value": "speech"}])


def test_running_an_instance_needs_all_that_it_is_made_of_and_its_role(sandbox: Cloud) -> None:
    iam, ec2 = api(sandbox, "iam"), api(sandbox, "ec2")
    role = make_role(sandbox, "iam-profile-role", trusts=trust({"Service": "ec2.amazonaws.com"}))
    iam.create_instance_profile(InstanceProfileName="iam-profile")
    iam.add_role_to_instance_profile(InstanceProfileName="iam-profile", RoleName="iam-profile-role")
    data = {
        "ImageId": "ami-12c6146b",
        "InstanceType": "m5.large",
        "IamInstanceProfile": {"Name": "iam-profile"},
    }
    template = ec2.create_launch_template(LaunchTemplateName="iam-template", LaunchTemplateData=data)
    template_id = template["LaunchTemplate"]["LaunchTemplateId"]
    run = allow("ec2:RunInstances", "*", StringEqualsIfExists={"ec2:InstanceType": "m5.large"})
    passing = allow("iam:PassRole", role, StringEquals={"iam:PassedToService": "ec2.amazonaws.com"})
    asked = {"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateId": template_id}}
    runner = service(acting(sandbox, "iam-runner", run, passing), "ec2")
    without = service(acting(sandbox, "iam-runner-2", run), "ec2")
    narrow = allow("ec2:RunInstances", f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/*")
    assert "iam:PassRole" in refused(without.run_instances, **asked)
    refused(runner.run_instances, **asked, InstanceType="p5.48xlarge")
    refused(service(acting(sandbox, "iam-runner-3", narrow, passing), "ec2").run_instances, **asked)
    started = runner.run_instances(**asked)["Instances"][0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[started])


def test_a_group_by_its_tags_and_its_name(sandbox: Cloud) -> None:
    group, ec2 = api(sandbox, "autoscaling"), api(sandbox, "ec2")
    data = {"ImageId": "ami-12c6146b", "InstanceType": "m5.large"}
    ec2.create_launch_template(LaunchTemplateName="iam-group", LaunchTemplateData=data)
    for team in ("vision", "speech"):
        group.create_auto_scaling_group(
            AutoScalingGroupName=f"iam-{team}",
            LaunchTemplate={"LaunchTemplateName": "iam-group", "Version": "$Latest"},
            MinSize=0,
            MaxSize=0,
            AvailabilityZones=[f"{REGION}a"],
            Tags=[{"Key": "team", "Value": team, "PropagateAtLaunch": True}],
        )
    named = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:*:autoScalingGroupName/iam-*"
    mine = allow(
        "autoscaling:SetDesiredCapacity", named, StringEquals={"autoscaling:ResourceTag/team": "vision"}
    )
    scaling = service(acting(sandbox, "iam-scaler", mine), "autoscaling")
    scaling.set_desired_capacity(AutoScalingGroupName="iam-vision", DesiredCapacity=0)
    refused(scaling.set_desired_capacity, AutoScalingGroupName="iam-speech", DesiredCapacity=0)
    refused(scaling.delete_auto_scaling_group, AutoScalingGroupName="iam-vision")


SENDING = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/*"


def test_a_command_needs_its_document_and_every_instance(sandbox: Cloud, machines: dict[str, str]) -> None:
    ssm = api(sandbox, "ssm")
    step = {"action": "aws:runShellScript", "name": "a", "inputs": {"runCommand": ["true"]}}
    content = json.dumps({"schemaVersion": "2.2", "mainSteps": [step]})
    for name in ("iam-run-vision", "iam-run-speech"):
        ssm.create_document(Name=name, Content=content, DocumentType="Command", DocumentFormat="JSON")
    own = allow("ssm:SendCommand", f"arn:aws:ssm:{REGION}:{ACCOUNT}:document/iam-run-vision")
    nodes = allow("ssm:SendCommand", SENDING, StringEquals={"ssm:resourceTag/team": "vision"})
    sender = service(acting(sandbox, "iam-sender", own, nodes), "ssm")
    sender.send_command(DocumentName="iam-run-vision", InstanceIds=[machines["vision"]])
    refused(sender.send_command, DocumentName="iam-run-vision", InstanceIds=[machines["speech"]])
    refused(sender.send_command, DocumentName="iam-run-speech", InstanceIds=[machines["vision"]])
    refused(sender.send_command, DocumentName="AWS-RunShellScript", InstanceIds=[machines["vision"]])
    refused(sender.send_command, DocumentName="iam-run-vision", InstanceIds=list(machines.values()))

    def by_tag(team: str) -> dict[str, Any]:
        return {"DocumentName": "iam-run-vision", "Targets": [{"Key": "tag:team", "Values": [team]}]}

    sender.send_command(**by_tag("vision"))
    refused(sender.send_command, **by_tag("speech"))
    refused(service(acting(sandbox, "iam-no-document", nodes), "ssm").send_command, **by_tag("vision"))


def entering(*resources: str, check: bool = False) -> dict[str, Any]:
    """Return a statement for StartSession."""
    condition = {"BoolIfExists": {"ssm:SessionDocumentAccessCheck": "true"}} if check else {}
    return allow("ssm:StartSession", list(resources), **condition)


RUN_SHELL = f"arn:aws:ssm:{REGION}:{ACCOUNT}:document/SSM-SessionManagerRunShell"
TEAM_SHELL = f"arn:aws:ssm:{REGION}:{ACCOUNT}:document/iam-shell"


@pytest.fixture(scope="module")
def shell(sandbox: Cloud) -> str:
    """A session document of the account."""
    content = json.dumps({"schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": {}})
    api(sandbox, "ssm").create_document(
        Name="iam-shell", Content=content, DocumentType="Session", DocumentFormat="JSON"
    )
    return "iam-shell"


def test_without_the_access_check_an_instance_alone_gives_the_default_shell(
    sandbox: Cloud, machines: dict[str, str], shell: str
) -> None:
    ssm = service(acting(sandbox, "iam-enter-1", entering(SENDING)), "ssm")
    assert ssm.start_session(Target=machines["vision"])["SessionId"].startswith("ann-")
    refused(ssm.start_session, Target=machines["vision"], DocumentName=shell)
    refused(ssm.start_session, Target=machines["vision"], DocumentName="AWS-StartPortForwardingSession")


def test_with_the_access_check_the_document_must_be_given_too(
    sandbox: Cloud, machines: dict[str, str], shell: str
) -> None:
    target = {"Target": machines["vision"]}
    instance = service(acting(sandbox, "iam-enter-2", entering(SENDING, check=True)), "ssm")
    refused(instance.start_session, **target)
    default = service(acting(sandbox, "iam-enter-3", entering(SENDING, RUN_SHELL, check=True)), "ssm")
    default.start_session(**target)
    refused(default.start_session, **target, DocumentName=shell)
    own = service(acting(sandbox, "iam-enter-4", entering(SENDING, TEAM_SHELL, check=True)), "ssm")
    own.start_session(**target, DocumentName=shell)
    refused(own.start_session, **target)
    refused(own.start_session, **target, DocumentName="AWS-StartSSHSession")


def test_a_session_on_another_teams_machine_is_refused(sandbox: Cloud, machines: dict[str, str]) -> None:
    mine = entering(SENDING)
    mine["Condition"] = {"StringEquals": {"ssm:resourceTag/team": "vision"}}
    ssm = service(acting(sandbox, "iam-enter-5", mine), "ssm")
    ssm.start_session(Target=machines["vision"])
    message = refused(ssm.start_session, Target=machines["speech"])
    assert f"instance/{machines['speech']}" in message


def test_a_session_is_listed_and_ended_by_who_began_it(sandbox: Cloud, machines: dict[str, str]) -> None:
    own = allow(
        "ssm:TerminateSession",
        f"arn:aws:ssm:{REGION}:{ACCOUNT}:session/*",
        StringLike={"ssm:resourceTag/aws:ssmmessages:session-id": "${aws:userid}"},
    )
    role = make_role(sandbox, "iam-enter-6", entering(SENDING), own, allow("ssm:DescribeSessions"))
    ann, bob = service(assume(sandbox, role, "ann"), "ssm"), service(assume(sandbox, role, "bob"), "ssm")
    begun = ann.start_session(Target=machines["vision"], Reason="to look")
    listed = ann.describe_sessions(State="Active", Filters=[{"key": "Target", "value": machines["vision"]}])
    mine = next(each for each in listed["Sessions"] if each["SessionId"] == begun["SessionId"])
    assert (mine["Owner"].rsplit("/", 1)[-1], mine["Reason"], mine["Status"]) == (
        "ann",
        "to look",
        "Connected",
    )
    refused(bob.terminate_session, SessionId=begun["SessionId"])
    ann.terminate_session(SessionId=begun["SessionId"])
    ended = ann.describe_sessions(State="History")["Sessions"]
    assert begun["SessionId"] in [each["SessionId"] for each in ended]


def test_a_machine_that_does_not_run_cannot_be_entered(sandbox: Cloud) -> None:
    code, _ = refusal(service(sandbox, "ssm").start_session, Target="i-0123456789abcdef0")
    assert code == "TargetNotConnected"


def test_log_groups_queues_topics_and_parameters_by_name(sandbox: Cloud) -> None:
    logs, sqs, sns, ssm = (api(sandbox, name) for name in ("logs", "sqs", "sns", "ssm"))
    urls, topics = {}, {}
    for team in ("vision", "speech"):
        logs.create_log_group(logGroupName=f"/iam/{team}")
        logs.create_log_stream(logGroupName=f"/iam/{team}", logStreamName="a")
        urls[team] = sqs.create_queue(QueueName=f"iam-{team}")["QueueUrl"]
        topics[team] = sns.create_topic(Name=f"iam-{team}")["TopicArn"]
        ssm.put_parameter(Name=f"/iam/{team}/a", Value="x", Type="String")
    here = f"{REGION}:{ACCOUNT}"
    member = acting(
        sandbox,
        "iam-small",
        allow(["logs:GetLogEvents", "logs:PutLogEvents"], f"arn:aws:logs:{here}:log-group:/iam/vision:*"),
        allow("sqs:SendMessage", f"arn:aws:sqs:{here}:iam-vision"),
        allow("sns:Publish", topics["vision"]),
        allow("ssm:GetParameter*", f"arn:aws:ssm:{here}:parameter/iam/vision/*"),
    )
    stream = {"logStreamName": "a"}
    service(member, "logs").get_log_events(logGroupName="/iam/vision", **stream)
    refused(service(member, "logs").get_log_events, logGroupName="/iam/speech", **stream)
    refused(service(member, "logs").delete_log_group, logGroupName="/iam/vision")
    service(member, "sqs").send_message(QueueUrl=urls["vision"], MessageBody="x")
    refused(service(member, "sqs").send_message, QueueUrl=urls["speech"], MessageBody="x")
    refused(service(member, "sqs").receive_message, QueueUrl=urls["vision"])
    service(member, "sns").publish(TopicArn=topics["vision"], Message="x")
    refused(service(member, "sns").publish, TopicArn=topics["speech"], Message="x")
    service(member, "ssm").get_parameter(Name="/iam/vision/a")
    refused(service(member, "ssm").get_parameter, Name="/iam/speech/a")
    refused(service(member, "ssm").get_parameters, Names=["/iam/vision/a", "/iam/speech/a"])


def test_a_secure_parameter_needs_its_key_where_it_is_asked_for_in_clear(sandbox: Cloud, bucket: str) -> None:
    given = {"Name": "/iam/hidden", "Value": "x", "Type": "SecureString", "KeyId": bucket}
    api(sandbox, "ssm").put_parameter(**given)
    read, use = allow("ssm:GetParameter"), allow("kms:Decrypt", bucket)
    keyless = service(acting(sandbox, "iam-parameter-1", read), "ssm")
    keyless.get_parameter(Name="/iam/hidden")
    assert "kms:Decrypt" in refused(keyless.get_parameter, Name="/iam/hidden", WithDecryption=True)
    with_key = service(acting(sandbox, "iam-parameter-2", read, use), "ssm")
    with_key.get_parameter(Name="/iam/hidden", WithDecryption=True)
    api(sandbox, "ssm").put_parameter(Name="/iam/plain", Value="x", Type="SecureString")
    keyless.get_parameter(Name="/iam/plain", WithDecryption=True)
    public = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    keyless.get_parameter(Name=public, WithDecryption=True)


def test_a_queue_policy_gives_to_a_role(sandbox: Cloud) -> None:
    sqs = api(sandbox, "sqs")
    url = sqs.create_queue(QueueName="iam-given")["QueueUrl"]
    role, other = make_role(sandbox, "iam-queue-1"), make_role(sandbox, "iam-queue-2")
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:iam-given"
    given = {**allow("sqs:SendMessage", arn), "Principal": {"AWS": role}}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(given)})
    service(assume(sandbox, role), "sqs").send_message(QueueUrl=url, MessageBody="x")
    refused(service(assume(sandbox, other), "sqs").send_message, QueueUrl=url, MessageBody="x")


def test_a_schedule_and_a_function_need_the_right_to_hand_over_their_role(sandbox: Cloud) -> None:
    role = make_role(sandbox, "iam-target", trusts=trust({"Service": "scheduler.amazonaws.com"}))
    make = allow("scheduler:CreateSchedule", f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/iam-*")
    right = allow("iam:PassRole", role, StringEquals={"iam:PassedToService": "scheduler.amazonaws.com"})
    wrong = allow("iam:PassRole", role, StringEquals={"iam:PassedToService": "lambda.amazonaws.com"})
    asked = {
        "Name": "iam-once",
        "ScheduleExpression": "at(2030-01-01T00:00:00)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:x", "RoleArn": role},
    }
    for number, statement in enumerate((None, wrong)):
        given = [make, *([statement] if statement else [])]
        scheduler = service(acting(sandbox, f"iam-scheduler-{number}", *given), "scheduler")
        assert "iam:PassRole" in refused(scheduler.create_schedule, **asked)
    scheduler = service(acting(sandbox, "iam-scheduler-2", make, right), "scheduler")
    refused(scheduler.create_schedule, **{**asked, "Name": "other"})
    scheduler.create_schedule(**asked)
