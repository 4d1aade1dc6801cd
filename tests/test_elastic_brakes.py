"""Machines that do not work are not bought again and again, and what nobody answers stops nothing."""

from __future__ import annotations

import dataclasses
import itertools
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from node.cluster.facts import ClusterFacts, NoClusterError
from node.cluster.machine import read_machine
from node.elastic import head as head_module
from node.elastic import keeper as keeper_module
from node.elastic.acts import Act, End, Lose, PowerUp, Proved, Rest
from node.elastic.backoff import Backoff, Held
from node.elastic.head import Head, open_head, told_of
from node.elastic.journal import Journal
from node.elastic.keeper import Keeper, of
from node.elastic.machines import FleetMachine
from node.elastic.memory import Memory
from node.elastic.resume_failed import rest
from node.elastic.standing import keep_nodes
from node.elastic.wants import Want
from node.slurm import keeping
from node.slurm.tools import NodeState
from tests.test_elastic_decisions import FACTS, NO_CAPACITY, NOW, machine, node

LATE = FACTS.resume_seconds + 61


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still until the test changes it."""
    now = [NOW]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def kept(
    found: NodeState,
    its: FleetMachine,
    memory: Memory,
    at: float = NOW,
    rests: Mapping[str, Held] | None = None,
) -> list[Act]:
    acts = list(keep_nodes(FACTS, [found], [its], frozenset(), memory, at, rests))
    memory.end_look()
    return acts


def resting(until: float = NOW + 60) -> dict[str, Held]:
    return {"gpu": Held("gpu", 1, 2, until, "", NOW - 100)}


# Fleets whose machines do not work


def test_the_pause_after_machines_that_never_joined_grows_though_each_time_they_could_be_bought(
    tmp_path: Path, clock: list[float]
) -> None:
    head, backoff = Head(FACTS, None, tmp_path, tmp_path / "log"), Backoff(tmp_path)
    pauses = []
    for tries in range(1, 5):
        rest(head, ["gpu-3", "gpu-4"])
        held = backoff.closed("gpu", 1)
        assert held is not None
        assert held.tries == tries
        assert "2 of gpu did not join the cluster within 900 s" in held.message
        pauses.append(held.until - clock[0])
        clock[0] = held.until + 1
        assert backoff.closed("gpu", 1) is None
        backoff.served("gpu", 2, [])
    assert all(second > 1.7 * first for first, second in itertools.pairwise(pauses))


def test_a_failure_of_long_ago_makes_no_pause_longer(tmp_path: Path, clock: list[float]) -> None:
    backoff = Backoff(tmp_path)
    for _ in range(6):
        clock[0] = backoff.refuse("gpu", 4, "g5.xlarge", [NO_CAPACITY], []).until + 1
        clock[0] = backoff.rest("gpu", "not up").until + 1
    clock[0] += 3601
    assert backoff.refuse("gpu", 4, "g5.xlarge", [NO_CAPACITY], []).tries == 1
    assert backoff.rest("gpu", "not up").tries == 1


def test_the_first_sick_machine_costs_no_pause_and_the_next_ones_longer_and_longer_ones(
    tmp_path: Path, clock: list[float]
) -> None:
    backoff, pauses = Backoff(tmp_path), []
    for _ in range(4):
        held = backoff.rest("gpu", "gpu-3 is not fit", forgiven=1)
        pauses.append(held.until - clock[0])
        clock[0] = held.until + 1
    assert pauses[0] == 0
    assert 30 <= pauses[1] < pauses[2] < pauses[3]
    backoff.proved("gpu")
    assert backoff.rests() == {}


def test_a_sick_machine_is_told_of_once_and_before_its_job_has_left() -> None:
    memory, found = Memory(), machine("gpu-3", launch="0123")
    sick = node("gpu-3", "ALLOCATED", "DRAIN", reason="health: gpu 3 is gone")
    assert [type(each) for each in kept(sick, found, memory)] == [Rest]
    assert kept(sick, found, memory, NOW + 1) == []
    idle = dataclasses.replace(sick, state="IDLE")
    assert [type(each) for each in kept(idle, found, memory, NOW + 2, resting())] == [End, Lose]


def test_a_sick_machine_that_stands_for_good_is_kept_while_its_fleet_rests() -> None:
    memory, found = Memory(), machine("gpu-1")
    sick = node("gpu-1", "IDLE", "DRAIN", reason="health: gpu 3 is gone")
    assert of(kept(sick, found, memory, NOW, resting()), End) == []
    assert of(kept(sick, found, memory, NOW + 61, resting()), End) == [End(found, sick.reason)]


def test_a_machine_that_stands_for_good_and_never_answers_is_ended_for_its_group_to_start_another() -> None:
    memory, found = Memory(), machine("gpu-1")
    coming, down = node("gpu-1", "IDLE", "POWERING_UP"), node("gpu-1", "DOWN", "POWERED_DOWN")
    assert kept(coming, found, memory) == []
    assert PowerUp("gpu-1") in kept(down, found, memory, NOW + 900)
    assert of(kept(coming, found, memory, NOW + LATE, resting(NOW + LATE + 60)), End) == []
    reason = "gpu-1 has not joined in time"
    assert kept(coming, found, memory, NOW + LATE) == [End(found, reason), Rest("gpu", reason, 0)]


def test_a_machine_that_joins_late_or_again_stays() -> None:
    memory, found = Memory(), machine("gpu-1")
    kept(node("gpu-1", "IDLE", "POWERING_UP"), found, memory)
    kept(node("gpu-1", "IDLE"), found, memory, NOW + 900)
    assert of(kept(node("gpu-1", "IDLE", "POWERING_UP"), found, memory, NOW + LATE), End) == []


def test_a_later_machine_that_works_on_jobs_for_a_while_speaks_for_its_fleet_and_an_older_one_does_not() -> (
    None
):
    busy = node("gpu-3", "ALLOCATED")
    for age, told in ((10, [Proved("gpu")]), (200, [])):
        memory, found = Memory(), machine("gpu-3", launch="0123", age=age)
        assert kept(busy, found, memory, NOW, resting()) == []
        assert kept(busy, found, memory, NOW + 401, resting()) == told
        assert kept(busy, found, memory, NOW + 402, {}) == []


# What does not answer


@pytest.fixture
def on_a_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A head's folders, and a bucket that tells of FACTS."""
    (tmp_path / "etc" / "fleetform").mkdir(parents=True)
    config = {"environment": "lab", "region": "us-east-1", "artifact_bucket": "a", "dataset_bucket": "b"}
    config |= {"role": "head", "node_document": "", "python": ""}
    (tmp_path / "etc" / "fleetform" / "node.json").write_text(json.dumps(config))
    monkeypatch.setenv("FLEETFORM_ROOT", str(tmp_path))
    monkeypatch.delenv("FLEETFORM_RUN", raising=False)
    monkeypatch.setattr(head_module, "client", lambda *_: None)
    monkeypatch.setattr(head_module, "read_facts", lambda _: FACTS)
    return tmp_path


def refuse(*_: Any) -> ClusterFacts:
    raise NoClusterError("cluster.json is of version 2, not 1")


def test_idle_machines_are_ended_by_the_last_facts_where_the_bucket_tells_nothing_new(
    on_a_head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(NoClusterError):
        patch.setattr(head_module, "read_facts", refuse)
        open_head()
    assert open_head().facts == FACTS
    monkeypatch.setattr(head_module, "read_facts", refuse)
    assert open_head().facts == FACTS
    log = (read_machine().logs / "elastic.log").read_text()
    assert "the cluster is taken for what it was: NoClusterError: cluster.json is of version 2" in log


def test_the_keeper_looks_on_with_the_facts_that_it_has(
    on_a_head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([3.0, 1.0])
    keeper = Keeper(open_head())
    monkeypatch.setattr(keeper, "look", lambda: next(looks))
    monkeypatch.setattr(keeper_module, "_keeper", keeper)
    monkeypatch.setattr(keeper_module, "_facts_at", time.monotonic() - 100)
    monkeypatch.setattr(keeper_module, "open_head", refuse)
    assert [keeper_module.tick(), keeper_module.tick()] == [3.0, 1.0]


def test_what_slurms_programs_fail_with_is_in_the_log(on_a_head: Path) -> None:
    open_head()
    assert told_of(lambda: 0) == 0
    assert told_of(refuse) == 1  # type: ignore[arg-type]
    assert "NoClusterError: cluster.json is of version 2" in (read_machine().logs / "elastic.log").read_text()


def test_an_attempt_that_was_left_does_not_keep_the_keeper_from_the_other_nodes(
    on_a_head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = open_head()
    with pytest.raises(RuntimeError), Journal(head.state).begin(Want("gpu", ("gpu-3",), {}, together=False)):
        raise RuntimeError("killed")
    answered, served = threading.Event(), []

    def slow(_: Head, want: Want) -> bool:
        served.append(want.names)
        return answered.wait(20)

    monkeypatch.setattr(keeper_module, "serve", slow)
    monkeypatch.setattr(keeper_module, "_LEFT_S", -1.0)
    monkeypatch.setattr(keeper_module, "find_machines", lambda *_: [])
    monkeypatch.setattr(keeper_module, "nodes", lambda: [node("gpu-3", "ALLOCATED", "POWERING_UP")])
    keeper = Keeper(head)
    keeper.look()
    keeper.look()
    answered.set()
    assert served == [("gpu-3",)]


def test_a_refresh_that_takes_long_does_not_keep_the_keeper_from_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over, answered, refreshes, looks = threading.Event(), threading.Event(), [], []

    def slow() -> None:
        refreshes.append(1)
        if len(refreshes) > 1:
            answered.wait(20)

    def look() -> float:
        looks.append(len(refreshes))
        if looks.count(2) == 3:
            over.set()
        return 0.001

    monkeypatch.setattr(keeping, "refresh", slow)
    monkeypatch.setattr(keeping, "tick", look)
    monkeypatch.setattr(keeping, "_REFRESH_SECONDS", 0.0)
    thread = threading.Thread(target=keeping.keep, args=(over,), daemon=True)
    thread.start()
    thread.join(10)
    assert (thread.is_alive(), len(refreshes), looks.count(2)) == (False, 2, 3)
    answered.set()
