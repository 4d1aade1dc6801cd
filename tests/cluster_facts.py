"""What machines are told of their cluster (`cluster.json`), as tests tell it: a small one by default."""

from __future__ import annotations

from typing import Any

from node.cluster.facts import VERSION, ClusterFacts, parse_facts


def fleet_told(**changes: Any) -> dict[str, Any]:
    """Return a fleet of nodes without GPUs, two of eight of which stand."""
    return {
        "nodes": 2, "max_nodes": 8, "cpus": 4, "memory_mib": 2000, "gpus": 0, "gpu_name": "",
        "instance_type": "c5.large", "launch_templates": {}, "subnet_ids": [], "placement": "together",
        "purchases": ["on_demand"], **changes,
    }  # fmt: skip


def cluster_told(**changes: Any) -> dict[str, Any]:
    """Return the cluster of the environment `lab`, without fleets, further teams and accounting."""
    return {
        "version": VERSION, "environment": "lab", "region": "us-east-1",
        "resume_seconds": 900, "longest_minutes": 600, "accounting": False, "default_team": "lab",
        "munge_secret": "", "state_volume": "", "teams": {}, "fleets": {}, **changes,
    }  # fmt: skip


def cluster_facts(**changes: Any) -> ClusterFacts:
    """Return the same as the machines read it."""
    return parse_facts(cluster_told(**changes))
