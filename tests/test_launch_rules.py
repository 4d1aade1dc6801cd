"""The launcher's rules, one by one: restarts, causes, hangs, options, output, what is imported ahead."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any

import pytest

from tests.launch_jobs import ROOT, wait_until
from trainer.configs.settings import ConfigError
from trainer.launch import ahead, hang, kernel
from trainer.launch.causes import Death, aborted_text, first_cause
from trainer.launch.coordinator import Coordinator
from trainer.launch.endings import Asked, Verdict, ended_as_asked, well_ended
from trainer.launch.environment import attempt_environment
from trainer.launch.hang import (
    PATIENT_SECONDS,
    SHORTEST_SECONDS,
    HangWatch,
    Standing,
    Stuck,
    guilty,
)
from trainer.launch.inquiry import HangInquiry
from trainer.launch.options import parse_options
from trainer.launch.output import Output
from trainer.launch.policy import Decision, Failure, History, decide, failure_of
from trainer.launch.pulse import PHASES, Pulse, PulsePage, Reading
from trainer.launch.report import Report
from trainer.launch.stacks import code_of_interest, in_own_code, waits_for_others

KILLED = Failure("killed", -9, step=50)
RAISED = Failure("raised", 1, step=50, text="ValueError: shard 3 of 0x7f01")


def decisions(*failures: Failure, max_restarts: int | None = None) -> list[Decision]:
    """Return what is decided about failures that follow one another."""
    history, made = History(), []
    for failure in failures:
        made.append(decide(history, failure, max_restarts))
        history = made[-1].history
    return made


def test_progress_renews_the_budget_for_ever() -> None:
    made = decisions(*(Failure("killed", -9, step=step) for step in range(1, 200)), max_restarts=2)
    assert all(each.restart and each.pause_seconds == 0 for each in made)
    assert made[-1].history.restarts == 199


def test_a_program_that_fails_without_a_step_more_has_three_restarts_with_growing_pauses() -> None:
    made = decisions(*(Failure("raised", 1, step=50, text=f"{kind}Error") for kind in "ABCDE"))
    assert [each.restart for each in made] == [True, True, True, False, False]
    assert [each.pause_seconds for each in made[:3]] == [0, 1, 2]
    assert made[3].why_not == "3 restarts brought it no further"


def test_what_comes_from_outside_has_ten_restarts_and_the_users_own_number_wins() -> None:
    hung = Failure("hung", 1, step=50, outside=True)
    for failure in (KILLED, hung):
        assert sum(each.restart for each in decisions(*[failure] * 14)) == 10
        assert sum(each.restart for each in decisions(*[failure] * 14, max_restarts=5)) == 5
    raised = [Failure("raised", 1, step=50, text=f"Error{chr(65 + n)}") for n in range(14)]
    assert sum(each.restart for each in decisions(*raised, max_restarts=5)) == 5


def test_a_script_that_trains_several_times_is_not_taken_for_one_that_stands_still() -> None:
    second = [Failure("killed", -9, step=step, falls=1) for step in (5, 10, 20)]
    third = [Failure("killed", -9, step=step, falls=2) for step in (3, 8)]
    made = decisions(Failure("killed", -9, step=100), *second, *third, max_restarts=1)
    assert all(each.restart and each.history.without_progress == 1 for each in made)
    resumed = Failure("killed", -9, step=30)  # after a restart the trainings that are done may not count
    assert decisions(*second, resumed, max_restarts=1)[-1].restart
    assert not decisions(*[second[0]] * 3, max_restarts=1)[-1].restart


def test_the_same_exception_at_the_same_step_is_not_tried_a_third_time() -> None:
    other = Failure("raised", 1, step=50, text="ValueError: shard 4 of 0x8e02")  # numbers differ, no more
    assert [each.restart for each in decisions(RAISED, other)] == [True, False]
    another = Failure("raised", 1, step=50, text="OSError: disk")
    assert [each.restart for each in decisions(RAISED, another)] == [True, True]


def test_a_script_that_counts_no_steps_has_the_whole_budget_and_renews_it_by_lasting() -> None:
    short, long = Failure("killed", -9, seconds=5), Failure("killed", -9, seconds=600)
    assert sum(each.restart for each in decisions(*[short] * 12)) == 10
    assert all(each.restart for each in decisions(*[long] * 30))


@pytest.mark.parametrize(
    "failure",
    [Failure("mistake", 2, step=3), Failure("nan", 1, step=3, text="DivergedError: step 3 is no number")],
)
def test_mistakes_and_divergence_are_final(failure: Failure) -> None:
    assert not decisions(failure)[0].restart


def test_a_smaller_micro_batch_is_tried_until_it_cannot_be_smaller() -> None:
    made = decisions(*[Failure("memory", 76, step=0)] * 40, max_restarts=1)
    assert sum(each.restart for each in made) >= 24
    assert not made[-1].restart


def test_no_restarts_means_none() -> None:
    assert not decisions(KILLED, max_restarts=0)[0].restart


def death(rank: int, code: int, ago: float, text: str = "", **more: Any) -> Death:
    values = {"step": 7, "phase": "training", "told": False, "falls": 0, "short_of_memory": False, **more}
    return Death(rank=rank, node=0, code=code, text=text, seconds_ago=ago, **values)


@pytest.mark.parametrize(
    "loss",
    [
        "RuntimeError: [../gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:56963.",
        "torch.distributed.DistBackendError: NCCL error: remote process exited or there was a network error",
        "torch.distributed.DistNetworkError: The client socket has failed to connect",
    ],
)
def test_a_rank_that_lost_its_peer_is_not_the_cause_though_it_ended_first(loss: str) -> None:
    cause = first_cause([death(0, 1, 2.0, loss), death(1, -9, 1.0), death(2, -9, 0.5, told=True)])
    assert cause is not None
    assert cause.describe() == "rank 1 (node 0) was ended by SIGKILL in step 8"


def test_the_earliest_of_several_failures_is_the_cause() -> None:
    found = first_cause([death(0, 1, 1.0, "ValueError: late"), death(1, 1, 3.0, "ValueError: early")])
    assert found is not None and found.rank == 1


def test_a_kill_for_want_of_memory_says_so() -> None:
    text = death(1, -9, 0, short_of_memory=True, phase="saving").describe()
    assert text.endswith("SIGKILL saving, 7 steps done: the kernel ended a process for want of memory")


def test_an_abort_in_cpp_is_told_by_what_it_wrote() -> None:
    said = ["terminate called after throwing an instance of 'c10::Error'", "  what():  a bad thing", "more"]
    assert aborted_text(said) == "a bad thing"


def test_kills_for_want_of_memory_are_counted_in_the_own_control_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kernel.kills_for_memory() >= 0  # whatever this machine has
    monkeypatch.setattr(kernel, "_own_group", lambda controller: tmp_path)
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert kernel.kills_for_memory() == 3  # version 1
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\noom 5\noom_kill 4\n")
    assert kernel.kills_for_memory() == 4  # version 2


@pytest.mark.parametrize("broken", [{}, {"rank": "x"}, {"rank": 0, "node": 0, "code": None}])
def test_a_malformed_death_is_an_error_that_the_coordinator_expects(broken: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Death.from_message(broken)
    whole = death(1, -9, 0.5)
    assert Death.from_message(whole.to_message()) == whole


def reading(step: int, beat: float, phase: str = "training", hang_after: float = 0.0) -> Reading:
    return Reading(step, beat, phase, hang_after, "", 0.0, 0, 0)


def test_a_rank_hangs_after_twenty_median_steps_or_a_minute() -> None:
    watch = HangWatch(None, now=0.0)
    for step in range(1, 31):
        assert watch.look({0: reading(step, step * 10.0)}, now=step * 10.0 + 5) is None
    assert watch.look({0: reading(30, 300.0)}, now=300.0 + 199) is None
    assert watch.look({0: reading(30, 300.0)}, now=300.0 + 201) is not None
    quick = HangWatch(None, now=0.0)
    for step in range(1, 31):
        quick.look({0: reading(step, step * 0.1)}, now=step * 0.1)
    assert quick.look({0: reading(30, 3.0)}, now=3.0 + SHORTEST_SECONDS - 1) is None
    assert quick.look({0: reading(30, 3.0)}, now=3.0 + SHORTEST_SECONDS + 1) is not None


@pytest.mark.parametrize("phase", [phase for phase in PHASES if phase != "training"])
def test_whatever_is_no_step_has_a_quarter_of_an_hour(phase: str) -> None:
    watch = HangWatch(1.0, now=0.0)
    for step in range(20):
        watch.look({0: reading(step, 1.0 + step)}, now=1.0 + step)
    assert watch.look({0: reading(20, 21.0, phase)}, now=21.0 + PATIENT_SECONDS - 1) is None
    assert watch.look({0: reading(20, 21.0, phase)}, now=21.0 + PATIENT_SECONDS + 1) is not None


def test_the_first_steps_may_compile() -> None:
    watch = HangWatch(None, now=0.0)
    watch.look({0: reading(0, 1.0)}, now=1.0)
    assert watch.look({0: reading(3, 4.0)}, now=4.0 + SHORTEST_SECONDS * 5) is None


def test_the_ranks_own_limit_holds_where_the_launcher_has_none_and_one_without_beats_is_left_alone() -> None:
    watch = HangWatch(None, now=0.0)
    for step in range(3):
        watch.look({0: reading(step, 1.0 + step, hang_after=5.0)}, now=1.0 + step)
    found = watch.look({0: reading(2, 3.0, hang_after=5.0), 1: reading(0, 0.0)}, now=9.0)
    assert found is not None and (found.local_rank, found.step) == (0, 2)
    assert HangWatch(1.0, now=0.0).look({0: reading(0, 0.0)}, now=1e6) is None


WAITS = [
    "Thread 0x00007f (most recent call first):",
    '  File "/x/threading.py", line 1 in wait',
    "Current thread 0x00007f01 (most recent call first):",
    '  File "/x/torch/distributed/distributed_c10d.py", line 3252 in all_reduce',
    '  File "/home/me/train.py", line 7 in <module>',
]
SLEEPS = ["Current thread 0x00007f01 (most recent call first):", '  File "/home/me/train.py", line 9 in load']


def test_stacks_tell_who_waits_for_whom() -> None:
    assert waits_for_others(WAITS) is True
    assert waits_for_others(SLEEPS) is False
    assert waits_for_others(["nothing"]) is None
    waiting, busy = Standing(0, 5, True, ""), Standing(1, 5, False, "load (train.py:9)")
    assert guilty([waiting, busy]) == [busy]
    assert guilty([waiting, Standing(1, 5, None, "")]) == [
        Standing(1, 5, None, "")
    ]  # stopped: it says nothing
    assert guilty([waiting, Standing(1, 4, True, "")]) == [Standing(1, 4, True, "")]  # a step behind
    assert guilty([waiting, Standing(1, 5, True, "")]) == []


def test_a_models_forward_pass_inside_its_replica_is_no_waiting_and_a_user_frame_is_found() -> None:
    head = "Current thread 0x00007f01 (most recent call first):"
    mine = '  File "/home/me/train.py", line 9 in validate'
    forward = [head, '  File "/x/torch/nn/modules/linear.py", line 1 in forward',
               '  File "/x/torch/nn/parallel/distributed.py", line 2 in _run_ddp_forward', mine]  # fmt: skip
    assert waits_for_others(forward) is False
    assert waits_for_others([head, *forward[2:]]) is True  # it hands its buffers round
    library = '  File "/v/lib/site-packages/torch/nn/modules/linear.py", line 1 in forward'
    ours = f'  File "{Path(hang.__file__).parents[1]}/engine/feed.py", line 3 in step'
    assert str(code_of_interest([head, library, mine])) == "validate (train.py:9)"
    assert in_own_code([head, library, mine])
    assert not in_own_code([head, library, ours, mine])  # the trainer's own code waits for something
    assert not in_own_code(["nothing"])


def stuck(seconds: float, final: bool = False) -> Stuck:
    return Stuck(0, 36, "training", seconds, 60.0, final)


def test_an_inquiry_waits_for_all_machines_and_names_rank_phase_place_and_limit() -> None:
    inquiry = HangInquiry(stuck(63.2), {0, 1}, now=0.0)
    inquiry.hear(0, [Standing(0, 36, True, "")])
    assert not inquiry.complete(1.0)
    inquiry.hear(1, [Standing(1, 36, False, "load (train.py:9)", own=True)])
    assert inquiry.complete(1.0)
    assert not inquiry.excuse  # rank 0 waits for it
    told = "rank 1 hung in step 37 (no step for 63 s, allowed were 60 s; training, in load (train.py:9)); "
    assert (
        inquiry.judge()
        == f'{told}if that was no hang: with run.phase("evaluating"), or a longer hang_minutes'
    )
    late = HangInquiry(stuck(63.2), {0, 1}, now=0.0)
    late.hear(0, [Standing(0, 36, True, "")])
    assert late.complete(31.0)
    assert late.judge() == "all ranks hung in step 37 (no step for 63 s, allowed were 60 s; training)"


def test_ranks_that_all_compute_something_of_their_own_have_a_quarter_of_an_hour() -> None:
    alone = Standing(0, 36, False, "validate (train.py:9)", own=True)
    for found, hung in (
        ([alone, replace(alone, rank=1)], False),
        (
            [alone, replace(alone, rank=1, own=False)],
            True,
        ),  # it waits inside the trainer, for a GPU or for data
        ([alone, replace(alone, rank=1, waits=None)], True),  # it is stopped
        ([replace(alone, phase="evaluating"), Standing(1, 36, True, "")], False),
    ):
        for final in (False, True):
            inquiry = HangInquiry(stuck(63.2, final), {0}, now=0.0)
            inquiry.hear(0, found)
            assert bool(inquiry.excuse) is not (hung or final)


def test_nobody_hangs_while_one_rank_evaluates_alone_within_its_limit() -> None:
    watch = HangWatch(None, now=0.0)
    for step in range(30):
        watch.look({rank: reading(step, 1.0 + step) for rank in (0, 1)}, now=1.0 + step)
    apart = {0: reading(29, 30.0, "evaluating"), 1: reading(29, 30.0)}
    assert watch.look(apart, now=30.0 + SHORTEST_SECONDS * 3) is None
    found = watch.look(apart, now=30.0 + PATIENT_SECONDS + 1)
    assert found is not None and found.final
    assert Stuck.from_message(asdict(found)) == found


def test_all_mistakes_of_a_command_line_are_told_at_once(tmp_path: Path) -> None:
    words = ["--nnodes", "2", "--node-rank", "2", "--grace", "-1", "--nproc-per-node", "many", "missing.py"]
    with pytest.raises(ConfigError) as caught:
        parse_options(words)
    for name in (
        "--node-rank: 2",
        "--grace: -1.0",
        "--nproc-per-node: 'many'",
        "missing.py: there is no such",
    ):
        assert any(problem.startswith(name) for problem in caught.value.problems), name


def test_what_follows_the_script_is_the_scripts(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("")
    options = parse_options(["--nproc_per_node=4", "--standalone", str(script), "--nnodes", "7", "-m"])
    assert (options.nproc_per_node, options.nnodes) == (4, 1)
    assert options.arguments == ("--nnodes", "7", "-m") and not options.is_module
    module = parse_options(["-m", "pkg.train", "--max-restarts=3"])
    assert module.is_module and module.target == "pkg.train" and module.max_restarts is None


def test_cores_are_counted_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert parse_options(["--nproc-per-node", "auto", "-m", "x"]).nproc_per_node == len(
        os.sched_getaffinity(0)
    )
    with pytest.raises(ConfigError, match="this machine shows no GPU"):
        parse_options(["--nproc-per-node", "gpu", "-m", "x"])


def test_spot_is_watched_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLEETFORM_SPOT", "AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert not parse_options(["-m", "x"]).watches_spot
    assert parse_options(["--spot", "on", "-m", "x"]).watches_spot
    monkeypatch.setenv("FLEETFORM_SPOT", "1")
    assert parse_options(["-m", "x"]).watches_spot
    assert not parse_options(["--spot", "off", "-m", "x"]).watches_spot


def test_lines_of_ranks_are_whole_prefixed_and_none_is_lost(tmp_path: Path) -> None:
    target = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    output = Output(prefix=True)
    output.start()
    first, second = output.pipe(0, 0, target), output.pipe(1, 1, target)
    os.write(first, b"one ")
    os.write(second, b"two two\nthr")
    os.write(first, b"one\n")
    os.write(second, b"ee\nno end")
    os.close(second)
    os.close(first)
    output.drain(10.0)
    wait_until(lambda: (tmp_path / "out").read_text().count("\n") == 4, 10)
    os.close(target)
    lines = (tmp_path / "out").read_text().splitlines()
    assert sorted(lines) == ["[rank 0] one one", "[rank 1] no end", "[rank 1] three", "[rank 1] two two"]


def test_the_beginning_of_a_line_is_shown_when_its_end_does_not_come(tmp_path: Path) -> None:
    target = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    output = Output()
    output.start()
    pipe = output.pipe(0, 0, target)
    os.write(pipe, b" 40% done\r")
    wait_until(lambda: (tmp_path / "out").read_bytes() == b" 40% done\r", 10)
    os.close(pipe)
    output.drain(10.0)
    os.close(target)


def test_a_pulse_tells_the_launcher_where_a_rank_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    page = PulsePage(2)
    monkeypatch.setenv("FLEETFORM_PULSE_FD", str(page.fd))
    monkeypatch.setenv("LOCAL_RANK", "1")
    pulse = Pulse.open()
    assert pulse.listened_to and pulse.deadline() is None
    pulse.phase("saving")
    pulse.beat(50)
    pulse.beat(41)
    pulse.hang_after(90.0)
    pulse.micro_batch(16)
    pulse.cause("ValueError: ö" * 100)
    pulse.cause("a later one")
    found = page.read(1)
    assert (found.step, found.phase, found.hang_after, found.micro_batch) == (41, "saving", 90.0, 16)
    assert found.falls == 1
    assert found.cause.startswith("ValueError: ö") and "later" not in found.cause
    assert abs(found.beat - time.monotonic()) < 60
    assert page.read(0) == Reading(0, 0.0, "starting", 0.0, "", 0.0, 0, 0)
    page.set_deadline(30.0)
    left = pulse.deadline()
    assert left is not None and 0 < left <= 30
    page.clear()
    assert page.read(1).step == 0 and pulse.deadline() is None


def test_a_pulse_without_a_launcher_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEETFORM_PULSE_FD", raising=False)
    pulse = Pulse.open()
    pulse.beat(1)
    pulse.cause("nothing")
    assert not pulse.listened_to and pulse.deadline() is None


def test_our_modules_are_imported_ahead_only_for_a_program_that_means_them(tmp_path: Path) -> None:
    mine, other, beside = tmp_path / "mine.py", tmp_path / "other.py", tmp_path / "beside"
    mine.write_text("from trainer.run import Run\n")
    other.write_text("import torch\n")
    beside.mkdir()
    (beside / "trainer.py").write_text("")
    (beside / "mine.py").write_text("from trainer.run import Run\n")
    assert "trainer.run" in ahead.ours(str(mine), is_module=False)
    assert "trainer.train" in ahead.ours("trainer", is_module=True)
    assert ahead.ours(str(other), is_module=False) == ()
    assert ahead.ours(str(beside / "mine.py"), is_module=False) == ()
    assert ahead.ours("no.such.module", is_module=True) == ()


def test_a_script_that_sets_what_torch_reads_on_import_imports_it_itself(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import torch\n")
    assert ahead.later(str(script), is_module=False) == ahead.LATER
    script.write_text("import os\nos.environ['TORCHINDUCTOR_MAX_AUTOTUNE'] = '1'\nimport torch\n")
    assert ahead.later(str(script), is_module=False) == ()


def test_the_launcher_itself_needs_nothing_but_the_standard_library() -> None:
    parts = ("__main__", "launcher", "spot")
    program = f"import sys, {', '.join(f'trainer.launch.{part}' for part in parts)}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    outside = {name.split(".")[0] for name in loaded} - sys.stdlib_module_names - {"trainer"}
    assert {name for name in outside if not name.startswith(("_", "sphinxcontrib"))} <= {"__main__"}


def test_all_ranks_see_machine_0s_count_of_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    order = {"attempt": 0, "port": 4711, "launch": "2"}
    seen = {"MASTER_PORT": "4711", "TORCHELASTIC_RESTART_COUNT": "0"}
    monkeypatch.setenv("FLEETFORM_LAUNCH", "1")
    assert attempt_environment(order) == {**seen, "FLEETFORM_LAUNCH": "2"}
    monkeypatch.setenv("FLEETFORM_LAUNCH", "2")
    assert attempt_environment(order) == seen


@pytest.fixture
def running() -> tuple[Coordinator, list[dict[str, Any]]]:
    """A coordinator whose one attempt runs, and what it has ordered since."""
    ordered: list[dict[str, Any]] = []
    options = parse_options([str(ROOT / "tests" / "launch_scripts" / "steps.py")])
    coordinator = Coordinator(options, lambda node, order: ordered.append(order), Report(options))
    coordinator.joined(0)
    coordinator.on_message(0, {"is": "store", "id": 0, "port": 1})
    assert ordered.pop()["do"] == "start"
    return coordinator, ordered


def test_work_between_steps_is_asked_about_again_and_ended_only_when_somebody_waits(
    running: tuple[Coordinator, list[dict[str, Any]]],
) -> None:
    coordinator, ordered = running
    alone = Standing(0, 36, False, "validate (train.py:9)", own=True)

    def silent(seconds: float, *standings: Standing) -> list[str]:
        ordered.clear()
        coordinator.on_message(0, {"is": "stuck", "attempt": 0, **asdict(stuck(seconds))})
        answer = [list(astuple(each)) for each in standings]
        coordinator.on_message(0, {"is": "stacks", "attempt": 0, "standings": answer})
        coordinator.tick(time.monotonic())
        return [order["do"] for order in ordered]

    assert silent(61.0, alone) == ["dump"]
    assert silent(121.0, alone) == []  # not before twice the time has passed
    assert silent(123.0, alone) == ["dump"]
    assert silent(250.0, alone, Standing(1, 36, True, "")) == ["dump", "stop"]


def test_what_failed_before_the_stop_does_not_decide_unless_it_is_final() -> None:
    def end(*deaths: Death, late: bool = False, **how: bool) -> tuple[int, str]:
        failure = failure_of("", deaths, 9.0)
        asked = Asked("SIGTERM on node 0", 143, late)
        verdict = ended_as_asked(asked, deaths, failure, **{"resumes": True, "final": False, **how})
        return verdict.code, verdict.text

    raised, saved = death(1, 1, 2.0, "ValueError: x"), death(0, 75, 0.1, told=True)
    told = "stopped: SIGTERM on node 0; just before, rank 1 (node 0) in step 8: ValueError: x"
    assert end(raised, saved) == (75, told)
    assert end(raised, saved, resumes=False)[0] == 143
    assert end(raised, saved, final=True) == (1, "failed: rank 1 (node 0) in step 8: ValueError: x")
    assert end(replace(raised, told=True), saved)[1].startswith("failed: while stopping: rank 1")
    killed = death(1, -9, 0.0, told=True)
    assert end(killed, saved) == (143, "stopped: SIGTERM on node 0; not every rank saved in time")
    assert end(killed, saved, late=True)[0] == 75
    for early in ({"step": None, "phase": "starting"}, {"step": 0, "phase": "restoring"}):
        assert end(replace(killed, **early), saved)[0] == 75
    assert end(replace(killed, step=None, phase="starting"), saved, resumes=False)[0] == 143


def test_a_rank_that_was_told_while_it_finished_has_finished() -> None:
    told, asked = death(0, 0, 0.0, told=True), Asked("SIGTERM on node 0", 143, late=False)
    assert well_ended([told], asked, 0).code == 75
    assert well_ended([replace(told, phase="finishing")], asked, 0) == Verdict(0, "done")
    assert well_ended([death(0, 0, 0.0)], asked, 1) == Verdict(0, "done after 1 restart")


def test_a_child_that_cannot_be_killed_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    kill = os.kill
    others = kernel.children(os.getpid())
    with subprocess.Popen(["sleep", "600"]) as held:
        monkeypatch.setattr(kernel.os, "kill", lambda pid, number: None)  # as inside a driver
        assert kernel.kill_children(keep=others, seconds=0.1) == [held.pid]
        monkeypatch.setattr(kernel.os, "kill", kill)
        assert kernel.kill_children(keep=others) == []
