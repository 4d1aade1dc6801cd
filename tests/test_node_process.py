"""A job's processes: known by their mark, ended to the last, and not left alone by a killed runner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from node.cause import cause_of, describe_exit
from node.process import MARK, JobProcess, marked_processes
from node.relaunch import Relaunches


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 20 s"
        time.sleep(0.02)


def start(tmp_path: Path, program: str) -> tuple[JobProcess, threading.Event]:
    ended = threading.Event()
    environment = {**os.environ, MARK: str(tmp_path)}
    argv = [sys.executable, "-c", textwrap.dedent(program)]
    return JobProcess(argv, environment, tmp_path, tmp_path / "log", ended.set), ended


@pytest.mark.parametrize(("program", "code"), [("pass", 0), ("raise SystemExit(3)", 3)])
def test_the_exit_code_is_that_of_the_program(tmp_path: Path, program: str, code: int) -> None:
    job, ended = start(tmp_path, program)
    assert ended.wait(20)
    assert job.exit_code == code


def test_a_program_ended_by_a_signal_has_the_shell_s_exit_code(tmp_path: Path) -> None:
    job, ended = start(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert ended.wait(20)
    assert job.exit_code == 128 + signal.SIGKILL
    assert job.killed


@pytest.mark.torch
def test_a_launcher_that_gave_up_on_a_killed_rank_was_not_killed_itself(tmp_path: Path) -> None:
    script, ended = tmp_path / "die.py", threading.Event()
    script.write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    environment = {**os.environ, MARK: str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1])}
    argv = [sys.executable, "-P", "-m", "trainer.launch", "--max-restarts=0", str(script)]
    job = JobProcess(argv, environment, tmp_path, tmp_path / "log", ended.set)
    assert ended.wait(60)
    assert (job.exit_code, job.killed) == (128 + signal.SIGKILL, False)
    assert not Relaunches(tmp_path).allows(killed=job.killed)


def test_output_and_errors_go_to_the_log(tmp_path: Path) -> None:
    _, ended = start(tmp_path, "import sys; print('out', flush=True); print('err', file=sys.stderr)")
    assert ended.wait(20)
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_children_that_moved_to_another_session_are_ended_too(tmp_path: Path) -> None:
    job, ended = start(
        tmp_path,
        """
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        """,
    )
    assert ended.wait(20)
    wait_for(lambda: len(marked_processes(MARK, str(tmp_path))) == 1)
    job.kill_all()
    wait_for(lambda: marked_processes(MARK, str(tmp_path)) == [])


def test_the_job_gets_sigterm_when_its_runner_is_killed(tmp_path: Path) -> None:
    program = f"""
        import os, sys, time
        from pathlib import Path
        from node.process import MARK, JobProcess
        here = Path({str(tmp_path)!r})
        job = "import signal, sys, time; from pathlib import Path;" \\
            "signal.signal(signal.SIGTERM, lambda *_: (Path('told').touch(), sys.exit()));" \\
            "Path('ready').touch(); time.sleep(600)"
        variables = {{**os.environ, MARK: str(here)}}
        JobProcess([sys.executable, "-c", job], variables, here, here / "log", lambda: None)
        time.sleep(600)
    """
    root = Path(__file__).parent.parent
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=root) as runner:
        wait_for((tmp_path / "ready").exists)
        runner.kill()
    wait_for((tmp_path / "told").exists)
    wait_for(lambda: marked_processes(MARK, str(tmp_path)) == [])


TORCHRUN_FAILURE = """\
step 1  loss 2.5
[rank1]: Traceback (most recent call last):
[rank1]:   File "/x/train.py", line 7, in <module>
[rank1]:     main()
[rank1]: ValueError: the learning rate is negative
W1122 11:30:00.000000 1234 site-packages/torch/distributed/elastic/multiprocessing/api.py:900] Sending
E1122 11:30:00.100000 1234 torch/distributed/elastic/multiprocessing/api.py:874] failed (exitcode: 1)
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
/x/train.py FAILED
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-22_11:30:00
  rank      : 1 (local_rank: 0)
  exitcode  : 1 (pid: 1236)
  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html
============================================================
"""


@pytest.mark.parametrize(
    ("log", "code", "cause"),
    [
        (TORCHRUN_FAILURE, 1, "ValueError: the learning rate is negative (exit code 1)"),
        (
            TORCHRUN_FAILURE.replace("exitcode  : 1 ", "exitcode  : 3 ").replace(
                "[rank1]: ValueError: the learning rate is negative\n", ""
            ),
            1,
            "step 1  loss 2.5 (exit code 3)",
        ),
        ("Traceback (most recent call last):\n  File\nKeyError: 'x'\n", 1, "KeyError: 'x' (exit code 1)"),
        ("loss is not a number at step 3\n", 1, "loss is not a number at step 3 (exit code 1)"),
        (
            "out of memory\nfleetform: x is not uploaded: it cannot be read\n",
            1,
            "out of memory (exit code 1)",
        ),
        (
            "step 3\nlauncher: oh\nlauncher: failed: rank 1 (node 0) was ended by SIGKILL in step 4\n",
            1,
            "rank 1 (node 0) was ended by SIGKILL in step 4",
        ),
        (
            "no such file: x.csv\nlauncher: failed: rank 0 (node 0) ended with exit code 3\n",
            3,
            "no such file: x.csv (rank 0 (node 0) ended with exit code 3)",
        ),
        ("step 3\nlauncher: stopped: SIGTERM\n", 75, "SIGTERM"),
        ("step 3\nlauncher: starting again\n", 137, "step 3 (ended by signal 9)"),
        ("", 137, "ended by signal 9"),
        ("", None, "no exit code"),
    ],
)
def test_the_cause_is_the_job_s_own_last_word(log: str, code: int | None, cause: str) -> None:
    assert cause_of(log, code) == cause


def test_an_exit_code_is_told_in_words() -> None:
    assert describe_exit(-15) == describe_exit(143) == "ended by signal 15"
    assert describe_exit(2) == "exit code 2"
