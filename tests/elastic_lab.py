"""A real Slurm cluster whose machines are the embedded cloud's: our programs start and end them.

An instance has no operating system here: as soon as it runs and has its name, the daemon of its node is
started, and it is killed with the instance. The keeper is a process of its own, as the head's clerk is.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.cloud import Cloud
from node.cluster.facts import cluster_key
from tests.cluster_facts import cluster_told, fleet_told
from tests.sandbox_helpers import IMAGE, REGION, admin, api
from tests.slurm_cluster import SlurmCluster, fleet, slurm_cluster

ROOT = Path(__file__).parent.parent
TYPE = "c5.large"
_PROGRAM = """#!/bin/sh
root="$(cd "$(dirname "$0")/../.." && pwd)"
set -a
. "$root/head.env"
set +a
exec {python} -m {module} "$@"
"""
_KEEPER = """
import time
from node.elastic import keeper
while True:
    time.sleep(min(keeper.tick(), 1.0))
"""


@dataclass
class ElasticLab:
    """The cluster, and what EC2 has of it."""

    cloud: Cloud
    name: str
    """Of the environment."""
    slurm: SlurmCluster
    variables: Mapping[str, str]
    """Environment of the head's programs."""
    joins: bool = True
    """Whether the daemons of new machines are started."""
    keeper: subprocess.Popen[bytes] | None = None
    _running: dict[str, str] = field(default_factory=dict)
    """Name of the node by instance id."""
    _stopped: threading.Event = field(default_factory=threading.Event)

    def machines(self) -> list[dict[str, Any]]:
        """Return the environment's instances that run, with `tags` as a dictionary."""
        filters = [
            {"Name": "tag:fleetform:environment", "Values": [self.name]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
        pages = api(self.cloud, "ec2").get_paginator("describe_instances").paginate(Filters=filters)
        found = [each for page in pages for group in page["Reservations"] for each in group["Instances"]]
        return [{**each, "tags": {tag["Key"]: tag["Value"] for tag in each["Tags"]}} for each in found]

    def names(self) -> list[str]:
        """Return the names of the nodes that have a machine, sorted; "" for a machine without a name."""
        return sorted(each["tags"].get("fleetform:node", "") for each in self.machines())

    def started(self) -> list[dict[str, Any]]:
        """Return the cloud's own record of every machine that a fleet ever started here."""
        return [
            each
            for each in admin(self.cloud, "GET", "fleets")
            if each["tags"].get("fleetform:environment") == self.name
        ]

    def submit(self, name: str, nodes: int = 1, script: str = "sleep 1", *more: str) -> str:
        """Submit a job that has its nodes to itself, named as a run's id; return Slurm's id."""
        return self.slurm.run(
            "sbatch", "--parsable", f"--job-name={name}", f"--nodes={nodes}", "--exclusive", "--requeue",
            "--output=/dev/null", *more, "--wrap", script,
        )  # fmt: skip

    def log(self) -> str:
        """Return what the programs wrote."""
        file = self.slurm.machine.logs / "elastic.log"
        return file.read_text() if file.exists() else ""

    def held(self) -> dict[str, Any]:
        """Return the runs that are held back, as they are on disk."""
        file = self.slurm.machine.state / "elastic" / "held.json"
        found: dict[str, Any] = json.loads(file.read_text())["runs"] if file.exists() else {}
        return found

    def resume_programs(self) -> list[int]:
        """Return the process ids of this cluster's resume programs."""
        found, mark = [], f"FLEETFORM_ROOT={self.slurm.base}".encode()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):  # it ended meanwhile
                if entry.name.isdigit() and b"node.elastic.resume" in _words(entry / "cmdline"):
                    found += [int(entry.name)] if mark in _words(entry / "environ") else []
        return found

    def start_keeper(self) -> None:
        """Start the keeper's process."""
        with (self.slurm.base / "keeper.out").open("ab") as out:
            self.keeper = subprocess.Popen(
                [sys.executable, "-c", _KEEPER], env=self.variables, cwd=ROOT, stdout=out, stderr=out
            )

    def kill_keeper(self) -> None:
        """Kill the keeper's process."""
        if self.keeper is not None:
            self.keeper.kill()
            self.keeper.wait()
            self.keeper = None

    def follow(self) -> None:
        """Start and kill the nodes' daemons as their machines come and go, until the end."""
        while not self._stopped.wait(0.1):
            alive = {each["InstanceId"]: each["tags"].get("fleetform:node", "") for each in self.machines()}
            for instance_id in set(self._running) - set(alive):
                self.slurm.kill_node(self._running.pop(instance_id))
            for instance_id, name in alive.items():
                if name and instance_id not in self._running and self.joins:
                    self._running[instance_id] = name
                    self.slurm.start_node(name)

    def close(self) -> None:
        """End all machines and processes."""
        self.kill_keeper()
        self._stopped.set()
        if ids := [each["InstanceId"] for each in self.machines()]:
            api(self.cloud, "ec2").terminate_instances(InstanceIds=ids)


@contextlib.contextmanager
def elastic_lab(
    cloud: Cloud,
    name: str,
    *,
    nodes: int = 0,
    max_nodes: int = 8,
    idle_seconds: int = 4,
    resume_seconds: int = 30,
    pause: float = 2.0,
    keeper: bool = True,
    facts: Mapping[str, Any] | None = None,
) -> Iterator[ElasticLab]:
    """Start a cluster of one fleet `gpu` in an environment of that name; `facts` change the fleet's."""
    template, bucket = f"{name}-gpu", f"lab-{name}"
    _make_cloud(cloud, name, template, bucket, nodes, max_nodes, resume_seconds, facts or {})
    programs = {
        file: _PROGRAM.format(python=sys.executable, module=f"node.elastic.{module}")
        for file, module in (
            ("resume", "resume"), ("suspend", "suspend"), ("resume-failed", "resume_failed")
        )
    }  # fmt: skip
    with slurm_cluster(
        fleets=[fleet(nodes=nodes, max_nodes=max_nodes, gpus=0, cpus=2)],
        idle_seconds=idle_seconds,
        resume_seconds=resume_seconds,
        extra="SuspendTimeout=3\nSlurmdTimeout=15\nMessageTimeout=5",
        programs=programs,
        stand=False,
    ) as slurm:
        lab = ElasticLab(cloud, name, slurm, _variables(cloud, slurm, name, bucket, pause))
        follower = threading.Thread(target=lab.follow, daemon=True)
        follower.start()
        try:
            if keeper:
                lab.start_keeper()
            yield lab
        finally:
            lab.close()
            follower.join()
            api(cloud, "ec2").delete_launch_template(LaunchTemplateName=template)


def _make_cloud(
    cloud: Cloud,
    name: str,
    template: str,
    bucket: str,
    nodes: int,
    max_nodes: int,
    resume_seconds: int,
    changed: Mapping[str, Any],
) -> None:
    """Make the launch template and what the head is told of its cluster."""
    ec2, s3 = api(cloud, "ec2"), api(cloud, "s3")
    subnets = {each["AvailabilityZone"]: each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]}
    tags = {
        "fleetform:environment": name,
        "fleetform:role": "node",
        "fleetform:fleet": "gpu",
        "fleetform:owner": "lab@example.com",
    }
    ec2.create_launch_template(
        LaunchTemplateName=template,
        LaunchTemplateData={
            "ImageId": IMAGE,
            "InstanceType": TYPE,
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
            ],
        },
    )
    told = fleet_told(
        nodes=nodes,
        max_nodes=max_nodes,
        cpus=2,
        instance_type=TYPE,
        launch_templates=dict.fromkeys(changed.get("purchases", ["on_demand"]), template),
        subnet_ids=[subnets[f"{REGION}a"]],
        **changed,
    )
    known = {"environment": name, "region": REGION, "resume_seconds": resume_seconds}
    cluster = cluster_told(**known, marks_nodes=True, fleets={"gpu": told})
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=cluster_key("cluster.json"), Body=json.dumps(cluster).encode())


def _variables(cloud: Cloud, slurm: SlurmCluster, name: str, bucket: str, pause: float) -> dict[str, str]:
    """Write who the head is, and return the environment of its programs."""
    config = {
        "environment": name,
        "region": REGION,
        "artifact_bucket": bucket,
        "dataset_bucket": bucket,
        "role": "head",
        "node_document": "",
        "python": sys.executable,
    }
    (slurm.machine.settings / "node.json").write_text(json.dumps(config))
    own = {
        **cloud.variables,
        "FLEETFORM_ROOT": str(slurm.base),
        "FLEETFORM_RUN": str(slurm.machine.run),
        "FLEETFORM_CAPACITY_PAUSE": str(pause),
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
    }
    (slurm.base / "head.env").write_text("".join(f"{key}='{value}'\n" for key, value in own.items()))
    return own


def _words(file: Path) -> list[bytes]:
    return file.read_bytes().split(b"\0")
