"""The reaper's entry, `reaper.handler.handle`: ends what has outlived its lease, warns, acts on idleness.

Runs in AWS Lambda, in the account's region, called by EventBridge Scheduler with one of

    {"act": "end", "environment": ..., "region": ...}   once, when an environment's lease ends
    {"act": "look"}                                     often: what was started again, and what is idle
    {"act": "daily"}                                    warnings, and a look at every region of the account

Every call looks at what is so now, so a call too many does nothing, and one that was lost is made up for.
"""

from __future__ import annotations

import datetime
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from reaper.aws import Aws
from reaper.decide import Ended, beyond, ended
from reaper.idle_acts import IdleCall, act_on_idleness
from reaper.leases import Lease, latest_end, read_leases, to_warn
from reaper.machines import HEAD_SECONDS, Done, Region, file_systems, look, put_to_rest
from reaper.names import EVENT_BEYOND, EVENT_ENDED, EVENT_WARNED
from reaper.notice import beyond_text, ended_text, publish, warning_text
from reaper.record import Record
from reaper.witness import Witness

_LATE_SECONDS, _LATE_LOOKS = 5.0, 8
"""Pause before each look for what a head node started in its last moment, and how many there are at most."""


@dataclass(frozen=True)
class Call:
    """What one call works with."""

    aws: Aws
    record: Record
    now: datetime.datetime
    leases: Sequence[Lease]
    alerts: str
    """ARN of the account's own topic."""
    heads_gone_by: float = field(default_factory=lambda: time.monotonic() + HEAD_SECONDS)
    """Until when, of the monotonic clock, ending head nodes are waited for."""

    def topics(self, environment: str) -> list[str]:
        """Return the topics of an environment's people and of the account's."""
        own = [lease.topic for lease in self.leases if lease.environment == environment]
        return [*own, self.alerts]


def handle(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Carry the event out and return what was done. Raises where something could not be done.

    An error is what the account's alarm counts, and Lambda calls again after it. No failure keeps the rest
    from being done: what the schedules cannot say, the groups' tags do.
    """
    aws = Aws(os.environ["AWS_REGION"])
    identity, now = aws.caller_and_time()
    record = Record(aws, os.environ["LEDGER_BUCKET"], identity, context.function_name, now)
    own_arn = ":".join(context.invoked_function_arn.split(":")[:7])  # without a version that was asked for
    leases, failures = read_leases(aws, own_arn)
    call = Call(aws, record, now, leases, os.environ["ALERTS_TOPIC"])
    failed, regions = _regions(call, event, unread=bool(failures))
    failures += failed
    failed, found = _look(call, regions)
    failures += failed
    failed, done = _end(call, found)
    failures += failed
    idle = IdleCall(aws, partial(_recorded, call), call.topics, now)
    failures += act_on_idleness(idle, found, over=done)
    warned: list[str] = []
    if event["act"] == "daily":
        failed, warned = _warn(call)
        failures += failed + _tell_of_far_ends(call, found, int(os.environ["LEASE_MAX_DAYS"]))
    if event["act"] != "end":
        failures += Witness(aws, record, os.environ["LEDGER_KEY"], now).sign()
    said = {"act": event["act"], "now": now.isoformat(), "warned": warned, "ended": done}
    # By `looked` in the log the account's alarm knows that the reaper does what it is there for.
    print(json.dumps({**said, "looked": len(found), "failures": failures}))
    if failures:
        raise RuntimeError("; ".join(failures))
    return said


def _regions(call: Call, event: Mapping[str, Any], *, unread: bool = False) -> tuple[list[str], list[str]]:
    """Return what failed, and the regions to look at: where leases are, all of them daily.

    The daily look finds a group whose schedule was deleted anywhere; so does every one for which some
    schedule could not be read, `unread`.
    """
    if event["act"] == "end":
        return [], [str(event["region"])]
    known = {call.aws.region, *(lease.region for lease in call.leases)}
    if event["act"] == "look" and not unread:
        return [], sorted(known)
    assert event["act"] in ("look", "daily"), event
    try:
        return [], sorted(known | set(call.aws.regions()))
    except Exception as error:
        return [f"the regions cannot be listed: {error}"], sorted(known)


def _look(call: Call, regions: Sequence[str]) -> tuple[list[str], list[Region]]:
    """Look at the regions side by side; return what failed, and what was found."""
    failures: list[str] = []
    found: list[Region] = []
    with ThreadPoolExecutor(max_workers=8) as pool:
        looks = {region: pool.submit(look, call.aws, region) for region in regions}
    for region, answer in looks.items():
        error = answer.exception()
        if error is None:
            found.append(answer.result())
        elif _matters(call, region):
            failures.append(f"{region}: {error}")
        else:  # a region that the organization's policies close
            print(f"{region} cannot be looked at: {error}")
    return failures, found


def _end(call: Call, found: Sequence[Region]) -> tuple[list[str], list[str]]:
    """End what has outlived its lease; return what failed, and the environments that were ended."""
    failures: list[str] = []
    done: list[str] = []
    for region in found:
        for work in ended(region, call.leases, call.now):
            try:
                failures += _end_one(call, work)
            except Exception as error:
                failures.append(f"{work.environment} ({work.region}): {error}")
            done.append(f"{work.environment} ({work.region})")
    return failures, done


def _tell_of_far_ends(call: Call, found: Sequence[Region], max_days: int) -> list[str]:
    """Tell of every end that is further away than the account allows; return what failed."""
    failures: list[str] = []
    for far in beyond(found, call.leases, latest_end(call.now, max_days)):
        subject = f"fleetform: {far.environment} is to stand for longer than is allowed"
        failures += publish(call.aws, call.topics(far.environment), subject, beyond_text(far, max_days))
        about = {"region": far.region, "ends": far.ends.isoformat(), "said_by": far.said_by}
        failures += _recorded(call, EVENT_BEYOND, far.environment, "recorded", about)
    return failures


def _matters(call: Call, region: str) -> bool:
    """Return whether one of our environments, or the account's own things, are in the region."""
    return region == call.aws.region or any(lease.region == region for lease in call.leases)


def _end_one(call: Call, work: Ended) -> list[str]:
    """Put one environment to rest, on record; return what failed.

    An act that is not on record does not start, but for this one: a ledger that cannot be written must not be
    a way to keep machines running. That is told instead, and CloudTrail has the calls.
    """
    about: dict[str, Any] = {
        "region": work.region,
        "groups": {group.name: group.wanted for group in work.groups},
        "machines": [machine.id for machine in work.machines],
    }
    failures = _recorded(call, EVENT_ENDED, work.environment, "started", about)
    done = put_to_rest(call.aws, work.region, work.groups, work.machines, heads_gone_by=call.heads_gone_by)
    if any(machine.head for machine in work.machines):
        _end_late(call, work, done)
    kept = _kept(call, work)
    about = {"groups": done.groups, "machines": done.machines, "kept": kept}
    if done.failures:
        about["cause"] = "; ".join(done.failures)[:2000]
    outcome = "failed" if done.failures else "succeeded"
    failures += _recorded(call, EVENT_ENDED, work.environment, outcome, about)
    subject = f"fleetform: the lease of {work.environment} has ended"
    text = ended_text(work, done, kept)
    failures += publish(call.aws, call.topics(work.environment), subject, text)
    return failures + done.failures


def _end_late(call: Call, work: Ended, done: Done) -> None:
    """End the machines that the head node has started since the look; that is told in `done`.

    EC2 lists what was started some seconds late; it is looked until two looks in a row show nothing new.
    """
    seen, idle = {machine.id for machine in work.machines}, 0
    for _ in range(_LATE_LOOKS):
        time.sleep(_LATE_SECONDS)
        try:
            found = ended(look(call.aws, work.region), call.leases, call.now)
        except Exception as error:
            done.failures.append(f"what the head node started last is not known: {error}")
            return
        late = [
            machine
            for each in found
            if each.environment == work.environment
            for machine in each.machines
            if machine.id not in seen and not machine.group
        ]
        idle = 0 if late else idle + 1
        if idle == 2:
            return
        seen |= {machine.id for machine in late}
        more = put_to_rest(call.aws, work.region, (), late)
        done.machines += more.machines
        done.failures += more.failures


def _kept(call: Call, work: Ended) -> list[str]:
    """Return the file systems that still cost money; that they cannot be listed is told in their place."""
    try:
        return file_systems(call.aws, work.region, work.environment)
    except Exception as error:
        return [f"file systems could not be listed: {error}"]


def _warn(call: Call) -> tuple[list[str], list[str]]:
    """Warn of the leases that end soon; return what failed, and the environments that were warned."""
    failures: list[str] = []
    done: list[str] = []
    for lease, left in to_warn(call.leases, call.now):
        subject = f"fleetform: the lease of {lease.environment} ends soon"
        failures += publish(call.aws, call.topics(lease.environment), subject, warning_text(lease, left))
        about = {"region": lease.region, "ends": lease.ends.isoformat(), "days_left": left}
        failures += _recorded(call, EVENT_WARNED, lease.environment, "recorded", about)
        done.append(lease.environment)
    return failures, done


def _recorded(call: Call, event: str, target: str, outcome: str, details: Mapping[str, Any]) -> list[str]:
    """Put an entry into the ledger; return what failed."""
    try:
        call.record.append(event, target, outcome, details)
    except Exception as error:
        return [f"the ledger could not be written: {error}"]
    return []
