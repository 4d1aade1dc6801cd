"""What the base stack hands to the fleet stack through its state; all texts, so that each is one output."""

from __future__ import annotations

from dataclasses import dataclass, fields

from stacks.cdk import Stack

DESCRIPTIONS = {
    "vpc_id": "The environment's network",
    "nodes_security_group_id": "Security group of every machine",
    "kms_key_arn": "Key of everything at rest",
    "artifact_bucket": "Bucket of runs, models and node bundles",
    "dataset_bucket": "Bucket of datasets",
    "storage_security_group_id": "Security group of the file systems",
    "shared_id": "Shared file system (EFS)",
    "shared_access_point": "Access point of the shared file system",
    "fast_dns_name": "Address of the persistent fast file system (FSx for Lustre)",
    "fast_mount_name": "Name by which the fast file system is mounted",
    "head_profile": "Instance profile of the head node",
    "node_profile": "Instance profile of the nodes",
}


@dataclass(frozen=True, kw_only=True)
class BaseOutputs:
    """References to what the base stack made: to resources inside it, to its state in the fleet stack."""

    vpc_id: str
    subnet_ids: tuple[str, ...]
    """Private subnets, one per zone; as outputs `subnet_id_0`, `subnet_id_1`, ..."""
    nodes_security_group_id: str
    kms_key_arn: str
    artifact_bucket: str
    dataset_bucket: str
    storage_security_group_id: str
    """"" where there are no file systems, as the four below."""
    shared_id: str
    shared_access_point: str
    fast_dns_name: str
    fast_mount_name: str
    head_profile: str
    node_profile: str

    def publish(self, stack: Stack) -> None:
        """Make every field that is not "" an output of the base stack."""
        assert {field.name for field in fields(self)} == {*DESCRIPTIONS, "subnet_ids"}
        for name, description in DESCRIPTIONS.items():
            if value := getattr(self, name):
                stack.output(name, value, description)
        for index, subnet in enumerate(self.subnet_ids):
            stack.output(f"subnet_id_{index}", subnet, f"Private subnet of zone {index}")

    @classmethod
    def remote(cls, zones: int) -> BaseOutputs:
        """Return the references by which a stack reads them from the base stack's state."""
        prefix = "data.terraform_remote_state.base.outputs"
        texts = {name: f"${{{prefix}.{name}}}" for name in DESCRIPTIONS}
        subnets = tuple(f"${{{prefix}.subnet_id_{index}}}" for index in range(zones))
        return cls(subnet_ids=subnets, **texts)
