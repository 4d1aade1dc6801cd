"""Trials on whole nodes, and their plot."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.speedup import Trial, count_problems, evaluate, on_nodes
from fleet.speedup_chart import plot_trials
from scripts import cli


def trials(*times: tuple[int, float]) -> list[Trial]:
    return [Trial(count, count, "step", seconds) for count, seconds in times]


def test_whole_nodes_are_tried_beside_one_process() -> None:
    assert on_nodes([1, 2, 4], 8) == [1, 8, 16, 32]
    assert on_nodes([2, 4], 1) == [1, 2, 4]
    assert count_problems([2, 4], 2, 60, "--nodes") == []
    assert [problem.path for problem in count_problems([0, 2], 2, 60, "--nodes")] == ["--nodes"]


def test_the_trials_are_drawn_the_same_each_time_and_without_gains_where_none_are_claimed(
    tmp_path: Path,
) -> None:
    quiet = evaluate(trials((1, 1.0), (2, 0.55), (2, 0.55), (1, 1.02)), 10.0, 1)
    noisy = evaluate(trials((1, 1.0), (2, 0.55), (2, 0.55), (1, 1.2)), 10.0, 1)
    for name, found in (("a", quiet), ("again", quiet), ("noisy", noisy)):
        plot_trials(found, tmp_path / "plots" / f"{name}.svg")
    drawn = {path.stem: path.read_text() for path in (tmp_path / "plots").iterdir()}
    assert drawn["a"] == drawn["again"]
    for text in ("1.84x, 92 %", "ideal", "projected at best", "up to 2.0 %"):
        assert text in drawn["a"]
    assert "ideal" not in drawn["noisy"] and "up to 20.0 %" in drawn["noisy"]


def test_nodes_and_processes_exclude_each_other_and_this_machine_is_one_node(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["speedup", "--local", "--recipe", "digits", "--nodes", "1,2"]) == 2
    assert "this machine is one node" in capsys.readouterr().err
    assert cli.main(["speedup", "e", "--recipe", "digits", "--nodes", "1,2", "--procs", "1,2"]) == 2
    assert "both say what to try" in capsys.readouterr().err
