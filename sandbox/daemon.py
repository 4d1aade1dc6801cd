"""Starts, finds and stops the embedded cloud: one background process per working folder (standard library).

The server holds a lock on a file for as long as it lives. Its record (process, port) is believed only while
that lock is held, so a crash leaves nothing to clean up: the kernel drops the lock and closes the port.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.asking import SandboxError as SandboxError
from sandbox.asking import ask
from sandbox.place import CLOUD_NAME, Place, write_atomically, write_json
from sandbox.processes import SANDBOX_VARIABLE, end_marked
from sandbox.slurm_packages import SlurmMissingError as SlurmMissingError
from sandbox.slurm_packages import find_slurm
from sandbox.variables import PLUGIN_VARIABLE, client_variables, plugin_command

_DAY_SECONDS = 86400
_FORWARD_SECONDS = 300.0
"""How long one step of the clock may take: everything that falls due runs in it."""
_ANSWER_SECONDS = 30.0
STOP_SECONDS = 15.0
"""How long a server may take to stop its nodes before it is killed."""


@dataclass(frozen=True)
class Status:
    """A running embedded cloud."""

    pid: int
    port: int
    started: str
    """UTC, ISO 8601."""
    endpoint: str
    cores_per_node: int
    scheduler: str = "plain"
    """What carries out the runs of every environment: `plain` or `slurm`."""
    layout: str = "loopback"
    """How the machines share this computer: `loopback`, with Slurm `namespaces` or `ports`."""


def start(home: Path, *, cores_per_node: int = 1, scheduler: str = "plain", wait_s: float = 60) -> Status:
    """Return the working folder's embedded cloud, started where none runs, and make it the project's choice.

    `cores_per_node` is the number of this machine's cores that each emulated node gets; `scheduler` is
    `plain` or `slurm`. Both are ignored where the cloud already runs. Raises SandboxError with the end of the
    server's log if it is not up in `wait_s`, SlurmMissingError where Slurm is wanted and cannot be had.
    """
    place = Place(home.resolve())
    place.folder.mkdir(parents=True, exist_ok=True)
    place.folder.chmod(0o700)  # machines' keys lie below
    with _locked(place.start_lock):
        write_atomically(place.aws_config, "[default]\n")
        running = status(home) or _launch(place, cores_per_node, scheduler, wait_s)
        variables = client_variables(place, running.endpoint)
        write_json(
            place.cloud_file,
            {**variables, "FLEETFORM_SCHEDULER": running.scheduler, PLUGIN_VARIABLE: plugin_command()},
        )
        write_atomically(place.choice, f"{CLOUD_NAME}\n")
    return running


def status(home: Path) -> Status | None:
    """Return the running embedded cloud of this working folder, or None."""
    place = Place(home.resolve())
    if not is_held(place.lock):
        return None
    try:
        return Status(**json.loads(place.record.read_text()))
    except FileNotFoundError:  # it holds the lock and is not ready yet, or is on its way out
        return None


def stop(home: Path) -> bool:
    """Stop the embedded cloud and every emulated node's processes; return whether it was running.

    The project's choice of cloud stays: a later command then refuses instead of reaching for a real account.
    """
    place = Place(home.resolve())
    if not place.folder.is_dir():
        return False
    with _locked(place.start_lock):
        running = status(home)
        if running is not None:
            _signal(running.pid, signal.SIGTERM)
            if not _wait_for_release(place.lock, STOP_SECONDS):
                _signal(running.pid, signal.SIGKILL)
                _wait_for_release(place.lock, STOP_SECONDS)
        end_marked(SANDBOX_VARIABLE, str(place.folder), grace_s=0)
    return running is not None


def forward(home: Path, days: int) -> str:
    """Put the cloud's clock forward, a day at a time, and return its time; what falls due is called.

    Raises SandboxError where no cloud runs, or where what was called did not end.
    """
    said: dict[str, Any] = {}
    for _ in range(days):
        said = _ask(home, "clock", {"forward_s": _DAY_SECONDS}, _FORWARD_SECONDS)
        if not said["idle"]:
            raise SandboxError(f"at {said['now']} a function is still running; see `aws logs`")
    return str(said["now"])


def interrupt(home: Path, instance_id: str, after_s: float) -> str:
    """Give a spot instance EC2's notice that it ends after so many seconds; return that time (UTC).

    Raises SandboxError where no cloud runs, or with the reason why the instance can't be taken back.
    """
    ends = float(_ask(home, "interrupt", {"instance_id": instance_id, "after_s": after_s})["ends_at"])
    return datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def kill(home: Path, machine: str, environment: str = "") -> str:
    """Take a machine's power away: nothing of it runs any more, EC2 calls it terminated. Returns its id.

    It is named by its instance's id, or in an environment by its name in Slurm or as `head`. Raises
    SandboxError where no cloud runs, or no such machine.
    """
    return str(_ask(home, "kill", {"machine": machine, "environment": environment})["instance_id"])


def faults(home: Path, method: str = "GET", body: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
    """Return the faults in force, after `POST` of one more, or `DELETE` of one (`{"id": 3}`) or of all.

    Raises SandboxError where no cloud runs, and with every problem of a fault that is refused.
    """
    answer: list[dict[str, Any]] = _ask(home, "faults", body, method=method)
    return answer


def _ask(
    home: Path,
    page: str,
    body: Mapping[str, object] | None,
    wait_s: float = _ANSWER_SECONDS,
    *,
    method: str = "POST",
) -> Any:
    """Ask the cloud's own endpoint; SandboxError with its reason, or where no cloud runs."""
    running = status(home)
    if running is None:
        raise SandboxError("the embedded cloud is not running")
    return ask(running.endpoint, method, page, body, wait_s)


def is_held(lock: Path) -> bool:
    """Return whether a living process holds the lock file."""
    try:
        handle = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _launch(place: Place, cores_per_node: int, scheduler: str, wait_s: float) -> Status:
    """Start the server and wait until it says through a pipe that it answers."""
    prefix = find_slurm() if scheduler == "slurm" else None
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "sandbox.server", "--home", str(place.home)]
    command += ["--cores-per-node", str(cores_per_node), "--scheduler", scheduler, "--ready-fd", str(writer)]
    command += ["--slurm-prefix", str(prefix)] if prefix else []
    # The package may be a checkout that is on sys.path only because of the working directory.
    source = str(Path(__file__).parents[1])
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    with place.log.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=place.folder,
            # moto uses boto3 itself: the user's own account must not be within its reach either.
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
                **client_variables(place, ""),
                "PYTHONPATH": os.pathsep.join(paths),
            },
            pass_fds=[writer],
            start_new_session=True,  # ctrl-C in the terminal is not meant for it
        )
    os.close(writer)
    try:
        readable, _, _ = select.select([reader], [], [], wait_s)
        ready = bool(readable) and os.read(reader, 16) == b"ready"
    finally:
        os.close(reader)
    running = status(place.home) if ready else None
    if running is None:
        process.kill()
        process.wait()
        raise SandboxError(_why_not(place, wait_s, crashed=bool(readable)))
    process.returncode = 0  # it is to outlive us; else its Popen object warns when it is collected
    return running


def _why_not(place: Place, wait_s: float, *, crashed: bool) -> str:
    """Return the sentence for a server that did not come up, with the last lines that it wrote."""
    what = "the embedded cloud ended while it started" if crashed else f"no embedded cloud after {wait_s:g} s"
    lines = place.log.read_text(errors="replace").splitlines()[-5:]
    return "\n".join([f"{what}; the end of {place.log}:", *(f"    {line}" for line in lines)])


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold the lock file while the block runs, waiting for whoever holds it."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _wait_for_release(lock: Path, seconds: float) -> bool:
    """Return whether the lock became free within so many seconds."""
    deadline = time.monotonic() + seconds
    while is_held(lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    """Signal a process that may have ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
