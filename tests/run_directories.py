"""Run directories written by hand into a bucket of the embedded cloud: runs without machines."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from typing import Any

from fleet import aws
from fleet.cloud import Cloud
from fleet.run_store import RunStore

NODE = {"rank": 0, "instance_id": "i-00000000000000000", "instance_type": "g5.xlarge", "address": "10.0.0.1"}


def new_store(sandbox: Cloud) -> RunStore:
    """Return a bucket of its own, in which there are no runs yet."""
    name = f"runs-{uuid.uuid4().hex[:12]}"
    aws.client(sandbox, "s3", "us-east-1").create_bucket(Bucket=name)
    return RunStore(sandbox, "us-east-1", name)


class Ledger:
    """Keeps what is appended."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str]] = []

    def act(self, event: str, target: str, **details: Any) -> Any:
        self.append(event, target, "started", details)
        return contextlib.nullcontext()

    def append(self, event: str, target: str, outcome: str, details: dict[str, Any]) -> None:
        self.entries.append((event, target, outcome))


def put(store: RunStore, run_id: str, name: str, body: bytes) -> None:
    """Write a file of a run directory."""
    store.s3.put_object(Bucket=store.bucket, Key=f"runs/{run_id}/{name}", Body=body)


def make(store: RunStore, run_id: str, *events: str, **changes: Any) -> None:
    """Write a run whose events are a second apart."""
    run = {
        "run_id": run_id, "fleet": "gpu", "recipe": "digits", "script": "", "nodes": 1, "procs_per_node": 1,
        "actor": "tests", "submitted": "2026-01-01T00:00:00.000Z", **changes,
    }  # fmt: skip
    store.put(run_id, "run.json", run)
    details = {"PROVISIONING": {"nodes": [NODE]}, "FAILED": {"cause": "node 0: exit code 1"}}
    lines = [
        json.dumps(
            {"time": f"2026-01-01T00:00:{second:02d}.000Z", "event": event, "detail": details.get(event, {})}
        )
        for second, event in enumerate(events)
    ]
    if lines:
        put(store, run_id, "events.jsonl", "".join(f"{line}\n" for line in lines).encode())


ENDED = ("QUEUED", "PROVISIONING", "RUNNING", "SUCCEEDED")


def bring_home(store: RunStore, run_id: str, **files: str) -> None:
    """Write files and the list that node 0 makes of them."""
    listed = []
    for name, text in files.items():
        put(store, run_id, name, text.encode())
        digest = hashlib.sha256(text.encode()).hexdigest()
        listed.append({"key": f"runs/{run_id}/{name}", "size": len(text), "sha256": digest})
    store.put(run_id, "outputs/node-0.json", {"rank": 0, "exit_code": 0, "files": listed})
