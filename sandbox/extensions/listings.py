"""What a fleet has just started is not in EC2's listings yet, as EC2's eventual consistency has it.

Seam: `InstanceBackend.describe_instances`, which answers DescribeInstances without ids; moto lists at once.
`POST /_sandbox/listings` with `{"lag_s": 3}` leaves what fleets have started out for so long; 0, as at first,
lists it at once. Asked by its id an instance is there.
https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

from __future__ import annotations

import json
import time
from typing import Any

from moto.ec2.models.instances import InstanceBackend

from sandbox.extensions.fleets import FLEETS
from sandbox.parts import Parts, store


def install(parts: Parts) -> None:
    """Replace the listing, and add the page."""
    listed = InstanceBackend.describe_instances
    lag_s = 0.0

    def describe_instances(self: Any, filters: Any = None) -> list[Any]:
        found: list[Any] = listed(self, filters)
        if not lag_s:
            return found
        since = time.time() - lag_s
        young = {name for name, started in store(self, FLEETS).items() if started["began"] > since}
        return [each for each in found if not young & {instance.id for instance in each.instances}]

    def set_lag(body: bytes) -> dict[str, float]:
        nonlocal lag_s
        wanted = float(json.loads(body)["lag_s"])
        if not 0 <= wanted <= 60:
            raise ValueError(f"lag_s: {wanted} is not between 0 and 60")
        lag_s = wanted
        return {"lag_s": lag_s}

    InstanceBackend.describe_instances = describe_instances
    parts.pages["POST", "listings"] = set_lag
