"""What a run's part on a node has mounted: the environment's file systems, and the run's own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.config import NodeConfig
from node.layout import FSX_DATA, FSX_RESULTS, FSX_STATE, run_key, utc_now
from node.mounts import RUN_MOUNTS, MountError, lustre_mount, mount_all, mount_one, unmount
from node.store import Bucket

_VARIABLES = {"/shared": "FLEETFORM_SHARED_DIR", "/fsx": "FLEETFORM_FSX_DIR"}


@dataclass(frozen=True)
class Attached:
    """The file systems of a run on this node."""

    variables: dict[str, str] = field(default_factory=dict)
    """What the job is told: the variable's name and the folder."""
    own: Path | None = None
    """The run's own file system."""

    @property
    def data_dir(self) -> Path | None:
        """Where the run's own file system shows the dataset."""
        return self.own / FSX_DATA.strip("/") if self.own else None

    def listing(self) -> dict[str, Any] | None:
        """Return the results on the run's own file system, name and size, and when they were listed."""
        if self.own is None:
            return None
        root = self.own / FSX_RESULTS.strip("/")
        files = [
            {"name": file.relative_to(root).as_posix(), "size": file.stat().st_size}
            for folder, _, names in os.walk(root)
            for file in sorted(Path(folder, name) for name in names)
            if file.is_file() and not file.is_symlink()
        ]
        return {"time": utc_now(), "files": files}

    def detach(self) -> None:
        """Let go of the run's own file system, which is about to be deleted."""
        if self.own is not None:
            os.sync()
            unmount(self.own)


def attach(bucket: Bucket, config: NodeConfig, run: Mapping[str, Any]) -> Attached:
    """Mount what the run is to see. Raises MountError where something could not be mounted."""
    found = mount_all(bucket, config)
    variables = {_VARIABLES[at]: str(path) for at, path in found.items() if at in _VARIABLES}
    if not run.get("fsx_gib"):
        return Attached(variables)
    own = _mount_own(bucket, config, str(run["run_id"]))
    (own / FSX_RESULTS.strip("/")).mkdir(exist_ok=True)
    return Attached({**variables, "FLEETFORM_FSX_DIR": str(own)}, own)


def _mount_own(bucket: Bucket, config: NodeConfig, run_id: str) -> Path:
    body = bucket.get(run_key(run_id, FSX_STATE))
    if body is None:
        raise MountError(f"the run has no file system: {FSX_STATE} is missing")
    state = json.loads(body)
    folder = config.root / RUN_MOUNTS
    for other in folder.iterdir() if folder.is_dir() else ():
        unmount(other)  # of a run that was killed here; a node carries out one run at a time
    mount = lustre_mount(state["dns_name"], state["mount_name"], f"/{RUN_MOUNTS}/{run_id}")
    return mount_one(bucket, config, mount)
