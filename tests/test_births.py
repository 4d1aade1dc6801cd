"""How long a stack lived is read from the ledger, whatever became of the acts that are on record there."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from fleet.births import find_births

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
BEFORE_START = {"problems": ["terraform is missing"], "before_start": True}
UNMARKED = {"problems": ["terraform is missing"]}


def entry(
    event: str, outcome: str, hour: int, target: str = "vision", actor: str = "kim", **details: Any
) -> dict[str, Any]:
    """Return a ledger entry of that hour."""
    time = NOON.replace(hour=hour).isoformat()
    return {
        "event": event,
        "outcome": outcome,
        "time": time,
        "target": target,
        "actor": {"identity": actor},
        "details": details,
    }


def built(*stacks: str) -> dict[str, Any]:
    """Return the details of an `up` that built these stacks."""
    return {"stacks": {stack: {} for stack in stacks}}


def test_a_stack_lives_from_the_first_up_after_it_was_last_destroyed() -> None:
    births = find_births(
        [
            entry("environment.up", "started", 1),
            entry("environment.up", "succeeded", 2, **built("vision-base", "vision-fleet")),
            entry("environment.down", "started", 3),
            entry("environment.down", "succeeded", 4, destroyed=["vision-fleet"]),
            entry("environment.up", "started", 5, target="speech"),
            entry("environment.up", "started", 6),
            entry("environment.up", "succeeded", 7, **built("vision-base", "vision-fleet")),
        ],
        "vision",
    )
    assert {stack: born.hour for stack, born in births.items()} == {"vision-base": 1, "vision-fleet": 6}


def test_an_up_that_failed_or_was_killed_may_have_made_something_of_every_stack() -> None:
    failed = [entry("environment.up", "started", 1), entry("environment.up", "failed", 2)]
    killed = [entry("environment.up", "started", 3)]
    assert {born.hour for born in find_births(failed, "vision").values()} == {1}
    assert {born.hour for born in find_births(killed, "vision").values()} == {3}


def test_an_up_that_was_refused_made_nothing() -> None:
    refused = [entry("environment.up", "started", 1), entry("environment.up", "refused", 1)]
    later = [
        entry("environment.up", "started", 5),
        entry("environment.up", "succeeded", 6, **built("vision-base")),
    ]
    assert {born.hour for born in find_births([*refused, *later], "vision").values()} == {5}


@pytest.mark.parametrize("details", [BEFORE_START, UNMARKED])
def test_an_up_that_was_refused_before_it_started_neither_crashes_nor_counts(details: dict[str, Any]) -> None:
    refused = entry("environment.up", "refused", 1, **details)
    assert find_births([refused], "vision") == {}
    later = [
        entry("environment.up", "started", 5),
        entry("environment.up", "succeeded", 6, **built("vision-base")),
        entry("environment.up", "refused", 7, **details),
    ]
    assert {born.hour for born in find_births([refused, *later], "vision").values()} == {5}


def test_a_refusal_before_the_start_leaves_a_killed_up_its_birth() -> None:
    killed = entry("environment.up", "started", 2)
    refused = entry("environment.up", "refused", 3, **BEFORE_START)
    births = find_births([killed, refused], "vision")
    assert {stack: born.hour for stack, born in births.items()} == {"vision-base": 2, "vision-fleet": 2}


def test_an_unmarked_refusal_leaves_another_actors_killed_up_its_birth() -> None:
    killed = entry("environment.up", "started", 2, actor="kim")
    refused = entry("environment.up", "refused", 3, actor="lee", **UNMARKED)
    assert {born.hour for born in find_births([killed, refused], "vision").values()} == {2}
    own = [
        entry("environment.up", "started", 4, actor="lee"),
        entry("environment.up", "refused", 5, actor="lee"),
    ]
    assert {born.hour for born in find_births([killed, *own], "vision").values()} == {2}


def test_what_an_up_had_built_before_it_was_refused_was_born_with_it() -> None:
    entries = [
        entry("environment.up", "started", 2),
        entry("environment.up", "refused", 3, **UNMARKED, **built("vision-base")),
    ]
    assert {stack: born.hour for stack, born in find_births(entries, "vision").items()} == {"vision-base": 2}


def test_an_end_without_a_start_is_read_as_a_start_of_that_moment() -> None:
    ended = entry("environment.up", "succeeded", 6, **built("vision-base"))
    assert {born.hour for born in find_births([ended], "vision").values()} == {6}
