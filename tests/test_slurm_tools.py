"""What Slurm's programs print, read back: on a real cluster, and host lists without one."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from node.slurm import tools
from node.slurm.hostlist import compress, expand
from tests.slurm_cluster import SlurmCluster, needs_slurm, slurm_cluster


@pytest.fixture(scope="module")
def slurm() -> Iterator[SlurmCluster]:
    """A cluster of two nodes."""
    with slurm_cluster(nodes=2) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def surroundings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the programs find the cluster."""
    if "slurm" in request.fixturenames:
        monkeypatch.setenv("FLEETFORM_ROOT", str(request.getfixturevalue("slurm").base))


@pytest.mark.parametrize(
    ("hostlist", "names"),
    [
        ("gpu-1", ["gpu-1"]),
        ("gpu-[1-3,7],cpu-2", ["gpu-1", "gpu-2", "gpu-3", "gpu-7", "cpu-2"]),
        ("n[01-03]", ["n01", "n02", "n03"]),
        ("", []),
        ("(null)", []),
    ],
)
def test_a_host_list_is_expanded_in_its_order(hostlist: str, names: list[str]) -> None:
    assert expand(hostlist) == names


@pytest.mark.parametrize("text", ["gpu-[1-3", "gpu-]1", "a[1]b[2]"])
def test_what_is_no_host_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        expand(text)


def test_names_are_compressed_to_a_host_list_that_names_each_once() -> None:
    names = ["gpu-3", "gpu-1", "gpu-2", "gpu-10", "cpu-1", "gpu-2", "n01", "login"]
    assert compress(names) == "cpu-1,gpu-[1-3,10],login,n01"
    assert sorted(expand(compress(names))) == sorted(set(names))
    assert compress([]) == ""


@pytest.mark.slurm
@needs_slurm
def test_jobs_and_nodes_are_read_as_they_stand(slurm: SlurmCluster) -> None:
    assert [(node.name, node.state) for node in tools.nodes()] == [("gpu-1", "IDLE"), ("gpu-2", "IDLE")]
    assert [node.name for node in tools.nodes("gpu-2")] == ["gpu-2"]
    tools.update_node("gpu-2", State="DRAIN", Reason="health:  one\nGPU is missing")
    drained = tools.nodes("gpu-2")[0]
    assert "DRAIN" in drained.flags and drained.reason == "health: one GPU is missing"
    tools.update_node("gpu-2", State="RESUME")

    script = "#!/bin/sh\nsleep 60\n"
    flags = ["--parsable", "--output=/dev/null", "--time=1-02:30:00", "--nodes=1"]
    tools.run("sbatch", [*flags, "--job-name=one", "--time=90"], text=script)
    tools.run("sbatch", [*flags, "--job-name=many", "--time=90", "--array=3-5", "--hold"], text=script)
    deadline = time.monotonic() + 15
    while (found := tools.jobs()) and "RUNNING" not in {job.state for job in found}:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    one = next(job for job in found if job.name == "one")
    assert (one.state, one.node_names, one.nodes, one.limit_minutes) == ("RUNNING", "gpu-1", 1, 90)
    assert one.partition == "gpu" and one.array_index is None
    assert one.started is not None and abs(one.started - time.time()) < 60
    many = [job for job in found if job.name == "many"]
    assert [job.array_index for job in many] == [3, 4, 5]
    assert {job.reason for job in many} == {"JobHeldUser"}

    # A name is its user's, who may write a whole line of squeue into it.
    line = [str(each) for each in ("9999", "9999", "N/A", "forged", "RUNNING", *["None"] * 11)]
    forged = "\x1f".join(line)
    tools.run("sbatch", [*flags, f"--job-name=x\n{forged}\ny", "--time=90", "--hold"], text=script)
    assert len(tools.jobs()) == 4  # nothing of it is read
    assert not any(job.job_id == 9999 or job.name == "forged" for job in tools.jobs())


@pytest.mark.slurm
@needs_slurm
def test_a_refusal_is_told_apart_from_a_controller_that_is_away(slurm: SlurmCluster) -> None:
    with pytest.raises(tools.SlurmError) as refused:
        tools.run("sbatch", ["--partition=nowhere", "--output=/dev/null"], text="#!/bin/sh\n")
    assert refused.value.reason == "Batch job submission failed: Invalid partition name specified"
    assert not refused.value.passing
    slurm.kill_controller()
    try:
        with pytest.raises(tools.SlurmError) as away:
            tools.jobs(timeout_s=2)
        assert away.value.passing
    finally:
        slurm.start_controller()
