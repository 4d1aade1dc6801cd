"""The entry-path table: every way in is closed or recorded, and one that is opened fails the synthesis."""

from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from stacks.app import main as app_main
from stacks.app import read_declarations, synthesize
from stacks.entry_paths import (
    ENVIRONMENT_PATHS,
    MACHINE_PATHS,
    TABLE_FILE,
    EntryPathError,
    Row,
    as_text,
    entry_paths,
    main,
    write_entry_paths,
)
from tests.entry_injections import CHECKED, INJECTED, UNCHECKED, Stacks, resources, role, rule
from tests.golden_synth import BUNDLE, ENVIRONMENTS, stack_json


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden environment, once with the account in the environment's region and once in another."""
    root = tmp_path_factory.mktemp("entry")
    for name, region in (("here", "us-east-1"), ("there", "eu-central-1")):
        folder = root / name / "environments"
        shutil.copytree(ENVIRONMENTS, folder)
        file = folder / "account.toml"
        file.write_text(file.read_text().replace("eu-central-1", region))
        account, specs = read_declarations(folder, ["vision"])
        synthesize(account, specs, BUNDLE, root / name)
    return root


@pytest.fixture
def stacks(out: Path) -> Stacks:
    """The three stacks, to be changed by one test."""
    return read(out / "here")


def read(folder: Path) -> Stacks:
    names = {"account": "account", "base": "vision-base", "fleet": "vision-fleet"}
    return {name: stack_json(folder, stack) for name, stack in names.items()}


def judged(stacks: Stacks, *, trail_wanted: bool = True) -> dict[tuple[str, str], Row]:
    rows = entry_paths(**stacks, trail_wanted=trail_wanted)
    return {(row.path, row.machine): row for row in rows}


ROOT = Path(__file__).parent.parent
LOOKED_AT = {
    "aws_autoscaling_group",
    "aws_cloudtrail",
    "aws_default_security_group",
    "aws_ec2_serial_console_access",
    "aws_efs_mount_target",
    "aws_eip",
    "aws_flow_log",
    "aws_fsx_lustre_file_system",
    "aws_iam_instance_profile",
    "aws_iam_policy",
    "aws_iam_role",
    "aws_iam_role_policy",
    "aws_iam_role_policy_attachment",
    "aws_launch_template",
    "aws_s3_bucket",
    "aws_s3_bucket_object_lock_configuration",
    "aws_security_group",
    "aws_ssm_document",
    "aws_subnet",
    "aws_vpc_security_group_ingress_rule",
}
"""Kinds that the table is made from."""
OPENS_NOTHING = {
    # Ways out, and what leads to AWS's own services.
    "aws_internet_gateway",
    "aws_nat_gateway",
    "aws_route",
    "aws_route_table",
    "aws_route_table_association",
    "aws_vpc",
    "aws_vpc_endpoint",
    "aws_vpc_security_group_egress_rule",
    # Data, and who may read it.
    "aws_efs_access_point",
    "aws_efs_backup_policy",
    "aws_efs_file_system",
    "aws_efs_file_system_policy",
    "aws_fsx_data_repository_association",
    "aws_kms_alias",
    "aws_kms_key",
    "aws_s3_bucket_logging",
    "aws_s3_bucket_ownership_controls",
    "aws_s3_bucket_policy",
    "aws_s3_bucket_public_access_block",
    "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_versioning",
    "aws_s3_object",
    "aws_secretsmanager_secret",
    "aws_ssm_parameter",
    # The queue's disk, encrypted, which the head alone can attach.
    "aws_ebs_volume",
    # What watches and tells.
    "aws_cloudwatch_log_group",
    "aws_cloudwatch_log_metric_filter",
    "aws_cloudwatch_metric_alarm",
    "aws_budgets_budget",
    "aws_budgets_budget_action",  # denies
    "aws_sns_topic",
    "aws_sns_topic_policy",
    "aws_sns_topic_subscription",
    # The reaper ends machines and enters none; where machines are placed.
    "aws_lambda_function",
    "aws_placement_group",
    "aws_scheduler_schedule",
    "aws_scheduler_schedule_group",
}


def test_every_way_in_of_the_golden_environment_is_closed_or_recorded(out: Path) -> None:
    for where in ("here", "there"):
        rows = judged(read(out / where))
        machines = {"head", "gpu", "large"}
        assert set(rows) == {(path, each) for path in MACHINE_PATHS for each in machines} | {
            (path, "all") for path in ENVIRONMENT_PATHS
        }
        assert {row.state for row in rows.values()} == {"closed", "recorded"}
        assert all(row.records for row in rows.values() if row.state == "recorded")


def test_the_ways_that_need_no_trail_are_closed(stacks: Stacks) -> None:
    rows = judged(stacks)
    for path in ("ssh", "rdp", "other-port", "key-pair", "public-address", "instance-connect"):
        assert {rows[path, each].state for each in ("head", "gpu", "large")} == {"closed"}
    for path in ("serial-console", "load-balancer", "joined-network", "file-system", "unseen-machine"):
        assert rows[path, "all"].state == "closed"
    assert rows["serial-console", "all"].by == ("account: aws_ec2_serial_console_access.account.enabled",)


def test_a_shell_is_recorded_in_the_locked_bucket_and_the_log_group(stacks: Stacks) -> None:
    assert judged(stacks)["ssm-shell", "gpu"].records == (
        "s3://golden-org-fleetform-ledger-us-east-1/sessions/",
        "log group /fleetform/account/golden-org/sessions",
    )


def test_where_the_account_has_no_document_our_roles_enter_no_machine(out: Path) -> None:
    row = judged(read(out / "there"))["ssm-shell", "gpu"]
    assert row.state == "recorded"
    assert "account's region alone" in row.note
    assert judged(read(out / "there"))["serial-console", "all"].state == "recorded"


@pytest.mark.parametrize("injected", INJECTED)
def test_a_way_in_that_is_opened_is_found(stacks: Stacks, injected: str) -> None:
    path, machine, inject = INJECTED[injected]
    assert judged(stacks)[path, machine].state != "open"
    inject(stacks)
    row = judged(stacks)[path, machine]
    assert row.state == "open"
    assert row.note


def test_every_row_can_fail() -> None:
    assert {path for path, _, _ in INJECTED.values()} == {*MACHINE_PATHS, *ENVIRONMENT_PATHS}


def test_every_kind_that_the_stacks_can_make_has_been_thought_of() -> None:
    types = tomllib.loads((ROOT / "stacks/aws/types.toml").read_text())["modules"]
    kinds = {kind for module in types.values() for kind in module.get("resources", ())}
    strange = kinds - LOOKED_AT - OPENS_NOTHING
    assert not strange, "could it let somebody in? then judge it in stacks/entry/, else name it here"


def test_what_opens_nothing_is_not_found(stacks: Stacks) -> None:
    rule(stacks, "endpoints", from_port=443, to_port=443, cidr_ipv4="10.0.0.0/8")
    rule(stacks, "nodes", ip_protocol="-1", referenced_security_group_id="${aws_security_group.nodes.id}")
    resources(stacks, "base", "aws_eip")["nat"] = {"domain": "vpc"}
    resources(stacks, "base", "aws_nat_gateway")["nat"] = {}
    resources(stacks, "account", "aws_iam_policy")["boundary"] = {
        "name": "boundary",
        "policy": json.dumps({"Statement": [UNCHECKED]}),
    }
    role(stacks, CHECKED)
    assert not [row for row in judged(stacks).values() if row.state == "open"]


def test_who_wants_no_trail_is_told_what_is_not_recorded(stacks: Stacks) -> None:
    del stacks["account"]["resource"]["aws_cloudtrail"]
    rows = judged(stacks, trail_wanted=False)
    assert rows["run-command", "all"].state == "unrecorded"
    assert "audit.trail" in rows["run-command", "all"].note
    assert not [row for row in rows.values() if row.state == "open"]
    assert rows["ssm-shell", "gpu"].state == "recorded"


def test_an_opened_way_fails_the_synthesis_and_is_named(tmp_path: Path, out: Path) -> None:
    shutil.copytree(out / "here", tmp_path / "cdktf.out")
    file = tmp_path / "cdktf.out/stacks/vision-fleet/cdk.tf.json"
    content = json.loads(file.read_text())
    content["resource"]["aws_launch_template"]["gpu"]["key_name"] = "mine"
    file.write_text(json.dumps(content))
    with pytest.raises(EntryPathError, match=r"Key pair \(gpu\).*aws_launch_template\.gpu\.key_name"):
        write_entry_paths(tmp_path / "cdktf.out", "vision", trail_wanted=True)


def test_the_synthesis_holds_its_result_against_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # As if somebody had let the session document slip: nothing but the table would notice.
    monkeypatch.setattr("stacks.account_stack.add_session_document", lambda parts: None)
    words = ["--environments", str(ENVIRONMENTS), "--environment", "vision", "--out", str(tmp_path)]
    assert app_main(words) == 1
    printed = capsys.readouterr().err
    assert "vision has a way in that nobody would see:\n  Session Manager" in printed
    table = json.loads((tmp_path / "stacks/vision-fleet" / TABLE_FILE).read_text())
    assert "open" in {row["state"] for row in table["rows"]}


def test_the_table_is_printed(
    out: Path, capsys: pytest.CaptureFixture[str], stacks: Stacks, tmp_path: Path
) -> None:
    assert main(["vision", "--out", str(out / "here")]) == 0
    text = capsys.readouterr().out
    assert text.rstrip() == as_text([asdict(row) for row in entry_paths(**stacks)])
    assert "SSH port" in text
    assert main(["vision", "--out", str(out / "here"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == len(entry_paths(**stacks))
    assert main(["vision", "--out", str(tmp_path)]) == 2
    assert "python -m stacks.app" in capsys.readouterr().err
