"""What a selftest calls working: too slow a network, and a file system that lacks or crawls, are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.selftest_judgement import EFA_SHARE, TCP_SHARE, judge_all_reduce, judge_files
from node.health import prolog
from stacks.environment import EnvironmentSpec, load_environment
from stacks.outputs import FleetOutputs
from tests.spec_files import environment_text, write_folder


def fleet(*, efa: bool = True, kind: str = "p4d.24xlarge") -> FleetOutputs:
    return FleetOutputs(group="g", nodes=2, max_nodes=2, instance_type=kind, gpus_per_node=8, efa=efa)


def sums(busbw_gbs: float, nodes: int = 2, processes: int = 16) -> dict[str, Any]:
    return {"backend": "nccl", "processes": processes, "nodes": nodes, "busbw_gbs": busbw_gbs}


def test_the_limits_are_those_of_the_check_before_each_run() -> None:
    assert (EFA_SHARE, TCP_SHARE) == (prolog.EFA_SHARE, prolog.TCP_SHARE)


@pytest.mark.parametrize(
    ("busbw", "efa", "ok"),
    [(1.0, True, False), (20.0, True, False), (30.0, True, True), (6.0, False, True), (1.0, False, False)],
)
def test_sums_that_are_too_slow_for_the_network_do_not_work(busbw: float, efa: bool, ok: bool) -> None:
    found, said = judge_all_reduce(sums(busbw), fleet(efa=efa), emulated=False)
    assert found is ok
    assert ("are the least over" in said) is not ok and f"{busbw:.2f} GB/s" in said
    assert judge_all_reduce(sums(busbw), fleet(efa=efa), emulated=True)[0]


@pytest.mark.parametrize(
    ("found", "kind"),
    [(sums(0.01, nodes=1), "p4d.24xlarge"), (sums(0.01, 1, 1), "p4d.24xlarge"), (sums(0.01), "z9.huge")],
)
def test_what_nothing_is_known_to_compare_with_is_not_judged(found: dict[str, Any], kind: str) -> None:
    assert judge_all_reduce(found, fleet(kind=kind), emulated=False)[0]


def row(node: int, place: str = "run directory", write: float = 100.0, read: float = 900.0) -> dict[str, Any]:
    return {"node": node, "place": place, "write_mb_s": write, "read_mb_s": read}


@pytest.fixture
def spec(tmp_path: Path) -> EnvironmentSpec:
    text = environment_text() + "\n[efs]\nenabled = true\n"
    return load_environment(write_folder(tmp_path, vision=text) / "vision.toml")


def test_a_declared_file_system_that_a_node_lacks_does_not_work(spec: EnvironmentSpec) -> None:
    rows = [row(0), row(1), row(0, "shared (EFS)")]
    assert judge_files(rows, 2, spec, emulated=True) == (False, "node 1 has no shared (EFS)")
    assert judge_files([*rows, row(1, "shared (EFS)")], 2, spec, emulated=True)[0]
    assert (
        judge_files(rows[:1], 2, spec, emulated=True)[1] == "node 0 has no shared (EFS); node 1 has not told"
    )


def test_a_file_system_that_crawls_does_not_work(spec: EnvironmentSpec) -> None:
    slow = [row(0), row(0, "shared (EFS)", read=2.0)]
    ok, said = judge_files(slow, 1, spec, emulated=False)
    assert not ok and "shared (EFS) of node 0 (100.0 written, 2.0 read)" in said
    assert judge_files(slow, 1, spec, emulated=True)[0]
