"""How an environment's runs stand, read from their run directories; what teardown needs to know of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fleet import aws
from fleet.at_once import each_at_once
from fleet.clock import seconds_between, seconds_since
from fleet.run_store import FINAL_EVENTS, RunStore
from stacks.problems import UserError, nearest

SUBMITTED = "SUBMITTED"
"""The state of a run that its head node has not taken up yet: it has a `run.json` and no event."""
IDLE = "IDLE"
"""An event that is no state: a run makes no progress, or does so again (docs/idle.md)."""


@dataclass(frozen=True)
class RunStatus:
    """One run as it stands."""

    run_id: str
    state: str
    """SUBMITTED, or the last of its events: QUEUED, PROVISIONING, RUNNING, SUCCEEDED, FAILED, ..."""
    program: str
    """The recipe or the script."""
    fleet: str
    nodes: int
    procs_per_node: int
    actor: str
    submitted: str
    """UTC, ISO 8601, as all times here."""
    started: str | None
    """When every node had begun."""
    ended: str | None
    cause: str
    """Why it failed or was ended, or what it waits for; one line."""
    placed: tuple[dict[str, Any], ...]
    """The nodes that it got: rank, instance_id, instance_type, address. Empty while it waits."""
    attempt: int = 1
    """Which attempt this is: the first, or one that resumed the run. Times and nodes are this attempt's."""
    team: str = ""
    """Whose share it counts to; "" without a queue."""
    array_of: str = ""
    """The array that it is a task of, "" for a run of its own."""
    tasks: int = 0
    """How many tasks it has, where it is an array."""
    claimed: str | None = None
    """When it got its nodes, from which on they cost."""
    asked_by: str = ""
    """The id of whoever asked for it in the console, "" where nobody is told."""
    idle: str = ""
    """Why it is taken for idle, and when it is stopped for that; "" where it is not."""

    @property
    def active(self) -> bool:
        """Whether it has not ended yet."""
        return self.state not in FINAL_EVENTS

    @property
    def may_go_on(self) -> bool:
        """Whether it has ended in a way that `fleetform run --resume` goes on from."""
        return not self.active and self.state != "SUCCEEDED"

    @property
    def seconds(self) -> float | None:
        """Seconds from its start to its end, or to now; None before it started."""
        if self.started is None:
            return None
        return seconds_between(self.started, self.ended) if self.ended else seconds_since(self.started)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, the derived values too, as JSON has it."""
        return {**asdict(self), "active": self.active, "seconds": self.seconds}


def list_runs(store: RunStore, limit: int | None = None) -> list[RunStatus]:
    """Return the runs, newest first."""
    found = each_at_once(lambda run_id: find_run(store, run_id), store.run_ids()[:limit])
    return [run for run in found if run is not None]


def read_run(store: RunStore, run_id: str) -> RunStatus:
    """Return one run; raises UserError, with the nearest id, where there is none of that id."""
    found = find_run(store, run_id)
    if found is not None:
        return found
    known = store.run_ids()
    near = next((each for each in known if each.startswith(run_id)), None) or nearest(run_id, known)
    raise UserError.of(
        f"there is no run {run_id!r} in s3://{store.bucket}",
        f"did you mean {near!r}?" if near else "see `fleetform runs ENVIRONMENT`",
        path="RUN",
    )


def active_runs(store: RunStore) -> list[RunStatus]:
    """Return the runs that have not ended, newest first; none where the bucket is not there."""
    return [run for run in list_runs(store) if run.active]


def read_events(store: RunStore, run_id: str) -> list[dict[str, Any]]:
    """Return the run's events, oldest first."""
    return parse_events(store.get(run_id, "events.jsonl") or b"")


def parse_events(body: bytes) -> list[dict[str, Any]]:
    """Return the events of an `events.jsonl`, oldest first."""
    return [json.loads(line) for line in body.decode().splitlines() if line.strip()]


def events_of(events: list[dict[str, Any]], attempt: int) -> list[dict[str, Any]]:
    """Return the events of one attempt: each begins after the final event of the one before."""
    ended = 0
    for index, event in enumerate(events):
        if ended == attempt - 1:
            return events[index:]
        ended += event["event"] in FINAL_EVENTS
    return []


def outputs_safe(store: RunStore, run: RunStatus) -> list[str]:
    """Return what of the run's outputs is not safe in the bucket, one sentence each; none means all is.

    A node that is gone can't lose anything by a teardown any more, so what it alone has, or may have, is not
    named.
    """
    missing = _unsafe_file_system(store, run)
    sizes = store.sizes(run.run_id)
    there_only: dict[str, list[str]] = {}
    for node, report in zip(run.placed, _reports(store, run), strict=True):
        who = f"node {node['rank']} ({node['instance_id']})"
        if report is None:
            there_only[node["instance_id"]] = [f"{who} has not said that its outputs are uploaded"]
            continue
        there_only[node["instance_id"]] = [
            f"{who} alone has {each['path']}: {each['why']}"
            for each in report.get("left_out", [])
            if each["data"]
        ]
        for file in report["files"]:
            name = str(file["key"]).removeprefix(f"runs/{run.run_id}/")
            if sizes.get(name) != file["size"]:
                found = "is missing" if name not in sizes else f"has {sizes[name]} bytes, not {file['size']}"
                missing.append(f"run {run.run_id}: {name} {found}")
    for instance_id in sorted(running_machines(store, [each for each, what in there_only.items() if what])):
        missing.extend(f"run {run.run_id}: {what}" for what in there_only[instance_id])
    return missing


def _unsafe_file_system(store: RunStore, run: RunStatus) -> list[str]:
    """Return what speaks against losing the run's own file system: it stands, and was not written back."""
    state = store.get_json(run.run_id, "fsx.json")
    if state is None or state["state"] == "deleted" or not _stands(store, state["file_system_id"]):
        return []
    why = f"could not be written back: {state['cause']}" if state.get("cause") else "was never written back"
    return [f"run {run.run_id}: its file system {state['file_system_id']} {why}"]


def _stands(store: RunStore, system_id: str) -> bool:
    try:
        found = store.client("fsx").describe_file_systems(FileSystemIds=[system_id])["FileSystems"]
    except Exception as error:
        if aws.error_code(error) != "FileSystemNotFound":
            raise
        return False
    return any(each["Lifecycle"] != "DELETING" for each in found)


def left_out(store: RunStore, run: RunStatus) -> list[dict[str, Any]]:
    """Return what the run's nodes did not upload: rank, path, why, and whether it is data."""
    return [
        {"rank": node["rank"], **each}
        for node, report in zip(run.placed, _reports(store, run), strict=True)
        for each in (report or {}).get("left_out", [])
    ]


def _reports(store: RunStore, run: RunStatus) -> list[dict[str, Any] | None]:
    return [store.get_json(run.run_id, f"outputs/node-{node['rank']}.json") for node in run.placed]


def running_machines(store: RunStore, instance_ids: list[str]) -> set[str]:
    """Return those of the machines that run or start, as EC2 tells."""
    if not instance_ids:
        return set()
    filters = [
        {"Name": "instance-id", "Values": instance_ids},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    answer = store.ec2.describe_instances(Filters=filters)
    return {each["InstanceId"] for group in answer["Reservations"] for each in group["Instances"]}


def find_run(store: RunStore, run_id: str) -> RunStatus | None:
    """Return one run, or None where there is none of that id."""
    run = store.get_json(run_id, "run.json")
    return run_status(run_id, run, read_events(store, run_id)) if run is not None else None


def run_status(run_id: str, run: Mapping[str, Any], history: list[dict[str, Any]]) -> RunStatus:
    """Return how a run stands by its `run.json` and the events of all its attempts."""
    attempt = int(run.get("attempt", 1))
    events = events_of(history, attempt)
    states = [event for event in events if event["event"] != IDLE]
    last: dict[str, Any] = states[-1] if states else {"event": SUBMITTED, "detail": {}}
    by_name = {event["event"]: event for event in events}
    idle, detail = _idle(events), last["detail"]
    return RunStatus(
        run_id=run_id,
        state=last["event"],
        program=run["recipe"] or run["script"],
        fleet=run["fleet"],
        nodes=run["nodes"],
        procs_per_node=run["procs_per_node"],
        actor=run["actor"],
        submitted=run.get("resumed") or run["submitted"],
        started=by_name["RUNNING"]["time"] if "RUNNING" in by_name else None,
        ended=last["time"] if last["event"] in FINAL_EVENTS else None,
        cause=idle or str(detail.get("cause") or detail.get("reason") or ""),
        placed=tuple(by_name["PROVISIONING"]["detail"]["nodes"]) if "PROVISIONING" in by_name else (),
        attempt=attempt,
        team=str(run.get("team") or ""),
        array_of=str(run.get("array_of") or ""),
        tasks=array["last"] - array["first"] + 1 if (array := run.get("array")) else 0,
        asked_by=str((run.get("asked_by") or {}).get("id") or ""),
        claimed=by_name["PROVISIONING"]["time"] if "PROVISIONING" in by_name else None,
        idle=idle,
    )


def _idle(events: list[dict[str, Any]]) -> str:
    """Return what the last event says of the run being idle; "" where it is another one."""
    last = events[-1] if events else {}
    warned = last.get("event") == IDLE and "stops" in last["detail"]
    return str(last["detail"].get("reason", "")) if warned else ""
