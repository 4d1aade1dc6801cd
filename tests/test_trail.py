"""The trail's files in the embedded cloud, read back and held against the signed digests that follow them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.trail import TrailEvent, read_trail
from fleet.trail_digests import TrailReport, verify_trail
from tests.environment_parts import REGION
from tests.iam_helpers import ACCOUNT, acting, allow, refusal, service
from tests.record_lab import MEMBER, RecordLab, record_lab
from tests.sandbox_helpers import api

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def lab() -> Iterator[RecordLab]:
    """An account with a trail, in an embedded cloud of its own."""
    with record_lab() as made:
        yield made


def calls(lab: RecordLab, since: datetime, name: str) -> list[TrailEvent]:
    """Return the calls of that name since then, once they are delivered."""
    until = lab.deliver()
    return [each for each in read_trail(lab.session, since, until) if each.name == name]


def kinds(report: TrailReport) -> list[tuple[str, str]]:
    """Return the findings' kinds, and the ends of the names that they are about."""
    return [(each.kind, each.name) for each in report.findings]


def make_calls(lab: RecordLab, count: int = 3) -> None:
    """Make calls of which each gets a file of its own."""
    for _ in range(count):
        api(lab.cloud, "ec2").describe_regions()
        lab.deliver()


def test_a_call_is_found_with_who_made_it_in_whose_name_and_what_was_asked(lab: RecordLab) -> None:
    since = lab.window()
    lab.member("ann").describe_instance_information(MaxResults=7)
    (call,) = calls(lab, since, "DescribeInstanceInformation")
    assert call.who == f"arn:aws:sts::{ACCOUNT}:assumed-role/{MEMBER}/ann"
    assert (call.person, call.source, call.region) == ("ann", "ssm.amazonaws.com", REGION)
    assert (call.address, call.request, call.answer, call.error) == ("127.0.0.1", {"maxResults": 7}, {}, "")
    assert since.replace(microsecond=0) <= call.time


def test_a_call_that_was_refused_is_on_record_as_refused(lab: RecordLab) -> None:
    since = lab.window()
    stranger = acting(lab.cloud, "stranger", allow("s3:*"))
    refusal(service(stranger, "ssm").start_session, Target=lab.machine)
    (call,) = calls(lab, since, "StartSession")
    assert (call.error, call.person, call.answer) == ("AccessDeniedException", "", {})
    assert call.request == {"target": lab.machine}


def test_what_is_secret_is_in_no_file(lab: RecordLab) -> None:
    since = lab.window()
    ssm, kms = api(lab.cloud, "ssm"), api(lab.cloud, "kms")
    ssm.put_parameter(Name="/record/secret", Value="s3cr3t-value", Type="SecureString", Overwrite=True)
    ssm.send_command(
        DocumentName="AWS-RunShellScript",
        InstanceIds=[lab.machine],
        Parameters={"commands": ["echo s3cr3t-command"]},
    )
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.encrypt(KeyId=key, Plaintext=b"s3cr3t-text")
    begun = lab.member().start_session(Target=lab.machine, DocumentName=lab.document)
    (sent,) = calls(lab, since, "SendCommand")
    assert sent.request["parameters"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    text = str(list(read_trail(lab.session, since, lab.now())))
    assert begun["SessionId"] in text
    assert begun["TokenValue"] not in text
    assert "s3cr3t" not in text


def test_what_is_in_buckets_is_no_matter_of_the_trail(lab: RecordLab) -> None:
    since = lab.window()
    s3 = api(lab.cloud, "s3")
    s3.put_object(Bucket=lab.bucket, Key="some/thing", Body=b"x")
    s3.get_object(Bucket=lab.bucket, Key="some/thing")
    s3.get_bucket_versioning(Bucket=lab.bucket)
    until = lab.deliver()
    names = {each.name for each in read_trail(lab.session, since, until) if each.source.startswith("s3")}
    assert names == {"GetBucketVersioning"}


def test_a_stopped_trail_records_nothing(lab: RecordLab) -> None:
    since = lab.window()
    trail = api(lab.cloud, "cloudtrail")
    trail.stop_logging(Name="record-trail")
    api(lab.cloud, "ec2").describe_key_pairs()
    trail.start_logging(Name="record-trail")
    assert calls(lab, since, "DescribeKeyPairs") == []
    assert calls(lab, since, "StartLogging") != []


def test_each_call_is_found_once_though_its_file_came_twice(lab: RecordLab) -> None:
    since = lab.window()
    api(lab.cloud, "ec2").describe_key_pairs()
    lab.deliver()
    key = lab.keys("CloudTrail")[-1]
    s3 = api(lab.cloud, "s3")
    body = s3.get_object(Bucket=lab.bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=lab.bucket, Key=key.replace(".json.gz", "again.json.gz"), Body=body)
    assert len(calls(lab, since, "DescribeKeyPairs")) == 1


def test_digests_bear_out_the_files_of_their_hours_and_say_how_far_they_reach(lab: RecordLab) -> None:
    since = lab.window()
    make_calls(lab)
    early = verify_trail(lab.session, since, lab.now())
    assert (early.findings, early.unchecked) == ((), ())
    assert (len(early.waiting) >= 3, early.sound) == (True, False)
    until = lab.seal()
    report = verify_trail(lab.session, since, until)
    assert (report.findings, report.unchecked) == ((), ())
    events = list(read_trail(lab.session, since, report.reach[REGION]))
    assert {each.file for each in events} <= report.intact | report.waiting
    assert early.waiting <= report.intact
    assert report.sound
    assert since < report.reach[REGION] <= until


def test_a_file_that_was_taken_away_is_missing(lab: RecordLab) -> None:
    since = lab.window()
    make_calls(lab)
    key = lab.keys("CloudTrail")[-2]
    until = lab.seal()
    lab.destroy(key)
    assert kinds(verify_trail(lab.session, since, until)) == [("missing", key)]


def test_a_file_that_was_put_in_its_place_is_changed(lab: RecordLab) -> None:
    since = lab.window()
    make_calls(lab)
    key = lab.keys("CloudTrail")[-2]
    until = lab.seal()
    lab.destroy(key)
    put(lab, key, {"Records": []})
    report = verify_trail(lab.session, since, until)
    assert kinds(report) == [("changed", key)]
    assert key not in report.intact


def test_a_file_that_was_written_over_is_read_as_it_was_first(lab: RecordLab) -> None:
    since = lab.window()
    api(lab.cloud, "ec2").describe_key_pairs()
    lab.deliver()
    put(lab, lab.keys("CloudTrail")[-1], {"Records": []})
    assert len(calls(lab, since, "DescribeKeyPairs")) == 1


def test_a_file_that_cloudtrail_did_not_write_is_added(lab: RecordLab) -> None:
    since = lab.window()
    make_calls(lab)
    key = lab.keys("CloudTrail")[-2].replace(".json.gz", "0.json.gz")
    put(lab, key, {"Records": []})
    assert kinds(verify_trail(lab.session, since, lab.seal())) == [("added", key)]


def test_a_digest_that_was_taken_away_is_missed_by_the_next_and_what_it_listed_too(lab: RecordLab) -> None:
    since = lab.window()
    make_calls(lab)
    lab.seal()
    gone = lab.keys("CloudTrail-Digest")[-1]
    make_calls(lab)
    until = lab.seal()
    lab.destroy(gone)
    (finding,) = verify_trail(lab.session, since, until).findings
    assert (finding.kind, finding.name) == ("missing", lab.keys("CloudTrail-Digest")[-1])
    assert gone.rpartition("/")[2] in finding.what


def test_a_hole_between_two_digests_is_one_finding_and_its_files_are_not_called_added(
    lab: RecordLab,
) -> None:
    since = lab.window()
    for _ in range(3):
        make_calls(lab, 2)
        until = lab.seal()
    first, gone, last = lab.keys("CloudTrail-Digest")[-3:]
    lab.destroy(gone)
    (finding,) = verify_trail(lab.session, since, until).findings
    assert (finding.kind, finding.name) == ("missing", last)
    assert first.rpartition("/")[2] in finding.what


def test_a_time_without_any_file_is_not_called_sound(lab: RecordLab) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    report = verify_trail(lab.session, long_ago, long_ago + timedelta(days=2))
    assert not report.sound
    assert report.unchecked == ("there is no file of the trail's of this time",)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"logFiles": []}, "signature is not CloudTrail's"),
        ({"digestEndTime": "2030-01-01T00:00:00Z"}, "signature is not CloudTrail's"),
        ({"digestS3Object": "elsewhere"}, "it belongs at s3://"),
        ({"digestPublicKeyFingerprint": "0" * 32}, "a key that is none of CloudTrail's"),
        ({"previousDigestSignature": 3}, "signature is not CloudTrail's"),
        (None, "not a digest"),
    ],
)
def test_a_digest_that_somebody_else_wrote_is_changed(
    lab: RecordLab, change: dict[str, Any] | None, what: str
) -> None:
    since = lab.window()
    make_calls(lab, 1)
    until = lab.seal()
    key = lab.keys("CloudTrail-Digest")[-1]
    s3 = api(lab.cloud, "s3")
    answer = s3.get_object(Bucket=lab.bucket, Key=key)
    digest = json.loads(gzip.decompress(answer["Body"].read()))
    lab.destroy(key)
    put(lab, key, {**digest, **change} if change is not None else "no digest", **answer["Metadata"])
    findings = verify_trail(lab.session, since, until).findings
    assert [(each.kind, each.name) for each in findings] == [("changed", key)]
    assert what in findings[0].what


def test_who_may_not_ask_for_the_keys_is_told_that_nothing_was_checked(lab: RecordLab) -> None:
    since = lab.window()
    until = lab.seal()
    reader = acting(lab.cloud, "reader", allow(["s3:*", "sts:*"]))
    session = type(lab.session)(lab.session.project, reader, lab.session.account, lab.session.spec)
    report = verify_trail(session, since, until)
    assert (report.intact, report.findings, report.reach) == (frozenset(), (), {})
    assert [REGION in each and "ListPublicKeys" in each for each in report.unchecked] == [True]


def put(lab: RecordLab, key: str, content: object, **metadata: str) -> None:
    """Write an object as CloudTrail writes its files."""
    body = gzip.compress(json.dumps(content).encode())
    api(lab.cloud, "s3").put_object(Bucket=lab.bucket, Key=key, Body=body, Metadata=metadata)
