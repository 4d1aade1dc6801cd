"""A bare Slurm cluster with the clerk before it and the embedded cloud's S3 behind it; runs are scripts.

Every node has a folder of its own that stands for its disk; benchmarks use it, too:

    with clerk_lab(cloud, "lab", nodes=3) as lab:
        run_id = lab.submit("echo hello")
        lab.wait_for_end(run_id)
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.aws import client
from fleet.cloud import Cloud
from fleet.submit import new_run_id
from node.cluster.facts import cluster_key
from node.layout import FINAL_EVENTS
from templates.engine import render
from templates.node_files import NodeCommand
from templates.slurm_files import JobScript
from tests.cluster_facts import cluster_told, fleet_told
from tests.slurm_cluster import SlurmCluster, slurm_cluster, wait_until

REGION = "us-east-1"
ROOT = Path(__file__).parent.parent
HEAD = "head"
TEAM = "red"
"""The default team; `blue` is a further one."""
HASTY = "SlurmdTimeout=5\nMessageTimeout=2\n"
"""For who waits until Slurm notices by itself that a node has died."""
PATIENT = "SlurmdTimeout=60\nMessageTimeout=10\n"
"""For all others: as on real machines, so that a busy one loses no node in passing."""
_SHIM = """\
#!/bin/sh
while IFS= read -r variable; do export "${{variable?}}"; done <"{folder}/${{SLURMD_NODENAME:-head}}.env"
exec "$FLEETFORM_ROOT/opt/fleetform/bin/{name}" "$@"
"""


@dataclass
class ClerkLab:
    """One cluster, its clerk, its bucket."""

    slurm: SlurmCluster
    s3: Any
    bucket: str
    variables: Mapping[str, str]
    """Environment of programs on the head."""
    clerk: subprocess.Popen[bytes] | None = None
    run_ids: list[str] = field(default_factory=list)

    def start_clerk(self) -> None:
        """Start the clerk, and wait until it is at its desk."""
        with (self.slurm.machine.logs / "clerk.log").open("ab") as log:
            self.clerk = subprocess.Popen(
                [sys.executable, "-m", "node.slurm.clerk", "--runs-only"],
                env=dict(self.variables), cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_until(self._answers, "the clerk")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(f"{self.variables['FLEETFORM_RUN']}/clerk.sock")
            return True
        return False

    def kill_clerk(self) -> None:
        """Kill the clerk and whatever it has started."""
        if self.clerk is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.clerk.pid, signal.SIGKILL)
            self.clerk.wait()
            self.clerk = None

    def put(self, run_id: str, name: str, body: bytes) -> None:
        """Write a file of a run's directory."""
        self.s3.put_object(Bucket=self.bucket, Key=f"runs/{run_id}/{name}", Body=body)

    def get(self, run_id: str, name: str) -> bytes | None:
        """Return a file of a run's directory; None without one."""
        try:
            return bytes(self.s3.get_object(Bucket=self.bucket, Key=f"runs/{run_id}/{name}")["Body"].read())
        except self.s3.exceptions.NoSuchKey:
            return None

    def get_json(self, run_id: str, name: str) -> Any:
        """Return a JSON file of a run's directory; {} without one."""
        return json.loads(self.get(run_id, name) or b"{}")

    def write_run(self, script: str, of: str = TEAM, **changes: Any) -> str:
        """Write what a run of a team needs, as `fleetform run` does; return its id."""
        run_id = (f"{of}-" if of != TEAM else "") + new_run_id()
        run = {
            "run_id": run_id, "environment": "lab", "fleet": "gpu", "recipe": "", "script": "x.sh",
            "team": of, "nodes": 1, "procs_per_node": 1, "max_minutes": 5, "price_usd_per_hour": 3.6,
            "code": None, "dataset": None, "actor": "tests", "submitted": _now(), "scheduler": "slurm",
            **changes,
        }  # fmt: skip
        self.put(run_id, "launch.sh", script.encode())
        array = run.get("array")
        for index in range(array["first"], array["last"] + 1) if isinstance(array, dict) else ():
            about = {"run_id": f"{run_id}-a{index}", "array": None, "array_of": run_id, "array_index": index}
            self.put(f"{run_id}-a{index}", "run.json", json.dumps({**run, **about}).encode())
        self.put(run_id, "run.json", json.dumps(run).encode())
        self.run_ids.append(run_id)
        return run_id

    def ask(self, module: str, run_id: str, team: str = TEAM, *more: str) -> tuple[int, str]:
        """Run a program on the head, as a document does; return its exit code and what it said."""
        done = subprocess.run(
            [sys.executable, "-m", f"node.{module}", *more, "--run-id", run_id, "--team", team],
            env=dict(self.variables), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, (done.stdout + done.stderr).strip()

    def submit(self, script: str, team: str = TEAM, **changes: Any) -> str:
        """Submit a run that must be taken; return its id."""
        run_id = self.write_run(script, team, **changes)
        code, said = self.ask("submit", run_id, team)
        assert code == 0, said
        return run_id

    def act(self, act: str, run_id: str, team: str = TEAM) -> tuple[int, str]:
        """Act on a run in the queue."""
        return self.ask("queue", run_id, team, "--act", act)

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """Return the run's events."""
        return [json.loads(line) for line in (self.get(run_id, "events.jsonl") or b"").splitlines()]

    def names(self, run_id: str) -> list[str]:
        """Return the names of its events, each once in a row."""
        names = [event["event"] for event in self.events(run_id)]
        return [name for name, before in zip(names, ["", *names], strict=False) if name != before]

    def cause(self, run_id: str) -> str:
        """Return what its last event says."""
        detail = self.events(run_id)[-1]["detail"]
        return str(detail.get("cause") or detail.get("reason") or "")

    def wait_for(self, run_id: str, is_so: Callable[[list[str]], bool], seconds: float = 40) -> None:
        """Wait until the names of its events are so."""
        wait_until(
            lambda: is_so(self.names(run_id)), run_id, seconds,
            lambda: f"{self.events(run_id)}\n{self.story()}",
        )  # fmt: skip

    def wait_for_event(self, run_id: str, event: str, count: int = 1, seconds: float = 40) -> None:
        """Wait until it has had that event so often."""
        self.wait_for(run_id, lambda names: names.count(event) >= count, seconds)

    def wait_for_end(self, run_id: str, seconds: float = 60) -> str:
        """Wait for its end and return its final event."""
        self.wait_for(run_id, lambda names: bool(names) and names[-1] in FINAL_EVENTS, seconds)
        return str(self.events(run_id)[-1]["event"])

    def log(self, run_id: str, rank: int = 0) -> str:
        """Return a node's log."""
        return (self.get(run_id, f"logs/node-{rank}.log") or b"").decode()

    def queue(self) -> dict[str, Any]:
        """Return the published queue, by run."""
        found = self.s3.get_object(Bucket=self.bucket, Key=cluster_key("queue.json"))["Body"].read()
        return {each["run_id"]: each for each in json.loads(found)["jobs"]}

    def story(self) -> str:
        """Return how Slurm has its nodes, and what the clerk and the batch steps have said."""
        nodes = self.slurm.run("sinfo", "--noheader", "--Node", "--format=%N %T %E", check=False)
        files = [
            self.slurm.machine.logs / "clerk.log",
            *self.slurm.base.glob("disks/*/var/fleetform/jobs/*.log"),
        ]
        told = (f"{file}:\n{file.read_text()[-3000:]}" for file in files if file.is_file())
        return "\n".join([nodes, *told])


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())


@contextlib.contextmanager
def clerk_lab(cloud: Cloud, name: str, **options: Any) -> Iterator[ClerkLab]:
    """Start a cluster (`options`: slurm_cluster's) with a clerk; end it with all that belongs to it."""
    extra = f"{HASTY}KillWait=10\n" + options.pop("extra", "")
    accounting = bool(options.get("accounting"))
    with slurm_cluster(extra=extra, **options) as slurm:
        s3 = client(cloud, "s3", REGION)
        bucket = f"clerk-tests-{name}"
        s3.create_bucket(Bucket=bucket)
        facts = json.dumps(_facts(slurm, accounting)).encode()
        s3.put_object(Bucket=bucket, Key=cluster_key("cluster.json"), Body=facts)
        machines = slurm.base / "programs"
        for each in (HEAD, *slurm.nodes):
            _make_disk(cloud, slurm, each, bucket)
        for program in ("job", "fleetform-node"):
            shim = machines / "bin" / program
            shim.write_text(_SHIM.format(folder=machines, name=program))
            shim.chmod(0o755)
        variables = {**cloud.process_environment(), **_variables(cloud, slurm, HEAD)}
        variables["PYTHONPATH"] = str(ROOT)
        lab = ClerkLab(slurm, s3, bucket, variables)
        try:
            lab.start_clerk()
            yield lab
        finally:
            lab.kill_clerk()


def _variables(cloud: Cloud, slurm: SlurmCluster, name: str) -> dict[str, str]:
    run = slurm.machine.run if name == HEAD else slurm.base / f"run-{name}"
    run.mkdir(exist_ok=True)
    return {
        **cloud.variables,
        "AWS_DEFAULT_REGION": REGION,
        "FLEETFORM_ROOT": str(_disk(slurm, name)),
        "FLEETFORM_RUN": str(run),
        "FLEETFORM_SCHEDULER": "slurm",
        "FLEETFORM_MACHINES": str(slurm.base / "programs"),
        "FLEETFORM_PYTHON": sys.executable,
    }


def _disk(slurm: SlurmCluster, name: str) -> Path:
    return slurm.base / "disks" / name


def _make_disk(cloud: Cloud, slurm: SlurmCluster, name: str, bucket: str) -> None:
    """Make what boot would make of a machine."""
    disk = _disk(slurm, name)
    for folder in ("etc/fleetform", "opt/fleetform/bin", "var/fleetform", "var/spool/fleetform"):
        (disk / folder).mkdir(parents=True)
    (disk / "etc/slurm").symlink_to(slurm.machine.slurm_settings)
    told = {
        "environment": "lab", "region": REGION, "artifact_bucket": bucket, "dataset_bucket": bucket,
        "role": HEAD if name == HEAD else "node", "fleet": "" if name == HEAD else "gpu", "node_document": "",
        "python": sys.executable, "scheduler": "slurm",
    }  # fmt: skip
    (disk / "etc/fleetform/node.json").write_text(json.dumps(told))
    for room in ("node", "trainer"):
        (disk / "opt/fleetform" / room).symlink_to(ROOT / room)
    for program, text in (("fleetform-node", render(NodeCommand())), ("job", render(JobScript()))):
        file = disk / "opt/fleetform/bin" / program
        file.write_text(text)
        file.chmod(0o755)
    values = _variables(cloud, slurm, name)
    lines = "".join(f"{key}={value}\n" for key, value in values.items())
    (slurm.base / "programs" / f"{name}.env").write_text(lines)


def _facts(slurm: SlurmCluster, accounting: bool) -> dict[str, Any]:
    sizes = ("nodes", "max_nodes", "cpus", "memory_mib", "gpus", "gpu_name")
    fleets = {
        each.name: fleet_told(**{name: getattr(each, name) for name in sizes}, instance_type="g5.xlarge")
        for each in slurm.fleets
    }
    teams = {
        name: {"share": 1, "user": f"ff-{name}", "uid": 20001 + n} for n, name in enumerate((TEAM, "blue"))
    }
    known = {"region": REGION, "resume_seconds": 60, "accounting": accounting, "default_team": TEAM}
    return cluster_told(**known, teams=teams, fleets=fleets)
