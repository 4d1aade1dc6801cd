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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import Any

from node import commands
from node.aws import client
from node.claims import claim_gang, free, holders
from node.config import NodeConfig, read_node_config
from node.dispatch_files import DispatchFiles
from node.dispatch_idle import DispatchIdle
from node.events import EventLog, NotTheWriterError
from node.instances import Instance, online, running_nodes
from node.layout import (
    CANCELLED,
    FAILED,
    PROVISIONING,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    run_key,
    utc_now,
)
from node.patience import persist
from node.placement import Gang, place
from node.receipt import make_receipt, read_left, write_receipt
from node.store import Bucket
from node.watch import Part, Verdict, Watch

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 5.0
"""Seconds between two looks for free nodes."""
_OUTAGE_SECONDS = 6 * 3600.0
"""How long nodes that work on a run that has failed are watched for while the cloud does not answer."""


class Dispatch:
    """One run being carried out."""

    def __init__(self, config: NodeConfig, run_id: str) -> None:
        """Read the run; raises LookupError where there is none of that id."""
        self._config = config
        self._bucket = Bucket(client("s3", config.region), config.artifact_bucket)
        body = persist(lambda: self._bucket.get(run_key(run_id, "run.json")))
        if body is None:
            raise LookupError(f"no run {run_id} in {config.artifact_bucket}")
        self._run: dict[str, Any] = json.loads(body)
        self._run_id = run_id
        self._attempt = int(self._run.get("attempt", 1))
        self._submitted = str(self._run.get("resumed") or self._run["submitted"])
        self._events = persist(lambda: EventLog(self._bucket, run_id, self._attempt))
        self._files = DispatchFiles(config, self._bucket, self._run)
        self._idle = DispatchIdle(self._bucket, config.region, run_id, self._say)
        self._times = {"submitted": self._submitted, "dispatched": utc_now()}
        self._gang: Gang | None = None
        self._parts: list[Part] = []

    def carry_out(self) -> Verdict:
        """Run it to its end and return how it ended; the final event is written whatever happens."""
        self._say(QUEUED, {"attempt": self._attempt} if self._attempt > 1 else {}, self._submitted)
        self._files.reap_others()
        try:
            verdict = self._wait_for_nodes() or self._train()
        except NotTheWriterError:
            raise
        except BaseException as error:
            traceback.print_exc()
            why = f"the dispatcher on the head node failed: {error or type(error).__name__}"
            verdict = self._wind_down(Verdict(FAILED, why))
        if self._files.wanted:
            self._free()  # what follows may take long, and needs no node
            verdict = self._files.bring_home(verdict)
        self._close(verdict)
        return verdict

    def _say(self, event: str, detail: dict[str, Any], moment: str = "") -> None:
        """Append an event at `moment`, or now; a cloud that does not answer for a while is borne with."""
        moment = moment or utc_now()  # once: a line that is written again must be the same line
        persist(lambda: self._events.append(event, detail, moment))

    def _wind_down(self, verdict: Verdict) -> Verdict:
        """Stop the nodes that were told to begin, and wait: until the last has ended they are not free.

        The head can do nothing else while the cloud does not answer, so it waits for that long, too.
        """
        if self._parts:
            try:
                return persist(lambda: self._watch(lambda: None).until_end(verdict), _OUTAGE_SECONDS)
            except Exception:  # the final event must be written whatever is wrong with the watch
                traceback.print_exc()
        return verdict

    def _wait_for_nodes(self) -> Verdict | None:
        """Claim the gang as soon as enough nodes are free; a verdict means that it was cancelled before."""
        wait, said = _FIRST_WAIT, ""
        while True:
            nodes = persist(self._ready_nodes)
            ids = [node.instance_id for node in nodes]
            claimed = self._claim(ids)
            if claimed is not None:
                self._gang = place([node for node in nodes if node.instance_id in claimed])
                self._times["claimed"] = utc_now()
                self._idle.claimed(claimed)
                return None
            reason = self._reason(ids)
            if reason != said:
                self._say(QUEUED, {"reason": reason})
                said = reason
            request = persist(lambda: self._bucket.get(run_key(self._run_id, "cancel.json")))
            if request is not None:
                return Verdict(CANCELLED, f"cancelled by {json.loads(request).get('actor', 'somebody')}")
            self._idle.wake(self._run["fleet"], self._run["nodes"])
            time.sleep(wait)
            wait = min(_LONGEST_WAIT, wait * 1.5)

    def _claim(self, ids: list[str]) -> list[str] | None:
        return persist(lambda: claim_gang(self._bucket, self._run_id, ids, self._run["nodes"]))

    def _ready_nodes(self) -> list[Instance]:
        found = running_nodes(self._ec2(), self._config.environment, self._run["fleet"])
        return online(client("ssm", self._config.region), found) if found else []

    def _reason(self, ready: Sequence[str]) -> str:
        held = persist(lambda: holders(self._bucket, ready))
        by = f", held by {', '.join(sorted(set(held.values())))}" if held else ""
        return (
            f"waiting for {self._run['nodes']} free nodes of the fleet {self._run['fleet']}: "
            f"{len(ready)} ready, {len(held)} of them taken{by}"
        )

    def _train(self) -> Verdict:
        """Start every node's part at the same time, and watch them until the last has ended."""
        gang, ssm = self._gang, client("ssm", self._config.region)
        assert gang is not None
        self._say(PROVISIONING, {"nodes": gang.describe()})
        if self._files.wanted:
            making = f"making a file system of {self._run['fsx_gib']} GiB"
            self._say(PROVISIONING, {"nodes": gang.describe(), "reason": making})
            if verdict := self._files.provide(gang.nodes[0].subnet_id):
                return verdict
        ranks = range(len(gang.nodes))
        self._idle.ordered()
        with ThreadPoolExecutor(max_workers=min(16, len(ranks))) as pool:
            sent = [pool.submit(self._start, ssm, gang, rank) for rank in ranks]
        failed = {rank: error for rank in ranks if (error := sent[rank].exception())}
        if failed:
            return self._give_up(ssm, gang, failed)
        self._parts.sort(key=lambda part: part.rank)

        def started() -> None:
            moment = self._times.setdefault("started", utc_now())
            self._say(RUNNING, {"commands": [part.command_id for part in self._parts]}, moment)
            self._idle.started()

        return self._watch(started).until_end()

    def _watch(self, on_started: Callable[[], None]) -> Watch:
        limit, ssm = float(self._run["max_minutes"]) * 60, client("ssm", self._config.region)
        return Watch(ssm, self._ec2, self._bucket, self._run_id, self._parts, limit, on_started, self._idle)

    def _give_up(self, ssm: Any, gang: Gang, failed: Mapping[int, BaseException]) -> Verdict:
        """Stop the nodes that began, where others were not told to; any answer may have been lost."""
        for rank in failed:
            instance = gang.nodes[rank]
            command = persist(partial(commands.find, ssm, instance.instance_id, self._run_id))
            if command is not None:
                self._parts.append(Part(rank, instance, command))
        rank, error = next(iter(failed.items()))
        return self._wind_down(Verdict(FAILED, f"node {rank} could not be told to begin: {error}"))

    def _start(self, ssm: Any, gang: Gang, rank: int) -> None:
        """Send one node its command, which is carried out once though it comes twice: node/once.py."""
        parameters = {
            "RunId": self._run_id,
            "NodeRank": str(rank),
            "NodeCount": str(len(gang.nodes)),
            "MasterAddress": gang.address,
            "MasterPort": str(gang.port),
        }
        node, document = gang.nodes[rank], self._config.node_document
        command = persist(
            lambda: commands.send(ssm, document, node.instance_id, parameters, self._run_id),
            worth=commands.is_throttled,
        )
        self._parts.append(Part(rank, node, command))

    def _close(self, verdict: Verdict) -> None:
        """Write the receipt, then the final event, and give the nodes back."""
        self._times["ended"] = utc_now()
        persist(lambda: self._write_receipt(verdict))
        detail = {"cause": verdict.cause} if verdict.cause else {}
        self._say(verdict.event, detail, self._times["ended"])
        self._free()

    def _free(self) -> None:
        """Give the nodes back."""
        if self._gang is not None:
            ids = [node.instance_id for node in self._gang.nodes]
            persist(lambda: free(self._bucket, self._run_id, ids))
            self._times.setdefault("freed", utc_now())
            self._idle.freed()

    def _write_receipt(self, verdict: Verdict) -> None:
        left = read_left(self._bucket, self._run_id, len(self._gang.nodes) if self._gang else 0)
        receipt = make_receipt(
            self._bucket, self._run, self._gang, self._times, verdict, left, self._files.receipt()
        )
        write_receipt(self._bucket, self._run, receipt, verdict, self._times["ended"])

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
