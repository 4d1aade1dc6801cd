"""What has no tag is this environment's only under the very names that our stacks give."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from fleet.cloud import Cloud
from fleet.listings.names import stack_names
from fleet.listings.things import Look
from fleet.session import Session
from fleet.sweep import sweep
from stacks import naming
from tests.golden_synth import GOLDEN
from tests.sandbox_helpers import IMAGE
from tests.sweep_helpers import open_for_sweeping


@pytest.fixture
def session(sandbox: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Return the session of the environment `sweep`, of which nothing exists yet."""
    return open_for_sweeping(sandbox, tmp_path, monkeypatch)


def add_untagged(session: Session, undo: ExitStack, names: dict[str, list[str]]) -> None:
    """Make things without tags, by kind and name; `undo` removes them."""
    iam, kms, ssm = session.client("iam"), session.client("kms"), session.client("ssm")
    s3, scaling = session.client("s3"), session.client("autoscaling")
    for name in names["IAM role"]:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
        undo.callback(iam.delete_role, RoleName=name)
        iam.create_instance_profile(InstanceProfileName=name)
        undo.callback(iam.delete_instance_profile, InstanceProfileName=name)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    for name in names["KMS alias"]:
        kms.create_alias(AliasName=name, TargetKeyId=key)
        undo.callback(kms.delete_alias, AliasName=name)
    for name in names["SSM document"]:
        content = '{"schemaVersion": "2.2", "mainSteps": []}'
        ssm.create_document(Name=name, Content=content, DocumentType="Command")
        undo.callback(ssm.delete_document, Name=name)
    for name in names["S3 bucket"]:
        s3.create_bucket(Bucket=name)
        undo.callback(s3.delete_bucket, Bucket=name)
    launch = {"LaunchConfigurationName": "untagged"}
    scaling.create_launch_configuration(**launch, ImageId=IMAGE, InstanceType="g5.xlarge")
    undo.callback(scaling.delete_launch_configuration, **launch)
    for name in names["Auto Scaling group"]:
        zones = {"AvailabilityZones": ["us-east-1a"]}
        scaling.create_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, MaxSize=0, **launch, **zones)
        undo.callback(scaling.delete_auto_scaling_group, AutoScalingGroupName=name, ForceDelete=True)


@pytest.mark.sandbox
def test_without_a_tag_only_the_names_that_our_stacks_give_are_the_environments_own(session: Session) -> None:
    own = {
        "IAM role": ["sweep-head-us-east-1", "sweep-node-us-east-1"],
        "KMS alias": ["alias/sweep"],
        "SSM document": ["sweep-run-job", "sweep-run-node"],
        "S3 bucket": ["run-tests-sweep-artifacts-us-east-1"],
        "Auto Scaling group": ["sweep-gpu", "sweep-head"],
    }
    somebodys = {
        "IAM role": [
            "sweep",
            "sweep-head",
            "sweep-node-eu-west-1",
            "sweep-alice",
            "sweep-head-us-east-1-old",
        ],
        "KMS alias": ["alias/sweep-mine"],
        "SSM document": ["sweep-backup"],
        "S3 bucket": ["run-tests-sweep-papers"],
        "Auto Scaling group": ["sweep-web"],
    }
    with ExitStack() as undo:
        add_untagged(session, undo, {kind: own[kind] + somebodys[kind] for kind in own})
        found = sweep(session)
    assert found.not_looked == ()
    by_kind: dict[str, list[str]] = {}
    for thing in found.things:
        if not thing.ends_by_itself:
            by_kind.setdefault(thing.kind, []).append(thing.id)
    by_kind = {kind: sorted(ids) for kind, ids in by_kind.items()}
    assert by_kind == {**own, "IAM instance profile": own["IAM role"]}


def test_the_names_are_those_that_the_stacks_give() -> None:
    look = Look("vision", "acme", "us-east-1", ("gpu",), lambda service: None)
    base = json.loads((GOLDEN / "vision-base.tf.json").read_text())["resource"]
    kinds = ("aws_iam_instance_profile", "aws_iam_role")
    made = {kind: {each["name"] for each in base[kind].values()} for kind in kinds}
    assert len(made["aws_iam_role"]) > len(made["aws_iam_instance_profile"]) > 0
    assert made["aws_iam_instance_profile"] <= stack_names(look, "IAM instance profile")
    assert made["aws_iam_role"] <= stack_names(look, "IAM role")
    assert {each["name"] for each in base["aws_kms_alias"].values()} == stack_names(look, "KMS alias")


def test_a_tag_outweighs_the_name() -> None:
    look = Look("vision", "acme", "us-east-1", (), lambda service: None)
    assert not look.wants("vision-head", {naming.TAG_ENVIRONMENT: "speech"}, ("vision-head",))
    assert look.wants("vision-head", {}, ("vision-head",)) and not look.wants(
        "vision-head-2", {}, ("vision-head",)
    )
    assert look.wants("anything", {naming.TAG_ENVIRONMENT: "vision"})
