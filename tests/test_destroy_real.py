"""A real Terraform and provider are freed of what holds them: while they wait, and after they have failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.cloud import Cloud
from fleet.destroy import Patience, destroy
from fleet.terraform_events import ProgressEvent
from stacks import naming
from tests.sandbox_helpers import api
from tests.teardown_parts import open_own
from tests.terraform_stack import STATE_BUCKET, open_test_stack, write_stack

pytestmark = [pytest.mark.sandbox, pytest.mark.terraform]


def test_a_left_interface_and_a_late_object_do_not_keep_a_stack_from_being_destroyed(
    sandbox: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)
    session = open_own(sandbox, tmp_path / "project", '[artifacts]\non_teardown = "delete"\n')
    spec, s3, ec2 = session.spec, api(sandbox, "s3"), api(sandbox, "ec2")
    if STATE_BUCKET not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=STATE_BUCKET)
    bucket = naming.artifact_bucket(session.account.organization, spec.name, spec.region)
    write_stack(
        tmp_path / "stack",
        spec.name,
        {
            "aws_vpc": {"main": {"cidr_block": "10.9.0.0/16"}},
            "aws_subnet": {"main": {"vpc_id": "${aws_vpc.main.id}", "cidr_block": "10.9.1.0/24"}},
            "aws_s3_bucket": {"artifacts": {"bucket": bucket}},
        },
    )
    events: list[ProgressEvent] = []
    stack = open_test_stack(tmp_path / "stack", spec.name, sandbox, events)
    assert stack.apply().add == 3
    s3.put_object(Bucket=bucket, Key="runs/late/log.txt", Body=b"x")
    (subnet,) = (each.id for each in stack.resources() if each.kind == "aws_subnet")
    left = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    quick = Patience(all_in_all=120.0, pause=0.2, first_look=0.0, look_every=0.0)
    destroy(session, stack, (spec.name,), stack.resources, quick)
    assert stack.resources() == []
    told = [each.text for each in events if each.kind == "note" and "cleared" in each.text]
    assert [(left in text, bucket in text) for text in told] in (
        [(True, False), (False, True)],
        [(False, True), (True, False)],
    )
