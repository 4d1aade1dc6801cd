"""Every row of the entry-path table tried in the embedded cloud: refused, or found in the timeline."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from fleet.entered import Timeline, entered, look_at_trail
from fleet.entry_kinds import KINDS
from fleet.entry_rows import Row
from fleet.machines_seen import started_in
from fleet.session import Session
from fleet.trail import TrailEvent
from stacks import naming
from stacks.entry_paths import ENVIRONMENT_PATHS, MACHINE_PATHS
from tests.environment_parts import REGION
from tests.iam_helpers import ACCOUNT
from tests.record_lab import ENVIRONMENT, RecordLab, record_lab
from tests.sandbox_helpers import api, run_instances
from tests.ways_around import disk_ways, neighbour_ways, role_ways, window_ways
from tests.ways_by_network import connect, key_ways, network_ways
from tests.ways_by_systems_manager import command_ways, other_ways, session_ways, start_unseen
from tests.ways_in import ELSEWHERE, OPERATOR, PERSON, Planted, Way, clients_of, make_operator

pytestmark = pytest.mark.sandbox
WAYS = [
    *network_ways(),
    *key_ways(),
    *session_ways(),
    *command_ways(),
    *disk_ways(),
    *role_ways(),
    *neighbour_ways(),
    *window_ways(),
    *other_ways(),
]
BY_A_MACHINE_OF_ITS_OWN = {"key-pair": "first script", "unseen-machine": "first script"}
"""Rows that are tried with a machine that is started for it, and what is known of that one."""
LIVES = {"RunInstances", "CreateFleet", "StartInstances", "StopInstances", "TerminateInstances"}
"""Calls that are tried with it, too."""
PAGE = Path(__file__).parent.parent / "docs" / "entry-paths.md"


@dataclass(frozen=True)
class Seen:
    """The lab after everything was tried, and the timeline of its machine."""

    lab: RecordLab
    session: Session
    timeline: Timeline
    since: datetime
    calls: tuple[TrailEvent, ...]
    """Of the trail, those that may be about a machine."""


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    """Try all of them, once, and look."""
    with record_lab() as lab:
        network = lab.session.spec.network.model_copy(update={"flow_logs": "all"})
        spec = lab.session.spec.model_copy(update={"network": network})
        session = replace(lab.session, spec=spec)
        make_operator(lab)
        clients = {who: clients_of(lab, who) for who in ("operator", "owner")}
        since, events = lab.window(), []
        lab.forward(5)  # a connection's record begins a second before it is written
        for number, way in enumerate(WAYS):
            try:
                made = way.act(lab, clients[way.who])
            except ClientError as error:
                assert way.found == "refused", f"{way}: {error}"
                continue
            if isinstance(made, Planted):
                events.append(event_of(made, lab.now(), number))
        plant(lab, events)
        until = lab.deliver()
        look = look_at_trail(session, since, until)
        yield Seen(lab, session, entered(session, lab.machine, since, until, look), since, look.calls)


def event_of(call: Planted, now: datetime, number: int) -> dict[str, object]:
    """Return a call as CloudTrail writes it."""
    return {
        "eventID": f"planted-{number}",
        "eventTime": f"{now:%Y-%m-%dT%H:%M:%S}Z",
        "eventSource": call.source,
        "eventName": call.name,
        "awsRegion": REGION,
        "sourceIPAddress": ELSEWHERE,
        "userIdentity": {"type": "Root", "arn": call.caller},
        "requestParameters": dict(call.asked),
        "responseElements": call.answered,
    }


def plant(lab: RecordLab, events: list[dict[str, object]]) -> None:
    """Write a file of CloudTrail's with these calls."""
    lab.deliver()
    key = lab.keys("CloudTrail")[-1].replace(".json.gz", "planted.json.gz")
    body = gzip.compress(json.dumps({"Records": events}).encode())
    api(lab.cloud, "s3").put_object(Bucket=lab.bucket, Key=key, Body=body)


def rows_of(way: Way, timeline: Timeline) -> list[Row]:
    """Return the rows that the attempt can have made."""
    person = PERSON if way.who == "operator" else ""
    is_refused = way.found == "refused"
    return [
        row
        for row in timeline.rows
        if (row.what, row.person) == (way.what, person) and (row.completeness == "refused") is is_refused
    ]


def told_on_the_page() -> dict[str, str]:
    """Return what the page says of each row, by its titles: who tried it, and what was found."""
    cells = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    return {row[0]: row[2] for row in cells if len(row) == 3 and row[0] != "row" and "-" not in row[0][:1]}


def found_of(paths: Iterable[str]) -> str:
    """Return what was found of these rows, as the page says it."""
    by: dict[str, set[str]] = {"operator": set(), "owner": set()}
    for path in paths:
        for way in WAYS:
            if way.path == path:
                by[way.who].add(way.found)
        by["owner"] |= {BY_A_MACHINE_OF_ITS_OWN[path]} if path in BY_A_MACHINE_OF_ITS_OWN else set()
    called = {"operator": "a person", "owner": "the account"}
    return "; ".join(f"{called[who]}: {', '.join(sorted(found))}" for who, found in by.items() if found)


def test_every_row_of_the_table_is_tried_and_on_the_page_with_what_was_found() -> None:
    titles = {title: path for path, (title, _) in {**MACHINE_PATHS, **ENVIRONMENT_PATHS}.items()}
    assert {way.path for way in WAYS} | set(BY_A_MACHINE_OF_ITS_OWN) == set(titles.values())
    told = told_on_the_page()
    named = [title for row in told for title in row.split("; ")]
    assert sorted(named) == sorted(titles)
    assert told == {row: found_of(titles[title] for title in row.split("; ")) for row in told}


def test_every_call_that_the_timeline_knows_is_tried_and_makes_a_row(seen: Seen) -> None:
    rows = {evidence for row in seen.timeline.rows for evidence in row.evidence}
    made = {(each.source, each.name) for each in seen.calls if f"trail:{each.id}" in rows}
    assert {name for _, name in KINDS - made} == LIVES


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_way_in_is_refused_or_found_with_all_that_is_known_of_it(seen: Seen, way: Way) -> None:
    rows = rows_of(way, seen.timeline)
    assert rows, [(row.what, row.person, row.completeness) for row in seen.timeline.rows]
    for row in rows:
        assert row.completeness == way.found
        assert seen.since.replace(microsecond=0) <= row.time < seen.timeline.until
        assert row.evidence[0].startswith(f"{way.evidence}:")
        told = [
            each for each in seen.timeline.findings if row.what in each and f"{row.time:%H:%M:%S}Z" in each
        ]
        if way.found == "refused":
            assert row.error and not row.is_entry and row.who.endswith(f"/{OPERATOR}/{PERSON}")
        elif row.is_entry and way.who == "owner":
            assert any("nothing says which person that is" in each for each in told)
        if way.found in ("tunnel only", "not recorded"):
            assert any("what was done is not recorded" in each for each in told)


def test_what_the_person_did_and_what_the_account_did_are_told_apart(seen: Seen) -> None:
    rows = [row for row in seen.timeline.rows if row.what == "sent the command AWS-RunShellScript"]
    assert sorted(row.person for row in rows) == ["", PERSON]
    assert all(PERSON not in each for each in seen.timeline.findings)


def test_a_machine_that_was_started_by_hand_with_a_key_pair_is_found_by_its_tag_and_says_so(
    seen: Seen,
) -> None:
    since = seen.lab.window()
    api(seen.lab.cloud, "ec2").create_key_pair(KeyName="ways-in")
    machine = start_unseen(seen.lab, KeyName="ways-in")
    until = seen.lab.deliver()
    look = look_at_trail(seen.session, since, until)
    assert machine in set(started_in(look.calls, ENVIRONMENT))
    (row,) = entered(seen.session, machine, since, until, look).rows
    assert (row.what, row.completeness) == (
        "started it with a key pair, and its first script",
        BY_A_MACHINE_OF_ITS_OWN["key-pair"],
    )


def test_the_life_of_such_a_machine_is_in_its_timeline(seen: Seen) -> None:
    since, ec2 = seen.lab.window(), api(seen.lab.cloud, "ec2")
    machine = start_unseen(seen.lab)
    answered = {"CreateFleetResponse": {"fleetInstanceSet": {"item": {"instanceIds": {"item": machine}}}}}
    fleet = Planted("ec2.amazonaws.com", "CreateFleet", {}, answered=answered)
    plant(seen.lab, [{**event_of(fleet, seen.lab.now(), 0), "eventID": "planted-fleet"}])
    for act in (ec2.stop_instances, ec2.start_instances, ec2.terminate_instances):
        seen.lab.forward(2)
        act(InstanceIds=[machine])
    rows = entered(seen.session, machine, since, seen.lab.deliver()).rows
    begun = ("started it, with its first script", BY_A_MACHINE_OF_ITS_OWN["unseen-machine"])
    ended = [(what, "no entry") for what in ("stopped it", "started it again", "ended it")]
    assert [(row.what, row.completeness) for row in rows] == [begun, begun, *ended]


def test_what_nobody_tried_is_not_in_the_timeline(seen: Seen) -> None:
    known = {way.what for way in WAYS}
    assert {row.what for row in seen.timeline.rows} <= known


# ------------------------------------------------------------------------------- what no call shows


def flows(seen: Seen, since: datetime) -> Timeline:
    """Return the machine's timeline since then."""
    return entered(seen.session, seen.lab.machine, since, seen.lab.deliver())


def test_connections_of_the_environments_own_machines_and_refused_ones_are_no_rows(seen: Seen) -> None:
    tags = {naming.TAG_ENVIRONMENT: ENVIRONMENT, naming.TAG_ROLE: "node"}
    (own,) = run_instances(seen.lab.cloud, 1, "", **tags)
    described = api(seen.lab.cloud, "ec2").describe_instances(InstanceIds=[own])
    address = described["Reservations"][0]["Instances"][0]["PrivateIpAddress"]
    since = seen.lab.window()
    connect(seen.lab, 22, address)
    connect(seen.lab, 22, ELSEWHERE, "REJECT")
    connect(seen.lab, 443, ELSEWHERE)
    assert flows(seen, since).rows == ()


def test_a_connection_after_a_key_was_sent_is_evidence_of_that_row(seen: Seen) -> None:
    since = seen.lab.window()
    key = next(way for way in WAYS if way.path == "instance-connect" and way.who == "owner")
    key.act(seen.lab, clients_of(seen.lab, "owner"))
    seen.lab.forward(90)
    connect(seen.lab, 22)
    (row,) = flows(seen, since).rows
    assert [each.partition(":")[0] for each in row.evidence] == ["trail", "flow"]


def test_flow_logs_that_are_not_kept_are_a_gap_and_kept_ones_are_none(seen: Seen) -> None:
    gap = "flow logs: whether traffic reached the machine that belongs to none of these rows"
    since, until = seen.lab.window(), seen.lab.deliver()
    assert gap in entered(seen.lab.session, seen.lab.machine, since, until).gaps
    assert gap not in entered(seen.session, seen.lab.machine, since, until).gaps


@pytest.mark.parametrize("source", ["own", "service"])
def test_calls_of_the_machines_role_from_where_it_is_are_no_rows(seen: Seen, source: str) -> None:
    since = seen.lab.window()
    ec2 = api(seen.lab.cloud, "ec2")
    found = ec2.describe_instances(InstanceIds=[seen.lab.machine])["Reservations"][0]["Instances"][0]
    address = found["PrivateIpAddress"] if source == "own" else "ec2.amazonaws.com"
    who = f"arn:aws:sts::{ACCOUNT}:assumed-role/{ENVIRONMENT}-node-{REGION}/{seen.lab.machine}"
    call = event_of(Planted("s3.amazonaws.com", "ListBuckets", {}, who), seen.lab.now(), 0)
    plant(seen.lab, [{**call, "eventID": f"own-{source}", "sourceIPAddress": address}])
    assert entered(seen.session, seen.lab.machine, since, seen.lab.deliver()).rows == ()
