"""What an environment has cost and its active runs may still cost: nothing twice, nothing left out untold."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.budget import read_budget
from fleet.cloud import Cloud
from fleet.ended_costs import RememberedCosts
from fleet.project import Project
from fleet.run_costs import RunCosts, run_costs
from fleet.run_store import RunStore, open_runs
from stacks.catalog import load_catalog, load_other_prices
from stacks.price_rules import costs_per_hour
from tests.purse import MONTH, NODE_PRICE, NOW, forget_runs, put_receipt, put_run, text_of
from tests.run_environment import RunEnvironment, build
from tests.sandbox_helpers import admin

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def purse(
    sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunEnvironment]:
    root = tmp_path_factory.mktemp("costs")
    environment = build(sandbox, Project(root=root, home=sandbox_home), "purse", nodes=1)
    yield environment
    environment.remove()


@pytest.fixture
def empty(purse: RunEnvironment) -> Iterator[RunEnvironment]:
    """The environment without any run."""
    yield purse
    forget_runs(purse)


def costs(purse: RunEnvironment, *machines: str, kept: Path | None = None) -> RunCosts:
    """Return what the runs come to; by default with nothing remembered."""
    remembered = RememberedCosts(kept or purse.session.project.root / "nothing" / f"{time.monotonic_ns()}")
    store = open_runs(purse.session)
    return run_costs(store, store.run_ids(), MONTH, machines, remembered)


# ------------------------------------------------------------------------------------ what has been spent


def test_machines_cost_from_their_start_on_with_all_that_stands_beside_them(purse: RunEnvironment) -> None:
    begun = min(each["LaunchTime"] for role in ("head", "node") for each in purse.running(role))
    now = begun + datetime.timedelta(hours=10)
    spec, account = purse.session.spec, purse.session.account
    assert spec.scheduler.is_slurm, "the file's scheduler has a queue, which makes a secret and a disk"
    parts = costs_per_hour(spec, account.region)
    beside = sum(usd for part, usd in parts.items() if part not in ("machines", "disks"))
    disks = load_other_prices()["ebs_gp3"].usd_per_hour(200)
    machines = NODE_PRICE + load_catalog()["m6i.large"].price_usd_per_hour
    if begun.month == now.month:
        found = read_budget(purse.session, now).machines
        assert found == pytest.approx(10 * (machines + disks + beside), rel=0.01)


def test_of_machines_that_stood_before_only_the_hours_of_the_month_count(purse: RunEnvironment) -> None:
    later = (MONTH + datetime.timedelta(days=70)).replace(day=1)
    at_five = read_budget(purse.session, later + datetime.timedelta(hours=5))
    at_ten = read_budget(purse.session, later + datetime.timedelta(hours=10))
    assert at_five.month == f"{later:%Y-%m}"
    assert at_ten.machines == pytest.approx(2 * at_five.machines)
    assert at_five.machines > 5 * NODE_PRICE


def test_a_run_costs_what_its_receipt_says_unless_its_machines_are_counted_already(
    empty: RunEnvironment,
) -> None:
    put_run(empty, "20991122-100000-aaaaa", NOW, [("SUCCEEDED", NOW)])
    usd = put_receipt(empty, "20991122-100000-aaaaa", NOW - datetime.timedelta(hours=3), NOW)
    assert usd == pytest.approx(6 * NODE_PRICE, abs=0.001)
    assert costs(empty).spent == pytest.approx(usd)
    assert costs(empty, "i-gone0").spent == pytest.approx(usd / 2)
    assert costs(empty, "i-gone0", "i-gone1").spent == 0


def test_a_run_s_own_file_system_costs_beside_its_machines(empty: RunEnvironment) -> None:
    put_run(empty, "20991122-100000-aaaaa", NOW, [("SUCCEEDED", NOW)])
    hour = NOW - datetime.timedelta(hours=1)
    usd = put_receipt(empty, "20991122-100000-aaaaa", hour, NOW)
    put_receipt(
        empty, "20991122-100000-aaaaa", hour, NOW,
        cost={"node_seconds": 7200.0, "usd_per_node_hour": NODE_PRICE, "usd": usd + 4.5},
    )  # fmt: skip
    assert costs(empty, "i-gone0", "i-gone1").spent == pytest.approx(4.5, abs=0.001)


def test_of_a_run_that_lasted_into_the_month_only_the_part_in_it_counts(empty: RunEnvironment) -> None:
    before, after = MONTH - datetime.timedelta(hours=3), MONTH + datetime.timedelta(hours=1)
    put_run(empty, "20991031-210000-aaaaa", before, [("SUCCEEDED", after)])
    usd = put_receipt(empty, "20991031-210000-aaaaa", before, after)
    assert costs(empty).spent == pytest.approx(usd / 4)


def test_a_run_that_ended_before_the_month_costs_it_nothing(empty: RunEnvironment) -> None:
    before, ended = MONTH - datetime.timedelta(hours=3), MONTH - datetime.timedelta(hours=1)
    put_run(empty, "20991031-210000-aaaaa", before, [("SUCCEEDED", ended)])
    put_receipt(empty, "20991031-210000-aaaaa", before, ended)
    assert costs(empty).spent == 0


def test_a_receipt_without_a_price_is_told_and_not_taken_for_free(empty: RunEnvironment) -> None:
    put_run(empty, "20991122-100000-aaaaa", NOW, [("SUCCEEDED", NOW)])
    unknown = {"node_seconds": 60.0, "usd_per_node_hour": None, "usd": None}
    put_receipt(empty, "20991122-100000-aaaaa", NOW, NOW, cost=unknown)
    assert costs(empty).not_priced == ("20991122-100000-aaaaa",)


@pytest.mark.parametrize("body", [b'{"half', b"[]", b'{"cost": {}}', b'{"cost": null, "phases": 3}', b"7"])
def test_an_odd_receipt_of_one_run_does_not_stop_the_others(empty: RunEnvironment, body: bytes) -> None:
    put_run(empty, "20991122-100000-aaaaa", NOW, [("SUCCEEDED", NOW)])
    key = "runs/20991122-100000-aaaaa/receipt.json"
    empty.store.s3.put_object(Bucket=empty.store.bucket, Key=key, Body=body)
    put_run(empty, "20991122-100000-bbbbb", NOW, [])
    found = costs(empty)
    assert list(found.reserved) == ["20991122-100000-bbbbb"]
    assert found.not_priced == ("20991122-100000-aaaaa",)


class Counting:
    """An S3 client that counts what is read."""

    def __init__(self, s3: Any) -> None:
        self._s3, self.read = s3, list[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def get_object(self, **request: Any) -> Any:
        self.read.append(request["Key"].split("/")[1])
        return self._s3.get_object(**request)


def test_runs_that_have_succeeded_are_read_once_and_others_each_time(
    empty: RunEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = NOW - datetime.timedelta(hours=1)
    for letter, outcome in (("a", "SUCCEEDED"), ("b", "FAILED")):
        put_run(empty, f"20991122-100000-{letter * 5}", NOW, [(outcome, NOW)])
        put_receipt(empty, f"20991122-100000-{letter * 5}", hour, NOW, outcome=outcome)
    kept = tmp_path / "run-costs.json"
    first = costs(empty, "i-gone0", kept=kept)
    counting = Counting(empty.store.s3)
    monkeypatch.setattr(RunStore, "s3", counting)
    assert costs(empty, "i-gone0", kept=kept) == first
    assert set(counting.read) == {"20991122-100000-bbbbb"}
    assert costs(empty, "i-gone0", "i-gone1", kept=kept).spent == 0
    kept.write_text('{"format": "another"}')
    assert costs(empty, "i-gone0", kept=kept) == first
    kept.write_text('{"half')
    assert costs(empty, "i-gone0", kept=kept) == first


def teardown_receipt(purse: RunEnvironment, hours: float, **more: Any) -> dict[str, Any]:
    created = NOW - datetime.timedelta(hours=hours)
    stack = {
        "stack": "purse-fleet", "fate": "destroyed", "usd_per_hour": 2.0,
        "created": text_of(created), "ended": text_of(NOW),
    }  # fmt: skip
    machine = {"kind": "EC2 instance", "id": "i-gone0", "stack": "purse-fleet"}
    cloud = purse.session.cloud.name
    return {"environment": "purse", "cloud": cloud, "stacks": [stack], "machines": [machine], **more}


def test_what_was_torn_down_in_the_month_counts_by_its_receipt_and_its_runs_not_twice(
    empty: RunEnvironment,
) -> None:
    put_run(empty, "20991122-100000-ddddd", NOW, [("SUCCEEDED", NOW)])
    usd = put_receipt(empty, "20991122-100000-ddddd", NOW - datetime.timedelta(minutes=30), NOW)
    folder = empty.session.project.root / "receipts"
    receipts = {
        "purse-20991122T100000": teardown_receipt(empty, 0.5),
        "purse-two-20991122T100000": teardown_receipt(empty, 0.5, environment="purse-two"),
        "purse-20991122T110000": teardown_receipt(empty, 0.5, cloud="aws"),
    }
    for name, receipt in receipts.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "receipt.json").write_text(json.dumps(receipt))
    try:
        budget = read_budget(empty.session, NOW + datetime.timedelta(seconds=1))
    finally:
        for file in folder.rglob("receipt.json"):
            file.unlink()
    within = min(0.5, (NOW - MONTH).total_seconds() / 3600)
    assert budget.torn_down == pytest.approx(2.0 * within)
    assert budget.runs == pytest.approx(usd / 2)


@pytest.mark.parametrize(
    ("receipt", "usd", "unread"),
    [
        ({"machines": [{"id": "i-gone0"}]}, 2.0, False),
        ({"machines": [{"id": "i-gone0", "stack": None}, {"name": "nothing"}, "i-gone1"]}, 2.0, False),
        ({}, 2.0, False),
        ({"stacks": [{"stack": "purse-fleet", "created": None, "ended": None}]}, 0.0, False),
        ({"stacks": [{"stack": "purse-fleet"}]}, 0.0, False),
        ({"stacks": [{"created": "2026-11-01T00:00:00+00:00"}]}, 0.0, True),
        ({"stacks": "none"}, 0.0, True),
    ],
    ids=["no stack", "odd machines", "no machines", "no times", "of old", "no name", "no stacks"],
)
def test_a_receipt_of_an_earlier_form_counts_as_far_as_it_tells(
    empty: RunEnvironment, receipt: dict[str, Any], usd: float, unread: bool
) -> None:
    folder = empty.session.project.root / "receipts" / f"purse-{NOW:%Y%m%dT%H%M%S}"
    folder.mkdir(parents=True)
    ended = NOW + datetime.timedelta(hours=1)
    stack = {
        "stack": "purse-fleet",
        "created": NOW.isoformat(),
        "ended": ended.isoformat(),
        "usd_per_hour": 2.0,
    }
    told = {"environment": "purse", "cloud": empty.session.cloud.name, "stacks": [stack], **receipt}
    (folder / "receipt.json").write_text(json.dumps(told), encoding="utf-8")
    try:
        budget = read_budget(empty.session, ended)
    finally:
        (folder / "receipt.json").unlink()
        folder.rmdir()
    month = ended.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    within = min(1.0, (ended - month).total_seconds() / 3600)
    assert budget.torn_down == pytest.approx(usd * within)
    assert any(folder.name in note for note in budget.notes) == unread


# -------------------------------------------------------------------------------------- what is reserved


def test_an_active_run_reserves_the_time_that_it_may_still_take(empty: RunEnvironment) -> None:
    put_run(empty, "20991122-100000-aaaaa", NOW, [])
    begun = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=90)
    put_run(empty, "20991122-100000-bbbbb", NOW, [("QUEUED", begun), ("RUNNING", begun)])
    late = begun - datetime.timedelta(minutes=90)
    put_run(empty, "20991122-100000-ccccc", NOW, [("RUNNING", late)])
    reserved = costs(empty).reserved
    assert reserved["20991122-100000-aaaaa"] == pytest.approx(4 * NODE_PRICE)
    assert reserved["20991122-100000-bbbbb"] == pytest.approx(NODE_PRICE, rel=0.01)
    assert "20991122-100000-ccccc" not in reserved


def test_an_array_is_reserved_by_its_tasks_alone(empty: RunEnvironment) -> None:
    put_run(empty, "20991122-100000-aaaaa", NOW, [], array={"first": 0, "last": 1, "at_once": 0})
    put_run(empty, "20991122-100000-aaaaa-a0", NOW, [])
    put_run(empty, "20991122-100000-aaaaa-a1", NOW, [])
    assert sorted(costs(empty).reserved) == ["20991122-100000-aaaaa-a0", "20991122-100000-aaaaa-a1"]


def test_a_resumed_run_has_cost_its_first_attempt_and_reserves_its_second(empty: RunEnvironment) -> None:
    events = [("PREEMPTED", NOW), ("QUEUED", NOW)]
    put_run(empty, "20991122-100000-aaaaa", NOW, events, attempt=2)
    hour = NOW - datetime.timedelta(hours=1)
    usd = put_receipt(empty, "20991122-100000-aaaaa", hour, NOW, outcome="PREEMPTED")
    found = costs(empty)
    assert found.spent == pytest.approx(usd)
    assert found.reserved == {"20991122-100000-aaaaa": pytest.approx(4 * NODE_PRICE)}


def test_runs_that_one_may_not_see_are_told_to_be_missing(empty: RunEnvironment, sandbox: Cloud) -> None:
    put_run(empty, "20991122-100000-aaaaa", NOW, [])
    put_run(empty, "20991122-100000-bbbbb", NOW, [])
    fault = {"service": "s3", "action": "GetObject", "resource": "aaaaa/run.json", "code": "AccessDenied"}
    admin(sandbox, "POST", "faults", {**fault, "status": 403})
    try:
        budget = read_budget(empty.session)
    finally:
        admin(sandbox, "DELETE", "faults")
    assert list(budget.reservations) == ["20991122-100000-bbbbb"]
    assert budget.notes == (
        "runs of other teams, which you may not see, count only with machines that still run",
    )
