"""Who this machine is (`node.json`, written by its user data) and where its files lie."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NodeConfig:
    """One machine of an environment; see docs/architecture.md, "A run", for the files."""

    environment: str
    region: str
    artifact_bucket: str
    dataset_bucket: str
    """Which nodes can only read."""
    role: str
    """`head` or `node`."""
    fleet: str
    """The fleet that a node belongs to; "" on the head."""
    node_document: str
    """The Systems Manager document that starts one node's part of a run."""
    storage_key: str
    """Object of the artifact bucket that tells of the file systems; "" where there are none."""
    python: str
    """The interpreter that has torch, on a node."""
    root: Path
    """`/` on a real machine; the folder that stands for it on an emulated one."""
    scheduler: str = "plain"
    """Who gives runs their nodes: `slurm`, or `plain` for our own dispatcher."""

    @property
    def work(self) -> Path:
        """The folder of everything that a run leaves on this machine.

        Under Slurm runs of a team belong to the team's user, who has a folder of its own.
        """
        shared = self.root / "var" / "fleetform"
        own = shared / "teams" / str(os.geteuid())
        return own if os.geteuid() != 0 and own.is_dir() else shared

    def run_dir(self, run_id: str) -> Path:
        """Return the local run directory, which is streamed to the artifact bucket."""
        return self.work / "runs" / run_id

    def code_dir(self, run_id: str) -> Path:
        """Return the folder that the run's code is unpacked in; empty for a recipe."""
        return self.work / "code" / run_id

    def data_dir(self, digest: str) -> Path:
        """Return the folder of the dataset with that digest, shared by every run that uses it."""
        return self.work / "data" / (digest or "none")


def read_node_config() -> NodeConfig:
    """Read `$FLEETFORM_ROOT/etc/fleetform/node.json`; keys that this version does not know are ignored."""
    root = Path(os.environ.get("FLEETFORM_ROOT") or "/")
    values = json.loads((root / "etc" / "fleetform" / "node.json").read_text())
    return NodeConfig(
        environment=values["environment"],
        region=values["region"],
        artifact_bucket=values["artifact_bucket"],
        dataset_bucket=values["dataset_bucket"],
        role=values["role"],
        fleet=values.get("fleet") or "",
        node_document=values["node_document"],
        storage_key=values.get("storage_key") or "",
        # An emulated machine runs on the interpreter of the machine that emulates it.
        python=os.environ.get("FLEETFORM_PYTHON") or values["python"],
        root=root,
        # An emulated machine follows the engine that its sandbox was started with.
        scheduler=os.environ.get("FLEETFORM_SCHEDULER") or values.get("scheduler") or "plain",
    )
