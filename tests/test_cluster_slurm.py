"""Our configuration on Slurm's own daemons: what it accepts, refuses, requeues and remembers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import pytest

from node.cluster import accounting
from node.cluster.facts import TeamFacts
from tests.slurm_cluster import SlurmCluster, fleet, needs_slurm, slurm_cluster, wait_until

pytestmark = [pytest.mark.slurm, needs_slurm]


@pytest.fixture(scope="module")
def slurm() -> Iterator[SlurmCluster]:
    with slurm_cluster(nodes=3, gpus=2) as cluster:
        yield cluster


def sbatch(slurm: SlurmCluster, script: str, *options: str) -> str:
    """Submit a script and return the job's id."""
    output = f"--output={slurm.base}/out-%j"
    return slurm.run("sbatch", "--parsable", output, *options, text=f"#!/bin/sh\n{script}\n")


def errors(log: str) -> list[str]:
    """Return what a daemon says of its configuration that it would not take."""
    words = ("parse", "nvalid", "nrecognized", "ignored", "deprecated", "specified more than once", "fatal")
    return [line for line in log.splitlines() if any(word in line for word in words)]


def test_every_daemon_takes_the_configuration_without_a_complaint(slurm: SlurmCluster) -> None:
    assert [errors(slurm.log(name)) for name in ("slurmctld", "gpu-1")] == [[], []]


def test_a_job_sees_the_gpus_that_it_asked_for_on_every_node(slurm: SlurmCluster) -> None:
    said = slurm.run("srun", "-N2", "--gres=gpu:2", "sh", "-c", "echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES")
    names, devices = zip(*(line.split() for line in said.splitlines()), strict=True)
    assert (len(set(names)), set(devices)) == (2, {"0,1"})


def test_jobs_that_share_a_node_get_gpus_of_their_own(slurm: SlurmCluster) -> None:
    script = "srun sh -c 'echo $CUDA_VISIBLE_DEVICES; sleep 2'"
    jobs = [sbatch(slurm, script, "-N1", "--nodelist=gpu-3", "--gres=gpu:1") for _ in range(2)]
    for job in jobs:
        slurm.wait_job(job, ["COMPLETED"])
    assert {(slurm.base / f"out-{job}").read_text().strip() for job in jobs} == {"0", "1"}


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (("-N4",), "Node count specification invalid"),
        (("-N1", "--gres=gpu:3"), "Requested node configuration is not available"),
        (("-N1", "--time=1000"), "time limit"),
        (("-N1", "--partition=none"), "invalid partition specified"),
    ],
)
def test_what_the_fleet_can_never_do_is_refused_at_once(
    slurm: SlurmCluster, asked: tuple[str, ...], reason: str
) -> None:
    said = slurm.run("sbatch", *asked, text="#!/bin/sh\ntrue\n", check=False)
    assert "error" in said
    assert reason in said


def test_a_job_that_asks_to_be_run_again_is(slurm: SlurmCluster) -> None:
    job = sbatch(
        slurm, 'echo "turn ${SLURM_RESTART_COUNT:-0}"; [ -n "$SLURM_RESTART_COUNT" ] || exit 75', "-N1"
    )
    wait_until(lambda: "turn 1" in _output(slurm, job), "the second turn", 30, lambda: _output(slurm, job))
    slurm.wait_job(job, ["COMPLETED"])


def test_any_other_failure_is_final(slurm: SlurmCluster) -> None:
    job = sbatch(slurm, "exit 3", "-N1")
    slurm.wait_job(job, ["FAILED"])


def _output(slurm: SlurmCluster, job: str) -> str:
    file = slurm.base / f"out-{job}"
    return file.read_text() if file.exists() else ""


def test_a_controller_that_was_killed_finds_its_jobs_and_its_nodes_again() -> None:
    with slurm_cluster(nodes=3) as slurm:
        running = sbatch(slurm, "srun sh -c 'echo begun; sleep 8'; echo done", "-N2", "--exclusive")
        wait_until(lambda: _output(slurm, running).count("begun") == 2, "both tasks")
        waiting = sbatch(slurm, "echo next", "-N3", "--exclusive")
        # It saves its state some seconds late; what is younger the clerk brings back.
        saved, now = slurm.machine.state / "slurmctld" / "job_state", time.time()
        wait_until(lambda: saved.exists() and saved.stat().st_mtime > now, "the state to be saved")
        slurm.kill_controller()
        slurm.start_controller()
        slurm.wait_job(running, ["COMPLETED"])
        assert _output(slurm, running).split() == ["begun", "begun", "done"]
        slurm.wait_job(waiting, ["COMPLETED"])
        slurm.wait_idle()


def test_a_policy_that_changes_is_taken_over_while_jobs_go_on(slurm: SlurmCluster) -> None:
    gate = slurm.base / "go-on"
    job = sbatch(slurm, f"srun sh -c 'while [ ! -e {gate} ]; do sleep 0.1; done'", "-N1")
    slurm.wait_job(job, ["RUNNING"])
    file = slurm.machine.slurm_settings / "slurm.conf"
    before = file.read_text()
    for seconds, text in ((31, before.replace("KillWait=30", "KillWait=31")), (30, before)):
        file.write_text(text)
        slurm.run("scontrol", "reconfigure")
        wait_until(lambda s=seconds: kill_wait(slurm) == f"{s} sec", "the new policy")
        assert slurm.run("squeue", "--noheader", f"--jobs={job}", "--format=%T") == "RUNNING"
    gate.touch()
    slurm.wait_job(job, ["COMPLETED"])


def kill_wait(slurm: SlurmCluster) -> str:
    """Return what the controller goes by."""
    said = slurm.run("scontrol", "show", "config", check=False)
    return next((line.partition("=")[2].strip() for line in said.splitlines() if "KillWait" in line), "")


def test_a_node_that_dies_loses_its_job_to_others_as_soon_as_it_is_called_down(slurm: SlurmCluster) -> None:
    task = 'echo "$SLURMD_NODENAME ${SLURM_RESTART_COUNT:-0}"; [ -n "$SLURM_RESTART_COUNT" ] || sleep 60'
    script = f"srun sh -c '{task}'"
    job = sbatch(slurm, script, "-N2", "--exclusive", "--requeue", "--open-mode=append")
    slurm.wait_job(job, ["RUNNING"])
    wait_until(lambda: _output(slurm, job).count(" 0\n") == 2, "both tasks")
    victim = slurm.run("squeue", "-h", "-j", job, "-o", "%B")
    slurm.kill_node(victim)
    slurm.run("scontrol", "update", f"NodeName={victim}", "State=DOWN", "Reason=gone")
    slurm.wait_job(job, ["COMPLETED"])
    second = [line.split()[0] for line in _output(slurm, job).splitlines() if line.endswith(" 1")]
    assert (len(second), victim in second) == (2, False)
    slurm.start_node(victim)
    slurm.wait_idle()


def test_a_job_waits_a_moment_for_a_node_that_is_about_to_be_free_before_a_machine_is_started() -> None:
    with slurm_cluster(fleets=[fleet(nodes=1, max_nodes=2)]) as slurm:
        for _ in range(4):
            slurm.run("srun", "-N1", "--exclusive", "true")
            job = sbatch(slurm, "true", "-N1", "--exclusive")
            slurm.wait_job(job, ["COMPLETED"])
        assert slurm.state("gpu-2") == "idle~"


@pytest.fixture(scope="module")
def accounted() -> Iterator[SlurmCluster]:
    with slurm_cluster(nodes=1, accounting=True, teams={"blue": 3, "green": 1}) as cluster:
        yield cluster


def shares(slurm: SlurmCluster) -> dict[str, str]:
    said = slurm.run("sacctmgr", "-nP", "show", "association", "user=", "format=account,share")
    return dict(line.split("|") for line in said.splitlines() if not line.startswith("root"))


def test_each_team_has_an_account_with_its_share(accounted: SlurmCluster) -> None:
    assert [errors(accounted.log(name)) for name in ("slurmctld", "slurmdbd")] == [[], []]
    assert shares(accounted) == {"blue": "3", "green": "1"}
    qualities = accounted.run("sacctmgr", "-nP", "show", "qos", "format=name,priority")
    assert set(qualities.splitlines()) == {"low|1", "normal|100", "high|1000"}


def test_a_job_of_an_account_that_is_none_is_refused(accounted: SlurmCluster) -> None:
    said = accounted.run("sbatch", "--account=red", text="#!/bin/sh\n", check=False)
    assert "Invalid account" in said


def test_the_accounts_follow_the_teams_and_may_be_set_up_again(accounted: SlurmCluster) -> None:
    teams = {name: TeamFacts(share, f"ff-{name}", 20_001) for name, share in {"green": 5, "red": 2}.items()}
    for _ in range(2):
        accounting.set_up(accounted.machine, "bare", teams, default_team="green")
        # The account of a team that is gone stays, for its history.
        assert shares(accounted) == {"blue": "1", "green": "5", "red": "2"}
    job = sbatch(accounted, "true", "-N1", "--account=red", "--qos=high")
    accounted.wait_job(job, ["COMPLETED"])
    wait_until(
        lambda: accounted.run("sacct", "-nPX", "-j", job, "-o", "account,state") == "red|COMPLETED",
        "its record",
    )


def queue(slurm: SlurmCluster, jobs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Submit jobs while the node is busy, and return their names in the order of their turns."""
    busy = sbatch(slurm, "srun sleep 60", "-N1", "--exclusive", "--account=red")
    slurm.wait_job(busy, ["RUNNING"])
    names = {sbatch(slurm, "true", "-N1", "--exclusive", *options): name for name, options in jobs.items()}
    said = slurm.run("squeue", "-h", "-t", "PD", "-S", "-p,i", "-o", "%A").split()
    slurm.run("scancel", busy, *names)
    return [names[job] for job in said]


def test_a_team_orders_its_own_jobs_by_priority_and_else_by_time(accounted: SlurmCluster) -> None:
    green = "--account=green"
    jobs = {
        "low": (green, "--qos=low"),
        "first": (green,),
        "second": (green,),
        "high": (green, "--qos=high"),
    }
    assert queue(accounted, jobs) == ["high", "first", "second", "low"]


def test_the_team_that_has_used_less_of_its_share_comes_first_whatever_the_other_calls_urgent(
    accounted: SlurmCluster,
) -> None:
    used = sbatch(accounted, "srun sleep 2", "-N1", "--exclusive", "--account=red")
    accounted.wait_job(used, ["COMPLETED"])
    # Shares are reckoned up every minute, and at the controller's start.
    accounted.stop_controller()
    accounted.start_controller()
    jobs = {"red": ("--account=red", "--qos=high"), "green": ("--account=green", "--qos=low")}
    assert queue(accounted, jobs) == ["green", "red"]
