"""S4: a fleet from nothing to N nodes and back, while EC2 lacks machines: is one paid for that nothing uses?

For each N one job of N nodes on a fleet without a machine. At first neither spot nor on-demand capacity does
for all of it (N-1 machines of each, none where N is 1), so that it is refused; then on-demand capacity comes.
From the start a tenth of EC2's calls are throttled, the answer of the first order that starts machines gets
lost, and the first resume program that has started machines is killed while it names them. "Paid for but
unused" are the machines of the embedded cloud's own record that no node of the job ran on. Orphans are what
runs a while after the last node's end, or has run without a node.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from benchmarks.slurm.lab import embedded_cloud
from benchmarks.trainer.results import Row
from fleet.cloud import Cloud
from tests.elastic_lab import TYPE, ElasticLab, elastic_lab
from tests.sandbox_helpers import admin
from tests.slurm_cluster import wait_until

SIZES = (1, 8, 64)
REFUSALS = 2
"""So often a job is refused before there is capacity for it."""
IDLE_SECONDS = 5
LATER_S = 20.0
"""When orphans are looked for, after the last machine of a node has ended."""
_THROTTLED = {"service": "ec2", "code": "RequestLimitExceeded", "status": 503, "probability": 0.1}
_CALLS = ("CreateFleet", "CreateTags", "DescribeInstances", "TerminateInstances")
"""Every call that our programs make."""
_LOST = {
    "service": "ec2", "action": "CreateFleet", "code": "InternalError", "status": 500, "after": True
}  # fmt: skip
_PATIENCE_S = 600.0


def measure() -> list[Row]:
    """Return a row of times and one of machines for each size of the fleet."""
    rows: list[Row] = []
    with embedded_cloud() as (_, cloud):
        for nodes in SIZES:
            rows += _grow_and_shrink(cloud, nodes)
    return rows


def _grow_and_shrink(cloud: Cloud, nodes: int) -> list[Row]:
    with elastic_lab(
        cloud,
        f"bench{nodes}",
        max_nodes=nodes,
        idle_seconds=IDLE_SECONDS,
        resume_seconds=300,
        pause=1.0,
        facts={"purchases": ["spot", "on_demand"]},
    ) as lab:
        for market in ("spot", "on-demand"):
            limit(cloud, nodes - 1, market)
        throttle(cloud)
        out = lab.slurm.base / "hosts"
        job = lab.submit(
            "bench",
            nodes,
            f"srun --ntasks-per-node=1 sh -c 'echo $SLURMD_NODENAME' > {out}",
            "--ntasks-per-node=1",
        )
        wait_until(lambda: tries(lab) >= REFUSALS, "the refusals", _PATIENCE_S, lab.log)
        too_early = len(lab.started())
        admin(cloud, "DELETE", "faults")
        admin(cloud, "POST", "faults", {**_LOST, "count": 1})
        admin(cloud, "POST", "faults", {"service": "ec2", "action": "CreateTags", "delay_s": 2, "count": 1})
        throttle(cloud)
        killer = threading.Thread(target=_kill_once, args=[lab])
        killer.start()
        limit(cloud, nodes, "on-demand")
        capacity = time.monotonic()
        lab.slurm.wait_job(job, ["RUNNING", "COMPLETED"], _PATIENCE_S)
        running = time.monotonic() - capacity
        killer.join()
        lab.slurm.wait_job(job, ["COMPLETED"], _PATIENCE_S)
        done = time.monotonic()
        admin(cloud, "DELETE", "faults")
        wait_until(lambda: not lab.machines(), "the fleet to end", _PATIENCE_S, lab.log)
        ended = time.monotonic() - done
        time.sleep(LATER_S)
        used = out.read_text().split()
        return _rows(lab, nodes, used, too_early, (running, ended))


def _rows(
    lab: ElasticLab, nodes: int, used: list[str], too_early: int, times: tuple[float, float]
) -> list[Row]:
    running, ended = times
    assert len(used) == nodes, f"the job ran on {used}"
    unused = [each for each in lab.started() if each["tags"].get("fleetform:node") not in used]
    orphans = len(lab.machines()) + sum("ended" not in each for each in lab.started())
    twice = len(lab.started()) - len(unused) - nodes
    wrong = len(unused) + too_early + twice
    return [
        Row(
            id="S4",
            what=f"{nodes} nodes: from capacity to the job running",
            value=f"{running:.1f} s",
            baseline=f"idle for {IDLE_SECONDS} s and all ended: {ended:.1f} s",
        ),
        Row(
            id="S4",
            what=f"{nodes} nodes: machines paid for but unused",
            value=str(wrong),
            baseline=f"{len(lab.started())} started, {tries_ever(lab)} orders refused",
            goal="0",
            met=wrong == 0,
        ),
        Row(
            id="S4",
            what=f"{nodes} nodes: orphans",
            value=str(orphans),
            baseline=f"{LATER_S:.0f} s after the end",
            goal="0",
            met=orphans == 0,
        ),
    ]


def throttle(cloud: Cloud) -> None:
    """Let EC2 refuse a tenth of the calls for being too many."""
    for seed, action in enumerate(_CALLS):
        admin(cloud, "POST", "faults", {**_THROTTLED, "action": action, "seed": seed})


def limit(cloud: Cloud, count: int, market: str) -> None:
    """Let EC2 have so many machines of the lab's type, bought in that way."""
    admin(cloud, "POST", "capacity", {"instance_type": TYPE, "count": count, "market": market})


def tries(lab: ElasticLab) -> int:
    """Return how often in a row the job was refused."""
    return int(lab.held().get("bench", {}).get("tries", 0))


def tries_ever(lab: ElasticLab) -> int:
    """Return how many orders EC2 refused."""
    return lab.log().count(": 0 of ")


def _kill_once(lab: ElasticLab) -> None:
    """Kill the resume program as soon as it has started machines, while it names them."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if lab.started():
            for program in lab.resume_programs():
                os.kill(program, signal.SIGKILL)
            return
        time.sleep(0.02)
