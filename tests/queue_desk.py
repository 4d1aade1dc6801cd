"""An environment whose head is only a machine that takes commands: the tests speak for its queue."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from fleet.cloud import Cloud
from fleet.project import Project
from fleet.session import Session
from node.layout import utc_now
from stacks import naming
from tests import environment_parts as parts
from tests.sandbox_helpers import run_instances

_DOCUMENT = {
    "schemaVersion": "2.2",
    "description": "stands in for the head's queue",
    "parameters": {"RunId": {"type": "String"}, "Act": {"type": "String", "default": ""}},
}


@dataclass(frozen=True)
class Desk(parts.Environment):
    """The environment, and the voice of its queue."""

    def answer(self, script: str) -> None:
        """Let the head answer submissions and acts with this script from now on."""
        step = {"name": "s", "action": "aws:runShellScript", "inputs": {"runCommand": [script]}}
        content = json.dumps({**_DOCUMENT, "mainSteps": [step]})
        ssm = self.session.client("ssm")
        for name in (self.outputs.run_document, self.outputs.queue_document_of("")):
            with suppress(ssm.exceptions.InvalidDocument):
                ssm.delete_document(Name=name)
            ssm.create_document(Name=name, Content=content, DocumentType="Command", DocumentFormat="JSON")

    def put(self, key: str, value: Any) -> None:
        """Write a JSON object of the bucket."""
        self.store.s3.put_object(Bucket=self.store.bucket, Key=key, Body=json.dumps(value).encode())

    def say(self, run_id: str, event: str, time: str = "", **detail: Any) -> None:
        """Write an event of a run, as the queue does."""
        line = {"time": time or utc_now(), "event": event, "detail": detail}
        assert self.store.append_line(run_id, "events.jsonl", line)

    @contextmanager
    def saying(self, name: str, event: str, **detail: Any) -> Iterator[list[str]]:
        """Write the event of every run that gets such a file meanwhile; yield the runs as they come."""
        over, told = threading.Event(), list[str]()
        seen = {run for run in self.store.run_ids() if self.store.sizes(run, name)}

        def watch() -> None:
            while not over.wait(0.05):
                for run in self.store.run_ids():
                    if run not in seen and self.store.sizes(run, name):
                        seen.add(run)
                        told.append(run)
                        self.say(run, event, **detail)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield told
        finally:
            over.set()
            thread.join()


def build_desk(cloud: Cloud, project: Project, name: str) -> Desk:
    """Make the environment: buckets, a head that takes commands, and what its fleet stack publishes."""
    account, spec = parts.make_specs(name, {"gpu": {"nodes": 2, "max_nodes": 4}})
    slurm = Cloud(cloud.name, {**cloud.variables, "FLEETFORM_SCHEDULER": "slurm"})
    session = Session(project, slurm, account, spec)
    parts.make_buckets(session)
    outputs = parts.publish_outputs(
        session, scheduler="slurm", default_team="tests", teams=("tests", "blue"), longest_minutes=10080
    )
    run_instances(cloud, 1, "", **{naming.TAG_ENVIRONMENT: name, naming.TAG_ROLE: naming.ROLE_HEAD})
    parts.await_online(session, 1)
    desk = Desk(session, outputs)
    desk.answer("true")
    return desk


def ago(minutes: float) -> str:
    """Return the time so many minutes ago."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 60 * minutes))
