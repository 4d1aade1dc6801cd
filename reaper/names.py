"""Names and tags that the stacks give, as far as the reaper needs them; a test compares the two."""

from __future__ import annotations

TAG_ENVIRONMENT = "fleetform:environment"
TAG_LEASE_ENDS = "fleetform:lease-ends"
SCHEDULE_PREFIX = "fleetform-lease-"
"""Beginning of the name of every schedule that ends a lease."""

EVENT_ENDED = "environment.lease_ended"
EVENT_WARNED = "lease.warned"
