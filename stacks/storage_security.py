"""Who may talk to an environment's file systems: its own machines, on the ports of NFS and Lustre."""

from __future__ import annotations

from dataclasses import dataclass

from stacks import naming
from stacks.aws.generated import vpc
from stacks.aws.layer import Ref, Resource
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec

NFS_PORTS = ((2049, 2049),)
LUSTRE_PORTS = ((988, 988), (1018, 1023))
"""FSx for Lustre user guide, "File system access control with Amazon VPC"; both ends begin connections."""


@dataclass(frozen=True)
class StorageGroup:
    """The security group of the file systems."""

    id: Ref
    lustre_rules: tuple[Resource, ...]
    """FSx refuses to make a file system whose group does not let Lustre through yet: these come first."""


def add_storage_group(stack: Stack, spec: EnvironmentSpec, vpc_id: str, nodes: str) -> StorageGroup:
    """Add the security group of the file systems, with the rules on both sides.

    `nodes` is the group of the machines.
    """
    title = naming.security_group(spec.name, naming.SECURITY_GROUP_STORAGE)
    storage = vpc.SecurityGroup(
        stack,
        naming.SECURITY_GROUP_STORAGE,
        name=title,
        description=f"File systems of {spec.name}",
        vpc_id=vpc_id,
        tags={"Name": title},
    ).id
    if spec.efs.enabled:
        _allow(stack, "nfs", NFS_PORTS, nodes, storage)
    lustre: list[Resource] = []
    if spec.fsx.kind != "none" or spec.fsx.run_max_gib:
        lustre += _allow(stack, "lustre", LUSTRE_PORTS, nodes, storage)
        lustre += _allow(stack, "lustre_back", LUSTRE_PORTS, storage, nodes)
        lustre += _allow(stack, "lustre_among", LUSTRE_PORTS, storage, storage)
    return StorageGroup(storage, tuple(lustre))


def _allow(
    stack: Stack, name: str, ports: tuple[tuple[int, int], ...], source: str, target: str
) -> list[Resource]:
    """Let what is in one group connect to what is in the other; each end needs a rule of its own."""
    rules: list[Resource] = []
    for first, last in ports:
        rule = name if len(ports) == 1 else f"{name}_{first}"
        what = f"File systems: {name.replace('_', ' ')}"
        out = vpc.VpcSecurityGroupEgressRule(
            stack,
            rule,
            security_group_id=source,
            referenced_security_group_id=target,
            ip_protocol="tcp",
            from_port=first,
            to_port=last,
            description=what,
            tags={"Name": what},
        )
        into = vpc.VpcSecurityGroupIngressRule(
            stack,
            rule,
            security_group_id=target,
            referenced_security_group_id=source,
            ip_protocol="tcp",
            from_port=first,
            to_port=last,
            description=what,
            tags={"Name": what},
        )
        rules += [out, into]
    return rules
