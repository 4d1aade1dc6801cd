"""What the reaper tells people, over SNS."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from reaper.aws import Aws
from reaper.decide import Beyond, Ended
from reaper.idle import IdleFleet, IdleRun
from reaper.leases import Lease
from reaper.machines import Done

_SUBJECT_LENGTH = 100
"""SNS takes no longer subject."""


def publish(aws: Aws, topics: Sequence[str], subject: str, text: str) -> list[str]:
    """Publish to each topic and return what failed; a mail that cannot be sent stops nothing."""
    failures = []
    for topic in dict.fromkeys(filter(None, topics)):
        try:
            aws.client("sns").publish(TopicArn=topic, Subject=subject[:_SUBJECT_LENGTH], Message=text)
        except Exception as error:
            failures.append(f"{topic}: {error}")
    return failures


def ended_text(work: Ended, done: Done, kept: Sequence[str]) -> str:
    """Return the mail about a lease that has ended."""
    lines = [f"The lease of {work.environment} ({work.region}) has ended.", ""]
    lines += [f"Set to zero: {name} ({wanted} wanted)" for name, wanted in sorted(done.groups.items())]
    lines += [f"Ended: {machine}" for machine in done.machines]
    lines += [f"FAILED: {failure}" for failure in done.failures]
    if kept:
        lines += ["", "These hold data, still stand and still cost money:", *kept]
    lines += [
        "",
        "Storage and everything in it was left alone. To go on working:",
        f"    fleetform lease extend {work.environment} --until DATE --reason TEXT",
        "To tear it down, and stop what it still costs:",
        f"    fleetform down {work.environment} --base",
    ]
    return "\n".join(lines) + "\n"


def warning_text(lease: Lease, left: int) -> str:
    """Return the mail about a lease that ends soon."""
    last = (lease.ends - datetime.timedelta(days=1)).date()
    when = {0: "today", 1: "tomorrow"}.get(left, f"in {left} days")
    return (
        f"The lease of {lease.environment} ({lease.region}) ends {when}: its last day is {last} (UTC).\n\n"
        "Then all of its machines are ended, whatever runs on them; storage and everything in it stays.\n"
        "If the work goes on:\n"
        f"    fleetform lease extend {lease.environment} --until DATE --reason TEXT\n"
    )


def beyond_text(far: Beyond, max_days: int) -> str:
    """Return the mail about a lease that goes further than the account allows."""
    last = (far.ends - datetime.timedelta(days=1)).date()
    return (
        f"{far.environment} ({far.region}) is to stand until {last} (UTC), by {', '.join(far.said_by)}.\n"
        f"That is further than the {max_days} days from today that the account allows (lease.max_days).\n\n"
        "fleetform sets no such end: either the limit was lowered since, or somebody set the end past it.\n"
        "The account's trail has who. To shorten the lease, set `lease_ends` in the file, then:\n"
        f"    fleetform up {far.environment}\n"
    )


def idle_run_text(run: IdleRun) -> str:
    """Return the mail about a run that makes no progress, or was stopped for it."""
    will = (
        f"It is stopped at {run.moment} unless it goes on." if run.outcome == "warned" else "It was stopped."
    )
    return (
        f"{run.run_id} of {run.environment} ({run.region}) is idle: {run.cause}.\n{will}\n\n"
        "Its last checkpoint stays. To look at it, and to go on from there:\n"
        f"    fleetform logs {run.environment} {run.run_id}\n"
        f"    fleetform run {run.environment} --resume {run.run_id}\n"
    )


def idle_text(fleet: IdleFleet, zero_at: str) -> str:
    """Return the mail about a fleet that stands idle and will be set to zero."""
    return (
        f"{fleet.group.name} ({fleet.region}) stands idle: {fleet.reason}.\n"
        f"From {zero_at} on its group is set to zero, unless one of them gets a run before.\n"
        "A run that needs them later starts them again; until then they cost nothing.\n"
    )


def zero_text(fleet: IdleFleet, failures: Sequence[str]) -> str:
    """Return the mail about a fleet that was set to zero for standing idle."""
    done = f"{fleet.group.name} ({fleet.region}) was set to zero: {fleet.reason}."
    if failures:
        done = f"{fleet.group.name} ({fleet.region}) stands idle: {fleet.reason}. FAILED: {failures[0]}"
    return (
        f"{done}\n\nA run that needs its nodes starts them again, and so does:\n"
        f"    fleetform up {fleet.group.environment}\n"
    )
