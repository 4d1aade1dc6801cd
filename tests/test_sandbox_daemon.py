"""The embedded cloud's life: one process per folder, found again, and nothing left after a crash."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.cloud import Cloud, choose_cloud
from fleet.project import Project
from sandbox import daemon
from sandbox.processes import SANDBOX_VARIABLE, marked
from tests.sandbox_helpers import api, run_instances, wait_for

pytestmark = pytest.mark.sandbox
ROOT = Path(__file__).parents[1]
LINGER = "#!/bin/sh\nsetsid sleep 600 &\nsleep 600 &\n"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    daemon.stop(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a cloud that runs, for who leaves it running."""
    folder = tmp_path_factory.mktemp("shared")
    daemon.start(folder)
    yield folder
    daemon.stop(folder)


def cloud_of(home: Path) -> Cloud:
    return choose_cloud(Project(root=home, home=home))


def has_ended(pid: int) -> bool:
    """Return whether the process is gone, or is a zombie that this test's process has not waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def processes_of(home: Path) -> list[int]:
    return marked(SANDBOX_VARIABLE, str(home / "sandbox"))


def test_a_second_start_finds_the_first(shared: Path) -> None:
    first = daemon.start(shared)
    assert daemon.start(shared) == first
    assert daemon.status(shared) == first


def test_starts_at_the_same_time_make_one(home: Path) -> None:
    program = (
        "import sys, pathlib; from sandbox import daemon; print(daemon.start(pathlib.Path(sys.argv[1])).pid)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, home], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    pids = {process.communicate(timeout=60)[0].strip() for process in started}
    running = daemon.status(home)
    assert running is not None
    assert pids == {str(running.pid)}


def test_it_listens_on_loopback_alone(shared: Path) -> None:
    port = daemon.start(shared).port
    listening = {
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    }
    assert listening == {f"0100007F:{port:04X}"}


def test_a_start_makes_it_the_projects_cloud_and_a_stop_leaves_it_so(home: Path) -> None:
    endpoint = daemon.start(home).endpoint
    assert cloud_of(home).endpoint == endpoint
    assert daemon.stop(home)
    assert daemon.status(home) is None
    assert cloud_of(home).name == "sandbox"
    assert not daemon.stop(home)


def test_the_port_is_taken_again(home: Path) -> None:
    before = daemon.start(home).port
    daemon.stop(home)
    assert daemon.start(home).port == before


def test_a_port_that_another_took_is_not_fought_over(home: Path) -> None:
    before = daemon.start(home).port
    daemon.stop(home)
    with socket.create_server(("127.0.0.1", before)):
        after = daemon.start(home).port
    assert after != before


def test_stop_ends_the_nodes_with_everything_that_they_started(home: Path) -> None:
    daemon.start(home)
    run_instances(cloud_of(home), user_data=LINGER)
    wait_for(lambda: len(processes_of(home)) == 2)
    daemon.stop(home)
    assert processes_of(home) == []


def test_a_kill_leaves_no_lock_no_port_and_no_process_of_a_node(home: Path) -> None:
    running = daemon.start(home)
    run_instances(cloud_of(home), user_data=LINGER)
    wait_for(lambda: len(processes_of(home)) == 2)
    os.kill(running.pid, signal.SIGKILL)
    wait_for(lambda: not daemon.is_held(home / "sandbox/lock"))
    assert daemon.status(home) is None
    wait_for(lambda: processes_of(home) == [])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", running.port)) != 0
    again = daemon.start(home)
    assert (again.pid == running.pid, again.port == running.port) == (False, True)
    assert not (home / "sandbox/nodes").exists()


def test_a_cloud_whose_folder_was_deleted_ends_with_its_nodes(home: Path) -> None:
    running = daemon.start(home)
    run_instances(cloud_of(home), user_data=LINGER)
    wait_for(lambda: len(processes_of(home)) == 2)
    shutil.rmtree(home / "sandbox", ignore_errors=True)  # it removes its machines' files itself meanwhile
    wait_for(lambda: has_ended(running.pid))
    assert processes_of(home) == []


def test_a_stale_record_is_not_believed(home: Path) -> None:
    record = home / "sandbox/server.json"
    record.parent.mkdir()
    record.write_text(json.dumps({"pid": os.getpid(), "port": 1, "endpoint": "http://127.0.0.1:1"}))
    assert daemon.status(home) is None


def test_a_server_that_does_not_come_up_says_why(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "moto").mkdir()
    (home / "moto/__init__.py").write_text("raise ImportError('broken on purpose')")
    monkeypatch.setattr(daemon, "__file__", str(home / "moto/x"))  # puts the broken package first
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with pytest.raises(daemon.SandboxError, match="broken on purpose"):
        daemon.start(home)
    assert daemon.status(home) is None


def serve(home: Path, ready: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sandbox.server", "--home", home, "--ready-fd", str(ready)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, pass_fds=[ready], stderr=subprocess.PIPE)


def test_a_server_outlives_a_start_that_was_killed_and_is_found_by_the_next(home: Path) -> None:
    (home / "sandbox").mkdir()
    reader, writer = os.pipe()
    os.close(reader)  # nobody waits for it any more
    with serve(home, writer) as process:
        os.close(writer)
        assert wait_for(lambda: daemon.status(home)).pid == process.pid
        assert daemon.start(home).pid == process.pid
        daemon.stop(home)


def test_a_second_server_for_the_same_folder_refuses(shared: Path) -> None:
    with serve(shared, os.open(os.devnull, os.O_WRONLY)) as process:
        _, said = process.communicate(timeout=60)
    assert (process.returncode, b"already runs" in said) == (1, True)


def test_the_users_own_profile_and_keys_do_not_leak_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "company")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREALREALREALREAL")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real")
    daemon.start(home)
    environment = {**cloud_of(home).process_environment(), "AWS_DEFAULT_REGION": "us-east-1"}
    program = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr) == ("123456789012", "")
    assert api(cloud_of(home), "sts").get_caller_identity()["Account"] == "123456789012"


def test_each_folder_has_a_cloud_of_its_own(home: Path, shared: Path) -> None:
    assert daemon.start(home).port != daemon.start(shared).port
    api(cloud_of(home), "s3").create_bucket(Bucket="mine")
    assert api(cloud_of(shared), "s3").list_buckets()["Buckets"] == []
