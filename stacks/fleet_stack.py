"""The fleet stack: the machines, and how they are told to work; made for a run, torn down after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.generated import ec2, s3, ssm
from stacks.aws.layer import Element, literal
from stacks.base_outputs import BaseOutputs
from stacks.bundle import Bundle
from stacks.catalog import load_catalog
from stacks.cdk import Stack
from stacks.cluster import Cluster, FleetPlaces, add_cluster
from stacks.documents import add_documents
from stacks.environment import DECLARATION_OUTPUT, EnvironmentSpec
from stacks.fleet_spec import FleetSpec, HeadSpec, Purchase
from stacks.groups import Size, Spot, add_group
from stacks.idle_policy import add_idle_policy
from stacks.interfaces import interfaces
from stacks.machines import Machine, add_launch_template, machine_tags
from stacks.place import Place
from stacks.published import published
from stacks.storage import add_fleet_storage, storage_key
from stacks.tags import environment_tags
from templates.node_files import UserData

BUNDLE_FILE = "node-bundle.tar.gz"
"""Where the node bundle lies in the stack's own folder, for Terraform to upload."""


@dataclass(frozen=True)
class FleetStack:
    """One fleet stack in the making: where it goes, and what its parts are made from."""

    stack: Stack
    account: AccountSpec
    spec: EnvironmentSpec
    place: Place
    base: BaseOutputs
    bundle: Bundle

    def fill(self) -> None:
        """Add the head node, the fleets, the documents, the node bundle and the outputs to the stack."""
        needed: list[Element] = [
            self._add_bundle(),
            *add_fleet_storage(self.stack, self.account, self.spec, self.base),
        ]
        places = {
            name: FleetPlaces(self._subnets(fleet), _template_names(self.spec, name, fleet))
            for name, fleet in self.spec.fleets.items()
        }
        cluster = add_cluster(self.stack, self.spec, self.base, places)
        self._add_head(needed, cluster)
        for name, fleet in self.spec.fleets.items():
            self._add_fleet(name, fleet, [*needed, *(cluster.needed if cluster else ())])
        add_idle_policy(self.stack, self.spec, self.base)
        add_documents(self.stack, self.spec)
        ssm.SsmParameter(
            self.stack,
            "outputs",
            name=naming.outputs_parameter(self.spec.name),
            description=f"What {self.spec.name} consists of, for fleetform's commands",
            type="String",
            # One that a killed apply has left is written over: of an imported one the provider never knows
            # the `insecure_value`, and would want to change it at every plan.
            overwrite=True,
            # Nothing secret: as `value` the plan would hide it.
            insecure_value=published(self.account, self.spec, self.base, self._subnets).to_json(),
        )
        self.stack.output(
            DECLARATION_OUTPUT,
            literal(self.spec.declaration()),
            "What the file declared, as JSON",
        )

    def _add_bundle(self) -> s3.S3Object:
        """Add the object that machines unpack; it is encrypted as the bucket says."""
        return s3.S3Object(
            self.stack,
            "node_bundle",
            bucket=self.base.artifact_bucket,
            key=self.bundle.key,
            source=BUNDLE_FILE,
            content_type="application/gzip",
            # A machine that starts while the bundle changes must find the one that it was told of.
            lifecycle={"create_before_destroy": True},
        )

    def _add_head(self, needed: Sequence[Element], cluster: Cluster | None) -> None:
        """Add the head node as a group of one, so that one that dies is replaced.

        Where the disk of the queue can follow it: that stands in one zone.
        """
        title = naming.head_group(self.spec.name)
        machine = Machine(
            name=naming.ROLE_HEAD,
            title=title,
            spec=self.spec.head,
            user_data=self._user_data(self.spec.head, naming.ROLE_HEAD),
            profile=self.base.head_profile,
            tags=machine_tags(self._tags(), title, naming.ROLE_HEAD),
        )
        add_group(
            self.stack,
            machine,
            add_launch_template(self.stack, self.place, self.base, machine),
            subnet_ids=cluster.head_subnets if cluster else self.base.subnet_ids,
            size=Size(smallest=1, wanted=1, largest=1),
            after=[*needed, *(cluster.needed if cluster else ())],
            waits=True,
            idle=self.spec.idle.node_policy,
        )

    def _add_fleet(self, name: str, fleet: FleetSpec, needed: Sequence[Element]) -> None:
        """Add one GPU fleet: its nodes close together in one zone, or spread over all of them.

        The group holds those that always stand. For the others the head node takes the templates, one for
        each way of buying that a template must say.
        """
        title = naming.fleet_group(self.spec.name, name)
        together = any(_bought(fleet, each).placement_group for each in self._ways(fleet))
        group = ec2.PlacementGroup(self.stack, name, name=title, strategy="cluster").name if together else ""
        names = _template_names(self.spec, name, fleet)
        made: dict[str, tuple[Machine, ec2.LaunchTemplate]] = {}
        for way in self._ways(fleet):
            spec = _bought(fleet, way)
            if names[way] in made:
                continue
            machine = Machine(
                name=name if way == fleet.purchase else f"{name}_{_offer(way)}",
                title=title,
                template=names[way],
                spec=spec,
                user_data=self._user_data(fleet, naming.ROLE_NODE, name),
                profile=self.base.node_profile,
                tags=machine_tags(self._tags(), title, naming.ROLE_NODE, name),
                interfaces=interfaces(fleet),
                placement_group=group if spec.placement_group else "",
            )
            made[names[way]] = machine, add_launch_template(self.stack, self.place, self.base, machine)
        machine, template = made[names[fleet.purchase]]
        add_group(
            self.stack,
            machine,
            template,
            subnet_ids=self._subnets(fleet),
            size=self._size(fleet),
            after=needed,
            spot=Spot(fleet.on_demand_base) if fleet.purchase == "spot" else None,
            max_nodes=fleet.max_nodes if self.spec.scheduler.is_slurm else 0,
            idle=self.spec.idle.node_policy,
        )

    def _ways(self, fleet: FleetSpec) -> tuple[Purchase, ...]:
        """Return the ways in which the fleet's nodes are bought; without Slurm the group's alone."""
        return fleet.purchases if self.spec.scheduler.is_slurm else (fleet.purchase,)

    def _size(self, fleet: FleetSpec) -> Size:
        """Return the group's size: under Slurm only the nodes that always stand are its own."""
        largest = fleet.nodes if self.spec.scheduler.is_slurm else fleet.max_nodes
        return Size(smallest=0, wanted=fleet.nodes, largest=largest)

    def _subnets(self, fleet: FleetSpec) -> tuple[str, ...]:
        """Return the subnets that the fleet's nodes start in: all, or that of its zone."""
        if fleet.placement == "spread":
            return self.base.subnet_ids
        names = self.spec.network.zone_names
        # A zone that is none of the network's is refused before this; a teardown goes on with the first.
        index = names.index(fleet.zone) if fleet.zone in names else 0
        return self.base.subnet_ids[index : index + 1]

    def _tags(self) -> dict[str, str]:
        return environment_tags(self.spec, self.stack.name)

    def _user_data(self, machine: HeadSpec | FleetSpec, role: str, fleet: str = "") -> UserData:
        bucket = naming.artifact_bucket(self.account.organization, self.spec.name, self.spec.region)
        return UserData(
            environment=self.spec.name,
            region=self.spec.region,
            artifact_bucket=bucket,
            dataset_bucket=naming.dataset_bucket(self.account.organization, self.spec.name, self.spec.region),
            role=role,
            fleet=fleet,
            node_document=naming.node_document(self.spec.name),
            python=machine.python,
            run_as=self.account.sessions.run_as,
            scratch=isinstance(machine, FleetSpec) and _joins_disks(machine),
            bundle_key=self.bundle.key,
            bundle_sha256=self.bundle.sha256,
            storage_key=storage_key(self.spec),
            scheduler=self.spec.scheduler.kind,
        )


def _joins_disks(fleet: FleetSpec) -> bool:
    """Return whether the fleet's nodes have local disks, and they are to be joined."""
    return fleet.scratch == "raid0" and load_catalog()[fleet.instance_type].disks > 0


def _bought(fleet: FleetSpec, way: Purchase) -> FleetSpec:
    """Return the fleet as if its nodes were bought that way."""
    return fleet.model_copy(update={"purchase": way})


def _offer(way: Purchase) -> str:
    """Return what a launch template says of a way of buying: `market`, which says nothing, or reserved."""
    return way if way.startswith("capacity_") else "market"


def _template_names(spec: EnvironmentSpec, name: str, fleet: FleetSpec) -> dict[Purchase, str]:
    """Return the name of the launch template of each way of buying.

    Reserved capacity stands in the template, on demand and spot do not. The first is named as the group; no
    group's name has the dot of the others.
    """
    title, first = naming.fleet_group(spec.name, name), _offer(fleet.purchase)
    return {
        way: title if _offer(way) == first else f"{title}.{_offer(way).replace('_', '-')}"
        for way in fleet.purchases
    }
