"""What `launch.sh` sees of its surroundings: docs/architecture.md, "A run"."""

from __future__ import annotations

import os

from node.config import NodeConfig
from node.inputs import Inputs
from node.layout import run_key
from node.part import RunPart
from node.process import MARK


def job_environment(config: NodeConfig, part: RunPart, inputs: Inputs) -> dict[str, str]:
    """Return this process's environment and the variables of a job."""
    run = inputs.run
    processes = int(run.get("threads_as_for") or run["procs_per_node"])
    threads = max(1, len(os.sched_getaffinity(0)) // processes)
    environment = dict(os.environ)
    environment.setdefault("OMP_NUM_THREADS", str(threads))
    environment.setdefault("AWS_DEFAULT_REGION", config.region)
    price = run.get("price_usd_per_hour")
    checkpoints = run_key(part.run_id, "checkpoints")
    # Slurm may give a run nodes that were bought in any way: the launcher asks the machine itself.
    spot = bool(run.get("spot")) or part.under_slurm
    return {
        **environment,
        **({"FLEETFORM_SPOT": "1"} if spot else {}),
        **({} if price is None else {"FLEETFORM_USD_PER_HOUR": f"{price * part.count:.6g}"}),
        **_array(inputs),
        "FLEETFORM_CHECKPOINTS_URL": f"s3://{config.artifact_bucket}/{checkpoints}",
        **inputs.attached.variables,
        "FLEETFORM_RUN_ID": part.run_id,
        MARK: str(config.run_dir(part.run_id)),
        "FLEETFORM_DATA_DIR": str(inputs.data_dir),
        "FLEETFORM_CODE_DIR": str(inputs.code_dir),
        "FLEETFORM_NODE_RANK": str(part.rank),
        "FLEETFORM_MASTER_ADDR": part.address,
        "FLEETFORM_MASTER_PORT": str(part.port),
        "FLEETFORM_PYTHON": inputs.python,
    }


def _array(inputs: Inputs) -> dict[str, str]:
    """Return what a task of an array is told of its place in it."""
    array_of = inputs.run.get("array_of")
    if not array_of:
        return {}
    return {"FLEETFORM_ARRAY_OF": str(array_of), "FLEETFORM_ARRAY_INDEX": str(inputs.run["array_index"])}
