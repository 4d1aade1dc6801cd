"""From the spot notice to the job on other nodes, on real Slurm."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.agent.interruption import TOLD_SECONDS, Interruption
from node.agent.spot import Notice
from tests.slurm_cluster import SlurmCluster, needs_slurm, slurm_cluster, wait_until

pytestmark = [pytest.mark.slurm, needs_slurm]

PART = """#!/bin/sh
# Stands for a run's parts, one a node: it stops where it is told, by a file or a signal, and asks for more.
[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || exit 0
trap 'echo told > told-$SLURMD_NODENAME; exit 75' TERM
touch "begun-$SLURMD_NODENAME"
while [ ! -e notice-seen ]; do sleep 0.1; done
exit 75
"""


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    """Three nodes, and this process as the agent of one of them."""
    with slurm_cluster(nodes=3) as cluster:
        (cluster.base / "part").write_text(PART)
        monkeypatch.setenv("FLEETFORM_ROOT", str(cluster.base))
        monkeypatch.setenv("FLEETFORM_RUN", str(cluster.machine.run))
        yield cluster


def begin(slurm: SlurmCluster) -> str:
    """Start a job on two nodes, gpu-1 and gpu-2, and return its id."""
    script = "#!/bin/sh\nsrun --kill-on-bad-exit=0 sh part\n"
    job = slurm.run("sbatch", "--parsable", "-N2", "--exclusive", "--requeue", text=script)
    wait_until(lambda: len(list(slurm.base.glob("begun-*"))) == 2, "both parts", 10)
    return job


def follow(interruption: Interruption, seconds: float) -> None:
    """Do what the agent does until the node is down."""
    until = time.monotonic() + seconds
    while not interruption.over:
        assert time.monotonic() < until, "the node is not down"
        interruption.tick(time.time())
        time.sleep(0.2)


def reason(slurm: SlurmCluster, name: str) -> str:
    """Return a node's state and reason."""
    return slurm.run("sinfo", "--noheader", "--Node", f"--nodes={name}", "--format=%T %E")


def test_a_job_that_stops_by_itself_goes_on_elsewhere_and_its_node_is_down(slurm: SlurmCluster) -> None:
    job = begin(slurm)
    interruption = Interruption("gpu-2", Notice("terminate", time.time() + 120))
    interruption.tick(time.time())
    assert reason(slurm, "gpu-2").startswith("draining spot: EC2 takes the machine at 20")
    assert not interruption.over, "the job still saves"
    (slurm.base / "notice-seen").touch()
    follow(interruption, 20)
    told = slurm.run("scontrol", "show", "node", "gpu-2")
    (state,) = re.findall(r"State=(\S+)", told)
    # Others come and go: a job's end is still being tidied up, or the node has not answered for a moment.
    assert {"DOWN", "DRAIN"} <= set(re.split(r"\W", state)), state
    assert "Reason=spot: EC2 takes the machine" in told
    slurm.wait_job(job, ["COMPLETED"])
    assert "NodeList=gpu-[1,3]" in slurm.run("scontrol", "show", "job", job)


def test_a_job_that_goes_on_is_told_by_a_signal_on_all_of_its_nodes(slurm: SlurmCluster) -> None:
    job = begin(slurm)
    interruption = Interruption("gpu-2", Notice("terminate", time.time() + TOLD_SECONDS - 1))
    follow(interruption, 20)
    slurm.wait_job(job, ["PENDING"])
    told = {path.name for path in Path(slurm.base).glob("told-*")}
    assert told == {"told-gpu-1", "told-gpu-2"}
    assert "Restarts=1" in slurm.run("scontrol", "show", "job", job)


def test_a_node_without_a_job_is_down_at_once(slurm: SlurmCluster) -> None:
    interruption = Interruption("gpu-3", Notice("terminate", time.time() + 120))
    interruption.tick(time.time())
    assert interruption.over
    assert "State=DOWN" in slurm.run("scontrol", "show", "node", "gpu-3")
