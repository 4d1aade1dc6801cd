"""The campaign of faults without its clouds: what is drawn, what a fault is made of, what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults.injuries import injuries_of, rule_of
from benchmarks.faults.phases import PHASES, Phase
from benchmarks.faults.results import Row, append, read_rows, tables
from benchmarks.faults.scenarios import SLOTS, draw, trips
from sandbox.fault_kinds import read_rule

ALL = [phase for phases in PHASES.values() for phase in phases]
SCENARIOS = 200


def row(number: int, **more: object) -> Row:
    about = {"seed": 7, "command": "up", "phase": "asks who it is", "injury": "cut", "place": 1, "hit": True}
    return Row(**{**about, "number": number, "repeats": [0], "converged": True, **more})  # type: ignore[arg-type]


def test_a_scenario_is_known_by_seed_and_number_alone() -> None:
    first = [str(draw(7, number)) for number in range(SCENARIOS)]
    assert [str(draw(7, number)) for number in reversed(range(SCENARIOS))] == first[::-1]
    assert [str(draw(8, number)) for number in range(SCENARIOS)] != first


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_every_phase_of_every_command_is_killed_in_two_hundred_scenarios(seed: int) -> None:
    drawn = [draw(seed, number) for number in range(SCENARIOS)]
    killed = {each.phase for each in drawn if each.injury.kills}
    assert killed == set(ALL)
    assert [each.phase.command for each in drawn[: len(SLOTS)]] == list(SLOTS)
    named = {each.name for phase in ALL for each in injuries_of(phase)}
    assert {each.injury.name for each in drawn} == named


@pytest.mark.parametrize("phase", ALL, ids=lambda each: f"{each.command} {each.name}")
def test_every_fault_of_a_phase_is_one_that_the_cloud_takes(phase: Phase) -> None:
    for injury in injuries_of(phase):
        for place in range(1, phase.places + 1):
            rule = read_rule(rule_of(injury, phase, place, "i-0123456789abcdef0"))
            assert not rule.at_once, "a machine is hit at its phase too"
    named = {each.name for each in injuries_of(phase)}
    assert set(phase.also) <= named, "it names faults that there are"


def test_scenarios_are_led_by_whole_round_trips_and_any_of_them_alone() -> None:
    assert trips(0, 10) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert trips(3, 4) == [[3, 4], [5, 6]]
    assert trips(41, 1) == [[41]]


def test_a_campaign_goes_on_from_what_is_kept_and_a_line_that_was_cut_off_is_led_again(
    tmp_path: Path,
) -> None:
    file = tmp_path / "kept" / "results.jsonl"
    assert read_rows(file, 7) == {}
    append(file, [row(0), row(1, converged=False)])
    append(file, [row(1), row(2, seed=8)])
    with file.open("a") as out:
        out.write('{"seed": 7, "number": 3, "comm')
    found = read_rows(file, 7)
    assert sorted(found) == [0, 1] and found[1].converged, "the last one of a number counts"


def test_the_tables_count_by_phase_and_by_fault_and_name_what_did_not_hold() -> None:
    rows = [
        row(0),
        row(1, first=-9, injury="killed", repeats=[1, 0], converged=False),
        row(2, command="down", phase="proves it", leftovers=["VPC vpc-1"], hit=False),
        row(
            3, command="run", phase="follows", lost=["r1 had succeeded and is FAILED now"], ledger=["7: gap"]
        ),
    ]
    assert tables(rows) == EXPECTED
    assert [each.good for each in rows] == [True, False, False, False]


EXPECTED = """\
phase                                scenarios  hit  converged  leftovers  ledger  lost  doubled
up asks who it is                            2    2          1          0       0     0        0
run follows                                  1    1          1          0       1     1        0
down proves it                               1    0          1          1       0     0        0
all                                          4    3          3          1       1     1        0

fault   scenarios  hit  converged  leftovers  ledger  lost  doubled
cut             3    2          3          1       1     1        0
killed          1    1          0          0       0     0        0
all             4    3          3          1       1     1        0

did not hold:
  1: up asks who it is (1), killed: exit codes -9, 1, 0
  2: down proves it (1), cut: left: VPC vpc-1
  3: run follows (1), cut: 7: gap; r1 had succeeded and is FAILED now"""
