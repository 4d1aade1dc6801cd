"""What was changed behind Terraform's back is found, told from its mirrors, and ranked by how bad it is."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.aws import client
from fleet.cloud import Cloud
from fleet.drift import DriftReport, stack_findings
from fleet.drift_machines import machine_problems
from fleet.drift_ranks import TYPE_RANKS, rank_of_attribute, rank_of_deletion, worst
from fleet.estimate import resources_of
from fleet.findings import Finding
from fleet.kinds import KINDS
from fleet.priced import Resource
from fleet.terraform import Stack
from tests.terraform_stack import REGION, STATE_BUCKET, open_test_stack, write_stack

ROOT = Path(__file__).parent.parent
TYPES = tomllib.loads((ROOT / "stacks" / "aws" / "types.toml").read_text())
MANAGED = sorted({name for module in TYPES["modules"].values() for name in module.get("resources", ())})
NAME = "drifting"
DOCUMENT = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{%s}}]}'
)
TRUST = DOCUMENT % '"Service":"ec2.amazonaws.com"'
BACK_DOOR = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}'
MADE: dict[str, Any] = {
    "aws_iam_role": {"node": {"name": f"tests-{NAME}", "assume_role_policy": TRUST}},
    "aws_iam_role_policy_attachment": {
        "node": {
            "role": "${aws_iam_role.node.name}",
            "policy_arn": "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
        }
    },
    "aws_s3_bucket": {"data": {"bucket": f"tests-{NAME}-data"}},
    "aws_s3_bucket_versioning": {
        "data": {
            "bucket": "${aws_s3_bucket.data.bucket}",
            "versioning_configuration": {"status": "Enabled"},
        }
    },
    "aws_s3_bucket_public_access_block": {
        "data": {"bucket": "${aws_s3_bucket.data.bucket}", "block_public_acls": True}
    },
    "aws_security_group": {"nodes": {"name": f"tests-{NAME}", "description": "tests"}},
    "aws_vpc_security_group_ingress_rule": {
        "nodes": {
            "security_group_id": "${aws_security_group.nodes.id}",
            "referenced_security_group_id": "${aws_security_group.nodes.id}",
            "ip_protocol": "-1",
        },
        "https": {
            "security_group_id": "${aws_security_group.nodes.id}",
            "cidr_ipv4": "10.0.0.0/8",
            "ip_protocol": "tcp",
            "from_port": 443,
            "to_port": 443,
        },
    },
    "aws_ssm_document": {
        "run": {
            "name": f"tests-{NAME}",
            "document_type": "Command",
            "content": '{"schemaVersion":"2.2","description":"x","mainSteps":[]}',
        }
    },
    "aws_ssm_parameter": {"outputs": {"name": f"/tests/{NAME}", "type": "String", "value": "x"}},
}


# ------------------------------------------------------------------------------ the table


@pytest.mark.parametrize("name", MANAGED)
def test_every_type_of_the_stacks_is_ranked(name: str) -> None:
    assert name in TYPE_RANKS


def test_the_ranks_and_the_rooms_know_the_same_types() -> None:
    assert set(TYPE_RANKS) == set(KINDS)


@pytest.mark.parametrize(
    ("kind", "path", "rank"),
    [
        ("vpc_security_group_ingress_rule", "cidr_ipv4", "critical"),
        ("security_group", "ingress.0.cidr_blocks.0", "critical"),
        ("s3_bucket_public_access_block", "block_public_acls", "critical"),
        ("s3_bucket_policy", "policy.Statement.0.Effect", "critical"),
        ("kms_key", "policy.Statement.0.Principal", "critical"),
        ("kms_key", "is_enabled", "critical"),
        ("kms_key", "enable_key_rotation", "high"),
        ("iam_role", "assume_role_policy.Statement.0.Principal.AWS", "critical"),
        ("iam_role", "max_session_duration", "medium"),
        ("launch_template", "metadata_options.0.http_tokens", "critical"),
        ("launch_template", "instance_type", "medium"),
        ("cloudtrail", "enable_logging", "critical"),
        ("s3_bucket_versioning", "versioning_configuration.0.status", "high"),
        ("s3_bucket_server_side_encryption_configuration", "rule.0.x", "high"),
        ("autoscaling_group", "desired_capacity", "note"),
        ("autoscaling_group", "max_size", "medium"),
        ("vpc", "tags.Name", "note"),
        ("vpc", "tags_all.fleetform:team", "high"),
        ("ssm_parameter", "description", "note"),
        ("quantum_thing", "spin", "high"),
    ],
)
def test_an_opened_group_is_not_a_changed_tag(kind: str, path: str, rank: str) -> None:
    assert rank_of_attribute(f"aws_{kind}", path) == rank


def test_what_is_gone_is_at_least_medium_and_the_record_and_the_guards_are_critical() -> None:
    for kind in (
        "aws_cloudtrail",
        "aws_s3_bucket_public_access_block",
        "aws_kms_key",
        "aws_s3_bucket_policy",
    ):
        assert rank_of_deletion(kind) == "critical"
    assert rank_of_deletion("aws_vpc_endpoint") == rank_of_deletion("aws_sqs_queue") == "high"
    assert worst([]) == "note" and worst(["note", "high", "medium"]) == "high"


# ------------------------------------------------------------------------------ findings of a plan's JSON


def standing(*resources: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    """Return the part of a plan's JSON that tells what stands."""
    listed = [
        {"mode": "managed", "type": kind, "name": name, "values": values} for kind, name, values in resources
    ]
    return {"prior_state": {"values": {"root_module": {"resources": listed}}}}


def drifted(kind: str, before: Any, after: Any, *, planned: str = "update", **more: Any) -> list[Finding]:
    """Return the findings of a plan in which one resource has drifted."""
    change = {"actions": ["delete"] if after is None else ["update"], "before": before, "after": after}
    one = {
        "address": f"{kind}.it",
        "mode": "managed",
        "type": kind,
        "name": "it",
        "change": {**change, **more},
    }
    intended = {**one, "change": {**change, "actions": [planned]}}
    plan = {"resource_drift": [one], "resource_changes": [intended]}
    return list(stack_findings("v", "v-base", {**plan, **standing((kind, "it", after or {}))}, []))


def test_a_finding_says_what_differs_the_worst_first_and_how_it_is_put_right() -> None:
    before = {"name": "r", "tags": {"a": "1"}, "assume_role_policy": '{"x": 1}'}
    (found,) = drifted(
        "aws_iam_role", before, {"name": "r", "tags": {"a": "2"}, "assume_role_policy": '{"x": 2}'}
    )
    assert (found.rank, found.what, found.room) == (
        "critical",
        "the role `r` was changed",
        "people and roles",
    )
    assert [each.path for each in found.attributes] == ["assume_role_policy.x", "tags.a"]
    assert found.repair == "`fleetform up v` puts it back"


def test_what_terraform_leaves_alone_needs_no_repair() -> None:
    (found,) = drifted(
        "aws_autoscaling_group", {"desired_capacity": 2}, {"desired_capacity": 3}, planned="no-op"
    )
    assert (found.rank, found.repair) == ("note", "nothing to do: Terraform leaves this as it is")


def test_null_that_became_empty_and_what_aws_tells_in_passing_are_no_drift() -> None:
    assert drifted("aws_vpc", {"tags": None}, {"tags": {}}) == []
    assert drifted("aws_efs_file_system", {"size_in_bytes": 1}, {"size_in_bytes": 2}) == []


def test_a_secret_that_drifted_is_not_shown() -> None:
    before, after = {"value": "hunter2"}, {"value": "hunter3"}
    (found,) = drifted("aws_ssm_parameter", before, after, after_sensitive={"value": True})
    assert "hunter" not in repr(found) and found.rank == "high"


def test_a_rule_that_another_stack_of_ours_adds_is_not_somebody_elses() -> None:
    https = {
        "protocol": "tcp",
        "from_port": 443,
        "to_port": 443,
        "cidr_blocks": ["10.0.0.0/8"],
        "self": False,
    }
    seen = {**https, "ipv6_cidr_blocks": [], "prefix_list_ids": [], "security_groups": []}
    group = ("aws_security_group", "nodes", {"id": "sg-1", "name": "n", "ingress": [seen], "egress": []})
    rule = Resource(
        "aws_vpc_security_group_ingress_rule",
        "theirs",
        {
            "security_group_id": "sg-1",
            "ip_protocol": "tcp",
            "from_port": 443,
            "to_port": 443,
            "cidr_ipv4": "10.0.0.0/8",
        },
    )
    plan = standing(group)
    (found,) = stack_findings("v", "v-base", plan, [])
    assert found.what == "the security group `n` was given tcp 443 with 10.0.0.0/8 (ingress)"
    assert list(stack_findings("v", "v-base", plan, [], [Resource(*group), rule])) == []
    inline = [Resource("aws_security_group", "nodes", {"ingress": []})]
    assert list(stack_findings("v", "v-base", plan, inline)) == [], "Terraform itself compares what is inline"


def test_a_machine_that_runs_otherwise_than_its_template_says_is_critical() -> None:
    good = {
        "MetadataOptions": {"HttpTokens": "required"},
        "SecurityGroups": [{"GroupId": "sg-1"}],
        "IamInstanceProfile": {"Arn": "arn:p"},
    }
    assert list(machine_problems(good, {"sg-1"}, {"arn:p"})) == []
    bad = {
        "MetadataOptions": {"HttpTokens": "optional"},
        "PublicIpAddress": "198.51.100.7",
        "KeyName": "mine",
        "SecurityGroups": [{"GroupId": "sg-1"}, {"GroupId": "sg-2"}],
        "IamInstanceProfile": {"Arn": "arn:other"},
    }
    found = list(machine_problems(bad, {"sg-1"}, {"arn:p"}))
    assert len(found) == 5 and {rank for rank, _ in found} == {"critical"}
    assert "sg-2" in found[3][1] and "sg-1" not in found[3][1]


def test_a_report_counts_its_findings_by_rank() -> None:
    (found,) = drifted("aws_sqs_queue", {"name": "q"}, None)
    report = DriftReport(
        environment="v", cloud="x", region=REGION, looked_at=("v-base",), findings=(found,), pending=()
    )
    assert report.counts == {"critical": 0, "high": 1, "medium": 0, "note": 0}
    assert report.to_dict()["worst"] == "high" and found.what == "the queue `q` is gone"


# ------------------------------------------------------------------------------ on the real thing


@pytest.fixture
def stack(sandbox: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A small stack that stands in the embedded cloud."""
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)
    client(sandbox, "s3", REGION).create_bucket(Bucket=STATE_BUCKET)
    write_stack(tmp_path, NAME, MADE)
    found = open_test_stack(tmp_path, NAME, sandbox)
    found.apply()
    yield found
    found.destroy()


def look(stack: Stack) -> dict[str, list[str]]:
    """Return what has drifted: address -> `rank what`."""
    file = stack.folder / "drift.tfplan"
    stack.plan(out=file)
    plan = stack.show(file)
    declared = list(resources_of(stack.configuration()))
    found: dict[str, list[str]] = {}
    for each in stack_findings("v", NAME, plan, declared):
        found.setdefault(each.address, []).append(f"{each.rank} {each.what}")
    return found


@pytest.mark.sandbox
@pytest.mark.terraform
def test_what_was_changed_in_the_cloud_is_found_and_ranked(stack: Stack, sandbox: Cloud) -> None:
    ec2, s3 = client(sandbox, "ec2", REGION), client(sandbox, "s3", REGION)
    iam, ssm = client(sandbox, "iam", REGION), client(sandbox, "ssm", REGION)
    named = [{"Name": "group-name", "Values": [f"tests-{NAME}"]}]
    group = ec2.describe_security_groups(Filters=named)["SecurityGroups"][0]["GroupId"]
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ssh])
    s3.put_bucket_versioning(Bucket=f"tests-{NAME}-data", VersioningConfiguration={"Status": "Suspended"})
    s3.delete_public_access_block(Bucket=f"tests-{NAME}-data")
    iam.attach_role_policy(RoleName=f"tests-{NAME}", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.put_role_policy(RoleName=f"tests-{NAME}", PolicyName="back-door", PolicyDocument=BACK_DOOR)
    trust = DOCUMENT % '"AWS":"arn:aws:iam::999999999999:root"'
    iam.update_assume_role_policy(RoleName=f"tests-{NAME}", PolicyDocument=trust)
    ssm.delete_document(Name=f"tests-{NAME}")
    tag = [{"Key": "note", "Value": "hello"}]
    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId=f"/tests/{NAME}", Tags=tag)

    found = look(stack)
    group_words = f"the security group `tests-{NAME}`"
    role = f"the role `tests-{NAME}`"
    assert found == {
        "aws_security_group.nodes": [f"critical {group_words} was given tcp 22 with 0.0.0.0/0 (ingress)"],
        "aws_s3_bucket_versioning.data": [f"high the versioning of a bucket `tests-{NAME}-data` was changed"],
        "aws_s3_bucket_public_access_block.data": [
            f"critical the public access block of a bucket `tests-{NAME}-data` is gone"
        ],
        "aws_iam_role.node": [
            f"critical {role} was changed",
            f"critical {role} was given the policy back-door (inline_policy)",
            f"critical {role} was given the policy arn:aws:iam::aws:policy/AdministratorAccess "
            "(managed_policy_arns)",
        ],
        "aws_ssm_document.run": [f"high the document `tests-{NAME}` is gone"],
        "aws_ssm_parameter.outputs": [f"note the parameter `/tests/{NAME}` was changed"],
    }
    # Terraform puts back what is its own; what was added by hand is found again after it.
    stack.apply()
    left = look(stack)  # and what Terraform made is no drift, though the parents mirror it
    assert set(left) == {"aws_security_group.nodes", "aws_iam_role.node"}
    assert all(
        "was given" in each for each in (*left["aws_iam_role.node"], *left["aws_security_group.nodes"])
    )
    iam.detach_role_policy(RoleName=f"tests-{NAME}", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.delete_role_policy(RoleName=f"tests-{NAME}", PolicyName="back-door")
