"""What a cost report is made of: exact amounts, lives of machines, shares of runs, times of stacks."""

from __future__ import annotations

import datetime
import json
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from fleet.costs.amounts import cents, exact, micro_usd, milliseconds, rounded
from fleet.costs.facts import Facts, Gone, Held, Machine
from fleet.costs.machine_times import Life, joined, lives_of_calls
from fleet.costs.periods import gone_periods, standing_periods
from fleet.costs.report import BY, USES, grouped, lines_of, total
from fleet.costs.run_times import held_by, person_of, shares_of
from fleet.costs.told import Chosen, period_of, require_known
from fleet.runs import run_status
from fleet.trail import TrailEvent
from stacks.problems import UserError
from tests.environment_parts import make_specs
from tests.test_births import built, entry

HOUR, DAY = 3_600_000, 24 * 3_600_000
ONE = Fraction(1)
NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
BUCKETS = {"productive": 60.0, "runtime": 20.0, "other": 20.0}
GOODPUT = {"wall_seconds": 100.0, "buckets": BUCKETS}


def machine(**told: Any) -> Machine:
    usual = {
        "instance": "i-1", "environment": "vision", "team": "vision", "fleet": "gpu", "gpus": 8,
        "usd_per_hour": Fraction(10), "begun": 0, "ended": 4 * HOUR, "told_by": "EC2",
    }  # fmt: skip
    return Machine(**{**usual, **told})


def held(**told: Any) -> Held:
    usual = {
        "run_id": "r", "attempt": 1, "environment": "vision", "team": "audio", "person": "kim",
        "fleet": "gpu", "instance_type": "g5.xlarge", "instances": ("i-1",), "begun": HOUR, "ended": 2 * HOUR,
        "node_ms": Fraction(HOUR), "gpus": 8, "usd_per_node_hour": Fraction(99), "own_usd": Fraction(0),
        "shares": (("useful", Fraction(3, 4)), ("overhead", Fraction(1, 4))),
    }  # fmt: skip
    return Held(**{**usual, **told})


# ----------------------------------------------------------------------------------------------- amounts


def test_amounts_are_exact_and_a_half_cent_is_rounded_up() -> None:
    assert sum([exact(0.1)] * 3, Fraction(0)) == exact("0.3")
    assert cents(exact("0.005")) == Decimal("0.01") and cents(exact("0.00499999999")) == Decimal("0.00")
    assert cents(exact("-0.005")) == Decimal("-0.01") and str(cents(Fraction(2))) == "2.00"
    assert micro_usd(Fraction(1, 3)) == 333_333 and rounded(Fraction(2, 3), 1) == Decimal("0.7")


@pytest.mark.parametrize("text", ["nan", "inf", "much"])
def test_what_is_no_amount_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError):
        exact(text)


def test_a_time_names_its_zone() -> None:
    assert milliseconds("1970-01-01T01:00:00.5+01:00") == 500
    with pytest.raises(ValueError, match="no zone"):
        milliseconds("2026-11-23T10:00:00")


# -------------------------------------------------------------------------------------- every hour once


def test_an_hour_of_a_machine_is_its_run_s_or_idle_and_nothing_is_counted_twice() -> None:
    lines = lines_of(Facts(machines=(machine(),), held=(held(),)), 0, DAY)
    whole = total(lines)
    assert whole.usd == 40 and whole.gpu_hours == 32
    assert {use: usd for use, usd in whole.usd_by_use.items() if usd} == {
        "useful": Fraction(15, 2), "overhead": Fraction(5, 2), "idle": 30,
    }  # fmt: skip
    by_team = {each.key: each.usd for each in grouped(lines, "team")}
    assert by_team == {"audio": 10, "vision": 30}, (
        "the run's team has its hour, the environment's the idle ones"
    )


def test_what_stood_after_the_teardown_is_left_over() -> None:
    gone = Gone(environment="vision", begun=3 * HOUR, ended=DAY)
    other = Gone(environment="speech", begun=0, ended=DAY)
    whole = total(lines_of(Facts(machines=(machine(),), held=(held(),), gone=(gone, other)), 0, DAY))
    assert (whole.usd_by_use["idle"], whole.usd_by_use["leftover"]) == (20, 10)


def test_days_and_the_edges_of_the_period_cut_machines_and_runs_alike() -> None:
    facts = Facts(
        machines=(machine(ended=3 * DAY),), held=(held(begun=0, ended=2 * DAY, node_ms=Fraction(2 * DAY)),)
    )
    lines = lines_of(facts, DAY // 2, 2 * DAY + HOUR)
    assert [(each.key, each.usd) for each in grouped(lines, "day")] == [
        ("1970-01-01", 120), ("1970-01-02", 240), ("1970-01-03", 10),
    ]  # fmt: skip
    assert total(lines).usd_by_use["idle"] == 10


def test_a_run_that_held_its_nodes_in_turns_leaves_the_rest_idle() -> None:
    whole = total(lines_of(Facts(machines=(machine(),), held=(held(node_ms=Fraction(HOUR, 2)),)), 0, DAY))
    assert (whole.usd_by_use["useful"] + whole.usd_by_use["overhead"], whole.usd_by_use["idle"]) == (5, 35)


def test_a_node_nobody_knows_the_machine_of_costs_what_its_run_was_submitted_at() -> None:
    assert total(lines_of(Facts(held=(held(instances=()),)), 0, DAY)).usd == 99
    assert total(lines_of(Facts(held=(held(instances=("i-2", "i-3")),)), 0, DAY)).usd == 99
    assert total(
        lines_of(Facts(held=(held(own_usd=Fraction(1, 3)),), machines=(machine(),)), 0, DAY)
    ).usd == (40 + Fraction(1, 3))


def test_a_head_stands_and_is_never_idle() -> None:
    whole = total(lines_of(Facts(machines=(machine(fleet="", gpus=0),)), 0, DAY))
    assert whole.usd_by_use["standing"] == 40 and whole.gpu_hours == 0


@pytest.mark.parametrize("by", BY)
def test_every_way_of_putting_it_together_comes_to_the_same(by: str) -> None:
    lines = lines_of(Facts(machines=(machine(),), held=(held(),)), 0, DAY)
    assert sum(each.usd for each in grouped(lines, by)) == 40


# ------------------------------------------------------------------------------------------------ runs


@pytest.mark.parametrize(
    ("outcome", "goodput", "stepped", "useful"),
    [
        ("SUCCEEDED", GOODPUT, True, Fraction(8, 10)),
        ("SUCCEEDED", None, False, ONE),
        ("FAILED", GOODPUT, True, Fraction(6, 10)),
        ("CANCELLED", None, True, Fraction(0)),
        ("PREEMPTED", GOODPUT, True, Fraction(6, 10)),
        ("SUCCEEDED", {"wall_seconds": 10.0, "buckets": {"productive": 10.001}}, True, ONE),
        ("SUCCEEDED", {"wall_seconds": 0.0, "buckets": {}}, True, ONE),
    ],
)
def test_what_a_run_s_time_went_into(
    outcome: str, goodput: dict[str, Any] | None, stepped: bool, useful: Fraction
) -> None:
    shares = dict(shares_of(outcome, goodput, stepped=stepped))
    assert shares.get("useful", 0) == useful and sum(shares.values()) == 1


def test_a_run_that_failed_before_its_first_step_was_a_failed_launch() -> None:
    assert shares_of("FAILED", GOODPUT, stepped=False) == (("failed_launch", ONE),)
    assert shares_of("CANCELLED", None, stepped=False) == (("overhead", ONE),)


@pytest.mark.parametrize(
    ("cause", "idle"),
    [
        ("idle: no training step since 2026-11-23 05:30 UTC, the last was step 7", Fraction(1, 2)),
        (
            "idle: it evaluates or saves since 2026-11-23 05:45 UTC, and makes no training step",
            Fraction(1, 4),
        ),
        ("idle: it has made no training step since its start at 2026-11-23 04:59 UTC", ONE),
        ("idle: its program tells of no training step, and runs since 2026-11-23 05:06 UTC", Fraction(9, 10)),
        (
            "idle: its program tells of no training step, and its log has not grown since 2026-11-23 05:15 "
            "UTC",
            Fraction(3, 4),
        ),
        ("idle: its loss is no number since step 3", Fraction(5, 6)),
        ("idle: its loss is no number since step 99", Fraction(1, 3)),
        ("it took longer than its 60 minutes", Fraction(0)),
    ],
)
def test_the_time_after_the_last_useful_step_of_a_run_that_was_stopped_as_idle_is_idle(
    cause: str, idle: Fraction
) -> None:
    steps = [{"step": at, "time": f"2026-11-23T05:{at * 5:02}:00.000Z"} for at in (1, 2, 3, 8)]
    metrics = "\n".join(["no JSON", *map(json.dumps, steps), '{"step": 4}']).encode()
    assert shares_of_an_hour("TIMED_OUT", cause, metrics).get("idle", 0) == idle
    assert "idle" not in shares_of_an_hour("FAILED", cause, metrics), "its end was another one"


def test_a_run_stopped_as_idle_without_a_word_of_when_is_overhead_as_before() -> None:
    for metrics in (None, b"", b"[]\n7"):
        shares = shares_of_an_hour("TIMED_OUT", "idle: its loss is no number since step 3", metrics)
        assert shares == {"overhead": ONE}


def test_what_was_useful_before_a_run_was_idle_stays_useful_and_nothing_counts_twice() -> None:
    half = {"wall_seconds": 100.0, "buckets": {"productive": 40.0}}
    shares = dict(shares_of("TIMED_OUT", half, stepped=True, idle=Fraction(1, 2)))
    assert shares == {"useful": Fraction(2, 5), "idle": Fraction(1, 2), "overhead": Fraction(1, 10)}
    much = {"wall_seconds": 100.0, "buckets": {"productive": 90.0}}  # steps without a loss count as steps
    assert dict(shares_of("TIMED_OUT", much, stepped=True, idle=Fraction(1, 2)))["useful"] == Fraction(1, 2)


def shares_of_an_hour(outcome: str, cause: str, metrics: bytes | None) -> dict[str, Fraction]:
    """Return what the time of a run from five to six went into, by its receipt, and by its events."""
    _, spec = make_specs("vision", {"gpu": {"nodes": 1, "max_nodes": 1}})
    run = {
        "run_id": "r", "fleet": "gpu", "instance_type": "g5.12xlarge", "actor": "x/lee", "recipe": "digits",
        "script": "", "nodes": 1, "procs_per_node": 1, "submitted": "2026-11-23T04:00:00Z",
    }  # fmt: skip
    times = {"claimed": "2026-11-23T05:00:00Z", "ended": "2026-11-23T06:00:00Z"}
    receipt = {
        "outcome": outcome, "cause": cause, "phases": {**times, "first_step": times["claimed"]},
        "cost": {"node_seconds": 3600.0}, "nodes": [],
    }  # fmt: skip
    (found,) = held_by(spec, run, {1: receipt}, None, NOW, lambda: metrics)
    events = [
        {"time": times["claimed"], "event": "PROVISIONING", "detail": {"nodes": []}},
        {"time": times["claimed"], "event": "RUNNING", "detail": {}},
        {"time": times["ended"], "event": outcome, "detail": {"cause": cause}},
    ]
    (silent,) = held_by(spec, run, {}, run_status("r", run, events), NOW, lambda: metrics)
    assert silent.shares == found.shares, "a dispatcher that left no receipt tells the same"
    return dict(found.shares)


def test_each_attempt_has_its_own_time_and_cost() -> None:
    _, spec = make_specs("vision", {"gpu": {"nodes": 1, "max_nodes": 1}})
    run = {"run_id": "r", "fleet": "gpu", "instance_type": "g5.12xlarge", "attempt": 2, "actor": "x/lee"}

    def receipt(hour: int, **more: Any) -> dict[str, Any]:
        time = f"2026-11-23T{hour:02}:00:00Z"
        return {
            "outcome": "SUCCEEDED", "phases": {"claimed": time, "ended": time.replace(":00:00", ":30:00")},
            "cost": {"node_seconds": 1800.0}, "nodes": [{"instance_id": f"i-{hour}"}], **more,
        }  # fmt: skip

    second = receipt(7, attempts=[{"cost": {"node_seconds": 1}}, {"cost": {"node_seconds": 1800.5}}], cost={})
    first, last = held_by(spec, run, {1: receipt(5), 2: second}, None, NOW)
    assert (first.node_ms, last.node_ms) == (1_800_000, 1_800_500)
    assert (first.instances, last.instances) == (("i-5",), ("i-7",))
    assert (last.gpus, last.team, last.person) == (4, "tests", "lee")


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ({"asked_by": {"id": "1", "name": "Kim"}, "actor": "arn:aws:iam::1:user/console"}, "Kim"),
        ({"actor": "arn:aws:sts::123456789012:assumed-role/vision-member-us-east-1/lee.min"}, "lee.min"),
        ({"actor": "arn:aws:iam::123456789012:user/park"}, "park"),
        ({}, "nobody is told"),
    ],
)
def test_who_had_it_run(run: dict[str, Any], name: str) -> None:
    assert person_of(run) == name


# ---------------------------------------------------------------------------------------------- machines


def call(name: str, hour: int, *, request: Any = None, answer: Any = None, error: str = "") -> TrailEvent:
    return TrailEvent(
        id=f"{name}{hour}", time=NOW.replace(hour=hour), source="ec2.amazonaws.com", name=name, region="",
        who="", person="", address="", agent="", request=request or {}, answer=answer or {}, error=error,
        file="",
    )  # fmt: skip


def started(instance: str, environment: str = "vision") -> dict[str, Any]:
    tags = [
        {"key": "fleetform:environment", "value": environment},
        {"key": "fleetform:fleet", "value": "gpu"},
    ]
    found = {"instanceId": instance, "instanceType": "g5.xlarge", "tagSet": {"items": tags}}
    return {"instancesSet": {"items": [found]}}


A, B, C = (f"i-{letter * 17}" for letter in "abc")


def test_the_trail_tells_starts_and_ends_of_our_machines_alone() -> None:
    calls = [
        call("RunInstances", 1, answer=started(A)),
        call("RunInstances", 1, answer=started(B, "speech")),
        call("RunInstances", 2, answer=started(C), error="Client.UnauthorizedOperation"),
        call(
            "TerminateInstances",
            5,
            request={"instancesSet": {"items": [{"instanceId": A}, {"instanceId": B}]}},
        ),
        call("TerminateInstances", 6, request={"instancesSet": {"items": [{"instanceId": A}]}}),
    ]
    (life,) = lives_of_calls(calls, "vision", set())
    assert (life.instance, life.type, life.fleet) == (A, "g5.xlarge", "gpu")
    assert (life.begun, life.ended) == (milliseconds(NOW.replace(hour=1)), milliseconds(NOW.replace(hour=5)))
    assert {each.instance for each in lives_of_calls(calls, "vision", {B})} == {A, B}, "runs were on it"


def test_a_spot_machine_that_ec2_took_back_has_ended() -> None:
    calls = [
        call("RunInstances", 1, answer=started(A)),
        call("BidEvictedEvent", 5, answer={"instanceIdSet": [A]}),
    ]
    (life,) = lives_of_calls(calls, "vision", set())
    assert life.ended == milliseconds(NOW.replace(hour=5))


def test_an_answer_of_a_fleet_request_names_its_machines_in_lists() -> None:
    answer = {
        "fleetInstanceSet": [{"instanceIds": [A, B], "instanceType": "p4d.24xlarge"}],
        "tagSet": [{"key": "fleetform:environment", "value": "vision"}],
    }
    found = lives_of_calls([call("CreateFleet", 3, answer=answer)], "vision", set())
    assert [(each.instance, each.type) for each in found] == [(A, "p4d.24xlarge"), (B, "p4d.24xlarge")]


def test_what_several_tell_of_a_machine_is_put_together() -> None:
    runs = Life(A, "g5.xlarge", "gpu", 10, 20, "runs")
    trail = Life(A, "", None, 5, None, "trail")
    (both,) = joined([runs, trail])
    assert (both.type, both.fleet, both.begun, both.ended) == ("g5.xlarge", "gpu", 5, 20)
    (stands,) = joined([runs, trail, Life(A, "g5.xlarge", "gpu", 5, None, "EC2", stands=True)])
    assert (stands.begun, stands.ended, stands.stands) == (5, None, True)


# ----------------------------------------------------------------------------------------------- periods


def test_stacks_stand_from_up_to_down_and_are_gone_between() -> None:
    entries = [
        entry("environment.up", "started", 1),
        entry("environment.up", "succeeded", 2, **built("vision-base", "vision-fleet")),
        entry("environment.down", "started", 3),
        entry("environment.down", "succeeded", 4, destroyed=["vision-fleet"]),
        entry("environment.down", "succeeded", 4, target="speech", destroyed=["speech-fleet"]),
        entry("environment.up", "started", 6),
        entry("environment.up", "succeeded", 7, **built("vision-base", "vision-fleet")),
    ]
    hour = {each: milliseconds(entry("x", "y", each)["time"]) for each in range(24)}
    fleet = standing_periods(entries, "vision", "vision-fleet", hour[0], hour[12])
    assert fleet == [(hour[1], hour[4]), (hour[6], hour[12])]
    assert standing_periods(entries, "vision", "vision-base", hour[0], hour[12]) == [(hour[1], hour[12])]
    assert list(gone_periods(fleet, hour[12])) == [(hour[4], hour[6])]
    assert list(gone_periods([(hour[1], hour[4])], hour[12])) == [(hour[4], hour[12])]
    assert standing_periods(entries, "maps", "maps-fleet", hour[0], hour[12]) is None


def test_a_stack_whose_beginning_is_older_than_what_was_read_stood_from_there_on() -> None:
    entries = [entry("environment.down", "succeeded", 4, destroyed=["vision-fleet"])]
    begin, end = milliseconds(entry("x", "y", 1)["time"]), milliseconds(entry("x", "y", 9)["time"])
    (period,) = standing_periods(entries, "vision", "vision-fleet", begin, end) or []
    assert period == (begin, milliseconds(entries[0]["time"]))


# ----------------------------------------------------------------------------------------- what is asked


def test_a_period_is_two_days_both_in_it_or_the_month_until_now() -> None:
    since, until = period_of("2026-11-01", "2026-11-07", NOW)
    assert (until - since).days == 7
    assert period_of("", "", NOW) == (NOW.replace(day=1, hour=0), NOW)


def test_all_that_is_wrong_with_a_period_is_told_at_once() -> None:
    with pytest.raises(UserError) as caught:
        period_of("yesterday", "2026-13-01", NOW)
    assert [each.path for each in caught.value.problems] == ["--since", "--until"]
    with pytest.raises(UserError, match="ends before it begins"):
        period_of("2026-11-07", "2026-11-01", NOW)


def test_a_choice_that_nothing_has_is_told_with_what_was_meant() -> None:
    lines, said = lines_of(Facts(held=(held(),)), 0, DAY), list[str]()
    require_known(Chosen(team="audoi"), "team", lines, said.append)
    assert said == ["nothing of the team 'audoi': did you mean 'audio'?"]
    with pytest.raises(UserError, match="no --by"):
        require_known(Chosen(), "teem", lines)


def test_the_page_explains_every_use() -> None:
    page = Path("docs/costs.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE)
    assert tuple(named) == USES
