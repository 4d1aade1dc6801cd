"""Names and tags that the stacks give, as far as the reaper needs them; a test compares the two."""

from __future__ import annotations

TAG_ENVIRONMENT = "fleetform:environment"
TAG_LEASE_ENDS = "fleetform:lease-ends"
TAG_ROLE = "fleetform:role"
ROLE_HEAD = "head"
TAG_GROUP = "aws:autoscaling:groupName"
"""Auto Scaling's own, on each machine that a group has started."""
SCHEDULE_PREFIX = "fleetform-lease-"
"""Beginning of the name of every schedule that ends a lease."""

EVENT_ENDED = "environment.lease_ended"
EVENT_WARNED = "lease.warned"
EVENT_BEYOND = "lease.beyond_limit"


def schedule_name(environment: str, region: str) -> str:
    """Return the name of an environment's schedule, and of the group that the schedule is in."""
    return f"{SCHEDULE_PREFIX}{environment}-{region}"


def schedule_role(environment: str, region: str) -> str:
    """Return the IAM role with which an environment's schedule calls the reaper."""
    return f"{environment}-lease-{region}"
