"""Puts on record what is idle, and sets to zero the groups of fleets that were idle for too long.

What cannot be recorded does not start: unlike the end of a lease, which ends whatever stands, this ends
machines on the word of a tag, and an act of which nobody could ever say why would be worse than its cost.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reaper.aws import Aws
from reaper.idle import REST, IdleFleet, IdleRun, idle_fleets, idle_runs, moment_text, warned_text
from reaper.machines import Region, look, scale_to_zero
from reaper.names import EVENT_IDLE, EVENT_IDLE_RUN, TAG_IDLE_TOLD, TAG_IDLE_WARNED
from reaper.notice import idle_run_text, idle_text, publish, zero_text

Recorded = Callable[[str, str, str, Mapping[str, Any]], list[str]]
"""Puts an entry into the ledger: event, target, outcome, details; returns what failed."""


@dataclass(frozen=True)
class IdleCall:
    """What one call of the reaper works with."""

    aws: Aws
    recorded: Recorded
    topics: Callable[[str], list[str]]
    """The topics of an environment's people and of the account's, by its name."""
    now: datetime.datetime


def act_on_idleness(call: IdleCall, found: Sequence[Region], *, over: Collection[str]) -> list[str]:
    """Do what is due; return what failed. `over` are environments that have just ended, `NAME (REGION)`."""
    failures: list[str] = []
    for run in [run for region in found for run in idle_runs(region)]:
        failures += _guarded(run.run_id, lambda: _tell_of_run(call, run))  # noqa: B023 - called at once
    for fleet in [fleet for region in found for fleet in idle_fleets(region, call.now)]:
        if f"{fleet.group.environment} ({fleet.region})" in over:
            continue
        act = _rest if fleet.act == REST else _warn
        failures += _guarded(fleet.group.name, lambda: act(call, fleet))  # noqa: B023 - called at once
    return failures


def _guarded(about: str, act: Callable[[], list[str]]) -> list[str]:
    """Return what failed: no fleet's trouble keeps the others from being looked after."""
    try:
        return act()
    except Exception as error:
        return [f"{about}: {error}"]


def _tell_of_run(call: IdleCall, run: IdleRun) -> list[str]:
    about = {
        "environment": run.environment,
        "region": run.region,
        "machines": list(run.machines),
        "reason": run.cause,
        "stops" if run.outcome == "warned" else "stopped": run.moment,
    }
    if failures := call.recorded(EVENT_IDLE_RUN, run.run_id, run.outcome, about):
        return failures
    _tag(call, run.region, run.machines, TAG_IDLE_TOLD, run.word)
    subject = f"fleetform: {run.run_id} of {run.environment} makes no progress"
    return publish(call.aws, call.topics(run.environment), subject, idle_run_text(run))


def _warn(call: IdleCall, fleet: IdleFleet) -> list[str]:
    zero_at = moment_text(call.now + fleet.grace)
    if failures := call.recorded(
        EVENT_IDLE, fleet.group.environment, "warned", {**_about(fleet), "zero_at": zero_at}
    ):
        return failures
    _tag(call, fleet.region, fleet.machines, TAG_IDLE_WARNED, warned_text(fleet.since, call.now))
    subject = f"fleetform: {fleet.group.name} stands idle"
    return publish(call.aws, call.topics(fleet.group.environment), subject, idle_text(fleet, zero_at))


def _rest(call: IdleCall, fleet: IdleFleet) -> list[str]:
    """Set a group to zero, on record, unless one of its nodes has got a run since the look."""
    environment, about = fleet.group.environment, _about(fleet)
    again = idle_fleets(look(call.aws, fleet.region), call.now)
    if not any(
        (each.group.name, each.act, each.since) == (fleet.group.name, REST, fleet.since) for each in again
    ):
        print(f"{fleet.group.name} is not idle any more")
        return []
    if failures := call.recorded(EVENT_IDLE, environment, "started", about):
        return failures
    failures = []
    try:
        scale_to_zero(call.aws.client("autoscaling", fleet.region), fleet.group)
    except Exception as error:
        failures.append(f"{fleet.group.name}: {error}")
    outcome = "failed" if failures else "succeeded"
    cause = {"cause": failures[0][:2000]} if failures else {}
    failures += call.recorded(EVENT_IDLE, environment, outcome, {**about, **cause})
    subject = f"fleetform: {fleet.group.name} was set to zero"
    return failures + publish(call.aws, call.topics(environment), subject, zero_text(fleet, failures))


def _about(fleet: IdleFleet) -> dict[str, Any]:
    return {
        "region": fleet.region,
        "fleet": fleet.group.fleet,
        "group": fleet.group.name,
        "nodes": fleet.group.wanted,
        "machines": list(fleet.machines),
        "reason": fleet.reason,
    }


def _tag(call: IdleCall, region: str, machines: Sequence[str], key: str, value: str) -> None:
    ec2 = call.aws.client("ec2", region)
    ec2.create_tags(Resources=list(machines), Tags=[{"Key": key, "Value": value}])
