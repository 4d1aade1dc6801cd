"""The all-reduce over gloo, as the fabric's test and the acceptance test run it."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from node.health.all_reduce import Measured, measure, measure_alone
from node.health.meeting import listen
from trainer.allreduce import bus_bandwidth, pair_rounds

ROOT = Path(__file__).parent.parent


def test_the_bus_bandwidth_does_not_depend_on_the_number_of_processes() -> None:
    assert bus_bandwidth(10**9, 1.0, 2) == pytest.approx(1.0)
    assert bus_bandwidth(10**9, 1.875, 16) == pytest.approx(1.0)


@pytest.mark.parametrize("nodes", [2, 3, 4, 7, 64])
def test_pairs_go_around_the_ring_and_meet_no_node_twice_at_one_time(nodes: int) -> None:
    rounds = pair_rounds(nodes)
    pairs = [pair for each in rounds for pair in each]
    assert sorted(pairs) == ([(0, 1)] if nodes == 2 else sorted((n, (n + 1) % nodes) for n in range(nodes)))
    for each in rounds:
        met = [node for pair in each for node in pair]
        assert len(met) == len(set(met))


def test_two_nodes_below_the_least_are_measured_in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with listen("127.0.0.1", 0) as server:
        port = int(server.getsockname()[1])
    turn = Measured("", "", 0.0)

    def part(rank: int) -> Measured:
        return measure(
            turn,
            python=sys.executable,
            rank=rank,
            count=2,
            gpus=1,
            first=("127.0.0.1", port),
            least_gbs=1e6,
            seconds=120,
        )

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(part, (0, 1))
    assert first.error == second.error == ""
    assert first.gbs is not None and second.gbs is None
    ((a, b, gbs),) = first.pairs
    assert (a, b) == (0, 1) and gbs > 0


def test_what_fails_on_a_node_alone_is_its_own_and_what_takes_too_long_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    turn = Measured("", "", 0.0)
    assert measure_alone(turn, python=sys.executable, gpus=2, seconds=120) == turn
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ -e "$0.slow" ] && exec sleep 60\necho "CUDA error" >&2\nexit 1\n')
    python.chmod(0o755)
    found = measure_alone(turn, python=str(python), gpus=2, seconds=60)
    assert (found.own, found.error, found.is_well) == ("CUDA error", "", False)
    (tmp_path / "python.slow").touch()
    found = measure_alone(turn, python=str(python), gpus=2, seconds=0.3)
    assert found.own == "" and found.error.startswith("no end after 0 s") and not found.is_well
    nothing = measure_alone(turn, python=str(tmp_path / "none"), gpus=2, seconds=1)
    assert "cannot be run" in nothing.own
