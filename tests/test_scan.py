"""The policy scan's own logic, on what the real checkov said of a small stack (tests/fixtures/checkov)."""

from __future__ import annotations

import datetime
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet.checkov import ScanError, find_checkov, install, run_checkov
from fleet.errors import ActError
from fleet.project import Project
from fleet.scan import COUNTING_CHECK, POLICIES, ScanResult, Verdict, judge, read_report
from fleet.scan_copy import ScanCopy, copy_stack, readable
from fleet.terraform_events import quiet
from stacks.problems import UserError
from stacks.waivers import OWN_WAIVERS, Waiver, load_waivers, waiver_files
from tests.spec_files import write_folder

RECORDED = Path(__file__).parent / "fixtures" / "checkov"
TODAY = datetime.date(2026, 6, 1)
ROLE = "aws_iam_role_policy.data"
BUCKET = "aws_s3_bucket.data"


@pytest.fixture
def copy(tmp_path: Path) -> ScanCopy:
    """The recorded stack's copy, as it was scanned."""
    return copy_stack(RECORDED / "stacks" / "tiny", tmp_path / "tiny")


def recorded(name: str = "report") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return found


def waiver(check: str, address: str, **fields: Any) -> tuple[str, Waiver]:
    fields = {"reason": "a reason of more than twenty letters", "owner": "kim", **fields}
    fields.setdefault("review", datetime.date(2027, 1, 1))
    return "environments/waivers.toml", Waiver(check=check, address=address, **fields)


def verdict(copy: ScanCopy) -> Verdict:
    return read_report(json.dumps(recorded()), [copy])


def judged(copy: ScanCopy, *waivers: tuple[str, Waiver], today: datetime.date = TODAY) -> ScanResult:
    return judge(verdict(copy), [copy], waivers, today)


def test_every_failed_check_says_where_what_and_what_to_do(copy: ScanCopy) -> None:
    problem = next(each for each in judged(copy).errors if "CKV_AWS_145" in each.what)
    assert problem.file == "stacks/buckets.py:12"
    assert problem.path == f"tiny: {BUCKET}"
    assert problem.what == "CKV_AWS_145: Ensure that S3 buckets are encrypted with KMS by default"
    assert "https://" in problem.do and "environments/waivers.toml" in problem.do


def test_the_count_of_what_was_scanned_is_told(copy: ScanCopy) -> None:
    assert str(judged(copy)) == (
        "checkov 3.3.30 scanned 4 resources of 4 in 1 stacks: 26 checks, 9 failed, 0 waived with a reason"
    )


def test_a_resource_that_no_check_is_about_counts_as_scanned(copy: ScanCopy) -> None:
    assert "aws_placement_group.data" in copy.resources
    about = {record["resource"] for record in recorded()["results"]["failed_checks"]}
    assert not any("aws_placement_group" in each for each in about)
    assert verdict(copy).resources == {"tiny": 4}


def test_a_roles_policy_is_judged_although_checkov_passes_every_policy_that_is_text(copy: ScanCopy) -> None:
    of_the_text = [
        record["check_id"]
        for record in recorded()["results"]["failed_checks"]
        if record["resource"] in (ROLE, "resource.data") and "IAM" in record["check_name"]
    ]
    assert of_the_text == [], "if checkov read the text, we need not spell it out"
    found = {each.check for each in verdict(copy).failed if each.address == ROLE}
    assert found == {"CKV_AWS_109", "CKV_AWS_111", "CKV_AWS_356"}


def test_resources_of_one_name_are_told_apart(copy: ScanCopy) -> None:
    bare = [each for each in recorded()["results"]["passed_checks"] if each["resource"] == "resource.data"]
    blocks = {copy.block_at(each["file_line_range"][0]) for each in bare}
    assert len({block.address for block in blocks if block}) > 1


def test_a_scan_under_the_wrong_framework_is_refused(copy: ScanCopy) -> None:
    text = json.dumps(recorded("report-of-framework-terraform"))
    with pytest.raises(ScanError, match="0 of the 4 resources of tiny were scanned, and no check was made"):
        read_report(text, [copy])


def test_a_file_that_checkov_could_not_read_is_named(copy: ScanCopy) -> None:
    text = json.dumps(recorded("report-of-a-file-with-imports"))
    with pytest.raises(ScanError, match=r"could not read .*/tiny/cdk\.tf\.json"):
        read_report(text, [copy])


def test_a_scan_that_left_one_resource_out_is_refused(copy: ScanCopy) -> None:
    report = recorded()
    passed = report["results"]["passed_checks"]
    counts = [each for each in passed if each["check_id"] == COUNTING_CHECK and each["resource"] == BUCKET]
    passed.remove(counts[0])
    with pytest.raises(ScanError, match="3 of the 4 resources of tiny were scanned"):
        read_report(json.dumps(report), [copy])


def test_a_second_stack_that_nobody_scanned_is_refused(copy: ScanCopy, tmp_path: Path) -> None:
    other = ScanCopy(stack="other", blocks=copy.blocks, places=copy.places)
    with pytest.raises(ScanError, match="0 of the 4 resources of other"):
        read_report(json.dumps(recorded()), [copy, other])


def test_a_report_that_is_no_json_is_refused(copy: ScanCopy) -> None:
    with pytest.raises(ScanError, match="no JSON"):
        read_report("Traceback (most recent call last):", [copy])


def test_a_waiver_takes_its_check_at_its_address_and_no_other(copy: ScanCopy) -> None:
    result = judged(copy, waiver("CKV_AWS_144", "aws_s3_bucket.*"), waiver("CKV_AWS_356", ROLE))
    assert [(finding.check, finding.address) for finding, _ in result.waived] == [
        ("CKV_AWS_356", ROLE),
        ("CKV_AWS_144", BUCKET),
    ]
    assert len(result.errors) == 7 and result.warnings == ()


def test_a_waiver_of_another_stack_does_not_count(copy: ScanCopy) -> None:
    result = judged(copy, waiver("CKV_AWS_144", "aws_s3_bucket.*", stack="*-base"))
    assert result.waived == ()
    assert result.warnings == (), "it may be used by a stack that was not scanned now"


def test_a_waiver_whose_review_is_due_is_a_warning_and_still_counts(copy: ScanCopy) -> None:
    due = waiver("CKV_AWS_144", BUCKET, review=datetime.date(2026, 5, 31))
    result = judged(copy, due)
    assert len(result.waived) == 1
    assert str(result.warnings[0]) == (
        f"environments/waivers.toml: CKV_AWS_144 at {BUCKET} in *: the waiver was to be looked at again by "
        "2026-05-31\n    ask kim whether its reason still holds, and set a new day or take it out"
    )
    assert judged(copy, due, today=datetime.date(2026, 5, 31)).warnings == ()


def test_a_waiver_that_waives_nothing_is_a_warning(copy: ScanCopy) -> None:
    result = judged(copy, waiver("CKV_AWS_21", BUCKET))
    assert [each.what for each in result.warnings] == [
        f"the waiver waives nothing: the check does not fail at tiny: {BUCKET}"
    ]


def test_a_waiver_that_depends_on_a_file_may_go_unused(copy: ScanCopy) -> None:
    assert judged(copy, waiver("CKV_AWS_21", BUCKET, when="versions are off")).warnings == ()


def test_another_version_than_the_waivers_were_written_for_is_a_warning(copy: ScanCopy) -> None:
    report = recorded()
    report["summary"]["checkov_version"] = "3.9.0"
    result = judge(read_report(json.dumps(report), [copy]), [copy], [], TODAY)
    assert [each.what for each in result.warnings] == [
        "this is checkov 3.9.0; the waivers were written for 3.3.30"
    ]


def test_a_policy_that_is_no_json_is_refused_and_not_passed_over() -> None:
    broken = {"resource": {"aws_iam_role_policy": {"data": {"policy": "${jsonencode(local.x)}"}}}}
    with pytest.raises(ActError, match=r"tiny: aws_iam_role_policy\.data: the policy is no JSON"):
        readable(broken, "tiny")


def test_a_policy_out_of_a_document_is_left_to_the_document() -> None:
    text = "${data.aws_iam_policy_document.node.json}"
    copy = readable({"resource": {"aws_iam_role_policy": {"data": {"policy": text}}}}, "tiny")
    assert "data" not in copy


def test_a_policy_is_spelled_out_with_its_conditions() -> None:
    configuration = json.loads((RECORDED / "stacks/tiny/cdk.tf.json").read_text())
    document = readable(configuration, "tiny")["data"]["aws_iam_policy_document"]
    assert document["aws_iam_role_policy-data"]["statement"][1] == {
        "effect": "Deny",
        "not_actions": ["s3:Get*"],
        "not_resources": ["arn:aws:s3:::x"],
        "condition": [{"test": "StringEquals", "variable": "aws:RequestedRegion", "values": ["us-east-1"]}],
    }


def test_our_own_waivers_are_complete_and_of_known_form() -> None:
    waivers = [each for _, each in load_waivers([OWN_WAIVERS])]
    assert waivers and len({str(each) for each in waivers}) == len(waivers)


def test_the_projects_own_waivers_are_read_beside_ours_and_every_mistake_in_them_is_told(
    tmp_path: Path,
) -> None:
    folder = write_folder(tmp_path)
    assert waiver_files(folder) == [OWN_WAIVERS]
    file = folder / "waivers.toml"
    file.write_text(
        '[[waiver]]\ncheck = "AWS_144"\naddress = "artifacts"\nreason = "because"\nowner = "kim"\n'
        'review = "soon"\n'
    )
    assert waiver_files(folder) == [OWN_WAIVERS, file]
    with pytest.raises(UserError) as caught:
        load_waivers(waiver_files(folder))
    assert [problem.path for problem in caught.value.problems] == [
        f"waiver.0.{setting}" for setting in ("check", "address", "reason", "review")
    ]


Fake = Callable[[str], Path]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Make an executable of the given script, to stand for a checkov that goes wrong."""

    def make(script: str) -> Path:
        file = tmp_path / "checkov"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return file

    return make


def test_a_checkov_that_knows_no_such_framework_is_told_in_its_own_words(fake: Fake, tmp_path: Path) -> None:
    checkov = fake("echo 'checkov: error: Invalid frameworks specified: terraform_json.' >&2; exit 2")
    with pytest.raises(ScanError, match=r"ended with 2 and no report\s.*Invalid frameworks"):
        run_checkov(checkov, tmp_path, POLICIES)


def test_what_could_change_the_scan_is_kept_from_checkov(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CKV_SKIP_CHECK", "CKV_AWS_1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    said = run_checkov(fake('echo "$HOME $(env | grep -c "^CKV_SKIP_CHECK\\|^AWS_") $*"'), tmp_path, POLICIES)
    assert said.startswith(f"{tmp_path} 0 ")
    assert "--framework terraform_json" in said and "--skip-download" in said


def test_a_named_checkov_that_is_none_is_the_users_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETFORM_CHECKOV", str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="is no executable"):
        find_checkov(Project(root=tmp_path, home=tmp_path / ".fleetform"), quiet)


def test_a_checkov_that_cannot_be_installed_is_one_clear_error_and_leaves_nothing_half_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    folder = tmp_path / "tools" / "checkov"
    with pytest.raises(UserError, match=r"(?s)checkov 3\.3\.30 cannot be installed .*PIP_INDEX_URL"):
        install(folder, quiet)
    assert not (folder / "installed").exists()
