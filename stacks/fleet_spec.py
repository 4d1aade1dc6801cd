"""FleetSpec and HeadSpec: the machines of an environment, what they are and how they are paid for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, StringConstraints

from stacks.fields import Spec, setting
from stacks.setting_forms import (
    GPU_IMAGE,
    IMAGE_PYTHON,
    disk_size,
    listed,
    machine_image,
    machine_type,
    python_path,
)

FleetName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,19}$")]
"""Without hyphens, so that the group `a-b-c` can only be fleet `c` of environment `a-b`."""
Purchase = Literal["on_demand", "spot", "capacity_reservation", "capacity_block"]


class HeadSpec(Spec):
    """The head node, where runs are queued and sent to the fleets."""

    instance_type: Annotated[
        str,
        machine_type("EC2 instance type of the head node; it needs no GPU", "m6i.large"),
    ] = "m6i.large"
    root_volume_gib: Annotated[
        int,
        disk_size("Size of the head node's disk (gp3, encrypted); not smaller than the image's own"),
    ] = 100
    image: Annotated[str, machine_image("Machine image of the head node; its Python must have boto3")] = (
        GPU_IMAGE
    )
    python: Annotated[str, python_path("Python in that image that runs the dispatcher")] = IMAGE_PYTHON


class FleetSpec(Spec):
    """A group of equal GPU machines that runs are sent to."""

    instance_type: Annotated[
        str,
        machine_type(
            "EC2 instance type of every node of the fleet",
            "g5.xlarge",
            why="runs count on the new type's GPUs at once, so end the nodes of the old type",
        ),
    ]
    nodes: Annotated[
        int,
        setting(
            "Nodes that run as soon as the fleet is up",
            unit="nodes",
            change="free",
            why="raising it starts machines, lowering it ends some, even those that a run is on",
            ge=0,
        ),
    ]
    max_nodes: Annotated[
        int,
        setting(
            "Nodes that the fleet may grow to: those beyond `nodes` are started when runs wait for them, and "
            "ended when they are idle (`scheduler.idle_minutes`)",
            unit="nodes",
            change="free",
            why="nodes beyond a lower number are ended, even those that a run is on",
            ge=1,
        ),
    ]
    purchase: Annotated[
        Purchase,
        setting(
            "How the nodes are bought: on demand, spot (cheap, ended by AWS at two minutes' notice), or "
            "out of capacity that was reserved or bought beforehand",
            unit="",
            change="free",
            why="to or from `spot`, Auto Scaling replaces the nodes, even those that a run is on; to "
            "reserved capacity, end the nodes first, for the placement group that they stand in goes",
        ),
    ] = "on_demand"
    fallback_purchases: Annotated[
        tuple[Purchase, ...],
        BeforeValidator(listed),
        setting(
            "Further ways to buy the nodes beyond `nodes`, in this order, where `purchase` finds no capacity",
            unit="",
            change="free",
            form='ways of buying, each once, such as `["spot", "on_demand"]`',
        ),
    ] = ()
    on_demand_base: Annotated[
        int,
        setting(
            "With `spot`: how many nodes, the first ones, are bought on demand all the same",
            unit="nodes",
            change="free",
            why="Auto Scaling replaces nodes until the numbers are right, even those that a run is on",
            ge=0,
        ),
    ] = 0
    reservation: Annotated[
        str,
        setting(
            "The capacity reservation to start in; only with `capacity_reservation` and `capacity_block`",
            unit="",
            change="new machines only",
            form="the id of a capacity reservation, `cr-0123456789abcdef0`",
            pattern=r"^(cr-[0-9a-f]{8,17})?$",
        ),
    ] = ""
    placement: Annotated[
        Literal["together", "spread"],
        setting(
            "`together`: all nodes in one zone, close to each other (a cluster placement group, where the "
            "purchase allows it), for jobs whose nodes talk; `spread`: over all zones, for capacity",
            unit="",
            change="new machines only",
            why="the placement group cannot go while nodes stand in it: end them first",
        ),
    ] = "together"
    zone: Annotated[
        str,
        setting(
            "Availability zone of a fleet that stands together, one of `network.zone_names`; left out, the "
            "network's first",
            unit="",
            change="new machines only",
            why="a placement group spans no zones: end the nodes that stand in it first",
            form="the name of a zone such as `us-east-1b`",
            pattern=r"^([a-z]{2}(-[a-z]+)+-[0-9][a-z])?$",
        ),
    ] = ""
    efa: Annotated[
        bool,
        setting(
            "Whether the nodes of a fleet that stands together get every Elastic Fabric Adapter that their "
            "type has",
            unit="",
            change="new machines only",
            why="without them, jobs on several nodes talk over TCP, many times slower",
        ),
    ] = True
    scratch: Annotated[
        Literal["raid0", "none"],
        setting(
            "What is done with the local NVMe disks of the type: joined as one fast volume at `/scratch` "
            "that is lost with the node (`FLEETFORM_SCRATCH_DIR` in a run), or nothing",
            unit="",
            change="new machines only",
        ),
    ] = "raid0"
    root_volume_gib: Annotated[
        int,
        disk_size("Size of each node's disk (gp3, encrypted), which also holds datasets and checkpoints"),
    ] = 100
    image: Annotated[
        str,
        machine_image("Machine image of the nodes; its Python must have torch 2.6 or newer, numpy and boto3"),
    ] = GPU_IMAGE
    python: Annotated[str, python_path("Python in that image that runs torchrun")] = IMAGE_PYTHON

    @property
    def purchases(self) -> tuple[Purchase, ...]:
        """Every way in which nodes beyond `nodes` are bought, in the order in which they are tried."""
        return tuple(dict.fromkeys((self.purchase, *self.fallback_purchases)))

    @property
    def reserved(self) -> bool:
        """Whether the nodes come out of capacity that was reserved or bought beforehand."""
        return self.purchase in ("capacity_reservation", "capacity_block")

    @property
    def placement_group(self) -> bool:
        """Whether the fleet has a cluster placement group of its own.

        Reserved capacity has its place already: a group that the reservation was not made in finds no
        capacity, and a capacity block refuses any.
        """
        return self.placement == "together" and not self.reserved
