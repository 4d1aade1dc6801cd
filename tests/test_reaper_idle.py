"""Idle fleets and runs as the reaper sees them: what is due, what is on record, what is set to zero."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from fleet.cloud import Cloud
from fleet.ledger import Ledger
from node.wake import wake
from reaper import names
from reaper.aws import Aws
from reaper.handler import Call, _recorded
from reaper.idle import REST, WARN, idle_fleets, idle_runs, moment_text, warned_text
from reaper.idle_acts import IdleCall, act_on_idleness
from reaper.machines import Group, Machine, Region, look
from reaper.record import Record
from stacks import naming
from tests.sandbox_helpers import IMAGE, REGION, admin, api

UTC = datetime.UTC
NOW = datetime.datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
POLICY = "60+15"
RUN = "20261123-010203-abcde"


def minutes(number: float) -> datetime.timedelta:
    return datetime.timedelta(minutes=number)


def free(ago: float) -> str:
    return f"free {moment_text(NOW - minutes(ago))}"


def group(**edits: Any) -> Group:
    facts: dict[str, Any] = {
        "name": "vision-gpu", "environment": "vision", "ends": NOW + minutes(9000), "smallest": 0,
        "wanted": 2, "suspended": frozenset(), "instances": frozenset({"i-1", "i-2"}), "protected": (),
        "fleet": "gpu", "idle": POLICY,
    }  # fmt: skip
    return Group(**{**facts, **edits})


def node(identity: str, work: str = "", **edits: Any) -> Machine:
    facts: dict[str, Any] = {
        "environment": "vision", "ends": None, "group": "vision-gpu", "launched": NOW - minutes(600),
        "idle": POLICY, "work": work,
    }  # fmt: skip
    return Machine(id=identity, **{**facts, **edits})


def head(**edits: Any) -> Machine:
    return node("i-head", head=True, group="vision-head", **edits)


def due(*machines: Machine, **edits: Any) -> list[tuple[str, str]]:
    """Return what is due of a fleet with these machines: the act, and since when it is idle."""
    found = idle_fleets(Region(REGION, (group(**edits),), machines), NOW)
    return [(each.act, moment_text(each.since)) for each in found]


def test_a_fleet_is_idle_since_the_last_of_its_nodes_was_freed() -> None:
    idle_since = moment_text(NOW - minutes(61))
    assert due(node("i-1", free(300)), node("i-2", free(61))) == [(WARN, idle_since)]
    assert due(node("i-1", free(300)), node("i-2", free(59))) == []
    assert due(node("i-1", free(300)), node("i-2", "busy")) == []


def test_a_node_of_which_no_head_has_said_anything_is_free_since_its_start() -> None:
    assert due(node("i-1"), node("i-2")) == [(WARN, moment_text(NOW - minutes(600)))]
    assert due(node("i-1"), node("i-2", launched=NOW - minutes(10))) == []


@pytest.mark.parametrize(
    ("machines", "edits"),
    [
        ((node("i-1"), node("i-2", idle="")), {}),
        ((node("i-1"), node("i-2"), head(idle="")), {}),
        ((node("i-1"), node("i-2", "free")), {}),
        ((node("i-1"), node("i-2", "free tomorrow")), {}),
        ((node("i-1"), node("i-2")), {"idle": ""}),
        ((node("i-1"), node("i-2")), {"idle": "soon"}),
        ((node("i-1"), node("i-2")), {"fleet": ""}),
        ((node("i-1"), node("i-2")), {"wanted": 0}),
        ((), {}),
    ],
    ids=[
        "a node older than the policy", "a head older than the policy", "a word without a time",
        "a word that is no time", "no policy", "no such policy", "the head's group", "at rest", "no machines",
    ],
)  # fmt: skip
def test_what_is_not_known_for_sure_is_left_alone(
    machines: tuple[Machine, ...], edits: dict[str, Any]
) -> None:
    assert due(*machines, **edits) == []


def test_zero_comes_only_after_a_warning_that_stood_on_record_for_its_time() -> None:
    since = NOW - minutes(90)

    def warned(ago: float, of: datetime.datetime = since) -> list[Machine]:
        told = warned_text(of, NOW - minutes(ago))
        return [node(name, free(90), warned=told) for name in ("i-1", "i-2")]

    assert due(*warned(14), head()) == []
    assert due(*warned(15), head()) == [(REST, moment_text(since))]
    assert due(*warned(15)) == [(REST, moment_text(since))], "a dead head's word counts"
    assert due(*warned(15, of=NOW - minutes(300))) == [(WARN, moment_text(since))], "it had a run since"
    assert due(warned(15)[0], node("i-2", free(90))) == [(WARN, moment_text(since))], "one node is new"


def test_an_idle_run_is_told_of_once_for_all_of_its_nodes_and_anew_when_it_is_stopped() -> None:
    word = f"warned {RUN} 2026-12-01T12:15:00.000Z no training step since 11:30 UTC, the last was step 9"
    both = [node("i-1", idle_run=word), node("i-2", idle_run=word), node("i-3", idle_run="", told=word)]
    (told,) = idle_runs(Region(REGION, (), tuple(both)))
    assert (told.run_id, told.outcome, told.machines) == (RUN, "warned", ("i-1", "i-2"))
    assert told.cause == "no training step since 11:30 UTC, the last was step 9"
    assert list(idle_runs(Region(REGION, (), (node("i-1", idle_run=word, told=word),)))) == []
    stopped = word.replace("warned", "stopped")
    (told,) = idle_runs(Region(REGION, (), (node("i-1", idle_run=stopped, told=word),)))
    assert told.outcome == "stopped"


@pytest.mark.parametrize("word", ["warned", "warned ../x 2026 why", "ended a b c", f"warned {RUN} soon"])
def test_what_is_no_word_of_a_head_is_not_put_on_record(word: str) -> None:
    assert list(idle_runs(Region(REGION, (), (node("i-1", idle_run=word),)))) == []


def test_the_tags_are_those_of_the_stacks_and_the_heads() -> None:
    from node import idle_marks

    for name in ("TAG_FLEET", "TAG_IDLE", "TAG_WORK", "TAG_IDLE_RUN", "TAG_IDLE_TOLD", "TAG_IDLE_WARNED"):
        assert getattr(names, name) == getattr(naming, name)
    assert (idle_marks.TAG_RUN, idle_marks.TAG_WORK) == (naming.TAG_IDLE_RUN, naming.TAG_WORK)
    long_cause = "no training step since 2026-12-01 11:30 UTC, the last was step 9" * 9
    word = idle_marks.run_mark(idle_marks.WARNED, RUN, NOW.timestamp(), long_cause)
    assert len(word) == 256, "EC2 takes no longer value"
    assert [each.run_id for each in idle_runs(Region(REGION, (), (node("i-1", idle_run=word),)))] == [RUN]


# ------------------------------------------------------------------------------------- in the embedded cloud


@pytest.fixture
def aws(sandbox: Cloud, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """The reaper's clients, led to the embedded cloud as Lambda would lead them to AWS."""
    for variable, value in sandbox.variables.items():
        monkeypatch.setenv(variable, value)
    return Aws(REGION)


@pytest.fixture
def fleet(sandbox: Cloud, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fleet of one node of an environment of its own; yields the environment."""
    environment = f"idle{abs(hash(request.node.name)) % 10**6}"
    scaling, ec2 = api(sandbox, "autoscaling"), api(sandbox, "ec2")
    tags = {
        naming.TAG_ENVIRONMENT: environment, naming.TAG_LEASE_ENDS: "2035-12-31", naming.TAG_ROLE: "node",
        naming.TAG_FLEET: "gpu", naming.TAG_IDLE: POLICY,
    }  # fmt: skip
    template = ec2.create_launch_template(
        LaunchTemplateName=environment, LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "g5.xlarge"}
    )["LaunchTemplate"]
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=f"{environment}-gpu",
        LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"], "Version": "$Latest"},
        MinSize=0,
        MaxSize=2,
        DesiredCapacity=1,
        AvailabilityZones=[f"{REGION}a"],
        Tags=[{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in tags.items()],
    )
    yield environment
    scaling.delete_auto_scaling_group(AutoScalingGroupName=f"{environment}-gpu", ForceDelete=True)


class Reaper:
    """The reaper's looks at one environment, at moments that a test chooses."""

    def __init__(self, cloud: Cloud, aws: Aws, environment: str, *, ledger: bool = True) -> None:
        self.cloud, self.aws, self.environment = cloud, aws, environment
        self.bucket = f"idle-ledger-{environment}"
        if ledger:
            api(cloud, "s3").create_bucket(Bucket=self.bucket, ObjectLockEnabledForBucket=True)
        self.topic = api(cloud, "sns").create_topic(Name=f"idle-{environment}")["TopicArn"]
        address = {"Protocol": "email", "Endpoint": f"{environment}@example.com"}
        api(cloud, "sns").subscribe(TopicArn=self.topic, **address)
        (self.machine,) = self.machines()
        assert self.machine.launched is not None
        self.born = self.machine.launched

    def machines(self) -> list[Machine]:
        return [each for each in look(self.aws, REGION).machines if each.environment == self.environment]

    def group(self) -> Group:
        (found,) = [each for each in look(self.aws, REGION).groups if each.environment == self.environment]
        return found

    def at(self, after: float, **options: Any) -> list[str]:
        """Look so many minutes after the node's start; return what failed."""
        now, here = self.born + minutes(after), look(self.aws, REGION)
        own = Region(
            REGION,
            tuple(each for each in here.groups if each.environment == self.environment),
            tuple(each for each in here.machines if each.environment == self.environment),
        )
        record = Record(self.aws, self.bucket, "arn:reaper", "reaper", now)
        call = Call(self.aws, record, now, [], alerts=self.topic)
        idle = IdleCall(self.aws, partial(_recorded, call), call.topics, now)
        return act_on_idleness(idle, [own], **{"over": [], **options})

    def entries(self) -> list[tuple[str, str, str]]:
        ledger = Ledger(self.cloud, self.bucket, REGION, "arn:someone")
        return [(each["event"], each["target"], each["outcome"]) for each in ledger.entries()]

    def tag(self, key: str, value: str) -> None:
        tags = [{"Key": key, "Value": value}]
        api(self.cloud, "ec2").create_tags(Resources=[self.machine.id], Tags=tags)

    def mails(self) -> list[str]:
        to = [f"email:{self.environment}@example.com"]
        return [each["subject"] for each in admin(self.cloud, "GET", "messages") if each["to"] == to]


@pytest.mark.sandbox
def test_an_idle_fleet_is_warned_of_set_to_zero_on_record_and_woken_by_the_next_run(
    sandbox: Cloud, aws: Aws, fleet: str
) -> None:
    reaper = Reaper(sandbox, aws, fleet)
    assert reaper.at(59) == [] and reaper.entries() == []
    assert reaper.at(61) == [] and reaper.at(71) == []
    assert reaper.entries() == [("environment.idle", fleet, "warned")], "once"
    assert reaper.group().wanted == 1
    assert reaper.at(77) == []
    assert reaper.group().wanted == 0
    assert reaper.entries()[1:] == [
        ("environment.idle", fleet, "started"),
        ("environment.idle", fleet, "succeeded"),
    ]
    assert reaper.mails() == [
        f"fleetform: {fleet}-gpu stands idle",
        f"fleetform: {fleet}-gpu was set to zero",
    ]
    (warned, started, _) = Ledger(sandbox, reaper.bucket, REGION, "arn:someone").entries()
    assert warned["details"]["zero_at"] == moment_text(reaper.born + minutes(76))
    assert started["details"]["reason"].startswith("none of its 1 nodes has had a run since ")
    scaling = api(sandbox, "autoscaling")
    assert (wake(scaling, f"{fleet}-gpu", 5), reaper.group().wanted) == (2, 2), "no more than it may have"
    assert wake(scaling, f"{fleet}-gpu", 1) == 0
    assert not reaper.group().at_rest, "it may start machines, as it may not where the lease is over"


@pytest.mark.sandbox
def test_a_run_that_comes_after_the_warning_keeps_its_nodes(sandbox: Cloud, aws: Aws, fleet: str) -> None:
    reaper = Reaper(sandbox, aws, fleet)
    reaper.at(61)
    reaper.tag(naming.TAG_WORK, "busy")
    assert reaper.at(200) == []
    freed = reaper.born + minutes(300)
    reaper.tag(naming.TAG_WORK, f"free {moment_text(freed)}")
    assert reaper.at(359) == [] and len(reaper.entries()) == 1
    assert reaper.at(361) == [] and reaper.group().wanted == 1
    assert [outcome for _, _, outcome in reaper.entries()] == ["warned", "warned"], (
        "of the new time without a run"
    )


@pytest.mark.sandbox
def test_a_ledger_that_cannot_be_written_sets_nothing_to_zero_and_is_told(
    sandbox: Cloud, aws: Aws, fleet: str
) -> None:
    reaper = Reaper(sandbox, aws, fleet, ledger=False)
    told = warned_text(reaper.born, reaper.born + minutes(61))
    reaper.tag(naming.TAG_IDLE_WARNED, told)
    reaper.tag(naming.TAG_IDLE_RUN, f"warned {RUN} 2026-12-01T12:15:00.000Z why")
    failures = reaper.at(200)
    assert len(failures) == 2 and all(each.startswith("the ledger could not be written") for each in failures)
    assert reaper.group().wanted == 1
    assert reaper.mails() == [], "and nobody is told of what was not done"


@pytest.mark.sandbox
def test_an_idle_run_is_on_record_and_mailed_once_a_word(sandbox: Cloud, aws: Aws, fleet: str) -> None:
    reaper = Reaper(sandbox, aws, fleet)
    cause = "no training step since 11:30 UTC, the last was step 9"
    reaper.tag(naming.TAG_IDLE_RUN, f"warned {RUN} 2026-12-01T12:15:00.000Z {cause}")
    assert reaper.at(1) == [] and reaper.at(11) == []
    reaper.tag(naming.TAG_IDLE_RUN, f"stopped {RUN} 2026-12-01T12:15:03.000Z {cause}")
    assert reaper.at(21) == [] and reaper.at(31) == []
    assert reaper.entries() == [("run.idle", RUN, "warned"), ("run.idle", RUN, "stopped")]
    (entry, _) = Ledger(sandbox, reaper.bucket, REGION, "arn:someone").entries()
    assert (entry["details"]["reason"], entry["details"]["environment"]) == (cause, fleet)
    assert len(reaper.mails()) == 2


@pytest.mark.sandbox
def test_an_environment_whose_lease_has_just_ended_is_left_to_that(
    sandbox: Cloud, aws: Aws, fleet: str
) -> None:
    reaper = Reaper(sandbox, aws, fleet)
    assert reaper.at(61, over=[f"{fleet} ({REGION})"]) == []
    assert reaper.entries() == []
