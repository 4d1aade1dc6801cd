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
from sandbox.parts import Parts, store

ROLE_TAG, HEAD = "fleetform:role", "head"
"""The tag of the machine that has no job of its own."""
SHARERS = "fleetform_sharers"
"""Argument of our own to `run_instances`: how many nodes the instance's group is to have."""
_NOT_GIVEN = "ABCDE"
"""What moto puts in place of a ClientToken that was not given."""


def install(parts: Parts) -> None:
    """Hang the nodes on the instances' lives."""
    run, start, stop, terminate = EC2Backend.run_instances, Instance.start, Instance.stop, Instance.terminate

    @functools.wraps(run)
    def run_instances(self: Any, *args: Any, **kwargs: Any) -> Any:
        token = kwargs.get("client_token")
        earlier = store(self, "client_tokens")
        if token in earlier:  # the client did not get our answer and asks again
            return earlier[token]
        sharers = kwargs.pop(SHARERS, 1)
        reservation = run(self, *args, **kwargs)
        if token not in (None, _NOT_GIVEN):
            earlier[token] = reservation
        for instance in reservation.instances:
            node = parts.nodes.launch(machine(instance, max(sharers, len(reservation.instances))))
            _prepare_interface(instance, node.address)
        return reservation

    def after(change: Any, follow: Any) -> Any:
        @functools.wraps(change)
        def changed(self: Any) -> Any:
            previous = change(self)
            follow(self.id)
            return previous

        return changed

    EC2Backend.run_instances = run_instances
    Instance.start = after(start, parts.nodes.start)
    Instance.stop = after(stop, parts.nodes.stop)
    Instance.terminate = after(terminate, parts.nodes.terminate)


def machine(instance: Any, sharers: int) -> Machine:
    """Return what the node needs to know of moto's instance."""
    tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
    return Machine(
        id=instance.id,
        region=instance.ec2_backend.region_name,
        user_data=decode_user_data(str(instance.user_data or "")),
        gpus=gpu_count(instance.instance_type),
        sharers=sharers,
        is_head=tags.get(ROLE_TAG) == HEAD,
    )


def gpu_count(instance_type: str) -> int:
    """Return how many GPUs machines of that type have; 0 for a type that moto does not know."""
    known = INSTANCE_TYPES.get(instance_type, {})
    return sum(int(gpu.get("Count", 0)) for gpu in known.get("GpuInfo", {}).get("Gpus", []))


def _prepare_interface(instance: Any, address: str) -> None:
    """Make the API report the node's loopback address, so that nodes reach each other by what it reports.

    The primary interface also ends with its instance, which is EC2's default and not moto's.
    """
    interface = instance.nics[0]
    interface.delete_on_termination = True
    interface.private_ip_address = address
    for entry in interface.private_ip_addresses:
        if entry.get("Primary"):
            entry["PrivateIpAddress"] = address
