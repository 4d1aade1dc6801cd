"""What is started, bought, kept and ended: decided on values alone."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from node.elastic.acts import Act, Address, Drain, End, Free, Join, Lose, PowerUp, Rest
from node.elastic.backoff import Backoff, describe, pause
from node.elastic.capacity import Order, Refusal, fleet_request, ways
from node.elastic.journal import Journal, TakenError
from node.elastic.keeper import of
from node.elastic.machines import FleetMachine, steadily
from node.elastic.marks import marks
from node.elastic.memory import Memory
from node.elastic.orphans import orphans
from node.elastic.standing import join_machines, keep_nodes
from node.elastic.wants import Want, read_resume_file, sort_wants
from node.slurm.tools import NodeState
from tests.cluster_facts import cluster_facts, fleet_told

FACTS = cluster_facts(
    fleets={
        "gpu": fleet_told(
            max_nodes=6,
            gpus=1,
            gpu_name="a10g",
            instance_type="g5.xlarge",
            subnet_ids=["subnet-a"],
            purchases=["spot", "on_demand"],
            launch_templates={"spot": "lab-gpu", "on_demand": "lab-gpu-open"},
        )
    }
)
FLEET = FACTS.fleets["gpu"]
NO_CAPACITY = Refusal("spot", "InsufficientInstanceCapacity", "none left")
ORDER = Order("lab", "gpu", "0123", 4, 4)
NOW = 1_800_000_000.0


def node(
    name: str, state: str = "IDLE", *flags: str, reason: str = "", address: str = "10.0.0.9"
) -> NodeState:
    return NodeState(name, state, frozenset({"CLOUD", *flags}), reason, address)


def machine(
    name: str = "", *, launch: str = "", state: str = "running", age: float = 10, **more: str
) -> FleetMachine:
    """Return a machine of fleet gpu; elastic if `launch` is given."""
    return FleetMachine(
        instance_id=more.get("instance_id", f"i-{name or 'new'}"),
        name=name,
        fleet=more.get("fleet", "gpu"),
        state=state,
        address=more.get("address", "10.0.0.9"),
        launch=launch,
        market="on-demand",
        launched=NOW - age,
    )


# What Slurm wants


def test_the_nodes_of_a_job_are_wanted_together_and_single_nodes_in_one_call() -> None:
    names = [f"gpu-{number}" for number in range(3, 9)]
    wants = sort_wants(names, {7: ["gpu-1", "gpu-3", "gpu-4"], 8: ["gpu-5"], 9: ["gpu-6"]})
    assert wants == [
        Want("gpu", ("gpu-3", "gpu-4"), {7: ("gpu-3", "gpu-4")}, together=True),
        Want("gpu", ("gpu-5", "gpu-6", "gpu-7", "gpu-8"), {8: ("gpu-5",), 9: ("gpu-6",)}, together=False),
    ]
    assert wants[1].jobs_of(["gpu-6", "gpu-8"]) == (9,)


def test_jobs_that_share_a_node_are_served_or_refused_together() -> None:
    jobs = {1: ["gpu-3"], 2: ["gpu-3", "gpu-4"], 3: ["gpu-5", "gpu-4"], 4: ["cpu-1"]}
    [gang, single] = sort_wants(["gpu-3", "gpu-4", "gpu-5", "cpu-1"], jobs)
    assert (set(gang.names), set(gang.jobs), gang.together) == ({"gpu-3", "gpu-4", "gpu-5"}, {1, 2, 3}, True)
    assert single == Want("cpu", ("cpu-1",), {4: ("cpu-1",)}, together=False)


@pytest.mark.parametrize("key", ["nodes", "nodes_resume"])
def test_the_resume_file_of_every_version_is_read(tmp_path: Path, key: str) -> None:
    file = tmp_path / "resume"
    file.write_text(json.dumps({"all_nodes": "gpu-[3-4]", "jobs": [{"job_id": 5, key: "gpu-[3-4]"}]}))
    assert read_resume_file(file) == {5: ["gpu-3", "gpu-4"]}
    file.write_text("{")
    assert read_resume_file(file) == read_resume_file(tmp_path / "none") == {}


# What is bought


def test_each_way_of_buying_has_its_template_in_the_fleets_order() -> None:
    assert [(way.purchase, way.market, way.template) for way in ways(FLEET)] == [
        ("spot", "spot", "lab-gpu"),
        ("on_demand", "on-demand", "lab-gpu-open"),
    ]
    purchases = ("capacity_block", "capacity_reservation")
    reserved = dataclasses.replace(
        FLEET, purchases=purchases, launch_templates=dict.fromkeys(purchases, "lab-gpu")
    )
    assert [way.market for way in ways(reserved)] == ["capacity-block", "on-demand"]


def test_all_nodes_are_the_smallest_number_of_a_fleet_and_stand_in_one_zone() -> None:
    request = fleet_request(ORDER, next(ways(FLEET)))
    assert request["SpotOptions"]["MinTargetCapacity"] == 4
    assert request["SpotOptions"]["SingleAvailabilityZone"] is True
    assert request["TargetCapacitySpecification"] == {
        "TotalTargetCapacity": 4,
        "DefaultTargetCapacityType": "spot",
    }
    assert request["LaunchTemplateConfigs"][0]["Overrides"] == [{"SubnetId": "subnet-a"}]


def test_nodes_that_stand_apart_may_come_from_every_zone() -> None:
    spread = dataclasses.replace(FLEET, placement="spread", subnet_ids=("subnet-a", "subnet-b"))
    request = fleet_request(dataclasses.replace(ORDER, at_least=1), next(ways(spread)))
    assert (
        request["SpotOptions"]["MinTargetCapacity"],
        request["SpotOptions"]["SingleAvailabilityZone"],
    ) == (
        1,
        False,
    )
    assert len(request["LaunchTemplateConfigs"][0]["Overrides"]) == 2


def test_the_first_of_a_spot_fleet_are_bought_on_demand_where_it_says_so() -> None:
    request = fleet_request(dataclasses.replace(ORDER, on_demand=1), next(ways(FLEET)))
    assert request["TargetCapacitySpecification"]["OnDemandTargetCapacity"] == 1
    assert request["OnDemandOptions"]["MinTargetCapacity"] == 1
    assert request["SpotOptions"]["MinTargetCapacity"] == 3


def test_the_same_order_has_the_same_token_and_another_has_another() -> None:
    way, other = ways(FLEET)
    token = fleet_request(ORDER, way)["ClientToken"]
    assert fleet_request(ORDER, way)["ClientToken"] == token
    others = [fleet_request(ORDER, other), fleet_request(dataclasses.replace(ORDER, launch="4567"), way)]
    assert token not in [each["ClientToken"] for each in others]
    assert len(token) <= 64


def test_a_throttled_call_is_made_again_and_a_refused_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    answers = iter(["RequestLimitExceeded", "Unavailable", "", "UnauthorizedOperation"])

    def call() -> None:
        code = next(answers)
        if code:
            raise ClientError({"Error": {"Code": code, "Message": ""}}, "CreateFleet")

    steadily(call)
    assert len(pauses) == 2
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        steadily(call)


# What is held back


def test_pauses_grow_to_a_quarter_of_an_hour() -> None:
    pauses = [pause(tries) for tries in range(1, 9)]
    assert 30 <= pauses[0] <= 33
    assert all(first < second for first, second in itertools.pairwise(pauses[:6]))
    assert all(each <= 990 for each in pauses)


def test_a_hold_says_what_is_missing_and_until_when() -> None:
    noon = 1_800_014_400.0
    assert describe([NO_CAPACITY], 4, "g5.xlarge", noon, 3) == (
        "no capacity for 4 g5.xlarge until 12:00 UTC, tried 3 times"
    )
    refused = Refusal("on_demand", "UnauthorizedOperation", "You are not\nauthorized.")
    assert describe([NO_CAPACITY, refused], 4, "g5.xlarge", noon, 1) == (
        "EC2 refuses 4 g5.xlarge (You are not authorized.); tried once, again at 12:00 UTC"
    )


def test_while_a_fleet_is_held_only_fewer_machines_are_asked_for(tmp_path: Path) -> None:
    known = Backoff(tmp_path)
    held = known.refuse("gpu", 4, "g5.xlarge", [NO_CAPACITY], ["run-a"])
    assert known.closed("gpu", 4) == known.closed("gpu", 9) == held
    assert known.closed("gpu", 3) is None
    assert known.closed("cpu", 4) is None
    assert known.held() == {"run-a": held}


def test_two_failures_of_one_round_count_once_and_a_success_forgets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Backoff(tmp_path)
    first = known.refuse("gpu", 4, "g5.xlarge", [NO_CAPACITY], ["run-a"])
    assert known.refuse("gpu", 4, "g5.xlarge", [NO_CAPACITY], ["run-b"]) == first
    monkeypatch.setattr(time, "time", lambda: first.until + 1)
    assert known.held() == {}
    again = known.refuse("gpu", 4, "g5.xlarge", [NO_CAPACITY], ["run-a"])
    assert again.tries == 2
    known.served("gpu", 2, [])  # fewer machines prove nothing
    assert known.closed("gpu", 4) == again
    known.served("gpu", 4, ["run-a"])
    assert known.closed("gpu", 4) is None
    assert known.held() == {}


# What is on record


def test_an_attempt_stays_on_record_until_its_end(tmp_path: Path) -> None:
    journal, want = Journal(tmp_path), Want("gpu", ("gpu-3", "gpu-4"), {7: ("gpu-3", "gpu-4")}, together=True)
    with pytest.raises(RuntimeError), journal.begin(want):
        raise RuntimeError("killed")
    [left] = journal.unfinished()
    assert (left.want, journal.is_taken(left)) == (want, False)
    with journal.begin(want) as attempt:
        assert attempt.launch == left.launch
        assert journal.is_taken(left)
        with pytest.raises(TakenError), journal.begin(dataclasses.replace(want, names=("gpu-4",))):
            pass
    assert journal.unfinished() == []


def test_an_attempt_that_nobody_finishes_is_given_up(tmp_path: Path) -> None:
    journal, want = Journal(tmp_path), Want("gpu", ("gpu-3",), {}, together=False)
    with pytest.raises(RuntimeError), journal.begin(want):
        raise RuntimeError("killed")
    [left] = journal.unfinished()
    journal.give_up(left)
    assert journal.unfinished() == []


# What the keeper decides


def kept(
    nodes: list[NodeState],
    machines: list[FleetMachine],
    memory: Memory | None = None,
    at: float = NOW,
    *started: str,
) -> list[Act]:
    return list(keep_nodes(FACTS, nodes, machines, frozenset(started), memory or Memory(), at))


def test_machines_that_stand_get_the_lowest_free_names() -> None:
    nodes = {name: node(name, "IDLE", "POWERED_DOWN") for name in ("gpu-1", "gpu-2", "gpu-3")}
    old, new = machine(age=20, instance_id="i-old"), machine(age=10, instance_id="i-new")
    third = machine(age=5, instance_id="i-third")
    assert list(join_machines(FACTS, nodes, [new, third, old])) == [Join("gpu-1", old), Join("gpu-2", new)]
    assert list(join_machines(FACTS, nodes, [machine("gpu-1"), new])) == [Join("gpu-2", new)]
    assert list(join_machines(FACTS, nodes, [machine("gpu-1", state="terminated"), new])) == [
        Join("gpu-1", new)
    ]


def test_machines_without_an_address_and_those_of_jobs_get_no_name_from_the_keeper() -> None:
    nodes = {"gpu-1": node("gpu-1", "IDLE", "POWERED_DOWN")}
    assert (
        list(join_machines(FACTS, nodes, [machine(address=""), machine(launch="0123"), machine(fleet="x")]))
        == []
    )


def test_a_node_whose_machine_has_ended_is_lost_at_once_and_one_unseen_a_little_later() -> None:
    busy, memory = node("gpu-3", "ALLOCATED"), Memory()
    known = machine("gpu-3", launch="0123", instance_id="i-3")
    assert kept([busy], [known], memory) == []
    ended = dataclasses.replace(known, state="shutting-down")
    assert kept([busy], [ended], memory) == [Lose("gpu-3", "its machine i-3 is gone")]
    for silent, seconds in ((frozenset[str](), 30), (frozenset({"NOT_RESPONDING"}), 3)):
        memory, found = Memory(), dataclasses.replace(busy, flags=busy.flags | silent)
        for moment in (0, seconds - 2):
            assert kept([found], [], memory, NOW + moment) == []
            memory.end_look()
        assert kept([found], [], memory, NOW + seconds) == [Lose("gpu-3", "its machine is gone")]


def test_a_listing_that_does_not_yet_show_the_next_machine_loses_no_node() -> None:
    memory, busy = Memory(), node("gpu-3", "ALLOCATED")
    old = machine("gpu-3", launch="0123", state="terminated", instance_id="i-old")
    new = machine("gpu-3", launch="4567", instance_id="i-new")
    for moment, listed in enumerate([[old], [old], [old, new], [old], [old]]):
        assert kept([busy], listed, memory, NOW + moment) == []
        memory.end_look()
    for flag in ("POWERED_DOWN", "POWERING_UP"):  # the node had i-new, and comes with another one
        kept([node("gpu-3", "IDLE", flag)], [old], memory)
    assert kept([busy], [dataclasses.replace(new, state="terminated")], memory) == []


def test_an_empty_listing_does_not_take_the_whole_cluster_down() -> None:
    memory, nodes = Memory(), [node(f"gpu-{number}", "ALLOCATED") for number in range(1, 5)]
    silent = node("gpu-5", "ALLOCATED", "NOT_RESPONDING")
    assert kept([*nodes, silent], [], memory) == []
    memory.end_look()
    assert kept([*nodes, silent], [], memory, NOW + 60) == [Lose("gpu-5", "its machine is gone")]


def test_a_machine_that_is_listed_again_was_never_gone() -> None:
    memory, busy = Memory(), node("gpu-3", "ALLOCATED")
    for moment, listed in ((0.0, []), (1.0, [machine("gpu-3", launch="0123")]), (3.0, [])):
        assert kept([busy], listed, memory, NOW + moment) == []
        memory.end_look()


def test_a_node_that_an_attempt_starts_is_waited_for_and_one_that_nobody_starts_is_given_up() -> None:
    memory, waiting = Memory(), node("gpu-3", "ALLOCATED", "POWERING_UP")
    assert kept([waiting], [], memory, NOW, "gpu-3") == []
    assert kept([waiting], [], memory) == []
    memory.end_look()
    assert kept([waiting], [], memory, NOW + 61) == [Lose("gpu-3", "nobody starts its machine")]
    standing = node("gpu-1", "ALLOCATED", "POWERING_UP")
    kept([standing], [], memory)
    assert kept([standing], [], memory, NOW + 61) == []


def test_a_node_learns_where_its_machine_is_and_that_it_comes() -> None:
    assert kept([node("gpu-3", address="gpu-3")], [machine("gpu-3", launch="0123")]) == [
        Address("gpu-3", "10.0.0.9")
    ]
    assert kept([node("gpu-1", "IDLE", "POWERED_DOWN")], [machine("gpu-1")]) == [PowerUp("gpu-1")]
    assert kept([node("gpu-1", "DOWN", "POWERED_DOWN")], [machine("gpu-1")]) == [
        Free("gpu-1"),
        PowerUp("gpu-1"),
    ]
    assert kept([node("gpu-1", "IDLE", "POWERING_DOWN")], [machine("gpu-1")]) == []


def test_a_machine_waits_until_slurm_has_done_with_the_one_before() -> None:
    for flag, joins in (("POWERING_DOWN", 0), ("POWER_DOWN", 0), ("CLOUD", 0), ("POWERING_UP", 1)):
        nodes = {"gpu-1": node("gpu-1", "IDLE", flag)}
        assert len(list(join_machines(FACTS, nodes, [machine()]))) == joins
    assert kept([node("gpu-1", "IDLE", "POWERING_DOWN")], []) == [Free("gpu-1")]


def test_a_node_that_did_not_come_up_can_be_asked_for_again() -> None:
    assert kept([node("gpu-3", "DOWN", "POWERED_DOWN")], []) == [Free("gpu-3")]
    assert kept([node("gpu-3", "IDLE", "POWERED_DOWN")], []) == []


def test_a_sick_node_without_jobs_loses_its_machine() -> None:
    sick = node("gpu-1", "IDLE", "DRAIN", reason="health: gpu 3 is gone")
    found = machine("gpu-1")
    assert kept([sick], [found]) == [
        Rest("gpu", "gpu-1 is not fit for jobs (health: gpu 3 is gone)", 1),
        End(found, "health: gpu 3 is gone"),
        Lose("gpu-1", "health: gpu 3 is gone"),
    ]
    for reason in ("Kill task failed", "gres/gpu count reported lower than configured (0 < 8)"):
        assert End(found, reason) in kept([dataclasses.replace(sick, reason=reason)], [found])
    assert of(kept([dataclasses.replace(sick, state="ALLOCATED")], [found]), End) == []
    assert kept([dataclasses.replace(sick, reason="by hand")], [found]) == []


def ended(
    nodes: list[NodeState],
    machines: list[FleetMachine],
    *attempts: str,
    memory: Memory | None = None,
    at: float = NOW,
) -> list[str]:
    by_name = {each.name: each for each in nodes}
    acts = orphans(FACTS, by_name, machines, attempts, memory or Memory(), at)
    return [act.machine.instance_id for act in of(acts, End)]


def test_a_machine_that_nobody_named_is_an_orphan_after_a_minute_unless_its_attempt_is_on_record() -> None:
    assert ended([], [machine(launch="0123", age=61)]) == ["i-new"]
    assert ended([], [machine(launch="0123", age=59)]) == []
    assert ended([], [machine(launch="0123", age=61)], "0123") == []


def test_what_stands_for_good_is_no_orphan_whatever_it_looks_like() -> None:
    assert ended([], [machine(age=9999), machine("gpu-7", age=9999)]) == []


def test_a_machine_of_no_known_node_is_an_orphan() -> None:
    strays = [machine("gpu-9", launch="0123", age=61), machine("gpu-1", launch="0123", age=61)]
    assert ended([node("gpu-9"), node("gpu-1")], strays) == ["i-gpu-9", "i-gpu-1"]


def test_a_node_that_is_to_stand_from_now_on_ends_its_jobs_before_its_machine_goes() -> None:
    stray = machine("gpu-1", launch="0123", age=61)
    busy, leaving = node("gpu-1", "ALLOCATED"), node("gpu-1", "IDLE", "DRAIN", "COMPLETING")
    [drain] = orphans(FACTS, {"gpu-1": busy}, [stray], (), Memory(), NOW)
    assert drain == Drain("gpu-1", "its machine makes way for one that stands for good")
    assert ended([busy], [stray]) == ended([leaving], [stray]) == []
    assert ended([node("gpu-1", "IDLE", "DRAIN")], [stray]) == ["i-gpu-1"]


def test_a_machine_whose_node_stays_powered_down_was_forgotten() -> None:
    memory, down, left = (
        Memory(),
        node("gpu-3", "IDLE", "POWERED_DOWN"),
        machine("gpu-3", launch="0123", age=700),
    )
    assert ended([down], [left], memory=memory) == []
    memory.end_look()
    assert ended([down], [left], memory=memory, at=NOW + 15) == ["i-gpu-3"]


def test_of_two_machines_with_one_name_the_one_that_slurm_talks_to_stays() -> None:
    known = machine("gpu-3", launch="0123", age=100, instance_id="i-known", address="10.0.0.1")
    other = machine("gpu-3", launch="4567", age=10, instance_id="i-other", address="10.0.0.2")
    assert ended([node("gpu-3", address="10.0.0.1")], [known, other]) == ["i-other"]
    assert ended([node("gpu-3", address="10.0.0.2")], [known, other]) == ["i-known"]


def test_a_machine_that_never_joins_is_ended_after_slurms_own_timeout() -> None:
    coming = node("gpu-3", "ALLOCATED", "POWERING_UP")
    assert ended([coming], [machine("gpu-3", launch="0123", age=959)]) == []
    assert ended([coming], [machine("gpu-3", launch="0123", age=961)]) == ["i-gpu-3"]


# What nodes say of having a run


def test_nodes_that_stand_say_whether_they_have_a_run_and_nothing_is_said_twice() -> None:
    facts, memory = dataclasses.replace(FACTS, marks_nodes=True), Memory()
    nodes = {
        "gpu-1": node("gpu-1", "ALLOCATED"), "gpu-2": node("gpu-2", "IDLE"),
        "gpu-3": node("gpu-3", "IDLE", "COMPLETING"), "gpu-4": node("gpu-4", "ALLOCATED"),
    }  # fmt: skip
    machines = [machine("gpu-1"), machine("gpu-2"), machine("gpu-3"), machine("gpu-4", launch="0123")]

    def told(now: float) -> dict[str, str]:
        found = {each.instance_id: each.value for each in marks(facts, nodes, machines, memory, now)}
        memory.end_look()
        return found

    free = "free 2027-01-15T08:00:00.000Z"
    assert told(NOW) == {"i-gpu-1": "busy", "i-gpu-2": free, "i-gpu-3": "busy"}, "not what comes and goes"
    assert told(NOW + 5) == {}, "listings lag"
    assert set(told(NOW + 31)) == {"i-gpu-1", "i-gpu-2", "i-gpu-3"}, "what is still not listed was lost"
    machines = [
        dataclasses.replace(each, work=work)
        for each, work in zip(machines, ("busy", free, free, "busy"), strict=True)
    ]
    assert told(NOW + 60) == {"i-gpu-3": "busy"}


def test_without_such_a_policy_nodes_say_nothing() -> None:
    nodes, machines = {"gpu-1": node("gpu-1", "ALLOCATED")}, [machine("gpu-1")]
    assert list(marks(FACTS, nodes, machines, Memory(), NOW)) == []
