"""Who entered a machine: each way in, tried in the embedded cloud and found with what bears it out."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from fleet.entered import NEVER_LOOKED_AT, Timeline, entered
from fleet.entry_rows import Row
from fleet.ledger import Ledger
from stacks import naming
from stacks.problems import UserError
from tests.environment_parts import REGION
from tests.iam_helpers import ACCOUNT, acting, allow, assume, make_role, refusal, service, trust
from tests.record_lab import ENVIRONMENT, HEAD, MEMBER, RecordLab, record_lab
from tests.sandbox_helpers import api

pytestmark = pytest.mark.sandbox
RUN = "20261123-010203-abcde"


@pytest.fixture(scope="module")
def lab() -> Iterator[RecordLab]:
    """An account with a trail, in an embedded cloud of its own."""
    with record_lab() as made:
        yield made


def look(lab: RecordLab, since: datetime) -> Timeline:
    """Return the timeline since then, once the trail has delivered what it holds."""
    return entered(lab.session, lab.machine, since, lab.deliver())


def enter(lab: RecordLab, *, end: bool = True, **more: str) -> str:
    """Enter the machine as Ann, and leave it; return the session's id."""
    ann = lab.member("ann")
    begun = ann.start_session(**{"Target": lab.machine, "DocumentName": lab.document, **more})["SessionId"]
    if end:
        ann.terminate_session(SessionId=begun)
    return str(begun)


def transcript(session_id: str) -> str:
    """Return the key of a session's transcript."""
    return f"{naming.SESSIONS_PREFIX}{session_id}.log"


def kinds(row: Row) -> list[str]:
    """Return what kinds of evidence bear the row out."""
    return [each.partition(":")[0] for each in row.evidence]


def test_a_session_is_one_row_with_person_reason_times_and_everything_that_bears_it_out(
    lab: RecordLab,
) -> None:
    since = lab.window()
    begun = enter(lab, Reason="look at the disk")
    timeline = look(lab, since)
    (row,) = timeline.rows
    assert (row.person, row.reason, row.completeness) == ("ann", "look at the disk", "recorded")
    assert row.who == f"arn:aws:sts::{ACCOUNT}:assumed-role/{MEMBER}/ann"
    assert kinds(row) == ["trail", "session", "trail", "transcript"]
    assert f"session:{begun}" in row.evidence
    assert row.ended is not None and row.time <= row.ended
    assert timeline.findings == ()


def test_a_row_is_sealed_once_a_signed_digest_covers_it_and_until_then_that_is_said(lab: RecordLab) -> None:
    since = lab.window()
    enter(lab)
    before = look(lab, since)
    assert [row.sealed for row in before.rows] == [False]
    assert "CloudTrail's signed digest of this time has not come yet" in before.gaps
    after = entered(lab.session, lab.machine, since, lab.seal())
    assert [row.sealed for row in after.rows] == [True]
    assert any(each.startswith("CloudTrail's signed digests reach to") for each in after.gaps)


def test_a_session_that_the_trail_does_not_have_is_there_by_session_managers_own_list(lab: RecordLab) -> None:
    since, trail = lab.window(), api(lab.cloud, "cloudtrail")
    trail.stop_logging(Name="record-trail")
    begun = enter(lab, end=False, Reason="now")
    trail.start_logging(Name="record-trail")
    (row,) = look(lab, since).rows
    assert (row.evidence, row.person, row.reason) == ((f"session:{begun}",), "ann", "now")
    assert (row.completeness, row.ended, row.sealed) == ("recording to come", None, False)


def test_a_session_that_left_no_transcript_is_a_finding(lab: RecordLab) -> None:
    since = lab.window()
    lab.destroy(transcript(enter(lab)))
    timeline = look(lab, since)
    assert [row.completeness for row in timeline.rows] == ["recording missing"]
    assert len(timeline.findings) == 1
    assert "there is no transcript of it" in timeline.findings[0]


def test_of_a_transcript_that_was_written_over_the_first_version_counts(lab: RecordLab) -> None:
    since = lab.window()
    begun = enter(lab)
    key = transcript(begun)
    api(lab.cloud, "s3").put_object(Bucket=lab.bucket, Key=key, Body=b"$ ls\n")
    (row,) = look(lab, since).rows
    key, _, version = row.evidence[-1].removeprefix("transcript:").partition("?versionId=")
    answer = api(lab.cloud, "s3").get_object(Bucket=lab.bucket, Key=key, VersionId=version)
    assert b"nothing was typed" in answer["Body"].read()


@pytest.mark.parametrize(
    ("document", "completeness"),
    [
        ("AWS-StartSSHSession", "tunnel only"),
        ("AWS-StartPortForwardingSession", "tunnel only"),
        ("AWS-StartPortForwardingSessionToRemoteHost", "tunnel only"),
        ("AWS-StartInteractiveCommand", "not recorded"),
        ("SSM-SessionManagerRunShell", "not recorded"),
    ],
)
def test_a_session_by_another_document_tells_that_its_content_is_nowhere(
    lab: RecordLab, document: str, completeness: str
) -> None:
    since = lab.window()
    enter(lab, DocumentName=document)
    timeline = look(lab, since)
    assert [row.completeness for row in timeline.rows] == [completeness]
    assert [document in each and "is not recorded" in each for each in timeline.findings] == [True]


def test_who_was_not_let_in_is_in_the_timeline_and_was_not_in(lab: RecordLab) -> None:
    since = lab.window()
    stranger = acting(lab.cloud, "stranger", allow("s3:*"))
    refusal(service(stranger, "ssm").start_session, Target=lab.machine)
    timeline = look(lab, since)
    (row,) = timeline.rows
    assert (row.completeness, row.error) == ("refused", "AccessDeniedException")
    assert not row.is_entry
    assert timeline.findings == ()


def test_a_command_by_nobody_in_particular_is_a_finding(lab: RecordLab) -> None:
    since = lab.window()
    send(lab, api(lab.cloud, "ssm"), "AWS-RunShellScript")
    timeline = look(lab, since)
    (row,) = timeline.rows
    assert (row.what, row.completeness) == ("sent the command AWS-RunShellScript", "command")
    assert len(timeline.findings) == 1
    assert "nothing says which person that is" in timeline.findings[0]


def test_a_command_to_machines_by_their_tags_reaches_those_that_have_them(lab: RecordLab) -> None:
    since = lab.window()
    for role in ("node", "nowhere"):
        targets = [
            {"Key": f"tag:{naming.TAG_ENVIRONMENT}", "Values": [ENVIRONMENT]},
            {"Key": f"tag:{naming.TAG_ROLE}", "Values": [role]},
        ]
        lab.member().send_command(
            DocumentName="AWS-RunShellScript", Targets=targets, Parameters={"commands": ["true"]}
        )
    assert [row.person for row in look(lab, since).rows] == ["ann"]


def test_the_heads_command_for_a_run_is_explained_by_who_asked_for_the_run(lab: RecordLab) -> None:
    submit(lab)
    since = lab.window()
    send(lab, as_head(lab), naming.node_document(ENVIRONMENT), Comment=RUN)
    timeline = look(lab, since)
    (row,) = timeline.rows
    assert (row.person, row.reason) == ("ben", f"run {RUN}")
    assert kinds(row) == ["trail", "ledger"]
    assert timeline.findings == ()


def test_the_comment_of_a_command_makes_nobody_answer_for_what_another_one_did(lab: RecordLab) -> None:
    submit(lab)
    since = lab.window()
    send(lab, api(lab.cloud, "ssm"), naming.node_document(ENVIRONMENT), Comment=RUN)
    send(lab, as_head(lab), "AWS-RunShellScript", Comment=RUN)
    timeline = look(lab, since)
    assert [row.person for row in timeline.rows] == ["", ""]
    assert len(timeline.findings) == 2


def test_looks_at_the_console_and_changes_of_the_first_script_are_in_the_timeline(lab: RecordLab) -> None:
    since = lab.window()
    ec2 = api(lab.cloud, "ec2")
    ec2.get_console_output(InstanceId=lab.machine)
    ec2.modify_instance_attribute(
        InstanceId=lab.machine, UserData={"Value": base64.b64encode(b"#!/bin/sh\n")}
    )
    found = [(row.what, row.completeness) for row in look(lab, since).rows]
    assert found == [
        ("read its console", "looked at"),
        ("changed its first script", "first script"),
    ]


def test_a_copy_of_its_disk_is_in_the_timeline(lab: RecordLab) -> None:
    since = lab.window()
    ec2 = api(lab.cloud, "ec2")
    (found,) = ec2.describe_instances(InstanceIds=[lab.machine])["Reservations"][0]["Instances"]
    disk = found["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    ec2.create_snapshot(VolumeId=disk)
    ec2.create_snapshot(VolumeId=ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"])
    assert [row.completeness for row in look(lab, since).rows] == ["copy"]


def test_ways_in_that_only_cloudtrail_knows_are_found_in_its_files(lab: RecordLab) -> None:
    since = lab.window()
    (found,) = lab.session.client("ec2").describe_instances(InstanceIds=[lab.machine])["Reservations"]
    address = found["Instances"][0]["PrivateIpAddress"]
    connect, named = "ec2-instance-connect.amazonaws.com", {"instanceId": lab.machine}
    deliver_events(
        lab,
        (connect, "SendSSHPublicKey", {**named, "instanceOSUser": "ubuntu"}, None),
        (connect, "SendSerialConsoleSSHPublicKey", {**named, "serialPort": 0}, None),
        (connect, "OpenTunnel", {"privateIpAddress": address, "remotePort": "22"}, None),
        (connect, "OpenTunnel", {"privateIpAddress": "10.255.255.254", "remotePort": "22"}, None),
        ("ec2.amazonaws.com", "RunInstances", {}, {"privateIpAddress": address, "instanceId": "i-00000000"}),
        (connect, "SendSSHPublicKey", {"instanceId": "i-00000000"}, None),
    )
    timeline = entered(lab.session, lab.machine, since, lab.now())
    assert [row.completeness for row in timeline.rows] == ["tunnel only", "not recorded", "tunnel only"]
    assert {row.person for row in timeline.rows} == {"ann"}
    assert len([each for each in timeline.findings if "what was done is not recorded" in each]) == 3


def test_a_source_identity_that_somebody_chose_is_no_person(lab: RecordLab) -> None:
    since = lab.window()
    trusted = trust(actions=["sts:AssumeRole", "sts:SetSourceIdentity"])
    role = make_role(lab.cloud, "somebodys", allow("ssm:*"), trusts=trusted)
    send(lab, service(assume(lab.cloud, role, "ann", SourceIdentity="ann"), "ssm"), "AWS-RunShellScript")
    timeline = look(lab, since)
    assert [row.person for row in timeline.rows] == [""]
    assert len(timeline.findings) == 1


def test_the_start_of_the_machine_is_its_first_row(lab: RecordLab) -> None:
    (made,) = lab.session.client("ec2").describe_instances(InstanceIds=[lab.machine])["Reservations"]
    since = made["Instances"][0]["LaunchTime"].replace(microsecond=0)
    first = entered(lab.session, lab.machine, since, lab.deliver()).rows[0]
    assert (first.what, first.completeness) == ("started it, with its first script", "first script")


def test_an_empty_timeline_says_what_it_did_not_look_at(lab: RecordLab) -> None:
    timeline = entered(lab.session, "i-0123456789abcdef0", lab.window(), lab.deliver())
    assert timeline.rows == ()
    assert set(NEVER_LOOKED_AT) < set(timeline.gaps)
    assert any("EC2 has forgotten the machine" in each for each in timeline.gaps)


@pytest.mark.parametrize("name", ["", "vision", "i-12", "../i-0123456789abcdef0", "i-0123456789abcdef0; ls"])
def test_what_is_no_machines_id_is_refused(lab: RecordLab, name: str) -> None:
    with pytest.raises(UserError, match="is not the id of a machine"):
        entered(lab.session, name)


def deliver_events(lab: RecordLab, *calls: tuple[str, str, dict[str, Any], dict[str, Any] | None]) -> None:
    """Write a file of CloudTrail's with calls of Ann's: source, name, what was asked and answered."""
    now = lab.deliver() - timedelta(minutes=1)
    who = f"arn:aws:sts::{ACCOUNT}:assumed-role/{MEMBER}/ann"
    records = [
        {
            "eventID": f"planted-{now.timestamp()}-{number}",
            "eventTime": f"{now:%Y-%m-%dT%H:%M:%S}Z",
            "eventSource": source,
            "eventName": name,
            "awsRegion": REGION,
            "userIdentity": {"type": "AssumedRole", "arn": who},
            "requestParameters": asked,
            "responseElements": answered,
        }
        for number, (source, name, asked, answered) in enumerate(calls)
    ]
    key = lab.keys("CloudTrail")[-1].replace(".json.gz", "planted.json.gz")
    body = gzip.compress(json.dumps({"Records": records}).encode())
    api(lab.cloud, "s3").put_object(Bucket=lab.bucket, Key=key, Body=body)
    lab.forward(1)


def send(lab: RecordLab, ssm: Any, document: str, **more: str) -> None:
    """Send the machine a command."""
    parameters = {"commands": ["true"]} if document.startswith("AWS-") else {}
    ssm.send_command(DocumentName=document, InstanceIds=[lab.machine], Parameters=parameters, **more)


def as_head(lab: RecordLab) -> Any:
    """Return Systems Manager as the environment's head in its own role."""
    return service(assume(lab.cloud, f"arn:aws:iam::{ACCOUNT}:role/{HEAD}", "i-0aaaaaaaaaaaaaaaa"), "ssm")


def submit(lab: RecordLab) -> None:
    """Put on record that Ben has submitted the run."""
    caller = f"arn:aws:sts::{ACCOUNT}:assumed-role/{MEMBER}/ben"
    ledger = Ledger(lab.cloud, lab.bucket, REGION, caller)
    ledger.append("run.submit", ENVIRONMENT, "succeeded", {"run_id": RUN})
