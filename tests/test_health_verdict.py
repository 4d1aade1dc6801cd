"""What a test of the network between a job's nodes means: who is to blame, and when nobody is."""

from __future__ import annotations

from dataclasses import replace

from node.health.all_reduce import Measured
from node.health.reasons import HEALTH, reason
from node.health.verdict import Verdict, judge, slow_nodes

NAMES = ("gpu-1", "gpu-2", "gpu-3")
WELL = Measured(sent="", received="", seconds=0.01)


def measured(gbs: float | None, pairs: tuple[tuple[int, int, float], ...] = ()) -> dict[int, Measured | None]:
    """Return what three nodes tell where the all-reduce reached that many GB/s."""
    return {0: replace(WELL, gbs=gbs, pairs=pairs), 1: WELL, 2: WELL}


def test_a_fabric_that_is_fast_enough_passes() -> None:
    verdicts, passed, gbs = judge(NAMES, measured(77.9), 25.0)
    assert (passed, gbs) == (True, 77.9)
    assert verdicts == dict.fromkeys(range(3), Verdict(gbs=77.9))


def test_one_slow_node_is_drained_and_the_others_are_not() -> None:
    pairs = ((0, 1, 4.0), (1, 2, 4.2), (2, 0, 78.0))
    verdicts, passed, _ = judge(NAMES, measured(4.0, pairs), 25.0)
    assert not passed and set(verdicts) == {1}
    assert "4.0 GB/s, expected are 25.0, with every other node" in verdicts[1].bad


def test_where_all_are_slow_the_job_is_refused_and_no_node_is_drained() -> None:
    pairs = ((0, 1, 4.0), (1, 2, 4.2), (2, 0, 4.1))
    verdicts, passed, _ = judge(NAMES, measured(4.0, pairs), 25.0)
    assert not passed and [each.bad for each in verdicts.values()] == ["", "", ""]
    assert all("is the Elastic Fabric Adapter used" in each.refused for each in verdicts.values())
    assert slow_nodes(((0, 1, 4.0),), 25.0) == set(), "of two nodes nobody can tell which"


def test_on_cpus_only_failures_are_judged() -> None:
    assert judge(NAMES, measured(None), 0.0)[1]
    assert judge(NAMES, measured(0.01), 0.0)[1]


def test_an_all_reduce_that_fails_between_nodes_is_told_and_the_job_runs() -> None:
    told = measured(None)
    told[2] = replace(WELL, error="NCCL error: unhandled system error")
    verdicts, passed, _ = judge(NAMES, told, 25.0)
    assert not passed and "unhandled system error" in verdicts[0].warning
    assert not any(each.refused or each.bad for each in verdicts.values())


def test_a_node_whose_gpus_fail_alone_is_drained_unless_most_do() -> None:
    told = measured(None)
    told[1] = replace(WELL, own="CUDA error: an illegal memory access")
    verdicts, passed, _ = judge(NAMES, told, 25.0)
    assert not passed and set(verdicts) == {1} and "illegal memory access" in verdicts[1].bad
    told[2] = told[1]
    verdicts, passed, _ = judge(NAMES, told, 25.0)
    assert not passed and not any(each.bad or each.refused for each in verdicts.values())
    assert "illegal memory access" in verdicts[0].warning


def test_a_node_that_goes_away_during_the_test_is_named_and_no_neighbour_is_blamed() -> None:
    told: dict[int, Measured | None] = {0: Measured("timed out", "timed out", 10.0), 1: None}
    verdicts, passed, _ = judge(NAMES[:2], told, 25.0)
    assert not passed and verdicts[0].absent == ("gpu-2",) and set(verdicts) == {0}
    assert not verdicts[0].bad and not verdicts[0].refused


def test_a_verdict_travels_whole() -> None:
    verdict = Verdict(bad="slow", warning="w", note="x", gbs=4.0)
    assert Verdict.read(verdict.to_message()) == verdict


def test_a_reason_is_one_short_line_that_scontrol_takes() -> None:
    told = reason(HEALTH, "GPU 1: \"row\"\n'x' \\ ü" + "y" * 500)
    assert told.startswith("health: GPU 1: row x yyy") and len(told) == 200
    assert "\n" not in told and '"' not in told
