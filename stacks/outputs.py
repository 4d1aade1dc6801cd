"""EnvironmentOutputs: what Terraform has made, the one contract between the stacks and all that follows."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict

from stacks import naming

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
    elastic: int = 0
    """How many of `max_nodes` come and go with the queue."""


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
    scheduler: str = "plain"
    """`slurm`, or `plain` without a queue."""
    default_team: str = ""
    """What the queue calls the environment's own team."""
    teams: tuple[str, ...] = ()
    """Every team that may submit, the own one first; none without a queue."""
    accounting: bool = False
    """Whether it is kept what each team has used."""
    containers: bool = False
    """Whether a run can ask for a container."""
    longest_minutes: int = 0
    """Longest that a run may be asked for in the queue, minutes."""

    def run_document_of(self, team: str) -> str:
        """Return the document by which that team submits runs."""
        suffix = self._suffix(team)
        return naming.run_document(self.environment, suffix) if suffix else self.run_document

    def queue_document_of(self, team: str) -> str:
        """Return the document by which that team acts on its runs in the queue."""
        return naming.queue_document(self.environment, self._suffix(team))

    def _suffix(self, team: str) -> str:
        return "" if team in ("", self.default_team) else team

    def to_json(self) -> str:
        """Return the outputs as the text that the SSM parameter holds."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote. Raises ValueError where a field is missing or of the wrong type."""
        return cls.model_validate_json(text)
