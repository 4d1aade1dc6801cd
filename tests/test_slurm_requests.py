"""What the clerk refuses: a client is not trusted, whatever it writes into its run.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet import job_forms, job_queueing
from node.cluster.facts import ClusterFacts
from node.cluster.machine import Machine
from node.slurm import request as clerks
from node.slurm.batch import Terms
from node.slurm.request import RefusedError, belongs, check
from node.slurm.submission import arguments
from tests.cluster_facts import cluster_facts, fleet_told

ROOT = Path(__file__).parent.parent
RUN_ID = "20261122-110000-abcde"
RUN: dict[str, Any] = {
    "run_id": RUN_ID, "fleet": "gpu", "nodes": 2, "procs_per_node": 2, "max_minutes": 90, "team": "red",
    "submitted": "2026-11-22T11:00:00.000Z",
}  # fmt: skip
REAL, EMULATED = Machine(Path("/"), Path("/run/fleetform")), Machine(Path("/tmp/a"), Path("/tmp/a/run"))


def facts(accounting: bool = True, **more: Any) -> ClusterFacts:
    """Return a cluster of one fleet of eight nodes with four GPUs, and two teams; `more` of cluster.json."""
    fleet = fleet_told(cpus=48, memory_mib=180_000, gpus=4, gpu_name="a10g", instance_type="g5.12xlarge")
    teams = {name: {"share": 1, "user": f"ff-{name}", "uid": 20001} for name in ("red", "blue")}
    own = {"accounting": accounting, "default_team": "red", "teams": teams, "fleets": {"gpu": fleet}}
    return cluster_facts(**own, **more)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nodes": 9}, "it wants 9 nodes, and the fleet gpu has 8 at most"),
        ({"nodes": 0}, "0 nodes can't run anything"),
        ({"nodes": True}, "True nodes can't run anything"),
        ({"nodes": "2; reboot"}, "'2; reboot' nodes can't run anything"),
        ({"fleet": "gpu --wrap=id"}, "there is no fleet 'gpu --wrap=id'; there are gpu"),
        ({"fleet": None}, "there is no fleet None; there are gpu"),
        ({"run_id": "20261122-110000-other"}, "its run.json is another run's"),
        ({"team": "blue"}, "its run.json is not of the team red"),
        ({"gpus_per_node": 5}, "it wants 5 GPUs of each node, and the nodes of the fleet gpu have 4"),
        ({"max_minutes": 601}, "a limit of 601 minutes is more than the 600 that are allowed"),
        ({"max_minutes": "$(id)"}, "a limit of '$(id)' minutes is not possible"),
        ({"max_minutes": float("nan")}, "a limit of nan minutes is not possible"),
        ({"priority": "urgent"}, "there is no priority 'urgent'; there are low, normal, high"),
        ({"begin": "now+1hour"}, "it can't begin at 'now+1hour'"),
        ({"begin": "2026-11-22T11:00:00Z --uid=root"}, "it can't begin at '2026-11-22T11:00:00Z --uid=root'"),
        ({"after": ["blue-20261122-110000-abcde"]}, "which is no run of the team red"),
        ({"after": ["1,afterany:2"]}, "it can't come after '1,afterany:2'"),
        ({"after": "all"}, "it can't come after 'all'"),
        ({"array": {"first": 0, "last": "9%99"}}, "is no array"),
        ({"array": {"first": 0, "last": 1000}}, "an array has 1000 tasks at most"),
        ({"array": [1, 2]}, "[1, 2] is no array"),
        ({"requeues": 1000}, "it can't be started again 1000 times; at most 20"),
        ({"container": "image; id"}, "container can't be 'image; id'"),
        ({"container": "nvcr.io/nvidia/pytorch:26.01"}, "containers need enroot and pyxis"),
        ({"job_digest": "../blue/x"}, "job_digest can't be"),
        ({"packages": {"sha256": "../../etc"}}, "packages can't be"),
        ({"procs_per_node": -1}, "-1 processes on a node can't run anything"),
        ({"attempt": "1 --uid=0"}, "'1 --uid=0' is no attempt"),
        ({"submitted": "yesterday"}, "it can't have been submitted at 'yesterday'"),
        ({"fsx_gib": 1200}, "file systems of a run's own are not made under Slurm"),
    ],
)
def test_what_is_no_request_is_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check({**RUN, **changes}, RUN_ID, "red", facts())
    assert reason in str(refused.value)


def test_an_image_that_cluster_json_allows_comes_to_srun() -> None:
    allowed = facts(containers=True)
    image = "Registry.example#team/train:1.0+cu12"
    checked = check({**RUN, "container": image}, RUN_ID, "red", allowed)
    assert Terms.parse(arguments(checked, allowed, REAL)[-5:]).image == image


def test_the_client_and_the_clerk_have_the_same_limits() -> None:
    assert job_queueing.IMAGE.pattern == clerks.IMAGE.pattern
    assert job_queueing.MOST_REQUEUES == clerks.MOST_REQUEUES
    assert job_queueing.PRIORITIES == clerks.PRIORITIES
    assert (job_forms.MOST_TASKS, job_forms.LAST_INDEX) == (clerks.MOST_TASKS, clerks.LAST_INDEX)
    slurm_conf = (ROOT / "templates/slurm/slurm.conf.j2").read_text()
    assert f"MaxArraySize={clerks.LAST_INDEX + 1}\n" in slurm_conf


def test_every_reason_is_given_at_once() -> None:
    with pytest.raises(RefusedError) as refused:
        check({**RUN, "nodes": 9, "priority": "urgent", "begin": "soon"}, RUN_ID, "red", facts())
    assert len(str(refused.value).split("; ")) == 4  # the priorities that there are stand behind one, too


@pytest.mark.parametrize(
    ("run_id", "team", "theirs"),
    [
        (RUN_ID, "red", True),
        ("blue-20261122-110000-abcde", "blue", True),
        ("blue-20261122-110000-abcde", "red", False),
        (RUN_ID, "blue", False),
        ("blues-1", "blue", False),
        ("blue-../red", "blue", False),
        ("blue-1\n", "blue", False),
        ("blue-$(id)", "blue", False),
        ("blue-" + "x" * 80, "blue", False),
        ("", "red", False),
    ],
)
def test_a_run_belongs_to_the_team_that_its_id_names(run_id: str, team: str, theirs: bool) -> None:
    assert belongs(run_id, team, facts()) is theirs


def test_a_request_becomes_a_list_of_arguments_and_nothing_of_it_is_a_shells() -> None:
    run = {**RUN, "priority": "high", "begin": "2030-01-01T00:00:00Z", "requeues": 5, "attempt": 2}
    request = check(run, RUN_ID, "red", facts())
    found = arguments(request, facts(), REAL, turns_before=3, dependency="afterok:7", now=0)
    begin = found.pop(next(n for n, each in enumerate(found) if each.startswith("--begin=")))
    assert len(begin) == len("--begin=2030-01-01T00:00:00")
    assert found == [
        "--parsable", f"--job-name={RUN_ID}", f"--comment={RUN_ID}", "--partition=gpu", "--nodes=2",
        "--ntasks-per-node=1", "--time=90", "--account=red", "--requeue", "--open-mode=append",
        "--output=/dev/null", "--chdir=/", "--export=ALL", "--exclusive", "--gres=gpu:4", "--qos=high",
        "--uid=ff-red", "--gid=ff-red", "--dependency=afterok:7", "/opt/fleetform/bin/job",
        "2", "3", "5", "5400.0",
    ]  # fmt: skip
    assert Terms.parse(found[-4:]) == Terms(attempt=2, turns_before=3, crashes=5, limit_seconds=5400)


def test_a_run_that_shares_its_nodes_gets_its_part_of_the_cores() -> None:
    request = check({**RUN, "gpus_per_node": 1}, RUN_ID, "red", facts(accounting=False))
    found = arguments(request, facts(accounting=False), EMULATED, held=True)
    assert "--cpus-per-task=12" in found and "--gres=gpu:1" in found and "--exclusive" not in found
    assert "--nice=0" in found and "--hold" in found
    assert not any(each.startswith(("--uid", "--gid", "--qos")) for each in found)


def test_an_array_is_submitted_as_the_tasks_that_are_left() -> None:
    request = check({**RUN, "array": {"first": 0, "last": 9, "at_once": 2}}, RUN_ID, "red", facts())
    assert "--array=0-9%2" in arguments(request, facts(), REAL, tasks=list(range(10)))
    assert "--array=1,4-5%2" in arguments(request, facts(), REAL, tasks=[5, 1, 4])
