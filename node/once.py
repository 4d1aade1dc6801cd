"""One start of a run on one node is carried out once, however often the node is told to.

Systems Manager is asked again where its answer was lost, and may have handed the first command over: the
second one then waits for the end of the first, and ends as it did.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from typing import Any

from node.aws import aws_errors, client
from node.config import NodeConfig
from node.layout import run_key
from node.store import Bucket

_FOLDER = "starts"


def carry_out_once(config: NodeConfig, run_id: str, rank: int, act: Callable[[], int], cut_off: int) -> int:
    """Return the exit code of `act` for this start of the run: done now, or done by a command before.

    Where the one before was killed and left no code it is `cut_off`: what it did is not done once more.
    """
    folder = config.work / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{run_id}-{_attempt(config, run_id)}-{rank}").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        told = file.read().split()
        if told:
            return int(told[1]) if len(told) > 1 else cut_off
        print("begun", file=file, flush=True)
        code = act()
        print(code, file=file, flush=True)
        return code


def _attempt(config: NodeConfig, run_id: str) -> int:
    """Return which attempt of the run this is: each goes on from where the one before has ended.

    It is 0 where the bucket refuses to say: the runner says then why it can't begin.
    """
    try:
        body = Bucket(client("s3", config.region), config.artifact_bucket).get(run_key(run_id, "run.json"))
    except aws_errors():
        return 0
    told: dict[str, Any] = json.loads(body) if body else {}
    return int(told.get("attempt", 1))
