"""Runs that are preempted and resumed, and launchers that are killed: real processes, without torch."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.cloud import Cloud
from fleet.errors import ActError
from fleet.follow import follow
from fleet.job import JobSpec
from fleet.project import Project
from fleet.resume import resume
from fleet.run_control import cancel, settle_all
from fleet.runs import RunStatus, outputs_safe, read_events, read_run
from fleet.speedup import evaluate
from fleet.speedup_runs import fleet_trials, keep_trials
from fleet.submit import submit
from fleet.tail import EventSeen, LogText
from node.relaunch import LONG_SECONDS, MOST, Relaunches
from stacks.problems import UserError
from tests.run_environment import RunEnvironment, build
from tests.sandbox_helpers import admin

pytestmark = pytest.mark.sandbox

TWICE = """\
mark="$FLEETFORM_RUN_DIR/state.txt"
echo "attempt on rank $FLEETFORM_NODE_RANK"
if [ -e "$mark" ]; then
  cat "$mark"
  exit 0
fi
mkdir -p "$FLEETFORM_RUN_DIR/checkpoints/step-5"
echo weights >"$FLEETFORM_RUN_DIR/checkpoints/step-5/w"
echo '{}' >"$FLEETFORM_RUN_DIR/checkpoints/step-5/manifest.json"
echo "saved by rank $FLEETFORM_NODE_RANK" >"$mark"
echo "launcher: stopped: spot notice on node 1"
exit 75
"""
KILLED = """\
echo x >>"$FLEETFORM_RUN_DIR/starts.txt"
if [ "$(wc -l <"$FLEETFORM_RUN_DIR/starts.txt")" -lt 3 ]; then kill -9 $$; fi
env | grep -E '^(FLEETFORM_(SPOT|USD|CHECKPOINTS|LAUNCH)|AWS_DEFAULT)' | sort
"""


@pytest.fixture(scope="module")
def spot(sandbox: Cloud, sandbox_home: Path) -> Iterator[RunEnvironment]:
    """A head node and two spot nodes."""
    environment = build(sandbox, Project(root=sandbox_home, home=sandbox_home), "again", nodes=2, spot=True)
    yield environment
    environment.remove()


def start(environment: RunEnvironment, folder: Path, script: str, nodes: int) -> str:
    """Submit a run whose launch.sh is the shell script: what it starts in place of the launcher."""
    (folder / "job.py").write_text("")
    job = JobSpec(environment="again", script=folder / "job.py", nodes=nodes, checkpoints=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fleet.submit.render_launch_script", lambda request: script)
        return submit(environment.session, environment.outputs, job).run_id


def ended(environment: RunEnvironment, run_id: str) -> RunStatus:
    deadline = time.monotonic() + 60
    while (run := read_run(environment.store, run_id)).active:
        assert time.monotonic() < deadline, f"{run_id} is {run.state}"
        time.sleep(0.1)
    return run


def test_a_preempted_run_is_resumed_in_its_own_directory_and_its_receipt_sums_both(
    spot: RunEnvironment, tmp_path: Path
) -> None:
    run_id = start(spot, tmp_path, TWICE, nodes=2)
    run = ended(spot, run_id)
    assert (run.state, run.attempt) == ("PREEMPTED", 1)
    assert "spot notice on node 1" in run.cause
    assert outputs_safe(spot.store, run) == []
    settle_all(spot.store, spot.session.ledger)
    resume(spot.session, spot.outputs, run_id)
    seen = list(follow(spot.store, run_id, new_only=True))
    run = read_run(spot.store, run_id)
    assert (run.state, run.attempt, run.cause) == ("SUCCEEDED", 2, "")
    # Who follows sees the second attempt alone; the log and the events hold both.
    assert [item.event for item in seen if isinstance(item, EventSeen)] == [
        "QUEUED", "PROVISIONING", "RUNNING", "SUCCEEDED",
    ]  # fmt: skip
    told = "".join(item.text for item in seen if isinstance(item, LogText) and item.rank == 1)
    assert told == "attempt on rank 1\nsaved by rank 1\n"
    assert (spot.store.get(run_id, "logs/node-1.log") or b"").decode().count("attempt on rank 1") == 2
    assert [event["event"] for event in read_events(spot.store, run_id)].count("QUEUED") == 2
    assert outputs_safe(spot.store, run) == []
    receipt = spot.store.get_json(run_id, "receipt.json") or {}
    assert [attempt["outcome"] for attempt in receipt["attempts"]] == ["PREEMPTED", "SUCCEEDED"]
    parts = [attempt["cost"]["node_seconds"] for attempt in receipt["attempts"]]
    assert receipt["cost"]["node_seconds"] == pytest.approx(sum(parts), abs=0.01) and min(parts) > 0
    for _ in range(2):
        settle_all(spot.store, spot.session.ledger)
    entries = [entry for entry in spot.session.ledger.entries() if entry["target"] == run_id]
    ends = [entry["details"] for entry in entries if entry["event"] == "run.ended"]
    assert [end["state"] for end in ends] == ["PREEMPTED", "SUCCEEDED"]
    assert [end["cost"]["node_seconds"] for end in ends] == parts


def test_a_new_machine_gets_the_run_s_files_back_each_verified(
    spot: RunEnvironment, tmp_path: Path, sandbox_home: Path
) -> None:
    run_id = start(spot, tmp_path, TWICE, nodes=1)
    node = ended(spot, run_id).placed[0]["instance_id"]
    local = sandbox_home / "sandbox/nodes" / node / "var/fleetform/runs" / run_id
    # As on a machine that never saw the run; of the other's files, one is damaged on the way.
    for file in sorted(local.rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    spot.store.s3.put_object(
        Bucket=spot.store.bucket, Key=f"runs/{run_id}/checkpoints/step-5/w", Body=b"damaged"
    )
    resume(spot.session, spot.outputs, run_id)
    run = ended(spot, run_id)
    assert run.state == "FAILED"
    assert "checkpoints/step-5/w is damaged" in run.cause
    spot.store.s3.put_object(
        Bucket=spot.store.bucket, Key=f"runs/{run_id}/checkpoints/step-5/w", Body=b"weights\n"
    )
    spot.store.delete(run_id, "attempts/2/outputs/node-0.json")
    resume(spot.session, spot.outputs, run_id)
    run = ended(spot, run_id)
    assert (run.state, run.attempt) == ("SUCCEEDED", 3)
    assert (local / "checkpoints/step-5/w").read_text() == "weights\n"
    report = spot.store.get_json(run_id, "outputs/node-0.json") or {}
    assert report["restored"] >= 3


def test_what_cannot_be_resumed_is_refused_and_a_refused_start_leaves_all_as_it_was(
    spot: RunEnvironment, tmp_path: Path, sandbox: Cloud
) -> None:
    run_id = start(spot, tmp_path, "exit 75\n", nodes=1)
    ended(spot, run_id)
    before = {name: spot.store.get(run_id, name) for name in ("run.json", "outputs/node-0.json")}
    busy = {"service": "ssm", "action": "SendCommand", "code": "AccessDeniedException", "count": 1}
    admin(sandbox, "POST", "faults", busy)
    try:
        with pytest.raises(ActError, match="the run was not resumed"):
            resume(spot.session, spot.outputs, run_id)
    finally:
        admin(sandbox, "DELETE", "faults")
    assert {name: spot.store.get(run_id, name) for name in before} == before
    assert read_run(spot.store, run_id).state == "PREEMPTED"
    fewer = spot.outputs.model_copy(
        update={"fleets": {"gpu": spot.outputs.fleets["gpu"].model_copy(update={"nodes": 0})}}
    )
    with pytest.raises(UserError, match="needs 1 nodes of the fleet gpu, which has 0"):
        resume(spot.session, fewer, run_id)
    done = start(spot, tmp_path, "exit 0\n", nodes=1)
    with pytest.raises(UserError, match="wait for its end"):
        resume(spot.session, spot.outputs, done)
    ended(spot, done)
    with pytest.raises(UserError, match="has succeeded"):
        resume(spot.session, spot.outputs, done)


def test_a_resumed_run_can_be_cancelled_and_resumed_again(spot: RunEnvironment, tmp_path: Path) -> None:
    run_id = start(spot, tmp_path, "trap 'exit 75' TERM\nsleep 600 &\nwait\n", nodes=1)
    for attempt in (1, 2):
        deadline = time.monotonic() + 30
        while read_run(spot.store, run_id).state != "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        run = cancel(spot.store, spot.session.ledger, run_id, "tests")
        assert (run.state, run.attempt) == ("CANCELLED", attempt)
        if attempt == 1:
            resume(spot.session, spot.outputs, run_id)


def test_a_launcher_that_was_killed_is_started_again_and_is_told_all_it_needs(
    spot: RunEnvironment, tmp_path: Path
) -> None:
    run_id = start(spot, tmp_path, KILLED, nodes=1)
    run = ended(spot, run_id)
    assert run.state == "SUCCEEDED", run.cause
    log = (spot.store.get(run_id, "logs/node-0.log") or b"").decode()
    assert log.count("fleetform: the launcher was killed; starting it again") == 2
    assert (spot.store.get_json(run_id, "outputs/node-0.json") or {})["relaunches"] == 2
    price = (spot.store.get_json(run_id, "run.json") or {})["price_usd_per_hour"]
    assert log.splitlines()[-5:] == [
        "AWS_DEFAULT_REGION=us-east-1",
        f"FLEETFORM_CHECKPOINTS_URL=s3://{spot.store.bucket}/runs/{run_id}/checkpoints",
        "FLEETFORM_LAUNCH=2",
        "FLEETFORM_SPOT=1",
        f"FLEETFORM_USD_PER_HOUR={price:.6g}",
    ]


def test_restarts_without_progress_are_bounded_and_steps_renew_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = tmp_path / "metrics.jsonl"
    budget = Relaunches(tmp_path)
    assert not budget.allows(killed=False)
    assert [budget.allows(killed=True) for _ in range(MOST + 1)] == [True] * MOST + [False]
    metrics.write_text(json.dumps({"step": 3}) + '\n{"step": 4')
    assert budget.allows(killed=True)
    assert [budget.allows(killed=True) for _ in range(MOST)] == [True] * (MOST - 1) + [False]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + LONG_SECONDS + 1)
    assert budget.allows(killed=True)
    assert budget.total == 2 * MOST + 1
    # A node without rank 0 has no metrics, and its part of each checkpoint.
    (tmp_path / "checkpoints/step-7").mkdir(parents=True)
    (tmp_path / "checkpoints/step-x").mkdir()
    assert [budget.allows(killed=True) for _ in range(MOST + 1)] == [True] * MOST + [False]


def test_trials_on_the_fleet_are_runs_and_the_receipts_of_later_runs_use_them(
    spot: RunEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "job.py").write_text("")
    job = JobSpec(environment="again", script=tmp_path / "job.py", checkpoints=True)
    told: list[tuple[int, int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "fleet.submit.render_launch_script", lambda request: f"sleep {2 / request.nodes - 0.05}\n"
        )
        trials, request = fleet_trials(
            spot.session,
            spot.outputs,
            job,
            [1, 2],
            procs_per_node=1,
            steps=60,
            repeats=2,
            on_trial=lambda *each: told.append(each),
        )
        assert told == [(1, 4, 1), (2, 4, 2), (3, 4, 2), (4, 4, 1)]
        assert [(trial.processes, trial.nodes, trial.measure) for trial in trials] == [
            (1, 1, "run"), (2, 2, "run"), (2, 2, "run"), (1, 1, "run"),
        ]  # fmt: skip
        found = evaluate(trials, request["price_usd_per_hour"], 1) | {"claimed": True}
        keep_trials(spot.store, request, found)
        run_id = submit(spot.session, spot.outputs, job.model_copy(update={"nodes": 2})).run_id
        ended(spot, run_id)
    assert not any(run_id.startswith(".") for run_id in spot.store.run_ids())
    receipt = spot.store.get_json(run_id, "receipt.json") or {}
    speedup = receipt["speedup"]
    assert speedup["one_process"]["seconds"] == pytest.approx(found["points"][0]["seconds"])
    assert speedup["one_process"]["source"].startswith("trials of 20")
    assert speedup["seconds"] > 0.9 and speedup["one_process"]["seconds"] > 1.9
    assert speedup["cost"]["per"] == "run"
