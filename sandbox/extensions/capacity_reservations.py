"""EC2 on-demand capacity reservations.

Seam: methods on `EC2Response`, which moto finds by the action's name; tags lie in moto's own store of EC2
tags. moto has none of the actions; drop this when it has them. Instances that name a reservation use it up;
an open one is not given to others that match it.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, EC2_RESOURCE_TO_PREFIX

from sandbox.parts import Parts, aws_tags, matches, store


def install(parts: Parts) -> None:
    """Give EC2 the four actions."""
    EC2_RESOURCE_TO_PREFIX["capacity-reservation"] = "cr"  # CreateTags looks them up
    EC2_PREFIX_TO_RESOURCE["cr"] = "capacity-reservation"
    EC2Response.create_capacity_reservation = create_capacity_reservation
    EC2Response.describe_capacity_reservations = describe_capacity_reservations
    EC2Response.modify_capacity_reservation = modify_capacity_reservation
    EC2Response.cancel_capacity_reservation = cancel_capacity_reservation


def reservations_of(backend: Any) -> dict[str, Any]:
    """Return a backend's reservations by id, cancelled ones included."""
    kept = store(backend, "capacity_reservations")
    for each in kept.values():
        if each["ReservationType"] == "capacity-block" and each["State"] != "cancelled":
            each["State"] = _state_at(each, datetime.now(UTC))
    return kept


def _state_at(block: dict[str, Any], moment: datetime) -> str:
    """Return the state of a capacity block, which follows the clock."""
    if moment < block["StartDate"]:
        return "scheduled"
    return "active" if moment < block["EndDate"] else "expired"


def require_capacity(
    backend: Any, reservation_id: str, *, instance_type: str, zone: str, market: str, ahead: int = 0
) -> None:
    """Refuse an instance that the reservation has no room for.

    `market` is the market type of its launch template, "" where that has none; `ahead` others are to be
    started before it. Raises EC2ClientError.
    """
    reservation = _require(backend, reservation_id)
    is_block = reservation["ReservationType"] == "capacity-block"
    if is_block != (market == "capacity-block"):
        raise EC2ClientError(
            "InvalidParameterCombination",
            f"The market type {market or 'default'} does not go with the reservation '{reservation_id}'.",
        )
    if reservation["State"] != "active":
        raise EC2ClientError(
            "InvalidCapacityReservationState",
            f"The capacity reservation '{reservation_id}' is {reservation['State']}.",
        )
    fits = (reservation["InstanceType"], reservation["AvailabilityZone"]) == (instance_type, zone)
    if not fits or _available(backend, reservation) < 1 + ahead:
        raise EC2ClientError(
            "ReservationCapacityExceeded",
            "The requested reservation does not have sufficient compatible and available capacity for this "
            "request.",
        )


def _available(backend: Any, reservation: dict[str, Any]) -> int:
    """Return how many more instances the reservation has room for."""
    wanted = reservation["CapacityReservationId"]
    used = sum(
        getattr(each, "capacity_reservation_id", None) == wanted and each.state != "terminated"
        for each in backend.all_instances()
    )
    return int(reservation["TotalInstanceCount"]) - int(used)


def create_capacity_reservation(request: Any) -> ActionResult:
    """CreateCapacityReservation; active at once."""
    backend, get = request.ec2_backend, request._get_param
    tags = request._parse_tag_specification().get("capacity-reservation", {})
    request.error_on_dryrun()
    reservation_id = f"cr-{uuid.uuid4().hex[:17]}"
    account, now = request.current_account, datetime.now(UTC)
    count = int(get("InstanceCount"))
    reservations_of(backend)[reservation_id] = {
        "CapacityReservationId": reservation_id,
        "CapacityReservationArn": (
            f"arn:{request.partition}:ec2:{request.region}:{account}:capacity-reservation/{reservation_id}"
        ),
        "OwnerId": account,
        "InstanceType": get("InstanceType"),
        "InstancePlatform": get("InstancePlatform"),
        "AvailabilityZone": get("AvailabilityZone") or f"{request.region}a",
        "Tenancy": get("Tenancy", "default"),
        "TotalInstanceCount": count,
        "AvailableInstanceCount": count,
        "EbsOptimized": get("EbsOptimized", False),
        "EphemeralStorage": get("EphemeralStorage", False),
        "State": "active",
        "StartDate": now,
        "CreateDate": now,
        "EndDate": get("EndDate"),
        "EndDateType": get("EndDateType", "unlimited"),
        "InstanceMatchCriteria": get("InstanceMatchCriteria", "open"),
        "PlacementGroupArn": get("PlacementGroupArn"),
        "ReservationType": "default",
    }
    backend.create_tags([reservation_id], tags)
    return ActionResult({"CapacityReservation": _shown(backend, reservation_id)})


def describe_capacity_reservations(request: Any) -> ActionResult:
    """DescribeCapacityReservations."""
    backend = request.ec2_backend
    wanted = request._get_param("CapacityReservationIds", [])
    for reservation_id in wanted:
        _require(backend, reservation_id)
    filters = request._filters_from_querystring()
    chosen = [
        _shown(backend, reservation_id)
        for reservation_id, reservation in reservations_of(backend).items()
        if (not wanted or reservation_id in wanted)
        and matches(filters, _facts(reservation), backend.tags.get(reservation_id, {}))
    ]
    return ActionResult({"CapacityReservations": chosen})


def modify_capacity_reservation(request: Any) -> ActionResult:
    """ModifyCapacityReservation: the count and the end."""
    reservation = _require(request.ec2_backend, request._get_param("CapacityReservationId"))
    if (count := request._get_param("InstanceCount")) is not None:
        reservation["TotalInstanceCount"] = int(count)
    for name in ("EndDate", "EndDateType", "InstanceMatchCriteria"):
        if (value := request._get_param(name)) is not None:
            reservation[name] = value
    return ActionResult({"Return": True})


def cancel_capacity_reservation(request: Any) -> ActionResult:
    """CancelCapacityReservation; it stays listed as cancelled."""
    reservation = _require(request.ec2_backend, request._get_param("CapacityReservationId"))
    reservation["State"] = "cancelled"
    return ActionResult({"Return": True})


def _require(backend: Any, reservation_id: str) -> dict[str, Any]:
    reservation: dict[str, Any] | None = reservations_of(backend).get(reservation_id)
    if reservation is None:
        raise EC2ClientError(
            "InvalidCapacityReservationId.NotFound",
            f"The capacity reservation '{reservation_id}' does not exist.",
        )
    return reservation


def _shown(backend: Any, reservation_id: str) -> dict[str, Any]:
    tags = backend.tags.get(reservation_id, {})
    reservation = reservations_of(backend)[reservation_id]
    return {
        **reservation,
        "AvailableInstanceCount": _available(backend, reservation),
        "Tags": aws_tags(tags),
    }


def _facts(reservation: dict[str, Any]) -> dict[str, str]:
    return {
        "state": reservation["State"],
        "instance-type": reservation["InstanceType"],
        "availability-zone": reservation["AvailabilityZone"],
        "owner-id": reservation["OwnerId"],
    }
