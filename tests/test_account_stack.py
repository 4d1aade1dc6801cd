"""The account stack: a trail to believe, a record that nobody changes, sessions that are written down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.iam.principals import Principal
from stacks import naming
from stacks.account import AccountSpec
from stacks.place import Place
from stacks.session_document import session_permissions
from tests.account_policies import (
    BUCKET,
    DOCUMENT,
    KEY,
    MEMBER,
    OWNER,
    REGION,
    SIGNING_KEY,
    TRAIL,
    may,
    policy_of,
    synthesized,
)
from tests.golden_synth import GOLDEN

TLS = {"aws:SecureTransport": "true"}
REAPERS = {"aws:PrincipalArn": f"arn:aws:iam::{OWNER}:role/acme-ai-fleetform-reaper"}
MEMBERS = {"aws:PrincipalArn": f"arn:aws:iam::{OWNER}:role/member"}
TRAIL_SERVICE = Principal(arn="", account=OWNER, service="cloudtrail.amazonaws.com")
LOGS_SERVICE = Principal(arn="", account=OWNER, service=f"logs.{REGION}.amazonaws.com")
ALARM_SERVICE = Principal(arn="", account=OWNER, service="cloudwatch.amazonaws.com")
STRANGER = Principal(arn="arn:aws:iam::999999999999:user/eve", account="999999999999")
ENTRY = f"arn:aws:s3:::{BUCKET}/ledger/000000000001.json"
TRANSCRIPT = f"arn:aws:s3:::{BUCKET}/sessions/ann-0123.log"
TOPIC = f"arn:aws:sns:{REGION}:{OWNER}:acme-ai-fleetform-alerts"
ALARM = f"arn:aws:cloudwatch:{REGION}:{OWNER}:alarm:acme-ai-fleetform-root-used"
TRAIL_GROUP = f"arn:aws:logs:{REGION}:{OWNER}:log-group:/fleetform/account/acme-ai/trail"
WRITTEN = f"arn:aws:s3:::{BUCKET}/trail/AWSLogs/{OWNER}/CloudTrail/x.json.gz"


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    return synthesized()


def only(stack: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the one resource of a kind."""
    (found,) = stack["resource"][kind].values()
    return dict(found)


def test_the_trail_is_of_all_regions_with_digests_encrypted_and_in_the_locked_bucket(
    stack: dict[str, Any],
) -> None:
    trail = only(stack, "aws_cloudtrail")
    for switch in ("enable_logging", "enable_log_file_validation", "is_multi_region_trail"):
        assert trail[switch] is True
    assert trail["s3_bucket_name"] == "${aws_s3_bucket_policy.ledger.bucket}"
    assert trail["kms_key_id"] == "${aws_kms_key.audit.arn}"
    assert trail["cloud_watch_logs_group_arn"].startswith("${aws_cloudwatch_log_group.trail.arn}")
    assert not trail["advanced_event_selector"], "events of objects cost money by the call"
    assert set(stack["resource"]["aws_s3_bucket_object_lock_configuration"]) == {"ledger"}


def test_cloudtrail_takes_the_role_on_without_a_condition_that_it_does_not_support(
    stack: dict[str, Any],
) -> None:
    (trust,) = json.loads(stack["resource"]["aws_iam_role"]["trail"]["assume_role_policy"])["Statement"]
    assert trust["Principal"] == {"Service": "cloudtrail.amazonaws.com"} and "Condition" not in trust


def test_events_of_objects_are_recorded_only_where_asked_for_and_never_of_the_trails_own_files() -> None:
    selectors = only(synthesized("[audit]\ndata_events = true"), "aws_cloudtrail")["advanced_event_selector"]
    calls, objects = ({field["field"]: field for field in each["field_selector"]} for each in selectors)
    assert calls["eventCategory"]["equals"] == ["Management"]
    assert objects["resources.type"]["equals"] == ["AWS::S3::Object"]
    assert objects["resources.ARN"]["starts_with"] == [
        "arn:${data.aws_partition.current.partition}:s3:::acme-ai-"
    ]
    left_out = [each.rpartition(":::")[2] for each in objects["resources.ARN"]["not_starts_with"]]
    assert left_out == [f"{BUCKET}/trail/", "acme-ai-fleetform-logs-us-east-1/"]


def test_an_account_without_a_trail_has_no_alarms_and_keeps_the_rest() -> None:
    made = synthesized("[audit]\ntrail = false")["resource"]
    assert "aws_cloudtrail" not in made
    assert set(made["aws_cloudwatch_log_metric_filter"]) == {"reaper_looked"}
    assert set(made["aws_ssm_document"]) == {"session"}
    for name in ("sessions", "trail"):
        # What the trail wrote stays when it goes.
        assert made["aws_cloudwatch_log_group"][name]["lifecycle"] == {"prevent_destroy": True}


def test_everything_that_holds_the_record_refuses_to_be_destroyed(stack: dict[str, Any]) -> None:
    kinds = ("aws_s3_bucket", "aws_cloudtrail", "aws_kms_key", "aws_ssm_document")
    for kind in kinds:
        for name, each in stack["resource"][kind].items():
            assert each["lifecycle"]["prevent_destroy"] is True, f"{kind}.{name}"
    for name in ("trail", "sessions"):
        assert stack["resource"]["aws_cloudwatch_log_group"][name]["lifecycle"] == {"prevent_destroy": True}


def test_cloudtrail_writes_below_its_folder_for_our_trail_alone(stack: dict[str, Any]) -> None:
    policy = policy_of(stack, "aws_s3_bucket_policy", "ledger")
    ours = {
        "aws:SourceArn": TRAIL,
        "s3:x-amz-acl": "bucket-owner-full-control",
        "aws:SecureTransport": "true",
    }

    def writes(resource: str, keys: Mapping[str, str] | None = None) -> bool:
        return may(TRAIL_SERVICE, "s3:PutObject", resource, {**ours, **(keys or {})}, resource_policy=policy)

    assert writes(WRITTEN)
    assert not writes(ENTRY)
    assert not writes(WRITTEN, {"aws:SourceArn": f"{TRAIL}-of-somebody-else"})
    assert not writes(WRITTEN.replace(OWNER, "999999999999"))


@pytest.mark.parametrize(
    "action",
    ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention", "s3:PutObjectRetention"],
)
def test_nobody_deletes_from_the_record_or_shortens_it(stack: dict[str, Any], action: str) -> None:
    policy = policy_of(stack, "aws_s3_bucket_policy", "ledger")
    assert not may(MEMBER, action, ENTRY, TLS, resource_policy=policy)
    state = policy_of(stack, "aws_s3_bucket_policy", "state")
    assert may(MEMBER, action, ENTRY, TLS, resource_policy=state), "the test can fail"


def test_an_entry_of_the_ledger_is_written_where_there_is_none_or_not_at_all(stack: dict[str, Any]) -> None:
    policy = policy_of(stack, "aws_s3_bucket_policy", "ledger")
    assert not may(MEMBER, "s3:PutObject", ENTRY, TLS, resource_policy=policy)
    assert may(MEMBER, "s3:PutObject", ENTRY, {**TLS, "s3:if-none-match": "*"}, resource_policy=policy)
    assert may(MEMBER, "s3:PutObject", TRANSCRIPT, TLS, resource_policy=policy), "Systems Manager overwrites"


def test_the_reaper_alone_adds_checkpoints_and_never_over_another(stack: dict[str, Any]) -> None:
    policy = policy_of(stack, "aws_s3_bucket_policy", "ledger")
    place = f"arn:aws:s3:::{BUCKET}/{naming.CHECKPOINTS_PREFIX}000000001000.json"
    once = {**TLS, "s3:if-none-match": "*"}
    assert may(MEMBER, "s3:PutObject", place, {**once, **REAPERS}, resource_policy=policy)
    assert not may(MEMBER, "s3:PutObject", place, {**TLS, **REAPERS}, resource_policy=policy)
    assert not may(MEMBER, "s3:PutObject", place, {**once, **MEMBERS}, resource_policy=policy)
    assert may(MEMBER, "s3:PutObject", ENTRY, {**once, **MEMBERS}, resource_policy=policy), (
        "the test can fail"
    )


def test_the_reaper_alone_signs_checkpoints(stack: dict[str, Any]) -> None:
    policy = policy_of(stack, "aws_kms_key", "ledger")

    def use(action: str, keys: Mapping[str, str], principal: Principal = MEMBER) -> bool:
        return may(principal, action, SIGNING_KEY, keys, resource_policy=policy, only_resource_policy=True)

    assert use("kms:Sign", REAPERS)
    assert not use("kms:Sign", MEMBERS)
    assert not use("kms:Sign", REAPERS, STRANGER)
    assert not use("kms:CreateGrant", MEMBERS), "by a grant one would sign after all"
    assert use("kms:GetPublicKey", MEMBERS), "whoever verifies needs it"
    assert use("kms:PutKeyPolicy", MEMBERS), "or nobody could ever change the policy again"
    key = stack["resource"]["aws_kms_key"]["ledger"]
    assert (key["key_usage"], key["customer_master_key_spec"]) == ("SIGN_VERIFY", "RSA_3072")


def test_the_trail_is_archived_and_old_states_go_after_a_while(stack: dict[str, Any]) -> None:
    buckets = stack["resource"]["aws_s3_bucket"]
    rules = {name: {rule["id"]: rule for rule in buckets[name]["lifecycle_rule"]} for name in buckets}
    assert rules["ledger"]["archive"]["prefix"] == "trail/"
    assert rules["ledger"]["archive"]["transition"] == [{"days": 90, "storage_class": "GLACIER_IR"}]
    assert not any(
        "expiration" in rule or "noncurrent_version_expiration" in rule for rule in rules["ledger"].values()
    ), "nothing of the record goes"
    assert rules["state"]["leftovers"]["noncurrent_version_expiration"] == {"days": 90}
    assert "objects" not in rules["state"], "the state itself stays"


def test_machines_write_transcripts_and_do_not_read_them(stack: dict[str, Any]) -> None:
    policy = policy_of(stack, "aws_s3_bucket_policy", "ledger")
    machine = {"ec2:SourceInstanceARN": f"arn:aws:ec2:{REGION}:{OWNER}:instance/i-0123"}
    account = {"aws:PrincipalAccount": OWNER, "aws:PrincipalIsAWSService": "false"}

    def do(action: str, resource: str, keys: Mapping[str, str] | None = None) -> bool:
        return may(MEMBER, action, resource, {**account, **(keys or {})}, resource_policy=policy)

    assert do("s3:PutObject", TRANSCRIPT, machine)
    assert not do("s3:GetObject", TRANSCRIPT, machine)
    assert not do("s3:GetObjectVersion", WRITTEN, machine)
    assert do("s3:GetObject", TRANSCRIPT), "a person whose policy allows it reads"
    assert not do("s3:PutObject", TRANSCRIPT, {"aws:PrincipalAccount": "999999999999"})
    assert not do("s3:GetObject", TRANSCRIPT, {"aws:SecureTransport": "false"})


def test_access_logs_go_to_a_bucket_that_is_not_locked_and_let_them_expire(stack: dict[str, Any]) -> None:
    logged = stack["resource"]["aws_s3_bucket_logging"]
    assert set(logged) == {"ledger", "state"}
    assert {each["target_bucket"] for each in logged.values()} == {"${aws_s3_bucket.logs.id}"}
    bucket = stack["resource"]["aws_s3_bucket"]["logs"]
    assert bucket["object_lock_enabled"] is False
    assert [each["expiration"]["days"] for each in bucket["lifecycle_rule"] if each["id"] == "objects"] == [
        365
    ]
    policy = policy_of(stack, "aws_s3_bucket_policy", "logs")
    service = Principal(arn="", account=OWNER, service="logging.s3.amazonaws.com")
    target = "arn:aws:s3:::acme-ai-fleetform-logs-us-east-1/acme-ai-vision-artifacts-us-east-1/2026"
    assert may(service, "s3:PutObject", target, {"aws:SourceAccount": OWNER}, resource_policy=policy)
    assert not may(
        service, "s3:PutObject", target, {"aws:SourceAccount": "999999999999"}, resource_policy=policy
    )
    assert not may(MEMBER, "s3:DeleteObject", target, resource_policy=policy)


def test_kms_alone_reads_nothing_of_the_record(stack: dict[str, Any]) -> None:
    policy = policy_of(stack, "aws_kms_key", "audit")

    def use(principal: Principal, action: str, keys: Mapping[str, str]) -> bool:
        return may(principal, action, KEY, keys, resource_policy=policy, only_resource_policy=True)

    mine = {"kms:CallerAccount": OWNER}
    s3 = {"kms:ViaService": f"s3.{REGION}.amazonaws.com", "kms:EncryptionContext:aws:cloudtrail:arn": TRAIL}
    assert use(MEMBER, "kms:PutKeyPolicy", mine), "or nobody could ever change the policy again"
    assert not use(MEMBER, "kms:Decrypt", mine)
    assert not use(MEMBER, "kms:CreateGrant", mine), "by a grant one would decrypt after all"
    assert use(MEMBER, "kms:Decrypt", {**mine, **s3})
    assert not use(MEMBER, "kms:Decrypt", {**mine, "kms:ViaService": s3["kms:ViaService"]})
    session = {"kms:EncryptionContext:aws:ssm:SessionId": "ann-0123"}
    assert use(MEMBER, "kms:GenerateDataKey", {**mine, **session})
    assert not use(STRANGER, "kms:Decrypt", {**session, "kms:CallerAccount": "999999999999"})


def test_aws_services_use_the_key_for_our_own_trail_groups_and_topic_alone(stack: dict[str, Any]) -> None:
    policy = policy_of(stack, "aws_kms_key", "audit")

    def use(principal: Principal, keys: Mapping[str, str]) -> bool:
        action = "kms:GenerateDataKey"
        return may(principal, action, KEY, keys, resource_policy=policy, only_resource_policy=True)

    context = "kms:EncryptionContext:aws:cloudtrail:arn"
    assert use(TRAIL_SERVICE, {"aws:SourceArn": TRAIL, context: TRAIL})
    assert not use(TRAIL_SERVICE, {"aws:SourceArn": f"{TRAIL}-2", context: f"{TRAIL}-2"})
    group = "kms:EncryptionContext:aws:logs:arn"
    ours = f"arn:aws:logs:{REGION}:{OWNER}:log-group:/fleetform/account/acme-ai/trail"
    assert use(LOGS_SERVICE, {group: ours})
    assert not use(LOGS_SERVICE, {group: ours.replace("acme-ai", "other")})
    assert use(ALARM_SERVICE, {"aws:SourceAccount": OWNER})
    assert not use(ALARM_SERVICE, {"aws:SourceAccount": "999999999999"})


def test_a_session_is_written_down_encrypted_and_of_a_user_without_power(stack: dict[str, Any]) -> None:
    document = only(stack, "aws_ssm_document")
    assert (document["document_type"], document["document_format"]) == ("Session", "JSON")
    assert document["name"] == "acme-ai-fleetform-session"
    content = json.loads(document["content"])
    assert (content["schemaVersion"], content["sessionType"]) == ("1.0", "Standard_Stream")
    assert content["inputs"] == {
        "s3BucketName": BUCKET,
        "s3KeyPrefix": "sessions",
        "s3EncryptionEnabled": True,
        "cloudWatchLogGroupName": "${aws_cloudwatch_log_group.sessions.name}",
        "cloudWatchEncryptionEnabled": True,
        "cloudWatchStreamingEnabled": True,
        "kmsKeyId": "${aws_kms_key.audit.arn}",
        "runAsEnabled": True,
        "runAsDefaultUser": "fleetform",
        "idleSessionTimeout": "20",
        "maxSessionDuration": "240",
        "shellProfile": {"windows": "", "linux": "cd && exec bash --login"},
    }


def test_a_machine_gets_what_its_transcript_needs_and_no_more() -> None:
    account = AccountSpec(organization="acme-ai", region=REGION)
    place = Place(partition="aws", region=REGION, account_id=OWNER)
    statements = {each["Sid"]: each for each in session_permissions(account, place)}
    assert statements["Transcript"]["Resource"] == f"arn:aws:s3:::{BUCKET}/sessions/*"
    actions = {
        action
        for each in statements.values()
        for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
    }
    assert {each for each in actions if each.startswith("s3:")} == {
        "s3:PutObject",
        "s3:GetEncryptionConfiguration",
    }
    assert {name for name, each in statements.items() if each["Resource"] == "*"} == {"TranscriptGroup"}
    elsewhere = Place(partition="aws", region="eu-central-1", account_id=OWNER)
    assert session_permissions(account, elsewhere) == []


REAPER = f"arn:aws:lambda:{REGION}:{OWNER}:function:acme-ai-fleetform-reaper"
SCHEDULES = f"arn:aws:scheduler:{REGION}:{OWNER}:schedule"
LEASE = f"{SCHEDULES}/fleetform-lease-vision-us-east-1/fleetform-lease-vision-us-east-1"
DEPLOYER = f"arn:aws:iam::{OWNER}:role/acme-ai-fleetform-deployer"
DENIED = [
    ("ssm:StartSession", f"arn:aws:ssm:{REGION}::document/AWS-StartSSHSession", {}),
    ("ssm:StartSession", f"arn:aws:ssm:{REGION}::document/AWS-StartPortForwardingSession", {}),
    ("ssm:StartSession", f"arn:aws:ssm:{REGION}::document/AWS-StartPortForwardingSessionToRemoteHost", {}),
    ("ssm:StartSession", f"arn:aws:ssm:{REGION}::document/AWS-StartInteractiveCommand", {}),
    ("ssm:StartSession", f"arn:aws:ssm:{REGION}::document/AWS-PasswordReset", {}),
    ("ssm:StartSession", f"arn:aws:ssm:{REGION}:{OWNER}:document/SSM-SessionManagerRunShell", {}),
    ("ec2-instance-connect:SendSSHPublicKey", "*", {}),
    ("ec2-instance-connect:SendSerialConsoleSSHPublicKey", "*", {}),
    ("ec2-instance-connect:OpenTunnel", "*", {}),
    ("ec2:CreateInstanceConnectEndpoint", "*", {}),
    ("ec2:EnableSerialConsoleAccess", "*", {}),
    ("sts:TagSession", "*", {"aws:TagKeys": "SSMSessionRunAs"}),
    ("ec2:CreateSnapshot", "*", {"aws:ResourceTag/fleetform:environment": "vision"}),
    ("ec2:ModifyInstanceAttribute", "*", {"aws:ResourceTag/fleetform:environment": "vision"}),
    ("cloudtrail:StopLogging", TRAIL, {}),
    ("cloudtrail:PutEventSelectors", TRAIL, {}),
    ("s3:PutBucketPolicy", f"arn:aws:s3:::{BUCKET}", {}),
    ("s3:BypassGovernanceRetention", ENTRY, {}),
    ("kms:ScheduleKeyDeletion", KEY, {}),
    ("kms:ScheduleKeyDeletion", SIGNING_KEY, {}),
    ("kms:PutKeyPolicy", SIGNING_KEY, {}),
    ("kms:UpdateAlias", f"arn:aws:kms:{REGION}:{OWNER}:alias/acme-ai-fleetform-ledger", {}),
    ("ssm:UpdateDocument", DOCUMENT, {}),
    ("s3:PutReplicationConfiguration", f"arn:aws:s3:::{BUCKET}", {}),
    ("s3:PutBucketLogging", f"arn:aws:s3:::{BUCKET.replace('ledger', 'state')}", {}),
    ("s3:PutEncryptionConfiguration", f"arn:aws:s3:::{BUCKET.replace('ledger', 'logs')}", {}),
    ("kms:UpdateAlias", f"arn:aws:kms:{REGION}:{OWNER}:alias/acme-ai-fleetform-audit", {}),
    ("kms:CreateGrant", KEY, {}),
    ("cloudwatch:DeleteAlarms", ALARM, {}),
    ("cloudwatch:DisableAlarmActions", ALARM, {}),
    ("cloudwatch:PutMetricAlarm", ALARM, {}),
    ("logs:PutMetricFilter", TRAIL_GROUP, {}),
    ("logs:DeleteMetricFilter", TRAIL_GROUP, {}),
    ("logs:DisassociateKmsKey", TRAIL_GROUP, {}),
    ("sns:DeleteTopic", TOPIC, {}),
    ("sns:SetTopicAttributes", TOPIC, {}),
    ("sns:Unsubscribe", f"{TOPIC}:0123", {}),
    (
        "logs:DeleteLogGroup",
        f"arn:aws:logs:{REGION}:{OWNER}:log-group:/fleetform/account/acme-ai/sessions",
        {},
    ),
    ("lambda:UpdateFunctionCode", REAPER, {}),
    ("lambda:UpdateFunctionConfiguration", REAPER, {}),
    ("lambda:PutFunctionConcurrency", REAPER, {}),
    ("lambda:DeleteFunction", REAPER, {}),
    ("scheduler:UpdateSchedule", f"{SCHEDULES}/acme-ai-fleetform-reaper/acme-ai-fleetform-reaper-look", {}),
    ("scheduler:UpdateSchedule", LEASE, {"aws:PrincipalArn": f"arn:aws:iam::{OWNER}:role/member"}),
    ("scheduler:DeleteSchedule", LEASE, {}),
]
ALLOWED = [
    ("ssm:StartSession", DOCUMENT, {}),
    ("ssm:StartSession", f"arn:aws:ec2:{REGION}:{OWNER}:instance/i-0123", {}),
    ("sts:TagSession", "*", {"aws:TagKeys": "team"}),
    ("ec2:CreateSnapshot", "*", {}),
    ("cloudtrail:StopLogging", f"arn:aws:cloudtrail:{REGION}:{OWNER}:trail/another", {}),
    ("kms:ScheduleKeyDeletion", f"arn:aws:kms:{REGION}:{OWNER}:key/another", {}),
    ("s3:PutObject", ENTRY, {}),
    ("s3:DeleteObject", f"arn:aws:s3:::{BUCKET.replace('ledger', 'state')}/vision-fleet/x.tflock", {}),
    ("cloudwatch:PutMetricAlarm", f"arn:aws:cloudwatch:{REGION}:{OWNER}:alarm:speech-gpu-idle", {}),
    ("logs:PutRetentionPolicy", f"arn:aws:logs:{REGION}:{OWNER}:log-group:/fleetform/vision/flow-logs", {}),
    ("lambda:InvokeFunction", REAPER, {}),
    ("lambda:UpdateFunctionCode", REAPER.replace("reaper", "another"), {}),
    ("scheduler:UpdateSchedule", LEASE, {"aws:PrincipalArn": DEPLOYER}),
    ("scheduler:GetSchedule", LEASE, {}),
]


@pytest.mark.parametrize(("action", "resource", "keys"), DENIED)
def test_even_an_administrator_with_the_deny_list_may_not(
    stack: dict[str, Any], action: str, resource: str, keys: dict[str, str]
) -> None:
    deny_list = policy_of(stack, "aws_iam_policy", "deny_entry")
    assert may(MEMBER, action, resource, keys), "the test can fail"
    assert not may(MEMBER, action, resource, keys, also=deny_list)


@pytest.mark.parametrize(("action", "resource", "keys"), ALLOWED)
def test_the_deny_list_leaves_alone_what_is_on_record_or_not_ours(
    stack: dict[str, Any], action: str, resource: str, keys: dict[str, str]
) -> None:
    assert may(MEMBER, action, resource, keys, also=policy_of(stack, "aws_iam_policy", "deny_entry"))


def test_the_deny_list_is_short_enough_for_a_managed_policy(stack: dict[str, Any]) -> None:
    text = stack["resource"]["aws_iam_policy"]["deny_entry"]["policy"]
    assert len("".join(text.split())) < 6144, "IAM's quota of a managed policy's characters"


def test_the_serial_console_is_closed_unless_it_is_to_be_left_alone(stack: dict[str, Any]) -> None:
    assert only(stack, "aws_ec2_serial_console_access")["enabled"] is False
    untouched = synthesized('[sessions]\nserial_console = "untouched"')["resource"]
    assert "aws_ec2_serial_console_access" not in untouched


def names_in(stack: str) -> set[str]:
    """Return what a golden stack makes in the cloud, by names that are unique there."""
    content = json.loads((GOLDEN / f"{stack}.tf.json").read_text())
    return {
        str(body[key])
        for kind, named in content["resource"].items()
        if kind != "aws_iam_role_policy"  # named within its role
        for body in named.values()
        for key in ("bucket", "name", "alarm_name", "function_name")
        if key in body and "${" not in str(body[key])
    }


def test_an_environments_destroy_reaches_nothing_of_the_account() -> None:
    account = names_in("account")
    assert len(account) > 20
    for stack in naming.environment_stacks("vision"):
        assert not names_in(stack) & account, "an environment makes a thing of the account"
        content = json.loads((GOLDEN / f"{stack}.tf.json").read_text())
        assert "import" not in content
        states = content.get("data", {}).get("terraform_remote_state", {})
        read = {each["config"]["key"] for each in states.values()}
        assert read <= {naming.state_key(naming.base_stack("vision"))}
