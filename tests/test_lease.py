"""Leases: the one line of the file, the account's limit, what is refused, and what a failure leaves."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from fleet import lease
from fleet.cloud import Cloud
from fleet.lease import Extension, let_groups_start, propose, read_lease, settle_failure, with_lease
from fleet.project import Project
from fleet.session import Session
from stacks import naming
from stacks.guardrails import check_directory
from stacks.problems import UserError
from tests.run_environment import make_specs
from tests.sandbox_helpers import IMAGE, REGION, api
from tests.spec_files import ACCOUNT, environment_text, write_folder

DAY = datetime.date(2027, 1, 15)
TODAY = datetime.date(2026, 12, 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("lease_ends = 2026-12-31\n", "lease_ends = 2027-01-15\n"),
        ("  lease_ends=2026-12-31   # why\r\n", "  lease_ends=2027-01-15   # why\r\n"),
        (
            '# lease_ends = 2000-01-01\nname = "a"\nlease_ends = 2026-12-31\n[network]\nlease_ends = 1\n',
            '# lease_ends = 2000-01-01\nname = "a"\nlease_ends = 2027-01-15\n[network]\nlease_ends = 1\n',
        ),
    ],
)
def test_only_the_day_of_the_one_line_changes(before: str, after: str) -> None:
    assert with_lease(before, DAY) == after


@pytest.mark.parametrize(
    "text",
    [
        'name = "a"\n',
        '"lease_ends" = 2026-12-31\n',
        "[tool]\nlease_ends = 2026-12-31\n",
        'owner = """\nlease_ends = 2026-12-31\n"""\n',
    ],
    ids=["absent", "quoted key", "in a table", "in a text"],
)
def test_a_day_in_another_form_is_left_to_be_set_by_hand(text: str) -> None:
    with pytest.raises(UserError, match="does not say `lease_ends = DATE` in a line of its own"):
        with_lease(text, DAY)


@pytest.mark.parametrize(("days", "refused"), [(29, True), (30, False), (31, False)])
def test_a_lease_goes_as_far_as_the_account_allows_and_no_further(
    tmp_path: Path, days: int, refused: bool
) -> None:
    account = f"{ACCOUNT}\n[lease]\nmax_days = {days}\n"
    folder = write_folder(tmp_path, account, vision=environment_text())  # to 2026-12-31
    errors, _ = check_directory(folder, today=TODAY)
    assert bool(errors) is refused
    if refused:
        assert errors[0].what == "the lease would end on 2026-12-31, further than 29 days from today"
        assert errors[0].do.startswith("take 2026-12-30 at the latest")


def open_session(cloud: Cloud, folder: Path, name: str) -> Session:
    """Return a session of an environment that is declared and not built."""
    account, spec = make_specs(name, 1)
    text = environment_text(name).replace("2026-12-31", "2030-12-31")
    write_folder(folder, ACCOUNT, **{name: text})
    return Session(Project(root=folder, home=folder / "home"), cloud, account, spec)


@pytest.mark.sandbox
def test_every_reason_against_an_extension_is_told_at_once(sandbox: Cloud, tmp_path: Path) -> None:
    session = open_session(sandbox, tmp_path, "unbuilt")
    with pytest.raises(UserError) as refused:
        propose(session, datetime.date(2020, 1, 1), " ")
    told = [problem.what for problem in refused.value.problems]
    assert [text.partition(" ")[0] for text in told] == ["2020-01-01", "there", "unbuilt"]
    with pytest.raises(UserError, match="is further than 90 days from today"):
        propose(session, datetime.date(2099, 1, 1), "why not")


@pytest.mark.sandbox
def test_an_environment_that_is_not_built_has_no_end_in_the_cloud(sandbox: Cloud, tmp_path: Path) -> None:
    status = read_lease(open_session(sandbox, tmp_path, "unbuilt"))
    assert (status.declared, status.standing) == (datetime.date(2030, 12, 31), None)
    assert status.days_left == (status.declared - status.today).days
    assert (status.warn_days, status.at_rest) == ((7, 1), ())


@pytest.mark.sandbox
def test_groups_that_were_held_may_start_machines_again_and_carry_the_new_end(
    sandbox: Cloud, tmp_path: Path
) -> None:
    session, autoscaling = open_session(sandbox, tmp_path, "held"), api(sandbox, "autoscaling")
    template = api(sandbox, "ec2").create_launch_template(
        LaunchTemplateName="held", LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "g5.xlarge"}
    )["LaunchTemplate"]
    for name in ("held-gpu", "held-head"):
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"], "Version": "$Latest"},
            MinSize=0,
            MaxSize=1,
            DesiredCapacity=0,
            AvailabilityZones=[f"{REGION}a"],
            Tags=[{"Key": naming.TAG_ENVIRONMENT, "Value": "held", "PropagateAtLaunch": True}],
        )
    autoscaling.suspend_processes(AutoScalingGroupName="held-gpu", ScalingProcesses=["Launch"])
    assert read_lease(session).at_rest == ("held-gpu",)
    assert let_groups_start(session) == ["held-gpu"]
    assert let_groups_start(session) == []
    (group,) = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["held-gpu"])[
        "AutoScalingGroups"
    ]
    assert group["SuspendedProcesses"] == []
    assert {tag["Key"]: tag["Value"] for tag in group["Tags"]}[naming.TAG_LEASE_ENDS] == "2030-12-31"
    for name in ("held-gpu", "held-head"):
        autoscaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)


@pytest.mark.parametrize(
    ("standing", "edited_meanwhile", "kept", "said"),
    [
        (None, False, False, "the file says 2026-12-31 again"),
        (datetime.date(2026, 12, 31), False, False, "the file says 2026-12-31 again"),
        (DAY, False, True, "`fleetform up vision` goes on from here"),
        (None, True, True, "the file was edited meanwhile: the lease still ends on 2026-12-31"),
    ],
    ids=["nothing stands", "nothing applied", "base applied", "edited meanwhile"],
)
def test_after_a_failure_the_file_says_what_the_cloud_has(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    standing: datetime.date | None,
    edited_meanwhile: bool,
    kept: bool,
    said: str,
) -> None:
    file, text = tmp_path / "vision.toml", "lease_ends = 2026-12-31\n"
    extension = Extension(
        file=file,
        before=datetime.date(2026, 12, 31),
        until=DAY,
        reason="more",
        old_text=text,
        new_text=with_lease(text, DAY),
    )
    extension.write()
    if edited_meanwhile:
        file.write_text(extension.new_text + "# by somebody\n")
    monkeypatch.setattr(lease, "standing_end", lambda _: standing)
    account, spec = make_specs("vision", 1)
    session = Session(Project(root=tmp_path, home=tmp_path), Cloud("none"), account, spec)
    told: list[str] = []
    settle_failure(session, extension, told.append)
    assert said in told[0]
    assert ("2027-01-15" in file.read_text()) is kept
