"""Runs in the embedded cloud, as real processes without torch: their lives, their ends and what is left."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import Cloud
from fleet.lost import is_lost
from fleet.project import Project
from fleet.run_control import cancel
from fleet.runs import RunStatus, outputs_safe, read_events, read_run
from fleet.submit import new_run_id
from node.idle import POLICY_KEY
from tests.run_environment import RunEnvironment, build
from tests.sandbox_helpers import admin, wait_for

pytestmark = pytest.mark.sandbox

SAY_AND_WRITE = """\
echo "rank $FLEETFORM_NODE_RANK of $FLEETFORM_RUN_ID, threads $OMP_NUM_THREADS"
echo "$FLEETFORM_MASTER_ADDR:$FLEETFORM_MASTER_PORT" >"$FLEETFORM_RUN_DIR/master.txt"
echo rubbish >"$FLEETFORM_SCRATCH_DIR/rubbish.txt"
echo "$FLEETFORM_SCRATCH_DIR" >"$FLEETFORM_RUN_DIR/scratch.txt"
echo '{"step": 1, "time": "2030-01-01T00:00:00.000Z"}' >"$FLEETFORM_RUN_DIR/metrics.jsonl"
"""
HANG = "trap 'echo told to stop; exit 75' TERM\nsleep 600 &\nwait\n"


class NoLedger:
    """A ledger for tests that are about something else."""

    def act(self, event: str, target: str, **details: Any) -> Any:
        import contextlib

        return contextlib.nullcontext()

    def append(self, event: str, target: str, outcome: str, details: dict[str, Any]) -> None:
        pass


@pytest.fixture(scope="module")
def lab(sandbox: Cloud, sandbox_home: Path) -> Iterator[RunEnvironment]:
    """A head node and two nodes, for runs that leave them standing."""
    environment = build(sandbox, Project(root=sandbox_home, home=sandbox_home), "lab", nodes=2)
    yield environment
    environment.remove()


def start(environment: RunEnvironment, script: str, nodes: int = 1, max_minutes: float = 5) -> str:
    """Start a run of a bare shell script, the way fleet/submit.py starts one."""
    run_id = new_run_id()
    store = environment.store
    run = {
        "run_id": run_id, "environment": "lab", "fleet": "gpu", "recipe": "", "script": "test.sh",
        "nodes": nodes, "procs_per_node": 1, "max_minutes": max_minutes, "price_usd_per_hour": 3.6,
        "code": None, "dataset": None, "actor": "tests", "submitted": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    store.s3.put_object(Bucket=store.bucket, Key=f"runs/{run_id}/launch.sh", Body=script.encode())
    store.put(run_id, "run.json", run)
    head = environment.instances("head")[0]
    answer = store.ssm.send_command(
        DocumentName=environment.outputs.run_document, InstanceIds=[head], Parameters={"RunId": [run_id]}
    )
    submission = {"instance_id": head, "command_id": answer["Command"]["CommandId"]}
    store.put(run_id, "submission.json", submission)
    return run_id


def wait_until(
    environment: RunEnvironment, run_id: str, is_so: Callable[[RunStatus], bool], within: float = 60
) -> RunStatus:
    deadline = time.monotonic() + within
    while not is_so(run := read_run(environment.store, run_id)):
        assert time.monotonic() < deadline, f"{run_id} is {run.state} after {within} s"
        time.sleep(0.1)
    return run


def wait_for_end(environment: RunEnvironment, run_id: str, within: float = 60) -> RunStatus:
    return wait_until(environment, run_id, lambda run: not run.active, within)


def claims(environment: RunEnvironment) -> list[str]:
    store = environment.store
    answer = store.s3.list_objects_v2(Bucket=store.bucket, Prefix="nodes/")
    return [item["Key"] for item in answer.get("Contents", [])]


def log(environment: RunEnvironment, run_id: str, rank: int) -> str:
    return (environment.store.get(run_id, f"logs/node-{rank}.log") or b"").decode()


def test_a_run_goes_from_its_request_to_its_receipt(lab: RunEnvironment) -> None:
    run_id = start(lab, SAY_AND_WRITE, nodes=2)
    run = wait_for_end(lab, run_id)
    assert run.state == "SUCCEEDED"
    assert [event["event"] for event in read_events(lab.store, run_id)] == [
        "QUEUED", "PROVISIONING", "RUNNING", "SUCCEEDED",
    ]  # fmt: skip
    assert [log(lab, run_id, rank).split(",")[0] for rank in (0, 1)] == [
        f"rank {n} of {run_id}" for n in (0, 1)
    ]
    # Both nodes were told of the same meeting point, and each file has its own place.
    first, second = (lab.store.get(run_id, name) for name in ("master.txt", "node-1/master.txt"))
    assert first == second
    assert (first or b"").decode().startswith(run.placed[0]["address"])
    scratch = Path((lab.store.get(run_id, "scratch.txt") or b"").decode().strip())
    assert scratch.parts[-2:] == ("scratch", run_id) and not scratch.exists()
    assert outputs_safe(lab.store, run) == []
    receipt = lab.store.get_json(run_id, "receipt.json") or {}
    assert receipt["outcome"] == "SUCCEEDED"
    assert [node["exit_code"] for node in receipt["nodes"]] == [0, 0]
    assert all(receipt["phases"]["claimed"] < node["launched"] for node in receipt["nodes"])
    assert receipt["phases"]["first_step"] == "2030-01-01T00:00:00.000Z"
    assert receipt["cost"]["usd"] == pytest.approx(receipt["cost"]["node_seconds"] / 1000, abs=1e-3)
    assert claims(lab) == []


def test_one_failing_node_stops_the_others_and_is_named_with_its_last_word(lab: RunEnvironment) -> None:
    script = f'if [ "$FLEETFORM_NODE_RANK" = 1 ]; then echo "no such file: x.csv"; exit 3; fi\n{HANG}'
    run_id = start(lab, script, nodes=2)
    run = wait_for_end(lab, run_id)
    assert run.state == "FAILED"
    assert run.cause == "node 1: no such file: x.csv (exit code 3)"
    assert log(lab, run_id, 0) == "told to stop\n"
    receipt = lab.store.get_json(run_id, "receipt.json") or {}
    assert [node["exit_code"] for node in receipt["nodes"]] == [75, 3]
    assert outputs_safe(lab.store, run) == []
    assert claims(lab) == []


def test_a_run_that_hangs_is_stopped_at_its_limit(lab: RunEnvironment) -> None:
    run_id = start(lab, HANG, max_minutes=0.03)
    run = wait_for_end(lab, run_id)
    assert run.state == "TIMED_OUT"
    assert run.cause == "it ran longer than its limit of 0.03 minutes"
    assert log(lab, run_id, 0) == "told to stop\n"


def test_a_cancelled_run_gets_time_to_stop_and_its_outputs_come_home(lab: RunEnvironment) -> None:
    run_id = start(lab, f'echo partial >"$FLEETFORM_RUN_DIR/result.txt"\n{HANG}')
    wait_until(lab, run_id, lambda run: run.state == "RUNNING")
    run = cancel(lab.store, NoLedger(), run_id, "somebody@example.com")
    assert (run.state, run.cause) == ("CANCELLED", "cancelled by somebody@example.com")
    assert lab.store.get(run_id, "result.txt") == b"partial\n"
    assert cancel(lab.store, NoLedger(), run_id, "somebody else") == run


def test_a_stop_is_heard_while_a_large_file_is_uploaded(lab: RunEnvironment, sandbox: Cloud) -> None:
    slow = {"service": "s3", "action": "PutObject", "resource": "large.bin", "delay_s": 10, "count": 1}
    admin(sandbox, "POST", "faults", slow)
    try:
        run_id = start(lab, f'echo large >"$FLEETFORM_RUN_DIR/large.bin"\n{HANG}')
        wait_until(lab, run_id, lambda run: run.state == "RUNNING")
        lab.store.put(run_id, "cancel.json", {"actor": "tests"})
        wait_for(lambda: lab.store.get(run_id, "alive/node-0.json"), 30)
        assert lab.store.get(run_id, "large.bin") is None  # its upload still lasts
        run = wait_for_end(lab, run_id)
    finally:
        admin(sandbox, "DELETE", "faults")
    assert run.state == "CANCELLED"
    assert lab.store.get(run_id, "large.bin") == b"large\n"
    assert outputs_safe(lab.store, run) == []


def test_a_job_that_ignores_the_stop_is_killed_after_its_grace_and_its_children_with_it(
    lab: RunEnvironment,
) -> None:
    run_id = start(lab, "trap '' TERM\nsetsid sleep 600 &\nwhile :; do sleep 600; done\n")
    wait_until(lab, run_id, lambda run: run.state == "RUNNING")
    lab.store.put(run_id, "stop.json", {"reason": "test", "grace_seconds": 0.5})
    run = wait_for_end(lab, run_id)
    assert run.state == "FAILED"
    assert run.cause == "node 0: ended by signal 9"
    assert not any("sleep" in line for line in _command_lines(run_id).values())


def test_a_bucket_that_refuses_for_a_while_costs_no_output(lab: RunEnvironment, sandbox: Cloud) -> None:
    fault = {"service": "s3", "action": "PutObject", "code": "AccessDenied", "status": 403}
    # One rule for a result, one for the list of results, one for the head's own last words.
    for name in ("master.txt", "outputs/node-0.json", "receipt.json"):
        admin(sandbox, "POST", "faults", {**fault, "resource": name, "count": 1})
    try:
        run_id = start(lab, SAY_AND_WRITE)
        run = wait_for_end(lab, run_id)
    finally:
        admin(sandbox, "DELETE", "faults")
    assert run.state == "SUCCEEDED"
    assert outputs_safe(lab.store, run) == []
    assert lab.store.get(run_id, "master.txt") is not None


def test_a_short_outage_costs_a_waiting_run_nothing(lab: RunEnvironment, sandbox: Cloud) -> None:
    denied = {"service": "s3", "code": "AccessDenied", "status": 403, "count": 1}
    for action, name in (
        ("PutObject", "events.jsonl"),
        ("PutObject", "nodes/"),
        ("GetObject", "cancel.json"),
    ):
        admin(sandbox, "POST", "faults", {**denied, "action": action, "resource": name})
    busy = {"service": "ssm", "action": "SendCommand", "code": "ThrottlingException", "count": 6}
    admin(sandbox, "POST", "faults", {**busy, "resource": "-run-node"})
    try:
        run_id = start(lab, SAY_AND_WRITE)
        run = wait_for_end(lab, run_id, 120)
        hits = [fault["hits"] for fault in admin(sandbox, "GET", "status")["faults"]]
    finally:
        admin(sandbox, "DELETE", "faults")
    assert run.state == "SUCCEEDED"
    assert hits[0] == hits[1] == 1
    assert hits[3] == 6


@pytest.mark.parametrize("reached", [False, True])
def test_a_node_that_cannot_be_told_to_begin_ends_the_run_after_the_others_have_stopped(
    lab: RunEnvironment, sandbox: Cloud, reached: bool
) -> None:
    refused = {"service": "ssm", "action": "SendCommand", "resource": lab.instances("node")[1], "count": 1}
    fault = {**refused, "code": "InvalidInstanceId", "after": reached}
    admin(sandbox, "POST", "faults", fault)
    try:
        run_id = start(lab, HANG, nodes=2)
        run = wait_for_end(lab, run_id)
    finally:
        admin(sandbox, "DELETE", "faults")
    assert run.state == "FAILED"
    assert run.cause.startswith("node 1 could not be told to begin: ")
    # The nodes that began had ended, and brought everything home, before the run was called over.
    began = {"outputs/node-0.json", "outputs/node-1.json"} if reached else {"outputs/node-0.json"}
    assert set(lab.store.sizes(run_id, "outputs/")) == began
    wait_for(lambda: claims(lab) == [])  # freed right after the final event


@pytest.mark.parametrize("code", [0, 3])
def test_a_node_whose_command_was_sent_twice_carries_it_out_once(
    lab: RunEnvironment, sandbox: Cloud, tmp_path: Path, code: int
) -> None:
    about = {"service": "ssm", "action": "SendCommand", "resource": "-run-node", "count": 1}
    admin(sandbox, "POST", "faults", {**about, "code": "InternalServerError", "status": 500, "after": True})
    traces = tmp_path / "traces"
    try:
        run_id = start(lab, f"echo begun >>{traces}\nsleep 1\nexit {code}\n")
        run = wait_for_end(lab, run_id)
        hits = [fault["hits"] for fault in admin(sandbox, "GET", "status")["faults"]]
    finally:
        admin(sandbox, "DELETE", "faults")
    assert hits == [1] and run.state == ("FAILED" if code else "SUCCEEDED")
    assert traces.read_text() == "begun\n"
    assert outputs_safe(lab.store, run) == []
    receipt = lab.store.get_json(run_id, "receipt.json") or {}
    assert [node["exit_code"] for node in receipt["nodes"]] == [code]


def test_a_run_waits_until_enough_nodes_are_free_and_says_for_whom(lab: RunEnvironment) -> None:
    first = start(lab, HANG)
    wait_until(lab, first, lambda run: run.state == "RUNNING")
    second = start(lab, SAY_AND_WRITE, nodes=2)
    waiting = wait_until(lab, second, lambda run: bool(run.cause))
    assert waiting.state == "QUEUED"
    assert (
        waiting.cause
        == f"waiting for 2 free nodes of the fleet gpu: 2 ready, 1 of them taken, held by {first}"
    )
    cancel(lab.store, NoLedger(), first, "tests")
    assert wait_for_end(lab, second).state == "SUCCEEDED"


def test_a_waiting_run_can_be_cancelled(lab: RunEnvironment) -> None:
    run_id = start(lab, SAY_AND_WRITE, nodes=3)
    wait_until(lab, run_id, lambda run: bool(run.cause))
    run = cancel(lab.store, NoLedger(), run_id, "tests")
    assert run.state == "CANCELLED"
    assert outputs_safe(lab.store, run) == []


def test_a_run_that_is_dispatched_twice_runs_once(lab: RunEnvironment) -> None:
    run_id = start(lab, SAY_AND_WRITE)
    head = lab.instances("head")[0]
    first = (lab.store.get_json(run_id, "submission.json") or {})["command_id"]
    again = lab.store.ssm.send_command(
        DocumentName=lab.outputs.run_document, InstanceIds=[head], Parameters={"RunId": [run_id]}
    )["Command"]["CommandId"]
    assert wait_for_end(lab, run_id).state == "SUCCEEDED"
    assert sorted(final_status(lab, head, command) for command in (first, again)) == ["Failed", "Success"]
    events = [event["event"] for event in read_events(lab.store, run_id)]
    assert events.count("RUNNING") == 1


def final_status(environment: RunEnvironment, instance_id: str, command_id: str) -> str:
    deadline = time.monotonic() + 30
    while True:
        answer = environment.store.ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id)
        if answer["Status"] not in ("Pending", "InProgress"):
            return str(answer["Status"])
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_run_whose_dispatcher_was_killed_is_noticed_and_can_be_ended(lab: RunEnvironment) -> None:
    run_id = start(lab, HANG)
    run = wait_until(lab, run_id, lambda run: run.state == "RUNNING")
    assert not is_lost(lab.store, run)
    (dispatcher,) = (pid for pid, line in _command_lines(run_id).items() if "node.dispatch" in line)
    os.kill(dispatcher, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while not is_lost(lab.store, run):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ended = cancel(lab.store, NoLedger(), run_id, "tests")
    assert (ended.state, ended.cause) == ("CANCELLED", "cancelled by tests; its head node was gone")
    assert log(lab, run_id, 0) == "told to stop\n"
    assert outputs_safe(lab.store, ended) == []


def test_a_node_that_cannot_fetch_its_run_says_why(lab: RunEnvironment) -> None:
    run_id = new_run_id()
    lab.store.put(
        run_id,
        "run.json",
        {"run_id": run_id, "fleet": "gpu", "nodes": 1, "max_minutes": 5, "procs_per_node": 1, "recipe": "",
         "script": "x", "actor": "tests", "submitted": "2026-01-01T00:00:00.000Z"},
    )  # fmt: skip
    lab.store.ssm.send_command(
        DocumentName=lab.outputs.run_document,
        InstanceIds=lab.instances("head"),
        Parameters={"RunId": [run_id]},
    )
    run = wait_for_end(lab, run_id)
    assert run.state == "FAILED"
    assert run.cause == f"node 0: s3://{lab.store.bucket}/runs/{run_id}/launch.sh is missing"


def test_the_end_of_a_machine_ends_its_run_and_the_other_nodes_save_their_outputs(
    sandbox: Cloud, sandbox_home: Path
) -> None:
    doomed = build(sandbox, Project(root=sandbox_home, home=sandbox_home), "doomed", nodes=2)
    try:
        run_id = start(doomed, HANG, nodes=2)
        run = wait_until(doomed, run_id, lambda run: run.state == "RUNNING")
        gone = run.placed[1]["instance_id"]
        doomed.session.client("ec2").terminate_instances(InstanceIds=[gone])
        run = wait_for_end(doomed, run_id)
        assert run.state == "FAILED"
        assert run.cause.startswith("node 1: ")
        assert log(doomed, run_id, 0) == "told to stop\n"
        # Nothing on the machine that is gone can be saved any more; the other one's outputs are.
        assert outputs_safe(doomed.store, run) == []

        run_id = start(doomed, HANG)
        wait_until(doomed, run_id, lambda run: run.state == "RUNNING")
        doomed.session.client("ec2").terminate_instances(InstanceIds=doomed.instances("head"))
        run = cancel(doomed.store, NoLedger(), run_id, "tests")
        assert not run.active
        deadline = time.monotonic() + 30
        while outputs_safe(doomed.store, run):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert log(doomed, run_id, 0) == "told to stop\n"
    finally:
        doomed.remove()


def _command_lines(run_id: str) -> dict[int, str]:
    """Return the command line of every process that belongs to the run, by its number."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes()
            if run_id.encode() in line or run_id.encode() in (entry / "environ").read_bytes():
                found[int(entry.name)] = line.replace(b"\0", b" ").decode()
        except (OSError, ValueError):
            continue
    return found


def test_a_run_that_makes_no_progress_is_warned_of_stopped_with_time_to_save_and_told_by_its_node(
    lab: RunEnvironment,
) -> None:
    store = lab.store
    policy = {
        "version": 1, "step_minutes": 0.05, "start_minutes": 60, "grace_minutes": 0.02,
        "without_steps": "leave", "marks_nodes": True, "groups": {},
    }  # fmt: skip
    store.s3.put_object(Bucket=store.bucket, Key=POLICY_KEY, Body=json.dumps(policy).encode())
    try:
        run_id = start(lab, 'echo \'{"step": 7, "loss": 0.5}\' >"$FLEETFORM_RUN_DIR/metrics.jsonl"\n' + HANG)
        run = wait_for_end(lab, run_id)
    finally:
        store.s3.delete_object(Bucket=store.bucket, Key=POLICY_KEY)
    assert run.state == "TIMED_OUT"
    assert run.cause.startswith("idle: no training step since ") and run.cause.endswith("the last was step 7")
    events = read_events(store, run_id)
    assert [event["event"] for event in events][-3:] == ["RUNNING", "IDLE", "TIMED_OUT"]
    assert "it is stopped at " in events[-2]["detail"]["reason"]
    assert "told to stop" in log(lab, run_id, 0)
    told = lab.session.client("ec2").describe_instances(InstanceIds=[run.placed[0]["instance_id"]])
    tags = {tag["Key"]: tag["Value"] for tag in told["Reservations"][0]["Instances"][0]["Tags"]}
    assert tags["fleetform:idle-run"].startswith(f"stopped {run_id} ")
    assert tags["fleetform:work"].startswith("free 20")
