"""Emulated machines for the nodes of a bare Slurm cluster: folders with a node.json, and a prolog."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.slurm_cluster import SlurmCluster

ROOT = Path(__file__).parent.parent
PROLOG = f"""#!/bin/sh
# As `fleetform-node` does: the machine's own environment, found by its name in Slurm.
base="${{0%/programs/bin/*}}"
. "$base/machines/$SLURMD_NODENAME.env"
exec {sys.executable} -m node.health.prolog 2>>"$base/machines/$SLURMD_NODENAME.said"
"""


def make_machine(slurm: SlurmCluster, name: str, **extra: str) -> Path:
    """Make the folder that stands for a node's machine and return it; `extra` are variables of its own."""
    root = slurm.base / "machines" / name
    settings = root / "etc" / "fleetform"
    settings.mkdir(parents=True)
    (root / "var" / "fleetform" / "health").mkdir(parents=True)
    (root / "etc" / "slurm").symlink_to(slurm.machine.slurm_settings)
    (settings / "munge.key").symlink_to(slurm.machine.munge_key)
    values = {
        "environment": "bare", "region": "eu-central-1", "artifact_bucket": "artifacts",
        "dataset_bucket": "data", "role": "node", "fleet": "gpu", "node_document": "none",
        "python": sys.executable,
    }  # fmt: skip
    (settings / "node.json").write_text(json.dumps(values))
    expect(root, {"gpus": 2, "network_gbps": 10})
    variables = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "FLEETFORM_ROOT": str(root), **extra}
    lines = [f"export {key}='{value}'" for key, value in variables.items()]
    root.with_name(f"{name}.env").write_text("\n".join(lines) + "\n")
    return root


def expect(root: Path, fleet: Mapping[str, object]) -> None:
    """Tell a machine what it should have."""
    path = root / "var" / "fleetform" / "health" / "expected.json"
    path.write_text(json.dumps({"fleet": fleet, "mounts": []}))


def break_gpu(root: Path, fixture: Path) -> str:
    """Give a machine a driver that tells what the fixture holds; returns the PATH that finds it."""
    programs = root / "bin"
    programs.mkdir()
    tool = programs / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\n[ "$1" = -q ] && exec cat {fixture}\nexit 1\n')
    tool.chmod(0o755)
    return f"{programs}:/usr/bin:/bin"


def report(root: Path, job: str) -> dict[str, object]:
    """Return the health report of a job on a machine."""
    found = json.loads((root / "var" / "fleetform" / "health" / f"job-{job}.json").read_text())
    assert isinstance(found, dict)
    return found
