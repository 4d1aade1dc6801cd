"""Instances that run: an emulated node starts and ends with its instance.

Seam: `EC2Backend.run_instances`, which RunInstances, CreateFleet and Auto Scaling all pass through, and the
state methods of moto's `Instance`. moto only changes the state's name; drop this when it has hooks for that.
"""

from __future__ import annotations

import functools
from typing import Any

from moto.ec2.models import EC2Backend
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance

from sandbox.node import Machine, decode_user_data
from sandbox.nodes import Nodes

ROLE_TAG, HEAD = "fleetform:role", "head"
"""The tag of the machine that has no job of its own."""


def install(nodes: Nodes) -> None:
    """Hang the nodes on the instances' lives."""
    run, start, stop, terminate = EC2Backend.run_instances, Instance.start, Instance.stop, Instance.terminate

    @functools.wraps(run)
    def run_instances(self: Any, *args: Any, **kwargs: Any) -> Any:
        reservation = run(self, *args, **kwargs)
        for instance in reservation.instances:
            node = nodes.launch(machine(instance))
            _give_address(instance, node.address)
        return reservation

    def after(change: Any, follow: Any) -> Any:
        @functools.wraps(change)
        def changed(self: Any) -> Any:
            previous = change(self)
            follow(self.id)
            return previous

        return changed

    EC2Backend.run_instances = run_instances
    Instance.start = after(start, nodes.start)
    Instance.stop = after(stop, nodes.stop)
    Instance.terminate = after(terminate, nodes.terminate)


def machine(instance: Any) -> Machine:
    """Return what the node needs to know of moto's instance."""
    tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
    return Machine(
        id=instance.id,
        region=instance.ec2_backend.region_name,
        user_data=decode_user_data(str(instance.user_data or "")),
        gpus=gpu_count(instance.instance_type),
        is_head=tags.get(ROLE_TAG) == HEAD,
    )


def gpu_count(instance_type: str) -> int:
    """Return how many GPUs machines of that type have; 0 for a type that moto does not know."""
    known = INSTANCE_TYPES.get(instance_type, {})
    return sum(int(gpu.get("Count", 0)) for gpu in known.get("GpuInfo", {}).get("Gpus", []))


def _give_address(instance: Any, address: str) -> None:
    """Make the API report the node's loopback address, so that nodes reach each other by what it reports."""
    interface = instance.nics[0]
    interface.private_ip_address = address
    for entry in interface.private_ip_addresses:
        if entry.get("Primary"):
            entry["PrivateIpAddress"] = address
