"""What the scaling benchmark makes of its measurements."""

from __future__ import annotations

from benchmarks.scaling import (
    ARRANGEMENTS,
    BASELINE,
    CONTROL,
    TWO_PROCESSES,
    Arrangement,
    Measurement,
    report,
    table,
)


def measured(**seconds: list[float]) -> dict[Arrangement, list[Measurement]]:
    """Return measurements of every arrangement: the given walls by role, else 100 s each time."""
    roles = {BASELINE: "baseline", CONTROL: "control", TWO_PROCESSES: "two"}
    return {
        arrangement: [
            Measurement(wall, wall - 5, 110.0, {"accuracy": 0.98})
            for wall in seconds.get(roles.get(arrangement, ""), [100.0] * 3)
        ]
        for arrangement in ARRANGEMENTS
    }


def test_the_ratio_is_that_of_the_medians_of_the_whole_job() -> None:
    result = report(measured(two=[50.0, 60.0, 300.0]), ["digits"])
    assert (result["ratio"], result["goal_met"], result["trusted"]) == (0.6, True, True)
    assert "two processes: 0.60 of one's time; goal 0.65: met" in table(result)


def test_a_ratio_above_the_goal_is_called_missed() -> None:
    result = report(measured(two=[66.0] * 3), ["digits"])
    assert not result["goal_met"]
    assert "missed" in table(result)


def test_a_control_that_differs_from_its_baseline_is_called_out() -> None:
    result = report(measured(control=[110.0] * 3, two=[50.0] * 3), ["digits"])
    assert not result["trusted"]
    assert "not to be trusted: the baseline and its control differ by 10%" in table(result)
