"""EC2 placement groups.

Seam: methods on `EC2Response`, which moto finds by the action's name; tags lie in moto's own store of EC2
tags. moto answers 500 to all three actions, and Terraform's provider retries for ten minutes; drop this
when it has them.
"""

from __future__ import annotations

import uuid
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, EC2_RESOURCE_TO_PREFIX

from sandbox.parts import Parts, aws_tags, matches, store


def install(parts: Parts) -> None:
    """Give EC2 the three actions."""
    EC2_RESOURCE_TO_PREFIX["placement-group"] = "pg"  # CreateTags looks them up
    EC2_PREFIX_TO_RESOURCE["pg"] = "placement-group"
    EC2Response.create_placement_group = create_placement_group
    EC2Response.describe_placement_groups = describe_placement_groups
    EC2Response.delete_placement_group = delete_placement_group


def groups_of(backend: Any) -> dict[str, Any]:
    """Return a backend's placement groups by name."""
    return store(backend, "placement_groups")


def create_placement_group(request: Any) -> ActionResult:
    """CreatePlacementGroup."""
    backend, name = request.ec2_backend, request._get_param("GroupName")
    strategy = request._get_param("Strategy", "cluster")
    partitions = request._get_param("PartitionCount")
    tags = request._parse_tag_specification("placement-group").get("placement-group", {})
    request.error_on_dryrun()
    if name in groups_of(backend):
        raise EC2ClientError(
            "InvalidPlacementGroup.Duplicate", f"The Placement Group '{name}' already exists."
        )
    group_id = f"pg-{uuid.uuid4().hex[:17]}"
    arn = f"arn:{request.partition}:ec2:{request.region}:{request.current_account}:placement-group/{name}"
    group = {
        "GroupName": name,
        "GroupId": group_id,
        "GroupArn": arn,
        "State": "available",
        "Strategy": strategy,
        "PartitionCount": int(partitions or 7) if strategy == "partition" else None,
        "SpreadLevel": request._get_param("SpreadLevel", "rack") if strategy == "spread" else None,
    }
    groups_of(backend)[name] = group
    backend.create_tags([group_id], tags)
    return ActionResult({"PlacementGroup": _shown(backend, group)})


def describe_placement_groups(request: Any) -> ActionResult:
    """DescribePlacementGroups."""
    backend = request.ec2_backend
    names, ids = request._get_param("GroupNames", []), request._get_param("GroupIds", [])
    for name in names:
        _require(backend, name)
    known_ids = {group["GroupId"] for group in groups_of(backend).values()}
    for group_id in ids:
        if group_id not in known_ids:
            raise EC2ClientError("InvalidPlacementGroupId.NotFound", f"The ID '{group_id}' does not exist.")
    filters = request._filters_from_querystring()
    chosen = [
        _shown(backend, group)
        for group in groups_of(backend).values()
        if (not names or group["GroupName"] in names)
        and (not ids or group["GroupId"] in ids)
        and matches(filters, _facts(group), backend.tags.get(group["GroupId"], {}))
    ]
    return ActionResult({"PlacementGroups": chosen})


def delete_placement_group(request: Any) -> ActionResult:
    """DeletePlacementGroup; refused while an instance is in the group."""
    backend, name = request.ec2_backend, request._get_param("GroupName")
    group = _require(backend, name)
    request.error_on_dryrun()
    if any(
        each.placement.group_name == name for each in backend.all_instances() if each.state != "terminated"
    ):
        raise EC2ClientError(
            "InvalidPlacementGroup.InUse", f"The placement group '{name}' is in use and may not be deleted."
        )
    del groups_of(backend)[name]
    backend.tags.pop(group["GroupId"], None)
    return ActionResult({})


def _require(backend: Any, name: str) -> dict[str, Any]:
    group: dict[str, Any] | None = groups_of(backend).get(name)
    if group is None:
        raise EC2ClientError("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")
    return group


def _shown(backend: Any, group: dict[str, Any]) -> dict[str, Any]:
    return {**group, "Tags": aws_tags(backend.tags.get(group["GroupId"], {}))}


def _facts(group: dict[str, Any]) -> dict[str, str]:
    return {
        "group-name": group["GroupName"],
        "group-arn": group["GroupArn"],
        "state": group["State"],
        "strategy": group["Strategy"],
        "spread-level": group["SpreadLevel"] or "",
    }
