"""EC2 capacity blocks: DescribeCapacityBlockOfferings and PurchaseCapacityBlock.

Seam: methods on `EC2Response`; what was bought is a capacity reservation as those of `capacity_reservations`.
moto has neither action; drop this when it has. Every block that is asked for is on offer, in the region's
first zone, also one whose time is over, so that its end can be seen. Its state follows the clock.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response

from sandbox.extensions.capacity_reservations import reservations_of
from sandbox.parts import Parts, store


def install(parts: Parts) -> None:
    """Give EC2 the two actions."""
    EC2Response.describe_capacity_block_offerings = describe_capacity_block_offerings
    EC2Response.purchase_capacity_block = purchase_capacity_block


def describe_capacity_block_offerings(request: Any) -> ActionResult:
    """DescribeCapacityBlockOfferings: exactly what was asked for."""
    get = request._get_param
    asked = get("StartDateRange")
    start = asked.replace(tzinfo=UTC) if asked else datetime.now(UTC)  # moto parses a time in UTC, and naive
    hours = int(get("CapacityDurationHours"))
    offering = {
        "CapacityBlockOfferingId": f"cbo-{uuid.uuid4().hex[:17]}",
        "InstanceType": get("InstanceType"),
        "AvailabilityZone": f"{request.region}a",
        "InstanceCount": int(get("InstanceCount", 1)),
        "StartDate": start,
        "EndDate": start + timedelta(hours=hours),
        "CapacityBlockDurationHours": hours,
        "UpfrontFee": "0.00",
        "CurrencyCode": "USD",
        "Tenancy": "default",
    }
    store(request.ec2_backend, "capacity_block_offerings")[offering["CapacityBlockOfferingId"]] = offering
    return ActionResult({"CapacityBlockOfferings": [offering]})


def purchase_capacity_block(request: Any) -> ActionResult:
    """PurchaseCapacityBlock: a targeted reservation that gives capacity between its two times."""
    backend, wanted = request.ec2_backend, request._get_param("CapacityBlockOfferingId")
    offering = store(backend, "capacity_block_offerings").get(wanted)
    if offering is None:
        raise EC2ClientError(
            "InvalidCapacityBlockOfferingId.NotFound",
            f"The capacity block offering '{wanted}' does not exist.",
        )
    reservation_id = f"cr-{uuid.uuid4().hex[:17]}"
    account = request.current_account
    reservations_of(backend)[reservation_id] = {
        "CapacityReservationId": reservation_id,
        "CapacityReservationArn": (
            f"arn:{request.partition}:ec2:{request.region}:{account}:capacity-reservation/{reservation_id}"
        ),
        "OwnerId": account,
        "InstanceType": offering["InstanceType"],
        "InstancePlatform": request._get_param("InstancePlatform"),
        "AvailabilityZone": offering["AvailabilityZone"],
        "Tenancy": "default",
        "TotalInstanceCount": offering["InstanceCount"],
        "AvailableInstanceCount": offering["InstanceCount"],
        "StartDate": offering["StartDate"],
        "EndDate": offering["EndDate"],
        "CreateDate": datetime.now(UTC),
        "EndDateType": "limited",
        "InstanceMatchCriteria": "targeted",
        "ReservationType": "capacity-block",
        "State": "scheduled",
    }
    backend.create_tags([reservation_id], request._parse_tag_specification().get("capacity-reservation", {}))
    return ActionResult({"CapacityReservation": {**reservations_of(backend)[reservation_id], "Tags": []}})
