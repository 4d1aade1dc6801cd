"""What a machine is told of its cluster: `cluster.json` in the artifact bucket, which Terraform writes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from node.store import Bucket

CLUSTER_PREFIX = "cluster"
"""Folder of the artifact bucket with what concerns the cluster."""
CONFIGURATION = ("slurm.conf", "gres.conf", "cgroup.conf")
"""Files in it that are Slurm's configuration, without what only a machine knows."""
PACKAGES = "packages/slurm/"
"""Folder of the artifact bucket with the packages of Slurm, for machines that reach nothing else."""
VERSION = 2
"""Of `cluster.json`."""


class NoClusterError(Exception):
    """The artifact bucket tells nothing of a cluster that this version understands; one line."""


@dataclass(frozen=True)
class TeamFacts:
    """A team that shares the cluster."""

    share: int
    user: str
    """User of the operating system that its jobs run as, `ff-vision`."""
    uid: int
    run_role: str = ""
    """Name of the IAM role that its runs get, "" where an older version has described the cluster."""


@dataclass(frozen=True)
class FleetFacts:
    """A fleet, which is a partition of the cluster."""

    nodes: int
    """Nodes that always stand: NAME-1 to NAME-<nodes>."""
    max_nodes: int
    cpus: int
    memory_mib: int
    gpus: int
    gpu_name: str
    instance_type: str
    subnet_ids: tuple[str, ...]
    placement: str
    """`together` or `spread`."""
    purchases: tuple[str, ...]
    """Ways of buying elastic nodes, in the order in which they are tried."""
    on_demand_base: int = 0
    reservation: str = ""
    efa: int = 0
    """Fabric adapters of a node."""
    network_gbps: float = 0.0
    usd_per_hour: float = 0.0
    launch_templates: Mapping[str, str] = field(default_factory=dict)
    """Name of the launch template of each way of buying."""
    group: str = ""
    """Name of the Auto Scaling group of the nodes that stand."""


@dataclass(frozen=True)
class ClusterFacts:
    """The cluster of an environment."""

    environment: str
    region: str
    resume_seconds: int
    longest_minutes: int
    accounting: bool
    default_team: str
    munge_secret: str
    """Name of the secret in Secrets Manager that holds the munge key."""
    state_volume: str
    """EBS volume of what outlives a head."""
    teams: Mapping[str, TeamFacts]
    fleets: Mapping[str, FleetFacts]
    containers: bool = False
    """Whether the nodes have enroot and pyxis, which run images."""
    marks_nodes: bool = False
    """Whether nodes that stand say that they have a run, for idle ones are given up (docs/idle.md)."""


def cluster_key(name: str) -> str:
    """Return the key of a file of the cluster in the artifact bucket (`queue.json`)."""
    return f"{CLUSTER_PREFIX}/{name}"


def read_facts(bucket: Bucket) -> ClusterFacts:
    """Read `cluster.json`. Raises NoClusterError where it is missing or of another version."""
    body = bucket.get(cluster_key("cluster.json"))
    if body is None:
        raise NoClusterError(f"s3://{bucket.name}/{cluster_key('cluster.json')} is missing")
    return parse_facts(json.loads(body))


def parse_facts(told: Mapping[str, Any]) -> ClusterFacts:
    """Return the facts of a parsed `cluster.json`; keys that this version does not know are ignored."""
    if told.get("version") != VERSION:
        raise NoClusterError(f"cluster.json is of version {told.get('version')}, not {VERSION}")
    teams = {name: TeamFacts(**_known(TeamFacts, team)) for name, team in told["teams"].items()}
    fleets = {name: FleetFacts(**_known(FleetFacts, fleet)) for name, fleet in told["fleets"].items()}
    return ClusterFacts(**{**_known(ClusterFacts, told), "teams": teams, "fleets": fleets})


def _known(kind: type[Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are fields of the class, lists as tuples."""
    names = {each.name for each in dataclasses.fields(kind)}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in told.items()
        if name in names
    }
