"""How long a run would take: by the nearest that was measured, and never guessed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet import pace
from fleet.cloud import Cloud
from fleet.datasets import known_dataset, prepare
from fleet.job import JobSpec, LaunchRequest, build_request
from fleet.job_digest import job_digest
from fleet.pace import Expectation, expected
from fleet.project import Project
from fleet.runs import read_run
from fleet.speedup import keep
from fleet.submit import submit
from stacks.catalog import load_catalog
from tests.run_environment import INSTANCE_TYPE, RunEnvironment, build
from tests.sandbox_helpers import wait_for

pytestmark = pytest.mark.sandbox

PRICE = load_catalog()[INSTANCE_TYPE].price_usd_per_hour
STEPS = "samples=25600"
"""A hundred steps of the recipe `digits`."""


@pytest.fixture(scope="module")
def track(
    sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunEnvironment]:
    root = tmp_path_factory.mktemp("track")
    environment = build(sandbox, Project(root=root, home=root / "home"), "track", nodes=2)
    prepare(environment.session.project, "digits")
    yield environment
    environment.remove()


@pytest.fixture(autouse=True)
def _no_runs(track: RunEnvironment) -> Iterator[None]:
    yield
    for key in track.store.keys("runs/"):
        track.store.s3.delete_object(Bucket=track.store.bucket, Key=key)


def request_of(track: RunEnvironment, *overrides: str, **more: Any) -> LaunchRequest:
    asked = {"recipe": "digits", "overrides": overrides or (STEPS,), "procs_per_node": 1, **more}
    return build_request(JobSpec(environment="track", **asked), track.outputs.fleets)


def digest_of(track: RunEnvironment, request: LaunchRequest) -> str:
    data = known_dataset(track.session.project, "digits")
    return job_digest(request, "", data.sha256 if data and request.recipe else "")


def put_run(
    track: RunEnvironment, number: int, request: LaunchRequest, *, held: int = 100, trained: int = 80,
    step: float = 0.8, digest: str = "", **receipt: Any,
) -> str:  # fmt: skip
    """Put a run that has ended: its step took `step` seconds on its processes, and twice that on one."""
    run_id, processes = f"20261101-1000{number:02d}-aaaaa", request.nodes * request.procs_per_node
    one = {"one_process": {"seconds": 2 * step}} if processes > 1 else {}
    measure = "step" if request.recipe else "run"
    about = {
        "outcome": "SUCCEEDED",
        "phases": {
            "claimed": "2026-11-01T10:00:00Z",
            "ended": f"2026-11-01T10:{held // 60:02d}:{held % 60:02d}Z",
        },
        "speedup": {"measure": measure, "processes": processes, "seconds": step, "in_one_go": True, **one},
        **receipt,
    }
    track.store.put(
        run_id, "run.json", {**request.to_dict(), "job_digest": digest or digest_of(track, request)}
    )
    track.store.put(run_id, "receipt.json", about)
    if request.recipe:
        track.store.put(run_id, "summary.json", {"train_seconds": trained})
    return run_id


def asked(track: RunEnvironment, request: LaunchRequest) -> Expectation:
    return expected(track.session, request)


def test_without_anything_like_it_the_time_is_not_known_and_why_is_said(track: RunEnvironment) -> None:
    request = request_of(track)
    put_run(track, 1, request_of(track, recipe="wine", overrides=()))
    found = asked(track, request)
    assert (found.seconds, found.usd, found.runs) == (None, None, ())
    assert found.basis == f"nothing like it has run here yet: the recipe digits on {INSTANCE_TYPE}"


def test_runs_of_the_same_job_tell_a_step_s_time_and_what_comes_around_the_steps(
    track: RunEnvironment,
) -> None:
    request = request_of(track)
    runs = [put_run(track, number, request, step=step) for number, step in enumerate((0.7, 0.8, 1.2))]
    found = asked(track, request_of(track, "samples=51200"))
    assert found.seconds == pytest.approx(200 * 0.8 + 20)
    assert found.usd == pytest.approx(180 * PRICE / 3600)
    assert found.basis == "the median of 3 runs of the same job"
    assert sorted(found.runs) == sorted(runs)


def test_on_more_processes_than_a_run_had_its_own_time_and_that_on_one_are_carried_on(
    track: RunEnvironment,
) -> None:
    put_run(track, 1, request_of(track, nodes=2), step=0.4)
    one, two = asked(track, request_of(track)), asked(track, request_of(track, nodes=2))
    assert one.seconds == pytest.approx(100 * 0.8 + 20)
    assert two.seconds == pytest.approx(100 * 0.4 + 20)
    assert two.usd == pytest.approx(60 * 2 * PRICE / 3600)


def test_a_run_on_one_process_tells_nothing_of_two(track: RunEnvironment) -> None:
    put_run(track, 1, request_of(track))
    assert asked(track, request_of(track, nodes=2)).seconds is None


def test_trials_of_the_same_job_go_before_its_runs(track: RunEnvironment) -> None:
    request = request_of(track)
    put_run(track, 1, request, step=5.0)
    points = [{"processes": 1, "seconds": 0.5}, {"processes": 2, "seconds": 0.3}]
    kept = {"time": "2026-11-20T10:00:00Z", "measure": "step", "claimed": True, "points": points}
    keep(track.store.s3, track.store.bucket, digest_of(track, request), kept)
    found = asked(track, request)
    assert found.seconds == pytest.approx(100 * 0.5 + 20)
    assert found.basis == "trials of 2026-11-20 of the same job"


def test_runs_of_other_data_count_where_recipe_model_and_batch_are_the_same(track: RunEnvironment) -> None:
    put_run(track, 1, request_of(track), digest="another")
    found = asked(track, request_of(track))
    assert found.seconds == pytest.approx(100)
    assert found.basis == f"one run of the recipe digits on {INSTANCE_TYPE}, on other data"
    assert asked(track, request_of(track, STEPS, "model.channels=128")).seconds is None
    assert asked(track, request_of(track, STEPS, "global_batch=64")).seconds is None
    elsewhere = dataclasses.replace(request_of(track), instance_type="g5.2xlarge")
    assert asked(track, elsewhere).seconds is None


@pytest.mark.parametrize(
    "told",
    [
        {"outcome": "FAILED"},
        {"attempts": [{}, {}]},
        {"speedup": {"measure": "step", "processes": 1, "seconds": 0.8, "in_one_go": False}},
        {"speedup": {"measure": "step", "processes": 1, "seconds": None, "in_one_go": True}},
    ],
    ids=["failed", "resumed", "restarted", "not measured"],
)
def test_a_run_that_did_not_go_through_in_one_go_tells_nothing(
    track: RunEnvironment, told: dict[str, Any]
) -> None:
    put_run(track, 1, request_of(track), **told)
    assert asked(track, request_of(track)).seconds is None


def test_a_script_takes_as_long_as_it_did_on_as_many_processes(track: RunEnvironment, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("print('hello')\n")
    request = request_of(track, recipe=None, overrides=(), script=script)
    digest = pace._digest(track.session, request)
    put_run(track, 1, request, held=61, step=55.0, digest=digest)
    assert asked(track, request).seconds == pytest.approx(61)
    assert asked(track, dataclasses.replace(request, nodes=2)).seconds is None
    script.write_text("print('another')\n")
    assert asked(track, request).seconds is None


def test_a_run_that_would_be_stopped_before_its_end_is_told_and_costs_no_more_than_until_then(
    track: RunEnvironment,
) -> None:
    put_run(track, 1, request_of(track))
    found = asked(track, request_of(track, "samples=2560000", max_minutes=10))
    assert found.too_long and found.seconds == pytest.approx(8020)
    assert found.usd == pytest.approx(PRICE / 6)


def test_half_written_files_of_other_runs_do_not_matter(track: RunEnvironment) -> None:
    put_run(track, 1, request_of(track))
    for number, name in enumerate(("run.json", "receipt.json", "summary.json"), 2):
        run_id = put_run(track, number, request_of(track))
        key = f"runs/{run_id}/{name}"
        track.store.s3.put_object(Bucket=track.store.bucket, Key=key, Body=b'{"half')
    assert asked(track, request_of(track)).basis == "one run of the same job"


def test_a_real_run_s_receipt_tells_what_the_next_one_takes(track: RunEnvironment) -> None:
    job = JobSpec(environment="track", recipe="digits", overrides=("samples=10240",), procs_per_node=1)
    run_id = submit(track.session, track.outputs, job).run_id
    wait_for(lambda: not read_run(track.store, run_id).active, 120)
    run = json.loads(track.store.get(run_id, "run.json") or b"{}")
    summary = json.loads(track.store.get(run_id, "summary.json") or b"{}")
    found = asked(track, request_of(track, "samples=10240"))
    assert found.runs == (run_id,) and run["trials"] is None
    assert found.seconds is not None and found.seconds > 40 * summary["step_seconds"]
