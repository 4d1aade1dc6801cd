"""An environment to be torn down, made over the API: its buckets, runs, and the states of its stacks."""

from __future__ import annotations

import datetime
import json
import uuid
from pathlib import Path

from fleet.cloud import Cloud
from fleet.project import Project
from fleet.run_store import RunStore, open_runs
from fleet.session import Session
from fleet.synth import output_folder
from stacks import naming
from stacks.account import load_account
from stacks.app import synthesize
from stacks.environment import load_environment
from tests.golden_synth import BUNDLE
from tests.spec_files import ACCOUNT, environment_text, write_folder


def open_vision(cloud: Cloud, root: Path, more: str = "") -> Session:
    """Return the session of `vision`, of an organization of its own, of which nothing exists yet."""
    organization = f"o{uuid.uuid4().hex[:10]}"
    account = ACCOUNT.replace("acme-ai", organization)
    folder = write_folder(root, account, vision=environment_text() + more)
    project = Project(root=root, home=root / "home")
    return Session(project, cloud, load_account(folder), load_environment(folder / "vision.toml"))


def synthesize_here(session: Session) -> Path:
    """Do what `fleet.synth.synthesize` has a process do, where CDKTF has started already."""
    out = output_folder(session)
    synthesize(session.account, [session.spec], BUNDLE, out)
    return out


def add_bucket(session: Session) -> RunStore:
    """Make the artifact bucket, tagged as the base stack tags it, and return its runs."""
    store = open_runs(session)
    store.s3.create_bucket(Bucket=store.bucket)
    store.s3.put_bucket_tagging(Bucket=store.bucket, Tagging={"TagSet": tags("vision-base")})
    return store


def tags(stack: str = "") -> list[dict[str, str]]:
    """Return the tags of a thing of the environment, made by that stack or by none."""
    found = {naming.TAG_ENVIRONMENT: "vision", **({naming.TAG_STACK: stack} if stack else {})}
    return [{"Key": key, "Value": value} for key, value in found.items()]


def remove_bucket(store: RunStore) -> None:
    """Delete the bucket with all that is in it."""
    for item in store.s3.list_objects_v2(Bucket=store.bucket).get("Contents", []):
        store.s3.delete_object(Bucket=store.bucket, Key=item["Key"])
    store.s3.delete_bucket(Bucket=store.bucket)


def add_run(store: RunStore, run_id: str, *events: str, minutes_ago: float = 0) -> None:
    """Write a run that was submitted so long ago, with these events."""
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=minutes_ago)
    now = then.isoformat()
    run = {
        "run_id": run_id,
        "fleet": "gpu",
        "recipe": "digits",
        "script": "",
        "nodes": 1,
        "procs_per_node": 1,
    }
    store.put(run_id, "run.json", {**run, "actor": "tests", "submitted": now})
    for event in events:
        detail = {"nodes": [{"rank": 0, "instance_id": "i-0", "address": "127.0.0.1"}]}
        store.append_line(
            run_id,
            "events.jsonl",
            {"time": now, "event": event, "detail": detail if event == "PROVISIONING" else {}},
        )


def put_state(session: Session, stack: str, **ids: str) -> None:
    """Let Terraform's state say that the stack stands, with resources `kind__name=id`."""
    resources = [
        {"mode": "managed", "type": kind, "name": name, "instances": [{"attributes": {"id": each}}]}
        for address, each in ids.items()
        for kind, _, name in (address.partition("__"),)
    ]
    region = session.account.region
    session.client("s3").put_object(
        Bucket=naming.state_bucket(session.account.organization, region),
        Key=naming.state_key(stack),
        Body=json.dumps({"version": 4, "resources": resources}).encode(),
    )


def open_own(cloud: Cloud, root: Path, more: str = "") -> Session:
    """Return the session of an environment with a name and an organization of its own.

    No look at it finds what other tests have made. `more` goes into its file.
    """
    name = f"e{uuid.uuid4().hex[:8]}"
    root.mkdir(parents=True, exist_ok=True)
    account = ACCOUNT.replace("acme-ai", f"o{uuid.uuid4().hex[:10]}")
    folder = write_folder(root, account, **{name: environment_text(name) + more})
    spec = load_environment(folder / f"{name}.toml")
    return Session(Project(root=root, home=root / "home"), cloud, load_account(folder), spec)
