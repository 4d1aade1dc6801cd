"""Instances that run: an emulated node starts and ends with its instance.

Seam: `EC2Backend.run_instances`, which RunInstances, CreateFleet and Auto Scaling all pass through, and the
state methods of moto's `Instance`. moto only changes the state's name; drop this when it has hooks for that.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

from moto.ec2.models import EC2Backend
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance
from moto.ec2.utils import filter_iam_instance_profiles

from sandbox.node import Machine, decode_user_data
from sandbox.parts import Parts, store

ROLE_TAG, HEAD = "fleetform:role", "head"
"""The tag of the machine that has no job of its own."""
ENVIRONMENT_TAG = "fleetform:environment"
NAME_TAG = "fleetform:node"
"""The tag with a machine's name in Slurm, which it may get after its launch."""
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
        is_groups_own = SHARERS in kwargs
        sharers = kwargs.pop(SHARERS, 1)
        profile = {} if is_groups_own else _profile_of_template(self, kwargs)
        reservation = run(self, *args, **kwargs)
        if token not in (None, _NOT_GIVEN):
            earlier[token] = reservation
        if not is_groups_own:
            _give_profiles(self, reservation.instances, kwargs, profile)
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
    EC2Backend.create_tags = _naming(EC2Backend.create_tags, parts)
    Instance.start = after(start, parts.nodes.start)
    Instance.stop = after(stop, parts.nodes.stop)
    Instance.terminate = after(_once(terminate), parts.nodes.terminate)


def _once(terminate: Any) -> Any:
    """Return moto's end of an instance without its failure on one that has ended, which EC2 lets pass."""

    @functools.wraps(terminate)
    def terminate_once(self: Any) -> Any:
        return copy.copy(self._state) if self.state == "terminated" else terminate(self)

    return terminate_once


def _naming(create_tags: Any, parts: Parts) -> Any:
    """Return moto's CreateTags, after which a machine has the name that it was given."""

    @functools.wraps(create_tags)
    def create_and_name(self: Any, resource_ids: list[str], tags: dict[str, str]) -> Any:
        done = create_tags(self, resource_ids, tags)
        if name := tags.get(NAME_TAG):
            for each in resource_ids:
                parts.nodes.name(each, name)
        return done

    return create_and_name


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
        environment=tags.get(ENVIRONMENT_TAG, ""),
        name=tags.get(NAME_TAG, ""),
    )


def gpu_count(instance_type: str) -> int:
    """Return how many GPUs machines of that type have; 0 for a type that moto does not know."""
    known = INSTANCE_TYPES.get(instance_type, {})
    return sum(int(gpu.get("Count", 0)) for gpu in known.get("GpuInfo", {}).get("Gpus", []))


def _profile_of_template(backend: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the profile that the launch template of a call names, unless the call names one itself.

    Raises moto's InvalidIamInstanceProfile errors for one that does not exist, as EC2 refuses it.
    """
    template = given.get("launch_template")
    if given.get("iam_instance_profile_name") or given.get("iam_instance_profile_arn") or not template:
        return {}
    if template_id := template.get("LaunchTemplateId"):
        found = backend.get_launch_template(template_id)
    else:
        found = backend.get_launch_template_by_name(template["LaunchTemplateName"])
    profile = found.get_version(template.get("Version") or "$Default").data.get("IamInstanceProfile", {})
    named = {
        "iam_instance_profile_name": profile.get("Name"),
        "iam_instance_profile_arn": profile.get("Arn"),
    }
    if not any(named.values()):
        return {}
    filter_iam_instance_profiles(backend.account_id, partition=backend.partition, **named)
    return named


def _give_profiles(
    backend: Any, instances: list[Any], given: dict[str, Any], template: dict[str, Any]
) -> None:
    """Give the instances their profile: the template's, or the call's, which moto gives to one alone."""
    names = ("iam_instance_profile_name", "iam_instance_profile_arn")
    named = template or {name: given[name] for name in names if given.get(name)}
    for instance in (instances if template else instances[1:]) if named else []:
        backend.associate_iam_instance_profile(instance_id=instance.id, **named)


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
