"""What a runner under Slurm makes of the states of its job's nodes."""

from __future__ import annotations

import pytest

from node.slurm import surroundings, tools
from node.slurm.surroundings import has_lost_a_node, is_taken_back


def see(monkeypatch: pytest.MonkeyPatch, *states: str) -> None:
    """Have Slurm tell of those nodes, each in a state as `scontrol show node` writes it."""
    nodes = [
        tools.NodeState(f"gpu-{number}", state, frozenset(flags), "", f"10.0.0.{number}")
        for number, (state, *flags) in enumerate((each.split("+") for each in states), 1)
    ]
    monkeypatch.setattr(tools, "nodes", lambda names: nodes)
    monkeypatch.setattr(surroundings, "_NOTICE_SECONDS", 0.0)


@pytest.mark.parametrize(
    "state", ["DOWN+CLOUD", "DOWN+CLOUD+POWERING_DOWN", "IDLE+CLOUD+POWERED_DOWN", "IDLE+CLOUD+POWERING_UP"]
)
def test_a_node_whose_machine_is_gone_or_being_replaced_is_lost(
    state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(monkeypatch, "ALLOCATED+CLOUD+COMPLETING", state)
    assert has_lost_a_node()
    assert is_taken_back()


@pytest.mark.parametrize("state", ["ALLOCATED+CLOUD", "MIXED+CLOUD+COMPLETING", "IDLE+CLOUD"])
def test_a_node_that_has_its_machine_is_not(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    see(monkeypatch, "ALLOCATED+CLOUD+COMPLETING", state)
    assert not has_lost_a_node()
    assert not is_taken_back()
