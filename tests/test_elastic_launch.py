"""Machines are bought all or none from the embedded EC2, whatever fails on the way; nothing is left over."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import Cloud
from node.elastic import capacity, launch
from node.elastic.acts import End
from node.elastic.head import Head, called_at
from node.elastic.journal import Attempt
from node.elastic.launch import Outcome, bring
from node.elastic.machines import FleetMachine, end_machines, find_machines
from node.elastic.memory import Memory
from node.elastic.orphans import orphans
from node.elastic.resume_failed import rest
from node.elastic.suspend import end_nodes
from node.elastic.wants import Want
from tests.cluster_facts import cluster_facts, fleet_told
from tests.sandbox_helpers import IMAGE, REGION, admin, api

pytestmark = pytest.mark.sandbox
TYPE = "c5.xlarge"
NAMES = ("gpu-2", "gpu-3", "gpu-4")
GANG = Want("gpu", NAMES, {7: NAMES}, together=True)
APART = Want("gpu", NAMES, {7: NAMES[:1], 8: NAMES[1:2], 9: NAMES[2:]}, together=False)


@pytest.fixture
def head(sandbox: Cloud, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Head]:
    """A head whose fleet `gpu` is bought as spot, then on demand, in two zones; none is left over."""
    ec2, name = api(sandbox, "ec2"), request.node.name.replace("_", "-")[5:45]
    tags = {"environment": name, "role": "node", "fleet": "gpu", "owner": "lab@example.com"}
    ec2.create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={
            "ImageId": IMAGE,
            "InstanceType": TYPE,
            "TagSpecifications": [
                {
                    "ResourceType": "instance",
                    "Tags": [{"Key": f"fleetform:{key}", "Value": value} for key, value in tags.items()],
                }
            ],
        },
    )
    zones = {each["AvailabilityZone"]: each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]}
    fleet = fleet_told(
        nodes=1,
        instance_type=TYPE,
        launch_templates={"spot": name, "on_demand": name},
        subnet_ids=[zones["us-east-1a"], zones["us-east-1b"]],
        placement="spread",
        purchases=["spot", "on_demand"],
    )
    facts = cluster_facts(environment=name, region=REGION, resume_seconds=60, fleets={"gpu": fleet})
    yield Head(facts, ec2, tmp_path, tmp_path / "log")
    for path in ("faults", "capacity"):
        admin(sandbox, "DELETE", path)
    end_machines(ec2, [each.instance_id for each in find_machines(ec2, name) if each.alive])
    ec2.delete_launch_template(LaunchTemplateName=name)


def together(head: Head) -> Head:
    fleet = dataclasses.replace(head.facts.fleets["gpu"], placement="together")
    return dataclasses.replace(head, facts=dataclasses.replace(head.facts, fleets={"gpu": fleet}))


def start(head: Head, want: Want, attempt: str = "0123") -> Outcome:
    return bring(head, Attempt(attempt, want, 0), lambda placed: None)


def alive(head: Head) -> dict[str, FleetMachine]:
    found = [each for each in find_machines(head.ec2, head.environment) if each.alive]
    assert len({each.name for each in found}) == len(found), "two machines with one name"
    return {each.name: each for each in found}


def started(cloud: Cloud, head: Head) -> int:
    """Return how many machines were ever started, by the cloud's own record."""
    own = [each["tags"].get("fleetform:environment") for each in admin(cloud, "GET", "fleets")]
    return own.count(head.environment)


def limit(cloud: Cloud, count: int, **kind: str) -> None:
    admin(cloud, "POST", "capacity", {"instance_type": TYPE, "count": count, **kind})


def test_every_node_gets_a_machine_with_its_name_and_slurm_hears_of_it_before(head: Head) -> None:
    told: list[tuple[set[str], set[str]]] = []

    def tell(placed: Mapping[str, FleetMachine]) -> None:
        told.append((set(placed), set(alive(head)) if len(alive(head)) == 1 else {"several"}))

    one = dataclasses.replace(GANG, names=("gpu-2",), jobs={7: ("gpu-2",)})
    outcome = bring(head, Attempt("0123", one, 0), tell)
    assert told == [({"gpu-2"}, {""})]
    found = alive(head)
    assert (set(found), outcome.lacking) == ({"gpu-2"}, ())
    assert (found["gpu-2"].market, found["gpu-2"].launch) == ("spot", "0123")
    assert outcome.placed["gpu-2"].address == found["gpu-2"].address


def test_what_spot_does_not_have_for_all_is_bought_on_demand_for_all(sandbox: Cloud, head: Head) -> None:
    limit(sandbox, 2, market="spot")
    assert start(head, GANG).lacking == ()
    assert {each.market for each in alive(head).values()} == {"on-demand"}
    assert started(sandbox, head) == 3


def test_nodes_that_belong_together_come_all_or_none(sandbox: Cloud, head: Head) -> None:
    limit(sandbox, 2)
    outcome = start(head, GANG)
    assert (outcome.placed, outcome.lacking) == ({}, NAMES)
    assert {each.code for each in outcome.refusals} == {"InsufficientInstanceCapacity"}
    assert {each.purchase for each in outcome.refusals} == {"spot", "on_demand"}
    assert started(sandbox, head) == 0


def test_nodes_of_several_jobs_come_as_far_as_there_is_capacity(sandbox: Cloud, head: Head) -> None:
    limit(sandbox, 1, market="spot")
    limit(sandbox, 1, market="on-demand")
    outcome = start(head, APART)
    assert set(outcome.placed) == {"gpu-2", "gpu-3"} == set(alive(head))
    assert outcome.lacking == ("gpu-4",)
    assert APART.jobs_of(outcome.lacking) == (9,)


def test_a_zone_without_capacity_is_passed_over_unless_the_fleet_stands_in_one(
    sandbox: Cloud, head: Head
) -> None:
    limit(sandbox, 0, zone="us-east-1a")
    fleet = head.facts.fleets["gpu"]
    one_zone = dataclasses.replace(fleet, placement="together", subnet_ids=fleet.subnet_ids[:1])
    facts = dataclasses.replace(head.facts, fleets={"gpu": one_zone})
    assert start(dataclasses.replace(head, facts=facts), GANG).lacking == NAMES
    assert start(head, GANG, "4567").lacking == ()


def test_what_came_of_a_partial_order_is_ended_at_once(
    sandbox: Cloud, head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(sandbox, 2)

    def careless(ec2: Any, order: Any, way: Any) -> Any:
        return capacity.buy(ec2, dataclasses.replace(order, at_least=1), way)

    monkeypatch.setattr(launch, "buy", careless)
    assert start(head, GANG).lacking == NAMES
    assert started(sandbox, head) > 0
    assert alive(head) == {}


def test_an_answer_that_got_lost_starts_nothing_twice(sandbox: Cloud, head: Head) -> None:
    lost = {"service": "ec2", "action": "CreateFleet", "code": "InternalError", "status": 500, "after": True}
    admin(sandbox, "POST", "faults", {**lost, "count": 2})
    assert start(head, GANG).lacking == ()
    assert set(alive(head)) == set(NAMES)
    assert started(sandbox, head) == 3


def test_a_launch_that_ec2_throttles_inside_an_order_is_ordered_again(
    sandbox: Cloud, head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "_AGAIN_S", (0.0, 0.0))
    busy = {"service": "ec2", "action": "RunInstances", "code": "RequestLimitExceeded", "status": 503}
    admin(sandbox, "POST", "faults", {**busy, "count": 1})
    assert start(head, GANG).lacking == ()
    assert {each.market for each in alive(head).values()} == {"spot"}


def test_an_attempt_that_fails_on_the_way_leaves_no_machine(sandbox: Cloud, head: Head) -> None:
    refused = {"service": "ec2", "action": "CreateTags", "code": "UnauthorizedOperation", "status": 403}
    admin(sandbox, "POST", "faults", {**refused, "count": 1, "skip": 1})
    with pytest.raises(Exception, match="UnauthorizedOperation"):
        start(head, GANG)
    assert alive(head) == {}


def test_an_attempt_that_was_killed_goes_on_with_the_machines_that_it_has(
    sandbox: Cloud, head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(launch, "_end_all", lambda *_, **__: None)  # SIGKILL leaves no time for it
        killed.setattr(launch, "give_names", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            start(head, GANG)
    assert start(head, GANG).lacking == ()
    assert set(alive(head)) == set(NAMES)
    assert started(sandbox, head) == 3


def test_too_few_machines_of_a_killed_attempt_are_ended_before_others_are_bought(
    sandbox: Cloud, head: Head
) -> None:
    first = start(head, dataclasses.replace(GANG, names=NAMES[:2]))
    ids = [each.instance_id for each in first.placed.values()]
    head.ec2.delete_tags(Resources=ids, Tags=[{"Key": "fleetform:node"}])
    assert start(head, GANG).lacking == ()
    assert set(alive(head)) == set(NAMES)
    assert not {each.instance_id for each in alive(head).values()} & set(ids)


def test_a_machine_that_bears_a_wanted_name_is_used_if_young_and_else_ended(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(head, GANG)
    before = alive(head)
    assert start(head, GANG, "4567").lacking == ()
    assert alive(head) == before
    monkeypatch.setattr(launch, "_YOUNG_S", 0.0)
    assert start(head, GANG, "89ab").lacking == ()
    assert {each.launch for each in alive(head).values()} == {"89ab"}


def test_nodes_that_idle_lose_their_machines_and_those_that_stand_do_not(head: Head) -> None:
    start(head, GANG)
    answer = head.ec2.run_instances(
        ImageId=IMAGE,
        InstanceType=TYPE,
        MinCount=1,
        MaxCount=1,
        LaunchTemplate={"LaunchTemplateName": head.facts.fleets["gpu"].launch_templates["spot"]},
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "fleetform:node", "Value": "gpu-1"}]}
        ],
    )
    assert len(answer["Instances"]) == 1
    assert end_nodes(head, ["gpu-1", "gpu-2", "gpu-3"], "suspend", time.time() + 10)
    assert set(alive(head)) == {"gpu-1", "gpu-4"}


def test_a_slow_suspend_program_ends_no_machine_that_was_started_after_its_call(head: Head) -> None:
    called = time.time()
    start(head, GANG)
    assert end_nodes(head, NAMES, "suspend", called)
    assert set(alive(head)) == set(NAMES)
    assert called_at() < called


def test_a_fleet_whose_nodes_did_not_join_rests(head: Head) -> None:
    rest(head, ["gpu-1", "gpu-2"])
    held = (head.state / "held.json").read_text()
    assert "EC2 refuses" not in held
    assert "1 of gpu did not join the cluster within 60 s" in held


def test_machines_of_a_lost_head_are_found_by_their_tags_and_ended(head: Head) -> None:
    start(head, GANG)
    found = find_machines(head.ec2, head.environment)
    later = max(each.launched for each in found) + 61
    acts = list(orphans(head.facts, {}, found, (), Memory(), later))
    assert {act.machine.name for act in acts} == set(NAMES)
    assert all(isinstance(act, End) for act in acts)


def test_ending_machines_that_are_gone_is_no_error_and_ends_the_others(head: Head) -> None:
    start(head, GANG)
    end_machines(head.ec2, ["i-0123456789abcdef0", *[each.instance_id for each in alive(head).values()]])
    assert alive(head) == {}
