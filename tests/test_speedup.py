"""What several processes are worth: the arithmetic, its sentences, and the trials of `fleetform speedup`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.errors import ActError
from fleet.job import JobSpec
from fleet.job_digest import job_digest
from fleet.speedup import (
    NOISE_PERCENT,
    Trial,
    _key,
    count_problems,
    evaluate,
    keep,
    known_trials,
    trial_job,
    trial_of,
    trial_order,
    trial_overrides,
)
from fleet.speedup_runs import _in_one_go, _launch, local_command, local_trials
from node.job_environment import job_environment
from node.layout import speedup_key
from node.part import RunPart
from node.speedup import LEAST_STEPS, Curve, fit, point_of, projected_step, speedup_of, stops_paying
from node.speedup_lines import speedup_lines
from scripts import cli
from stacks.problems import UserError
from tests.test_job import request

RUN: dict[str, Any] = {"nodes": 2, "procs_per_node": 4, "price_usd_per_hour": 36.0, "trials": None}
SUMMARY: dict[str, Any] = {
    "steps": 100, "timed_steps": 99, "torch_version": "2.13", "samples": 25600, "epoch_samples": 2560,
    "step_seconds": 0.125, "train_seconds": 13.0,
    "world_size": 8, "device": "NVIDIA H100", "compute_seconds": 0.1, "other_seconds": 0.01,
}  # fmt: skip


def test_the_curve_through_two_points_is_amdahl_s_and_no_part_of_it_is_negative() -> None:
    curve = fit({1: 10.0, 2: 6.0})
    assert (curve.serial, curve.parallel) == (pytest.approx(2.0), pytest.approx(8.0))
    better_than_linear = fit({1: 10.0, 2: 4.0, 4: 2.0})
    assert better_than_linear.serial == 0.0
    assert fit({1: 5.0, 2: 6.0}).parallel == 0.0
    for serial, parallel in ((0.5, 7.0), (0.0, 3.0)):
        points = {n: serial + parallel / n for n in (1, 2, 4, 8)}
        found = fit(points)
        assert (found.serial, found.parallel) == (pytest.approx(serial), pytest.approx(parallel))


def test_more_stop_paying_where_a_doubling_cuts_less_than_the_promise() -> None:
    # 2 + 8/n: 10, 6 (-40 %), 4 (-33 %), 3 (-25 %)
    curve = Curve(2.0, 8.0)
    points = {n: curve.seconds(n) for n in (1, 2)}
    assert stops_paying(points, points) == {"processes": 4, "basis": "projected"}
    points = {n: curve.seconds(n) for n in (1, 2, 4, 8)}
    assert stops_paying(points, points) == {"processes": 4, "basis": "measured"}
    assert stops_paying(points, {1, 2, 4}) == {"processes": 4, "basis": "projected"}
    assert stops_paying({1: 1.0, 2: 0.5}, {1, 2}) == {"none_up_to": 4096, "basis": "projected"}
    assert stops_paying({1: 1.0, 2: 0.5}, {1, 2}, most=12) == {"none_up_to": 8, "basis": "projected"}
    assert stops_paying({1: 1.0, 2: 0.5}, {1, 2}, most=2) == {"none_up_to": 2, "basis": "measured"}
    assert stops_paying({2: 1.0}, {2}) is None


def test_one_process_computes_all_and_waits_for_nobody() -> None:
    assert projected_step(SUMMARY) == pytest.approx(8 * 0.1 + 0.01)
    assert projected_step({"step_seconds": 1.0}) is None
    crowded = {"step_seconds": 1.0, "no_projection": "2 processes of 1 threads share 1 processors"}
    assert speedup_of(RUN, crowded, 9.0)["why"] == (
        "not measured, for 2 processes of 1 threads share 1 processors: run `fleetform speedup`"
    )


def test_a_receipt_without_trials_projects_and_says_so() -> None:
    found = speedup_of(RUN, SUMMARY, 20.0)
    assert found["one_process"]["basis"] == "projected"
    # 100 steps and half a second beside them, as saves are, which one process has as well.
    assert (found["train_seconds"], found["train_seconds_one_process"]) == (13.0, pytest.approx(81.5))
    assert found["step_speed_up"] == pytest.approx(0.81 / 0.125, abs=1e-3)
    assert found["speed_up"] == pytest.approx(81.5 / 13, abs=1e-3)
    assert found["efficiency_percent"] == 78.4
    assert (found["cut_percent"], found["promise"]) == (84.0, "kept")
    # An epoch has ten steps; eight GPUs are two nodes, and one takes a node too.
    assert found["cost"]["per"] == "epoch"
    assert found["cost"]["usd"] == pytest.approx(10 * 0.125 / 3600 * 72)
    assert found["cost"]["usd_one_process"] == pytest.approx(10 * 0.81 / 3600 * 36)
    assert speedup_lines(found) == [
        "training took 13.0 s on 8 GPUs (100 steps of 125 ms), on one 81.5 s (810 ms a step; "
        "projected from its share of computing)",
        "the time is cut by 84.0%: the promise of 30% is kept (projected); efficiency 78.4%",
        "an epoch costs $0.025, $0.081 on one (list price)",
        f"more than {found['stops_paying']['processes']} stop paying: the next doubling cuts less than 30% "
        "(projected, without communication that grows)",
    ]
    few = speedup_of(RUN, {**SUMMARY, "samples": 800, "compute_seconds": 0.124, "other_seconds": 0.0}, None)
    assert few["stops_paying"] == {"none_up_to": 8, "basis": "projected"}
    assert speedup_lines(few)[-1] == (
        "no limit to what pays was found up to 8 (projected, without communication that grows)"
    )


def test_the_promise_is_judged_by_the_whole_training() -> None:
    slow_to_save = {**SUMMARY, "train_seconds": 1000.0}
    found = speedup_of(RUN, slow_to_save, None)
    assert (found["cut_percent"], found["promise"], found["step_speed_up"]) == (6.4, "missed", 6.48)


def test_a_receipt_with_trials_measures_and_says_how_far_the_projection_was_off() -> None:
    points = [{"processes": 1, "seconds": 0.9}, {"processes": 4, "seconds": 0.24}]
    found = speedup_of(
        {**RUN, "trials": {"source": "run r", "measure": "step", "points": points}}, SUMMARY, 20.0
    )
    assert found["one_process"] == {
        "seconds": 0.9, "basis": "measured", "projected_seconds": pytest.approx(0.81),
        "projection_error_percent": -10.0, "source": "run r",
    }  # fmt: skip
    assert (found["speed_up"], found["step_speed_up"]) == (6.962, 7.2)
    assert "measured by run r; the projection is off by -10.0%)" in speedup_lines(found)[0]
    assert "promise of 30% is kept; efficiency" in speedup_lines(found)[1]


def test_a_slower_run_has_missed_the_promise_and_one_process_has_none_to_keep() -> None:
    slow = {**SUMMARY, "step_seconds": 1.0}
    found = speedup_of(RUN, slow, None)
    assert found["promise"] == "missed" and found["cut_percent"] < 0
    assert speedup_lines(found)[1].startswith("it takes 23.5% more time: the promise of 30% is missed")
    alone = speedup_of({**RUN, "nodes": 1, "procs_per_node": 1}, {**SUMMARY, "world_size": 1}, None)
    assert (alone["promise"], alone["cut_percent"], alone["stops_paying"]) == ("not applicable", 0.0, None)
    assert speedup_lines(alone)[0] == (
        "training took 13.0 s on 1 GPU (100 steps of 125 ms); the promised cut of 30% is for several"
    )


def test_a_script_that_tells_no_steps_is_measured_by_trials_alone() -> None:
    unknown = speedup_of(RUN, None, 50.0)
    assert unknown["why"] == "not measured: run `fleetform speedup`"
    assert speedup_lines(unknown) == ["speed-up of 8 processes: not measured: run `fleetform speedup`"]
    points = [{"processes": 1, "seconds": 200.0}]
    known = speedup_of({**RUN, "trials": {"source": "run r", "measure": "run", "points": points}}, None, 50.0)
    assert (known["speed_up"], known["measure"], known["cost"]["per"]) == (4.0, "run", "run")
    assert speedup_lines(known)[0] == (
        "training took 50.0 s on 8 processes, on one 200.0 s (measured by run r)"
    )
    # Steps are not compared with whole runs.
    other = speedup_of({**RUN, "trials": {"measure": "step", "points": points}}, None, 50.0)
    assert "why" in other
    assert speedup_of(RUN, None, None)["why"] == "the run did not get far enough"
    assert speedup_of({**RUN, "recipe": "digits"}, None, 50.0)["why"] == (
        "the run ended before its summary was written"
    )


def test_a_run_on_one_process_measures_for_the_larger_ones_of_its_job() -> None:
    one = {**RUN, "nodes": 1, "procs_per_node": 1, "run_id": "r", "job_digest": "d"}
    point = point_of(one, speedup_of(one, SUMMARY, None), "t")
    assert point == {
        "source": "run r", "time": "t", "measure": "step", "timed_steps": 99, "torch_version": "2.13",
        "points": [{"processes": 1, "seconds": 0.125}],
    }  # fmt: skip
    assert (speedup_key("d"), speedup_key("d", one=True)) == (_key("d"), _key("d", ".one"))
    assert point_of({**RUN, "run_id": "r", "job_digest": "d"}, speedup_of(RUN, SUMMARY, None), "t") is None
    assert point_of({**one, "trial": True}, speedup_of(one, SUMMARY, None), "t") is None
    known = speedup_of(
        {**RUN, "trials": {**point, "points": [{"processes": 1, "seconds": 1.0}]}}, SUMMARY, None
    )
    assert (known["step_speed_up"], known["one_process"]["source"]) == (8.0, "run r")


@pytest.mark.parametrize(
    ("run", "summary"),
    [
        ({}, {"timed_steps": LEAST_STEPS - 1}),
        ({}, {"restarts": 1}),
        ({}, {"resumed_from_step": 50}),
        ({"attempt": 2}, {}),
        ({}, {"step_seconds": 0.0}),
    ],
)
def test_a_short_or_interrupted_run_on_one_process_measures_for_nobody(
    run: dict[str, Any], summary: dict[str, Any]
) -> None:
    one = {**RUN, "nodes": 1, "procs_per_node": 1, "run_id": "r", "job_digest": "d"}
    assert point_of(one, speedup_of(one, SUMMARY, 50.0), "t") is not None
    found = speedup_of({**one, **run}, {**SUMMARY, **summary}, 50.0)
    assert point_of({**one, **run}, found, "t") is None


def test_another_torch_or_on_a_cpu_other_threads_make_another_measure() -> None:
    trials = {"source": "run r", "measure": "step", "points": [{"processes": 1, "seconds": 1.0}]}
    for device, differs, basis in (
        ("cpu", {"threads_per_process": 2}, "projected"),
        ("cpu", {"threads_per_process": 1}, "measured"),
        ("NVIDIA H100", {"threads_per_process": 2}, "measured"),
        ("NVIDIA H100", {"torch_version": "2.6"}, "projected"),
    ):
        summary = {**SUMMARY, "device": device, "threads_per_process": 1}
        found = speedup_of({**RUN, "trials": {**trials, **differs}}, summary, None)
        assert found["one_process"]["basis"] == basis


def test_a_script_s_time_counts_only_where_it_ran_in_one_go() -> None:
    trials = {"source": "t", "measure": "run", "points": [{"processes": 1, "seconds": 600.0}]}
    run = {**RUN, "trials": trials}
    assert speedup_of(run, None, 400.0)["cut_percent"] == 33.3
    for found in (
        speedup_of({**run, "attempt": 2}, None, 400.0),
        speedup_of(run, None, 400.0, restarted=True),
    ):
        assert found["why"] == "it did not run in one go, so its time tells nothing"


def trials(*times: tuple[int, float], **changes: Any) -> list[Trial]:
    return [Trial(count, count, "step", seconds, **changes) for count, seconds in times]


def test_trials_go_up_and_down_and_make_a_table() -> None:
    assert trial_order([1, 2, 4], 2) == [1, 2, 4, 4, 2, 1]
    assert trial_order([1, 2], 3) == [1, 2, 2, 1, 1, 2]
    found = evaluate(
        trials((1, 1.0), (2, 0.55), (4, 0.325), (4, 0.325), (2, 0.55), (1, 1.02), epoch_steps=36.0), 10.0, 1
    )
    assert found["claimed"] and found["noise_percent"] == 2.0
    one, two, four = found["points"]
    assert (one["seconds"], one["promise"], "doubling" in one) == (1.01, "not applicable", False)
    assert (two["speed_up"], two["efficiency_percent"]) == (1.836, 91.8)
    assert two["usd"] == pytest.approx(0.55 * 36 * 2 * 10 / 3600)
    assert four["doubling"] == {"less_time_percent": 40.9, "more_cost_percent": 18.2}
    assert [row["processes"] for row in found["projected"]] == [8, 16, 32]
    assert found["projected"][0]["doubling"]["less_time_percent"] > 0
    assert found["cost_per"] == "epoch"


def test_trials_that_differ_from_themselves_claim_nothing() -> None:
    found = evaluate(trials((1, 1.0), (2, 0.5), (2, 0.5), (1, 1 + NOISE_PERCENT / 100 + 0.01)), 10.0, 1)
    assert not found["claimed"]
    assert found["projected"] == [] and "stops_paying" not in found
    assert all("speed_up" not in row and "doubling" not in row for row in found["points"])


def test_a_trial_keeps_the_job_and_shortens_a_recipe() -> None:
    job = JobSpec(environment="e", recipe="digits", overrides=("samples=99999", "global_batch=64"), nodes=9)
    assert trial_overrides("digits", job.overrides, 60) == (
        "global_batch=64", "samples=3840", "program=false",
    )  # fmt: skip
    made = trial_job(job, 6, procs_per_node=4, steps=60)
    assert (made.nodes, made.procs_per_node, made.threads_as_for) == (2, 3, 4)
    with pytest.raises(UserError, match="can't be spread evenly"):
        trial_job(job, 5, procs_per_node=4, steps=60)
    assert local_command(job, 2, 60)[-6:] == [
        "-m", "trainer", "digits", "global_batch=64", "samples=3840", "program=false",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "repeats", "steps", "paths"),
    [
        ([], 2, 60, {"--procs"}),
        ([0, 1], 2, 60, {"--procs"}),
        ([1, 1], 2, 60, {"--procs"}),
        ([2, 4], 1, 5, {"--procs", "--repeats", "--steps"}),
        ([1, 2], 2, 60, set()),
    ],
)
def test_wrong_counts_are_all_named(counts: list[int], repeats: int, steps: int, paths: set[str]) -> None:
    assert {problem.path for problem in count_problems(counts, repeats, steps)} == paths


def test_the_same_job_has_the_same_digest_whatever_its_length_and_size() -> None:
    first = job_digest(request(recipe="digits"), "", "d")
    assert job_digest(request(recipe="digits", overrides=("samples=512",), nodes=2), "", "d") == first
    for same in ("log_every=1", "eval_every=5", "keep_checkpoints=9", "fresh=true", "hang_minutes=3"):
        assert job_digest(request(recipe="digits", overrides=(same,)), "", "d") == first
    for slower in (
        "micro_batch=1", "compile=off", "device=cpu", "sharding=fsdp", "activation_checkpointing=on",
        "precision=bf16", "checkpoint_every=1",
    ):  # fmt: skip
        assert job_digest(request(recipe="digits", overrides=(slower,)), "", "d") != first
    assert job_digest(request(recipe="digits", overrides=("global_batch=64",)), "", "d") != first
    assert job_digest(request(recipe="digits"), "", "other") != first


def test_a_run_s_receipt_and_summary_become_a_trial() -> None:
    receipt = {"run_id": "r", "speedup": {"measure": "step", "seconds": 0.5, "torch_version": "2.13"}}
    summary = {"epoch_samples": 1000, "steps": 10, "samples": 100, "samples_per_s": 20.0}
    assert trial_of(2, 1, receipt, summary) == Trial(
        2, 1, "step", 0.5, "r", 20.0, 100.0, {"torch_version": "2.13"}
    )  # fmt: skip


def test_a_process_has_the_same_threads_in_each_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    config: Any = SimpleNamespace(region="r", artifact_bucket="b", python="p", run_dir=lambda run: run)
    part = RunPart("r", 0, 1, "a", 1)
    for run, threads in (({"procs_per_node": 1}, "8"), ({"procs_per_node": 1, "threads_as_for": 4}, "2")):
        inputs: Any = SimpleNamespace(
            run=run, attached=SimpleNamespace(variables={}), data_dir="d", code_dir="c", python="p"
        )
        assert job_environment(config, part, inputs)["OMP_NUM_THREADS"] == threads


def test_a_trial_that_was_restarted_ends_the_series_with_a_word() -> None:
    run = {**RUN, "nodes": 1, "procs_per_node": 2}
    with pytest.raises(ActError, match="a trial on 2 processes was restarted"):
        _in_one_go(speedup_of(run, {**SUMMARY, "restarts": 1}, 9.0), 2)


class S3:
    """A bucket in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, **request: Any) -> None:
        self.objects[request["Key"]] = request["Body"]

    def get_object(self, **request: Any) -> dict[str, Any]:
        if request["Key"] not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[request["Key"]])}


def test_trials_that_claimed_nothing_take_back_what_was_known_before_them() -> None:
    s3 = S3()
    assert known_trials(s3, "b", "d") is None

    def run_on_one(time: str) -> None:
        point = {"source": "run r", "time": time, "measure": "step", "points": []}
        s3.put_object(Key=speedup_key("d", one=True), Body=json.dumps(point).encode())

    run_on_one("2000")
    assert (known_trials(s3, "b", "d") or {})["source"] == "run r"
    times = ((1, 1.0), (2, 0.55), (2, 0.55), (1, 1.0))
    keep(s3, "b", "d", evaluate(trials(*times, alike={"torch_version": "2.13"}), None, 1))
    known = known_trials(s3, "b", "d") or {}
    assert known["source"].startswith("trials of 20")
    assert known["points"] == [{"processes": 1, "seconds": 1.0}, {"processes": 2, "seconds": 0.55}]
    assert known["torch_version"] == "2.13"
    keep(s3, "b", "d", evaluate(trials(*times, (1, 2.0)), None, 1))
    assert known_trials(s3, "b", "d") is None
    run_on_one("2999")
    assert (known_trials(s3, "b", "d") or {})["source"] == "run r"


@pytest.mark.torch
def test_a_script_without_steps_is_tried_on_this_machine_by_its_whole_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "work.py"
    script.write_text("import os, time\ntime.sleep(2 / int(os.environ['WORLD_SIZE']))\n")
    cli.main(["speedup", "--local", "--procs", "1,2", "--json", "--", str(script)])
    found = json.loads(capsys.readouterr().out)
    assert found["measure"] == "run"
    one, two = found["points"]
    assert one["seconds"] > 2 and two["seconds"] > 1
    script.write_text("raise ValueError('no such column: price')\n")
    job = JobSpec(environment="local", script=script)
    with pytest.raises(ActError, match="no such column: price"):
        local_trials(job, [1], steps=60, repeats=2, on_trial=lambda *told: None)


def test_a_trial_on_this_machine_sees_nothing_of_a_run_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETFORM_CHECKPOINTS_URL", "s3://another/run")
    monkeypatch.setattr(
        "fleet.speedup_runs.local_command",
        lambda *job: ["bash", "-c", 'test -z "$FLEETFORM_CHECKPOINTS_URL"'],
    )
    assert _launch(JobSpec(environment="local", script=tmp_path), 1, 1, 60, tmp_path) > 0


def test_the_command_refuses_what_it_can_t_try(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["speedup"]) == 2
    assert "no environment is named" in capsys.readouterr().err
    assert cli.main(["speedup", "--local", "--recipe", "digit", "--procs", "2"]) == 2
    assert "which is not among the counts" in capsys.readouterr().err
    assert cli.main(["speedup", "--local", "--recipe", "digit", "--procs", "1,2"]) == 2
    assert "did you mean 'digits'?" in capsys.readouterr().err
