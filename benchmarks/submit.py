"""Submit to first training step: `fleetform run` against the same torchrun started by hand, in one run.

`python -m benchmarks.submit [--repeats 3] [--json]`. Two nodes of one process and one core each, in an
embedded cloud of its own. By hand means: the very launch.sh of the run, started on both nodes' cores at the
same moment, with code and data in place. Both are timed from the start of the command to the time of step 1
in metrics.jsonl, interleaved; the overhead is the median over the pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from fleet import datasets
from fleet.cloud import choose_cloud
from fleet.declare import declare
from fleet.job import JobSpec, build_request, render_launch_script
from fleet.project import Project
from fleet.runs import list_runs, read_run
from sandbox import daemon
from tests.run_environment import INSTANCE_TYPE, REGION, RunEnvironment, build

TARGET_SECONDS = 2.0
RECIPE, OVERRIDES = "digits", ("samples=1024",)
NODES = 2
ROOT = Path(__file__).resolve().parent.parent


def by_hand(work: Path, environment: RunEnvironment, data: Path) -> float:
    """Start launch.sh on both cores and return the seconds to the first step."""
    job = JobSpec(environment="bench", recipe=RECIPE, overrides=OVERRIDES, nodes=NODES, procs_per_node=1)
    script = work / "launch.sh"
    script.write_text(render_launch_script(build_request(job, environment.outputs.fleets)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cores = sorted(os.sched_getaffinity(0))
    begin = time.time()
    children = []
    for rank in range(NODES):
        run_dir = work / f"by-hand-{rank}-{begin}"
        run_dir.mkdir()
        variables = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "FLEETFORM_RUN_ID": "by-hand",
            "FLEETFORM_RUN_DIR": str(run_dir),
            "FLEETFORM_CODE_DIR": str(run_dir),
            "FLEETFORM_DATA_DIR": str(data),
            "FLEETFORM_PYTHON": sys.executable,
            "FLEETFORM_NODE_RANK": str(rank),
            "FLEETFORM_MASTER_ADDR": "127.0.0.1",
            "FLEETFORM_MASTER_PORT": str(port),
        }
        core = str(cores[rank % len(cores)])
        with (run_dir / "log").open("wb") as log:
            children.append(
                subprocess.Popen(
                    ["taskset", "-c", core, "bash", str(script)], env=variables, stdout=log, stderr=log
                )
            )
    assert [child.wait() for child in children] == [0] * NODES
    return first_step((work / f"by-hand-0-{begin}" / "metrics.jsonl").read_text()) - begin


def by_fleetform(project: Project, environment: RunEnvironment) -> tuple[float, dict[str, float]]:
    """Run the command as a user does and return the seconds to the first step, and where they went."""
    variables = {**os.environ, "FLEETFORM_HOME": str(project.home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "scripts.cli", "run", "bench", "--recipe", RECIPE, *OVERRIDES]
    command += ["--nodes", str(NODES), "--procs-per-node", "1", "--cloud", "sandbox", "--follow"]
    begin = time.time()
    subprocess.run(command, cwd=project.root, env=variables, check=True, stdout=subprocess.DEVNULL)
    run = list_runs(environment.store, limit=1)[0]
    assert read_run(environment.store, run.run_id).state == "SUCCEEDED"
    metrics = (environment.store.get(run.run_id, "metrics.jsonl") or b"").decode()
    receipt = environment.store.get_json(run.run_id, "receipt.json") or {}
    launched = max(epoch(node["launched"]) for node in receipt["nodes"])
    where = {
        "command to submitted": epoch(run.submitted) - begin,
        **receipt["seconds"],
        "command to launch.sh": launched - begin,
    }
    return first_step(metrics) - begin, where


def first_step(metrics: str) -> float:
    """Return the time of the first logged step, seconds since the epoch."""
    entry = json.loads(metrics.splitlines()[0])
    return float(entry["time"]) if isinstance(entry["time"], int | float) else epoch(entry["time"])


def epoch(text: str) -> float:
    """Return an ISO 8601 time as seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def measure(repeats: int) -> dict[str, object]:
    """Return the seconds of both ways, interleaved, after one warm-up of each."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        declare(
            root, "bench", team="bench", owner="bench@example.com", region=REGION,
            instance_type=INSTANCE_TYPE, nodes=NODES, organization="run-tests",
        )  # fmt: skip
        project = Project(root=root, home=root / ".fleetform")
        project.home.mkdir()
        daemon.start(project.home)
        try:
            environment = build(choose_cloud(project, "sandbox"), project, "bench", NODES)
            data = datasets.prepare(project, RECIPE).folder
            by_hand(root, environment, data)
            by_fleetform(project, environment)
            hand, fleetform, parts = [], [], []
            for _ in range(repeats):
                hand.append(by_hand(root, environment, data))
                seconds, where = by_fleetform(project, environment)
                fleetform.append(seconds)
                parts.append(where)
        finally:
            daemon.stop(project.home)
    return {
        "by_hand_s": hand,
        "fleetform_s": fleetform,
        # Of pairs that ran one right after the other: what else the machine does changes less within a pair.
        "overhead_s": statistics.median(each - own for own, each in zip(hand, fleetform, strict=True)),
        "target_s": TARGET_SECONDS,
        "where": {name: statistics.median(each[name] for each in parts) for name in parts[0]},
    }


def main() -> int:
    """Print the comparison; exit code 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.repeats)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        for name in ("by_hand_s", "fleetform_s"):
            values = result[name]
            assert isinstance(values, list)
            each = "  ".join(f"{value:.2f}" for value in values)
            print(f"{name:<12} median {statistics.median(values):6.2f}   each {each}")
        print(f"overhead     {result['overhead_s']:.2f} s (target: at most {TARGET_SECONDS} s)")
        where = result["where"]
        assert isinstance(where, dict)
        for name, seconds in where.items():
            print(f"  {name:<28} {seconds:6.2f} s")
    overhead = result["overhead_s"]
    assert isinstance(overhead, float)
    return 0 if overhead <= TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
