"""Names and tags that the stacks give, as far as the reaper needs them; a test compares the two."""

from __future__ import annotations

TAG_ENVIRONMENT = "fleetform:environment"
TAG_LEASE_ENDS = "fleetform:lease-ends"
TAG_ROLE = "fleetform:role"
ROLE_HEAD = "head"
TAG_FLEET = "fleetform:fleet"
TAG_IDLE = "fleetform:idle"
"""On a fleet's group and on what it starts: the policy on nodes without a run, `MINUTES+GRACE`."""
TAG_WORK = "fleetform:work"
"""On a node that stands for good, by its head: `busy`, or `free SINCE`."""
TAG_IDLE_RUN = "fleetform:idle-run"
"""On the nodes of an idle run, by their head: `warned RUN STOPS CAUSE` or `stopped RUN TIME CAUSE`."""
TAG_IDLE_TOLD, TAG_IDLE_WARNED = "fleetform:idle-told", "fleetform:idle-warned"
"""On a node, by the reaper: what of the two is on record."""
TAG_GROUP = "aws:autoscaling:groupName"
"""Auto Scaling's own, on each machine that a group has started."""
SCHEDULE_PREFIX = "fleetform-lease-"
"""Beginning of the name of every schedule that ends a lease."""

EVENT_ENDED = "environment.lease_ended"
EVENT_WARNED = "lease.warned"
EVENT_BEYOND = "lease.beyond_limit"
EVENT_IDLE, EVENT_IDLE_RUN = "environment.idle", "run.idle"


def schedule_name(environment: str, region: str) -> str:
    """Return the name of an environment's schedule, and of the group that the schedule is in."""
    return f"{SCHEDULE_PREFIX}{environment}-{region}"


def schedule_role(environment: str, region: str) -> str:
    """Return the IAM role with which an environment's schedule calls the reaper."""
    return f"{environment}-lease-{region}"
