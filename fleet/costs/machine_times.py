"""For how long machines have stood: by the trail, by EC2 as long as it knows them, and by the runs on them.

EC2 forgets a machine an hour after its end; the trail knows every start and end for as long as its files are
kept, but only auditors read it. A machine of which neither tells any more has stood at least from its first
run to its last.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fleet import aws
from fleet.costs.amounts import milliseconds
from fleet.costs.facts import Held, Machine
from fleet.costs.prices import Prices
from fleet.errors import ActError
from fleet.instances import GOING, instances, tag_of
from fleet.session import Session
from fleet.trail import TrailEvent, read_trail, texts_in
from stacks import naming
from stacks.catalog import load_catalog

_STATES = (*GOING, "shutting-down", "terminated", "stopping", "stopped")
_SINCE = re.compile(r"\((\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) (?:GMT|UTC)\)")
"""The time in EC2's reason for a machine's state: `User initiated (2026-11-23 07:00:00 GMT)`."""
_STARTS, _ENDS = ("RunInstances", "CreateFleet"), ("TerminateInstances", "BidEvictedEvent")
_EC2 = "ec2.amazonaws.com"
_ID = re.compile(r"i-[0-9a-f]{8}(?:[0-9a-f]{9})?")


@dataclass(frozen=True)
class Life:
    """What one source tells of a machine."""

    instance: str
    type: str
    """"" where it does not say."""
    fleet: str | None
    """"" for the head, None where it does not say."""
    begun: int | None
    ended: int | None
    told_by: str
    stands: bool = False
    """Whether it stands now; else one without an end has one that nobody tells."""


@dataclass(frozen=True)
class MachineTimes:
    """The machines, and what could not be known of them."""

    machines: tuple[Machine, ...]
    notes: tuple[str, ...]


def read_machine_times(
    session: Session, held: Iterable[Held], prices: Prices, since: int, now: datetime.datetime, *, trail: bool
) -> MachineTimes:
    """Return the environment's machines that have stood since then; with `trail` the account's is read."""
    held = list(held)
    told, notes = list(lives_of_runs(held)), list[str]()
    if trail:
        calls, trouble = _calls(session, since, now)
        ours = {each.instance for each in told}
        told += lives_of_calls(calls, session.spec.name, ours)
        notes += trouble
    else:
        notes.append(
            "the trail was not read: of machines that EC2 has forgotten only the time between their runs is "
            "idle"
        )
    told += [_life(each) for each in instances(session, states=_STATES, roles=())]
    lives = joined(told)
    machines = [_machine(session, each, prices, milliseconds(now)) for each in lives]
    if lacking := sorted({each.type for each in lives if each.type and prices.of_type(each.type) is None}):
        notes.append(f"machines of types without a price are not counted: {', '.join(lacking)}")
    if endless := [each.instance for each in lives if not each.stands and each.ended is None]:
        notes.append(f"nobody tells when these machines ended, which are not counted: {', '.join(endless)}")
    return MachineTimes(tuple(machines), tuple(notes))


def lives_of_runs(held: Iterable[Held]) -> Iterator[Life]:
    """Yield the machines that runs were on, each from its first run to its last."""
    found: dict[str, list[Held]] = {}
    for each in held:
        for instance in each.instances:
            found.setdefault(instance, []).append(each)
    for instance, runs in found.items():
        begun, ended = min(each.begun for each in runs), max(each.ended for each in runs)
        yield Life(instance, runs[0].instance_type, runs[0].fleet, begun, ended, "runs")


def lives_of_calls(calls: Iterable[TrailEvent], environment: str, ours: set[str]) -> list[Life]:
    """Return what the trail tells of the environment's machines: those with its tag, and those in `ours`."""
    started: dict[str, Life] = {}
    ended: dict[str, int] = {}
    for call in calls:
        if call.source != _EC2 or call.error:
            continue
        if call.name in _STARTS:
            time = milliseconds(call.time)
            for instance, kind, fleet in _started(call.answer):
                if (kind or instance not in started) and (call.names(environment) or instance in ours):
                    started[instance] = Life(instance, kind, fleet, time, None, "trail")
        elif call.name in _ENDS:
            for text in texts_in((call.request, call.answer)):
                if _ID.fullmatch(text):
                    ended.setdefault(text, milliseconds(call.time))
    only_ended = [
        Life(each, "", None, None, None, "trail") for each in sorted(ours & set(ended) - set(started))
    ]
    return [replace(each, ended=ended.get(each.instance)) for each in (*started.values(), *only_ended)]


def joined(told: Iterable[Life]) -> list[Life]:
    """Return each machine once; of what several tell of it the later in the list holds."""
    found: dict[str, Life] = {}
    for life in told:
        before = found.get(life.instance)
        if before is None:
            found[life.instance] = life
            continue
        found[life.instance] = Life(
            instance=life.instance,
            type=life.type or before.type,
            fleet=before.fleet if life.fleet is None else life.fleet,
            begun=before.begun if life.begun is None else life.begun,
            ended=before.ended if life.ended is None and not life.stands else life.ended,
            told_by=life.told_by,
            stands=life.stands,
        )
    return list(found.values())


def _calls(session: Session, since: int, now: datetime.datetime) -> tuple[list[TrailEvent], list[str]]:
    """Return the calls since then, and why there are none where the trail can't be read."""
    begin = datetime.datetime.fromtimestamp(since / 1000, datetime.UTC)
    try:
        found = read_trail(session, begin, now, region=session.spec.region)
        return [each for each in found if each.name in (*_STARTS, *_ENDS)], []
    except Exception as error:
        if not isinstance(error, ActError) and not aws.is_cloud_error(error):
            raise
        why = aws.error_code(error) or str(error)
        return [], [
            f"the trail can't be read ({why}): of machines that EC2 has forgotten only the time between "
            "their runs is idle"
        ]


def _started(answer: Any) -> Iterator[tuple[str, str, str | None]]:
    """Yield id, type and fleet of the machines in an answer, wherever it has them."""
    if isinstance(answer, Mapping):
        ids = [text for name in ("instanceId", "instanceIds") for text in texts_in(answer.get(name))]
        for each in (text for text in ids if _ID.fullmatch(text)):
            yield each, str(answer.get("instanceType") or ""), _fleet(answer)
        for name, value in answer.items():
            if name not in ("instanceId", "instanceIds"):
                yield from _started(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from _started(value)


def _fleet(machine: Any) -> str | None:
    """Return the fleet that a machine's tags name, "" for a head, None where it has no such tags."""
    tags = dict(_tags(machine))
    if tags.get(naming.TAG_ROLE) == naming.ROLE_HEAD:
        return ""
    return tags.get(naming.TAG_FLEET)


def _tags(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        if "key" in value and "value" in value:
            yield str(value["key"]), str(value["value"])
        for each in value.values():
            yield from _tags(each)
    elif isinstance(value, list):
        for each in value:
            yield from _tags(each)


def _life(described: Mapping[str, Any]) -> Life:
    """Return what EC2 tells of a machine."""
    head, stands = tag_of(described, naming.TAG_ROLE) == naming.ROLE_HEAD, described["State"]["Name"] in GOING
    since = _SINCE.search(str(described.get("StateTransitionReason") or ""))
    ended = None
    if since and not stands:
        ended = milliseconds(f"{since[1]}T{since[2]}+00:00")
    return Life(
        instance=str(described["InstanceId"]),
        type=str(described["InstanceType"]),
        fleet="" if head else tag_of(described, naming.TAG_FLEET) or naming.ROLE_NODE,
        begun=milliseconds(described["LaunchTime"]),
        ended=ended,
        told_by="EC2",
        stands=stands,
    )


def _machine(session: Session, life: Life, prices: Prices, now: int) -> Machine:
    """Return the machine; one whose start or end nobody tells has stood for no time."""
    known = load_catalog().get(life.type)
    fleet = naming.ROLE_NODE if life.fleet is None else life.fleet
    ended = now if life.stands else life.ended if life.ended is not None else life.begun or now
    begun = ended if life.begun is None else life.begun
    return Machine(
        instance=life.instance,
        environment=session.spec.name,
        team=session.spec.team,
        fleet=fleet,
        gpus=known.gpus if known else 0,
        usd_per_hour=prices.of_machine(session.spec, fleet, life.type),
        begun=begun,
        ended=max(begun, ended),
        told_by=life.told_by,
    )
