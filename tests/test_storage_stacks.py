"""The stores that an environment may ask for, as the stacks build them: closed, encrypted, kept."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from stacks import naming
from stacks.app import read_declarations, synthesize
from stacks.boundary import boundary_document
from stacks.guardrails import check_directory
from stacks.lustre_sizes import is_lustre_size, lustre_sizes_around
from tests.golden_synth import BUNDLE
from tests.spec_files import environment_text, write_folder

TODAY = datetime.date(2026, 11, 22)
ALL = """
[efs]
enabled = true
backup = true

[fsx]
kind = "{kind}"
size_gib = 2400
run_max_gib = 2400
"""


def stacks_of(folder: Path, tables: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the resources of the base and of the fleet stack of an environment with these tables."""
    environments = write_folder(folder, vision=environment_text() + tables)
    account, specs = read_declarations(environments, ["vision"])
    synthesize(account, specs, BUNDLE, folder / "out")
    base, fleet = (
        json.loads((folder / "out" / "stacks" / name / "cdk.tf.json").read_text())["resource"]
        for name in naming.environment_stacks("vision")
    )
    return base, fleet


@pytest.fixture(scope="module")
def persistent(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    return stacks_of(tmp_path_factory.mktemp("persistent"), ALL.format(kind="persistent"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    return stacks_of(tmp_path_factory.mktemp("scratch"), ALL.format(kind="scratch"))


Both = tuple[dict[str, Any], dict[str, Any]]


def test_an_environment_has_no_file_system_unless_its_file_asks(tmp_path: Path) -> None:
    base, fleet = stacks_of(tmp_path, "")
    assert not [kind for kind in (*base, *fleet) if "efs" in kind or "fsx" in kind]
    assert "storage" not in base["aws_security_group"] and "storage" not in fleet["aws_s3_object"]


def test_what_holds_data_for_good_is_encrypted_with_the_environments_key_and_not_destroyed(
    persistent: Both,
) -> None:
    base, _ = persistent
    lasting = (base["aws_efs_file_system"]["shared"], base["aws_fsx_lustre_file_system"]["fast"])
    for each in lasting:
        assert each["kms_key_id"] == "${aws_kms_key.main.arn}"
        assert each["lifecycle"] == {"prevent_destroy": True}
    assert [each["force_destroy"] for each in base["aws_s3_bucket"].values()] == [False, False]


def test_delete_takes_an_explicit_word(tmp_path: Path) -> None:
    tables = ALL.format(kind="persistent").replace("[efs]", '[efs]\non_teardown = "delete"')
    base, _ = stacks_of(tmp_path, tables.replace("[fsx]", '[fsx]\non_teardown = "delete"'))
    assert base["aws_efs_file_system"]["shared"]["lifecycle"] == {"prevent_destroy": False}
    assert base["aws_fsx_lustre_file_system"]["fast"]["lifecycle"] == {"prevent_destroy": False}


def test_scratch_is_made_and_ended_with_the_fleet(scratch: Both) -> None:
    base, fleet = scratch
    assert "aws_fsx_lustre_file_system" not in base
    made = fleet["aws_fsx_lustre_file_system"]["fast"]
    assert (made["deployment_type"], made["storage_capacity"]) == ("SCRATCH_2", 2400)
    assert "lifecycle" not in made and "per_unit_storage_throughput" not in made


def test_datasets_come_in_by_themselves_and_results_go_out(persistent: Both, scratch: Both) -> None:
    for resources in (persistent[0], scratch[1]):
        links = resources["aws_fsx_data_repository_association"]
        assert links["datasets"]["file_system_path"] == "/datasets"
        assert links["datasets"]["data_repository_path"] == "s3://acme-ai-vision-datasets-us-east-1"
        assert set(links["datasets"]["s3"]) == {"auto_import_policy"}, "nothing is written to the datasets"
        assert links["results"]["data_repository_path"].endswith("-artifacts-us-east-1/fsx/")
        assert set(links["results"]["s3"]) == {"auto_export_policy"}


def test_the_shared_files_are_reached_in_tls_by_the_machines_roles_through_the_access_point(
    persistent: Both,
) -> None:
    base, _ = persistent
    allow, deny = json.loads(base["aws_efs_file_system_policy"]["shared"]["policy"])["Statement"]
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert allow["Principal"] == {"AWS": ["${aws_iam_role.head.arn}", "${aws_iam_role.node.arn}"]}
    keys = {key for keys in allow["Condition"].values() for key in keys}
    assert keys <= {
        "aws:SecureTransport",
        "aws:SourceIp",
        "elasticfilesystem:AccessPointArn",
        "elasticfilesystem:AccessedViaMountTarget",
    }, "EFS knows no other condition of a mount"
    assert allow["Condition"]["Bool"] == {"elasticfilesystem:AccessedViaMountTarget": "true"}
    assert "elasticfilesystem:ClientRootAccess" not in allow["Action"]
    assert len(base["aws_efs_mount_target"]) == 2, "one in each zone"


def test_a_role_that_may_mount_may_do_so_within_its_boundary_too() -> None:
    document = json.loads(boundary_document("acme", "aws", "123456789012"))
    allowed = {action for each in document["Statement"] for action in _actions(each)}
    assert {"elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"} <= allowed


def test_a_fast_file_system_is_made_after_the_rules_that_let_lustre_through(persistent: Both) -> None:
    base, _ = persistent
    made = base["aws_fsx_lustre_file_system"]["fast"]
    rules = {
        f"aws_vpc_security_group_{direction}_rule.{name}"
        for direction in ("ingress", "egress")
        for name in base[f"aws_vpc_security_group_{direction}_rule"]
        if name.startswith("lustre")
    }
    assert rules and rules <= set(made["depends_on"])
    assert made["timeouts"]["create"] == "60m"


def test_file_systems_talk_to_the_environments_machines_and_to_nobody_else(persistent: Both) -> None:
    base, _ = persistent
    ends = {"${aws_security_group.nodes.id}", "${aws_security_group.storage.id}"}
    for direction in ("ingress", "egress"):
        rules = base[f"aws_vpc_security_group_{direction}_rule"]
        ours = {name: rule for name, rule in rules.items() if name.startswith(("nfs", "lustre"))}
        ports = {(rule["from_port"], rule["to_port"]) for rule in ours.values()}
        assert ports == {(2049, 2049), (988, 988), (1018, 1023)}
        for rule in ours.values():
            assert {rule["security_group_id"], rule["referenced_security_group_id"]} <= ends


def test_machines_are_told_of_every_file_system_in_the_bucket(scratch: Both) -> None:
    _, fleet = scratch
    told = json.loads(fleet["aws_s3_object"]["storage"]["content"])
    assert [(each["kind"], each["at"]) for each in told["mounts"]] == [
        ("efs", "/shared"),
        ("lustre", "/fsx"),
    ]
    assert told["run_file_systems"]["max_gib"] == 2400
    assert told["run_file_systems"]["tags"][naming.TAG_ENVIRONMENT] == "vision"
    groups = fleet["aws_autoscaling_group"].values()
    assert all("aws_s3_object.storage" in group["depends_on"] for group in groups)


def test_the_head_makes_file_systems_of_its_own_environment_alone(scratch: Both) -> None:
    base, _ = scratch
    statements = json.loads(base["aws_iam_role_policy"]["head"]["policy"])["Statement"]
    changing = [
        each
        for each in statements
        if any(action.startswith("fsx:") and "Describe" not in action for action in _actions(each))
    ]
    assert changing
    for each in changing:
        (condition,) = each["Condition"]["StringEquals"].items()
        assert condition[0].endswith("Tag/fleetform:environment") and condition[1] == "vision"
    node = base["aws_iam_role_policy"]["node"]["policy"]
    assert "fsx:" not in node


def _actions(statement: dict[str, Any]) -> list[str]:
    found = statement.get("Action", [])
    return [found] if isinstance(found, str) else found


def test_nodes_only_read_datasets(scratch: Both) -> None:
    base, _ = scratch
    for statement in json.loads(base["aws_iam_role_policy"]["node"]["policy"])["Statement"]:
        if "datasets" in json.dumps(statement["Resource"]):
            assert _actions(statement) == ["s3:GetObject"]


def test_checkpoints_age_by_their_tag_and_old_versions_by_their_days(tmp_path: Path) -> None:
    base, _ = stacks_of(tmp_path, "\n[datasets]\nold_version_days = 90\n")
    artifacts, datasets = (base["aws_s3_bucket"][name] for name in ("artifacts", "datasets"))
    (leftovers,) = datasets["lifecycle_rule"]
    assert leftovers["noncurrent_version_expiration"] == {"days": 90}
    assert leftovers["abort_incomplete_multipart_upload_days"] == 7
    assert [rule["id"] for rule in artifacts["lifecycle_rule"]] == ["leftovers"], "0 days keep checkpoints"
    text = environment_text() + "\n[artifacts]\ncheckpoint_days = 30\n"
    folder = tmp_path / "aging"
    folder.mkdir()
    account, specs = read_declarations(write_folder(folder, vision=text), ["vision"])
    assert specs[0].artifacts.checkpoint_days == 30
    synthesize(account, specs, BUNDLE, folder / "out")
    base = json.loads((folder / "out/stacks/vision-base/cdk.tf.json").read_text())["resource"]
    _, aging = base["aws_s3_bucket"]["artifacts"]["lifecycle_rule"]
    assert (aging["tags"], aging["expiration"]) == ({"fleetform": "checkpoint"}, {"days": 30})


@pytest.mark.parametrize(
    ("gib", "around"),
    [(1300, [1200, 2400]), (600, [1200]), (2401, [2400, 4800]), (3600, [2400, 4800]), (7100, [4800, 7200])],
)
def test_the_sizes_next_to_an_impossible_one_are_named(gib: int, around: list[int]) -> None:
    assert not is_lustre_size(gib) and all(is_lustre_size(size) for size in around)
    assert lustre_sizes_around(gib) == around


ERRORS = [
    ('[fsx]\nkind = "scratch"\nsize_gib = 3000', "fsx.size_gib", "take 2400 or 4800"),
    ("[fsx]\nrun_max_gib = 1300", "fsx.run_max_gib", "take 1200 or 2400"),
]
WARNINGS = [
    ('[fsx]\nkind = "scratch"\nthroughput = 250', "fsx.throughput", "200 MB/s/TiB"),
    ('[fsx]\nkind = "scratch"\non_teardown = "delete"', "fsx.on_teardown", "always goes"),
    ("[fsx]\nsize_gib = 2400", "fsx.size_gib", "no lasting file system"),
    ('[efs]\nthroughput = "bursting"', "efs.throughput", "no shared file system"),
]


def check(tmp_path: Path, tables: str) -> Any:
    return check_directory(write_folder(tmp_path, vision=f"{environment_text()}\n{tables}\n"), today=TODAY)


@pytest.mark.parametrize(("tables", "path", "do"), ERRORS)
def test_a_size_that_fsx_does_not_make_is_refused(tmp_path: Path, tables: str, path: str, do: str) -> None:
    (problem,), warnings = check(tmp_path, tables)
    assert (problem.path, problem.do) == (path, do)
    assert {each.path for each in warnings} <= {"fsx.run_max_gib"}, "under Slurm it has no effect"


@pytest.mark.parametrize(("tables", "path", "what"), WARNINGS)
def test_a_setting_without_effect_is_told(tmp_path: Path, tables: str, path: str, what: str) -> None:
    errors, (warning,) = check(tmp_path, tables)
    assert warning.path == path and what in warning.what and not errors
