"""What the reaper decides, what it writes, and that it fits the stacks that call it."""

from __future__ import annotations

import datetime
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fleet import chain
from fleet.cloud import Cloud
from fleet.ledger import Ledger
from reaper import names
from reaper.aws import Aws
from reaper.decide import Beyond, beyond, ended
from reaper.handler import Call, _end, _look, _regions, _tell_of_far_ends
from reaper.leases import Lease, days_left, is_ours, latest_end, parse_schedule, parse_tag, to_warn
from reaper.machines import HELD_BACK, Group, Machine, Region, look, put_to_rest
from reaper.record import Record
from stacks import naming
from stacks.reaper_archive import HANDLER, build_reaper_archive
from tests.sandbox_helpers import IMAGE, REGION, admin, api

UTC = datetime.UTC
NOW = datetime.datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
PAST, FUTURE = NOW - datetime.timedelta(hours=1), NOW + datetime.timedelta(days=9)
OWNER = "123456789012"
LONG_AGO = datetime.datetime.min.replace(tzinfo=UTC)


def lease(ends: datetime.datetime = FUTURE, environment: str = "vision", region: str = REGION) -> Lease:
    return Lease(environment=environment, region=region, ends=ends, topic="", warn_days=(7, 1))


def group(name: str = "vision-gpu", ends: datetime.datetime = FUTURE, **edits: Any) -> Group:
    facts: dict[str, Any] = {
        "environment": "vision",
        "smallest": 0,
        "wanted": 2,
        "suspended": frozenset(),
        "instances": frozenset({"i-1", "i-2"}),
        "protected": (),
    }
    return Group(name=name, ends=ends, **{**facts, **edits})


def at_rest(**edits: Any) -> Group:
    return group(ends=PAST, wanted=0, suspended=frozenset(HELD_BACK), **edits)


def machine(identity: str = "i-9", ends: datetime.datetime | None = None) -> Machine:
    return Machine(id=identity, environment="vision", ends=ends)


def found(*things: Group | Machine, region: str = REGION) -> Region:
    groups = tuple(each for each in things if isinstance(each, Group))
    return Region(region, groups, tuple(each for each in things if isinstance(each, Machine)))


def names_of(region: Region, *leases: Lease) -> tuple[list[str], list[str]]:
    """Return the groups and the machines that are to end."""
    work = ended(region, leases, NOW)
    return [each.name for one in work for each in one.groups], [
        each.id for one in work for each in one.machines
    ]


# ------------------------------------------------------------------------------------------- what ends


def test_nothing_ends_while_schedule_and_tag_lie_ahead() -> None:
    assert names_of(found(group(), machine("i-1")), lease()) == ([], [])


@pytest.mark.parametrize(
    ("scheduled", "tagged"), [(PAST, FUTURE), (FUTURE, PAST), (PAST, PAST)], ids=["schedule", "tag", "both"]
)
def test_a_group_ends_at_the_earlier_of_schedule_and_tag(
    scheduled: datetime.datetime, tagged: datetime.datetime
) -> None:
    assert names_of(found(group(ends=tagged)), lease(scheduled)) == (["vision-gpu"], [])


def test_a_group_whose_schedule_was_deleted_ends_by_its_tag() -> None:
    assert names_of(found(group(ends=PAST))) == (["vision-gpu"], [])
    assert names_of(found(group(ends=FUTURE))) == ([], [])


def test_a_group_whose_tag_was_taken_away_has_ended() -> None:
    assert names_of(found(group(ends=parse_tag(None))), lease()) == (["vision-gpu"], [])


def test_a_group_without_a_tag_ends_alone() -> None:
    assert names_of(found(group(), group("mine", ends=LONG_AGO)), lease()) == (["mine"], [])


def test_the_schedule_of_another_environment_ends_nothing() -> None:
    assert names_of(found(group()), lease(), lease(PAST, environment="speech")) == ([], [])


def test_the_same_name_in_another_region_has_a_lease_of_its_own() -> None:
    leases = (lease(), lease(PAST, region="eu-central-1"))
    assert names_of(found(group()), *leases) == ([], [])
    assert names_of(found(group(), region="eu-central-1"), *leases) == (["vision-gpu"], [])


def test_a_group_at_rest_is_left_alone_until_somebody_wakes_it() -> None:
    rest = at_rest(instances=frozenset())
    assert names_of(found(rest), lease(PAST)) == ([], [])
    for edit in (
        {"wanted": 1},
        {"smallest": 1},
        {"suspended": frozenset({"Launch"})},
        {"protected": ("i-1",)},
    ):
        woken = Group(**{**rest.__dict__, **edit})
        assert names_of(found(woken), lease(PAST)) == (["vision-gpu"], []), edit


def test_machines_of_a_group_that_is_only_now_set_to_zero_are_left_to_the_group() -> None:
    assert names_of(found(group(ends=PAST), machine("i-1"))) == (["vision-gpu"], [])


def test_machines_that_a_group_at_rest_still_holds_are_ended() -> None:
    assert names_of(found(at_rest(), machine("i-1"), machine("i-2"))) == ([], ["i-1", "i-2"])


@pytest.mark.parametrize(
    ("things", "leases", "ends"),
    [
        ((machine(ends=FUTURE),), (lease(PAST),), True),
        ((machine(ends=PAST),), (lease(FUTURE),), False),
        ((machine(ends=PAST), group(ends=FUTURE)), (), False),
        ((machine(ends=FUTURE), group(ends=PAST)), (), True),
        ((machine(ends=PAST),), (), True),
        ((machine(ends=None),), (), False),
    ],
    ids=["schedule", "stale tag", "group", "group over", "own tag", "nothing says"],
)
def test_a_machine_outside_of_groups_asks_schedule_then_groups_then_its_own_tag(
    things: tuple[Group | Machine, ...], leases: tuple[Lease, ...], ends: bool
) -> None:
    assert bool(names_of(found(*things), *leases)[1]) is ends


def test_a_machine_in_a_region_without_the_environment_asks_its_schedule_elsewhere() -> None:
    assert names_of(found(machine(), region="eu-west-1"), lease(PAST)) == ([], ["i-9"])


# ------------------------------------------------------------------------------------------- warnings


def test_the_last_day_is_the_lease_and_midnight_after_it_is_not() -> None:
    ends = parse_tag("2026-12-01")
    assert ends == datetime.datetime(2026, 12, 2, tzinfo=UTC)
    assert days_left(ends, NOW) == 0
    assert days_left(ends, ends) == 0
    assert days_left(ends, ends + datetime.timedelta(seconds=1)) == -1


@pytest.mark.parametrize(("last_day", "left"), [("2026-12-08", 7), ("2026-12-02", 1)])
def test_a_lease_is_warned_of_on_the_declared_days(last_day: str, left: int) -> None:
    assert [days for _, days in to_warn([lease(parse_tag(last_day))], NOW)] == [left]


@pytest.mark.parametrize("last_day", ["2026-12-09", "2026-12-07", "2026-12-01", "2026-11-30"])
def test_a_lease_is_not_warned_of_on_other_days(last_day: str) -> None:
    assert to_warn([lease(parse_tag(last_day))], NOW) == []


@pytest.mark.parametrize(
    "value", ["9999-12-31", "0000-00-00", "", "2026-13-01", "tomorrow", "2026-12-31T00:00", "9" * 300, "\0"]
)
def test_a_tag_that_is_no_day_with_a_midnight_after_it_has_ended(value: str) -> None:
    assert parse_tag(value) == LONG_AGO


def test_every_end_past_the_accounts_limit_is_found_and_none_within() -> None:
    latest = latest_end(NOW, 30)
    assert latest == parse_tag("2026-12-31")  # what `lease extend` lets through today
    far = latest + datetime.timedelta(seconds=1)
    regions = [found(group(ends=latest), group("vision-head", ends=far))]
    assert beyond(regions, [lease(latest)], latest) == [
        Beyond(environment="vision", region=REGION, ends=far, said_by=("vision-head",))
    ]
    (told,) = beyond([found()], [lease(far + datetime.timedelta(days=9)), lease(far)], latest)
    assert (told.ends, told.said_by) == (far + datetime.timedelta(days=9), ("its schedule",) * 2)


def test_a_schedule_that_is_disabled_still_says_when_the_lease_ends() -> None:
    about = {"act": "end", "environment": "vision", "region": REGION, "topic": "arn", "warn_days": [1, 7]}
    described = {
        "ScheduleExpression": "at(2026-12-02T00:00:00)",
        "ScheduleExpressionTimezone": "UTC",
        "State": "DISABLED",
        "Target": {"Input": json.dumps(about)},
    }
    read = parse_schedule(described)
    assert read is not None
    assert read.ends == parse_tag("2026-12-01")
    assert parse_schedule({**described, "ScheduleExpression": "rate(1 day)"}) is None
    for content in ("{}", "[]", "not json", json.dumps({**about, "warn_days": [1e999]})):
        assert parse_schedule({**described, "Target": {"Input": content}}) is None, content


FUNCTION = f"arn:aws:lambda:eu-central-1:{OWNER}:function:acme-ai-fleetform-reaper"
OURS: dict[str, Any] = {
    "Name": f"fleetform-lease-vision-{REGION}",
    "GroupName": f"fleetform-lease-vision-{REGION}",
    "Target": {"Arn": FUNCTION, "RoleArn": f"arn:aws:iam::{OWNER}:role/vision-lease-{REGION}"},
}


@pytest.mark.parametrize(
    "edit",
    [
        {"Name": "fleetform-lease-mine"},
        {"GroupName": "default"},
        {"Name": "fleetform-lease-mine", "GroupName": "fleetform-lease-mine"},
        {"Target": {**OURS["Target"], "Arn": FUNCTION.replace("reaper", "mine")}},
        {"Target": {**OURS["Target"], "RoleArn": f"arn:aws:iam::{OWNER}:role/mine"}},
    ],
)
def test_only_the_schedule_that_the_stacks_make_says_when_an_environment_ends(edit: dict[str, Any]) -> None:
    assert is_ours(OURS, lease(), FUNCTION)
    assert not is_ours({**OURS, **edit}, lease(), FUNCTION)


# ------------------------------------------------------------------------------- the archive and the names


def test_the_names_are_those_of_the_stacks() -> None:
    assert names.TAG_ENVIRONMENT == naming.TAG_ENVIRONMENT
    assert names.TAG_LEASE_ENDS == naming.TAG_LEASE_ENDS
    assert naming.lease_name("vision", REGION).startswith(names.SCHEDULE_PREFIX)
    assert names.schedule_name("vision", REGION) == naming.lease_name("vision", REGION)
    assert names.schedule_role("vision", REGION) == naming.lease_role("vision", REGION)


def test_the_archive_is_the_same_every_time_and_holds_only_the_reaper_and_the_ledgers_form() -> None:
    assert build_reaper_archive() == build_reaper_archive()
    with zipfile.ZipFile(io.BytesIO(build_reaper_archive())) as archive:
        members = archive.namelist()
    assert {name for name in members if not name.startswith("reaper/")} == {
        "fleet/__init__.py",
        "fleet/chain.py",
        "fleet/checkpoint_check.py",
        "fleet/checkpoints.py",
        "fleet/signatures.py",
    }
    assert HANDLER.replace(".", "/").rpartition("/")[0] + ".py" in members


def test_the_handler_is_found_in_the_archive_alone(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(build_reaper_archive())) as archive:
        archive.extractall(tmp_path)
    import boto3

    libraries = str(Path(boto3.__file__).parent.parent)
    module, _, name = HANDLER.rpartition(".")
    program = f"import sys; sys.path[:0] = ['{tmp_path}']; sys.path.append('{libraries}')"
    program += f"; import {module} as m, fleet.chain as c; print(callable(m.{name}), c.__file__)"
    command = [sys.executable, "-S", "-E", "-c", program]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["True", str(tmp_path / "fleet" / "chain.py")]


# ------------------------------------------------------------------------------------- in the embedded cloud


@pytest.fixture
def aws(sandbox: Cloud, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """The reaper's clients, led to the embedded cloud as Lambda would lead them to AWS."""
    for variable, value in sandbox.variables.items():
        monkeypatch.setenv(variable, value)
    return Aws(REGION)


@pytest.mark.sandbox
def test_the_reapers_entries_and_everybodys_are_one_chain(sandbox: Cloud, aws: Aws) -> None:
    bucket = "reaper-tests-ledger"
    api(sandbox, "s3").create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    ledger = Ledger(sandbox, bucket, REGION, "arn:someone")
    record = Record(aws, bucket, "arn:reaper", "reaper", NOW)
    for number in range(3):
        record.append("environment.lease_ended", "vision", "started", {"number": number})
        ledger.append("environment.up", "vision", "started", {"number": number})
    report = ledger.verify()
    assert (report.entries, report.findings) == (6, ())
    assert chain.verify(ledger.read()).intact
    assert ledger.entries()[4]["actor"] == {"identity": "arn:reaper", "os_user": "lambda", "host": "reaper"}


@pytest.mark.sandbox
def test_a_number_that_is_taken_meanwhile_is_not_overwritten(
    sandbox: Cloud, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = "reaper-race-ledger"
    api(sandbox, "s3").create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    ledger = Ledger(sandbox, bucket, REGION, "arn:someone")
    record, tail = Record(aws, bucket, "arn:reaper", "reaper", NOW), Record._tail
    raced: list[bool] = []

    def slow_tail(self: Record) -> tuple[int, str]:
        seen = tail(self)
        if not raced:
            raced.append(True)
            ledger.append("environment.up", "vision", "started", {})
        return seen

    monkeypatch.setattr(Record, "_tail", slow_tail)
    record.append("lease.warned", "vision", "recorded", {})
    assert [each["event"] for each in ledger.entries()] == ["environment.up", "lease.warned"]
    assert ledger.verify().intact


@pytest.mark.sandbox
def test_one_machine_that_cannot_be_ended_does_not_keep_the_others(sandbox: Cloud, aws: Aws) -> None:
    ec2 = api(sandbox, "ec2")
    tags = [{"Key": naming.TAG_ENVIRONMENT, "Value": "reaped"}]
    run = ec2.run_instances(
        ImageId=IMAGE,
        MinCount=2,
        MaxCount=2,
        InstanceType="g5.xlarge",
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    protected, plain = (each["InstanceId"] for each in run["Instances"])
    ec2.modify_instance_attribute(InstanceId=protected, DisableApiTermination={"Value": True})
    _make_group(sandbox, "reaped", NewInstancesProtectedFromScaleIn=True)
    here = look(aws, REGION)
    groups = [each for each in here.groups if each.environment == "reaped"]
    machines = [each for each in here.machines if each.id in (protected, plain)]
    assert len(groups) == 1
    assert len(groups[0].protected) == 1
    done = put_to_rest(aws, REGION, groups, machines)
    assert (done.groups, done.machines) == ({"reaped-gpu": 1}, [plain])
    (failure,) = done.failures
    assert failure.startswith(f"{protected}: ")
    after = [each for each in look(aws, REGION).groups if each.environment == "reaped"]
    assert [each.at_rest for each in after] == [True]
    ec2.modify_instance_attribute(InstanceId=protected, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[protected])
    _delete_group(sandbox, "reaped")


@pytest.mark.sandbox
def test_a_ledger_that_cannot_be_written_keeps_no_machine_running_and_is_told(
    sandbox: Cloud, aws: Aws
) -> None:
    _make_group(sandbox, "unwritten")
    record = Record(aws, "there-is-no-such-ledger", "arn:reaper", "reaper", NOW)
    call = Call(aws, record, NOW, [lease(PAST, environment="unwritten")], alerts="")
    failures, done = _end(call, _look(call, [REGION])[1])
    assert "unwritten (us-east-1)" in done
    assert [each.partition(" (")[0].partition(":")[0] for each in failures] == [
        "the ledger could not be written"
    ] * len(failures)
    assert len(failures) >= 2  # neither the start nor the end is on record
    (group,) = [each for each in look(aws, REGION).groups if each.environment == "unwritten"]
    assert group.at_rest
    _delete_group(sandbox, "unwritten")


@pytest.mark.sandbox
def test_an_end_past_the_limit_is_mailed_and_on_record(sandbox: Cloud, aws: Aws) -> None:
    bucket, sns = "reaper-limit-ledger", api(sandbox, "sns")
    api(sandbox, "s3").create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    topic = sns.create_topic(Name="reaper-limit")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="limit@example.com")
    call = Call(aws, Record(aws, bucket, "arn:reaper", "reaper", NOW), NOW, [lease(FUTURE)], alerts=topic)
    assert _tell_of_far_ends(call, [], 30) == []
    assert _tell_of_far_ends(call, [], 3) == []
    (mail,) = [
        each for each in admin(sandbox, "GET", "messages") if each["to"] == ["email:limit@example.com"]
    ]
    assert "further than the 3 days from today" in mail["message"]
    (entry,) = Ledger(sandbox, bucket, REGION, "arn:someone").entries()
    assert (entry["event"], entry["target"]) == ("lease.beyond_limit", "vision")
    assert entry["details"]["said_by"] == ["its schedule"]


def test_only_the_daily_look_goes_beyond_the_regions_of_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Aws, "regions", lambda _: ["eu-west-1", "us-east-1"])
    here = Aws("eu-central-1")
    call = Call(here, Record.__new__(Record), NOW, [lease(region="us-east-1")], alerts="")
    everywhere = ["eu-central-1", "eu-west-1", "us-east-1"]
    assert _regions(call, {"act": "end", "region": "us-east-1"}) == ([], ["us-east-1"])
    assert _regions(call, {"act": "look"}) == ([], ["eu-central-1", "us-east-1"])
    assert _regions(call, {"act": "look"}, unread=True) == ([], everywhere)
    assert _regions(call, {"act": "daily"}) == ([], everywhere)


def _make_group(cloud: Cloud, environment: str, **more: Any) -> None:
    """Make a group of one machine with the environment's tag."""
    template = api(cloud, "ec2").create_launch_template(
        LaunchTemplateName=environment, LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "g5.xlarge"}
    )["LaunchTemplate"]
    api(cloud, "autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=f"{environment}-gpu",
        LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"], "Version": "$Latest"},
        MinSize=1,
        MaxSize=2,
        DesiredCapacity=1,
        AvailabilityZones=[f"{REGION}a"],
        Tags=[
            {"Key": naming.TAG_ENVIRONMENT, "Value": environment, "PropagateAtLaunch": True},
            {"Key": naming.TAG_LEASE_ENDS, "Value": "2035-12-31", "PropagateAtLaunch": True},
        ],
        **more,
    )


def _delete_group(cloud: Cloud, environment: str) -> None:
    api(cloud, "autoscaling").delete_auto_scaling_group(
        AutoScalingGroupName=f"{environment}-gpu", ForceDelete=True
    )
