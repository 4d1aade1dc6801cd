"""VpcParts: what the rest of a network needs to know of the VPC that it is in, made or found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class VpcParts:
    """References to a VPC and to the environment's private subnets in it."""

    vpc_id: str
    subnet_ids: tuple[str, ...]
    """One private subnet per availability zone."""
    route_table_ids: tuple[str, ...]
    """The route table of each of them, in the same order; two may be the same one."""
