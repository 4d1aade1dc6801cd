"""Carries one run through its life, on the head node: queue, claim, start, watch, receipt.

`python -m node.dispatch --run-id ID`. Exit code 0 for a run that succeeded, 1 for one that did not.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

from node import commands
from node.aws import client
from node.claims import claim_gang, free, holders
from node.config import NodeConfig, read_node_config
from node.events import EventLog, NotTheWriterError
from node.instances import Instance, online, running_nodes
from node.layout import CANCELLED, FAILED, PROVISIONING, QUEUED, RUNNING, SUCCEEDED, run_key, utc_now
from node.patience import persist
from node.placement import Gang, place
from node.receipt import make_receipt
from node.store import Bucket
from node.watch import Part, Verdict, Watch

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 5.0
"""Seconds between two looks for free nodes."""


class Dispatch:
    """One run being carried out."""

    def __init__(self, config: NodeConfig, run_id: str) -> None:
        """Read the run; raises LookupError where there is none of that id."""
        self._config = config
        self._bucket = Bucket(client("s3", config.region), config.artifact_bucket)
        body = self._bucket.get(run_key(run_id, "run.json"))
        if body is None:
            raise LookupError(f"no run {run_id} in {config.artifact_bucket}")
        self._run: dict[str, Any] = json.loads(body)
        self._run_id = run_id
        self._events = EventLog(self._bucket, run_id)
        self._times = {"submitted": self._run["submitted"], "dispatched": utc_now()}
        self._gang: Gang | None = None

    def carry_out(self) -> Verdict:
        """Run it to its end and return how it ended; the final event is written whatever happens."""
        self._events.append(QUEUED, {}, time=self._run["submitted"])
        try:
            verdict = self._wait_for_nodes() or self._train()
        except NotTheWriterError:
            raise
        except BaseException as error:
            traceback.print_exc()
            verdict = Verdict(
                FAILED, f"the dispatcher on the head node failed: {error or type(error).__name__}"
            )
            self._bucket.put(
                run_key(self._run_id, "stop.json"), json.dumps({"reason": verdict.cause}).encode()
            )
        self._close(verdict)
        return verdict

    def _wait_for_nodes(self) -> Verdict | None:
        """Claim the gang as soon as enough nodes are free; a verdict means that it was cancelled before."""
        wait, said = _FIRST_WAIT, ""
        while True:
            nodes = persist(self._ready_nodes)
            ids = [node.instance_id for node in nodes]
            claimed = claim_gang(self._bucket, self._run_id, ids, self._run["nodes"])
            if claimed is not None:
                self._gang = place([node for node in nodes if node.instance_id in claimed])
                self._times["claimed"] = utc_now()
                return None
            reason = self._reason(ids)
            if reason != said:
                self._events.append(QUEUED, {"reason": reason})
                said = reason
            request = self._bucket.get(run_key(self._run_id, "cancel.json"))
            if request is not None:
                return Verdict(CANCELLED, f"cancelled by {json.loads(request).get('actor', 'somebody')}")
            time.sleep(wait)
            wait = min(_LONGEST_WAIT, wait * 1.5)

    def _ready_nodes(self) -> list[Instance]:
        found = running_nodes(self._ec2(), self._config.environment, self._run["fleet"])
        return online(client("ssm", self._config.region), found) if found else []

    def _reason(self, ready: Sequence[str]) -> str:
        held = holders(self._bucket, ready)
        by = f", held by {', '.join(sorted(set(held.values())))}" if held else ""
        return (
            f"waiting for {self._run['nodes']} free nodes of the fleet {self._run['fleet']}: "
            f"{len(ready)} ready, {len(held)} of them taken{by}"
        )

    def _train(self) -> Verdict:
        """Start every node's part at the same time, and watch them until the last has ended."""
        gang, ssm = self._gang, client("ssm", self._config.region)
        assert gang is not None
        self._events.append(PROVISIONING, {"nodes": gang.describe()})
        with ThreadPoolExecutor(max_workers=min(16, len(gang.nodes))) as pool:
            sent = list(pool.map(lambda rank: self._start(ssm, gang, rank), range(len(gang.nodes))))
        parts = [Part(rank, gang.nodes[rank], command) for rank, command in enumerate(sent)]

        def started() -> None:
            self._times["started"] = utc_now()
            self._events.append(RUNNING, {"commands": sent})

        limit = float(self._run["max_minutes"]) * 60
        return Watch(ssm, self._ec2, self._bucket, self._run_id, parts, limit, started).until_end()

    def _start(self, ssm: Any, gang: Gang, rank: int) -> str:
        parameters = {
            "RunId": self._run_id,
            "NodeRank": str(rank),
            "NodeCount": str(len(gang.nodes)),
            "MasterAddress": gang.address,
            "MasterPort": str(gang.port),
        }
        instance_id = gang.nodes[rank].instance_id
        return commands.send(ssm, self._config.node_document, instance_id, parameters, self._run_id)

    def _close(self, verdict: Verdict) -> None:
        """Write the receipt, then the final event, and give the nodes back."""
        self._times["ended"] = utc_now()
        persist(lambda: self._write_receipt(verdict))
        detail = {"cause": verdict.cause} if verdict.cause else {}
        persist(lambda: self._events.append(verdict.event, detail, time=self._times["ended"]))
        if self._gang is not None:
            free(self._bucket, self._run_id, [node.instance_id for node in self._gang.nodes])

    def _write_receipt(self, verdict: Verdict) -> None:
        receipt = make_receipt(self._bucket, self._run, self._gang, self._times, verdict)
        self._bucket.put(run_key(self._run_id, "receipt.json"), json.dumps(receipt, indent=2).encode())

    def _ec2(self) -> Any:
        return client("ec2", self._config.region)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit("the head node is shutting down")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the run that the command line names."""
    parser = argparse.ArgumentParser(prog="node.dispatch", description=__doc__)
    parser.add_argument("--run-id", required=True)
    run_id = parser.parse_args(arguments).run_id
    signal.signal(signal.SIGTERM, _stop)
    try:
        verdict = Dispatch(read_node_config(), run_id).carry_out()
    except LookupError as error:
        print(error, file=sys.stderr)
        return 1
    except NotTheWriterError:
        print(f"run {run_id} was dispatched or ended by somebody else", file=sys.stderr)
        return 1
    print(f"{verdict.event} {verdict.cause}".rstrip())
    return 0 if verdict.event == SUCCEEDED else 1


if __name__ == "__main__":
    sys.exit(main())
