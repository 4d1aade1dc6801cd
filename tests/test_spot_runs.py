"""A training on spot nodes that EC2 takes back: notice, checkpoint, PREEMPTED, resumed on other machines."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from fleet.cloud import Cloud
from fleet.job import JobSpec
from fleet.project import Project
from fleet.resume import resume
from fleet.runs import RunStatus, outputs_safe, read_run
from fleet.submit import submit
from sandbox import daemon
from tests.run_environment import RunEnvironment, build
from tests.sandbox_helpers import admin

pytestmark = [pytest.mark.sandbox, pytest.mark.torch]


def steps(environment: RunEnvironment, run_id: str) -> list[int]:
    body = environment.store.get(run_id, "metrics.jsonl") or b""
    return [json.loads(line)["step"] for line in body.splitlines() if line.endswith(b"}")]


def wait_for_end(environment: RunEnvironment, run_id: str) -> RunStatus:
    deadline = time.monotonic() + 240
    while (run := read_run(environment.store, run_id)).active:
        assert time.monotonic() < deadline, run
        time.sleep(0.3)
    return run


def log(environment: RunEnvironment, run_id: str) -> str:
    return "".join(
        (environment.store.get(run_id, f"logs/node-{rank}.log") or b"").decode() for rank in (0, 1)
    )


def test_a_run_on_nodes_that_are_taken_back_goes_on_elsewhere_with_no_step_lost(
    sandbox: Cloud, sandbox_home: Path
) -> None:
    lab = build(sandbox, Project(root=sandbox_home, home=sandbox_home), "taken", nodes=3, spot=True)
    try:
        job = JobSpec(
            environment="taken",
            recipe="digits",
            overrides=("samples=20480", "log_every=1", "checkpoint_every=0", "program=false"),
            nodes=2,
            procs_per_node=1,
        )
        run_id = submit(lab.session, lab.outputs, job).run_id
        deadline = time.monotonic() + 120
        while not (done := steps(lab, run_id)) or done[-1] < 5:
            run = read_run(lab.store, run_id)
            assert run.active and time.monotonic() < deadline, (run, log(lab, run_id))
            time.sleep(0.2)
        taken = read_run(lab.store, run_id).placed[0]["instance_id"]
        daemon.interrupt(sandbox_home, taken, 60)
        run = wait_for_end(lab, run_id)
        assert run.state == "PREEMPTED", (run, log(lab, run_id))
        assert outputs_safe(lab.store, run) == []
        reached = steps(lab, run_id)[-1]
        assert reached < 80, "it was done before the notice came"
        sent = Counter(
            call["about"]
            for call in admin(sandbox, "GET", "calls")
            if call["action"] == "PutObject" and run_id in call["about"] and ".distcp" in call["about"]
        )
        assert sent and set(sent.values()) == {1}, "a checkpoint went up twice"
        # The node that is about to end is not used again.
        lab.session.client("ec2").terminate_instances(InstanceIds=[taken])
        resume(lab.session, lab.outputs, run_id)
        run = wait_for_end(lab, run_id)
        assert (run.state, run.attempt) == ("SUCCEEDED", 2), (run, log(lab, run_id))
        assert taken not in [node["instance_id"] for node in run.placed]
        summary = lab.store.get_json(run_id, "summary.json") or {}
        assert summary["resumed_from_step"] >= reached
        assert steps(lab, run_id) == list(range(1, 81))
        receipt = lab.store.get_json(run_id, "receipt.json") or {}
        assert [attempt["outcome"] for attempt in receipt["attempts"]] == ["PREEMPTED", "SUCCEEDED"]
        assert receipt["goodput"]["lost_steps"] == 0
        speedup = receipt["speedup"]
        assert (speedup["processes"], speedup["in_one_go"]) == (2, False)
        # On a busy machine, and from the last few steps, nothing is projected; the receipt says so.
        assert speedup["why"] if "why" in speedup else speedup["cut_percent"] < 100
    finally:
        lab.remove()
