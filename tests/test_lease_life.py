"""The life of a lease with the real terraform: warned of, ended by the account, held, extended.

Nobody runs a command while the lease ends: the embedded cloud's scheduler calls the reaper, with the role and
the permissions that the stacks give it.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import Cloud, choose_cloud
from fleet.project import Project
from sandbox import daemon
from sandbox.processes import NODE_VARIABLE, marked
from stacks import naming
from tests.sandbox_helpers import REGION, admin, api, wait_for
from tests.spec_files import write_folder

pytestmark = [pytest.mark.sandbox, pytest.mark.terraform]

ROOT = Path(__file__).parent.parent
NAME = "leased"
ACCOUNT = """\
organization = "lease-tests"
region = "us-east-1"

[lease]
max_days = 30
warn_days = [1]

[alerts]
emails = ["ops@example.com"]

[audit]
trail = false
"""
ENVIRONMENT = """\
name = "leased"
team = "vision"
owner = "vision@example.com"
region = "us-east-1"
lease_ends = {day}  # a comment that stays

[network]
cidr = "10.66.0.0/16"

[fleets.gpu]
instance_type = "g5.xlarge"
nodes = 1
max_nodes = 2

[alerts]
emails = ["team@example.com"]
"""


@dataclass
class Story:
    """What was seen, step by step."""

    folder: Path
    cloud: Cloud
    first_day: datetime.date
    """The last day of the lease as first declared."""
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "environments" / f"{NAME}.toml"

    def fleetform(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "CHECKPOINT_DISABLE": "1"}
        variables.pop("TF_CLI_CONFIG_FILE", None)
        return subprocess.run(
            [sys.executable, "-m", "scripts.cli", *arguments],
            cwd=self.folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def must(self, *arguments: str) -> str:
        answer = self.fleetform(*arguments)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def groups(self) -> dict[str, tuple[int, int, bool]]:
        """Return of each group its least and wanted size, and whether it may start machines."""
        found = api(self.cloud, "autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        return {
            each["AutoScalingGroupName"]: (
                each["MinSize"],
                each["DesiredCapacity"],
                "Launch" not in [process["ProcessName"] for process in each["SuspendedProcesses"]],
            )
            for each in found
        }

    def machines(self) -> list[str]:
        filters = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        pages = api(self.cloud, "ec2").describe_instances(Filters=filters)["Reservations"]
        return [each["InstanceId"] for group in pages for each in group["Instances"]]

    def forward(self, **span: float) -> None:
        # The first look at every region makes seventeen of them, which takes the embedded cloud a while.
        body = json.dumps({"forward_s": datetime.timedelta(**span).total_seconds()}).encode()
        request = urllib.request.Request(f"{self.cloud.endpoint}/_sandbox/clock", data=body, method="POST")
        with urllib.request.urlopen(request, timeout=200) as answer:
            assert json.load(answer)["idle"]

    def mails(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = admin(self.cloud, "GET", "messages")
        return found


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Live through a lease once, and keep what was seen."""
    folder = tmp_path_factory.mktemp("leased")
    day = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=2)
    write_folder(folder, ACCOUNT, **{NAME: ENVIRONMENT.format(day=day)})
    daemon.start(folder / ".fleetform")
    try:
        cloud = choose_cloud(Project(root=folder, home=folder / ".fleetform"), "sandbox")
        told = Story(folder, cloud, day)
        _live(told)
        yield told
    finally:
        daemon.stop(folder / ".fleetform")


def _live(story: Story) -> None:
    story.must("up", NAME, "--yes")
    _confuse(story.cloud)
    story.seen["at first"] = story.groups()
    nodes = story.machines()
    _keep_busy(story.cloud, nodes)
    # To tomorrow's noon, whatever the time is now: the daily look at leases has been by then.
    now = datetime.datetime.now(datetime.UTC)
    story.forward(days=1, hours=12 - now.hour)
    story.seen["warned"] = story.mails()
    story.seen["before the end"] = story.groups()
    story.forward(days=2)
    story.seen["ended"] = story.groups()
    story.seen["mails"] = story.mails()
    wait_for(lambda: not story.machines() and not any(marked(NODE_VARIABLE, each) for each in nodes))
    story.forward(hours=2)
    story.seen["mails an hour later"] = story.mails()
    story.seen["show"] = story.fleetform("lease", "show", NAME)
    _start_again(story)
    story.seen["started again"] = (story.groups(), story.machines())
    story.forward(hours=1)
    story.seen["looked"] = story.groups()
    wait_for(lambda: not story.machines())
    until = story.first_day + datetime.timedelta(days=20)
    story.seen["too far"] = story.fleetform(
        "lease", "extend", NAME, "--until", "2099-01-01", "--reason", "forever", "--yes"
    )
    story.seen["unasked"] = story.fleetform(
        "lease", "extend", NAME, "--until", str(until), "--reason", "nobody can be asked"
    )
    story.seen["file after that"] = story.file.read_text()
    story.must("lease", "extend", NAME, "--until", str(until), "--reason", "the paper is late", "--yes")
    story.seen["extended"] = story.groups()
    story.seen["schedule"] = _schedule(story.cloud)
    story.forward(hours=1)
    story.seen["an hour after"] = (story.groups(), len(story.machines()))
    story.seen["log"] = json.loads(story.must("audit", "log", "--json"))
    story.seen["verify"] = story.fleetform("audit", "verify")


def _confuse(cloud: Cloud) -> None:
    """Make schedules that are named like leases, as anybody may: in a group that the reaper may not read,
    and in one of its own, that says another end of our environment.
    """
    scheduler, mine = api(cloud, "scheduler"), "fleetform-lease-mine"
    scheduler.create_schedule_group(Name=mine)
    about = {"act": "end", "environment": NAME, "region": REGION, "topic": "", "warn_days": [2, 1, 0]}
    for group, day in (("default", "2099-01-01"), (mine, "2098-01-01")):
        scheduler.create_schedule(
            Name=mine,
            GroupName=group,
            ScheduleExpression=f"at({day}T00:00:00)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={
                "Arn": "arn:aws:lambda:us-east-1:123456789012:function:lease-tests-fleetform-reaper",
                "RoleArn": "arn:aws:iam::123456789012:role/mine",
                "Input": json.dumps(about),
            },
        )


def _keep_busy(cloud: Cloud, nodes: list[str]) -> None:
    """Start something on each machine that would go on for an hour, and wait until it runs."""
    api(cloud, "ssm").send_command(
        DocumentName="AWS-RunShellScript", InstanceIds=nodes, Parameters={"commands": ["sleep 3600"]}
    )
    wait_for(lambda: all(marked(NODE_VARIABLE, each) for each in nodes))


def _start_again(story: Story) -> None:
    """Do what somebody may try: no schedule any more, the group woken, a machine outside of every group."""
    name = naming.lease_name(NAME, REGION)
    api(story.cloud, "scheduler").delete_schedule(Name=name, GroupName=name)
    autoscaling, group = api(story.cloud, "autoscaling"), naming.fleet_group(NAME, "gpu")
    autoscaling.resume_processes(AutoScalingGroupName=group)
    autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, MinSize=1, DesiredCapacity=2)
    tags = [{"Key": naming.TAG_ENVIRONMENT, "Value": NAME}]
    api(story.cloud, "ec2").run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        InstanceType="g5.xlarge",
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )


def _schedule(cloud: Cloud) -> str:
    name = naming.lease_name(NAME, REGION)
    return str(api(cloud, "scheduler").get_schedule(Name=name, GroupName=name)["ScheduleExpression"])


def test_nothing_ends_before_its_day(story: Story) -> None:
    assert story.seen["at first"] == {"leased-head": (1, 1, True), "leased-gpu": (0, 1, True)}
    assert story.seen["before the end"] == story.seen["at first"]


def test_the_environments_people_and_the_account_are_warned_once(story: Story) -> None:
    assert [each["to"] for each in story.seen["warned"]] == [
        ["email:team@example.com"],
        ["email:ops@example.com"],
    ]
    assert f"its last day is {story.first_day} (UTC)" in story.seen["warned"][0]["message"]


def test_a_schedule_of_somebody_elses_in_any_group_switches_no_lease_off(story: Story) -> None:
    listed = api(story.cloud, "scheduler").list_schedules(NamePrefix="fleetform-lease-mine")["Schedules"]
    assert {each["GroupName"] for each in listed} == {"default", "fleetform-lease-mine"}
    assert story.seen["ended"] == {"leased-head": (0, 0, False), "leased-gpu": (0, 0, False)}
    # Nor was the other end told of, which is past the limit: that schedule is not the environment's.
    assert not [each for each in story.seen["mails"] if "for longer than" in each["subject"]]


def test_at_the_end_every_group_is_at_zero_and_starts_nothing(story: Story) -> None:
    # That the machines and every process on them ended too, the story has waited for.
    assert story.seen["ended"] == {"leased-head": (0, 0, False), "leased-gpu": (0, 0, False)}


def test_the_end_is_mailed_once_and_is_silent_afterwards(story: Story) -> None:
    ended = [each for each in story.seen["mails"] if "has ended" in each["subject"]]
    assert [each["to"] for each in ended] == [["email:team@example.com"], ["email:ops@example.com"]]
    assert "Set to zero: leased-gpu (1 wanted)" in ended[0]["message"]
    assert story.seen["mails an hour later"] == story.seen["mails"]


def test_show_says_that_the_lease_is_over(story: Story) -> None:
    answer = story.seen["show"]
    assert answer.returncode == 4
    assert f"the lease ended with {story.first_day}" in answer.stdout
    assert "held at zero: leased-gpu, leased-head" in answer.stdout.replace(
        "leased-head, leased-gpu", "leased-gpu, leased-head"
    )


def test_machines_that_are_started_again_are_ended_again(story: Story) -> None:
    groups, machines = story.seen["started again"]
    assert groups["leased-gpu"] == (1, 2, True)
    assert len(machines) == 3
    assert story.seen["looked"]["leased-gpu"] == (0, 0, False)


def test_an_extension_beyond_the_accounts_limit_is_refused_with_the_latest_day(story: Story) -> None:
    answer = story.seen["too far"]
    assert answer.returncode == 2
    assert "further than 30 days from today" in answer.stderr
    assert "at the latest" in answer.stderr


def test_an_extension_that_nobody_could_be_asked_about_leaves_the_file_as_it_was(story: Story) -> None:
    answer = story.seen["unasked"]
    assert answer.returncode == 2
    assert "there is no terminal to ask on" in answer.stderr
    assert f"lease_ends = {story.first_day}  # a comment that stays\n" in story.seen["file after that"]


def test_an_extension_brings_the_machines_back_and_moves_the_end(story: Story) -> None:
    until = story.first_day + datetime.timedelta(days=20)
    assert story.seen["extended"] == story.seen["at first"]
    assert story.seen["schedule"] == f"at({until + datetime.timedelta(days=1)}T00:00:00)"
    assert story.seen["an hour after"] == (story.seen["at first"], 2)
    assert f"lease_ends = {until}  # a comment that stays\n" in story.file.read_text()


def test_all_of_it_is_in_the_ledger_and_the_chain_holds(story: Story) -> None:
    log = story.seen["log"]
    events = [(each["event"], each["outcome"]) for each in log if each["event"] != "environment.up"]
    ended = [("environment.lease_ended", "started"), ("environment.lease_ended", "succeeded")]
    refused = ("lease.extended", "refused")
    extended = [("lease.extended", "started"), ("lease.extended", "succeeded")]
    assert events == [("lease.warned", "recorded"), *ended, *ended, refused, *extended]
    by_the_reaper = [each for each in log if each["event"] == "environment.lease_ended"]
    assert all(
        "assumed-role/lease-tests-fleetform-reaper/" in each["actor"]["identity"] for each in by_the_reaper
    )
    assert by_the_reaper[0]["details"]["groups"] == {"leased-gpu": 1, "leased-head": 1}
    started = next(each for each in log if (each["event"], each["outcome"]) == extended[0])
    assert started["details"]["reason"] == "the paper is late"
    assert started["details"]["from"] == str(story.first_day)
    assert story.seen["verify"].returncode == 0, story.seen["verify"].stdout


def test_the_reaper_has_signed_how_far_the_ledger_was_sound(story: Story) -> None:
    assert "last checkpoint" in story.seen["verify"].stdout
    assert "unchecked" not in story.seen["verify"].stdout
