"""What this machine should have: its fleet's row of cluster.json and its file systems, kept on its disk."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.cluster.facts import cluster_key
from node.config import NodeConfig
from node.mounts import read_storage
from node.store import Bucket


@dataclass(frozen=True)
class Expected:
    """Numbers of one machine; 0 or "" is not known, and nothing is held against it."""

    instance_type: str = ""
    gpus: int = 0
    gpu_name: str = ""
    gpu_memory_mib: int = 0
    """Nominal memory of one GPU."""
    memory_mib: int = 0
    efa: int = 0
    """Elastic Fabric Adapters."""
    network_gbps: float = 0.0
    mounts: tuple[str, ...] = ()
    """Where file systems are to be mounted, `/shared`."""
    known: bool = False
    """Whether anything could be learnt at all."""

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Expected:
        """Return what a kept file says."""
        fleet = kept.get("fleet") or {}
        return cls(
            instance_type=str(fleet.get("instance_type") or ""),
            gpus=int(fleet.get("gpus") or 0),
            gpu_name=str(fleet.get("gpu_name") or ""),
            gpu_memory_mib=int(fleet.get("gpu_memory_mib") or 0),
            memory_mib=int(fleet.get("memory_mib") or 0),
            efa=int(fleet.get("efa") or 0),
            network_gbps=float(fleet.get("network_gbps") or 0.0),
            mounts=tuple(str(each) for each in kept.get("mounts") or ()),
            known=bool(fleet),
        )


def health_folder(config: NodeConfig) -> Path:
    """Return where the machine's reports lie: one for all users, whose own `work` may be another."""
    return config.root / "var" / "fleetform" / "health"


def kept_path(config: NodeConfig) -> Path:
    """Return where the machine keeps what it should have."""
    return health_folder(config) / "expected.json"


def load(config: NodeConfig) -> Expected | None:
    """Return what is kept on the disk; None where nothing is, or half of it."""
    try:
        return Expected.read(json.loads(kept_path(config).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def read_cluster(bucket: Bucket) -> dict[str, Any]:
    """Return the cluster's description in the artifact bucket; empty where there is none."""
    body = bucket.get(cluster_key("cluster.json"))
    return json.loads(body) if body else {}


def fetch(bucket: Bucket, config: NodeConfig) -> Expected:
    """Learn it from the artifact bucket and keep it; AWS errors are the caller's."""
    return keep(read_cluster(bucket), bucket, config)


def keep(cluster: Mapping[str, Any], bucket: Bucket, config: NodeConfig) -> Expected:
    """Keep what that description says of this machine, and the file systems that it is to have."""
    mounts = [str(each["at"]) for each in read_storage(bucket, config).get("mounts", ())]
    kept = {"fleet": cluster.get("fleets", {}).get(config.fleet, {}), "mounts": mounts}
    path = kept_path(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps(kept))
    part.replace(path)
    return Expected.read(kept)
