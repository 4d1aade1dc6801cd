"""What the verbs about runs print: a run followed to its end, its one line, its details."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from fleet.follow import follow
from fleet.run_control import settle_one
from fleet.run_store import open_runs
from fleet.runs import RunStatus, read_run
from fleet.session import Session
from fleet.tail import EventSeen, LogText
from node.speedup_lines import speedup_lines
from scripts.console_io import emit_json, note, say

if TYPE_CHECKING:
    from fleet.queue_acts import QueueAct


def follow_to_end(
    session: Session, run_id: str, *, as_json: bool = False, rank: int | None = None, new_only: bool = False
) -> int:
    """Print the run's log and events until it ends; return 0 where it succeeded, else 1 with the cause said.

    With `as_json` the log goes to standard error, and the run as it ended is the answer.
    """
    store = open_runs(session)
    run = read_run(store, run_id)
    printer = LogPrinter(several=run.nodes > 1 and rank is None, to_error=as_json)
    last = ""
    try:
        for item in follow(store, run_id, rank=rank, new_only=new_only):
            if isinstance(item, LogText):
                printer.show(item)
            else:
                printer.end_lines()
                _note_event(item)
                last = item.event
    except KeyboardInterrupt:
        note(f"the run goes on; stop it with: fleetform cancel {session.spec.name} {run_id}")
        raise
    printer.end_lines()
    run = settle_one(store, session.ledger, run_id)
    if run.state != last:  # nobody carried it out any more, and it was ended just now
        note(f"{run.state}: {run.cause}")
    receipt = store.get_json(run_id, "receipt.json")
    for line in receipt_lines(receipt):
        note(line)
    if run.state == "PREEMPTED":
        note(f"it saved; go on with: fleetform run {session.spec.name} --resume {run_id}")
    if as_json:
        emit_json({**run.to_dict(), "speedup": (receipt or {}).get("speedup")})
    return 0 if run.state == "SUCCEEDED" else 1


def act_in_queue(environment: str, run_id: str, act: QueueAct, cloud: str | None) -> int:
    """Hold, release or requeue a run and print what the queue says of it; return the exit code."""
    from fleet.queue_acts import act_on_run
    from fleet.session import open_session

    session = open_session(environment, cloud)
    assert session.caller
    said = act_on_run(session, run_id, act)
    say(said or f"{run_id}: {act} done")
    return 0


def receipt_lines(receipt: dict[str, Any] | None) -> list[str]:
    """Return what a run's receipt says for people: what its processes were worth, and what it cost."""
    if receipt is None:
        return []
    lines = speedup_lines(receipt["speedup"]) if "speedup" in receipt else []
    goodput = receipt.get("goodput") or {}
    if goodput.get("goodput_percent") is not None:
        wall, others = goodput["wall_seconds"], {**goodput["buckets"], "productive": 0.0}
        name, lost = max(others.items(), key=lambda each: each[1])
        share = f"{goodput['goodput_percent']:.0f}% of the job's time went into steps that count"
        lines.append(f"{share}; the largest loss is {name.replace('_', ' ')} ({100 * lost / wall:.0f}%)")
    if launch := receipt.get("launch"):
        steps = ", ".join(f"{name.replace('_', ' ')} {duration(each)}" for name, each in launch.items())
        until = "the first step" if "first_step" in launch else "the program's start"
        lines.append(f"from submit to {until} {duration(sum(launch.values()))}: {steps}")
    usd = receipt["cost"]["usd"]
    if usd is not None:
        attempts = f" in {len(receipt['attempts'])} attempts" if "attempts" in receipt else ""
        lines.append(
            f"the run cost ${usd:.2f}{attempts} at list price, from claiming its nodes to freeing them"
        )
    return lines


class LogPrinter:
    """Prints pieces of logs by whole lines, each behind its node's number where there are several nodes."""

    def __init__(self, *, several: bool, to_error: bool = False) -> None:
        self._several, self._to_error = several, to_error
        self._rest: dict[int, str] = {}

    def show(self, piece: LogText) -> None:
        """Print the whole lines of the piece, and keep its unfinished last one."""
        *lines, self._rest[piece.rank] = (self._rest.get(piece.rank, "") + piece.text).split("\n")
        for line in lines:
            self._print(piece.rank, line)

    def end_lines(self) -> None:
        """Print the unfinished lines."""
        for rank, line in self._rest.items():
            if line:
                self._print(rank, line)
        self._rest.clear()

    def _print(self, rank: int, line: str) -> None:
        click.echo(f"[node {rank}] {line}" if self._several else line, err=self._to_error)


def _note_event(event: EventSeen) -> None:
    note(f"{event.time[11:19]} {event_text(event.event, event.detail)}")


def event_text(event: str, detail: Mapping[str, Any]) -> str:
    """Return an event as people read it: with its cause or reason, or the nodes that it names."""
    said = str(detail.get("cause") or detail.get("reason") or "")
    if "nodes" in detail and not said:
        said = "on " + ", ".join(f"{node_name(node)} ({node['instance_type']})" for node in detail["nodes"])
    return f"{event}: {said}" if said else event


def node_name(node: Mapping[str, Any]) -> str:
    """Return a run's node by its name in the queue and its machine, or by the machine alone."""
    name = node.get("node")
    return f"{name}, {node['instance_id']}" if name else str(node["instance_id"])


def duration(seconds: float | None) -> str:
    """Return a time span as people read it: `-`, `12.3 s`, `4 min 05 s`, `2 h 03 min`."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def done_tasks(array: RunStatus, tasks: Sequence[RunStatus]) -> str:
    """Return how the tasks of an array stand, as far as they are known: `7 of 10 ended, 2 run`."""
    ended, running = sum(not run.active for run in tasks), sum(run.state == "RUNNING" for run in tasks)
    return f"{ended} of {array.tasks} ended" + (f", {running} run" if running else "")


def size_text(run: RunStatus) -> str:
    """Return how many nodes and processes the run has: `2 x 1`."""
    return f"{run.nodes} x {run.procs_per_node}"
