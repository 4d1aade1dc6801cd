"""Runs on real Slurm: submitted to the clerk, told of, requeued, ended."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Iterator

import pytest

from fleet.cloud import Cloud
from node.idle import POLICY_KEY
from tests.clerk_lab import PATIENT, ClerkLab, clerk_lab
from tests.slurm_cluster import needs_slurm, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.sandbox, needs_slurm]

HANG = "trap 'echo told to stop; exit 75' TERM\nsleep 600 &\nwait\n"


@pytest.fixture(scope="module")
def lab(sandbox: Cloud) -> Iterator[ClerkLab]:
    """A cluster of three nodes with two GPUs each."""
    with clerk_lab(sandbox, "runs", nodes=3, gpus=2, extra=PATIENT) as made:
        yield made


CRASH = 'echo "launch $FLEETFORM_LAUNCH"\necho x >>"$FLEETFORM_RUN_DIR/starts.txt"\nkill -SEGV $$\n'
SAVED = """\
node="$FLEETFORM_RUN_DIR/node.txt"
if [ "$FLEETFORM_LAUNCH" -lt 1 ]; then
  scontrol update "NodeName=$SLURMD_NODENAME" State=DRAIN Reason="spot: EC2 takes the machine"
  echo "$SLURMD_NODENAME" >"$node"
  echo saved
  exit 75
fi
scontrol update "NodeName=$(cat "$node")" State=RESUME
echo resumed
"""
"""What the agent of a machine does that has heard of its end, and the run on it."""
ALWAYS = "echo again; exit 75\n"
TASK = 'echo "task $FLEETFORM_ARRAY_INDEX of $FLEETFORM_ARRAY_OF"\n'
BAD_TASK = '[ "$FLEETFORM_ARRAY_INDEX" = 0 ]\n'


@pytest.fixture(scope="module")
def runs(lab: ClerkLab) -> dict[str, str]:
    """Runs that take their time side by side, by what they are about; those that requeue come first."""
    told = {
        "crash": lab.submit(CRASH, requeues=1),
        "saved": lab.submit(SAVED, requeues=0),
        "always": lab.submit(ALWAYS, requeues=1),
        "hang": lab.submit(HANG, max_minutes=0.03),
        "bad": lab.submit("sleep 1\nexit 3\n"),
        "array": lab.submit(TASK, array={"first": 3, "last": 5, "at_once": 2}),
        "bad array": lab.submit(BAD_TASK, array={"first": 0, "last": 1, "at_once": 0}),
    }
    told["after array"] = lab.submit("echo after\n", after=[told["array"]])
    later = lab.submit("exit 3\n", begin=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 6)))
    told["array after bad"] = lab.submit(TASK, array={"first": 0, "last": 1, "at_once": 0}, after=[later])
    told["after bad"] = lab.submit("true\n", after=[told["bad"]])
    told["after any"] = lab.submit("true\n", after=[told["bad"]], after_any=True)
    return told


@pytest.fixture
def nothing_stays(lab: ClerkLab) -> Iterator[None]:
    """Keep what a test that failed has left from taking the next one's nodes."""
    yield
    lab.slurm.run("scancel", "--user", getpass.getuser())


def test_a_run_on_two_nodes_goes_from_its_request_to_its_receipt(lab: ClerkLab) -> None:
    script = (
        'echo "rank $FLEETFORM_NODE_RANK gpus $CUDA_VISIBLE_DEVICES launch $FLEETFORM_LAUNCH"\n'
        'echo "$FLEETFORM_MASTER_ADDR:$FLEETFORM_MASTER_PORT" >"$FLEETFORM_RUN_DIR/master.txt"\n'
    )
    run_id = lab.submit(script, nodes=2)
    assert lab.wait_for_end(run_id) == "SUCCEEDED", lab.story()
    assert lab.names(run_id) == ["QUEUED", "PROVISIONING", "RUNNING", "SUCCEEDED"]
    assert [lab.log(run_id, rank) for rank in (0, 1)] == [f"rank {n} gpus 0,1 launch 0\n" for n in (0, 1)]
    assert lab.get(run_id, "master.txt") == lab.get(run_id, "node-1/master.txt")
    receipt = lab.get_json(run_id, "receipt.json")
    assert receipt["outcome"] == "SUCCEEDED"
    assert [node["node"] for node in receipt["nodes"]] == ["gpu-1", "gpu-2"]
    assert [node["exit_code"] for node in receipt["nodes"]] == [0, 0]
    assert receipt["launch"]["queue"] < 10 and "fetch" in receipt["launch"]
    assert receipt["cost"]["node_seconds"] > 0


def test_a_users_error_ends_a_run_at_once_and_stops_the_other_node(lab: ClerkLab) -> None:
    script = f'if [ "$FLEETFORM_NODE_RANK" = 1 ]; then echo "no such file: x.csv"; exit 3; fi\n{HANG}'
    run_id = lab.submit(script, nodes=2)
    assert lab.wait_for_end(run_id) == "FAILED"
    assert lab.cause(run_id) == "node 1: no such file: x.csv (exit code 3)"
    wait_until(lambda: lab.log(run_id, 0) == "told to stop\n", "the other node's log", 30)
    assert "REQUEUED" not in lab.names(run_id)
    assert [node["exit_code"] for node in lab.get_json(run_id, "receipt.json")["nodes"]] == [75, 3]


def test_a_crash_is_requeued_up_to_its_limit_and_each_start_finds_what_the_last_left(
    lab: ClerkLab, runs: dict[str, str]
) -> None:
    run_id = runs["crash"]
    assert lab.wait_for_end(run_id) == "FAILED"
    assert lab.names(run_id) == [
        "QUEUED", "PROVISIONING", "RUNNING", "REQUEUED", "QUEUED", "PROVISIONING", "RUNNING", "FAILED",
    ]  # fmt: skip
    assert lab.get(run_id, "starts.txt") == b"x\nx\n"
    assert lab.log(run_id) == "launch 0\nlaunch 1\n"
    record = lab.get_json(run_id, "batch.json")
    assert (record["turn"], record["crashes"], record["verdict"]) == (2, 2, "FAILED")
    assert lab.get_json(run_id, "turns/1/outputs/node-0.json")["exit_code"] == 139


def test_a_job_that_stops_because_its_machine_is_taken_away_goes_on_without_counting(
    lab: ClerkLab, runs: dict[str, str]
) -> None:
    run_id = runs["saved"]
    assert lab.wait_for_end(run_id) == "SUCCEEDED"
    assert lab.log(run_id) == "saved\nresumed\n"
    assert lab.get_json(run_id, "receipt.json")["scheduler"]["requeues"] == 1


def test_a_job_that_always_stops_though_nobody_told_it_to_is_started_again_as_often_as_it_may_be_and_no_more(
    lab: ClerkLab, runs: dict[str, str]
) -> None:
    run_id = runs["always"]
    assert lab.wait_for_end(run_id) == "FAILED"
    stopped = "node 0: again (exit code 75); it stopped though nobody had told it to"
    assert lab.cause(run_id) == f"{stopped}, and it has been started again as often as it may be (--requeues)"
    (requeued,) = (each for each in lab.events(run_id) if each["event"] == "REQUEUED")
    assert requeued["detail"]["reason"] == stopped
    assert lab.log(run_id) == "again\nagain\n"


@pytest.mark.usefixtures("nothing_stays")
def test_a_run_that_waits_says_why_and_is_cancelled_held_and_released(lab: ClerkLab) -> None:
    first = lab.submit(f"echo began\n{HANG}", nodes=3)
    lab.wait_for(first, lambda names: {lab.log(first, rank) for rank in range(3)} == {"began\n"})
    waiting, other = lab.submit("echo done\n", nodes=2), lab.submit("echo done\n")
    lab.wait_for(waiting, lambda names: lab.cause(waiting) == "waiting for 2 free nodes of gpu")
    assert lab.act("hold", other)[0] == 0
    lab.wait_for(other, lambda names: lab.cause(other) == "held")
    wait_until(lambda: lab.queue().get(other, {}).get("state") == "HELD", "the queue to say so")
    assert lab.act("hold", first) == (1, f"{first} is RUNNING: only a run that waits can be held")
    lab.put(waiting, "cancel.json", b'{"actor": "somebody@example.com"}')
    assert lab.act("cancel", waiting)[0] == 0
    assert lab.wait_for_end(waiting) == "CANCELLED"
    assert lab.cause(waiting) == "cancelled by somebody@example.com"
    assert lab.act("cancel", first)[0] == 0
    assert lab.wait_for_end(first) == "CANCELLED"
    told = {"began\ntold to stop\n"}
    wait_until(lambda: {lab.log(first, rank) for rank in range(3)} == told, "all nodes' logs", 15)
    assert lab.names(other)[-1] == "QUEUED"
    assert lab.act("release", other)[0] == 0
    assert lab.wait_for_end(other) == "SUCCEEDED"


@pytest.mark.usefixtures("nothing_stays")
def test_a_running_run_is_requeued_on_request_with_time_to_save(lab: ClerkLab) -> None:
    script = f'if [ "$FLEETFORM_LAUNCH" = 1 ]; then echo again; exit 0; fi\necho began\n{HANG}'
    run_id = lab.submit(script)
    assert lab.act("requeue", run_id)[0] == 1
    lab.wait_for_event(run_id, "RUNNING")
    lab.wait_for(run_id, lambda names: lab.log(run_id) == "began\n")
    assert lab.act("requeue", run_id)[0] == 0
    assert lab.wait_for_end(run_id) == "SUCCEEDED"
    assert lab.log(run_id) == "began\ntold to stop\nagain\n"
    assert lab.names(run_id).count("REQUEUED") == 1


def test_a_run_that_hangs_is_stopped_at_its_limit(lab: ClerkLab, runs: dict[str, str]) -> None:
    run_id = runs["hang"]
    assert lab.wait_for_end(run_id) == "TIMED_OUT"
    assert lab.cause(run_id) == "it ran longer than its limit of 0.03 minutes"
    assert lab.log(run_id) == "told to stop\n"


def test_an_array_is_as_many_runs_and_one_that_comes_after_it_waits_for_all(
    lab: ClerkLab, runs: dict[str, str]
) -> None:
    array, after = runs["array"], runs["after array"]
    assert lab.wait_for_end(array) == "SUCCEEDED"
    assert [lab.log(f"{array}-a{index}") for index in (3, 4, 5)] == [
        f"task {n} of {array}\n" for n in (3, 4, 5)
    ]
    assert all(lab.names(f"{array}-a{index}")[-1] == "SUCCEEDED" for index in (3, 4, 5))
    assert lab.wait_for_end(after) == "SUCCEEDED"
    ended = lab.events(array)[-1]["time"]
    assert max(lab.events(f"{array}-a{index}")[-1]["time"] for index in (3, 4, 5)) <= ended
    assert lab.events(after)[-1]["time"] > ended


def test_a_run_whose_predecessor_failed_ends_with_that_reason(lab: ClerkLab, runs: dict[str, str]) -> None:
    first, after, either = runs["bad"], runs["after bad"], runs["after any"]
    assert lab.wait_for_end(first) == "FAILED"
    assert lab.wait_for_end(after) == "FAILED"
    assert lab.cause(after) == f"the run {first}, which it comes after, has ended as FAILED"
    assert lab.wait_for_end(either) == "SUCCEEDED"


def test_a_task_that_fails_is_named_by_its_array(lab: ClerkLab, runs: dict[str, str]) -> None:
    array = runs["bad array"]
    assert lab.wait_for_end(array) == "FAILED"
    assert lab.cause(array) == "1 of 2 tasks failed: a1"


def test_an_array_whose_predecessor_failed_ends_and_none_of_its_tasks_starts(
    lab: ClerkLab, runs: dict[str, str]
) -> None:
    array = runs["array after bad"]
    assert lab.wait_for_end(array) == "FAILED"
    assert "which it comes after, has ended as FAILED" in lab.cause(array)
    for run_id in (array, f"{array}-a0", f"{array}-a1"):
        assert lab.names(run_id) == ["QUEUED", "FAILED"]


def test_a_job_that_has_a_runs_name_and_another_teams_account_is_not_the_runs(lab: ClerkLab) -> None:
    run_id = lab.write_run("echo mine\n")
    options = ["--parsable", f"--job-name={run_id}", "--account=blue", "--output=/dev/null", "--chdir=/"]
    stranger = lab.slurm.run("sbatch", *options, "--wrap", "sleep 60")
    assert lab.ask("submit", run_id)[0] == 0
    assert lab.wait_for_end(run_id) == "SUCCEEDED"
    assert lab.log(run_id) == "mine\n"
    assert lab.slurm.run("squeue", "--noheader", f"--jobs={stranger}", "--format=%T") == "RUNNING"
    lab.slurm.run("scancel", stranger)


def test_a_run_that_makes_no_progress_is_warned_of_and_then_stopped_with_time_to_save(
    lab: ClerkLab, nothing_stays: None
) -> None:
    policy = {
        "version": 1, "step_minutes": 0.05, "start_minutes": 60, "grace_minutes": 0.02,
        "without_steps": "leave", "marks_nodes": False, "groups": {},
    }  # fmt: skip
    lab.s3.put_object(Bucket=lab.bucket, Key=POLICY_KEY, Body=json.dumps(policy).encode())
    lab.kill_clerk()  # the next one reads it at once
    lab.start_clerk()
    step = 'echo \'{"step": 7, "loss": 0.5}\' >"$FLEETFORM_RUN_DIR/metrics.jsonl"\n'
    idle, quiet = lab.submit(step + HANG), lab.submit(HANG)
    assert lab.wait_for_end(idle) == "TIMED_OUT"
    assert lab.names(idle)[-3:] == ["RUNNING", "IDLE", "TIMED_OUT"]
    assert lab.cause(idle).startswith("idle: no training step since ")
    assert "told to stop" in lab.log(idle)
    assert lab.names(quiet)[-1] == "RUNNING", "one that has made no step yet has more time"
