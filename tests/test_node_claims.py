"""Nodes are claimed by whole gangs, by conditional writes alone; events have one writer."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet import aws
from fleet.cloud import Cloud
from node.claims import claim_gang, free, holders
from node.events import EventLog, NotTheWriterError, is_over, parse_events
from node.layout import claim_key, run_key
from node.patience import persist
from node.store import Bucket
from tests.sandbox_helpers import admin

pytestmark = pytest.mark.sandbox
NODES = [f"i-{number:017x}" for number in range(4)]


@pytest.fixture
def bucket(sandbox: Cloud) -> Bucket:
    s3 = aws.client(sandbox, "s3", "us-east-1")
    name = f"claims-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return Bucket(s3, name)


def begin(bucket: Bucket, run_id: str, *events: str) -> None:
    bucket.put(run_key(run_id, "run.json"), b"{}")
    log = EventLog(bucket, run_id)
    for event in events:
        log.append(event, {})


def test_a_gang_gets_all_its_nodes_in_one_claim(bucket: Bucket) -> None:
    begin(bucket, "a", "QUEUED")
    assert claim_gang(bucket, "a", NODES, 3) == NODES[:3]
    assert holders(bucket, NODES) == dict.fromkeys(NODES[:3], "a")


def test_a_gang_that_cannot_have_all_nodes_holds_none(bucket: Bucket) -> None:
    begin(bucket, "a", "QUEUED")
    begin(bucket, "b", "QUEUED")
    claim_gang(bucket, "a", NODES, 3)
    assert claim_gang(bucket, "b", NODES, 2) is None
    assert "b" not in holders(bucket, NODES).values()


def test_competing_gangs_never_share_a_node(bucket: Bucket) -> None:
    runs = [f"run-{number}" for number in range(8)]
    for run_id in runs:
        begin(bucket, run_id, "QUEUED")
    with ThreadPoolExecutor(max_workers=8) as pool:
        claims = list(pool.map(lambda run_id: claim_gang(bucket, run_id, NODES, 2), runs))
    granted = [node for claim in claims if claim for node in claim]
    assert len(granted) == len(set(granted))
    held = holders(bucket, NODES)
    assert all(
        held[node] == run_id for run_id, claim in zip(runs, claims, strict=True) for node in claim or []
    )


@pytest.mark.parametrize("event", ["SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"])
def test_the_claim_of_a_run_that_is_over_is_taken_over(bucket: Bucket, event: str) -> None:
    begin(bucket, "old", "QUEUED", "RUNNING")
    claim_gang(bucket, "old", NODES, 4)
    begin(bucket, "new", "QUEUED")
    assert claim_gang(bucket, "new", NODES, 4) is None
    line = json.dumps({"time": "2026-01-01T00:00:00.000Z", "event": event, "detail": {}})
    bucket.put(run_key("old", "events.jsonl"), line.encode())
    assert claim_gang(bucket, "new", NODES, 4) == NODES


def test_freeing_leaves_the_claims_of_other_runs(bucket: Bucket) -> None:
    begin(bucket, "a", "QUEUED")
    begin(bucket, "b", "QUEUED")
    claim_gang(bucket, "a", NODES[:2], 2)
    claim_gang(bucket, "b", NODES[2:], 2)
    free(bucket, "a", NODES)
    assert holders(bucket, NODES) == dict.fromkeys(NODES[2:], "b")
    assert bucket.get(claim_key(NODES[0])) is None


def test_a_run_without_a_trace_is_over_and_one_that_waits_is_not(bucket: Bucket) -> None:
    assert is_over(bucket, "never-was")
    bucket.put(run_key("waits", "run.json"), b"{}")
    assert not is_over(bucket, "waits")


def test_events_are_kept_in_order_with_their_times(bucket: Bucket) -> None:
    log = EventLog(bucket, "a")
    log.append("QUEUED", {}, time="2026-01-01T00:00:00.000Z")
    log.append("RUNNING", {"commands": ["ü"]})
    events = parse_events(bucket.get(run_key("a", "events.jsonl")) or b"")
    assert [event["event"] for event in events] == ["QUEUED", "RUNNING"]
    assert events[0]["time"] == "2026-01-01T00:00:00.000Z"
    assert events[1]["detail"] == {"commands": ["ü"]}


def test_a_second_writer_of_the_same_events_is_refused(bucket: Bucket) -> None:
    EventLog(bucket, "a").append("QUEUED", {})
    with pytest.raises(NotTheWriterError):
        EventLog(bucket, "a").append("QUEUED", {})


@pytest.mark.parametrize("before", [0, 1])
def test_a_write_whose_answer_got_lost_is_no_second_writer(
    bucket: Bucket, sandbox: Cloud, before: int
) -> None:
    log = EventLog(bucket, "lost")
    for _ in range(before):
        log.append("QUEUED", {})
    fault = {"service": "s3", "action": "PutObject", "resource": "lost/events.jsonl", "code": "InternalError"}
    admin(sandbox, "POST", "faults", {**fault, "status": 500, "count": 1, "after": True})
    try:
        log.append("RUNNING", {})
        log.append("SUCCEEDED", {})
    finally:
        admin(sandbox, "DELETE", "faults")
    events = parse_events(bucket.get(run_key("lost", "events.jsonl")) or b"")
    assert [event["event"] for event in events[before:]] == ["RUNNING", "SUCCEEDED"]


def test_a_cloud_that_refuses_is_borne_with_for_a_while_only(bucket: Bucket) -> None:
    nowhere = Bucket(bucket.s3, "no-such-bucket-anywhere")
    tried: list[int] = []

    def act() -> str:
        tried.append(1)
        return (nowhere if len(tried) < 3 else bucket).put("key", b"")

    assert persist(act, patience=60, pause=0)
    assert len(tried) == 3
    with pytest.raises(Exception, match="NoSuchBucket"):
        persist(lambda: nowhere.put("key", b""), patience=0, pause=0)


def test_a_writer_notices_that_its_run_was_ended_from_outside(bucket: Bucket) -> None:
    log = EventLog(bucket, "a")
    log.append("QUEUED", {})
    bucket.put(run_key("a", "events.jsonl"), b'{"event": "CANCELLED"}\n')
    with pytest.raises(NotTheWriterError):
        log.append("RUNNING", {})
    assert is_over(bucket, "a")
