"""The fleet stack: the machines, and how they are told to work; made for a run, torn down after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.generated import ec2, s3, ssm
from stacks.aws.layer import literal
from stacks.base_outputs import BaseOutputs
from stacks.bundle import Bundle
from stacks.catalog import load_catalog
from stacks.cdk import Stack
from stacks.environment import DECLARATION_OUTPUT, EnvironmentSpec
from stacks.fleet_spec import FleetSpec, HeadSpec
from stacks.groups import Size, Spot, add_group
from stacks.interfaces import gets_efa, interfaces
from stacks.machines import Machine, add_launch_template, machine_tags
from stacks.outputs import EnvironmentOutputs, FleetOutputs
from stacks.place import Place
from stacks.storage import add_fleet_storage, storage_key
from stacks.tags import environment_tags
from templates.engine import render
from templates.node_files import UserData
from templates.ssm_documents import RunJobDocument, RunNodeDocument

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
        needed = [
            self._add_bundle(),
            *add_fleet_storage(self.stack, self.account, self.spec, self.base),
        ]
        self._add_head(needed)
        for name, fleet in self.spec.fleets.items():
            self._add_fleet(name, fleet, needed)
        self._add_documents()
        ssm.SsmParameter(
            self.stack,
            "outputs",
            name=naming.outputs_parameter(self.spec.name),
            description=f"What {self.spec.name} consists of, for fleetform's commands",
            type="String",
            # Nothing secret: as `value` the plan would hide it.
            insecure_value=self._outputs().to_json(),
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

    def _add_head(self, needed: Sequence[s3.S3Object]) -> None:
        """Add the head node as a group of one, so that one that dies is replaced."""
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
            subnet_ids=self.base.subnet_ids,
            size=Size(smallest=1, wanted=1, largest=1),
            after=needed,
            waits=True,
        )

    def _add_fleet(self, name: str, fleet: FleetSpec, needed: Sequence[s3.S3Object]) -> None:
        """Add one GPU fleet: its nodes close together in one zone, or spread over all of them."""
        title = naming.fleet_group(self.spec.name, name)
        placement = ""
        if fleet.placement_group:
            placement = ec2.PlacementGroup(self.stack, name, name=title, strategy="cluster").name
        machine = Machine(
            name=name,
            title=title,
            spec=fleet,
            user_data=self._user_data(fleet, naming.ROLE_NODE, name),
            profile=self.base.node_profile,
            tags=machine_tags(self._tags(), title, naming.ROLE_NODE, name),
            interfaces=interfaces(fleet),
            placement_group=placement,
        )
        add_group(
            self.stack,
            machine,
            add_launch_template(self.stack, self.place, self.base, machine),
            subnet_ids=self._subnets(fleet),
            size=Size(smallest=0, wanted=fleet.nodes, largest=fleet.max_nodes),
            after=needed,
            spot=Spot(fleet.on_demand_base) if fleet.purchase == "spot" else None,
        )

    def _subnets(self, fleet: FleetSpec) -> tuple[str, ...]:
        """Return the subnets that the fleet's nodes start in: all, or that of its zone."""
        if fleet.placement == "spread":
            return self.base.subnet_ids
        names = self.spec.network.zone_names
        # A zone that is none of the network's is refused before this; a teardown goes on with the first.
        index = names.index(fleet.zone) if fleet.zone in names else 0
        return self.base.subnet_ids[index : index + 1]

    def _add_documents(self) -> None:
        """Add the only two commands that are ever sent to the machines."""
        documents: dict[str, tuple[str, RunJobDocument | RunNodeDocument]] = {
            "run_job": (naming.run_document(self.spec.name), RunJobDocument(environment=self.spec.name)),
            "run_node": (naming.node_document(self.spec.name), RunNodeDocument(environment=self.spec.name)),
        }
        for name, (title, text) in documents.items():
            ssm.SsmDocument(
                self.stack,
                name,
                name=title,
                document_type="Command",
                document_format="YAML",
                target_type="/AWS::EC2::Instance",
                content=literal(render(text)),
            )

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
        )

    def _outputs(self) -> EnvironmentOutputs:
        """Return the outputs, with references where Terraform alone knows the value."""
        return EnvironmentOutputs(
            environment=self.spec.name,
            region=self.spec.region,
            vpc_id=self.base.vpc_id,
            subnet_ids=self.base.subnet_ids,
            artifact_bucket=self.base.artifact_bucket,
            dataset_bucket=self.base.dataset_bucket,
            ledger_bucket=naming.ledger_bucket(self.account.organization, self.account.region),
            kms_key_arn=self.base.kms_key_arn,
            run_document=naming.run_document(self.spec.name),
            node_document=naming.node_document(self.spec.name),
            head_group=naming.head_group(self.spec.name),
            fleets={name: self._fleet_outputs(name, fleet) for name, fleet in self.spec.fleets.items()},
            run_max_gib=self.spec.fsx.run_max_gib,
        )

    def _fleet_outputs(self, name: str, fleet: FleetSpec) -> FleetOutputs:
        return FleetOutputs(
            group=naming.fleet_group(self.spec.name, name),
            nodes=fleet.nodes,
            max_nodes=fleet.max_nodes,
            instance_type=fleet.instance_type,
            gpus_per_node=load_catalog()[fleet.instance_type].gpus,
            purchase=fleet.purchase,
            placement=fleet.placement,
            placement_group=fleet.placement_group,
            subnet_ids=self._subnets(fleet),
            efa=gets_efa(fleet),
        )


def _joins_disks(fleet: FleetSpec) -> bool:
    """Return whether the fleet's nodes have local disks, and they are to be joined."""
    return fleet.scratch == "raid0" and load_catalog()[fleet.instance_type].disks > 0
