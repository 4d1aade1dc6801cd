"""S5: one head with hundreds of nodes and thousands of queued jobs: what it takes, and how long it takes.

Every node is a real slurmd on a port of its own, every job a real one of 16 nodes that would run for an hour,
in the configuration that an environment gets. So the nodes are full after some thirty jobs, and the others
wait, each with its own limit, as the scheduler's worst case. The nodes share this machine's cores with the
head: times are those of a head that has less than one core to itself.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from benchmarks.trainer.results import Row
from node.slurm import tools
from tests.slurm_cluster import SlurmCluster, slurm_cluster

NODES, JOBS = 500, 5_000
NODES_PER_JOB = 16
QUIET_SECONDS = 30.0
LOOKS = 15
AGAIN_SECONDS = 10.0
GOAL_QUEUE_SECONDS = 2.0
"""How old the queue may be that a user sees: what `fleetform logs` is allowed, too."""


def measure(nodes: int = NODES, jobs: int = JOBS, quiet_seconds: float = QUIET_SECONDS) -> list[Row]:
    """Return the figures of a cluster of that many nodes and queued jobs."""
    begin = time.monotonic()
    with slurm_cluster(nodes=nodes, gpus=8, cpus=16, wait=False) as slurm, _used_by_tools(slurm):
        _wait_idle(slurm)
        up = time.monotonic() - begin
        empty = _memory_mib(slurm)
        seconds = _submit(jobs)
        _settle(slurm, jobs)
        return [
            _row(f"{nodes} nodes from nothing to idle", f"{up:.1f} s"),
            _row(f"sbatch, {jobs:,} one after the other", f"{jobs / sum(seconds):.0f} a second",
                 f"each {1e3 * statistics.median(seconds):.0f} ms, slowest {1e3 * max(seconds):.0f} ms"),
            *_looks(jobs),
            *_cycles(slurm, quiet_seconds),
            _row("memory of slurmctld (resident)", f"{_memory_mib(slurm):.0f} MiB",
                 f"without jobs {empty:.0f} MiB"),
            _row("memory of one node's slurmd", f"{_node_memory_mib(slurm):.1f} MiB"),
        ]  # fmt: skip


def _row(what: str, value: str, baseline: str = "", *, goal: str = "", met: bool | None = None) -> Row:
    return Row(id="S5", what=what, value=value, baseline=baseline, goal=goal, met=met)


@contextmanager
def _used_by_tools(slurm: SlurmCluster) -> Iterator[None]:
    """Let the head's own code talk to this cluster."""
    with mock.patch.dict(os.environ, slurm.variables):
        yield


def _wait_idle(slurm: SlurmCluster) -> None:
    """Wait until all nodes are idle.

    Of hundreds that begin within a second some register before slurmctld awaits them: they register again.
    """
    begin, again = time.monotonic(), AGAIN_SECONDS
    while late := [node for node in tools.nodes() if node.state != "IDLE" or "POWERING_UP" in node.flags]:
        seconds = time.monotonic() - begin
        assert seconds < 5 * AGAIN_SECONDS, f"{len(late)} nodes do not come up: {late[:3]}"
        if seconds > again:
            again += AGAIN_SECONDS
            for node in late:
                slurm.kill(node.name)
                slurm.start_node(node.name)
        time.sleep(0.2)


def _submit(jobs: int) -> list[float]:
    """Submit the jobs one after the other, as the head does; return the seconds of each."""
    script = "#!/bin/sh\nexec sleep 3600\n"
    seconds = []
    for number in range(jobs):
        minutes = 60 + number % 240
        wanted = [f"--nodes={NODES_PER_JOB}", "--exclusive", "--gres=gpu:8", f"--time={minutes}"]
        begin = time.perf_counter()
        tools.run("sbatch", ["--parsable", "--partition=gpu", f"--job-name=run-{number}", *wanted,
                             "--output=/dev/null"], text=script, timeout_s=60)  # fmt: skip
        seconds.append(time.perf_counter() - begin)
    return seconds


def _settle(slurm: SlurmCluster, jobs: int) -> None:
    """Wait until the nodes are full, and the rest waits."""
    most = len(slurm.nodes) // NODES_PER_JOB
    deadline = time.monotonic() + 120
    while (running := sum(job.state == "RUNNING" for job in tools.jobs())) < min(most, jobs):
        assert time.monotonic() < deadline, f"only {running} jobs run"
        time.sleep(1)


def _looks(jobs: int) -> list[Row]:
    """Return how long a look at the whole queue, and at all nodes, takes the head."""
    queue, nodes = _times(lambda: len(tools.jobs())), _times(lambda: len(tools.nodes()))
    one = statistics.median(queue)
    return [
        _row(f"the queue of {jobs:,} jobs, read and taken apart", f"{1e3 * one:.0f} ms",
             f"slowest {1e3 * max(queue):.0f} ms", goal=f"<= {GOAL_QUEUE_SECONDS:.0f} s",
             met=one <= GOAL_QUEUE_SECONDS),
        _row("all nodes, read and taken apart", f"{1e3 * statistics.median(nodes):.0f} ms",
             f"slowest {1e3 * max(nodes):.0f} ms"),
    ]  # fmt: skip


def _times(look: Callable[[], int]) -> list[float]:
    seconds = []
    for _ in range(LOOKS):
        begin = time.perf_counter()
        assert look() > 0, "there is something to see"
        seconds.append(time.perf_counter() - begin)
    return seconds


def _cycles(slurm: SlurmCluster, quiet_seconds: float) -> list[Row]:
    """Return what the scheduler does while nothing happens, as it tells itself, and its share of a core."""
    slurm.run("sdiag", "--reset", check=False)
    before, begin = _cpu_seconds(slurm), time.monotonic()
    time.sleep(quiet_seconds)
    share = (_cpu_seconds(slurm) - before) / (time.monotonic() - begin)
    told = slurm.run("sdiag")
    main, backfill = (told.partition("Backfilling stats")[place] for place in (0, 2))
    depth = _number(backfill, "Last depth cycle")
    return [
        _row("a cycle of the scheduler", _cycle(main), "as sdiag tells, mean (longest)"),
        _row("a cycle of the backfill", _cycle(backfill), f"looks at {depth} jobs"),
        _row("slurmctld's share of a core, nothing happening", f"{100 * share:.0f} %"),
    ]


def _cycle(text: str) -> str:
    mean, longest = (_number(text, f"{which} cycle") for which in ("Mean", "Max"))
    return "none came" if mean is None else f"{mean / 1e3:.0f} ms ({(longest or 0) / 1e3:.0f} ms)"


def _number(text: str, name: str) -> int | None:
    found = re.search(rf"{name}:\s+(\d+)", text)
    return int(found[1]) if found else None


def _memory_mib(slurm: SlurmCluster) -> float:
    return _resident_mib(slurm.daemons["slurmctld"].pid)


def _node_memory_mib(slurm: SlurmCluster) -> float:
    return statistics.median(_resident_mib(slurm.daemons[name].pid) for name in slurm.nodes)


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def _cpu_seconds(slurm: SlurmCluster) -> float:
    fields = Path(f"/proc/{slurm.daemons['slurmctld'].pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
