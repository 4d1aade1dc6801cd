"""S5: one head with hundreds of nodes and thousands of queued runs: what it takes, and how long it takes.

Every node is a real slurmd on a port of its own, in the configuration that an environment gets, accounting
included. Jobs of 16 nodes fill them; then runs of 16 nodes each are submitted as a document does it, through
the clerk, four at a time, and wait: each with a limit of its own, the scheduler's worst case. The nodes and
the embedded S3 share this machine's cores with the head: times are those of a head with less than a core.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from benchmarks.slurm.lab import embedded_cloud
from benchmarks.trainer.results import Row
from fleet.queue import in_order
from node.cluster.facts import cluster_key
from node.slurm import client, tools
from tests.clerk_lab import TEAM, ClerkLab, clerk_lab
from tests.slurm_cluster import SlurmCluster, wait_until

NODES, JOBS = 500, 5_000
NODES_PER_JOB = 16
AT_ONCE = 4
BY_HAND = 200
LOOKS = 10
QUIET_SECONDS = 30.0
AGAIN_SECONDS = 10.0


def measure(nodes: int = NODES, jobs: int = JOBS, quiet_seconds: float = QUIET_SECONDS) -> list[Row]:
    """Return the figures of a cluster of that many nodes and queued runs."""
    options = {
        "nodes": nodes, "gpus": 8, "cpus": 16, "accounting": True, "teams": {TEAM: 1, "blue": 1},
        "extra": "SlurmdTimeout=60\nMessageTimeout=10\nKillWait=30", "wait": False,
    }  # fmt: skip
    begin = time.monotonic()
    with embedded_cloud() as (_, cloud), clerk_lab(cloud, "scale", **options) as lab, _on_head(lab):
        _wait_idle(lab.slurm)
        rows = [
            _row(f"{nodes} nodes and their head from nothing to idle", f"{time.monotonic() - begin:.0f} s")
        ]
        before = _memory(lab)
        _fill(lab.slurm)
        rows += _submitted(lab, jobs)
        rows += _looks(lab, jobs)
        rows += _cycles(lab, quiet_seconds)
        after = _memory(lab)
        rows += [
            _row(
                f"memory of {name} (resident)",
                f"{after[name]:.0f} MiB",
                f"without runs {before[name]:.0f} MiB",
            )
            for name in after
        ]
        return rows


def _row(what: str, value: str, baseline: str = "") -> Row:
    return Row(id="S5", what=what, value=value, baseline=baseline)


@contextmanager
def _on_head(lab: ClerkLab) -> Iterator[None]:
    """Let the head's own code run here as it would there."""
    with mock.patch.dict(os.environ, lab.variables):
        yield


def _wait_idle(slurm: SlurmCluster) -> None:
    """Wait until all nodes are idle.

    Of hundreds that begin within a second some register before slurmctld awaits them: they register again.
    """
    begin, again = time.monotonic(), AGAIN_SECONDS
    while late := [node for node in tools.nodes() if node.state != "IDLE" or "POWERING_UP" in node.flags]:
        seconds = time.monotonic() - begin
        assert seconds < 10 * AGAIN_SECONDS, f"{len(late)} nodes do not come up: {late[:3]}"
        if seconds > again:
            again += AGAIN_SECONDS
            for node in late:
                slurm.kill(node.name)
                slurm.start_node(node.name)
        time.sleep(0.2)


def _sbatch(name: str) -> float:
    """Submit a job of an hour by hand; return the seconds."""
    wanted = [f"--nodes={NODES_PER_JOB}", "--exclusive", "--gres=gpu:8", "--time=60", f"--job-name={name}"]
    begin = time.perf_counter()
    tools.run(
        "sbatch", [*wanted, "--partition=gpu", f"--account={TEAM}", "--output=/dev/null"],
        text="#!/bin/sh\nexec sleep 3600\n", timeout_s=60,
    )  # fmt: skip
    return time.perf_counter() - begin


def _fill(slurm: SlurmCluster) -> None:
    """Give every node something to do."""
    most = len(slurm.nodes) // NODES_PER_JOB
    for number in range(most):
        _sbatch(f"fill-{number}")
    wait_until(lambda: len(tools.jobs("RUNNING")) == most, f"{most} jobs to run", 120)


def _submitted(lab: ClerkLab, jobs: int) -> list[Row]:
    """Submit the runs; return how fast, beside the same by hand."""
    run_ids = [
        lab.write_run("exec sleep 3600\n", nodes=NODES_PER_JOB, max_minutes=60 + n % 240) for n in range(jobs)
    ]

    def submit(run_id: str) -> float:
        begin = time.perf_counter()
        taken, said = client.ask("submit", run_id, TEAM)
        assert taken, said
        return time.perf_counter() - begin

    begin = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seconds = list(pool.map(submit, run_ids))
    rate = jobs / (time.monotonic() - begin)
    by_hand = [_sbatch(f"hand-{number}") for number in range(BY_HAND)]
    return [
        _row(f"{jobs:,} runs submitted, {AT_ONCE} at a time", f"{rate:.0f} a second",
             f"each {1e3 * statistics.median(seconds):.0f} ms, slowest {1e3 * max(seconds):.0f} ms"),
        _row(f"sbatch by hand behind them, {BY_HAND} one after the other",
             f"{BY_HAND / sum(by_hand):.0f} a second", f"each {1e3 * statistics.median(by_hand):.0f} ms"),
    ]  # fmt: skip


def _looks(lab: ClerkLab, jobs: int) -> list[Row]:
    """Return how long a look at the whole queue takes a user and the head, and how old it is."""
    read = _times(lambda: len(in_order(_queue(lab)["jobs"])))
    asked, nodes = _times(lambda: len(tools.jobs())), _times(lambda: len(tools.nodes()))
    ages = [_age(lab) for _ in range(3)]
    return [
        _row("a user's look at the queue: read, parsed, in order", f"{1e3 * statistics.median(read):.0f} ms",
             f"slowest {1e3 * max(read):.0f} ms, {len(json.dumps(_queue(lab))) / 1e6:.1f} MB"),
        _row(f"a run is in that queue of {jobs:,} after", f"{statistics.median(ages):.1f} s",
             f"slowest {max(ages):.1f} s; the clerk rests a second for each 256 KiB of it"),
        _row("the head's look at all jobs", f"{1e3 * statistics.median(asked):.0f} ms",
             f"slowest {1e3 * max(asked):.0f} ms"),
        _row("the head's look at all nodes", f"{1e3 * statistics.median(nodes):.0f} ms",
             f"slowest {1e3 * max(nodes):.0f} ms"),
    ]  # fmt: skip


def _queue(lab: ClerkLab) -> dict[str, list[dict[str, object]]]:
    """Read the queue as `fleetform queue` does."""
    body = lab.s3.get_object(Bucket=lab.bucket, Key=cluster_key("queue.json"))["Body"].read()
    queue: dict[str, list[dict[str, object]]] = json.loads(body)
    return queue


def _age(lab: ClerkLab) -> float:
    """Submit one more run; return the seconds from the answer until the queue has it."""
    run_id = lab.write_run("exec sleep 3600\n", nodes=NODES_PER_JOB)
    taken, said = client.ask("submit", run_id, TEAM)
    assert taken, said
    begin = time.monotonic()
    wait_until(
        lambda: any(job["run_id"] == run_id for job in _queue(lab)["jobs"]), "the queue to have it", 60
    )
    return time.monotonic() - begin


def _times(look: Callable[[], int]) -> list[float]:
    seconds = []
    for _ in range(LOOKS):
        begin = time.perf_counter()
        assert look() > 0, "there is something to see"
        seconds.append(time.perf_counter() - begin)
    return seconds


def _cycles(lab: ClerkLab, quiet_seconds: float) -> list[Row]:
    """Return what the scheduler does while nothing happens, as it tells itself, and what that takes."""
    lab.slurm.run("sdiag", "--reset", check=False)
    pids = _pids(lab)
    before, begin = {name: _cpu_seconds(pid) for name, pid in pids.items()}, time.monotonic()
    time.sleep(quiet_seconds)
    passed = time.monotonic() - begin
    shares = {name: (_cpu_seconds(pid) - before[name]) / passed for name, pid in pids.items()}
    main, _, backfill = lab.slurm.run("sdiag").partition("Backfilling stats")
    depth = _number(backfill, "Last depth cycle")
    return [
        _row("a cycle of the scheduler", _cycle(main), "as sdiag tells, mean (longest)"),
        _row("a cycle of the backfill", _cycle(backfill), f"looks at {depth} jobs"),
        _row("shares of a core, nothing happening",
             ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())),
    ]  # fmt: skip


def _cycle(text: str) -> str:
    mean, longest = (_number(text, f"{which} cycle") for which in ("Mean", "Max"))
    return "none came" if mean is None else f"{mean / 1e3:.0f} ms ({(longest or 0) / 1e3:.0f} ms)"


def _number(text: str, name: str) -> int | None:
    found = re.search(rf"{name}:\s+(\d+)", text)
    return int(found[1]) if found else None


def _pids(lab: ClerkLab) -> dict[str, int]:
    """Return the head's processes."""
    assert lab.clerk is not None, "the clerk is at its desk"
    daemons = {name: lab.slurm.daemons[name].pid for name in ("slurmctld", "slurmdbd", "mariadb")}
    return {**daemons, "clerk": lab.clerk.pid}


def _memory(lab: ClerkLab) -> dict[str, float]:
    """Return the resident MiB of the head's processes, and of a node's daemon."""
    nodes = [_resident_mib(lab.slurm.daemons[name].pid) for name in lab.slurm.nodes]
    return {
        **{name: _resident_mib(pid) for name, pid in _pids(lab).items()},
        "a node's slurmd": statistics.median(nodes),
    }


def _resident_mib(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def _cpu_seconds(pid: int) -> float:
    """Return a process's processor time, with its children that have ended (proc(5), fields 14 to 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
