"""The prolog on real Slurm: a sick node is drained with the reason, and its job goes on elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.health_nodes import PROLOG, break_gpu, make_machine, report
from tests.slurm_cluster import SlurmCluster, needs_slurm, slurm_cluster

pytestmark = [pytest.mark.slurm, needs_slurm]
FIXTURES = Path(__file__).parent / "fixtures" / "health"


@pytest.fixture(scope="module")
def slurm() -> Iterator[SlurmCluster]:
    """A cluster whose second node has a GPU with memory errors."""
    with slurm_cluster(nodes=3, programs={"prolog": PROLOG}) as cluster:
        for name in ("gpu-1", "gpu-3"):
            make_machine(cluster, name)
        sick = make_machine(cluster, "gpu-2")
        path = break_gpu(sick, FIXTURES / "h100-ecc.xml")
        file = sick.with_name("gpu-2.env")
        file.write_text(file.read_text() + f"export PATH='{path}'\n")
        yield cluster


def machine(slurm: SlurmCluster, name: str) -> Path:
    """Return the folder that stands for a node."""
    return slurm.base / "machines" / name


def test_a_sick_node_is_drained_with_the_reason_and_the_job_runs_on_others(slurm: SlurmCluster) -> None:
    job = slurm.run("sbatch", "--parsable", "-N2", "--exclusive", "--wrap", "srun hostname")
    slurm.wait_job(job, ["COMPLETED"])
    told = slurm.run("scontrol", "show", "node", "gpu-2")
    assert "DRAIN" in told
    assert "Reason=health: gpu-ecc: GPU 1: 1 uncorrectable errors; gpu-rows: GPU 1: a row waits" in told
    details = slurm.run("scontrol", "show", "job", job)
    assert "Restarts=1" in details and "NodeList=gpu-[1,3]" in details
    well = report(machine(slurm, "gpu-1"), job)
    assert well["ok"] is True and well["refused"] == ""
    checks = {each["name"]: each for each in well["checks"]}  # type: ignore[attr-defined]
    assert checks["fabric"]["detail"] == "all nodes reach each other"
    assert report(machine(slurm, "gpu-2"), job)["ok"] is False


def test_a_set_of_nodes_is_tested_once(slurm: SlurmCluster) -> None:
    job = slurm.run("sbatch", "--parsable", "-N2", "--exclusive", "--wrap", "srun hostname")
    slurm.wait_job(job, ["COMPLETED"])
    checks = {each["name"]: each for each in report(machine(slurm, "gpu-1"), job)["checks"]}  # type: ignore[attr-defined]
    assert checks["fabric"]["detail"] == "tested before"


def test_a_job_on_one_node_needs_no_network(slurm: SlurmCluster) -> None:
    job = slurm.run("sbatch", "--parsable", "-N1", "--wrap", "srun hostname")
    slurm.wait_job(job, ["COMPLETED"])
    names = {each["name"] for each in report(machine(slurm, "gpu-1"), job)["checks"]}  # type: ignore[attr-defined]
    assert "fabric" not in names and "disk" in names
