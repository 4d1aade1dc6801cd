"""What several attempts of one teardown found is put together, and another teardown's is left out."""

from __future__ import annotations

import datetime
import json
from typing import Any

from fleet.listings.things import Thing
from fleet.teardown_found import EVENT, Found, StackFound, find_unfinished
from fleet.terraform_state import StateResource

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
VPC = StateResource(address="aws_vpc.main", kind="aws_vpc", id="vpc-1", name="vision")
KEY = StateResource(address="aws_kms_key.main", kind="aws_kms_key", id="key-1")
DISK = Thing(kind="EBS volume", id="vol-1", stack="vision-fleet", usd_per_hour=0.5, created=NOON)


def base(*resources: StateResource) -> dict[str, StackFound]:
    return {"vision-base": StackFound(resources=resources, created=NOON)}


def entry(event: str, outcome: str, details: dict[str, Any] | None = None, target: str = "vision") -> Any:
    return {"event": event, "outcome": outcome, "target": target, "details": details or {}}


def found(minutes: int = 0, **more: Any) -> Found:
    return Found(began=NOON + datetime.timedelta(minutes=minutes), **more)


def told(what: Found) -> Any:
    """Return it as the ledger gives it back."""
    return entry(EVENT, "recorded", json.loads(json.dumps(what.to_details())))


PROVEN = entry("environment.down", "succeeded", {"left": [], "not_looked": []})
NOT_PROVEN = entry("environment.down", "succeeded", {"left": ["EBS volume vol-1"], "not_looked": []})
UP = entry("environment.up", "started")


def test_what_the_ledger_gives_back_is_what_was_found() -> None:
    whole = found(anyway="over", overridden=("a run",), stacks=base(VPC), priced=(DISK,), kept=(KEY,))
    assert Found.from_details(told(whole)["details"]) == whole


def test_a_later_attempt_adds_to_the_first_and_takes_nothing_from_it() -> None:
    first = found(anyway="over", overridden=("a run",), stacks=base(KEY, VPC), priced=(DISK,), kept=(KEY,))
    ending = Thing(kind="EBS volume", id="vol-1", usd_per_hour=0.0)
    new = Thing(kind="EC2 instance", id="i-1", usd_per_hour=1.0)
    later = found(5, overridden=("no export",), stacks=base(VPC), priced=(ending, new))
    together = find_unfinished([UP, told(first), told(later)], "vision", stands=True)
    assert together == found(
        anyway="over",
        overridden=("a run", "no export"),
        stacks=base(KEY, VPC),
        priced=(DISK, new),
        kept=(KEY,),
    )


def test_five_attempts_find_what_one_finds() -> None:
    whole = found(stacks=base(KEY, VPC), priced=(DISK,))
    rest = [found(minutes, stacks=base(VPC)) for minutes in (1, 2, 3)]
    attempts = [UP, *map(told, (whole, *rest, found(4)))]
    assert find_unfinished(attempts, "vision", stands=False) == whole


def test_building_anew_ends_a_teardown_and_another_environments_is_none() -> None:
    whole = found(stacks=base(VPC))
    assert find_unfinished([told(whole), UP], "vision", stands=True) is None
    assert find_unfinished([told(whole)], "speech", stands=True) is None
    assert find_unfinished([told(whole), entry("environment.up", "refused")], "vision", stands=True) == whole


def test_a_teardown_is_over_once_it_is_proven_unless_nothing_stands_that_another_could_be_of() -> None:
    whole = found(stacks=base(VPC))
    assert find_unfinished([told(whole), PROVEN], "vision", stands=True) is None
    assert find_unfinished([told(whole), PROVEN], "vision", stands=False) == whole
    assert find_unfinished([told(whole), NOT_PROVEN], "vision", stands=True) == whole


def test_after_a_fleet_alone_was_torn_down_the_base_is_another_teardown_that_may_be_killed_too() -> None:
    fleet = StackFound(resources=(VPC,), created=NOON)
    first = found(stacks={"vision-fleet": fleet, **base(KEY)})
    second = found(60, stacks=base(KEY))
    entries = [UP, told(first), PROVEN, told(second)]
    assert find_unfinished(entries, "vision", stands=False) == second


def test_what_was_built_anew_past_fleetform_is_not_taken_for_what_stood_before() -> None:
    rebuilt = StateResource(address="aws_vpc.main", kind="aws_vpc", id="vpc-2")
    together = found(stacks=base(KEY, VPC)).then(found(9, stacks=base(rebuilt)))
    assert together.stacks == base(rebuilt)
