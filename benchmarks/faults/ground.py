"""What a round trip stands on: a project of its own, an embedded cloud of its own, and commands in it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.faults.disk import SmallDisk
from fleet import aws
from fleet.cloud import Cloud, choose_cloud
from fleet.project import Project
from fleet.session import Session, open_session
from fleet.terraform_find import child_environment
from sandbox import daemon
from sandbox.asking import ask
from sandbox.processes import end_marked, kill_marked
from stacks import naming

ROOT = Path(__file__).resolve().parents[2]
NAME, ORGANIZATION, REGION = "trip", "faults", "us-east-1"
_MARK = "FLEETFORM_CAMPAIGN"
"""Set for every command and whatever it starts; the cloud and its machines do not have it."""
_POLL_SECONDS = 0.05
COMMAND_SECONDS = 420.0
"""A command that has not ended by then is killed, and its scenario has not converged."""
MACHINE_SECONDS = 60.0
"""How long a machine is waited for that an earlier fault has ended: its group starts another."""
ACCOUNT = f"""\
organization = "{ORGANIZATION}"
region = "{REGION}"

[ledger]
retention_days = 1

[lease]
max_days = 3660
"""
ENVIRONMENT = f"""\
name = "{NAME}"
team = "faults"
owner = "faults@example.com"
region = "{REGION}"
lease_ends = 2035-12-31

[network]
cidr = "10.66.0.0/24"
zones = 1

[head]
instance_type = "t3.medium"

[fleets.gpu]
instance_type = "g5.xlarge"
nodes = 1
max_nodes = 1
purchase = "spot"

[scheduler]
kind = "plain"

[budget]
usd_per_month = 10000.0

[artifacts]
on_teardown = "delete"

[datasets]
on_teardown = "delete"
"""
WORK = """\
import os
import pathlib
import time

with open({traces!r}, "a") as traces:
    traces.write(os.environ["FLEETFORM_RUN_ID"] + " " + os.environ["FLEETFORM_LAUNCH"] + "\\n")
time.sleep(0.5)
pathlib.Path(os.environ["FLEETFORM_RUN_DIR"], "result.txt").write_text("done\\n" * 1000)
"""
"""What every run does: it leaves a trace outside of the cloud, and a result."""


@dataclass
class Done:
    """A command that has ended."""

    code: int
    said: str
    seconds: float


@dataclass
class Ground:
    """A project and its cloud."""

    folder: Path
    project: Project
    endpoint: str
    variables: Mapping[str, str]
    mark: str
    disk: SmallDisk | None
    """None where no small disk can be had on this computer."""
    _outputs: int = field(default=0)

    @property
    def cloud(self) -> Cloud:
        """The cloud as fleet/ knows it."""
        return choose_cloud(self.project, "sandbox")

    @property
    def traces(self) -> Path:
        """A line for each execution of a run's program: the run's id and the number of its start."""
        return self.folder / "traces"

    def session(self) -> Session:
        """Return a new session of the environment."""
        return open_session(NAME, "sandbox", project=self.project)

    def admin(self, method: str, page: str, body: Mapping[str, object] | None = None) -> Any:
        """Ask the cloud's own endpoint."""
        return ask(self.endpoint, method, page, body, 60.0)

    def machine(self, role: str) -> str:
        """Return the id of a running machine of that role, which may be on its way."""
        filters = [
            {"Name": f"tag:{naming.TAG_ENVIRONMENT}", "Values": [NAME]},
            {"Name": f"tag:{naming.TAG_ROLE}", "Values": [role]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        ec2, deadline = aws.client(self.cloud, "ec2", REGION), time.monotonic() + MACHINE_SECONDS
        while True:
            found = ec2.describe_instances(Filters=filters)["Reservations"]
            if found:
                return str(found[0]["Instances"][0]["InstanceId"])
            assert time.monotonic() < deadline, f"there is no {role} to hit"
            time.sleep(1.0)

    def start(self, *words: str) -> Running:
        """Start a fleetform command as a user types it, in a session of its own."""
        self._outputs += 1
        output = self.folder / f"output-{self._outputs}.txt"
        with output.open("wb") as file:
            child = subprocess.Popen(
                [sys.executable, "-m", "scripts.cli", *words],
                cwd=self.project.root,
                env=dict(self.variables),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Running(child, output, time.monotonic())

    def run(self, *words: str) -> Done:
        """Run a command to its end."""
        return self.start(*words).wait()

    def kill_everything(self) -> None:
        """Kill every command and all that it has started, Terraform too: the user's machine is gone."""
        kill_marked(_MARK, self.mark)

    def close(self) -> None:
        """End the cloud, and whatever a command has left behind."""
        end_marked(_MARK, self.mark, grace_s=0)
        daemon.stop(self.folder / "cloud")
        if self.disk is not None:
            self.disk.unmount()


@dataclass
class Running:
    """A command that runs."""

    child: subprocess.Popen[bytes]
    output: Path
    begun: float

    def wait(self, meanwhile: Callable[[], None] = lambda: None) -> Done:
        """Return how it ends, with `meanwhile` called again and again."""
        while self.child.poll() is None:
            meanwhile()
            if time.monotonic() > self.begun + COMMAND_SECONDS:
                self.kill()
            time.sleep(_POLL_SECONDS)
        said = self.output.read_text(errors="replace")
        return Done(self.child.returncode, said, time.monotonic() - self.begun)

    def kill(self) -> None:
        """Kill the command; Terraform, which has a session of its own, goes on."""
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)


def make_ground(folder: Path, *, small_disk: bool) -> Ground:
    """Declare the environment in a new project below the folder, and start its cloud."""
    root, cloud_home = folder / "project", folder / "cloud"
    root.mkdir()
    disk = SmallDisk(root) if small_disk else None
    project = Project(root=root, home=root / ".fleetform")
    for file, text in {
        root / "environments" / "account.toml": ACCOUNT,
        root / "environments" / f"{NAME}.toml": ENVIRONMENT,
        root / "code" / "work.py": WORK.format(traces=str(folder / "traces")),
    }.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    running = daemon.start(cloud_home)
    clouds = project.home / "clouds"
    clouds.mkdir(parents=True)
    shutil.copy(cloud_home / "clouds" / "sandbox.json", clouds)
    mark = uuid.uuid4().hex
    variables = child_environment({**os.environ, **choose_cloud(project, "sandbox").process_environment()})
    variables |= {
        "FLEETFORM_HOME": str(project.home),
        "FLEETFORM_CLOUD": "sandbox",
        "PYTHONPATH": str(ROOT),
        _MARK: mark,
    }
    return Ground(folder, project, running.endpoint, variables, mark, disk)
