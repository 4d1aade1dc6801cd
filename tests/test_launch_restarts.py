"""Jobs under the launcher that are killed, hang, raise and are told to stop, over gloo."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.launch_jobs import PATIENCE, SCRIPTS, Job, alive, descendants, wait_until
from trainer.launch import kernel

pytestmark = pytest.mark.torch
STEPS = str(SCRIPTS / "steps.py")
TWO = ("--nproc-per-node", "2")


def test_a_dozen_kills_of_ranks_are_a_dozen_restarts_and_no_step_is_lost(tmp_path: Path) -> None:
    with Job(*TWO, STEPS, str(tmp_path), "130") as job:
        seen = 0  # steps of the attempts before: a rank that has done none yet was killed in no step
        for kill in range(12):
            job.wait_for(
                lambda job, kill=kill, seen=seen: len(job.steps) > seen and job.steps[-1] >= 10 * kill + 5
            )
            job.kill(f"rank {kill % 2}")
            job.wait_for(lambda job, kill=kill: len(job.said) > kill)
            seen = len(job.steps)
        assert job.wait() == 0
    assert sorted(set(job.steps)) == list(range(1, 131))
    assert job.said[-1] == "done after 12 restarts"
    for kill, line in enumerate(job.said[:12]):
        who = f"rank {kill % 2} (node 0)"
        assert line.startswith(f"attempt {kill + 1} ended: {who} was ended by SIGKILL in step")


def test_the_death_of_a_process_of_the_launchers_own_costs_a_restart_and_no_more(tmp_path: Path) -> None:
    with Job(*TWO, STEPS, str(tmp_path), "60", FLEETFORM_RUN_DIR=str(tmp_path / "run")) as job:
        job.wait_for(lambda job: job.steps)
        os.kill(job.zygote, signal.SIGKILL)
        job.wait_for(lambda job: len(job.said) == 1)
        before = len(job.steps)
        job.wait_for(lambda job: len(job.steps) > before)
        stores = [pid for pid in descendants(job.process.pid) if _name(pid) == "rank store"]
        os.kill(min(stores), signal.SIGKILL)  # the older one: that of the attempt
        assert job.wait() == 0
    assert "forks the ranks ended (-9)" in job.said[0]
    assert "the ranks' store was lost: ended by SIGKILL" in job.said[1]
    assert job.said[2] == "done after 2 restarts"
    events = [json.loads(line) for line in (tmp_path / "run" / "goodput.jsonl").read_text().splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds.count("attempt_started") == kinds.count("attempt_ended") == 3
    assert kinds[0] == "job_started" and kinds[-1] == "job_ended" and events[-1]["code"] == 0
    assert (tmp_path / "run" / "goodput.json").is_file()


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_nothing_outlives_a_killed_launcher(tmp_path: Path) -> None:
    with Job(*TWO, str(SCRIPTS / "families.py"), str(tmp_path)) as job:
        job.wait_for(lambda job: sum(line == "up" for line in job.lines) == 2)
        below = list(descendants(job.process.pid))
        assert len(below) >= 8  # zygote, two stores, two ranks, a helper and a session leader for each
        job.process.kill()
        wait_until(lambda: not alive(below), 30)


def test_helpers_that_ranks_leave_behind_end_with_the_attempt(tmp_path: Path) -> None:
    with Job(*TWO, str(SCRIPTS / "families.py"), str(tmp_path), "leave") as job:
        assert job.wait() == 0
    helpers = [int(pid) for path in tmp_path.glob("helpers-*") for pid in path.read_text().split()]
    assert len(helpers) == 4
    assert not alive(helpers)


def test_a_rank_that_hangs_is_named_its_stack_shown_and_the_job_goes_on(tmp_path: Path) -> None:
    options = (*TWO, "--hang-minutes", "0.1")
    with Job(*options, STEPS, str(tmp_path), "20", "sleep@15@1") as job:
        assert job.wait() == 0
    cause = next(line for line in job.said if "hung" in line)
    assert "rank 1 hung in step 15 (no step for " in cause
    assert "misbehave (steps.py:" in cause
    assert any("in all_reduce" in line for line in job.lines)  # where rank 0 stood
    assert job.said[-1] == "done after 1 restart"


def test_a_script_that_counts_no_steps_hangs_when_it_is_silent_for_so_long(tmp_path: Path) -> None:
    options = (*TWO, "--hang-minutes", "0.05", "--max-restarts", "0")
    with Job(*options, str(SCRIPTS / "families.py"), str(tmp_path)) as job:
        assert job.wait() == 1
    assert job.said[-1].startswith("failed: the ranks hung (no output for ")


def test_the_same_exception_twice_without_a_step_more_ends_the_job(tmp_path: Path) -> None:
    with Job(*TWO, STEPS, str(tmp_path), "20", "raise!@7@1") as job:
        assert job.wait() == 1
    assert job.said[0].endswith("rank 1 (node 0) in step 7: ValueError: step 7 is a bad one; restart 1")
    assert job.said[1].startswith("failed: rank 1 (node 0) in step 7: ValueError: step 7 is a bad one (twice")
    frames = [line for line in job.lines if "File " in line]
    assert frames and not [
        line for line in frames if "trainer/launch" in line
    ]  # the traceback is the script's


@pytest.mark.parametrize(
    ("told", "code", "cause"),
    [
        ("exit2@3@1", 2, "rank 1 (node 0) ended with exit code 2 in step 3"),
        ("diverge@3@0", 1, "rank 0 (node 0) in step 3: DivergedError: the loss of step 3 is no number"),
    ],
)
def test_what_would_fail_in_the_same_way_again_is_not_tried_again(
    tmp_path: Path, told: str, code: int, cause: str
) -> None:
    with Job(*TWO, STEPS, str(tmp_path), "20", told) as job:
        assert job.wait() == code
    assert job.said == [f"failed: {cause} (it would fail in the same way again)"] or cause in job.said[0]
    assert len(job.said) == 1


def test_running_out_of_memory_uses_no_restart_up(tmp_path: Path) -> None:
    with Job(
        *TWO,
        "--max-restarts",
        "1",
        STEPS,
        str(tmp_path),
        "9",
        "exit76@3@1",
        "exit76@4",
        "exit76@4@1",
        "exit76@5",
    ) as job:
        assert job.wait() == 0
    assert job.said[-1] == "done after 3 restarts"


def test_sigterm_reaches_every_rank_with_the_deadline_and_ends_in_75(tmp_path: Path) -> None:
    with Job(*TWO, "--grace", "20", STEPS, str(tmp_path), "100000") as job:
        job.wait_for(lambda job: job.steps)
        job.process.terminate()
        job.process.terminate()  # whoever told it may tell it again
        assert job.wait() == 75
    left = [int(line.split()[2]) for line in job.lines if line.startswith("stopping with")]
    assert len(left) == 2 and all(0 < seconds <= 20 for seconds in left)
    assert job.said[-1].startswith("stopped: SIGTERM on node 0; saved; the same command goes on")


def test_ranks_that_do_not_stop_are_killed_after_the_grace_and_the_code_says_so(tmp_path: Path) -> None:
    with Job(*TWO, "--grace", "1", str(SCRIPTS / "families.py"), str(tmp_path), "deaf") as job:
        job.wait_for(lambda job: sum(line == "up" for line in job.lines) == 2)
        begun = time.monotonic()
        job.process.terminate()
        assert job.wait() == 128 + signal.SIGTERM
        assert time.monotonic() - begun >= 1.0
    assert job.said[-1] == "stopped: SIGTERM on node 0; not every rank saved in time"


def test_a_script_that_ends_with_0_when_told_to_stop_is_stopped_and_not_done(tmp_path: Path) -> None:
    with Job(*TWO, str(SCRIPTS / "families.py"), str(tmp_path), "kind") as job:
        job.wait_for(lambda job: sum(line == "up" for line in job.lines) == 2)
        job.process.terminate()
        assert job.wait() == 75
    assert job.said[-1] == "stopped: SIGTERM on node 0; no rank failed; the same command goes on"


def test_a_stop_before_the_first_step_ends_in_75_for_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\nprint('up')\ntime.sleep(600)\nimport trainer.run\n")
    with Job(*TWO, str(tmp_path / "slow.py")) as job:
        job.wait_for(lambda job: kernel.children(job.process.pid))
        job.process.terminate()  # there is no rank yet
        assert job.wait() == 75
    with Job(*TWO, str(tmp_path / "slow.py")) as job:
        job.wait_for(lambda job: sum(line == "up" for line in job.lines) == 2)
        job.process.terminate()
        assert job.wait() == 75
    assert job.said[-1] == "stopped: SIGTERM on node 0, before the first step; the same command goes on"


def test_a_second_ctrl_c_kills_at_once(tmp_path: Path) -> None:
    with Job(*TWO, "--grace", str(PATIENCE * 10), str(SCRIPTS / "families.py"), str(tmp_path), "deaf") as job:
        job.wait_for(lambda job: sum(line == "up" for line in job.lines) == 2)
        job.process.send_signal(signal.SIGINT)
        job.wait_for(lambda job: job.said)
        job.process.send_signal(signal.SIGINT)
        assert job.wait() == 130


def test_a_run_directory_that_cannot_be_written_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Job(STEPS, str(tmp_path), "1", FLEETFORM_RUN_DIR=str(tmp_path / "file" / "run")) as job:
        assert job.wait() == 2
    assert job.said[0].startswith("failed: the run directory cannot be written: ")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_python_without_torch_is_one_line_that_names_it(tmp_path: Path, method: str) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")\n")
    paths = f"{tmp_path}{os.pathsep}{SCRIPTS.parents[1]}"
    with Job("--start", method, str(SCRIPTS / "families.py"), str(tmp_path), PYTHONPATH=paths) as job:
        assert job.wait() == 1
    assert len(job.lines) == 1
    assert job.said[0].startswith("failed: node 0: torch cannot be imported by ")
    assert job.said[0].endswith(": ModuleNotFoundError: No module named 'torch'")
