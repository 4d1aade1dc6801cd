"""Which AWS services a machine calls, and so which interface endpoints an environment has, each with why.

Each costs money by the hour and the zone. S3 is not among them: its gateway endpoint is free. Left out on
purpose: `ec2messages` (the agent does without since 3.3.40), `elasticfilesystem` (a mount speaks to the mount
target in the subnet, not to the service).
"""

from __future__ import annotations

from stacks.environment import EnvironmentSpec

ALWAYS = {
    "ec2": "the head node looks for the running nodes",
    "ssm": "the agent registers, the head node sends commands",
    "ssmmessages": "commands and sessions reach the agent",
}
SESSIONS = {
    "kms": "the agent encrypts sessions with a key of the account",
    "logs": "the agent sends the transcripts of sessions",
}
"""Sessions take the account's document, which stands in one region."""
CLUSTER = {
    "secretsmanager": "machines of a cluster share a key",
    "sts": "nodes take on the role of a run's team, which the run gets instead of theirs",
}
"""Slurm's machines."""
PER_RUN_LUSTRE = {"fsx": "the head node makes and deletes the file system of a run"}
IDLE_FLEETS = {"autoscaling": "the head node starts nodes again that were given up for being idle"}


def interface_services(spec: EnvironmentSpec, account_region: str) -> dict[str, str]:
    """Return the services that get an interface endpoint, each with its reason; none with `existing`.

    With NAT the rarer ones are reached through that, which costs nothing more.
    """
    if spec.network.endpoints == "existing":
        return {}
    services = dict(ALWAYS)
    if not spec.network.reaches_out:
        services |= SESSIONS if spec.region == account_region else {}
        services |= PER_RUN_LUSTRE if spec.fsx.run_max_gib else {}
        services |= CLUSTER if spec.scheduler.is_slurm else {}
        services |= IDLE_FLEETS if spec.idle.node_minutes else {}
    return services
