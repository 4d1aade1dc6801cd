"""Sessions of assumed roles in the embedded cloud, and the credentials of its machines and services."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

from fleet.cloud import Cloud
from sandbox.iam.credentials import RoleRefusedError, credentials_for_role
from sandbox.iam.sessions import SESSIONS
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
)
from tests.sandbox_helpers import IMAGE, admin, api, run_instances, run_script

pytestmark = pytest.mark.sandbox

PEOPLE = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]


def who(cloud: Cloud) -> str:
    return str(service(cloud, "sts").get_caller_identity()["Arn"])


def test_the_session_is_who_its_keys_say(sandbox: Cloud) -> None:
    role = make_role(sandbox, "sts-plain", Path="/team/")
    assert role == f"arn:aws:iam::{ACCOUNT}:role/team/sts-plain"
    assert who(assume(sandbox, role, "ann")) == f"arn:aws:sts::{ACCOUNT}:assumed-role/sts-plain/ann"


def test_a_role_that_wants_a_source_identity_is_not_assumed_without_it(sandbox: Cloud) -> None:
    wants = trust(actions=PEOPLE, StringLike={"sts:SourceIdentity": "*@example.com"})
    mine = allow(
        "s3:CreateBucket", "arn:aws:s3:::sts-*", StringEquals={"aws:SourceIdentity": "ann@example.com"}
    )
    role = make_role(sandbox, "sts-named", mine, trusts=wants)
    sts = api(sandbox, "sts")
    code, message = refusal(sts.assume_role, RoleArn=role, RoleSessionName="ann")
    assert code == "AccessDenied"
    assert message.endswith("because no resource-based policy allows the sts:AssumeRole action")
    assert (
        refusal(sts.assume_role, RoleArn=role, RoleSessionName="ann", SourceIdentity="ann")[0]
        == "AccessDenied"
    )
    ann = assume(sandbox, role, SourceIdentity="ann@example.com")
    bob = assume(sandbox, role, SourceIdentity="bob@example.com")
    service(ann, "s3").create_bucket(Bucket="sts-bucket")
    assert refusal(service(bob, "s3").create_bucket, Bucket="sts-bucket-2")[0] == "AccessDenied"


def test_setting_a_source_identity_and_tags_is_a_right_of_its_own(sandbox: Cloud) -> None:
    role = make_role(sandbox, "sts-bare", trusts=trust())
    sts = api(sandbox, "sts")
    asked = {"RoleArn": role, "RoleSessionName": "ann"}
    assert "sts:SetSourceIdentity" in refusal(sts.assume_role, **asked, SourceIdentity="ann")[1]
    tags = [{"Key": "team", "Value": "vision"}]
    assert "sts:TagSession" in refusal(sts.assume_role, **asked, Tags=tags)[1]


def test_an_external_id_and_the_tags_of_a_session_can_be_asked_for(sandbox: Cloud) -> None:
    role = make_role(
        sandbox,
        "sts-external",
        trusts=trust(actions=PEOPLE, StringEquals={"sts:ExternalId": "abc", "aws:RequestTag/team": "vision"}),
    )
    sts = api(sandbox, "sts")
    good: dict[str, Any] = {"ExternalId": "abc", "Tags": [{"Key": "team", "Value": "vision"}]}
    wrongs: list[dict[str, Any]] = [
        {"ExternalId": "xyz"},
        {"Tags": [{"Key": "team", "Value": "speech"}]},
        {"Tags": []},
    ]
    for wrong in wrongs:
        asked = {"RoleArn": role, "RoleSessionName": "ann", **good, **wrong}
        assert refusal(sts.assume_role, **asked)[0] == "AccessDenied"
    assume(sandbox, role, **good)


def test_a_role_is_assumed_only_by_whom_it_trusts_and_who_may(sandbox: Cloud) -> None:
    ann = make_role(sandbox, "sts-ann")
    bob = make_role(sandbox, "sts-bob", allow("sts:AssumeRole"))
    by_name = make_role(sandbox, "sts-by-name", trusts=trust({"AWS": ann}))
    by_account = make_role(sandbox, "sts-by-account")
    by_service = make_role(sandbox, "sts-by-service", trusts=trust({"Service": "ec2.amazonaws.com"}))
    as_ann, as_bob = (service(assume(sandbox, role), "sts") for role in (ann, bob))
    asked = {"RoleSessionName": "next"}
    as_ann.assume_role(RoleArn=by_name, **asked)
    refusal(as_bob.assume_role, RoleArn=by_name, **asked)
    refusal(as_ann.assume_role, RoleArn=by_account, **asked)
    as_bob.assume_role(RoleArn=by_account, **asked)
    for one in (as_ann, as_bob, api(sandbox, "sts")):
        refusal(one.assume_role, RoleArn=by_service, **asked)
    refusal(as_bob.assume_role, RoleArn=f"arn:aws:iam::{ACCOUNT}:role/sts-none", **asked)


def test_a_chain_keeps_the_source_identity_and_the_transitive_tags(sandbox: Cloud) -> None:
    first = make_role(
        sandbox, "sts-first", allow(PEOPLE), trusts=trust(actions=PEOPLE), MaxSessionDuration=7200
    )
    mine = allow("s3:ListAllMyBuckets", StringEquals={"aws:PrincipalTag/team": "vision"})
    named = allow("ec2:DescribeVpcs", StringEquals={"aws:SourceIdentity": "ann"})
    other = allow("sqs:ListQueues", StringEquals={"aws:PrincipalTag/step": "1"})
    second = make_role(
        sandbox, "sts-second", mine, named, other, trusts=trust(actions=PEOPLE), MaxSessionDuration=7200
    )
    tags = [{"Key": "team", "Value": "vision"}, {"Key": "step", "Value": "1"}]
    ann = assume(
        sandbox, first, SourceIdentity="ann", Tags=tags, TransitiveTagKeys=["team"], DurationSeconds=7200
    )
    sts = service(ann, "sts")
    asked = {"RoleArn": second, "RoleSessionName": "next"}
    assert sts.assume_role(**asked)["SourceIdentity"] == "ann"
    chained = assume(ann, second)
    service(chained, "s3").list_buckets()
    service(chained, "ec2").describe_vpcs()
    assert refusal(service(chained, "sqs").list_queues)[0] == "AccessDenied"
    assert refusal(sts.assume_role, **asked, SourceIdentity="bob")[0] == "AccessDenied"
    assert "1 hour" in refusal(sts.assume_role, **asked, DurationSeconds=7200)[1]
    again = [{"Key": "team", "Value": "speech"}]
    assert refusal(sts.assume_role, **asked, Tags=again)[0] == "InvalidParameterValue"
    bare = make_role(sandbox, "sts-third", trusts=trust())
    assert "sts:SetSourceIdentity" in refusal(sts.assume_role, RoleArn=bare, RoleSessionName="next")[1]


def test_a_session_policy_takes_away_and_adds_nothing(sandbox: Cloud) -> None:
    role = make_role(sandbox, "sts-narrowed", allow(["s3:ListAllMyBuckets", "sqs:ListQueues"]))
    arn = api(sandbox, "iam").create_policy(PolicyName="sts-queues", PolicyDocument=document(allow("sqs:*")))
    less = assume(sandbox, role, Policy=document(allow(["s3:*", "ec2:*"])))
    service(less, "s3").list_buckets()
    assert "because no session policy allows" in refusal(service(less, "sqs").list_queues)[1]
    assert refusal(service(less, "ec2").describe_vpcs)[0] == "UnauthorizedOperation"
    managed = assume(sandbox, role, PolicyArns=[{"arn": arn["Policy"]["Arn"]}])
    service(managed, "sqs").list_queues()
    assert refusal(service(managed, "s3").list_buckets)[0] == "AccessDenied"


def test_a_session_is_no_longer_than_the_role_allows(sandbox: Cloud) -> None:
    role = make_role(sandbox, "sts-long")
    asked = {"RoleArn": role, "RoleSessionName": "ann"}
    assert refusal(api(sandbox, "sts").assume_role, **asked, DurationSeconds=3601)[0] == "ValidationError"
    api(sandbox, "iam").update_role(RoleName="sts-long", MaxSessionDuration=7200)
    assume(sandbox, role, DurationSeconds=7200)


def test_a_role_that_is_changed_or_deleted_changes_the_sessions_that_run(sandbox: Cloud) -> None:
    session = acting(sandbox, "sts-changed", allow("s3:ListAllMyBuckets"))
    service(session, "s3").list_buckets()
    iam = api(sandbox, "iam")
    iam.delete_role_policy(RoleName="sts-changed", PolicyName="given")
    assert refusal(service(session, "s3").list_buckets)[0] == "AccessDenied"
    iam.delete_role(RoleName="sts-changed")
    assert refusal(service(session, "s3").list_buckets)[0] == "AccessDenied"


@pytest.mark.parametrize("action", ["get_session_token", "get_federation_token"])
def test_keys_that_nobody_could_authorise_are_not_handed_out(sandbox: Cloud, action: str) -> None:
    arguments = {"Name": "ann"} if "federation" in action else {}
    assert refusal(getattr(api(sandbox, "sts"), action), **arguments)[0] == "SandboxNotImplemented"


def a_role(name: str, principal: dict[str, str]) -> str:
    """Make a role in this process's own moto and return its ARN."""
    role = iam_backends[DEFAULT_ACCOUNT_ID]["aws"].create_role(
        role_name=name,
        assume_role_policy_document=document(trust(principal)),
        path="/",
        permissions_boundary=None,
        description="",
        tags=[],
        max_session_duration=None,
    )
    return str(role.arn)


def test_a_service_gets_the_credentials_of_a_role_that_trusts_it() -> None:
    arn = a_role("service-lambda", {"Service": "lambda.amazonaws.com"})
    key, secret, token = credentials_for_role(arn, "function", "lambda")
    session = SESSIONS.find(key)
    assert session is not None
    assert (session.secret, session.token, session.service) == (secret, token, "lambda.amazonaws.com")
    assert session.arn.endswith(":assumed-role/service-lambda/function")
    assert credentials_for_role(arn, "function", "lambda.amazonaws.com")


def test_a_service_that_the_role_does_not_trust_gets_none() -> None:
    arn = a_role("service-people", {"AWS": DEFAULT_ACCOUNT_ID})
    with pytest.raises(RoleRefusedError, match=r"lambda\.amazonaws\.com may not assume"):
        credentials_for_role(arn, "function", "lambda")
    with pytest.raises(RoleRefusedError, match="there is no role"):
        credentials_for_role(f"{arn}-2", "function", "lambda")


PROFILE = {"Name": "imds-reader"}


@pytest.fixture(scope="module")
def profile(sandbox: Cloud) -> dict[str, str]:
    """An instance profile whose role may list one bucket."""
    iam = api(sandbox, "iam")
    api(sandbox, "s3").create_bucket(Bucket="imds-bucket")
    make_role(
        sandbox,
        "imds-role",
        allow("s3:ListBucket", "arn:aws:s3:::imds-bucket"),
        trusts=trust({"Service": "ec2.amazonaws.com"}),
    )
    iam.create_instance_profile(InstanceProfileName=PROFILE["Name"])
    iam.add_role_to_instance_profile(InstanceProfileName=PROFILE["Name"], RoleName="imds-role")
    return PROFILE


@pytest.fixture(scope="module")
def machine(sandbox: Cloud, profile: dict[str, str]) -> str:
    """A machine with that profile."""
    found = api(sandbox, "ec2").run_instances(
        ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="m5.large", IamInstanceProfile=profile
    )
    return str(found["Instances"][0]["InstanceId"])


def test_a_machine_acts_as_the_role_of_its_profile(sandbox: Cloud, machine: str) -> None:
    asked = run_script(sandbox, machine, "aws sts get-caller-identity --query Arn --output text")
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/imds-role/{machine}"
    assert asked["StandardOutputContent"].strip() == arn, asked["StandardErrorContent"]
    listed = run_script(sandbox, machine, "aws s3api list-objects-v2 --bucket imds-bucket")
    assert listed["Status"] == "Success", listed["StandardErrorContent"]
    denied = run_script(sandbox, machine, "aws s3api list-buckets")
    assert "AccessDenied" in denied["StandardErrorContent"]
    mine = [each for each in admin(sandbox, "GET", "decisions") if each["principal"] == arn]
    assert [(each["action"], each["allowed"]) for each in mine] == [
        ("s3:ListBucket", True),
        ("s3:ListAllMyBuckets", False),
    ]


def test_every_machine_of_a_call_gets_the_profile_also_from_the_launch_template(
    sandbox: Cloud, profile: dict[str, str]
) -> None:
    ec2 = api(sandbox, "ec2")
    asked = {"ImageId": IMAGE, "InstanceType": "m5.large", "IamInstanceProfile": profile}
    ec2.create_launch_template(LaunchTemplateName="imds-template", LaunchTemplateData=asked)
    template = {"LaunchTemplateName": "imds-template"}
    for given in (asked, {"LaunchTemplate": template}):
        found = ec2.run_instances(MinCount=2, MaxCount=2, **given)["Instances"]
        for instance in found:
            got = run_script(
                sandbox, instance["InstanceId"], "aws s3api list-objects-v2 --bucket imds-bucket"
            )
            assert got["Status"] == "Success", got["StandardErrorContent"]
        ec2.terminate_instances(InstanceIds=[each["InstanceId"] for each in found])


def test_a_machine_without_a_profile_has_no_credentials(sandbox: Cloud) -> None:
    bare = run_instances(sandbox)[0]
    asked = run_script(sandbox, bare, "env; aws sts get-caller-identity")
    assert "Unable to locate credentials" in asked["StandardErrorContent"]
    assert "ACCESS_KEY" not in asked["StandardOutputContent"]


def metadata_endpoint(cloud: Cloud, machine: str) -> str:
    asked = run_script(cloud, machine, 'echo "$AWS_EC2_METADATA_SERVICE_ENDPOINT"')
    return str(asked["StandardOutputContent"].strip())


def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_metadata_service_speaks_version_two_alone(sandbox: Cloud, machine: str) -> None:
    base = f"{metadata_endpoint(sandbox, machine)}/latest"
    token_url, role_url = f"{base}/api/token", f"{base}/meta-data/iam/security-credentials/"
    assert ask(role_url)[0] == 401
    assert ask(role_url, X_aws_ec2_metadata_token="made up")[0] == 401
    assert ask(token_url)[0] == 403
    assert ask(token_url, "PUT")[0] == 400
    assert ask(token_url, "PUT", X_aws_ec2_metadata_token_ttl_seconds="21601")[0] == 400
    forwarded = {"X_aws_ec2_metadata_token_ttl_seconds": "60", "X_Forwarded_For": "10.0.0.1"}
    assert ask(token_url, "PUT", **forwarded)[0] == 403
    status, token = ask(token_url, "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
    assert status == 200
    with_token = {"X_aws_ec2_metadata_token": token}
    assert ask(role_url, **with_token) == (200, "imds-role")
    credentials = json.loads(ask(f"{role_url}imds-role", **with_token)[1])
    assert (credentials["Code"], credentials["Type"]) == ("Success", "AWS-HMAC")
    assert json.loads(ask(f"{role_url}imds-role", **with_token)[1]) == credentials
    assert ask(f"{role_url}other", **with_token)[0] == 404
    assert ask(f"{base}/meta-data/instance-id", **with_token) == (200, machine)
    assert ask(f"{base}/meta-data/none", **with_token)[0] == 404
    guessed = f"{sandbox.endpoint}/_sandbox/metadata/{machine}/latest/api/token"
    assert ask(guessed, "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")[0] == 404


def test_a_machines_expired_credentials_are_renewed(sandbox: Cloud, machine: str) -> None:
    script = "aws sts get-caller-identity >/dev/null && echo yes"
    assert run_script(sandbox, machine, script)["StandardOutputContent"] == "yes\n"
    base = f"{metadata_endpoint(sandbox, machine)}/latest"
    _, token = ask(f"{base}/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
    url = f"{base}/meta-data/iam/security-credentials/imds-role"
    first = json.loads(ask(url, X_aws_ec2_metadata_token=token)[1])["AccessKeyId"]
    assert admin(sandbox, "POST", "expire", {"access_key": first}) == {"expired": True}
    assert json.loads(ask(url, X_aws_ec2_metadata_token=token)[1])["AccessKeyId"] != first
    assert run_script(sandbox, machine, script)["StandardOutputContent"] == "yes\n"


def test_a_machine_cannot_act_as_a_role_that_does_not_trust_machines(sandbox: Cloud) -> None:
    iam = api(sandbox, "iam")
    make_role(sandbox, "imds-people", allow("*"))
    iam.create_instance_profile(InstanceProfileName="imds-people")
    iam.add_role_to_instance_profile(InstanceProfileName="imds-people", RoleName="imds-people")
    found = api(sandbox, "ec2").run_instances(
        ImageId=IMAGE,
        MinCount=1,
        MaxCount=1,
        InstanceType="m5.large",
        IamInstanceProfile={"Name": "imds-people"},
    )
    machine = found["Instances"][0]["InstanceId"]
    asked = run_script(sandbox, machine, "aws s3api list-buckets")
    assert "Unable to locate credentials" in asked["StandardErrorContent"]
