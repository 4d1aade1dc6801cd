"""Nodes that come and go with the queue: real Slurm calls our programs, which buy from the embedded EC2."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from fleet.cloud import Cloud
from tests.elastic_lab import TYPE, ElasticLab, elastic_lab
from tests.sandbox_helpers import IMAGE, admin, api
from tests.slurm_cluster import needs_slurm, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.sandbox, needs_slurm]


@pytest.fixture(scope="module")
def shared_lab(sandbox: Cloud) -> Iterator[ElasticLab]:
    """A cluster of one node that stands and seven that come and go."""
    with elastic_lab(sandbox, "elastic", nodes=1, max_nodes=8, idle_seconds=2, pause=0.5) as made:
        stand(made)
        made.slurm.wait_idle(["gpu-1"])
        yield made


@pytest.fixture
def lab(shared_lab: ElasticLab) -> Iterator[ElasticLab]:
    """The shared cluster without a machine of a job, and without limits and faults after the test."""
    wait_until(lambda: not elastic(shared_lab), "the fleet to shrink")
    yield shared_lab
    print(shared_lab.log())  # shown where the test failed
    admin(shared_lab.cloud, "DELETE", "capacity")
    admin(shared_lab.cloud, "DELETE", "faults")
    shared_lab.slurm.run("scancel", "--user=root", check=False)


def stand(lab: ElasticLab) -> str:
    """Start a machine that stands for good, as the fleet's group does, and return its id."""
    answer = api(lab.cloud, "ec2").run_instances(
        ImageId=IMAGE,
        InstanceType=TYPE,
        MinCount=1,
        MaxCount=1,
        LaunchTemplate={"LaunchTemplateName": f"{lab.name}-gpu"},
    )
    return str(answer["Instances"][0]["InstanceId"])


def elastic(lab: ElasticLab) -> list[dict[str, Any]]:
    return [each for each in lab.machines() if "fleetform:launch" in each["tags"]]


def test_a_machine_that_stands_for_good_is_replaced_by_the_next_one(lab: ElasticLab) -> None:
    [first] = lab.machines()
    api(lab.cloud, "ec2").terminate_instances(InstanceIds=[first["InstanceId"]])
    second = stand(lab)
    wait_until(lambda: lab.names() == ["gpu-1"], "the next machine to be gpu-1")
    lab.slurm.wait_idle(["gpu-1"])
    assert [each["InstanceId"] for each in lab.machines()] == [second]


def test_a_job_waits_until_there_are_machines_for_all_its_nodes_and_they_go_with_it(
    lab: ElasticLab,
) -> None:
    before = len(lab.started())
    admin(lab.cloud, "POST", "capacity", {"instance_type": TYPE, "count": 3})
    job = lab.submit("run-held", 5, "srun true")
    wait_until(lambda: lab.held().get("run-held", {}).get("tries", 0) >= 2, "a second try", told=lab.log)
    assert lab.held()["run-held"]["message"].startswith(f"no capacity for 4 {TYPE} until ")
    assert lab.slurm.run("squeue", "--noheader", f"--jobs={job}", "--format=%T") == "PENDING"
    assert len(lab.started()) == before
    admin(lab.cloud, "DELETE", "capacity")
    lab.slurm.wait_job(job, ["COMPLETED"])
    assert len(lab.started()) == before + 4
    # It began as its last node answered, and not when slurmctld looked for itself.
    assert f"prolog_running_decr: Configuration for JobId={job} is complete" in lab.slurm.log("slurmctld")
    assert "run-held" not in lab.held()
    assert [each["tags"]["fleetform:owner"] for each in elastic(lab)] == ["lab@example.com"] * 4
    wait_until(lambda: lab.names() == ["gpu-1"], "the fleet to shrink to what stands")


def test_a_resume_program_killed_after_its_order_leaves_neither_machines_nor_a_second_order(
    lab: ElasticLab,
) -> None:
    before = len(lab.started())
    admin(lab.cloud, "POST", "faults", {"service": "ec2", "action": "CreateTags", "delay_s": 4, "count": 2})
    job = lab.submit("run-killed", 3, "srun true")
    wait_until(lambda: len(lab.started()) == before + 2, "the machines")
    [program] = lab.resume_programs()
    os.kill(program, signal.SIGKILL)
    lab.slurm.wait_job(job, ["COMPLETED"])
    assert len(lab.started()) == before + 2


def test_a_job_whose_machine_is_taken_away_runs_again_on_another(lab: ElasticLab) -> None:
    job = lab.submit("run-moved", 2, 'test "$SLURM_RESTART_COUNT" || sleep 100')
    lab.slurm.wait_job(job, ["RUNNING"])
    [taken] = elastic(lab)
    api(lab.cloud, "ec2").terminate_instances(InstanceIds=[taken["InstanceId"]])
    lab.slurm.wait_job(job, ["COMPLETED"])
    assert taken["InstanceId"] not in [each["InstanceId"] for each in elastic(lab)]


def test_a_node_that_stands_says_whether_it_has_a_run(lab: ElasticLab) -> None:
    def work() -> str:
        [standing] = [each for each in lab.machines() if "fleetform:launch" not in each["tags"]]
        return str(standing["tags"].get("fleetform:work", ""))

    wait_until(lambda: work().startswith("free 20"), "the node to say that it is free", told=lab.log)
    job = lab.submit("run-busy", 1, "sleep 600")
    wait_until(lambda: work() == "busy", "the node to say that it has a run", told=lab.log)
    lab.slurm.run("scancel", str(job))
    wait_until(lambda: work().startswith("free 20"), "the node to say that it is free again", told=lab.log)
