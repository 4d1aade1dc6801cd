"""The clerk, Slurm's controller and nodes killed under runs: none is lost, none runs twice at once."""

from __future__ import annotations

import getpass
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.cloud import Cloud
from tests.clerk_lab import HASTY, PATIENT, ROOT, ClerkLab, clerk_lab
from tests.slurm_cluster import needs_slurm, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.sandbox, needs_slurm]

ONCE = 'echo ran >>"$FLEETFORM_RUN_DIR/ran.txt"\n'


@pytest.fixture(scope="module")
def lab(sandbox: Cloud) -> Iterator[ClerkLab]:
    """A cluster of three nodes."""
    with clerk_lab(sandbox, "faults", nodes=3, gpus=0, extra=PATIENT) as made:
        made.slurm.stop_controller()  # from now on it has noted its nodes, however early it is killed
        made.slurm.start_controller()
        yield made


@pytest.fixture(autouse=True)
def nothing_stays(lab: ClerkLab) -> Iterator[None]:
    """Keep what a test that failed has left from taking the next one's nodes."""
    yield
    lab.slurm.run("scancel", "--user", getpass.getuser())


def restart_controller(lab: ClerkLab) -> None:
    lab.slurm.kill_controller()
    lab.slurm.start_controller()


def test_a_run_that_asks_for_too_much_is_refused_with_the_reason_and_so_its_events_say(lab: ClerkLab) -> None:
    run_id = lab.write_run(ONCE, nodes=4, priority="urgent")
    code, said = lab.ask("submit", run_id)
    assert code == 1
    assert "it wants 4 nodes, and the fleet gpu has 3 at most" in said and "'urgent'" in said
    assert lab.names(run_id) == ["FAILED"]
    assert lab.cause(run_id) == said
    assert lab.ask("submit", run_id) == (1, f"{run_id} has ended")


def test_nobody_reaches_another_teams_run(lab: ClerkLab) -> None:
    theirs = lab.submit("sleep 600\n", nodes=1)
    assert lab.ask("submit", theirs, "blue") == (1, f"'{theirs}' is no run of the team blue")
    for act in ("cancel", "hold", "release", "requeue"):
        assert lab.act(act, theirs, "blue") == (1, f"'{theirs}' is no run of the team blue")
    ours = lab.write_run(ONCE, "blue")
    assert lab.ask("submit", ours, "red") == (1, f"'{ours}' is no run of the team red")
    forged = lab.write_run(ONCE, "blue", team="red")
    assert lab.ask("submit", forged, "blue")[0] == 1
    assert lab.cause(forged) == "its run.json is not of the team blue"
    assert lab.ask("submit", "blue-$(reboot)", "blue") == (1, "that is no run's id, or no team's name")
    assert lab.ask("submit", "green-1", "green") == (1, "there is no team 'green'")
    assert "CANCELLED" not in lab.names(theirs)
    assert lab.act("cancel", theirs)[0] == 0
    assert lab.wait_for_end(theirs) == "CANCELLED"


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b'{"act": "submit"}\n', b"[1]\n", b"x" * 10_000 + b"\n"])
def test_what_is_no_request_is_answered_and_the_desk_stays_open(lab: ClerkLab, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as visit:
        visit.connect(f"{lab.variables['FLEETFORM_RUN']}/clerk.sock")
        visit.sendall(line)
        with visit.makefile("rb") as answer:
            assert b'"ok": false' in answer.readline()


@pytest.mark.parametrize("delay", [0.0, 0.1])
def test_a_clerk_killed_at_any_moment_of_a_submission_loses_no_run_and_starts_none_twice(
    lab: ClerkLab, delay: float
) -> None:
    run_id = lab.write_run(ONCE)
    asking = subprocess.Popen(
        [sys.executable, "-m", "node.submit", "--run-id", run_id, "--team", "red"],
        env=dict(lab.variables), cwd=ROOT, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(0.05 + delay)  # what Python takes to start
    lab.kill_clerk()
    lab.start_clerk()
    assert asking.wait(40) == 0
    assert lab.wait_for_end(run_id) == "SUCCEEDED"
    assert lab.get(run_id, "ran.txt") == b"ran\n"
    assert lab.names(run_id).count("RUNNING") == 1


def test_a_clerk_that_was_away_tells_what_happened_meanwhile(lab: ClerkLab) -> None:
    run_id = lab.submit("sleep 5\n")
    # What it has written and not yet noted when it is killed, it tells again.
    wait_until(lambda: lab.queue().get(run_id, {}).get("state") == "RUNNING", "the queue to say that it runs")
    lab.kill_clerk()
    wait_until(lambda: lab.get_json(run_id, "batch.json").get("ended"), "its end")
    lab.start_clerk()
    assert lab.wait_for_end(run_id) == "SUCCEEDED"
    assert lab.names(run_id) == ["QUEUED", "PROVISIONING", "RUNNING", "SUCCEEDED"]
    assert lab.get_json(run_id, "receipt.json")["outcome"] == "SUCCEEDED"


def test_a_run_that_slurms_controller_has_forgotten_is_submitted_again(lab: ClerkLab) -> None:
    holder = lab.submit("sleep 6\n", nodes=3)
    lab.wait_for_event(holder, "RUNNING")
    run_id = lab.submit(ONCE)
    restart_controller(lab)  # it has not saved its state yet
    assert lab.wait_for_end(holder) == "SUCCEEDED"
    assert lab.wait_for_end(run_id) == "SUCCEEDED"
    assert lab.get(run_id, "ran.txt") == b"ran\n"


def test_a_run_that_is_submitted_while_the_controller_is_away_starts_when_it_is_back(lab: ClerkLab) -> None:
    lab.slurm.kill_controller()
    run_id = lab.write_run(ONCE)
    code, said = lab.ask("submit", run_id)
    lab.slurm.start_controller()
    assert code == 0, said
    assert lab.wait_for_end(run_id) == "SUCCEEDED"
    assert lab.get(run_id, "ran.txt") == b"ran\n"


def test_a_run_whose_end_the_controller_has_forgotten_frees_its_nodes_and_is_not_run_again(
    lab: ClerkLab,
) -> None:
    state, gate = lab.slurm.machine.state / "slurmctld" / "job_state", lab.slurm.base / "go-on"
    run_id = lab.submit(f"{ONCE}while [ ! -e {gate} ]; do sleep 0.1; done\n", nodes=3)
    lab.wait_for_event(run_id, "RUNNING")
    job_id = lab.events(run_id)[-1]["detail"]["job_id"]
    while_it_runs = saved_anew(lab, state, job_id)
    gate.touch()
    assert lab.wait_for_end(run_id) == "SUCCEEDED"
    lab.slurm.kill_controller()
    state.write_bytes(while_it_runs)
    lab.slurm.start_controller()
    assert lab.slurm.run("squeue", "--noheader", f"--jobs={job_id}", "--format=%T") == "RUNNING"
    lab.slurm.wait_job(str(job_id), ["CANCELLED"])
    assert lab.wait_for_end(lab.submit("true\n", nodes=3)) == "SUCCEEDED"
    assert lab.get(run_id, "ran.txt") == b"ran\n"
    assert lab.names(run_id) == ["QUEUED", "PROVISIONING", "RUNNING", "SUCCEEDED"]


def saved_anew(lab: ClerkLab, state: Path, job_id: int) -> bytes:
    """Return the state of jobs as the controller next saves it, which it does some seconds after a change."""
    before = state.stat().st_ino if state.exists() else 0
    lab.slurm.run("scontrol", "update", f"JobId={job_id}", "AdminComment=changed")
    wait_until(lambda: state.exists() and state.stat().st_ino != before, "the state to be saved")
    return state.read_bytes()


def test_nodes_that_a_forgetful_controller_has_drained_are_let_go_and_no_others(lab: ClerkLab) -> None:
    # As slurmctld 22.05 does where it starts a job again that it was killed before it had noted.
    for name, reason in (("gpu-1", "Duplicate jobid"), ("gpu-2", "health: a broken fan")):
        lab.slurm.run("scontrol", "update", f"NodeName={name}", "State=DRAIN", f"Reason={reason}")
    lab.slurm.wait_idle(["gpu-1"])
    assert "drain" in lab.slurm.state("gpu-2").lower()
    lab.slurm.run("scontrol", "update", "NodeName=gpu-2", "State=RESUME")


def test_a_run_whose_node_dies_goes_on_elsewhere_from_what_it_had_sent(lab: ClerkLab) -> None:
    script = (
        'if [ "$FLEETFORM_LAUNCH" -gt 0 ]; then cat "$FLEETFORM_RUN_DIR/state.txt"; exit 0; fi\n'
        'echo "kept by $FLEETFORM_NODE_RANK" >"$FLEETFORM_RUN_DIR/state.txt"\nsleep 600\n'
    )
    run_id = lab.submit(script, nodes=2)
    lab.wait_for(run_id, lambda names: lab.get(run_id, "node-1/state.txt") is not None)
    lab.slurm.reconfigure(HASTY)
    placed = lab.events(run_id)[-2]["detail"]["nodes"]
    lab.slurm.kill_node(placed[1]["node"])
    begin = time.monotonic()
    assert lab.wait_for_end(run_id, 90) == "SUCCEEDED", lab.story()
    print(f"over {time.monotonic() - begin:.1f} s after the node had died")
    # The shell may say, before it ends too, that its `sleep` was terminated.
    logs = [lab.log(run_id, rank).removeprefix("Terminated\n") for rank in (0, 1)]
    assert logs == ["kept by 0\n", "kept by 1\n"]
    (requeued,) = (event for event in lab.events(run_id) if event["event"] == "REQUEUED")
    assert placed[1]["node"] in requeued["detail"]["reason"]
    assert lab.get_json(run_id, "batch.json")["crashes"] == 0
