"""The interval between saves: Young's and Daly's formulas, within bounds."""

from __future__ import annotations

import pytest

from trainer.checkpoints.interval import (
    LONGEST_SECONDS,
    best_seconds,
    seconds_between_failures,
    steps_between_saves,
    steps_between_snapshots,
)


def lost_share(interval: float, save: float, gap: float) -> float:
    """Return the share of time lost to saves and to what failures take away, to first order."""
    return save / interval + (interval + save) / (2 * gap)


def test_daly_s_interval_is_young_s_where_saves_are_cheap() -> None:
    assert best_seconds(1.0, 1e6) == pytest.approx((2 * 1e6) ** 0.5, rel=0.001)


@pytest.mark.parametrize(("save", "gap"), [(1.0, 3600.0), (30.0, 86400.0), (300.0, 7200.0)])
def test_no_other_interval_loses_noticeably_less(save: float, gap: float) -> None:
    best = lost_share(best_seconds(save, gap), save, gap)
    others = [lost_share(seconds, save, gap) for seconds in range(1, 40_000, 10)]
    assert best <= min(others) * 1.02


def test_more_machines_and_failures_seen_bring_saves_closer_together() -> None:
    def steps(**more: float) -> int:
        return steps_between_saves(step_seconds=0.1, save_seconds=0.05, **more)  # type: ignore[arg-type]

    assert steps(devices=64) > steps(devices=4096) > 1
    assert steps(devices=64) > steps(devices=64, elapsed_seconds=3600, failures=5)
    assert steps(devices=8) > steps(devices=8, spot=True)
    assert steps(devices=8, spot=True) > steps(devices=8, machines=8, spot=True)


def test_a_long_run_without_failures_is_trusted_more_than_its_kind() -> None:
    kind = seconds_between_failures(devices=8, machines=1, spot=True, elapsed_seconds=0, failures=0)
    proven = seconds_between_failures(devices=8, machines=1, spot=True, elapsed_seconds=1e6, failures=0)
    assert proven > kind


def test_saves_never_take_more_than_a_twentieth_of_the_time() -> None:
    steps = steps_between_saves(
        step_seconds=1, save_seconds=60, devices=1, elapsed_seconds=100, failures=10**6
    )
    assert 60 / (steps + 60) == pytest.approx(1 / 20)


def test_an_hour_is_never_lost_however_reliable_the_machine() -> None:
    assert steps_between_saves(step_seconds=1.0, save_seconds=5.0) == LONGEST_SECONDS


def test_a_free_save_and_a_step_of_no_time_are_no_division_by_zero() -> None:
    assert steps_between_saves(step_seconds=0.0, save_seconds=0.0) >= 1
    assert steps_between_snapshots(step_seconds=0.0, snapshot_seconds=0.0) == 1


def test_snapshots_are_taken_each_step_only_where_they_cost_a_hundredth_of_it() -> None:
    assert steps_between_snapshots(step_seconds=1.0, snapshot_seconds=0.009) == 1
    assert steps_between_snapshots(step_seconds=0.1, snapshot_seconds=0.01) == 10
