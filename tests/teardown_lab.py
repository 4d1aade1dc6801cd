"""An environment to be torn down again and again: real things, states, and a stand-in for Terraform."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fleet.bootstrap import ensure_account, read_state_object
from fleet.cloud import Cloud
from fleet.listings.things import ask
from fleet.receipt import Receipt, substance
from fleet.run_store import open_runs
from fleet.session import Session
from fleet.teardown import down
from fleet.terraform_events import Report, quiet
from fleet.terraform_state import read_state
from stacks import naming
from tests.teardown_parts import add_run, open_own, put_state

FILE = '[artifacts]\non_teardown = "delete"\n'


@dataclass
class StandIn:
    """What Terraform does to a stack, over the API: it destroys what the state holds, and writes that."""

    session: Session
    name: str
    report: Report = quiet

    def forget(self, addresses: Sequence[str]) -> None:
        """Take resources out of the state."""
        raise AssertionError(f"nothing here is to be retained: {addresses}")

    def destroy(self) -> None:
        """Destroy all that the state holds; what is gone already is none the worse."""
        for each in read_state(read_state_object(self.session.cloud, self.session.account, self.name)):
            client = self.session.client
            if each.kind == "aws_ebs_volume":
                ask(client("ec2").delete_volume, VolumeId=each.id)
            elif each.kind == "aws_s3_bucket":
                ask(client("s3").delete_bucket, Bucket=each.id)
            else:
                client("kms").schedule_key_deletion(KeyId=each.id)
        put_state(self.session, self.name)


@dataclass
class Lab:
    """One environment with a disk, a key, and a bucket with an ended run in it."""

    cloud: Cloud
    root: Path
    session: Session
    names: dict[str, str] = field(default_factory=dict)
    """What each thing of this environment alone is called, by what it is called here."""

    def plain(self, receipt: Receipt) -> Any:
        """Return what the receipt says, times and this environment's own names aside."""
        text = json.dumps(substance(receipt.to_dict()), default=str)
        for name, neutral in self.names.items():
            text = text.replace(name, neutral)
        return json.loads(text)


def build(cloud: Cloud, root: Path) -> Lab:
    """Make the environment; `up` is put on record, as one that builds does."""
    session = open_own(cloud, root, FILE)
    ensure_account(cloud, session.account)
    base, fleet = naming.environment_stacks(session.spec.name)
    with session.ledger.act("environment.up", session.spec.name) as act:
        act.details["stacks"] = {base: {}, fleet: {}}
    store = open_runs(session)
    store.s3.create_bucket(Bucket=store.bucket)
    store.s3.put_bucket_tagging(Bucket=store.bucket, Tagging={"TagSet": _tags(session, base)})
    _add_ended_run(store)
    tagging = [{"ResourceType": "volume", "Tags": _tags(session, fleet)}]
    volume = session.client("ec2").create_volume(
        VolumeType="gp3", Size=10, AvailabilityZone="us-east-1a", TagSpecifications=tagging
    )["VolumeId"]
    tags = [{"TagKey": each["Key"], "TagValue": each["Value"]} for each in _tags(session, base)]
    key = session.client("kms").create_key(Tags=tags)["KeyMetadata"]["KeyId"]
    put_state(session, fleet, aws_ebs_volume__queue=volume)
    put_state(session, base, aws_s3_bucket__artifacts=store.bucket, aws_kms_key__main=key)
    own = {
        volume: "VOLUME",
        key: "KEY",
        session.spec.name: "NAME",
        session.account.organization: "ORGANIZATION",
    }
    return Lab(cloud, root, session, own)


def _add_ended_run(store: Any) -> None:
    add_run(store, "20260102-ended", "QUEUED", "PROVISIONING", "RUNNING", "SUCCEEDED")
    listed = {"key": "runs/20260102-ended/summary.json", "size": 2, "sha256": ""}
    store.put("20260102-ended", "outputs/node-0.json", {"rank": 0, "exit_code": 0, "files": [listed]})
    store.s3.put_object(Bucket=store.bucket, Key=listed["key"], Body=b"{}")


def _tags(session: Session, stack: str) -> list[dict[str, str]]:
    found = {naming.TAG_ENVIRONMENT: session.spec.name, naming.TAG_STACK: stack}
    return [{"Key": key, "Value": value} for key, value in found.items()]


def killed_at(lab: Lab, place: str, calls: int = 1) -> None:
    """Tear the environment down in a process that SIGKILL ends at that call of that function.

    `place` is its dotted name. What the process says of itself is only that it was killed.
    """
    process = os.fork()
    if process == 0:
        try:
            patch = pytest.MonkeyPatch()
            patch.setattr(place, _kill_at(_function(place), calls))
            session = Session(lab.session.project, lab.cloud, lab.session.account, lab.session.spec)
            down(session, quiet, base=True)
        finally:
            os._exit(7)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{place}: {status}"


def _function(place: str) -> Callable[..., Any]:
    from importlib import import_module

    module, _, name = place.rpartition(".")
    if module.rpartition(".")[2][:1].isupper():  # a method
        above, _, owner = module.rpartition(".")
        return getattr(getattr(import_module(above), owner), name)  # type: ignore[no-any-return]
    return getattr(import_module(module), name)  # type: ignore[no-any-return]


def _kill_at(function: Callable[..., Any], calls: int) -> Callable[..., Any]:
    count = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count == calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return counted
