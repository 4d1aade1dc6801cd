"""What the fleet stack publishes of an environment, for all commands that follow."""

from __future__ import annotations

from collections.abc import Callable

from stacks import naming
from stacks.account import AccountSpec
from stacks.base_outputs import BaseOutputs
from stacks.catalog import load_catalog
from stacks.environment import EnvironmentSpec
from stacks.fleet_spec import FleetSpec
from stacks.interfaces import gets_efa
from stacks.outputs import EnvironmentOutputs, FleetOutputs


def published(
    account: AccountSpec,
    spec: EnvironmentSpec,
    base: BaseOutputs,
    subnets: Callable[[FleetSpec], tuple[str, ...]],
) -> EnvironmentOutputs:
    """Return the outputs, with references where Terraform alone knows the value.

    `subnets` gives the subnets that a fleet's nodes start in.
    """
    scheduler = spec.scheduler
    return EnvironmentOutputs(
        environment=spec.name,
        region=spec.region,
        vpc_id=base.vpc_id,
        subnet_ids=base.subnet_ids,
        artifact_bucket=base.artifact_bucket,
        dataset_bucket=base.dataset_bucket,
        ledger_bucket=naming.ledger_bucket(account.organization, account.region),
        kms_key_arn=base.kms_key_arn,
        run_document=naming.run_document(spec.name),
        node_document=naming.node_document(spec.name),
        head_group=naming.head_group(spec.name),
        fleets={name: _fleet(spec, name, fleet, subnets(fleet)) for name, fleet in spec.fleets.items()},
        run_max_gib=spec.fsx.run_max_gib,
        scheduler=scheduler.kind,
        default_team=spec.own_team,
        teams=(spec.own_team, *spec.further_teams) if scheduler.is_slurm else (),
        accounting=scheduler.is_slurm and scheduler.accounting,
        containers=scheduler.is_slurm and scheduler.containers,
        longest_minutes=scheduler.longest_hours * 60 if scheduler.is_slurm else 0,
    )


def _fleet(spec: EnvironmentSpec, name: str, fleet: FleetSpec, subnet_ids: tuple[str, ...]) -> FleetOutputs:
    return FleetOutputs(
        group=naming.fleet_group(spec.name, name),
        nodes=fleet.nodes,
        max_nodes=fleet.max_nodes,
        instance_type=fleet.instance_type,
        gpus_per_node=load_catalog()[fleet.instance_type].gpus,
        purchase=fleet.purchase,
        placement=fleet.placement,
        placement_group=fleet.placement_group,
        subnet_ids=subnet_ids,
        efa=gets_efa(fleet),
        elastic=fleet.max_nodes - fleet.nodes if spec.scheduler.is_slurm else 0,
    )
