"""The record under the embedded cloud's IAM: a machine writes what its session needs, and reads nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fleet.bootstrap import ensure_account
from fleet.cloud import Cloud
from stacks import naming
from stacks.account import AccountSpec
from stacks.place import Place
from stacks.session_document import session_permissions
from tests.account_policies import synthesized
from tests.iam_helpers import ACCOUNT, assume, make_role, refusal, service
from tests.sandbox_helpers import REGION, api

pytestmark = pytest.mark.sandbox
SPEC = AccountSpec(organization="acme-ai", region=REGION)
BUCKET = naming.ledger_bucket(SPEC.organization, SPEC.region)
SESSION = {"aws:ssm:SessionId": "ann-0123", "aws:ssm:TargetId": "i-0123"}


@pytest.fixture(scope="module")
def key(sandbox: Cloud) -> str:
    """An account as its stack makes it, as far as sessions are concerned; its audit key."""
    stack = synthesized()["resource"]

    def real(text: str, **known: str) -> str:
        return re.sub(r"\$\{([^}]+)\}", lambda found: known[found[1].replace(".", "_")], text)

    here = {
        "data_aws_partition_current_partition": "aws",
        "data_aws_caller_identity_current_account_id": ACCOUNT,
    }
    ensure_account(sandbox, SPEC)
    policy = stack["aws_s3_bucket_policy"]["ledger"]["policy"]
    arn = {"aws_s3_bucket_ledger_arn": f"arn:aws:s3:::{BUCKET}"}
    api(sandbox, "s3").put_bucket_policy(Bucket=BUCKET, Policy=real(policy, **here, **arn))
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    api(sandbox, "s3").put_bucket_encryption(
        Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]}
    )
    made = api(sandbox, "kms").create_key(Policy=real(stack["aws_kms_key"]["audit"]["policy"], **here))
    alias = naming.account_name(SPEC.organization, naming.AUDIT_KEY)
    api(sandbox, "kms").create_alias(AliasName=f"alias/{alias}", TargetKeyId=made["KeyMetadata"]["KeyId"])
    api(sandbox, "logs").create_log_group(logGroupName=group())
    return str(made["KeyMetadata"]["Arn"])


def group() -> str:
    return naming.account_log_group(SPEC.organization, "sessions")


@pytest.fixture(scope="module")
def machine(sandbox: Cloud, key: str) -> Cloud:
    """The cloud as a machine with the permissions of its sessions, and no others, sees it."""
    place = Place(partition="aws", region=REGION, account_id=ACCOUNT)
    return assume(sandbox, make_role(sandbox, "record-machine", *session_permissions(SPEC, place)))


@pytest.fixture(scope="module")
def administrator(sandbox: Cloud, key: str) -> Cloud:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    return assume(sandbox, make_role(sandbox, "record-administrator", everything))


def test_a_machine_does_all_that_a_transcript_takes(sandbox: Cloud, machine: Cloud, key: str) -> None:
    s3, logs = service(machine, "s3"), service(machine, "logs")
    assert s3.get_bucket_encryption(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="sessions/ann-0123.log", Body=b"whoami")
    assert group() in [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]]
    logs.create_log_stream(logGroupName=group(), logStreamName="ann-0123")
    events = [{"timestamp": 1_700_000_000_000, "message": "whoami"}]
    logs.put_log_events(logGroupName=group(), logStreamName="ann-0123", logEvents=events)
    kms = api(sandbox, "kms")
    data = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=SESSION)
    again = service(machine, "kms").decrypt(
        KeyId=key, CiphertextBlob=data["CiphertextBlob"], EncryptionContext=SESSION
    )
    assert again["Plaintext"] == data["Plaintext"]
    lock = api(sandbox, "s3").head_object(Bucket=BUCKET, Key="sessions/ann-0123.log")
    assert lock["ObjectLockMode"] == "GOVERNANCE"


def test_a_machine_does_nothing_else_with_the_record(sandbox: Cloud, machine: Cloud, key: str) -> None:
    api(sandbox, "s3").put_object(Bucket=BUCKET, Key="sessions/bob.log", Body=b"secret")
    s3, logs = service(machine, "s3"), service(machine, "logs")
    attempts: list[tuple[Any, dict[str, Any]]] = [
        (s3.get_object, {"Bucket": BUCKET, "Key": "sessions/bob.log"}),
        (s3.list_objects_v2, {"Bucket": BUCKET}),
        (s3.delete_object, {"Bucket": BUCKET, "Key": "sessions/bob.log"}),
        (s3.put_object, {"Bucket": BUCKET, "Key": "ledger/000000000001.json", "Body": b"{}"}),
        (s3.put_object, {"Bucket": BUCKET, "Key": "trail/x.json.gz", "Body": b"{}"}),
        (logs.get_log_events, {"logGroupName": group(), "logStreamName": "ann-0123"}),
        (logs.delete_log_group, {"logGroupName": group()}),
    ]
    for call, arguments in attempts:
        assert "AccessDenied" in refusal(call, **arguments)[0]
    kms = api(sandbox, "kms")
    other = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    refused = refusal(service(machine, "kms").decrypt, KeyId=key, CiphertextBlob=other)
    assert "AccessDenied" in refused[0], "it is not of a session"


def test_an_administrator_reads_the_record_and_cannot_take_from_it(
    sandbox: Cloud, administrator: Cloud, key: str
) -> None:
    api(sandbox, "s3").put_object(Bucket=BUCKET, Key="sessions/eve.log", Body=b"ls")
    s3 = service(administrator, "s3")
    assert s3.get_object(Bucket=BUCKET, Key="sessions/eve.log")["Body"].read() == b"ls"
    code, message = refusal(s3.delete_object, Bucket=BUCKET, Key="sessions/eve.log")
    assert code == "AccessDenied"
    assert "explicit deny" in message
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": "2030-01-01T00:00:00Z"}
    shorter = {"Bucket": BUCKET, "Key": "sessions/eve.log", "Retention": retention}
    assert refusal(s3.put_object_retention, **shorter, BypassGovernanceRetention=True)[0] == "AccessDenied"
    data = api(sandbox, "kms").encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert "AccessDenied" in refusal(service(administrator, "kms").decrypt, KeyId=key, CiphertextBlob=data)[0]


def test_an_administrator_with_the_deny_list_starts_no_tunnel_and_stops_no_trail(
    sandbox: Cloud, key: str
) -> None:
    text = synthesized()["resource"]["aws_iam_policy"]["deny_entry"]["policy"]
    known = {
        "data.aws_partition.current.partition": "aws",
        "data.aws_caller_identity.current.account_id": ACCOUNT,
        "aws_kms_key.audit.arn": key,
        "aws_kms_key.ledger.arn": key,
    }
    document = json.loads(re.sub(r"\$\{([^}]+)\}", lambda found: known[found[1]], text))
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    cloud = assume(sandbox, make_role(sandbox, "record-listed", everything, *document["Statement"]))
    (instance,) = api(sandbox, "ec2").run_instances(
        ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="t3.micro"
    )["Instances"]
    target, ssm = instance["InstanceId"], service(cloud, "ssm")
    for name in ("AWS-StartSSHSession", "AWS-StartPortForwardingSession", "AWS-StartInteractiveCommand"):
        refused = refusal(ssm.start_session, Target=target, DocumentName=name)
        assert refused[0] == "AccessDeniedException"
        assert "explicit deny" in refused[1]
    keys = {"KeyId": key, "PendingWindowInDays": 7}
    assert refusal(service(cloud, "kms").schedule_key_deletion, **keys)[0] == "AccessDeniedException"
    name = naming.account_name(SPEC.organization, naming.TRAIL)
    assert refusal(service(cloud, "cloudtrail").stop_logging, Name=name)[0] == "AccessDeniedException"
    refused = refusal(service(cloud, "ec2").enable_serial_console_access)
    assert refused[0] == "UnauthorizedOperation"
    api(sandbox, "ec2").terminate_instances(InstanceIds=[target])
