"""EnvironmentOutputs: what Terraform has made, the one contract between the stacks and all that follows."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict

_FROZEN = ConfigDict(frozen=True, extra="ignore")
"""Keys that a newer fleetform wrote are ignored, so that an older one can still tear down."""


class FleetOutputs(BaseModel):
    """One GPU fleet as it stands."""

    model_config = _FROZEN

    group: str
    """Name of its Auto Scaling group."""
    nodes: int
    """Nodes it was declared with."""
    max_nodes: int
    instance_type: str
    gpus_per_node: int
    purchase: str = "on_demand"
    """`on_demand`, `spot`, `capacity_reservation` or `capacity_block`."""
    placement: str = "together"
    """`together` in one zone, or `spread` over all."""
    placement_group: bool = True
    """Whether it has a cluster placement group of its own."""
    subnet_ids: tuple[str, ...] = ()
    """Subnets that its nodes start in; empty where an older fleetform wrote the outputs."""
    efa: bool = False
    """Whether its nodes have Elastic Fabric Adapters."""


class EnvironmentOutputs(BaseModel):
    """One environment as it stands, published by its fleet stack."""

    model_config = _FROZEN

    environment: str
    region: str
    vpc_id: str
    subnet_ids: tuple[str, ...]
    """One private subnet per availability zone."""
    artifact_bucket: str
    dataset_bucket: str
    ledger_bucket: str
    kms_key_arn: str
    run_document: str
    """Systems Manager document that starts a run on the head node."""
    node_document: str
    """Systems Manager document that starts one node's part of a run."""
    head_group: str
    """Auto Scaling group of the head node."""
    fleets: dict[str, FleetOutputs]
    """The GPU fleets by name."""
    run_max_gib: int = 0
    """Largest file system (FSx for Lustre) that a run may have for its own length, GiB; 0 for none."""

    def to_json(self) -> str:
        """Return the outputs as the text that the SSM parameter holds."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote. Raises ValueError where a field is missing or of the wrong type."""
        return cls.model_validate_json(text)
