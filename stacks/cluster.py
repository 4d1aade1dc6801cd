"""What makes an environment's machines a Slurm cluster: its description, its key, the disk of its queue."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stacks import naming
from stacks.aws.generated import ec2, s3, secretsmanager, vpc
from stacks.aws.layer import Element, literal
from stacks.base_outputs import BaseOutputs
from stacks.catalog import load_catalog
from stacks.cdk import Stack
from stacks.cluster_permissions import CLUSTER
from stacks.environment import EnvironmentSpec
from stacks.fleet_spec import FleetSpec, Purchase
from stacks.interfaces import gets_efa
from stacks.scheduler_spec import team_uid, team_user
from templates.engine import render
from templates.slurm_files import CgroupConf, GresConf, SlurmConf, SlurmFleet

VERSION = 2
"""Of `cluster.json`; node/cluster/facts.py refuses another."""
RESUME_SECONDS = 900
"""Longest that a node may take from its launch until it answers: a GPU instance with a deep learning image
boots in two to five minutes, large ones in up to ten."""
MEMORY_FOR_JOBS = 0.94
"""Part of the memory by the catalog that jobs may have: firmware and kernel keep some, and a node that finds
less than Slurm was told is taken out."""


@dataclass(frozen=True)
class FleetPlaces:
    """Where a fleet's nodes start, and from what."""

    subnet_ids: tuple[str, ...]
    templates: Mapping[Purchase, str]
    """Name of the launch template of each way of buying."""


@dataclass(frozen=True)
class Cluster:
    """The parts of a cluster that its machines need at their start."""

    needed: tuple[Element, ...]
    head_subnets: tuple[str, ...]
    """The one that the queue's disk can be attached in."""


def add_cluster(
    stack: Stack, spec: EnvironmentSpec, base: BaseOutputs, places: Mapping[str, FleetPlaces]
) -> Cluster | None:
    """Add the cluster's secret, disk and description to the fleet stack; None without Slurm."""
    if not spec.scheduler.is_slurm:
        return None
    subnet = base.subnet_ids[0]
    zone = vpc.DataSubnet(stack, "head", filter=[{"name": "subnet-id", "values": [subnet]}]).availability_zone
    volume = ec2.EbsVolume(
        stack,
        "queue_state",
        availability_zone=zone,
        size=spec.scheduler.state_volume_gib,
        type="gp3",
        encrypted=True,
        kms_key_id=base.kms_key_arn,
        tags={"Name": naming.state_volume(spec.name)},
    )
    secret = secretsmanager.SecretsmanagerSecret(
        stack,
        "munge",
        name=naming.munge_secret(spec.name),
        description=f"By this the machines of {spec.name} know each other; the head node makes its value",
        kms_key_id=base.kms_key_arn,
        # The next cluster of this name makes its own: nothing is read with this one any more.
        recovery_window_in_days=0,
    )
    told = json.dumps(cluster_facts(spec, volume.id, places), indent=2, sort_keys=True)
    objects = [_add_text(stack, base, name, literal(text)) for name, text in slurm_texts(spec).items()]
    # Not waited for: it names the disk, which takes longer than the machines, and a head that boots can wait.
    _add_text(stack, base, "cluster.json", told)
    return Cluster((*objects, secret), (subnet,))


def _add_text(stack: Stack, base: BaseOutputs, name: str, text: str) -> s3.S3Object:
    kind = "application/json" if name.endswith(".json") else "text/plain"
    return s3.S3Object(
        stack,
        f"cluster_{name.partition('.')[0]}",
        bucket=base.artifact_bucket,
        key=f"{CLUSTER}/{name}",
        content=text,
        content_type=kind,
    )


def slurm_texts(spec: EnvironmentSpec) -> dict[str, str]:
    """Return Slurm's configuration by file name, without what only a machine knows."""
    fleets = tuple(_slurm_fleet(name, fleet) for name, fleet in spec.fleets.items())
    conf = SlurmConf(
        cluster=spec.name,
        fleets=fleets,
        idle_seconds=spec.scheduler.idle_minutes * 60,
        resume_seconds=RESUME_SECONDS,
        longest_minutes=spec.scheduler.longest_hours * 60,
        accounting=spec.scheduler.accounting,
    )
    return {
        "slurm.conf": render(conf),
        "gres.conf": render(GresConf(fleets=fleets)),
        "cgroup.conf": render(CgroupConf()),
    }


def cluster_facts(spec: EnvironmentSpec, volume: str, places: Mapping[str, FleetPlaces]) -> dict[str, Any]:
    """Return `cluster.json`: what the machines are told of their cluster (node/cluster/facts.py)."""
    shares = {spec.own_team: 1} | {name: each.share for name, each in spec.scheduler.teams.items()}
    return {
        "version": VERSION,
        "environment": spec.name,
        "region": spec.region,
        "resume_seconds": RESUME_SECONDS,
        "longest_minutes": spec.scheduler.longest_hours * 60,
        "accounting": spec.scheduler.accounting,
        "containers": spec.scheduler.containers,
        "default_team": spec.own_team,
        "marks_nodes": bool(spec.idle.node_minutes),
        "munge_secret": naming.munge_secret(spec.name),
        "state_volume": volume,
        "teams": {
            name: {
                "share": share,
                "user": team_user(name),
                "uid": team_uid(name),
                "run_role": naming.run_role(spec.name, "" if name == spec.own_team else name, spec.region),
            }
            for name, share in shares.items()
        },
        "fleets": {name: _fleet_facts(spec, name, places[name]) for name, fleet in spec.fleets.items()},
    }


def _fleet_facts(spec: EnvironmentSpec, name: str, places: FleetPlaces) -> dict[str, Any]:
    fleet = spec.fleets[name]
    found, slurm = load_catalog()[fleet.instance_type], _slurm_fleet(name, fleet)
    return {
        "group": naming.fleet_group(spec.name, name),
        "nodes": fleet.nodes,
        "max_nodes": fleet.max_nodes,
        "cpus": slurm.cpus,
        "memory_mib": slurm.memory_mib,
        "gpus": slurm.gpus,
        "gpu_name": slurm.gpu_name,
        "gpu_memory_mib": int(found.gpu_memory_gib * 1024),
        "instance_type": fleet.instance_type,
        "launch_templates": dict(places.templates),
        "subnet_ids": list(places.subnet_ids),
        "placement": fleet.placement,
        "purchases": list(fleet.purchases),
        "on_demand_base": fleet.on_demand_base,
        "reservation": fleet.reservation,
        "efa": found.efa_interfaces if gets_efa(fleet) else 0,
        "network_gbps": found.network_gbps,
        "usd_per_hour": found.price_usd_per_hour,
    }


def _slurm_fleet(name: str, fleet: FleetSpec) -> SlurmFleet:
    found = load_catalog()[fleet.instance_type]
    return SlurmFleet(
        name=name,
        nodes=fleet.nodes,
        max_nodes=fleet.max_nodes,
        cpus=found.vcpus,
        memory_mib=int(found.memory_gib * 1024 * MEMORY_FOR_JOBS),
        gpus=found.gpus,
        gpu_name=_gpu_name(found.gpu_model),
        usd_per_hour=found.price_usd_per_hour,
    )


def _gpu_name(model: str) -> str:
    """Return what Slurm calls a type of GPU: letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", model.lower())
